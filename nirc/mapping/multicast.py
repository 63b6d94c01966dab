"""Neurons on the cores of a mesh with the fewest links of multicast trees.

A spike goes from its neuron's core to all cores with a target, first along x, then along y. It
costs the links of this tree. Groups of neurons that are found without the places of their cores
(``regroup``, then ``place_on``) know nothing of trees. Annealing moves single neurons and exchanges
pairs of neurons, and counts the links of every tree. Small networks are annealed from several
random starts, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.chance import UPHILL, below, first_state, following
from nirc.mapping.effort import Effort
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph
from nirc.mapping.partition.regroup import regroup
from nirc.mapping.placement import Cells, Traffic
from nirc.mapping.placement.anneal import cooling
from nirc.mapping.placement.place import place_on
from nirc.native.loops import in_c

MOST_SIDE = 64  # rows and columns are the bits of a word
MOST_PINS = 1 << 27  # of nets or neurons times cells
# Nets that are looked at. 1e8 are about 2 s on an idle core.
WORK: dict[Effort, float] = {"quick": 2e7, "normal": 2e8, "thorough": 2e9}
MOVES_PER_PAIR = 1500  # of a run from a random start, for each neuron and cell
MOST_STARTS = 5
STARTED = 0.5  # the largest share of the work for random starts
REHEATS = 1.0, 0.1, 0.5, 0.3, 0.15  # first temperatures, in units of the mean weight of a net
ROUNDS = 2  # through all of these
COLDEST = 0.4  # of a run's first temperature (benchmarks/hysmap.py)
STAGES = 100


@dataclass(frozen=True, eq=False)
class Trees:
    """Nets on a mesh. ``source`` (nets,): the node that sends, which is a pin of its net.

    ``least``, ``capacity`` (resources,): the use of each cell lies between them.
    """

    graph: Hypergraph
    source: Ints
    width: int
    height: int
    least: Ints
    capacity: Ints

    def __post_init__(self) -> None:
        cells = self.width * self.height
        if not (0 < self.width <= MOST_SIDE and 0 < self.height <= MOST_SIDE):
            raise ValueError(f"{self.width} x {self.height} cells, possible are 1 to {MOST_SIDE}")
        if max(self.graph.weight.size, len(self.graph.size)) * cells > MOST_PINS:
            raise ValueError(f"more than {MOST_PINS} nets or neurons times cells")

    def cost(self, cell: Ints) -> int:
        """Return the sum over the nets of weight times links. ``cell`` (nodes,)."""
        net = np.repeat(np.arange(self.graph.weight.size), np.diff(self.graph.begin))
        y, x = np.divmod(cell[self.graph.pin], self.width)
        own_y, own_x = np.divmod(cell[self.source], self.width)
        total = _spans(own_x, net, x)
        for column in range(self.width):
            here = x == column
            total = total + _spans(own_y, net[here], y[here])
        return int((total * self.graph.weight).sum())

    def holds(self, cell: Ints) -> bool:
        """Return True if the use of every cell is allowed."""
        loads = self.graph.loads(cell, self.width * self.height)
        return bool(((loads >= self.least) & (loads <= self.capacity)).all())


def _spans(start: Ints, net: Ints, along: Ints) -> Ints:
    """Return (nets,) the distance of the first and the last pin. ``start`` is a pin of each net."""
    first, last = start.copy(), start.copy()
    np.minimum.at(first, net, along)
    np.maximum.at(last, net, along)
    return last - first


def place_neurons(trees: Trees, *, effort: Effort = "normal", seed: int = 0) -> Ints | None:
    """Return (nodes,) a cell of each neuron, or None if none is found within the capacities."""
    start = _even(trees, _grouped(trees, effort, seed))
    if start is None:
        return None
    graph = trees.graph
    nodes, cells = len(graph.size), trees.width * trees.height
    moves = int(WORK[effort] / max(graph.pin.size / max(nodes, 1), 1))
    best = annealed(trees, start, np.zeros(1), 0, seed)
    run = MOVES_PER_PAIR * nodes * cells
    starts = min(int(STARTED * moves / max(run, 1)), MOST_STARTS)
    for number in range(starts):
        begin = _even(trees, _random(nodes, cells, seed * MOST_STARTS + number))
        if begin is not None:
            best = _better(trees, best, begin, 1.0, run, seed * MOST_STARTS + number)
    rest = (moves - starts * run) // (ROUNDS * len(REHEATS))
    for number, share in enumerate(REHEATS * ROUNDS):
        best = _better(trees, best, best, share, rest, (seed << 10) + number)
    return best


def _better(trees: Trees, best: Ints, start: Ints, hot: float, moves: int, seed: int) -> Ints:
    """Return the cheaper of ``best`` and of annealing from ``start``. An equal cost replaces it.

    ``hot``: the first temperature, in units of the mean weight of a net.
    """
    weight = trees.graph.weight
    mean = max(float(weight.sum()) / max(int(np.count_nonzero(weight)), 1), 1.0)
    temperatures = cooling(hot * mean, COLDEST * hot * mean, STAGES)
    found = annealed(trees, start, temperatures, moves, seed)
    return min(found, best, key=trees.cost)


def _grouped(trees: Trees, effort: Effort, seed: int) -> Ints:
    """Return the cells of groups that share a core, by the spikes between groups."""
    graph, cells = trees.graph, trees.width * trees.height
    block = regroup(graph, cells, trees.capacity, effort=effort, seed=seed)
    if block is None:
        return _random(len(graph.size), cells, seed)
    net = np.repeat(np.arange(graph.weight.size), np.diff(graph.begin))
    net, target = np.divmod(np.unique(net * cells + block[graph.pin]), cells)
    traffic = Traffic.from_edges(cells, block[trees.source[net]], target, graph.weight[net])
    mesh = Cells.mesh(trees.width, trees.height)
    return place_on(traffic, mesh, effort=effort, seed=seed).cell_of_node[block]


def _random(nodes: int, cells: int, seed: int) -> Ints:
    return np.random.default_rng(seed).permutation(np.arange(nodes) % cells)


def _even(trees: Trees, cell: Ints) -> Ints | None:
    """Return ``cell`` with nodes moved until every cell's use is allowed, or None."""
    size, cells = trees.graph.size, trees.width * trees.height
    cell = cell.copy()
    loads = trees.graph.loads(cell, cells)
    for node in np.argsort(-size.sum(axis=1), kind="stable").tolist():
        here = int(cell[node])
        wanted = (loads < trees.least).any(axis=1)
        full = np.any(loads > trees.capacity, axis=1)
        if not wanted.any() and not full.any():
            break
        room: npt.NDArray[np.bool_] = (loads + size[node] <= trees.capacity).all(axis=1)
        if wanted.any():
            room &= wanted
        spare = (loads[here] - size[node] >= trees.least).all()
        leaves = full[here] or (wanted.any() and spare)
        if leaves and room.any():
            cell[node] = np.flatnonzero(room)[np.argmin(loads[room, 0])]
            loads[here] -= size[node]
            loads[cell[node]] += size[node]
    return cell if trees.holds(cell) else None


