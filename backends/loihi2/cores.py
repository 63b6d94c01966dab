"""Tables on the cores of a system: which parts, where, and over which links their spikes go.

Public Lava takes no placement from a user: where a neuron sits is decided by Intel's own compiler.
What is decided here is whether a network fits, how it is split, how many cores and chips it needs
and what its traffic costs; deploy.py can hand over the split.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2.geometry import Geometry
from nirc.backends.loihi2.limits import CHIP, CHIP_LINK, CORES_OFF, SYSTEMS
from nirc.backends.loihi2.memory import cores_of
from nirc.backends.loihi2.tables import Projection as Synapses
from nirc.backends.loihi2.tables import Tables
from nirc.chip.target import Target
from nirc.ir.arrays import Float
from nirc.mapping import partition as parts_
from nirc.mapping.cells import Cells, cost
from nirc.mapping.floorplan import Core, Floorplan, Link, Part, Point
from nirc.mapping.partition import Partition, Problem
from nirc.mapping.partition.boxes import three_axes
from nirc.mapping.traffic import Ints

MOST_TRIED = 6  # cores whose every order is tried; more are annealed
MOST_BY_HAND = 64  # cores whose links are followed one by one
DEFAULT_RATE = 0.1  # spikes of a neuron in a step where nothing was measured (?: a choice)

Shape = tuple[int, ...]
Rates = Mapping[str, Float]


@dataclass(frozen=True)
class Placed:
    """Parts on places.

    ``cell`` (cores,): of each core in use; ``targets``: for each part the cores it sends to.
    """

    partition: Partition
    cell: Ints
    floorplan: Floorplan
    targets: tuple[tuple[int, ...], ...]
    deadlock: str


def place(
    tables: Tables,
    shapes: Mapping[str, Shape],
    rates: Rates,
    target: Target,
    *,
    seed: int,
    quick: bool,
) -> Placed:
    """Cores for ``tables``. ``shapes``: of populations, where they are maps. ``rates``: spikes of a
    neuron a step.

    Raises ``nirc.mapping.partition.PartitionError`` if it does not fit.
    """
    problem = problem_of(tables, shapes, rates)
    found = parts_.partition(
        problem, cores_of(problem, target), effort="quick" if quick else "normal", seed=seed
    )
    cells = cells_of(target, found.count)
    traffic = found.between_cores()
    if found.count <= MOST_TRIED:
        at, bound = _every_order(found, cells)
    else:
        from nirc.mapping.place import place_on

        result = place_on(traffic, cells, effort="quick" if quick else "normal", seed=seed)
        at, bound = result.cell_of_node, result.bound
    links, targets, deadlock = _routed(found, cells, at)
    plan = Floorplan(
        size=cells.shape,
        chip=CHIP,
        limits={r.name: (r.capacity, r.unit) for r in found.cores.resources},
        cores=_cores(found, cells, at),
        links=links,
        absent=tuple(_points(cells, np.flatnonzero(~cells.usable))),
        cost=cost(traffic, cells, at) / 1000 if traffic.weights.size else 0,
        bound=bound / 1000,
    )
    return Placed(found, at, plan, targets, deadlock)


def cells_of(target: Target, cores: int) -> Cells:
    """As many chips of the system as ``cores`` need, in the shape nearest to a cube; the last cores
    of a chip rest.
    """
    width, height, depth = SYSTEMS[target.variant]
    per_chip = CHIP[0] * CHIP[1] - CORES_OFF[target.variant]
    wanted = min(-(-cores // per_chip), width * height * depth)
    x = y = z = 1
    while x * y * z < wanted:  # grow the shortest side that may grow
        _, axis = min(
            (n, i)
            for i, (n, most) in enumerate(zip((x, y, z), (width, height, depth), strict=True))
            if n < most
        )
        x, y, z = (n + (i == axis) for i, n in enumerate((x, y, z)))
    core = np.arange(CHIP[0] * CHIP[1])
    last = set(core[len(core) - CORES_OFF[target.variant] :].tolist())
    whole = Cells.chips((x, y, z), CHIP, chip_link=CHIP_LINK)
    at = whole.coordinates(np.arange(whole.usable.size)) % np.array(CHIP)
    off = np.isin(at[:, 0] + CHIP[0] * at[:, 1], sorted(last))
    return Cells.chips((x, y, z), CHIP, chip_link=CHIP_LINK, excluded=np.flatnonzero(off).tolist())


def problem_of(tables: Tables, shapes: Mapping[str, Shape], rates: Rates) -> Problem:
    """What is to be partitioned: a population for each process of Lava, with the structure of its
    synapses.
    """
    maps: dict[str, Shape] = {}
    for p in tables.projections:
        if isinstance(p.geometry, Geometry):
            maps.setdefault(p.source, p.geometry.shape_in)
            maps.setdefault(p.target, p.geometry.shape_out)
    sizes = tables.sizes()
    shape = {name: maps.get(name, shapes.get(name, (n,))) for name, n in sizes.items()}
    inputs = {source.name for source in tables.inputs}
    populations = tuple(
        parts_.Population(
            name, shape[name], rates.get(name, DEFAULT_RATE), on_core=name not in inputs
        )
        for name in sizes
    )
    number = {name: i for i, name in enumerate(sizes)}
    projections = tuple(
        parts_.Projection(
            number[p.source], number[p.target], _reach(p, shape[p.source], shape[p.target])
        )
        for p in tables.projections
    )
    return Problem(populations, projections)


def _reach(p: Synapses, source: Shape, target: Shape) -> parts_.Reach:
    g = p.geometry
    if g is not None:
        if (source, target) == (g.shape_in, g.shape_out):
            ky, kx = p.weights.shape[2:]
            return parts_.window(
                source,
                target,
                (ky, kx),
                stride=g.stride,
                padding=g.padding,
                dilation=g.dilation,
                groups=g.groups,
            )
        return parts_.dense(
            source, target
        )  # two kernels see one population as different maps: the safe side
    if p.rows is None or p.cols is None:
        return parts_.dense(source, target)
    n = len(p.rows)
    if source == target and n == int(np.prod(three_axes(source))) and (p.rows == p.cols).all():
        return parts_.one_to_one(source)
    return parts_.sparse(source, target, p.cols, p.rows)


def _every_order(found: Partition, cells: Cells) -> tuple[Ints, int]:
    """The cheapest of all orders on a few places close together, and a bound: every edge at least
    one hop.
    """
    traffic = found.between_cores()
    curve = cells.curve()
    some = curve[: found.count]
    if not traffic.weights.size:
        return some, 0
    orders = [some[list(order)] for order in itertools.permutations(range(found.count))]
    at = min(orders, key=lambda at: cost(traffic, cells, at))
    hop = min(int(np.diff(ruler).min()) for ruler in cells.positions if ruler.size > 1)
    return at, int(traffic.edges()[2].sum()) * hop


def _cores(found: Partition, cells: Cells, at: Ints) -> tuple[Core, ...]:
    width, height, _ = (n // k for n, k in zip(cells.shape, CHIP, strict=True))
    parts: list[list[Part]] = [[] for _ in range(found.count)]
    for population, box, core in zip(
        found.population.tolist(), found.boxes.tolist(), found.core.tolist(), strict=True
    ):
        axes = len(found.problem.populations[population].shape)
        spans = tuple((a, b) for a, b in box[:axes])
        parts[core].append(Part(found.problem.populations[population].name, spans))
    names = [r.name for r in found.cores.resources]
    result = []
    for core, point in enumerate(_points(cells, at)):
        cx, cy, cz = (k // n for k, n in zip(point, CHIP, strict=True))
        usage = dict(zip(names, found.usage[core].tolist(), strict=True))
        result.append(Core(cx + width * (cy + height * cz), point, tuple(parts[core]), usage))
    return tuple(result)


def _points(cells: Cells, numbers: Ints) -> list[Point]:
    return [(x, y, z) for x, y, z in cells.coordinates(numbers).tolist()]


def _routed(
    found: Partition, cells: Cells, at: Ints
) -> tuple[tuple[Link, ...], tuple[tuple[int, ...], ...], str]:
    """Links with their spikes a step, the cores that each part sends to, and whether ways may wait
    for one another.
    """
    edges = found.hyperedges
    targets: list[set[int]] = [set() for _ in found.core]
    inner = edges.source[edges.edge_of] >= 0
    pairs = np.unique(
        np.stack([edges.source[edges.edge_of][inner], found.core[edges.target[inner]]]), axis=1
    )
    for part, core in pairs.T.tolist():
        targets[part].add(core)
    reached = tuple(tuple(sorted(cores)) for cores in targets)
    ordered = "x, then y, then z: such ways never wait for one another in a circle"
    if found.count == 1:
        return (), reached, ordered
    if found.count <= MOST_BY_HAND:
        return _by_hand(found, cells, at, reached), reached, ordered
    from nirc.mapping.deadlock import check
    from nirc.mapping.floorplan import loaded_links
    from nirc.mapping.links import mesh
    from nirc.mapping.nets import Nets
    from nirc.mapping.route import route

    graph = mesh(*cells.shape)
    if CHIP_LINK != 1:
        graph = graph.with_borders(CHIP, cost=float(CHIP_LINK))
    nets = found.nets()
    nets = Nets(
        at[nets.source].astype(np.int32), nets.first, at[nets.target].astype(np.int32), nets.weight
    )
    routes = route(nets, graph)
    return loaded_links(graph, routes), reached, check(graph, routes).text


def _by_hand(
    found: Partition, cells: Cells, at: Ints, targets: tuple[tuple[int, ...], ...]
) -> tuple[Link, ...]:
    """Dimension-ordered trees of a few cores, as ``nirc.mapping.route`` makes them, without
    compiled code.
    """
    places = _points(cells, at)
    sent = np.zeros(len(found.core))
    edges = found.hyperedges
    np.add.at(sent, edges.source[edges.source >= 0], edges.weight[edges.source >= 0])
    loads: dict[tuple[Point, Point], float] = {}
    for part, cores in enumerate(targets):
        tree = {step for core in cores for step in _way(places[found.core[part]], places[core])}
        for step in tree:
            loads[step] = loads.get(step, 0.0) + float(sent[part])
    return tuple(Link(a, b, round(load, 6)) for (a, b), load in sorted(loads.items()) if load)


def _way(source: Point, target: Point) -> list[tuple[Point, Point]]:
    here, steps = list(source), []
    for axis in range(3):
        while here[axis] != target[axis]:
            before = (here[0], here[1], here[2])
            here[axis] += 1 if target[axis] > here[axis] else -1
            steps.append((before, (here[0], here[1], here[2])))
    return steps
