"""Lower bounds of the cost of a placement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.mapping.placement import Cells, Ints, Traffic

MOST_PAIRS = 1 << 24  # per axis
MOST_SPECTRAL = 1500  # cells: some seconds of eigenvalues
MOST_FOLLOWED = 4000  # nodes, for pieces of traffic
SHARES = 1.0, 0.8, 0.6, 0.4  # of the degrees that stay with the Laplacian
SAFE = 1e-9  # relative, larger than the rounding error of the eigenvalues


def lower_bound(traffic: Traffic, cells: Cells, *, spectral: bool = True) -> int:
    """Return a cost that no placement on ``cells`` undercuts: the highest of some bounds.

    Two bounds give the largest weights the shortest distances, and are tight for meshes. The first
    takes every node with its edges and the cells around it (the row minima of Gilmore, SIAM J.
    Appl. Math. 10 (1962), and Lawler, Management Science 9 (1963)). The second takes all edges with
    all pairs of cells, and so sees the border of a mesh. It counts faulty cells as usable.
    Another counts the borders of chips that connected traffic must cross. The last
    (``spectral``) is much higher for traffic without locality, and is limited to ``MOST_SPECTRAL``
    cells.
    """
    if not traffic.weights.size:
        return 0
    bounds = [_by_nodes(traffic, cells), _by_pairs(traffic, cells), _by_chips(traffic, cells)]
    if spectral and cells.count <= MOST_SPECTRAL:
        bounds.append(_by_spectrum(traffic, cells))
    return max(bounds)


def nearest(cells: Cells, count: int) -> Ints:
    """Return (at most count,) distances: the k-th is the least between k-th nearest cells."""
    sums = np.zeros(1, dtype=np.int64)
    for ruler in cells.positions:
        # The nearest j cells on both sides, as if each cell were at the densest part of the ruler.
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
    """Give every edge another pair of cells. Return 0 if there are too many pairs."""
    if max(ruler.size for ruler in cells.positions) ** 2 > MOST_PAIRS:
        return 0
    weights = np.sort(traffic.weights)[::-1][::2]  # each edge is stored twice
    near = np.zeros(1, dtype=np.int64)
    pairs = np.ones(1, dtype=np.int64)  # ordered pairs at each distance
    for ruler in cells.positions:
        gaps, often = np.unique(np.abs(np.subtract.outer(ruler, ruler)), return_counts=True)
        near, group = np.unique(np.add.outer(near, gaps), return_inverse=True)
        counts = np.zeros(near.size, dtype=np.int64)
        np.add.at(counts, group.ravel(), np.multiply.outer(pairs, often).ravel())
        pairs = counts
    ends = np.cumsum(pairs[1:] // 2)  # near[0] is 0: a cell with itself
    at = np.searchsorted(ends, np.arange(weights.size), side="right")
    return int((weights * near[1:][at]).sum())


def _by_chips(traffic: Traffic, cells: Cells) -> int:
    """Give every edge a step, and the lightest edges that join the chips a step between chips.

    A connected piece on several chips has an edge between chips for each but one of them. Return 0
    for too many nodes, and where no step between chips is longer than others.
    """
    if traffic.nodes > MOST_FOLLOWED:
        return 0
    inside, between = [], []
    for ruler, side in zip(cells.positions, cells.tile, strict=True):
        border = np.arange(1, ruler.size) % side == 0
        inside += np.diff(ruler)[~border].tolist()
        between += np.diff(ruler)[border].tolist()
    if not between or min(between) <= min(inside, default=0):
        return 0
    chip = cells.coordinates(np.flatnonzero(cells.usable)) // np.array(cells.tile)
    most = int(np.unique(chip, axis=0, return_counts=True)[1].max())
    weights = np.sort(traffic.edges()[2])
    crossing = max(-(-traffic.nodes // most) - int(traffic.pieces.max()) - 1, 0)
    step = min(inside, default=0)
    return int(weights.sum() * step + weights[:crossing].sum() * (min(between) - step))


def _by_spectrum(traffic: Traffic, cells: Cells) -> int:
    """Pair the eigenvalues of the traffic's Laplacian with those of the distances.

    Let B be the distances of the cells, M = -1/2 B centred in rows and columns, A the traffic and D
    its row sums. A placement X costs <D - A, X M X'>. A share s of D stays with A. Both s D - A and
    M act on the vectors of sum 0. The product of two symmetric matrices is at least that of their
    eigenvalues in opposite orders. The rest of D meets the diagonal of M, again in opposite orders.
    This is the projection bound of Hadley, Rendl and Wolkowicz, Math. of Operations Research 17
    (1992), for the Laplacian. The best of some shares counts.
    """
    places = cells.places(np.flatnonzero(cells.usable)).astype(np.float64)
    distances = sum(np.abs(np.subtract.outer(axis, axis)) for axis in places.T)
    shape = -0.5 * _centred(np.asarray(distances))
    spread = _spectrum(shape)[::-1]
    low, high, weight = traffic.edges()
    flow = np.zeros(shape.shape)
    flow[low, high] = flow[high, low] = weight
    degrees = flow.sum(axis=1)
    outwards = np.sort(degrees) * np.sort(np.diag(shape))[::-1]
    best = 0.0
    for share in SHARES:
        terms = _spectrum(_centred(share * np.diag(degrees) - flow)) * spread
        rest = (1 - share) * float(outwards.sum())
        best = max(best, float(terms.sum()) + rest - SAFE * (float(np.abs(terms).sum()) + rest))
    return int(np.ceil(best))


def _centred(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the symmetric ``matrix`` restricted to vectors of sum 0."""
    mean = matrix.mean(axis=1)
    centred: npt.NDArray[np.float64] = matrix - mean[:, None] - mean[None, :] + mean.mean()
    return centred


def _spectrum(centred: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (n - 1,) rising eigenvalues without the 0 of the constant vector."""
    values = np.linalg.eigvalsh(centred)
    return np.delete(values, int(np.argmin(np.abs(values))))
