"""A partition: parts on cores, with the arrays that placement and routing need.

One spike of a neuron serves all its targets on a core. So traffic is not a sum over edges but over
*hyperedges*: neurons of one part whose spikes go to the same parts. A hyperedge counts its spikes
times the distinct cores of its targets. For structured projections the classes of neurons are
products of classes along the axes (reach.py). No synapse is enumerated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nirc.mapping.distinct import distinct, summed
from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Mosaic
from nirc.mapping.partition.problem import Cores, Floats, Problem
from nirc.mapping.partition.reach import Explicit, Hits, Product, rows_at
from nirc.mapping.placement import Traffic

if TYPE_CHECKING:
    from nirc.mapping.routing import Nets

UNITS_PER_SPIKE = 1000  # traffic is in integers: thousandths of a spike per step


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts by population, then in C order of their first neurons. Cores are 0..count-1."""

    problem: Problem
    cores: Cores
    population: Ints  # (parts,) index in the problem
    boxes: Boxes  # (parts, 3, 2)
    core: Ints  # (parts,)
    usage: Ints  # (cores, resources)
    bound: int  # no partition has fewer cores
    known: tuple[Problem, Hyperedges] | None = None  # the search's hyperedges, of this problem

    @property
    def count(self) -> int:
        """The number of cores in use."""
        return len(self.usage)

    @property
    def proven(self) -> bool:
        """True if no partition has fewer cores."""
        return self.count == self.bound

    def parts_of(self, population: int) -> Ints:
        """Return (k,) the indices of a population's parts."""
        low, high = np.searchsorted(self.population, (population, population + 1))
        return np.arange(low, high)

    @cached_property
    def hyperedges(self) -> Hyperedges:
        """The spikes and the parts that they reach."""
        if self.known is not None and self.known[0] is self.problem:
            return self.known[1]
        return hyperedges(self.problem, self.population, self.boxes)

    @cached_property
    def spikes(self) -> tuple[Ints, Ints, Floats]:
        """(source core or -1, target core, spikes per step): a spike once for each target core."""
        return core_pairs(self.hyperedges, self.core, self.count)

    @cached_property
    def traffic(self) -> float:
        """Spikes per step, each times its distinct target cores (the source's core may be free)."""
        source, target, spikes = self.spikes
        return float(spikes[source != target].sum() if self.cores.local_is_free else spikes.sum())

    def between_cores(self) -> Traffic:
        """Return the traffic to place, without external inputs. Weights are at least 1."""
        source, target, spikes = self.spikes
        inner = (source >= 0) & (spikes > 0)
        weight = np.maximum(np.round(spikes[inner] * UNITS_PER_SPIKE), 1).astype(np.int64)
        return Traffic.from_edges(self.count, source[inner], target[inner], weight)

    def nets(self, outside: int | None = None) -> Nets:
        """Return a net for each sending part, to every core that any of its neurons reaches.

        Weights are spikes per step. Routers are cores here: replace them by indexing with
        ``Nets.source`` and ``.target``. ``outside``: the router where spikes of external inputs
        enter, with a net for each input. None: no nets for external inputs.
        """
        from nirc.mapping.routing import Nets

        edges = self.hyperedges
        external = -1 if outside is None else len(self.core) + edges.population
        senders = np.where(edges.source >= 0, edges.source, external)
        key = senders[edges.edge_of] * self.count + self.core[edges.target]
        ends = (int(senders.max(initial=0)) + 1) * self.count
        sender, target = np.divmod(distinct(key[key >= 0], ends), self.count)
        count = np.bincount(sender)
        used = np.flatnonzero(count)
        count = count[used]
        inside = used < len(self.core)
        source = np.full(used.size, -1 if outside is None else outside)
        source[inside] = self.core[used[inside]]
        sending = senders >= 0
        weight = np.bincount(senders[sending], weights=edges.weight[sending])
        return Nets(source, np.append(0, np.cumsum(count)), target, weight[used].astype(np.float64))


def taken(cores: Cores, population: Ints, boxes: Boxes) -> Ints:
    """Return (parts, resources) the cost of each part. The parts are sorted by population."""
    numbers, first = np.unique(population, return_index=True)
    pieces = zip(numbers.tolist(), np.split(boxes, first[1:]), strict=True)
    return np.concatenate([cores.cost(i, piece) for i, piece in pieces])


