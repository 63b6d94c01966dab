"""Renders deploy.py, which runs network.npz through Intel's Lava; what it checks comes from the file's own layout."""

from __future__ import annotations

from pprint import pformat

from nirc.backends.loihi2 import limits, tables
from nirc.files.bounds import MAX_NAME
from nirc.files.chipfiles import script
from nirc.files.npz import MAX_INDEX, BlockKind


def deploy_py() -> bytes:
    """A self-contained script (numpy and Lava, no nirc): checks network.npz, builds the processes, runs a raster.

    It is the same for every network: it reads network.npz, manifest.json and, if asked, mapping.json beside it.
    """
    return script(
        "nirc.backends.loihi2",
        "deploy.py.j2",
        format=tables.FORMAT,
        max_index=MAX_INDEX,
        max_name=MAX_NAME,
        fields=_literal({name: _fields(kind) for name, kind in tables.KINDS.items()}),
        arrays=_literal({name: _arrays(kind) for name, kind in tables.KINDS.items()}),
        optional=_literal(
            tuple(n for kind in tables.KINDS.values() for n, array in kind.arrays.items() if array.optional)
        ),
        conv_weight=_literal(limits.CONV_WEIGHT),
        conv_map=_literal(limits.CONV_MAP),
        kernel=_literal(limits.CONV_STEP),
    )


def _fields(kind: BlockKind) -> dict[str, object]:
    """What may stand in the fields of a block, in the words of the script's ``Check.value``."""
    fields: dict[str, object] = dict.fromkeys(kind.words, "name")
    fields |= {name: list(allowed) for name, allowed in kind.choices.items()}
    fields |= dict.fromkeys(kind.flags, "flag")
    fields |= {name: span for name, (span, _) in kind.numbers.items()}
    if "geometry" in kind.nested:
        numbers = {name: (count, *span) for name, (count, span, _) in tables.GEOMETRY.items()}
        fields["geometry"] = numbers | {"groups": (0, *limits.CONV_STEP)}
    return fields


def _arrays(kind: BlockKind) -> dict[str, object]:
    return {name: (array.dtype, *array.allowed) for name, array in kind.arrays.items()}


def _literal(value: object) -> str:
    """Python text of plain data, in the given order."""
    return pformat(value, width=110, sort_dicts=False)
