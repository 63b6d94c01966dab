"""An order of nodes in which neighbours are near one another: the reversed Cuthill-McKee order.

Ranges of such an order reach few other ranges. Sources: Cuthill and McKee, "Reducing the bandwidth
of sparse symmetric matrices", ACM 1969. The first node: George and Liu, "An implementation of a
pseudoperipheral node finder", ACM TOMS 1979.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.reach import rows_at

Bools = npt.NDArray[np.bool_]
MOST_LEVELS = 20_000  # fronts of all searches. Nodes that no search reaches keep their order
SEARCHES = 4  # for the first node of a connected part


def band_order(nodes: int, one: Ints, other: Ints) -> Ints:
    """Return (nodes,) the nodes in their new order. ``one``, ``other`` (edges,): joined nodes."""
    return _Search.of(nodes, one, other).order()


@dataclass
class _Search:
    """Breadth-first searches. ``left``: fronts until they end."""

    first: Ints
    neighbour: Ints
    left: int

    @staticmethod
    def of(nodes: int, one: Ints, other: Ints) -> _Search:
        """Return searches of a graph without directions."""
        ends, to = np.append(one, other), np.append(other, one)
        key = np.unique(ends[ends != to] * nodes + to[ends != to])
        first = np.searchsorted(key, np.arange(nodes + 1) * nodes)
        return _Search(first, key % max(nodes, 1), MOST_LEVELS)

    @property
    def degree(self) -> Ints:
        """(nodes,) neighbours of each node."""
        return np.diff(self.first)

    def order(self) -> Ints:
        """Return all connected parts, one after the other."""
        degree = self.degree
        seen = degree == 0
        pieces = []
        for node in np.argsort(degree, kind="stable").tolist():
            if seen[node]:
                continue
            if self.left <= 0:
                break
            fronts = self.fronts(self.end_of(node, seen), seen.copy())
            pieces.append(np.concatenate(fronts)[::-1])
            seen[pieces[-1]] = True
        placed = np.concatenate([np.zeros(0, np.int64), *pieces])
        rest = np.ones(len(degree), np.bool_)
        rest[placed] = False
        return np.append(placed, np.flatnonzero(rest))

    def end_of(self, node: int, seen: Bools) -> int:
        """Return a node at an end of the connected part that holds ``node``."""
        depth = 0
        for _ in range(SEARCHES):
            fronts = self.fronts(node, seen.copy())
            if len(fronts) <= depth:
                break
            depth = len(fronts)
            node = int(fronts[-1][np.argmin(self.degree[fronts[-1]])])
        return node

    def fronts(self, node: int, seen: Bools) -> list[Ints]:
        """Return the nodes by distance from ``node``. Neighbours of early nodes come early.

        ``seen`` (nodes,) is changed.
        """
        degree = self.degree
        front = np.array([node])
        seen[front] = True
        fronts = []
        while len(front):
            fronts.append(front)
            self.left -= 1
            rows, at = rows_at(self.first[front], degree[front])
            reached = self.neighbour[at]
            by = np.repeat(np.arange(len(front)), np.diff(rows))[~seen[reached]]
            reached = reached[~seen[reached]]
            reached = reached[np.lexsort((reached, degree[reached], by))]
            _, where = np.unique(reached, return_index=True)
            front = reached[np.sort(where)]
            seen[front] = True
        return fronts
