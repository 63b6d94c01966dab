"""An order of neurons in which those that belong together follow one another.

Parts are ranges of an order. Where a population's structure is free, its neurons get the order of
the groups that ``regroup`` finds, and each group is a range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nirc.mapping.effort import Effort
from nirc.mapping.partition.boxes import Boxes, Ints
from nirc.mapping.partition.hypergraph import Hypergraph, hypergraph
from nirc.mapping.partition.problem import Cores, Problem, Projection
from nirc.mapping.partition.reach import Explicit
from nirc.mapping.partition.regroup import regroup
from nirc.mapping.partition.result import UNITS_PER_SPIKE, Partition, usage

MOST_GAINS = 1 << 25  # neurons times cores, beyond which the index order stays
ROOM = 1.03  # of a group, to the mean
FREE = ("sparse", "dense", "one-to-one")


@dataclass(frozen=True)
class Order:
    """A population's neurons in a new order, and where to cut it.

    ``neurons`` (n,): the number of each neuron in the old order. ``parts``: boxes of the new order.
    ``core``: of each part.
    """

    neurons: Ints
    parts: Boxes
    core: Ints


def orders(
    partition: Partition, *, effort: Effort = "normal", seed: int = 0
) -> Iterator[dict[int, Order]]:
    """Yield new orders of free populations, by index in the problem, the most promising first.

    ``effort`` "quick" yields none. They have as many groups as the populations have cores in
    ``partition``. A group is as large as the largest there, or a little larger in the first answer.
    The caller must check that its parts fit.
    """
    problem = partition.problem
    free = free_populations(problem)
    first: dict[int, int] = {}
    nodes = 0
    for i in free:
        first[i] = nodes
        nodes += problem.populations[i].neurons
    used = np.unique(partition.core[np.isin(partition.population, free)])
    if effort == "quick" or len(used) < 2 or nodes * len(used) > MOST_GAINS:
        return
    graph = _hypergraph(problem, first, nodes)
    largest = _loads(partition, first, graph.size).max(axis=0)
    mean = graph.size.sum(axis=0) / len(used)
    for roomy in (np.maximum(largest, np.ceil(mean * ROOM)).astype(np.int64), largest):
        block = regroup(graph, len(used), roomy, effort=effort, seed=seed)
        if block is not None:
            cores = used[block]
            counts = {i: problem.populations[i].neurons for i in free}
            yield {i: _order(cores[first[i] : first[i] + counts[i]]) for i in free}
        if (roomy == largest).all():
            return


def in_order(
    partition: Partition, problem: Problem, cores: Cores, changed: dict[int, Order]
) -> Partition | None:
    """Return ``partition`` with the parts of new orders, or None if a core is too small for them.

    ``problem``, ``cores``: with the neurons of these populations in the new orders.
    """
    kept = ~np.isin(partition.population, [*changed])
    counts = [len(order.parts) for order in changed.values()]
    population = np.append(partition.population[kept], np.repeat([*changed], counts))
    boxes = np.concatenate([partition.boxes[kept], *(o.parts for o in changed.values())])
    core = np.concatenate([partition.core[kept], *(o.core for o in changed.values())])
    by = np.argsort(population, kind="stable")
    population, boxes, core = population[by], boxes[by], core[by]
    used = usage(cores, population, boxes, core)
    if (used > cores.capacity).any():
        return None
    return Partition(problem, cores, population, boxes, core, used, partition.bound)


def free_populations(problem: Problem) -> list[int]:
    """Return the populations on cores without kernels, with synapses in a list to or from them.

    Neurons of a map keep their places: parts of it are boxes.
    """
    free = []
    for i, population in enumerate(problem.populations):
        reaches = [p.reach for p in (*problem.into[i], *problem.out_of[i])]
        listed = any(isinstance(reach, Explicit) for reach in reaches)
        flat = population.neurons == population.shape[0]
        if population.on_core and flat and listed and all(reach.kind in FREE for reach in reaches):
            free.append(i)
    return free


def _hypergraph(problem: Problem, first: dict[int, int], nodes: int) -> Hypergraph:
    """Return the nets of the free populations and of all that sends to them.

    Neurons that send from elsewhere have numbers from ``nodes`` on. A dense projection reaches
    every core in any order. The sizes are neurons and synapses.
    """
    number = dict(first)
    count = nodes
    for i, population in enumerate(problem.populations):
        if i not in number:
            number[i] = count
            count += population.neurons
    weight = np.ones(count, np.int64)
    for i, population in enumerate(problem.populations):
        spikes = np.rint(np.asarray(population.rate) * UNITS_PER_SPIKE).astype(np.int64)
        weight[number[i] : number[i] + population.neurons] = np.maximum(spikes, 1)
    size = np.ones((nodes, 2), np.int64)
    sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for p in problem.projections:
        if p.target not in first:
            continue
        ends = _synapses(problem, p)
        if ends is None:
            size[first[p.target] :][: problem.populations[p.target].neurons, 1] += (
                problem.populations[p.source].neurons
            )
        else:
            sources.append(ends[0] + number[p.source])
            targets.append(ends[1] + first[p.target])
            size[:, 1] += np.bincount(targets[-1], minlength=nodes)
    return hypergraph(np.concatenate(sources), np.concatenate(targets), weight, size)


def _synapses(problem: Problem, projection: Projection) -> tuple[Ints, Ints] | None:
    """Return sources and targets, or None for a projection of all to all."""
    reach = projection.reach
    if isinstance(reach, Explicit):
        return np.asarray(reach.source, np.int64), np.asarray(reach.target, np.int64)
    if reach.kind == "one-to-one":
        each = np.arange(problem.populations[projection.source].neurons)
        return each, each
    return None


def _loads(partition: Partition, first: dict[int, int], size: Ints) -> Ints:
    """Return (cores, sizes) what each core has of the free populations."""
    loads = np.zeros((partition.count, size.shape[1]), np.int64)
    for i, at in first.items():
        shape = partition.problem.populations[i].box
        of = size[at : at + partition.problem.populations[i].neurons].reshape(*shape, -1)
        for part in partition.parts_of(i).tolist():
            (a, b), (c, d), (e, f) = partition.boxes[part].tolist()
            loads[partition.core[part]] += of[a:b, c:d, e:f].sum(axis=(0, 1, 2))
    return loads


def _order(block: Ints) -> Order:
    """Return the neurons group by group, each group in its old order."""
    count = np.bincount(block)
    cuts = np.append(0, np.cumsum(count[count > 0]))
    parts = np.zeros((len(cuts) - 1, 3, 2), np.int64)
    parts[:, 0] = np.stack([cuts[:-1], cuts[1:]], axis=1)
    parts[:, 1:, 1] = 1
    return Order(np.argsort(block, kind="stable"), parts, np.flatnonzero(count))
