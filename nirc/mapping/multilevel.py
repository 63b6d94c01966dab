"""Placement of large problems: coarsen, place the coarse problem, then refine level by level.

Nodes that talk much are merged in pairs (heavy-edge matching, Karypis and Kumar, "A fast and high quality multilevel
scheme for partitioning irregular graphs", SIAM J. Sci. Comput. 20 (1998)) until few are left; those are annealed on
a mesh of as many blocks of cells. On the way back every group falls apart where it lies, its members are spread over
the next finer mesh in the same order, and annealed at a low temperature within a small window. Work per level is
proportional to its nodes, so that the whole grows close to linearly.

Also here: the spectral layout, which sees the whole at once and finds a mesh in the traffic if there is one (Hall,
"An r-dimensional quadratic placement algorithm", Management Science 17 (1970)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.anneal import anneal, cooling, moves_for, temperature_for
from nirc.mapping.cells import AXES, Cells
from nirc.mapping.compiled import compiled
from nirc.mapping.traffic import Ints, Traffic

LEAST_SHRINKING = 0.95  # a level that keeps more of the nodes than this is the last
LOCAL_RATE = 0.12  # share of moves accepted when the refinement of a level begins
WINDOW = 4
STAGES = 100
SWEEPS, SOLVER_STEPS = 40, 400  # of the eigenvectors
ANGLES, FINEST = 32, 1e-4  # of the spectral layout: tangents of half the angle

Coarsest = Callable[[Traffic, Cells], Ints]


@dataclass(frozen=True, eq=False)
class Level:
    """Traffic between groups, how many nodes each holds, and (finer nodes,) the group of each node below it."""

    traffic: Traffic
    size: Ints
    group: Ints


def place_by_levels(
    traffic: Traffic,
    cells: Cells,
    coarsest: Coarsest,
    *,
    nodes: int,
    visits_per_node: int,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Ints:
    """(nodes,) the cell of each node.

    ``coarsest`` places the last level, of at most about ``nodes`` nodes, on a mesh of blocks.
    ``visits_per_node``: the work of annealing at each level, see ``moves_for``.
    """
    levels = coarsen(traffic, nodes)
    below = [traffic, *(level.traffic for level in levels)]
    blocks = cells.coarse(below[-1].nodes)
    at = coarsest(below[-1], blocks)
    for k in reversed(range(len(levels))):
        finer, group = below[k], levels[k].group
        if progress:
            progress(f"refining {finer.nodes} nodes")
        lying = blocks.places(at)[group]
        blocks = cells.coarse(finer.nodes)
        moves = moves_for(finer, visits_per_node * finer.nodes)
        at = refine(finer, blocks, spread(lying, blocks), moves, seed=seed)
    return at


def refine(traffic: Traffic, cells: Cells, start: Ints, moves: int, *, seed: int = 0) -> Ints:
    """``start`` (nodes,) annealed locally: from a temperature at which little moves, within a small window."""
    hot = temperature_for(traffic, cells, start, LOCAL_RATE, window=WINDOW)
    return anneal(traffic, cells, start, cooling(hot, hot / 30, STAGES), moves, seed=seed, window=WINDOW).cell_of_node


def coarsen(traffic: Traffic, nodes: int) -> list[Level]:
    """Ever coarser levels, until one has at most ``nodes`` nodes or pairs are no longer found."""
    levels: list[Level] = []
    size = np.ones(traffic.nodes, dtype=np.int64)
    while traffic.nodes > nodes:
        most = max(2, int(4 * size.sum() / nodes))
        group, groups = _match(traffic.indptr, traffic.neighbours, traffic.weights, size, most)
        if groups > LEAST_SHRINKING * traffic.nodes:
            break
        traffic = traffic.contracted(group, groups)
        size = np.bincount(group, weights=size, minlength=groups).astype(np.int64)
        levels.append(Level(traffic, size, group))
    return levels


def spread(places: Ints, cells: Cells) -> Ints:
    """Cells for nodes that lie at ``places`` (nodes, 3), many in one spot: (nodes,) each its own, in the same order.

    The box is halved again and again across its longest side, and the nodes with it by their places along that side,
    in proportion to the cells. Raises ``ValueError`` if there are fewer cells than nodes.
    """
    usable = np.flatnonzero(cells.usable)
    if usable.size < len(places):
        raise ValueError(f"{len(places)} nodes do not fit on {usable.size} cells")
    picked: Ints = _halve(np.ascontiguousarray(places), cells.places(usable))
    found: Ints = usable[picked]
    return found


@compiled
def _match(indptr, neighbours, weights, size, most):  # type: ignore[no-untyped-def]
    """Pair each node with the free neighbour it talks to most for its size, nodes of few neighbours first."""
    nodes = size.size
    group = np.full(nodes, -1, np.int64)
    groups = 0
    for a in np.argsort(indptr[1:] - indptr[:-1], kind="mergesort"):
        if group[a] >= 0:
            continue
        best, partner = 0.0, np.int64(-1)
        for j in range(indptr[a], indptr[a + 1]):
            b = neighbours[j]
            if group[b] < 0 and size[a] + size[b] <= most:
                rating = weights[j] / size[b]
                if rating > best:
                    best, partner = rating, np.int64(b)
        group[a] = groups
        if partner >= 0:
            group[partner] = groups
        groups += 1
    return group, groups


@compiled
def _halve(places, spots):  # type: ignore[no-untyped-def]
    """(nodes,) the row of ``spots`` (cells, 3) for each row of ``places``."""
    nodes, count = places.shape[0], spots.shape[0]
    picked = np.full(nodes, -1, np.int64)
    node, spot = np.arange(nodes), np.arange(count)
    stack = [(0, nodes, 0, count)]
    while len(stack) > 0:
        n0, n1, c0, c1 = stack.pop()
        if n1 == n0:
            continue
        if c1 - c0 == 1:
            picked[node[n0]] = spot[c0]
            continue
        here = spot[c0:c1].copy()
        axis, longest = 0, np.int64(-1)
        for k in range(3):
            extent = spots[here, k].max() - spots[here, k].min()
            if extent > longest:
                axis, longest = k, extent
        along = spots[here, axis]
        spot[c0:c1] = here[np.argsort(along, kind="mergesort")]
        them = node[n0:n1].copy()
        node[n0:n1] = them[np.argsort(places[them, axis], kind="mergesort")]
        middle = c0 + (c1 - c0) // 2
        # cut between two coordinates, not within a column
        while middle > c0 + 1 and spots[spot[middle], axis] == spots[spot[middle - 1], axis]:
            middle -= 1
        if spots[spot[middle], axis] == spots[spot[middle - 1], axis]:
            middle = c0 + (c1 - c0) // 2
            while middle < c1 - 1 and spots[spot[middle], axis] == spots[spot[middle - 1], axis]:
                middle += 1
        left = ((n1 - n0) * (middle - c0) * 2 + (c1 - c0)) // (2 * (c1 - c0))
        left = max(min(left, middle - c0), n1 - n0 - (c1 - middle))
        stack.append((n0, n0 + left, c0, middle))
        stack.append((n0 + left, n1, middle, c1))
    return picked


def spectral(traffic: Traffic, cells: Cells, cost_of: Callable[[Ints], int]) -> Ints:
    """(nodes,) cells by the smoothest functions on the graph (all weights taken as 1), turned to the lowest cost.

    On a square mesh two of these functions are equally smooth, so that any rotation of them is as good: the angle is
    searched, at last in small steps.
    """
    smooth = _smoothest(traffic.indptr, traffic.neighbours, AXES, SWEEPS, SOLVER_STEPS)
    found = [_best_turn(smooth, cells, cost_of)]
    box = _snug(traffic, cells, smooth)
    if box is not None:
        part, number = cells.part(box)
        found.append(number[_best_turn(smooth, part, lambda at: cost_of(number[at]))])
    return min(found, key=cost_of)


def _best_turn(smooth: npt.NDArray[np.float64], cells: Cells, cost_of: Callable[[Ints], int]) -> Ints:
    """(nodes,) the functions, turned and spread over all of ``cells``."""
    axes = np.argsort([-ruler.size for ruler in cells.positions], kind="stable")
    best: tuple[int, float, bool, Ints] | None = None
    step = 1.0 / ANGLES
    trials = [(k * step, mirror) for k in range(ANGLES) for mirror in (False, True)]
    while True:
        for tangent, mirror in trials:
            at = spread(_turned(smooth, tangent, mirror, axes), cells)
            found = cost_of(at)
            if best is None or found < best[0]:
                best = found, tangent, mirror, at
        assert best is not None
        step /= 2
        if step < FINEST:
            return best[3]
        trials = [(best[1] - step, best[2]), (best[1] + step, best[2])]


def _snug(traffic: Traffic, cells: Cells, smooth: npt.NDArray[np.float64]) -> Ints | None:
    """The cells of a box that just holds the nodes, where the whole is too roomy for a mesh; None if there is none.

    A mesh is as long as its smoothest function is smooth: the sides are in the ratio of the roots of the eigenvalues.
    """
    nodes, (width, height, depth) = traffic.nodes, cells.shape
    if nodes == cells.count or depth > 1 or not traffic.weights.size:
        return None
    low, high, _ = traffic.edges()
    first, second = (float(((row[low] - row[high]) ** 2).sum()) for row in smooth[:2])
    most, least = max(width, height), min(width, height)
    long = min(max(round((nodes * (second / max(first, 1e-12)) ** 0.5) ** 0.5), 1), most)
    short = -(-nodes // long)
    if short > least:
        return None
    x, y = (long, short) if width >= height else (short, long)
    columns, rows = np.meshgrid(np.arange(x), np.arange(y))
    box = (columns + width * rows).ravel()
    box = box[cells.usable[box]]
    return box if nodes <= box.size < cells.count else None


def _turned(smooth: npt.NDArray[np.float64], half_tangent: float, mirror: bool, axes: Ints) -> Ints:
    """(nodes, 3) integer places; the angle is given by the tangent of its half: no sine differs between machines."""
    cosine, sine = (1 - half_tangent**2) / (1 + half_tangent**2), 2 * half_tangent / (1 + half_tangent**2)
    u, v = cosine * smooth[0] - sine * smooth[1], sine * smooth[0] + cosine * smooth[1]
    places = np.zeros((smooth.shape[1], AXES), dtype=np.int64)
    for axis, along in zip(axes, (v, u, smooth[2]) if mirror else (u, v, smooth[2]), strict=True):
        places[:, axis] = np.round(along * 1e6).astype(np.int64)
    return places


@compiled
def _smoothest(indptr, neighbours, count, sweeps, steps):  # type: ignore[no-untyped-def]
    """(count, nodes) eigenvectors of the lowest eigenvalues of the Laplacian but the constant one.

    Inverse iteration on all of them at once; each solve is a run of conjugate gradients.
    """
    n = indptr.size - 1
    shift = 1e-4 * (neighbours.size / n + 1.0)  # keeps parts without connection from a division by zero
    found = np.empty((count, n))
    state = np.uint64(88172645463325252)
    for k in range(count):
        for v in range(n):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            found[k, v] = float(state >> np.uint64(40)) / 16777216.0 - 0.5
    for _ in range(sweeps):
        for k in range(count):
            x = found[k]
            total = 0.0
            for v in range(n):
                total += x[v]
            x -= total / n
            for i in range(k):
                x -= _dot(found[i], x) * found[i]
            x /= np.sqrt(_dot(x, x)) + 1e-300
            x[:] = _solved(indptr, neighbours, shift, x, steps)
            for i in range(k):
                x -= _dot(found[i], x) * found[i]
            x /= np.sqrt(_dot(x, x)) + 1e-300
    return found * np.sqrt(float(n))


@compiled
def _dot(a, b):  # type: ignore[no-untyped-def]
    """One after the other, that is, the same on every machine."""
    total = 0.0
    for v in range(a.size):
        total += a[v] * b[v]
    return total


@compiled
def _solved(indptr, neighbours, shift, right, steps):  # type: ignore[no-untyped-def]
    """x with (Laplacian + shift) x = right, by at most ``steps`` steps of conjugate gradients."""
    x = np.zeros_like(right)
    residue = right.copy()
    p = residue.copy()
    ap = np.empty_like(p)
    norm = _dot(residue, residue)
    goal = 1e-16 * norm
    for _ in range(steps):
        if norm <= goal:
            break
        for v in range(p.size):
            total = (indptr[v + 1] - indptr[v] + shift) * p[v]
            for j in range(indptr[v], indptr[v + 1]):
                total -= p[neighbours[j]]
            ap[v] = total
        alpha = norm / _dot(p, ap)
        x += alpha * p
        residue -= alpha * ap
        before = norm
        norm = _dot(residue, residue)
        p = residue + (norm / before) * p
    return x
