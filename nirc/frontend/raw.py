"""What a NIR file says, before anyone asks what it means: plain names, types and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.generic] | str


@dataclass(frozen=True)
class RawNode:
    """One node as stored. ``path`` is its place in the file, e.g. ``nodes/lif1/nodes/lif``."""

    path: str
    type: str
    fields: Mapping[str, Field] = field(default_factory=dict)  # numeric arrays (0-d for scalars) or text
    graph: RawGraph | None = None  # for type NIRGraph


@dataclass(frozen=True)
class RawGraph:
    """Nodes by name and edges as stored: order and duplicates kept, names unresolved."""

    nodes: Mapping[str, RawNode]
    edges: tuple[tuple[str, str], ...]
    version: str = ""