def annealed(
    trees: Trees, start: Ints, temperatures: npt.NDArray[np.float64], moves: int, seed: int
) -> Ints:
    """Return (nodes,) cells after ``moves`` moves from ``start``, which the capacities allow.

    ``temperatures`` (stages,), in units of cost: each gets the same number of moves.
    """
    graph, cell = trees.graph, start.astype(np.int64, copy=True)
    cells = trees.width * trees.height
    nets = graph.begin, graph.pin, graph.weight, *graph.incidence, graph.size, trees.source
    limits = np.tile(trees.least, (cells, 1)), np.tile(trees.capacity, (cells, 1))
    schedule = temperatures, moves // temperatures.size, seed, UPHILL
    if graph.weight.size and cells > 1:
        _run(nets, limits, cell, (trees.width, trees.height), schedule)
    return cell


@in_c("multicast", "qqqqqqqqqq*nndnnd")
def _run(nets: Any, limits: Any, cell: Any, mesh: Any, schedule: Any) -> Any:
    """Anneal in place. ``cell`` (nodes,)."""
    begin, pin, weight, of_begin, of_net, size, _ = nets
    least, capacity = limits
    width, height = mesh
    temperatures, moves, seed, uphill = schedule
    loads, members = _counted(nets, cell, width * height)
    held = cell, loads, members
    tree = [_links(nets, held, net, width, {}) for net in range(weight.size)]
    state = first_state(seed)
    half = np.uint64(32)
    for temperature in temperatures:
        for move in range(moves):
            state = following(state)
            a = below(state >> half, cell.size)
            luck = uphill[np.int64(state & np.uint64(4095))]
            first, degree = of_begin[a], of_begin[a + 1] - of_begin[a]
            state = following(state)
            if move & 1 and degree > 0:  # every other move goes to a neighbour's cell
                net = of_net[first + below(state >> half, degree)]
                state = following(state)
                to = cell[pin[begin[net] + below(state >> half, begin[net + 1] - begin[net])]]
            else:
                to = below(state >> half, width * height)
            state = following(state)
            here = cell[a]
            if to == here:
                continue
            moved = {a: to}
            alone = _allowed(loads, size, moved, cell, least, capacity)
            if not (alone and state & np.uint64(1)) and members[to]:
                b = members[to][below(state >> half, len(members[to]))]
                moved[b] = here
                if not _allowed(loads, size, moved, cell, least, capacity):
                    continue
            elif not alone:
                continue
            touched: set[int] = set()
            for node in moved:
                touched.update(of_net[of_begin[node] : of_begin[node + 1]])
            after = {net: _links(nets, held, net, width, moved) for net in touched}
            change = sum(weight[net] * (after[net] - tree[net]) for net in touched)
            if change > np.int64(temperature * luck):
                continue
            for net in touched:
                tree[net] = after[net]
            for node, new in moved.items():
                _put(held, size, node, new)


