"""The contents of a NIR file before interpretation: plain names, types and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nirc.files.bounds import MAX_FROM, printable
from nirc.files.refusal import RefusalError

Field = NDArray[np.generic] | str
FROM_KEY = (
    "nirc_from"  # in the metadata of the outermost graph: the writer of the file, as for ``--from``
)
FROM_PLACE = f"metadata/{FROM_KEY}"


@dataclass(frozen=True)
class RawNode:
    """A node as stored. ``path``: its place in the file, for example ``nodes/lif1/nodes/lif``."""

    path: str
    type: str
    fields: Mapping[str, Field] = field(
        default_factory=dict
    )  # numeric arrays (0-d for scalars) or text
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


def recorded_text(value: object) -> str:
    """Return ``value`` if it is allowed under ``FROM_KEY``. Raises ``RefusalError`` (W207)."""
    limit = f"a text of 1 to {MAX_FROM} printable characters"
    if not isinstance(value, str):
        raise RefusalError("W207", "it is no text", type(value).__name__, limit)
    if not 0 < len(value) <= MAX_FROM or not value.isprintable():
        found = f"{len(value)} characters: {printable(value)}"
        raise RefusalError("W207", "it is too long, empty or not printable", found, limit)
    return str(value)
