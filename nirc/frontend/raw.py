"""The contents of a NIR file before interpretation: plain names, types and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.writer import NoteUnusable
from nirc.files.bounds import MAX_FROM, RefusalError, printable

Field = NDArray[np.generic] | str
# Values of a matrix from which on an outline of the graph has its first row only.
LARGE = 1 << 22
# In the metadata of the outermost graph: the writer of the file, as for ``--from``.
FROM_KEY = "nirc_from"
# Beside it: integers that training found for a chip, see ``nirc.chip.trained``.
INTEGERS_KEY = "nirc_integers"
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

    ``recorded``: the text under ``FROM_KEY`` as stored, "" if the file has none. ``integers``: the
    bytes under ``INTEGERS_KEY``.
    """

    nodes: Mapping[str, RawNode]
    edges: tuple[tuple[str, str], ...]
    version: str = ""
    recorded: str = ""
    integers: bytes = b""


def bytes_of(note: object) -> bytes:
    """Return the bytes of an array of uint8, none for others."""
    if isinstance(note, np.ndarray) and note.dtype == np.uint8 and note.ndim == 1:
        return note.tobytes()
    return b""


def is_large(shape: tuple[int, ...]) -> bool:
    """Return True for the shape of a matrix of which an outline has the first row only."""
    return len(shape) == 2 and shape[0] > 1 and shape[0] * shape[1] >= LARGE


def of_first_row(row: NDArray[np.generic], rows: int) -> NDArray[np.generic]:
    """Return an array (rows, columns) of float64 in the memory of its first row.

    The first row is known, the others are not, though they read as the first.
    """
    known = row.astype(np.float64)
    return np.broadcast_to(known, (rows, *known.shape))


def knows_first_row(array: NDArray[np.generic]) -> bool:
    """Return True for an array of which only the first row is known, see ``of_first_row``."""
    return is_large(array.shape) and array.strides[0] == 0


def is_outline(graph: RawGraph) -> bool:
    """Return True if of some matrix only the first row is known."""
    for node in graph.nodes.values():
        fields = node.fields.values()
        if any(not isinstance(f, str) and knows_first_row(f) for f in fields):
            return True
        if node.graph is not None and is_outline(node.graph):
            return True
    return False


def with_known_rows(graph: RawGraph) -> RawGraph:
    """Return an outline with the known rows of its matrices only, whatever their shapes."""

    def known(field: Field) -> Field:
        return field if isinstance(field, str) or not knows_first_row(field) else field[:1]

    nodes = {}
    for name, node in graph.nodes.items():
        fields = {key: known(value) for key, value in node.fields.items()}
        inner = None if node.graph is None else with_known_rows(node.graph)
        nodes[name] = replace(node, fields=fields, graph=inner)
    return replace(graph, nodes=nodes)


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
