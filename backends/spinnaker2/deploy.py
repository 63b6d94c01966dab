"""Renders deploy.py, which hands network.npz to py-spinnaker2; what it checks comes from the file's own layout."""

from __future__ import annotations

from pprint import pformat

from nirc.backends.spinnaker2 import limits, mapping, tables
from nirc.backends.spinnaker2.geometry import CORES
from nirc.files.chipfiles import script
from nirc.files.npz import BlockKind


def deploy_py() -> bytes:
    """A self-contained script (numpy and py-spinnaker2, no nirc): checks the files beside it, builds, runs a raster.

    The same for every network and either system: it reads network.npz, mapping.json and manifest.json.
    """
    return script(
        "nirc.backends.spinnaker2",
        "deploy.py.j2",
        format=tables.FORMAT,
        mapping_format=mapping.FORMAT,
        pes=limits.PES,
        chips=limits.CHIPS,
        cores=CORES,
        entries=limits.ROUTER_ENTRIES,
        fields=_literal({name: _fields(kind) for name, kind in tables.KINDS.items()}),
        arrays=_literal({name: _arrays(kind) for name, kind in tables.KINDS.items()}),
        optional=sorted({n for kind in tables.KINDS.values() for n, a in kind.arrays.items() if a.optional}),
        delayed=tables.DELAYED,
        filtered=tables.FILTERED,
        weight=limits.WEIGHT,
        delayed_weight=limits.DELAYED_WEIGHT,
        delay=limits.DELAY,
        geometry=_literal(list(tables.KINDS["convolutions"].numbers)),
    )


def _fields(kind: BlockKind) -> dict[str, object]:
    """What may stand in the fields of a block, in the words of the script's ``Network.value``."""
    fields: dict[str, object] = dict.fromkeys(kind.words, "name")
    fields |= {name: list(allowed) for name, allowed in kind.choices.items()}
    fields |= dict.fromkeys(kind.flags, "flag")
    return fields | {name: span for name, (span, _) in kind.numbers.items()}


def _arrays(kind: BlockKind) -> dict[str, object]:
    return {name: (array.dtype, *array.allowed) for name, array in kind.arrays.items()}


def _literal(value: object) -> str:
    """Python text of plain data, in the given order."""
    return pformat(value, width=110, sort_dicts=False)