def usage(cores: Cores, population: Ints, boxes: Boxes, core: Ints) -> Ints:
    """Return (cores, resources) the use of each core."""
    usage = np.zeros((int(core.max()) + 1, len(cores.resources)), dtype=np.int64)
    np.add.at(usage, core, taken(cores, population, boxes))
    return usage


def core_pairs(edges: Hyperedges, core: Ints, cores: int) -> tuple[Ints, Ints, Floats]:
    """Return ``Partition.spikes`` for ``core`` (parts,)."""
    edge = edges.edge_of
    key = edge * cores + core[edges.target] if edge.size else edge
    edge, target = np.divmod(distinct(key, edges.source.size * cores), max(cores, 1))
    source = np.where(edges.source >= 0, core[edges.source] if core.size else -1, -1)[edge]
    ends = (cores + 1) * cores
    pair, spikes = summed((source + 1) * cores + target, ends, edges.weight[edge])
    source, target = np.divmod(pair, max(cores, 1))
    return source - 1, target, spikes


@dataclass(frozen=True, eq=False)
class Hyperedges:
    """Spikes from parts to sets of parts.

    The target parts of edge i are ``target[first[i]:first[i + 1]]``, rising, each once.
    """

    population: Ints  # (edges,) index of the source
    source: Ints  # (edges,) the source's part, -1 for an external input
    weight: Floats  # (edges,) spikes per step
    first: Ints  # (edges + 1,)
    target: Ints  # (targets,) part

    @property
    def edge_of(self) -> Ints:
        """(targets,) the hyperedge of each target."""
        return np.repeat(np.arange(self.source.size), np.diff(self.first))


def hyperedges(problem: Problem, population: Ints, boxes: Boxes) -> Hyperedges:
    """Return the hyperedges between parts ``boxes`` (k, 3, 2) of the populations (k,)."""
    mosaics = [_mosaic(problem, i, population, boxes) for i in range(len(problem.populations))]
    none = np.zeros(0, dtype=np.int64)
    pieces = [Hyperedges(none, none, np.zeros(0), np.zeros(1, dtype=np.int64), none)]
    for i, projections in enumerate(problem.out_of):
        if projections:
            pieces.append(_out_of(problem, i, mosaics, len(boxes)))
    count = np.concatenate([np.diff(p.first) for p in pieces])
    return Hyperedges(
        np.concatenate([p.population for p in pieces]),
        np.concatenate([p.source for p in pieces]),
        np.concatenate([p.weight for p in pieces]),
        np.append(0, np.cumsum(count)),
        np.concatenate([p.target for p in pieces]),
    )


def _mosaic(problem: Problem, i: int, population: Ints, boxes: Boxes) -> tuple[Mosaic, Ints]:
    """Return a population's parts and their numbers. An external input is one part, number -1."""
    numbers = np.flatnonzero(population == i)
    shape = problem.populations[i].box
    if not problem.populations[i].on_core:
        return Mosaic.of(shape, np.array([[(0, n) for n in shape]])), np.array([-1])
    return Mosaic.of(shape, boxes[numbers]), numbers


def _out_of(
    problem: Problem, i: int, mosaics: Sequence[tuple[Mosaic, Ints]], parts: int
) -> Hyperedges:
    """Return the hyperedges of a population. A key is class * parts + target part."""
    population = problem.populations[i]
    mosaic, numbers = mosaics[i]
    products = [(p.reach, p.target) for p in problem.out_of[i] if isinstance(p.reach, Product)]
    axes = []
    for a in range(AXES):
        hits = [reach.axes[a].hits(mosaics[target][0].cuts[a]) for reach, target in products]
        axes.append(_classes_along(mosaic.cuts[a], hits))
    shape = tuple(axis.size for axis in axes)
    fields = [
        np.searchsorted(cuts, axis.example, side="right") - 1
        for cuts, axis in zip(mosaic.cuts, axes, strict=True)
    ]
    source = numbers[mosaic.box[np.ix_(*fields)]].ravel()
    keys = [
        _keys([axis.hits[k] for axis in axes], shape, mosaics[target], parts)
        for k, (_, target) in enumerate(products)
    ]
    rate = np.asarray(population.rate, np.float64)
    weight = _weights(rate, axes, shape)
    explicit = [(p.reach, p.target) for p in problem.out_of[i] if isinstance(p.reach, Explicit)]
    if explicit:  # every neuron is a class by itself
        of = _class_of_neuron(axes, shape)
        source = source[of]
        weight = np.broadcast_to(rate, population.neurons)
        keys = [_keys_of_neurons(key, of, math.prod(shape), parts) for key in keys]
    for synapses, target in explicit:
        target_mosaic, target_numbers = mosaics[target]
        box = target_mosaic.of_neurons(problem.populations[target].box, synapses.target)
        keys.append(synapses.source * parts + target_numbers[box])
    ends = max(source.size, 1) * parts
    class_, target_part = np.divmod(distinct(np.concatenate(keys), ends), parts)
    count = np.bincount(class_)
    used = np.flatnonzero(count)
    first = np.append(0, np.cumsum(count[used]))
    weights = weight[used].astype(np.float64)
    return Hyperedges(np.full(used.size, i), source[used], weights, first, target_part)


