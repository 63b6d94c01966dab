"""Place nodes on cells: least sum of traffic x distance, one call for any size.

Tiny problems are annealed and then given to CP-SAT, which may prove the answer. Up to some thousand nodes: the
spectral layout, which is the optimum if the traffic is a mesh itself, then annealing from several starts. Larger
ones go through levels (multilevel.py). Work is counted in moves, never in seconds, and threads only share out
independent runs: the same problem and seed give the same placement on every machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nirc.mapping.anneal import anneal, cooling
from nirc.mapping.bounds import lower_bound
from nirc.mapping.cells import Cells, cost
from nirc.mapping.multilevel import place_by_levels, refine, spectral
from nirc.mapping.traffic import Ints, Traffic

Effort = Literal["quick", "normal"]
Progress = Callable[[str], None]

MOST_NODES_EXACT = 10  # CP-SAT proves random problems of this size in some seconds, hardly any of 12
MOST_NODES_ANNEALED = 4000
COARSEST = 1500  # nodes of the last level
LANES = 2  # runs at a time; the answer does not depend on it
WORK = 20e9  # of annealing in a lane, see ``Annealed.work``: about 20 s on an idle core
COARSE_WORK = 4e9
VISITS_PER_NODE = 25_000  # edge visits of annealing for every node of a level
QUICK_MOVES, QUICK_MOVES_PER_NODE = 250_000, 25  # at least so many in all
RUN_PER_PAIR = 500  # moves of a run from a random start, times the nodes squared: longer ones gain little
RUN_SHARE = 0.7  # of the work of a lane, at most, for one such run
REHEATS = 1 / 8, 1 / 5, 1 / 3  # of the hottest temperature: find better places without losing the good ones
REHEATED = 1 / 8  # of the moves of a run
PATIENCE = 24  # reheats without gain before the next random start
HOTTEST, COLDEST = 0.2, 0.002  # of the way down are left, see ``_range``
STAGES = 1000
PROBE_PER_NODE = 5000  # moves that look for the right temperatures
ROOMY = 4  # more cells than this times the nodes: the far ones are not looked at


@dataclass(frozen=True, eq=False)
class PlacementResult:
    """``cell_of_node`` (nodes,) numbers of cells, all different; no placement costs less than ``bound``."""

    cell_of_node: Ints
    cost: int
    bound: int

    @property
    def proven(self) -> bool:
        """Whether this is known to be an optimum."""
        return self.cost == self.bound


def place_on(
    traffic: Traffic, cells: Cells, *, effort: Effort = "normal", seed: int = 0, progress: Progress | None = None
) -> PlacementResult:
    """A cell for every node. ``seed``: 0 or more. ``progress`` is told in a line what is being done.

    Raises ``ValueError`` if there are more nodes than usable cells, or if costs could leave 64 bits.
    """
    if traffic.nodes > cells.count:
        raise ValueError(f"{traffic.nodes} nodes do not fit on {cells.count} cells")
    if float(traffic.weights.sum(dtype=np.float64)) * cells.farthest >= 2.0**62:
        raise ValueError("traffic times distance could leave 64 bits: scale the weights down")
    if not traffic.weights.size:
        return PlacementResult(cells.curve()[: traffic.nodes], 0, 0)
    bound = lower_bound(traffic, cells, spectral=effort == "normal")
    field, cell_of = cells, None
    if cells.count > ROOMY * traffic.nodes:
        field, cell_of = cells.part(cells.curve()[: ROOMY // 2 * traffic.nodes])
    if effort == "quick":
        at = _quick(traffic, field, seed)
    elif traffic.nodes <= MOST_NODES_ANNEALED:
        at = _annealed(traffic, field, bound, WORK, seed, progress)
    else:
        at = place_by_levels(
            traffic,
            field,
            lambda coarse, blocks: _annealed(coarse, blocks, 0, COARSE_WORK, seed, progress),
            nodes=COARSEST,
            visits_per_node=VISITS_PER_NODE,
            seed=seed,
            progress=progress,
        )
    at = at if cell_of is None else cell_of[at]
    found = cost(traffic, cells, at)
    if effort == "normal" and bound < found and traffic.nodes <= MOST_NODES_EXACT and cell_of is None:
        at, bound = _exact(traffic, cells, at, bound, seed)
        found = cost(traffic, cells, at)
    return PlacementResult(at, found, bound)


def _quick(traffic: Traffic, cells: Cells, seed: int) -> Ints:
    """Nodes in their own order or along their connections, whatever is cheaper, on a curve; then a short annealing."""
    at = min(on_curve(traffic, cells), _along_connections(traffic, cells), key=lambda at: cost(traffic, cells, at))
    return refine(traffic, cells, at, max(QUICK_MOVES, QUICK_MOVES_PER_NODE * traffic.nodes), seed=seed)


def on_curve(traffic: Traffic, cells: Cells) -> Ints:
    """(nodes,) the nodes in the order of their numbers along a space-filling curve."""
    return cells.curve()[: traffic.nodes]


def _along_connections(traffic: Traffic, cells: Cells) -> Ints:
    """(nodes,) the nodes along the curve, breadth first from one of the least degree (Cuthill and McKee, 1969)."""
    neighbours, rows = traffic.neighbours.tolist(), traffic.indptr.tolist()
    order: list[int] = []
    seen = [False] * traffic.nodes
    for first in np.argsort(np.diff(traffic.indptr), kind="stable").tolist():
        if seen[first]:
            continue
        seen[first] = True
        waiting = deque([first])
        while waiting:
            node = waiting.popleft()
            order.append(node)
            for other in neighbours[rows[node] : rows[node + 1]]:
                if not seen[other]:
                    seen[other] = True
                    waiting.append(other)
    at = np.empty(traffic.nodes, dtype=np.int64)
    at[order] = cells.curve()[: traffic.nodes]
    return at


def _annealed(traffic: Traffic, cells: Cells, bound: int, work: float, seed: int, progress: Progress | None) -> Ints:
    """(nodes,) the best of the spectral layout and of some lanes of annealing, which are left out if it is optimal."""
    flat = spectral(traffic, cells, lambda at: cost(traffic, cells, at))
    best = anneal(traffic, cells, flat, np.zeros(1), 1000 * traffic.nodes, seed=seed).cell_of_node
    found = cost(traffic, cells, best)
    if found == bound:
        return best
    if progress:
        progress(f"annealing {traffic.nodes} nodes")
    hot, cold = _range(traffic, cells, PROBE_PER_NODE * traffic.nodes, seed)
    with ThreadPoolExecutor(LANES) as pool:
        lanes = pool.map(lambda k: _lane(traffic, cells, hot, cold, work, bound, LANES * seed + k), range(LANES))
        return min([best, *lanes], key=lambda at: cost(traffic, cells, at))


def _lane(traffic: Traffic, cells: Cells, hot: float, cold: float, work: float, bound: int, seed: int) -> Ints:
    """(nodes,) the best that comes of random starts, each cooled down and then heated up again, less, many times."""
    run = max(min(RUN_PER_PAIR * traffic.nodes**2, int(RUN_SHARE * work / _work_per_move(traffic, cells))), STAGES)
    best, least = np.zeros(0, dtype=np.int64), 1 << 62
    here, low, idle, number = best, least, PATIENCE, 0
    while work > 0 and least > bound:
        number += 1
        fresh = idle >= PATIENCE
        top = hot if fresh else hot * REHEATS[number % len(REHEATS)]
        got = anneal(
            traffic,
            cells,
            _shuffled(traffic, cells, (seed << 20) + number) if fresh else here,
            cooling(top, min(cold, top / 4), STAGES),
            run if fresh else max(int(REHEATED * run), STAGES),
            seed=(seed << 20) + number,
        )
        work -= got.work
        found = int(got.cost[-1])
        idle = 0 if fresh or found < low else idle + 1
        if fresh or found <= low:
            here, low = got.cell_of_node, found
        if low < least:
            best, least = here, low
    return best


def _work_per_move(traffic: Traffic, cells: Cells) -> float:
    """As a short run from somewhere middling tells."""
    middling = cooling(float(np.sqrt(traffic.weights.mean() * cells.farthest)), 0.1, 100)
    moves = 100 * traffic.nodes
    return anneal(traffic, cells, _shuffled(traffic, cells, 0), middling, moves).work / moves


def _range(traffic: Traffic, cells: Cells, moves: int, seed: int) -> tuple[float, float]:
    """The temperatures between which a quick run sees the cost fall: from 80 % of the way to all but 0.2 % of it."""
    most = float(traffic.weights.max()) * max(cells.farthest, 1)
    temperatures = cooling(most, 0.05, 300)
    seen = anneal(traffic, cells, _shuffled(traffic, cells, seed), temperatures, moves, seed=seed).cost
    top, low = float(seen[:20].mean()), float(seen[-1])
    left = (seen - low) / max(top - low, 1.0)
    # the last time that it is so high: on a small mesh the cost jumps about, and is low once by chance
    hot, cold = (float(temperatures[np.flatnonzero(np.r_[True, left[1:] > share])[-1]]) for share in (HOTTEST, COLDEST))
    return hot, max(min(cold, hot / 4), 0.05)


def _shuffled(traffic: Traffic, cells: Cells, seed: int) -> Ints:
    return np.random.default_rng(seed).permutation(np.flatnonzero(cells.usable))[: traffic.nodes]


def _exact(traffic: Traffic, cells: Cells, at: Ints, bound: int, seed: int) -> tuple[Ints, int]:
    """A placement at least as good as ``at``, and the best bound, by CP-SAT."""
    from ortools.sat.python.cp_model import CpModel

    from nirc.mapping.solver import solve

    model = CpModel()
    usable = np.flatnonzero(cells.usable)
    places = cells.places(usable)
    on = [[model.new_bool_var(f"{v}@{c}") for c in usable] for v in range(traffic.nodes)]
    for v, row in enumerate(on):
        model.add_exactly_one(row)
        for c, there in zip(usable, row, strict=True):
            model.add_hint(there, bool(at[v] == c))
    for column in zip(*on, strict=True):
        model.add_at_most_one(column)
    total = []
    for a, b, weight in zip(*traffic.edges(), strict=True):
        for axis, ruler in enumerate(cells.positions):
            if ruler.size == 1:
                continue
            apart = model.new_int_var(0, int(ruler[-1] - ruler[0]), f"{a}-{b}, axis {axis}")
            difference = sum(int(p) * (x - y) for p, x, y in zip(places[:, axis], on[a], on[b], strict=True))
            model.add(apart >= difference)
            model.add(apart >= -difference)
            total.append(int(weight) * apart)
    model.add(sum(total) >= bound)
    model.minimize(sum(total))
    solution = solve(model, seed=seed)
    if solution.bound is not None:
        bound = max(bound, int(np.ceil(solution.bound - 1e-6)))
        better = np.array([next(c for c, t in zip(usable, row, strict=True) if solution.value(t)) for row in on])
        at = min(at, better, key=lambda at: cost(traffic, cells, at))
    return at, bound