def _counted(nets: Any, cell: Any, cells: Any) -> Any:
    """Return (cells, resources) the use of each cell, and the nodes on each cell."""
    size = nets[5]
    loads = np.zeros((cells, size.shape[1]), np.int64)
    members: list[list[int]] = [[] for _ in range(cells)]
    for node in range(cell.size):
        loads[cell[node]] += size[node]
        members[cell[node]].append(node)
    return loads, members


def _put(held: Any, size: Any, node: Any, to: Any) -> None:
    cell, loads, members = held
    here = members[cell[node]]
    here[here.index(node)] = here[-1]
    here.pop()
    members[to].append(node)
    loads[cell[node]] -= size[node]
    loads[to] += size[node]
    cell[node] = to


def _allowed(loads: Any, size: Any, moved: Any, cell: Any, least: Any, capacity: Any) -> Any:
    """Return True if the cells may hold what they would after the moves."""
    change: dict[Any, Any] = {}
    for node, to in moved.items():
        change[to] = change.get(to, 0) + size[node]
        change[cell[node]] = change.get(cell[node], 0) - size[node]
    return all(
        (loads[k] + change[k] <= capacity[k]).all() and (loads[k] + change[k] >= least[k]).all()
        for k in change
    )


def _links(nets: Any, held: Any, net: Any, width: Any, moved: Any) -> Any:
    """Return the links of the tree of a net, with some nodes on other cells."""
    begin, pin, *_, source = nets
    cell = held[0]
    start = moved.get(source[net], cell[source[net]])
    pins = pin[begin[net] : begin[net + 1]]
    y, x = np.divmod(np.array([moved.get(node, cell[node]) for node in pins]), width)
    along = np.append(x, start % width)
    total = along.max() - along.min()
    for column in np.unique(x):
        rows = np.append(y[x == column], start // width)
        total += rows.max() - rows.min()
    return total