@dataclass(frozen=True, eq=False)
class _AxisClasses:
    """Classes of the coordinates that lie in the same range and reach the same ranges."""

    of: Ints  # (n,) class of each coordinate
    size: int
    example: Ints  # (classes,) a coordinate of each
    hits: tuple[Hits, ...]  # by projection, for these classes


def _classes_along(cuts: Ints, hits: Sequence[Hits]) -> _AxisClasses:
    if cuts.size == 2 and all(hit.first.size == 2 for hit in hits):  # all in one class
        whole = tuple(Hits(np.arange(1), hit.first, hit.ids) for hit in hits)
        return _AxisClasses(np.zeros(int(cuts[1]), np.int64), 1, np.zeros(1, np.int64), whole)
    of = np.repeat(np.arange(cuts.size - 1), np.diff(cuts))
    for hit in hits:
        of = of * (hit.first.size - 1) + hit.of
        of = np.unique(of, return_inverse=True)[1].ravel()
    _, example, of = np.unique(of, return_index=True, return_inverse=True)
    chosen = tuple(_chosen_classes(hit, hit.of[example]) for hit in hits)
    return _AxisClasses(of.ravel(), example.size, example, chosen)


def _chosen_classes(hits: Hits, classes: Ints) -> Hits:
    """Return ``hits`` restricted to a choice of its classes."""
    first, at = rows_at(hits.first[classes], np.diff(hits.first)[classes])
    return Hits(np.arange(classes.size), first, hits.ids[at])


def _class_of_neuron(axes: Sequence[_AxisClasses], shape: tuple[int, ...]) -> Ints:
    """Return (neurons,) the class of each neuron, a product of classes along the axes."""
    return np.ravel_multi_index(np.ix_(*(axis.of for axis in axes)), shape).ravel()


def _keys(
    hits: Sequence[Hits], shape: tuple[int, ...], target: tuple[Mosaic, Ints], parts: int
) -> Ints:
    """Return a key for each pair of a class and a part that a projection joins."""
    mosaic, numbers = target
    a, b, c = (np.repeat(np.arange(hit.first.size - 1), np.diff(hit.first)) for hit in hits)
    class_ = (a[:, None, None] * shape[1] + b[:, None]) * shape[2] + c
    part = numbers[mosaic.box[np.ix_(*(hit.ids for hit in hits))]]
    key: Ints = (class_ * parts + part).ravel()
    return key


def _weights(rate: Floats, axes: Sequence[_AxisClasses], shape: tuple[int, ...]) -> Floats:
    """Return (classes,) spikes per step. ``rate``: one number or (neurons,)."""
    if not rate.ndim:
        a, b, c = (np.bincount(axis.of, minlength=axis.size) for axis in axes)
        return (rate * a[:, None, None] * b[:, None] * c).ravel()
    of = _class_of_neuron(axes, shape)
    return np.bincount(of, weights=rate, minlength=math.prod(shape)).astype(np.float64)


def _keys_of_neurons(key: Ints, of: Ints, classes: int, parts: int) -> Ints:
    """Turn keys of classes into keys of the neurons in these classes. ``of``: their classes."""
    class_, part = np.divmod(np.sort(key), parts)
    count = np.bincount(class_, minlength=classes)
    start = np.append(0, np.cumsum(count))[of]
    neuron = np.repeat(np.arange(of.size), count[of])
    keys: Ints = neuron * parts + part[rows_at(start, count[of])[1]]
    return keys
