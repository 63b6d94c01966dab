"""Simulated annealing of a placement.

A move takes a node and a cell. The node and the content of the cell change places. Every other move
puts a node beside one or two of its neighbours. Random cells hardly ever do this on a large mesh.
The other moves stay within a window that shrinks while few moves are accepted, as in VPR (Betz and
Rose, "VPR: a new packing, placement and routing tool for FPGA research", FPL 1997).

Two loops take exactly the same moves. The first loop reads the cost of a node's edges at a cell
from a table, as a sum over the axes. So a refused move reads only some numbers, however many edges
there are. An accepted move updates the rows of the neighbours. The second loop counts the edges of
both nodes at every move. It is for tables too large for the processor's cache. Costs are integers,
so the answer is the same on every machine.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.chance import UPHILL, below, first_state, following
from nirc.mapping.placement import MOST_CELLS, Cells, Ints, Traffic, cost
from nirc.native.loops import in_c

MOST_TABLED = 4 << 20  # bytes of the table of costs
WANTED_RATE = 0.25  # share of accepted moves below which the window shrinks
FREE = -1  # a cell without a node
NO_CELL = -2  # a faulty cell, or a place outside of the box


@dataclass(frozen=True, eq=False)
class Annealed:
    """The result of annealing.

    ``cell_of_node`` (nodes,): cells after the last stage. ``cost`` (stages,): cost after each
    stage. ``rates`` (stages,): share of accepted moves in each stage. ``work``: about the time in
    nanoseconds on a server of 2024, estimated from the moves tried and accepted.
    """

    cell_of_node: Ints
    cost: Ints
    rates: npt.NDArray[np.float64]
    work: float


def anneal(
    traffic: Traffic,
    cells: Cells,
    start: Ints,
    temperatures: npt.NDArray[np.float64],
    moves: int,
    *,
    seed: int = 0,
    window: int | None = None,
) -> Annealed:
    """Anneal from ``start`` (nodes,) with ``moves`` moves in all.

    ``start`` puts each node on a usable cell of its own. ``temperatures`` (stages,), in units of
    cost: each gets the same number of moves. At temperature 0 no accepted move raises the cost.
    ``window``: the most cells that a move goes along an axis, moves to a neighbour aside. None:
    start with all cells and shrink.
    """
    stages = temperatures.size
    per_stage = max(moves // stages, 1)
    change = np.zeros(stages, np.int64)
    rates = np.zeros(stages)
    node_at = np.where(cells.usable, FREE, NO_CELL).astype(np.int64)
    node_at[start] = np.arange(traffic.nodes)
    at = cells.coordinates(start)
    edges = traffic.indptr, traffic.neighbours, traffic.weights
    board = node_at, at, _steps_beside(cells), cells.shape
    first_window = float(window or MOST_CELLS)
    schedule = temperatures, per_stage, first_window, window is None, seed, UPHILL, change, rates
    before = cost(traffic, cells, start)
    tried = per_stage * stages
    degree = traffic.neighbours.size / traffic.nodes
    table = _empty_table(traffic, cells)
    if table is None:
        x, y, z = (ruler.astype(np.int32) for ruler in cells.positions)
        _run_by_edges(edges, board, schedule, x, y, z)
        work = tried * (30 + 7 * degree)
    else:
        _run_by_table(edges, board, schedule, table, _distances(cells, table.dtype))
        accepted = float(per_stage * rates.sum())
        work = 20 * tried + 2 * degree * accepted * (5 + 0.2 * sum(cells.shape))
    return Annealed(cells.number(at), before + np.cumsum(change), rates, work)


def _empty_table(traffic: Traffic, cells: Cells) -> npt.NDArray[Any] | None:
    """Return room for the cost of every node at every coordinate, or None if it is too large.

    Shape: (nodes, width + height + depth), int32 or int64.
    """
    columns = sum(cells.shape)
    sums = np.add.reduceat(np.append(traffic.weights, 0), traffic.indptr[:-1])
    heaviest = int(sums.max(initial=0))
    kind = np.dtype(np.int32 if heaviest * cells.farthest < 1 << 30 else np.int64)
    if traffic.nodes * columns * kind.itemsize > MOST_TABLED:
        return None
    return np.empty((traffic.nodes, columns), kind)


def _distances(cells: Cells, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the distances between the coordinates of each axis, one block an axis on the diagonal.

    Shape: (width + height + depth,) twice.
    """
    distances = np.zeros((sum(cells.shape),) * 2, kind)
    begin = 0
    for ruler in cells.positions:
        end = begin + ruler.size
        distances[begin:end, begin:end] = np.abs(np.subtract.outer(ruler, ruler))
        begin = end
    return distances


