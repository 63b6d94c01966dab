"""What no placement can undercut, to tell how good one is."""

from __future__ import annotations

import numpy as np

from nirc.mapping.cells import Cells
from nirc.mapping.traffic import Ints, Traffic

MOST_PAIRS = 1 << 24  # per axis


def lower_bound(traffic: Traffic, cells: Cells) -> int:
    """A cost that no placement of ``traffic`` on ``cells`` goes below: the higher of two simple bounds.

    Both give the largest weights the shortest distances: once for every node with its own edges and the cells around
    it (the row minima of Gilmore, SIAM J. Appl. Math. 10 (1962), and Lawler, Management Science 9 (1963)), once for
    all edges with all pairs of cells, which sees the border of a mesh. Faulty cells are taken as good.
    """
    if not traffic.weights.size:
        return 0
    return max(_by_nodes(traffic, cells), _by_pairs(traffic, cells))


def nearest(cells: Cells, count: int) -> Ints:
    """(at most count,) distances: the k-th is the least that any cell has to its k-th nearest other cell."""
    sums = np.zeros(1, dtype=np.int64)
    for ruler in cells.positions:
        # the nearest j cells on both sides, as if each were at the place where the ruler is densest
        steps = np.arange(1, min(ruler.size, count + 1))
        gaps = np.array([np.min(ruler[j:] - ruler[:-j]) for j in steps], dtype=np.int64)
        axis = np.concatenate([[0], np.sort(np.repeat(gaps, 2))])[: ruler.size]
        sums = np.sort(np.add.outer(sums, axis), axis=None)[: count + 1]
    return sums[1:]


def _by_nodes(traffic: Traffic, cells: Cells) -> int:
    degree = np.diff(traffic.indptr)
    distances = nearest(cells, int(degree.max()))
    row = np.repeat(np.arange(traffic.nodes), degree)
    falling = traffic.weights[np.lexsort((-traffic.weights, row))]
    rank = np.arange(falling.size) - traffic.indptr[row]
    return -int(-(falling * distances[rank]).sum() // 2)


def _by_pairs(traffic: Traffic, cells: Cells) -> int:
    """Every edge takes another pair of cells. 0 if the box is too large to count its pairs."""
    if max(ruler.size for ruler in cells.positions) ** 2 > MOST_PAIRS:
        return 0
    weights = np.sort(traffic.weights)[::-1][::2]  # each edge is there twice
    near, pairs = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)  # ordered pairs at each distance
    for ruler in cells.positions:
        gaps, often = np.unique(np.abs(np.subtract.outer(ruler, ruler)), return_counts=True)
        near, group = np.unique(np.add.outer(near, gaps), return_inverse=True)
        counts = np.zeros(near.size, dtype=np.int64)
        np.add.at(counts, group.ravel(), np.multiply.outer(pairs, often).ravel())
        pairs = counts
    ends = np.cumsum(pairs[1:] // 2)  # near[0] is 0: a cell with itself
    at = np.searchsorted(ends, np.arange(weights.size), side="right")
    return int((weights * near[1:][at]).sum())
