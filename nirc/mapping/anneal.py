"""Simulated annealing of a placement, in a compiled loop.

A move takes a node and a cell. The node and the content of the cell change places. Every other move
puts a node beside one or two of its neighbours. Random cells hardly ever do this on a large mesh.
The other moves stay within a window that shrinks while few moves are accepted, as in VPR (Betz and
Rose, "VPR: a new packing, placement and routing tool for FPGA research", FPL 1997).

Two loops take exactly the same moves. In tabled.py a refused move costs little. The loop in
edgewise.py is for problems with tables too large for the processor's cache. Costs are integers, and
moves.py has its own random numbers. The answer is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.cells import MOST_CELLS, Cells, cost
from nirc.mapping.edgewise import run_edgewise
from nirc.mapping.moves import FREE, NO_CELL, UPHILL
from nirc.mapping.tabled import run_tabled
from nirc.mapping.traffic import Ints, Traffic

MOST_TABLED = 4 << 20  # bytes of the table of costs


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
    at = np.where(cells.usable, FREE, NO_CELL).astype(np.int64)
    at[start] = np.arange(traffic.nodes)
    coordinates = cells.coordinates(start)
    change = np.zeros(temperatures.size, dtype=np.int64)
    rates = np.zeros(temperatures.size)
    per_stage = max(moves // temperatures.size, 1)
    before = cost(traffic, cells, start)
    rulers = [ruler.astype(np.int32) for ruler in cells.positions]
    rest = (_beside(cells), UPHILL, at, coordinates, temperatures, per_stage,
    float(window or MOST_CELLS),
            window is None, seed, change, rates)  # fmt: skip
    edges = traffic.indptr, traffic.neighbours, traffic.weights
    table = _table(traffic, cells)
    if table is None:
        run_edgewise(*edges, *rulers, *rest)
    else:
        run_tabled(*edges, table, _apart(cells, table.dtype), cells.shape, *rest)
    tried = per_stage * temperatures.size
    accepted = float(per_stage * rates.sum())
    degree = traffic.neighbours.size / traffic.nodes
    work = 20 * tried + 2 * degree * accepted * (5 + 0.2 * sum(cells.shape))
    if table is None:
        work = tried * (30 + 7 * degree)
    return Annealed(cells.number(coordinates), before + np.cumsum(change), rates, work)


def _table(traffic: Traffic, cells: Cells) -> npt.NDArray[Any] | None:
    """Return an empty table for the cost of every node at every coordinate, or None if too large.

    Shape: (nodes, width + height + depth), int32 or int64.
    """
    columns = sum(cells.shape)
    heaviest = int(
        np.add.reduceat(np.append(traffic.weights, 0), traffic.indptr[:-1]).max(initial=0)
    )
    kind = np.dtype(np.int32 if heaviest * cells.farthest < 1 << 30 else np.int64)
    if traffic.nodes * columns * kind.itemsize > MOST_TABLED:
        return None
    return np.empty((traffic.nodes, columns), kind)


def _apart(cells: Cells, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the distances between the coordinates of each axis, one block an axis on the diagonal.

    Shape: (width + height + depth,) twice.
    """
    distances = np.zeros((sum(cells.shape),) * 2, kind)
    begin = 0
    for ruler in cells.positions:
        distances[begin : begin + ruler.size, begin : begin + ruler.size] = np.abs(
            np.subtract.outer(ruler, ruler)
        )
        begin += ruler.size
    return distances


def cooling(hot: float, cold: float, stages: int) -> npt.NDArray[np.float64]:
    """Return (stages,) temperatures that fall from ``hot`` to ``cold`` by equal ratios.

    The last tenth of the stages has temperature 0.
    """
    falling = stages - max(stages // 10, 1)
    # Rounded, since the power differs between machines.
    ratio = round((cold / hot) ** (1 / max(falling - 1, 1)), 12)
    return np.concatenate(
        [hot * np.cumprod(np.r_[1.0, np.full(falling - 1, ratio)]), np.zeros(stages - falling)]
    )


def moves_for(traffic: Traffic, visits: float) -> int:
    """Return the number of moves for about ``visits`` visits of edges, a measure of time."""
    return max(int(visits / (traffic.neighbours.size / traffic.nodes + 4)), 1)


def temperature_for(
    traffic: Traffic, cells: Cells, start: Ints, rate: float, *, window: int | None = None
) -> float:
    """Return the lowest power of sqrt 2 that accepts a share of ``rate`` of the first moves."""
    moves = max(2000, min(traffic.nodes, 20000))
    low = -8  # exponents of sqrt 2
    high = 120
    while low < high:
        middle = (low + high) // 2
        temperature = np.array([_root_two(middle)])
        if anneal(traffic, cells, start, temperature, moves, window=window).rates[0] >= rate:
            high = middle
        else:
            low = middle + 1
    return _root_two(low)


def _root_two(power: int) -> float:
    return float(2.0 ** (power // 2)) * (1.4142135623730951 if power % 2 else 1.0)


def _beside(cells: Cells) -> Ints:
    """Return (n, 3) steps to the eight cells around a cell, one cell above and one below."""
    spans = [(-1, 0, 1) if length > 1 else (0,) for length in cells.shape]
    steps = [step for step in product(*spans) if any(step) and not (step[2] and any(step[:2]))]
    return np.array(steps or [(0, 0, 0)], dtype=np.int64)