def _steps_beside(cells: Cells) -> Ints:
    """Return (n, 3) steps to the eight cells around a cell, one cell above and one below."""
    spans = [(-1, 0, 1) if length > 1 else (0,) for length in cells.shape]
    steps = [step for step in product(*spans) if any(step) and not (step[2] and any(step[:2]))]
    return np.array(steps or [(0, 0, 0)], dtype=np.int64)


def cooling(hot: float, cold: float, stages: int) -> npt.NDArray[np.float64]:
    """Return (stages,) temperatures that fall from ``hot`` to ``cold`` by equal ratios.

    The last tenth of the stages has temperature 0.
    """
    falling = stages - max(stages // 10, 1)
    # Rounded, since the power differs between machines.
    ratio = round((cold / hot) ** (1 / max(falling - 1, 1)), 12)
    ratios = np.r_[1.0, np.full(falling - 1, ratio)]
    return np.concatenate([hot * np.cumprod(ratios), np.zeros(stages - falling)])


def temperature_for(
    traffic: Traffic, cells: Cells, start: Ints, rate: float, *, window: int | None = None
) -> float:
    """Return the lowest power of sqrt 2 that accepts a share of ``rate`` of the first moves."""
    moves = max(2000, min(traffic.nodes, 20000))

    def accepted(exponent: int) -> float:
        temperature = np.array([_power_of_root_two(exponent)])
        return float(anneal(traffic, cells, start, temperature, moves, window=window).rates[0])

    least = -8
    return _power_of_root_two(least + bisect_left(range(least, 120), rate, key=accepted))


def _power_of_root_two(exponent: int) -> float:
    return float(2.0 ** (exponent // 2)) * (1.4142135623730951 if exponent % 2 else 1.0)


def _nearby(
    state: Any, x: Any, y: Any, z: Any, reach: Any, width: Any, height: Any, depth: Any
) -> Any:
    """Draw a cell at most ``reach`` away along each axis. Return the next state and the cell.

    This function takes no arrays. A call with arrays would double the time of a refused move.
    """
    first, last = max(x - reach, 0), min(x + reach, width - 1)
    to_x = first + below(state >> np.uint64(32), last - first + 1)
    first, last = max(y - reach, 0), min(y + reach, height - 1)
    to_y = first + below(state & np.uint64(0xFFFFFFFF), last - first + 1)
    to_z = z
    if depth > 1:
        state = following(state)
        first, last = max(z - reach, 0), min(z + reach, depth - 1)
        to_z = first + below(state >> np.uint64(32), last - first + 1)
    return state, to_x, to_y, to_z


def _beside(state: Any, neighbours: Any, begin: Any, degree: Any, at: Any, beside: Any) -> Any:
    """Draw a cell beside a neighbour, or beside one neighbour and in line with another."""
    to = neighbours[begin + below(state >> np.uint64(32), degree)]
    k = below(state & np.uint64(0xFFFFFFFF), beside.shape[0])
    state = following(state)
    other = to
    if state & np.uint64(1):
        other = neighbours[begin + below(state >> np.uint64(32), degree)]
    x, y, z = at[to, 0] + beside[k, 0], at[other, 1] + beside[k, 1], at[to, 2] + beside[k, 2]
    return state, x, y, z


def _exchange(
    node_at: Any, at: Any, width: Any, height: Any, a: Any, b: Any, x: Any, y: Any, z: Any
) -> Any:
    """Put node ``a`` on the cell (x, y, z), and its content ``b`` on the old cell of ``a``."""
    node_at[at[a, 0] + width * (at[a, 1] + height * at[a, 2])] = b
    node_at[x + width * (y + height * z)] = a
    if b >= 0:
        at[b, 0], at[b, 1], at[b, 2] = at[a, 0], at[a, 1], at[a, 2]
    at[a, 0], at[a, 1], at[a, 2] = x, y, z


def _next_window(window: Any, rate: Any, widest: Any) -> Any:
    return min(max(window * (1.0 + 0.1 * (rate - WANTED_RATE)), 1.0), float(widest))


def _add(row: Any, weight: Any, step: Any) -> Any:
    """Add weight times step to the row. As a function, the loop becomes vector instructions."""
    for k in range(step.size):
        row[k] += weight * step[k]


@in_c("anneal_by_table", "qiqq*q*qnnndnxnndq*d*t*t")
def _run_by_table(edges: Any, board: Any, schedule: Any, table: Any, distances: Any) -> Any:  # noqa: PLR0915
    """Anneal in place. ``table``: room for the costs. ``distances``: see ``_distances``."""
    indptr, neighbours, weights = edges
    temperatures, per_stage, window, shrinks, seed, uphill, change, rates = schedule
    node_at, at, beside, (width, height, depth) = board
    column_y = width
    column_z = width + height
    columns = width + height + depth
    nodes = at.shape[0]
    table[:] = 0
    for v in range(nodes):
        for j in range(indptr[v], indptr[v + 1]):
            to, weight = neighbours[j], weights[j]
            x, y, z = at[to, 0], column_y + at[to, 1], column_z + at[to, 2]
            for k in range(columns):
                table[v, k] += weight * (distances[x, k] + distances[y, k] + distances[z, k])
    step = np.empty(columns, table.dtype)
    half = np.uint64(32)
    state = first_state(seed)
    widest = max(width, height, depth) - 1
    window = min(window, float(widest))
    for stage in range(temperatures.size):
        temperature = temperatures[stage]
        accepted = 0
        gain = np.int64(0)
        reach = max(np.int64(window + 0.5), np.int64(1))
        for move in range(per_stage):
            state = following(state)
            a = below(state >> half, nodes)
            ax, ay, az = at[a, 0], at[a, 1], at[a, 2]
            luck = uphill[np.int64(state & np.uint64(4095))]
            begin = indptr[a]
            degree = indptr[a + 1] - begin
            state = following(state)
            if move & 1 and degree > 0:  # every other move goes beside a neighbour
                state, x, y, z = _beside(state, neighbours, begin, degree, at, beside)
                if x < 0 or y < 0 or z < 0 or x >= width or y >= height or z >= depth:
                    continue
            else:
                state, x, y, z = _nearby(state, ax, ay, az, reach, width, height, depth)
            b = node_at[x + width * (y + height * z)]
            if b == a or b == NO_CELL:  # noqa: PLR1714, SIM109 - a set would be built at every move
                continue
            y += column_y
            z += column_z
            ay += column_y
            az += column_z
            old = np.int64(table[a, ax]) + table[a, ay] + table[a, az]
            new = np.int64(table[a, x]) + table[a, y] + table[a, z]
            if b >= 0:
                old += np.int64(table[b, x]) + table[b, y] + table[b, z]
                new += np.int64(table[b, ax]) + table[b, ay] + table[b, az]
            allowed = old + np.int64(temperature * luck)
            if new > allowed:
                continue
            if b >= 0:
                for j in range(indptr[a], indptr[a + 1]):  # both costs lack the edge from a to b
                    if neighbours[j] == b:
                        far = distances[ax, x] + distances[ay, y] + distances[az, z]
                        new += 2 * weights[j] * np.int64(far)
                if new > allowed:
                    continue
            gain += new - old
            accepted += 1
            _exchange(node_at, at, width, height, a, b, x, y - column_y, z - column_z)
            for k in range(column_y):
                step[k] = distances[x, k] - distances[ax, k]
            for k in range(column_y, column_z):
                step[k] = distances[y, k] - distances[ay, k]
            for k in range(column_z, columns):
                step[k] = distances[z, k] - distances[az, k]
            for j in range(indptr[a], indptr[a + 1]):
                _add(table[neighbours[j]], table.dtype.type(weights[j]), step)
            if b >= 0:
                for j in range(indptr[b], indptr[b + 1]):
                    _add(table[neighbours[j]], table.dtype.type(-weights[j]), step)
        change[stage] = gain
        rates[stage] = accepted / per_stage
        if shrinks:
            window = _next_window(window, rates[stage], widest)


def _cost_at(
    indptr: Any, neighbours: Any, weights: Any, position: Any, node: Any, x: Any, y: Any, z: Any
) -> Any:
    """Return the cost of the edges of ``node`` at (x, y, z). A neighbour in that cell costs 0."""
    total = np.int64(0)
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        total += weights[j] * (
            abs(x - position[to, 0]) + abs(y - position[to, 1]) + abs(z - position[to, 2])
        )
    return total


def _update_neighbours(edges: Any, position: Any, cost: Any, pair: Any, old: Any, new: Any) -> Any:
    """Update the costs of the first node's neighbours, except the second, after a move."""
    indptr, neighbours, weights = edges
    node, other = pair
    (x0, y0, z0), (x1, y1, z1) = old, new
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        if to != other:
            x, y, z = position[to, 0], position[to, 1], position[to, 2]
            before = abs(x0 - x) + abs(y0 - y) + abs(z0 - z)
            after = abs(x1 - x) + abs(y1 - y) + abs(z1 - z)
            cost[to] += weights[j] * np.int64(after - before)


@in_c("anneal_by_edges", "qiqq*q*qnnndnxnndq*d*iii")
def _run_by_edges(edges: Any, board: Any, schedule: Any, xs: Any, ys: Any, zs: Any) -> Any:  # noqa: PLR0915
    """Anneal in place. ``xs``, ``ys``, ``zs``: the positions of the coordinates of each axis."""
    indptr, neighbours, weights = edges
    temperatures, per_stage, window, shrinks, seed, uphill, change, rates = schedule
    node_at, at, beside, (width, height, depth) = board
    nodes = at.shape[0]
    position = np.empty((nodes, 4), np.int32)
    for v in range(nodes):
        position[v, 0], position[v, 1], position[v, 2] = xs[at[v, 0]], ys[at[v, 1]], zs[at[v, 2]]
    node_cost = np.empty(nodes, np.int64)  # cost of the edges of each node
    for v in range(nodes):
        x0, y0, z0 = position[v, 0], position[v, 1], position[v, 2]
        node_cost[v] = _cost_at(indptr, neighbours, weights, position, v, x0, y0, z0)
    half = np.uint64(32)
    state = first_state(seed)
    widest = max(width, height, depth) - 1
    window = min(window, float(widest))
    for stage in range(temperatures.size):
        temperature = temperatures[stage]
        accepted = 0
        gain = np.int64(0)
        reach = max(np.int64(window + 0.5), np.int64(1))
        for move in range(per_stage):
            state = following(state)
            a = below(state >> half, nodes)
            ax, ay, az = at[a, 0], at[a, 1], at[a, 2]
            luck = uphill[np.int64(state & np.uint64(4095))]
            begin = indptr[a]
            degree = indptr[a + 1] - begin
            state = following(state)
            if move & 1 and degree > 0:  # every other move goes beside a neighbour
                state, x, y, z = _beside(state, neighbours, begin, degree, at, beside)
                if x < 0 or y < 0 or z < 0 or x >= width or y >= height or z >= depth:
                    continue
            else:
                state, x, y, z = _nearby(state, ax, ay, az, reach, width, height, depth)
            b = node_at[x + width * (y + height * z)]
            if b == a or b == NO_CELL:  # noqa: PLR1714, SIM109 - a set would be built at every move
                continue
            x0, y0, z0 = position[a, 0], position[a, 1], position[a, 2]
            x1, y1, z1 = xs[x], ys[y], zs[z]
            # Most moves are refused. Often the new cost of the first node alone is too high.
            allowed = node_cost[a] + np.int64(temperature * luck)
            if b >= 0:
                allowed += node_cost[b]
            new_a = _cost_at(indptr, neighbours, weights, position, a, x1, y1, z1)
            if new_a > allowed:
                continue
            new_b, between = np.int64(0), np.int64(0)
            if b >= 0:
                new_b = _cost_at(indptr, neighbours, weights, position, b, x0, y0, z0)
                if new_a + new_b > allowed:
                    continue
                for j in range(indptr[a], indptr[a + 1]):
                    if neighbours[j] == b:  # both costs lack the edge from a to b
                        between = weights[j] * (abs(x1 - x0) + abs(y1 - y0) + abs(z1 - z0))
                if new_a + new_b + 2 * between > allowed:
                    continue
                gain += new_b + between - node_cost[b]
                _update_neighbours(edges, position, node_cost, (b, a), (x1, y1, z1), (x0, y0, z0))
                node_cost[b] = new_b + between
            gain += new_a + between - node_cost[a]
            _update_neighbours(edges, position, node_cost, (a, b), (x0, y0, z0), (x1, y1, z1))
            node_cost[a] = new_a + between
            accepted += 1
            _exchange(node_at, at, width, height, a, b, x, y, z)
            position[a, 0], position[a, 1], position[a, 2] = x1, y1, z1
            if b >= 0:
                position[b, 0], position[b, 1], position[b, 2] = x0, y0, z0
        change[stage] = gain
        rates[stage] = accepted / per_stage
        if shrinks:
            window = _next_window(window, rates[stage], widest)
