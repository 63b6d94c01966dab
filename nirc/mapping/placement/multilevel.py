"""Placement of large problems: coarsen, place the coarse problem, then refine level by level.

Coarsening merges pairs of nodes with much traffic between them (heavy-edge matching, Karypis and
Kumar, "A fast and high quality multilevel scheme for partitioning irregular graphs", SIAM J. Sci.
Comput. 20 (1998)), until the number of nodes is small. The last level is annealed on a mesh of as
many blocks of cells. Then, level by level, every group is divided at its place. Its members are
spread over the next finer mesh in the same order, and annealed at a low temperature within a small
window. The work of a level is proportional to its nodes. So the total grows almost linearly.

The spectral layout takes the complete graph at once. It finds a mesh in the traffic if there is one
(Hall, "An r-dimensional quadratic placement algorithm", Management Science 17 (1970)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.chance import first_state, following
from nirc.mapping.placement import AXES, Cells, Ints, Traffic
from nirc.mapping.placement.anneal import anneal, cooling, temperature_for
from nirc.native.loops import in_c

LEAST_SHRINKING = 0.95  # a level that keeps more of the nodes is the last
LOCAL_RATE = 0.12  # share of moves accepted when the refinement of a level begins
WINDOW = 4
STAGES = 100
SWEEPS = 40  # of the eigenvectors
SOLVER_STEPS = 400
ANGLES = 32  # of the spectral layout
FINEST = 1e-4  # step of the tangent of half the angle

Coarsest = Callable[[Traffic, Cells], Ints]


@dataclass(frozen=True, eq=False)
class Level:
    """Groups of the nodes of the next finer level."""

    traffic: Traffic  # between the groups
    group: Ints  # (finer nodes,) the group of each node


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
    """Return (nodes,) the cell of each node.

    ``coarsest`` places the last level, of about ``nodes`` nodes at most, on a mesh of blocks.
    ``visits_per_node``: the work of annealing at each level, see ``moves_for``.
    """
    levels = coarsen(traffic, nodes)
    coarse = levels[-1].traffic if levels else traffic
    blocks = cells.coarse(coarse.nodes)
    at = coarsest(coarse, blocks)
    finer_traffic = [traffic, *(level.traffic for level in levels[:-1])]
    for level, finer in reversed([*zip(levels, finer_traffic, strict=False)]):
        if progress:
            progress(f"refining {finer.nodes} nodes")
        places = blocks.places(at)[level.group]
        blocks = cells.coarse(finer.nodes)
        moves = moves_for(finer, visits_per_node * finer.nodes)
        at = refine(finer, blocks, spread_over(places, blocks), moves, seed=seed)
    return at


def moves_for(traffic: Traffic, visits: float) -> int:
    """Return the number of moves for about ``visits`` visits of edges, a measure of time."""
    return max(int(visits / (traffic.neighbours.size / traffic.nodes + 4)), 1)


def refine(traffic: Traffic, cells: Cells, start: Ints, moves: int, *, seed: int = 0) -> Ints:
    """Anneal ``start`` (nodes,) locally: at low temperatures and within a small window."""
    hot = temperature_for(traffic, cells, start, LOCAL_RATE, window=WINDOW)
    temperatures = cooling(hot, hot / 30, STAGES)
    return anneal(traffic, cells, start, temperatures, moves, seed=seed, window=WINDOW).cell_of_node


def coarsen(traffic: Traffic, nodes: int) -> list[Level]:
    """Return coarser and coarser levels, until one has ``nodes`` nodes or pairs run out."""
    levels: list[Level] = []
    size = np.ones(traffic.nodes, dtype=np.int64)
    while traffic.nodes > nodes:
        most = max(2, int(4 * size.sum() / nodes))
        group = np.full(traffic.nodes, -1, np.int64)
        edges = traffic.indptr, traffic.neighbours, traffic.weights
        order = np.argsort(np.diff(traffic.indptr), kind="stable")
        groups = _match(edges, size, most, order, group)
        if groups > LEAST_SHRINKING * traffic.nodes:
            break
        traffic = traffic.contracted(group, groups)
        size = np.bincount(group, weights=size, minlength=groups).astype(np.int64)
        levels.append(Level(traffic, group))
    return levels


def spread_over(places: Ints, cells: Cells) -> Ints:
    """Return (nodes,) a different cell for each node, near its place in ``places`` (nodes, 3).

    Many nodes may lie at one place. The box is halved again and again across its longest side. The
    nodes are divided with the box, by their places along that side, in proportion to the cells.
    Raises ``ValueError`` if there are fewer cells than nodes.
    """
    usable = np.flatnonzero(cells.usable)
    if usable.size < len(places):
        raise ValueError(f"{len(places)} nodes do not fit on {usable.size} cells")
    picked = np.full(len(places), -1, np.int64)
    _halve(np.ascontiguousarray(places), cells.places(usable), picked)
    spread_cells: Ints = usable[picked]
    return spread_cells


@in_c("match", "qiqqnqq*")
def _match(edges: Any, size: Any, most: Any, order: Any, group: Any) -> Any:
    """Pair each node with the free neighbour of most traffic for its size.

    Nodes with few neighbours choose first. ``order`` has them so. A pair has at most ``most``
    original nodes. Change the groups of the nodes, all -1. Return the number of groups.
    """
    indptr, neighbours, weights = edges
    groups = 0
    for a in order:
        if group[a] >= 0:
            continue
        best = 0.0
        partner = np.int64(-1)
        for j in range(indptr[a], indptr[a + 1]):
            b = neighbours[j]
            if group[b] < 0 and size[a] + size[b] <= most:
                rating = weights[j] / size[b]
                if rating > best:
                    best = rating
                    partner = np.int64(b)
        group[a] = groups
        if partner >= 0:
            group[partner] = groups
        groups += 1
    return groups


@in_c("halve", "qqq*")
def _halve(places: Any, spots: Any, picked: Any) -> Any:
    """Write (nodes,) the row of ``spots`` (cells, 3) for each row of ``places``.

    The stack holds ranges of ``node`` and ``spot`` that belong together.
    """
    nodes = places.shape[0]
    count = spots.shape[0]
    node = np.arange(nodes)
    spot = np.arange(count)
    stack = [(0, nodes, 0, count)]
    while len(stack) > 0:
        n0, n1, c0, c1 = stack.pop()
        if n1 == n0:
            continue
        if c1 - c0 == 1:
            picked[node[n0]] = spot[c0]
            continue
        here = spot[c0:c1].copy()
        axis = 0
        longest = np.int64(-1)
        for k in range(3):
            extent = spots[here, k].max() - spots[here, k].min()
            if extent > longest:
                axis = k
                longest = extent
        along = spots[here, axis]
        spot[c0:c1] = here[np.argsort(along, kind="mergesort")]
        nodes_here = node[n0:n1].copy()
        node[n0:n1] = nodes_here[np.argsort(places[nodes_here, axis], kind="mergesort")]
        middle = c0 + (c1 - c0) // 2
        # Cut between two coordinates, not within a column.
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


def spectral(traffic: Traffic, cells: Cells, cost_of: Callable[[Ints], int]) -> Ints:
    """Return (nodes,) cells by the smoothest functions on the graph, rotated to the lowest cost.

    All weights count as 1. On a square mesh two of these functions are equally smooth. Then any
    rotation is as smooth, so the angle is searched, at last in small steps.
    """
    smooth = np.empty((AXES, traffic.nodes))
    _smoothest(traffic.indptr, traffic.neighbours, SWEEPS, SOLVER_STEPS, smooth)
    smooth *= np.sqrt(float(traffic.nodes))
    layouts = [_best_rotation(smooth, cells, cost_of)]
    box = _smallest_box(traffic, cells, smooth)
    if box is not None:
        part, number = cells.part(box)
        layouts.append(number[_best_rotation(smooth, part, lambda at: cost_of(number[at]))])
    return min(layouts, key=cost_of)


def _best_rotation(
    smooth: npt.NDArray[np.float64], cells: Cells, cost_of: Callable[[Ints], int]
) -> Ints:
    """Return (nodes,) cells: the functions, rotated and spread over all of ``cells``."""
    axes = np.argsort([-ruler.size for ruler in cells.positions], kind="stable")
    best: tuple[int, float, bool, Ints] | None = None
    step = 1.0 / ANGLES
    trials = [(k * step, mirror) for k, mirror in product(range(ANGLES), (False, True))]
    while True:
        for tangent, mirror in trials:
            at = spread_over(_rotated(smooth, tangent, mirror, axes), cells)
            total = cost_of(at)
            if best is None or total < best[0]:
                best = total, tangent, mirror, at
        assert best is not None
        step /= 2
        if step < FINEST:
            return best[3]
        trials = [(best[1] - step, best[2]), (best[1] + step, best[2])]


def _smallest_box(traffic: Traffic, cells: Cells, smooth: npt.NDArray[np.float64]) -> Ints | None:
    """Return the cells of the smallest box that holds the nodes. None if it is no smaller.

    A mesh should not be stretched over more cells than it has nodes. The sides of the box are in
    the ratio of the roots of the eigenvalues, as those of a mesh with these eigenvalues are.
    """
    nodes = traffic.nodes
    width, height, depth = cells.shape
    if nodes == cells.count or depth > 1 or not traffic.weights.size:
        return None
    low, high, _ = traffic.edges()
    first, second = (float(((row[low] - row[high]) ** 2).sum()) for row in smooth[:2])
    most = max(width, height)
    least = min(width, height)
    long = min(max(round((nodes * (second / max(first, 1e-12)) ** 0.5) ** 0.5), 1), most)
    short = -(-nodes // long)
    if short > least:
        return None
    x, y = (long, short) if width >= height else (short, long)
    columns, rows = np.meshgrid(np.arange(x), np.arange(y))
    box = (columns + width * rows).ravel()
    box = box[cells.usable[box]]
    return box if nodes <= box.size < cells.count else None


def _rotated(
    smooth: npt.NDArray[np.float64], half_tangent: float, mirror: bool, axes: Ints
) -> Ints:
    """Return (nodes, 3) integer places, rotated by an angle.

    The tangent of half the angle is given, since sines differ between machines.
    """
    cosine = (1 - half_tangent**2) / (1 + half_tangent**2)
    sine = 2 * half_tangent / (1 + half_tangent**2)
    u = cosine * smooth[0] - sine * smooth[1]
    v = sine * smooth[0] + cosine * smooth[1]
    places = np.zeros((smooth.shape[1], AXES), dtype=np.int64)
    for axis, along in zip(axes, (v, u, smooth[2]) if mirror else (u, v, smooth[2]), strict=True):
        places[:, axis] = np.round(along * 1e6).astype(np.int64)
    return places


@in_c("smoothest", "qinnd*")
def _smoothest(indptr: Any, neighbours: Any, sweeps: Any, steps: Any, vectors: Any) -> Any:
    """Write (count, nodes) eigenvectors of the Laplacian's lowest eigenvalues, constant excluded.

    This is inverse iteration on all vectors at once. Each solve is a run of conjugate gradients.
    """
    n = indptr.size - 1
    shift = 1e-4 * (neighbours.size / n + 1.0)  # avoids a division by zero in unconnected parts
    count = len(vectors)
    state = first_state(0)
    for k in range(count):
        for v in range(n):
            state = following(state)
            vectors[k, v] = float(state >> np.uint64(40)) / 16777216.0 - 0.5
    for _ in range(sweeps):
        for k in range(count):
            x = vectors[k]
            total = 0.0
            for v in range(n):
                total += x[v]
            x -= total / n
            for i in range(k):
                x -= _dot(vectors[i], x) * vectors[i]
            x /= np.sqrt(_dot(x, x)) + 1e-300
            x[:] = _solved(indptr, neighbours, shift, x, steps)
            for i in range(k):
                x -= _dot(vectors[i], x) * vectors[i]
            x /= np.sqrt(_dot(x, x)) + 1e-300


def _dot(a: Any, b: Any) -> Any:
    """Return the scalar product, added in order, and so the same on every machine."""
    total = 0.0
    for v in range(a.size):
        total += a[v] * b[v]
    return total


def _solved(indptr: Any, neighbours: Any, shift: Any, right: Any, steps: Any) -> Any:
    """Return x with (Laplacian + shift) x = right, by up to ``steps`` conjugate gradient steps."""
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
