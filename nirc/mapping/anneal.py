"""Simulated annealing of a placement, in a compiled loop.

A move takes a node and a cell, and lets the node and whatever is in the cell change places. Half of the moves (as
``DIRECTED`` says) put a node beside one or two of its neighbours, which random cells hardly ever do on a large mesh;
the others stay within a window that shrinks while few moves are accepted, as in VPR (Betz and Rose, "VPR: a new
packing, placement and routing tool for FPGA research", FPL 1997).

The answer is the same on every machine: integer costs, a generator of its own (xorshift64, Marsaglia 2003), and
tabled logarithms, since ``exp`` differs in the last bit from one C library to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.cells import MOST_CELLS, Cells, cost
from nirc.mapping.compiled import compiled
from nirc.mapping.traffic import Ints, Traffic

DIRECTED = 128  # of 256 moves
WANTED_RATE = 0.44  # share of accepted moves below which the window shrinks (VPR)
FREE, NO_CELL = -1, -2
# An uphill step d is taken at temperature T if d <= T * e with e drawn from the exponential distribution.
UPHILL = np.round(-np.log((np.arange(4096) + 0.5) / 4096), 6)


@compiled
def _next(state):  # type: ignore[no-untyped-def]
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@compiled
def _below(bits, n):  # type: ignore[no-untyped-def]
    """32 random bits -> 0..n-1."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))


@compiled
def _at(indptr, neighbours, weights, place, node, x, y, z):  # type: ignore[no-untyped-def]
    """What the edges of ``node`` would cost at (x, y, z); an edge to a node that lies there costs nothing."""
    total = np.int64(0)
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        total += weights[j] * (abs(x - place[to, 0]) + abs(y - place[to, 1]) + abs(z - place[to, 2]))
    return total


@compiled
def _tell(indptr, neighbours, weights, place, own, node, other, x0, y0, z0, x1, y1, z1):  # type: ignore[no-untyped-def]
    """Add to the costs of the neighbours of ``node``, but ``other``, what its way from 0 to 1 changes."""
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        if to != other:
            x, y, z = place[to, 0], place[to, 1], place[to, 2]
            far = abs(x1 - x) + abs(y1 - y) + abs(z1 - z)
            own[to] += weights[j] * np.int64(far - abs(x0 - x) - abs(y0 - y) - abs(z0 - z))


@compiled
def _run(  # type: ignore[no-untyped-def]  # noqa: PLR0915 - one loop, and numba inlines nothing across files
    indptr, neighbours, weights, xs, ys, zs, near, uphill, at, coord, temperatures, per_stage, window, shrink, seed,
    directed, change, rates,
):  # fmt: skip
    """Anneal in place; ``change`` (stages,) and ``rates`` (stages,) tell what each stage did."""
    nodes = coord.shape[0]
    width, height, depth = xs.size, ys.size, zs.size
    place = np.empty((nodes, 4), np.int32)
    for v in range(nodes):
        place[v, 0], place[v, 1], place[v, 2] = xs[coord[v, 0]], ys[coord[v, 1]], zs[coord[v, 2]]
    own = np.empty(nodes, np.int64)  # what the edges of each node cost
    for v in range(nodes):
        own[v] = _at(indptr, neighbours, weights, place, v, place[v, 0], place[v, 1], place[v, 2])
    state = np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)
    low32 = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    widest = max(width, height, depth) - 1
    reach = min(float(window), float(widest))
    for stage in range(temperatures.size):
        temperature = temperatures[stage]
        accepted = 0
        gain = np.int64(0)
        r = max(np.int64(reach + 0.5), np.int64(1))
        for _ in range(per_stage):
            state = _next(state)
            a = _below(state >> half, nodes)
            ax, ay, az = coord[a, 0], coord[a, 1], coord[a, 2]
            begin = indptr[a]
            degree = indptr[a + 1] - begin
            aside = np.int64(state & np.uint64(255)) < directed and degree > 0
            luck = uphill[np.int64((state >> np.uint64(8)) & np.uint64(4095))]
            state = _next(state)
            if aside:
                to = neighbours[begin + _below(state >> half, degree)]
                k = _below(state & low32, near.shape[0])
                state = _next(state)
                beside = to  # or level with one neighbour and in line with another
                if state & np.uint64(1):
                    beside = neighbours[begin + _below(state >> half, degree)]
                bx, by, bz = coord[to, 0] + near[k, 0], coord[beside, 1] + near[k, 1], coord[to, 2] + near[k, 2]
                if bx < 0 or by < 0 or bz < 0 or bx >= width or by >= height or bz >= depth:
                    continue
            else:
                first, last = max(ax - r, 0), min(ax + r, width - 1)
                bx = first + _below(state >> half, last - first + 1)
                first, last = max(ay - r, 0), min(ay + r, height - 1)
                by = first + _below(state & low32, last - first + 1)
                bz = az
                if depth > 1:
                    state = _next(state)
                    first, last = max(az - r, 0), min(az + r, depth - 1)
                    bz = first + _below(state >> half, last - first + 1)
            there = bx + width * (by + height * bz)
            b = at[there]
            if b == a or b == NO_CELL:  # noqa: PLR1714, SIM109 - a set would be built at every move
                continue
            x0, y0, z0 = place[a, 0], place[a, 1], place[a, 2]
            x1, y1, z1 = xs[bx], ys[by], zs[bz]
            # most moves are refused: the old costs are known, and often the new one of the first node is too high
            allowed = own[a] + np.int64(temperature * luck)
            if b >= 0:
                allowed += own[b]
            new_a = _at(indptr, neighbours, weights, place, a, x1, y1, z1)
            if new_a > allowed:
                continue
            new_b, between = np.int64(0), np.int64(0)
            if b >= 0:
                new_b = _at(indptr, neighbours, weights, place, b, x0, y0, z0)
                if new_a + new_b > allowed:
                    continue
                for j in range(begin, begin + degree):  # the edge between the two was missed twice
                    if neighbours[j] == b:
                        between = weights[j] * (abs(x1 - x0) + abs(y1 - y0) + abs(z1 - z0))
                if new_a + new_b + 2 * between > allowed:
                    continue
                gain += new_b + between - own[b]
                _tell(indptr, neighbours, weights, place, own, b, a, x1, y1, z1, x0, y0, z0)
                own[b] = new_b + between
            gain += new_a + between - own[a]
            _tell(indptr, neighbours, weights, place, own, a, b, x0, y0, z0, x1, y1, z1)
            own[a] = new_a + between
            accepted += 1
            at[ax + width * (ay + height * az)] = b
            at[there] = a
            coord[a, 0], coord[a, 1], coord[a, 2] = bx, by, bz
            place[a, 0], place[a, 1], place[a, 2] = x1, y1, z1
            if b >= 0:
                coord[b, 0], coord[b, 1], coord[b, 2] = ax, ay, az
                place[b, 0], place[b, 1], place[b, 2] = x0, y0, z0
        change[stage] = gain
        rates[stage] = accepted / per_stage
        if shrink:
            reach = min(max(reach * (1.0 + 0.1 * (rates[stage] - WANTED_RATE)), 1.0), float(widest))


