"""Tables on the cores of a system: parts, places, and the links of their spikes.

Public Lava takes no placement from a user: Intel's own compiler places the neurons. This module
decides if a network fits, how it is split, how many cores and chips it needs and what its traffic
costs. deploy.py can pass on the split.

The formulas of memory are read off the logs of Intel's own partitioner (limits.py has their
certainty). They lie on the safe side where the logs leave a choice. The structure of a projection
decides how it is stored: ``dense`` and ``one-to-one`` row by row, ``sparse`` row by row with its
synapses only, ``window`` as a kernel shared over space. The cost of delays is not public, and
nothing is counted for them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2.limits import (
    AXON_HEADER_BITS,
    CHIP,
    CHIP_LINK,
    CORES_OFF,
    ENTRY_BYTES,
    KERNEL_AXONS,
    KERNEL_MAPS,
    KERNEL_OUT_AXONS,
    SYNAPSE_BITS,
    SYNAPSE_WORD_BYTES,
    SYSTEMS,
    WORD_BITS,
)
from nirc.backends.loihi2.tables import Projection as Synapses
from nirc.backends.loihi2.tables import Tables
from nirc.chip.backend import Search
from nirc.chip.target import Target
from nirc.ir.arrays import Float
from nirc.mapping import partition as parts_
from nirc.mapping.distinct import distinct
from nirc.mapping.floorplan import Core, Floorplan, Link, Part, Point
from nirc.mapping.partition import Cores, Explicit, Partition, Problem, Resource
from nirc.mapping.partition.boxes import Boxes, Ints, lengths, three_axes, volume
from nirc.mapping.partition.reach import Blocks, Window
from nirc.mapping.placement import Cells, cost

MOST_TRIED = 6  # cores whose every order is tried. More are annealed.
MOST_BY_HAND = 64  # cores whose links are followed one by one
DEFAULT_RATE = 0.1  # spikes of a neuron in a step where nothing was measured (?: a choice)

Shape = tuple[int, ...]
Rates = Mapping[str, Float]


# Names of the limits, in the order of the columns of a cost.
RESOURCES = (
    "neurons of a core",
    "neuron groups of a core",
    "input axons of a core",
    "axon maps of a core",
    "output axons of a core",
    "synapse memory of a core",
    "shared memory of a core",
)


@dataclass(frozen=True)
class Placed:
    """Parts on places.

    ``cell`` (cores,): the place of each core in use. ``targets``: the cores each part sends to.
    """

    partition: Partition
    cell: Ints
    floorplan: Floorplan
    targets: tuple[Ints, ...]
    deadlock: str


@dataclass(frozen=True)
class Chip:
    """A network on Loihi 2."""

    tables: Tables
    placed: Placed


def place(partition: Partition, target: Target, search: Search) -> Placed:
    """Place the cores of a partition."""
    cells = cells_of(target, partition.count)
    traffic = partition.between_cores()
    if partition.count <= MOST_TRIED:
        at, bound = _every_order(partition, cells)
    else:
        from nirc.mapping.placement.place import place_on

        result = place_on(traffic, cells, effort=search.effort, seed=search.seed)
        at, bound = result.cell_of_node, result.bound
    links, targets, deadlock = _routed(partition, cells, at)
    plan = Floorplan(
        size=cells.shape,
        chip=CHIP,
        limits={r.name: (r.capacity, r.unit) for r in partition.cores.resources},
        cores=_cores(partition, cells, at),
        links=links,
        absent=tuple(_points(cells, np.flatnonzero(~cells.usable))),
        cost=cost(traffic, cells, at) / 1000 if traffic.weights.size else 0,
        bound=bound / 1000,
    )
    return Placed(partition, at, plan, targets, deadlock)


def cells_of(target: Target, cores: int) -> Cells:
    """Return as many chips as ``cores`` need, in the shape nearest to a cube.

    The last cores of a chip are not used.
    """
    width, height, depth = SYSTEMS[target.variant]
    per_chip = CHIP[0] * CHIP[1] - CORES_OFF[target.variant]
    wanted = min(-(-cores // per_chip), width * height * depth)
    sides = [1, 1, 1]
    while math.prod(sides) < wanted:  # grow the shortest side that may grow
        axes = [axis for axis in range(3) if sides[axis] < SYSTEMS[target.variant][axis]]
        sides[min(axes, key=lambda axis: sides[axis])] += 1
    x, y, z = sides
    chips = Cells.chips((x, y, z), CHIP, chip_link=CHIP_LINK)
    at = chips.coordinates(np.arange(chips.usable.size)) % np.array(CHIP)
    off = at[:, 0] + CHIP[0] * at[:, 1] >= per_chip
    return Cells.chips((x, y, z), CHIP, chip_link=CHIP_LINK, excluded=np.flatnonzero(off).tolist())


def problem_of(tables: Tables, shapes: Mapping[str, Shape], rates: Rates) -> Problem:
    """Return the partitioner's problem: a population for each process, structures of synapses."""
    maps: dict[str, Shape] = {}
    for p in tables.projections:
        if p.geometry is not None:
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
        # Two kernels see one population as different maps. This is the safe side.
        return parts_.dense(source, target)
    if p.places is None:
        return parts_.dense(source, target)
    rows, cols = p.places
    n = int(np.prod(three_axes(source)))
    if source == target and len(rows) == n and (rows == cols).all():
        return parts_.one_to_one(source)
    return parts_.sparse(source, target, cols, rows)


