"""Hyperedges: neurons of one part whose spikes go to the same parts.

One spike of a neuron serves all its targets on a core. So traffic is not a sum over edges. It is,
for each hyperedge, its spikes times the distinct cores of its targets. For structured projections
the classes of neurons are products of classes along the axes (relations.py). No synapse is
enumerated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Mosaic
from nirc.mapping.partition.problem import Floats, Population, Problem
from nirc.mapping.partition.reach import Explicit, Product
from nirc.mapping.partition.relations import Hits


@dataclass(frozen=True, eq=False)
class Hyperedges:
    """Spikes from parts to sets of parts.

    ``population`` (edges,): index of the source. ``source`` (edges,): the source's part, -1 for an
    external input. ``weight`` (edges,): spikes per step. The target parts of edge i are
    ``target[first[i]:first[i + 1]]``, rising, each once.
    """

    population: Ints
    source: Ints
    weight: Floats
    first: Ints
    target: Ints

    @property
    def edge_of(self) -> Ints:
        """(targets,) the hyperedge of each target."""
        return np.repeat(np.arange(self.source.size), np.diff(self.first))


def hyperedges(problem: Problem, population: Ints, boxes: Boxes) -> Hyperedges:
    """Return the hyperedges between parts ``boxes`` (k, 3, 2) of the populations (k,)."""
    mosaics = [_mosaic(problem, i, population, boxes) for i in range(len(problem.populations))]
    pieces = [
        _out_of(problem, i, mosaics, len(boxes)) for i in range(len(mosaics)) if problem.out_of[i]
    ]
    if not pieces:
        none = np.zeros(0, dtype=np.int64)
        return Hyperedges(none, none, np.zeros(0), np.zeros(1, dtype=np.int64), none)
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
    products = [p for p in problem.out_of[i] if isinstance(p.reach, Product)]
    explicit = [p for p in problem.out_of[i] if isinstance(p.reach, Explicit)]
    mosaic, numbers = mosaics[i]
    joints = [_joint(mosaic.cuts[axis], _hits(products, mosaics, axis)) for axis in range(AXES)]
    shape = tuple(j.size for j in joints)
    cells = math.prod(shape)
    fields = [
        np.searchsorted(mosaic.cuts[a], j.example, side="right") - 1 for a, j in enumerate(joints)
    ]
    source = numbers[mosaic.box[np.ix_(*fields)]].ravel()
    keys = [_pins(joints, k, shape, mosaics[p.target], parts) for k, p in enumerate(products)]
    weight = _weights(problem.populations[i], joints)
    if explicit:  # every neuron is a class by itself
        pop = problem.populations[i]
        of = np.ravel_multi_index(np.ix_(*(j.of for j in joints)), shape).ravel()
        source = source[of]
        weight = np.broadcast_to(np.asarray(pop.rate, np.float64), pop.neurons)
        keys = [_spread(key, of, cells, parts) for key in keys]
        cells = pop.neurons
        for p in explicit:
            target, numbers = mosaics[p.target]
            part = numbers[target.of_neurons(problem.populations[p.target].box, p.reach.target)]  # type: ignore[union-attr]
            keys.append(p.reach.source * parts + part)  # type: ignore[union-attr]
    key = np.unique(np.concatenate(keys))
    cell, target_part = np.divmod(key, parts)
    used, count = np.unique(cell, return_counts=True)
    first = np.append(0, np.cumsum(count))
    return Hyperedges(
        np.full(used.size, i), source[used], weight[used].astype(np.float64), first, target_part
    )


@dataclass(frozen=True, eq=False)
class _Joint:
    """Classes of the coordinates that lie in the same range and reach the same ranges."""

    of: Ints  # (n,) class of each coordinate
    size: int
    example: Ints  # (classes,) a coordinate of each
    lists: tuple[Hits, ...]  # by projection, for these classes


def _hits(
    products: Sequence[object], mosaics: Sequence[tuple[Mosaic, Ints]], axis: int
) -> list[Hits]:
    return [p.reach.axes[axis].hits(mosaics[p.target][0].cuts[axis]) for p in products]  # type: ignore[attr-defined]


def _joint(cuts: Ints, hits: Sequence[Hits]) -> _Joint:
    of = np.repeat(np.arange(cuts.size - 1), np.diff(cuts))
    for hit in hits:
        of = of * (hit.first.size - 1) + hit.of
        of = np.unique(of, return_inverse=True)[1].ravel()
    _, example, of = np.unique(of, return_index=True, return_inverse=True)
    return _Joint(
        of.ravel(), example.size, example, tuple(_picked(hit, hit.of[example]) for hit in hits)
    )


def _picked(hits: Hits, classes: Ints) -> Hits:
    """Return ``hits`` restricted to a choice of its classes."""
    sizes = np.diff(hits.first)[classes]
    first = np.append(0, np.cumsum(sizes))
    at = np.arange(first[-1]) + np.repeat(hits.first[classes] - first[:-1], sizes)
    return Hits(np.arange(classes.size), first, hits.ids[at])


def _pins(
    joints: Sequence[_Joint],
    projection: int,
    shape: tuple[int, ...],
    target: tuple[Mosaic, Ints],
    parts: int,
) -> Ints:
    """Return cell * parts + part for each pair of a cell and a part that a projection joins."""
    mosaic, numbers = target
    lists = [j.lists[projection] for j in joints]
    a, b, c = (np.repeat(np.arange(hit.first.size - 1), np.diff(hit.first)) for hit in lists)
    cell = (a[:, None, None] * shape[1] + b[:, None]) * shape[2] + c
    part = numbers[mosaic.box[np.ix_(*(hit.ids for hit in lists))]]
    key: Ints = (cell * parts + part).ravel()
    return key


def _weights(population: Population, joints: Sequence[_Joint]) -> Floats:
    """Return (cells,) spikes per step."""
    rate = np.asarray(population.rate, np.float64)
    if not rate.ndim:
        a, b, c = (np.bincount(j.of, minlength=j.size) for j in joints)
        return (rate * a[:, None, None] * b[:, None] * c).ravel()
    shape = tuple(j.size for j in joints)
    cell = np.ravel_multi_index(np.ix_(*(j.of for j in joints)), shape).ravel()
    return np.bincount(cell, weights=rate, minlength=math.prod(shape)).astype(np.float64)


def _spread(key: Ints, of: Ints, cells: int, parts: int) -> Ints:
    """Turn keys of cells into keys of the neurons in these cells."""
    cell, part = np.divmod(np.sort(key), parts)
    count = np.bincount(cell, minlength=cells)
    start = np.append(0, np.cumsum(count))[of]
    sizes = count[of]
    first = np.append(0, np.cumsum(sizes))
    at = np.arange(first[-1]) + np.repeat(start - first[:-1], sizes)
    neuron = np.repeat(np.arange(of.size), sizes)
    keys: Ints = neuron * parts + part[at]
    return keys