@dataclass(frozen=True, eq=False)
class Annealed:
    """``cell_of_node`` (nodes,) after the last stage; ``cost`` (stages,) and ``rates`` (stages,) of accepted moves."""

    cell_of_node: Ints
    cost: Ints
    rates: npt.NDArray[np.float64]


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
    """Anneal from ``start`` (nodes,), every node on its own usable cell, with ``moves`` moves in all.

    Each of ``temperatures`` (stages,), in units of cost, gets the same number of moves; at 0 no move makes it worse.
    ``window``: how many cells a move may go along an axis, but for moves to a neighbour; None: any, shrinking.
    """
    at = np.where(cells.usable, FREE, NO_CELL).astype(np.int64)
    at[start] = np.arange(traffic.nodes)
    coordinates = cells.coordinates(start)
    change = np.zeros(temperatures.size, dtype=np.int64)
    rates = np.zeros(temperatures.size)
    per_stage = max(moves // temperatures.size, 1)
    before = cost(traffic, cells, start)
    _run(
        traffic.indptr, traffic.neighbours, traffic.weights, *(ruler.astype(np.int32) for ruler in cells.positions),
        _beside(cells), UPHILL, at, coordinates, temperatures, per_stage, float(window or MOST_CELLS), window is None,
        seed, DIRECTED, change, rates,
    )  # fmt: skip
    return Annealed(cells.number(coordinates), before + np.cumsum(change), rates)


def cooling(hot: float, cold: float, stages: int) -> npt.NDArray[np.float64]:
    """(stages,) falling temperatures from ``hot`` to ``cold`` by equal ratios, ten percent of them 0 at the end."""
    falling = stages - max(stages // 10, 1)
    ratio = round((cold / hot) ** (1 / max(falling - 1, 1)), 12)  # rounded: the power differs between machines
    return np.concatenate([hot * np.cumprod(np.r_[1.0, np.full(falling - 1, ratio)]), np.zeros(stages - falling)])


def moves_for(traffic: Traffic, visits: float) -> int:
    """How many moves make about ``visits`` visits of edges, which measure the time that annealing takes."""
    return max(int(visits / (traffic.neighbours.size / traffic.nodes + 4)), 1)


def temperature_for(traffic: Traffic, cells: Cells, start: Ints, rate: float, *, window: int | None = None) -> float:
    """The lowest power of sqrt 2 at which a share of ``rate`` of the first moves from ``start`` is accepted."""
    moves = max(2000, min(traffic.nodes, 20000))
    low, high = -8, 120  # exponents of sqrt 2
    while low < high:
        middle = (low + high) // 2
        temperature = np.array([_root_two(middle)])
        got = anneal(traffic, cells, start, temperature, moves, window=window).rates[0]
        low, high = (low, middle) if got >= rate else (middle + 1, high)
    return _root_two(low)


def _root_two(power: int) -> float:
    return float(2.0 ** (power // 2)) * (1.4142135623730951 if power % 2 else 1.0)


def _beside(cells: Cells) -> Ints:
    """Steps to the cells beside a cell: the eight around it in its plane, one up and one down."""
    spans = [(-1, 0, 1) if length > 1 else (0,) for length in cells.shape]
    steps = [(x, y, z) for x in spans[0] for y in spans[1] for z in spans[2] if (x or y or z) and not (z and (x or y))]
    return np.array(steps or [(0, 0, 0)], dtype=np.int64)
