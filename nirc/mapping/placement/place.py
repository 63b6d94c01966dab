"""Place nodes on cells with the least sum of traffic times distance, for problems of any size.

Tiny problems are annealed and then given to CP-SAT, which may prove the answer. Problems of up to
some thousand nodes start from the spectral layout, which is the optimum if the traffic is a mesh
itself. Annealing from several starts follows. Larger problems go through levels (multilevel.py).
Work is counted in moves, never in seconds. Threads share independent runs only. The same problem
and seed give the same placement on every machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nirc.mapping.effort import Effort
from nirc.mapping.placement import Cells, Ints, Traffic, cost
from nirc.mapping.placement.anneal import anneal, cooling
from nirc.mapping.placement.bounds import lower_bound
from nirc.mapping.placement.multilevel import place_by_levels, refine, spectral

Progress = Callable[[str], None]

MOST_NODES_EXACT = 10  # CP-SAT proves random problems of 10 nodes in some seconds, hardly any of 12
MOST_NODES_ANNEALED = 4000
COARSEST = 1500  # nodes of the last level
LANES = 2  # a constant, so the answer does not depend on the number of processors
MOST_NODES_IN_LANES = 400  # more nodes need all the work in one long run
# Annealing in all lanes, in the unit of ``Annealed.work``: 1e9 are about 1 s on an idle core.
WORK = {"normal": 5.5e9, "thorough": 40e9}
WORK_PER_PAIR = {"normal": 4e5, "thorough": 4e6}  # at most, for each pair of nodes
COARSE_WORK = {"normal": 2e9, "thorough": 8e9}
VISITS_PER_NODE = {"normal": 5000, "thorough": 25_000}  # edges seen for every node of a level
QUICK_MOVES = 250_000  # at least, in all
QUICK_MOVES_PER_NODE = 25
RUN_PER_PAIR = 500  # moves of a run from a random start, for each pair of nodes
RUN_SHARE = 0.85  # the largest share of a lane's work for one run from a random start
REHEATS = 1 / 8, 1 / 5, 1 / 3  # of the hottest temperature
REHEATED = 1 / 8  # of the moves of a run
PATIENCE = 24  # reheats without gain before the next random start
# The same for few nodes (benchmarks/plain_annealer.py).
FEW_NODES = 64
REHEATS_OF_FEW = 1 / 4, 1 / 3, 1 / 2
PATIENCE_OF_FEW = 8
HOTTEST = 0.2  # share of the fall in cost that is left, see ``_temperature_range``
COLDEST = 0.002
STAGES = 1000
# Of the work, at most for the descent and for the probe. Traffic between all nodes reaches it.
FIRST_SHARE = 2.0
PROBE_PER_NODE = 5000  # moves of the run that measures the temperatures
PATH_GAP = 1.02  # above the bound. Annealing ends at 1.01 to 1.08 for 120 to 700 nodes
ROOMY = 4  # with more cells than this times the nodes, distant cells are ignored


@dataclass(frozen=True, eq=False)
class PlacementResult:
    """``cell_of_node`` (nodes,): a cell for each node. No placement costs less than ``bound``."""

    cell_of_node: Ints
    cost: int
    bound: int

    @property
    def proven(self) -> bool:
        """True if the placement is known to be an optimum."""
        return self.cost == self.bound


def place_on(
    traffic: Traffic,
    cells: Cells,
    *,
    effort: Effort = "normal",
    seed: int = 0,
    progress: Progress | None = None,
) -> PlacementResult:
    """Return a cell for every node. ``seed``: 0 or more. ``progress`` gets a line for each stage.

    Raises ``ValueError`` if there are more nodes than usable cells, or if costs could leave 64
    bits.
    """
    if traffic.nodes > cells.count:
        raise ValueError(f"{traffic.nodes} nodes do not fit on {cells.count} cells")
    if float(traffic.weights.sum(dtype=np.float64)) * cells.farthest >= 2.0**62:
        raise ValueError("traffic times distance could leave 64 bits: scale the weights down")
    if not traffic.weights.size:
        return PlacementResult(cells.curve()[: traffic.nodes], 0, 0)
    bound = lower_bound(traffic, cells, spectral=effort != "quick")
    roomy = cells.count > ROOMY * traffic.nodes
    if roomy:
        near, number = cells.part(cells.curve()[: ROOMY // 2 * traffic.nodes])
        at = number[_searched(traffic, near, bound, effort, seed, progress)]
    else:
        at = _searched(traffic, cells, bound, effort, seed, progress)
    total = cost(traffic, cells, at)
    small = traffic.nodes <= MOST_NODES_EXACT and not roomy
    if effort != "quick" and bound < total and small:
        at, bound = _exact(traffic, cells, at, bound, seed)
        total = cost(traffic, cells, at)
    return PlacementResult(at, total, bound)


def _searched(
    traffic: Traffic, cells: Cells, bound: int, effort: Effort, seed: int, progress: Progress | None
) -> Ints:
    """Return (nodes,) a placement by the search for this effort and number of nodes."""
    if effort == "quick":
        return _quick(traffic, cells, seed)
    if traffic.nodes <= MOST_NODES_ANNEALED:
        work = min(WORK[effort], WORK_PER_PAIR[effort] * traffic.nodes**2)
        return _annealed(traffic, cells, bound, work, seed, progress)
    return place_by_levels(
        traffic,
        cells,
        lambda coarse, blocks: _annealed(coarse, blocks, 0, COARSE_WORK[effort], seed, progress),
        nodes=COARSEST,
        visits_per_node=VISITS_PER_NODE[effort],
        seed=seed,
        progress=progress,
    )


def _quick(traffic: Traffic, cells: Cells, seed: int) -> Ints:
    """Lay the nodes on a curve, in the cheaper of two orders, and anneal for a short time.

    The two orders are by node number and along the connections.
    """
    starts = on_curve(traffic, cells), _along_connections(traffic, cells.curve())
    start = min(starts, key=lambda at: cost(traffic, cells, at))
    moves = max(QUICK_MOVES, QUICK_MOVES_PER_NODE * traffic.nodes)
    return refine(traffic, cells, start, moves, seed=seed)


def on_curve(traffic: Traffic, cells: Cells) -> Ints:
    """Return (nodes,) cells: the nodes in order of number along a space-filling curve."""
    return cells.curve()[: traffic.nodes]


def _is_path(traffic: Traffic) -> bool:
    """Return True if the nodes are a chain, each with the next one."""
    degree = np.diff(traffic.indptr)
    ends = int(np.count_nonzero(degree == 1))
    return bool(ends == 2 and degree.max() <= 2 and not traffic.pieces.any())


def _along_connections(traffic: Traffic, curve: Ints) -> Ints:
    """Return (nodes,) cells: the nodes along a curve of cells in breadth-first order.

    The order starts at a node of least degree (Cuthill and McKee, 1969).
    """
    neighbours = traffic.neighbours.tolist()
    rows = traffic.indptr.tolist()
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
    at[order] = curve[: traffic.nodes]
    return at


def _annealed(
    traffic: Traffic, cells: Cells, bound: int, work: float, seed: int, progress: Progress | None
) -> Ints:
    """Return (nodes,) the best of the spectral layout and some lanes of annealing.

    Return the spectral layout alone if it is optimal. A path is laid to and fro.
    """
    layout = spectral(traffic, cells, lambda at: cost(traffic, cells, at))
    per_move = _work_per_move(traffic, cells)
    affordable = max(int(FIRST_SHARE * work / per_move), traffic.nodes)
    moves = min(1000 * traffic.nodes, affordable)
    best = anneal(traffic, cells, layout, np.zeros(1), moves, seed=seed).cell_of_node
    if cost(traffic, cells, best) == bound:
        return best
    if _is_path(traffic):
        straight = _along_connections(traffic, cells.snake())
        if cost(traffic, cells, straight) <= bound * PATH_GAP:
            return min(straight, best, key=lambda at: cost(traffic, cells, at))
    if progress:
        progress(f"annealing {traffic.nodes} nodes")
    probe = min(PROBE_PER_NODE * traffic.nodes, affordable)
    hot, cold = _temperature_range(traffic, cells, probe, seed)
    lanes = LANES if traffic.nodes <= MOST_NODES_IN_LANES else 1
    share = work / lanes
    most = int(RUN_SHARE * share / per_move)
    with ThreadPoolExecutor(lanes) as pool:
        found = pool.map(
            lambda k: _lane(traffic, cells, (hot, cold), share, most, bound, LANES * seed + k),
            range(lanes),
        )
        return min([best, *found], key=lambda at: cost(traffic, cells, at))


def _lane(
    traffic: Traffic,
    cells: Cells,
    temperatures: tuple[float, float],
    work: float,
    most_moves: int,
    bound: int,
    seed: int,
) -> Ints:
    """Return (nodes,) the best placement from random starts.

    Each start is cooled down and then reheated many times, to lower temperatures. ``temperatures``:
    the hottest and the coldest. ``most_moves``: of the run from a random start.
    """
    hot, cold = temperatures
    few = traffic.nodes <= FEW_NODES
    reheats = REHEATS_OF_FEW if few else REHEATS
    patience = PATIENCE_OF_FEW if few else PATIENCE
    run_moves = max(min(RUN_PER_PAIR * traffic.nodes**2, most_moves), STAGES)
    best = np.zeros(0, dtype=np.int64)
    best_cost = 1 << 62
    current = best
    current_cost = best_cost
    idle = patience  # reheats without gain
    number = 0
    while work > 0 and best_cost > bound:
        number += 1
        run_seed = (seed << 20) + number
        fresh = idle >= patience
        if fresh:
            current = _shuffled(traffic, cells, run_seed)
            top = hot
            moves = run_moves
        else:
            top = hot * reheats[number % len(reheats)]
            moves = max(int(REHEATED * run_moves), STAGES)
        falling = cooling(top, min(cold, top / 4), STAGES)
        annealed = anneal(traffic, cells, current, falling, moves, seed=run_seed)
        work -= annealed.work
        new_cost = int(annealed.cost[-1])
        idle = 0 if fresh or new_cost < current_cost else idle + 1
        if fresh or new_cost <= current_cost:
            current = annealed.cell_of_node
            current_cost = new_cost
        if current_cost < best_cost:
            best = current
            best_cost = current_cost
    return best


def _work_per_move(traffic: Traffic, cells: Cells) -> float:
    """Measure the work of a move in a short run at medium temperatures."""
    medium = cooling(float(np.sqrt(traffic.weights.mean() * cells.farthest)), 0.1, 100)
    moves = 100 * traffic.nodes
    return anneal(traffic, cells, _shuffled(traffic, cells, 0), medium, moves).work / moves


def _temperature_range(
    traffic: Traffic, cells: Cells, moves: int, seed: int
) -> tuple[float, float]:
    """Return the temperatures between which the cost falls in a quick run.

    At the first, 20 % of the fall are left (``HOTTEST``). At the second, 0.2 % are left
    (``COLDEST``).
    """
    most = float(traffic.weights.max()) * max(cells.farthest, 1)
    temperatures = cooling(most, 0.05, 300)
    start = _shuffled(traffic, cells, seed)
    costs = anneal(traffic, cells, start, temperatures, moves, seed=seed).cost
    highest = float(costs[:20].mean())
    lowest = float(costs[-1])
    left = (costs - lowest) / max(highest - lowest, 1.0)
    # On a small mesh the cost may be low by chance. So take the last stage above the share.
    hot, cold = (
        float(temperatures[np.flatnonzero(np.r_[True, left[1:] > share])[-1]])
        for share in (HOTTEST, COLDEST)
    )
    return hot, max(min(cold, hot / 4), 0.05)


def _shuffled(traffic: Traffic, cells: Cells, seed: int) -> Ints:
    """Return (nodes,) different cells at random."""
    return np.random.default_rng(seed).permutation(np.flatnonzero(cells.usable))[: traffic.nodes]


def _exact(traffic: Traffic, cells: Cells, at: Ints, bound: int, seed: int) -> tuple[Ints, int]:
    """Return a placement at least as good as ``at``, and the best bound, by CP-SAT."""
    from nirc.mapping.cp_sat import CpModel
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
            difference = sum(
                int(p) * (x - y) for p, x, y in zip(places[:, axis], on[a], on[b], strict=True)
            )
            model.add(apart >= difference)
            model.add(apart >= -difference)
            total.append(int(weight) * apart)
    model.add(sum(total) >= bound)
    model.minimize(sum(total))
    solution = solve(model, seed=seed)
    if solution.bound is not None:
        bound = max(bound, int(np.ceil(solution.bound - 1e-6)))
        better = np.array(
            [next(c for c, t in zip(usable, row, strict=True) if solution.value(t)) for row in on]
        )
        at = min(at, better, key=lambda at: cost(traffic, cells, at))
    return at, bound