def _every_order(partition: Partition, cells: Cells) -> tuple[Ints, int]:
    """Return the cheapest of all orders on places close together, and a bound.

    The bound counts one hop for every edge.
    """
    traffic = partition.between_cores()
    places = cells.curve()[: partition.count]
    if not traffic.weights.size:
        return places, 0
    orders = [places[list(order)] for order in itertools.permutations(range(partition.count))]
    at = min(orders, key=lambda at: cost(traffic, cells, at))
    hop = min(int(np.diff(ruler).min()) for ruler in cells.positions if ruler.size > 1)
    return at, int(traffic.edges()[2].sum()) * hop


def _cores(partition: Partition, cells: Cells, at: Ints) -> tuple[Core, ...]:
    width, height, _ = (n // k for n, k in zip(cells.shape, CHIP, strict=True))
    parts: list[list[Part]] = [[] for _ in range(partition.count)]
    rows = (partition.population.tolist(), partition.boxes.tolist(), partition.core.tolist())
    for number, box, core in zip(*rows, strict=True):
        population = partition.problem.populations[number]
        spans = tuple((a, b) for a, b in box[: len(population.shape)])
        parts[core].append(Part(population.name, spans))
    names = [r.name for r in partition.cores.resources]
    result = []
    for core, point in enumerate(_points(cells, at)):
        cx, cy, cz = (k // n for k, n in zip(point, CHIP, strict=True))
        usage = dict(zip(names, partition.usage[core].tolist(), strict=True))
        result.append(Core(cx + width * (cy + height * cz), point, tuple(parts[core]), usage))
    return tuple(result)


def _points(cells: Cells, numbers: Ints) -> list[Point]:
    return [(x, y, z) for x, y, z in cells.coordinates(numbers).tolist()]


def _routed(
    partition: Partition, cells: Cells, at: Ints
) -> tuple[tuple[Link, ...], tuple[Ints, ...], str]:
    """Return links with their spikes a step, the cores each part sends to, and a sentence.

    The sentence tells if routes may wait for one another.
    """
    reached = _reached(partition)
    ordered = "x, then y, then z: such ways never wait for one another in a circle"
    if partition.count == 1:
        return (), reached, ordered
    if partition.count <= MOST_BY_HAND:
        return _by_hand(partition, cells, at, reached), reached, ordered
    from nirc.mapping.floorplan import loaded_links
    from nirc.mapping.routing import Nets
    from nirc.mapping.routing.deadlock import check
    from nirc.mapping.routing.links import mesh
    from nirc.mapping.routing.route import route

    graph = mesh(*cells.shape).with_borders(CHIP, cost=float(CHIP_LINK))
    nets = partition.nets()
    sources, targets_at = at[nets.source].astype(np.int32), at[nets.target].astype(np.int32)
    nets = Nets(sources, nets.first, targets_at, nets.weight)
    routes = route(nets, graph)
    return loaded_links(graph, routes), reached, check(graph, routes).text


def _reached(partition: Partition) -> tuple[Ints, ...]:
    """Return for each part the cores that its spikes go to, rising."""
    edges = partition.hyperedges
    sender = edges.source[edges.edge_of]
    inner = sender >= 0
    key = sender[inner] * partition.count + partition.core[edges.target[inner]]
    parts = len(partition.core)
    sender, core = np.divmod(distinct(key, parts * partition.count), partition.count)
    return tuple(np.split(core, np.searchsorted(sender, np.arange(1, parts))))


def _by_hand(
    partition: Partition, cells: Cells, at: Ints, targets: tuple[Ints, ...]
) -> tuple[Link, ...]:
    """Return dimension-ordered trees of a few cores, without compiled code.

    ``nirc.mapping.route`` makes the same trees.
    """
    places = _points(cells, at)
    sent = np.zeros(len(partition.core))
    edges = partition.hyperedges
    np.add.at(sent, edges.source[edges.source >= 0], edges.weight[edges.source >= 0])
    loads: dict[tuple[Point, Point], float] = {}
    for part, cores in enumerate(targets):
        start = places[partition.core[part]]
        tree = set(itertools.chain.from_iterable(_route(start, places[core]) for core in cores))
        for step in tree:
            loads[step] = loads.get(step, 0.0) + float(sent[part])
    return tuple(Link(a, b, round(load, 6)) for (a, b), load in sorted(loads.items()) if load)


def _route(source: Point, target: Point) -> list[tuple[Point, Point]]:
    here, steps = list(source), []
    for axis in range(3):
        step = int(np.sign(target[axis] - here[axis]))
        while here[axis] != target[axis]:
            before = (here[0], here[1], here[2])
            here[axis] += step
            steps.append((before, (here[0], here[1], here[2])))
    return steps


# Resources that a part of a population takes of a core.


def cores_of(problem: Problem, target: Target, *, weight_bits: int | Sequence[int] = 8) -> Cores:
    """Return the cores of a variant of Loihi 2, with the cost of parts of ``problem``.

    ``weight_bits``: of the weights of all projections or of each, in the problem's order. It counts
    for kernels. A population must have one pair of decays and one threshold. It is one neuron group
    on each core that has a part of it.
    """
    bits = (
        [weight_bits] * len(problem.projections)
        if isinstance(weight_bits, int)
        else list(weight_bits)
    )
    if len(bits) != len(problem.projections):
        raise ValueError(f"{len(bits)} sizes of weights for {len(problem.projections)} projections")
    into: list[list[int]] = [[] for _ in problem.populations]
    out_of: list[list[int]] = [[] for _ in problem.populations]
    for k, p in enumerate(problem.projections):
        into[p.target].append(k)
        out_of[p.source].append(k)

    def cost(population: int, boxes: Boxes) -> Ints:
        neurons = volume(boxes)
        places = lengths(boxes)[:, 1:].prod(axis=1)
        none = np.zeros_like(neurons)
        axons, words, maps, out_axons = none, none, none, none
        for k in into[population]:
            more = _axons_and_words(problem.projections[k], boxes, bits[k])
            axons, words = axons + more[0], words + more[1]
        kinds = [problem.projections[k].reach.kind for k in out_of[population]]
        for kind in kinds or ["output"]:
            maps = maps + (KERNEL_MAPS * places if kind == "window" else neurons)
            out_axons = out_axons + (KERNEL_OUT_AXONS * places if kind == "window" else none)
        pool = ENTRY_BYTES * (neurons + axons + maps + out_axons) + SYNAPSE_WORD_BYTES * words
        return np.stack(
            [neurons, np.ones_like(neurons), axons, maps, out_axons, words, pool], axis=1
        )

    limits = {limit.name: limit for limit in target.limits}
    resources = tuple(Resource(name, limits[name].max, limits[name].unit) for name in RESOURCES)
    return Cores(resources, target.max("cores"), cost)


def row_words(synapses: Ints) -> Ints:
    """Return the words for the synapses of one input axon of a dense layer or a list."""
    return np.where(synapses > 0, -(-(synapses * SYNAPSE_BITS + AXON_HEADER_BITS) // WORD_BITS), 0)


def _axons_and_words(projection: parts_.Projection, boxes: Boxes, bits: int) -> tuple[Ints, Ints]:
    """Return (k,) input axons and (k,) words of synapse memory that each box takes."""
    reach = projection.reach
    if isinstance(reach, Explicit):
        fans = [reach.fans(box) for box in boxes]
        sizes = np.array([fan.size for fan in fans], dtype=np.int64)
        return sizes, np.array([row_words(fan).sum() for fan in fans], dtype=np.int64)
    axons = reach.axons(boxes)
    if reach.kind == "dense":
        return axons, axons * row_words(volume(boxes))
    if reach.kind == "one-to-one":
        return axons, axons * row_words(np.ones(len(boxes), dtype=np.int64))
    channels, *space = reach.axes
    taps = int(np.prod([axis.kernel for axis in space if isinstance(axis, Window)]))
    per_channel = channels.n_in // (channels.groups if isinstance(channels, Blocks) else 1)
    words = -(-lengths(boxes)[:, 0] * per_channel * taps * bits // WORD_BITS)
    return np.full(len(boxes), KERNEL_AXONS), words
