"""From a model to canonical layers."""

from __future__ import annotations

import os
from pathlib import Path

from nirc.diagnostics.log import Log
from nirc.files.bounds import MAX_NAME, printable
from nirc.frontend.nodes import to_layers
from nirc.frontend.raw import RawGraph
from nirc.ir.program import Program


def load_raw(model: object, log: Log) -> tuple[RawGraph, str]:
    """Return the raw graph of a path or of a ``nir`` object, and a printable name for the model."""
    if isinstance(model, str | os.PathLike):
        from nirc.frontend.hdf5 import read_raw

        path = Path(model)
        log.file = str(path)
        return read_raw(path, log), _name(path)
    from nirc.frontend.objects import raw_from_object

    log.file = "<nir graph>"
    return raw_from_object(model, log), "model"


def _name(path: Path) -> str:
    """Return the file's name without suffix, in every locale. Escape bytes outside UTF-8."""
    return printable(os.fsencode(path.stem).decode("utf-8", "backslashreplace"), MAX_NAME)


def load_layers(model: object, log: Log) -> Program:
    """Return typed layers, nested as in the model. Raises ``InputError``."""
    raw, name = load_raw(model, log)
    return to_layers(raw, log, name=name)


def from_nir(graph: object, *, log: Log | None = None) -> Program:
    """Return typed layers of a ``nir`` object (a ``NIRGraph``), without importing that package.

    Raises ``InputError``. ``nirc.compile`` and ``nirc.load`` take NIR objects directly.
    """
    return load_layers(graph, log or Log())
