"""Simulated annealing of a placement, in a compiled loop.

A move takes a node and a cell, and lets the node and whatever is in the cell change places. Every other
move puts a node beside one or two of its neighbours, which random cells hardly ever do on a large mesh; the
others stay within a window that shrinks while few moves are accepted, as in VPR (Betz and Rose, "VPR: a new
packing, placement and routing tool for FPGA research", FPL 1997).

Two loops take the very same moves: tabled.py, where a refused move costs little, and edgewise.py for problems whose
tables would not stay in the processor's cache. Costs are integers and random numbers our own (moves.py): the answer is
the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """``cell_of_node`` (nodes,) after the last stage; ``cost`` (stages,) and ``rates`` (stages,) of accepted moves.

    ``work``: about how many nanoseconds this takes on a server of 2024, by the moves tried and taken.
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
    rulers = [ruler.astype(np.int32) for ruler in cells.positions]
    rest = (_beside(cells), UPHILL, at, coordinates, temperatures, per_stage, float(window or MOST_CELLS),
            window is None, seed, change, rates)  # fmt: skip
    edges = traffic.indptr, traffic.neighbours, traffic.weights
    table = _table(traffic, cells)
    if table is None:
        run_edgewise(*edges, *rulers, *rest)
    else:
        run_tabled(*edges, table, _apart(cells, table.dtype), cells.shape, *rest)
    tried, taken = per_stage * temperatures.size, float(per_stage * rates.sum())
    degree = traffic.neighbours.size / traffic.nodes
    work = 20 * tried + 2 * degree * taken * (5 + 0.2 * sum(cells.shape))
    if table is None:
        work = tried * (30 + 7 * degree)
    return Annealed(cells.number(coordinates), before + np.cumsum(change), rates, work)


def _table(traffic: Traffic, cells: Cells) -> npt.NDArray[Any] | None:
    """Room for the costs of every node at every coordinate; None if that is too much."""
    most = int(np.add.reduceat(np.append(traffic.weights, 0), traffic.indptr[:-1]).max(initial=0)) * cells.farthest
    kind = np.int32 if most < 1 << 30 else np.int64
    table = (
        np.empty((traffic.nodes, sum(cells.shape)), kind) if traffic.nodes * sum(cells.shape) <= MOST_TABLED else None
    )
    return None if table is None or table.nbytes > MOST_TABLED else table


def _apart(cells: Cells, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Distances of the coordinates of each axis, the axes one after the other on the diagonal."""
    made = np.zeros((sum(cells.shape),) * 2, kind)
    begin = 0
    for ruler in cells.positions:
        made[begin : begin + ruler.size, begin : begin + ruler.size] = np.abs(np.subtract.outer(ruler, ruler))
        begin += ruler.size
    return made


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
