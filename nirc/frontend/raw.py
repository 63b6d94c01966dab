"""The contents of a NIR file before interpretation: plain names, types and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.writer import NoteUnusable
from nirc.files.bounds import MAX_FROM, RefusalError, printable

Field = NDArray[np.generic] | str
# In the metadata of the outermost graph: the writer of the file, as for ``--from``.
FROM_KEY = "nirc_from"
FROM_PLACE = f"metadata/{FROM_KEY}"


@dataclass(frozen=True)
class RawNode:
    """A node as stored. ``path``: its place in the file, for example ``nodes/lif1/nodes/lif``."""

    path: str
    type: str
    # Numeric arrays (0-d for scalars) or text.
    fields: Mapping[str, Field] = field(default_factory=dict)
    graph: RawGraph | None = None  # for type NIRGraph


@dataclass(frozen=True)
class RawGraph:
    """Nodes by name and edges as stored: with order and duplicates, names unresolved.

    ``recorded``: the text under ``FROM_KEY`` as stored, "" if the file has none.
    """

    nodes: Mapping[str, RawNode]
    edges: tuple[tuple[str, str], ...]
    version: str = ""
    recorded: str = ""


def recorded_text(value: object, holder: str) -> str:
    """Return ``value`` if it is allowed under ``FROM_KEY``. Raises ``RefusalError`` (W207).

    ``holder``: file or graph, for the message.
    """
    if isinstance(value, str) and 0 < len(value) <= MAX_FROM and value.isprintable():
        return str(value)
    problem = "it is no text"
    found = type(value).__name__
    if isinstance(value, str):
        problem = "it is too long, empty or not printable"
        found = f"{len(value)} characters: {printable(value)}"
    limit = f"a text of 1 to {MAX_FROM} printable characters"
    note = NoteUnusable(where=FROM_PLACE, problem=problem, found=found, limit=limit, holder=holder)
    raise RefusalError(note)
