"""Small random networks, a chip to cut them for, and slow definitions of what is claimed of a
partition.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from nirc.mapping.partition import (
    Cores,
    Explicit,
    Partition,
    Population,
    Problem,
    Projection,
    Reach,
    Resource,
    dense,
    one_to_one,
    sparse,
    window,
)
from nirc.mapping.partition.reach import Blocks, Every, Window


def network(seed: int, most: int = 5, *, maps: bool = True) -> Problem:
    """Two to ``most`` populations, some of them maps, with projections of every kind; the first may
    be an input.
    """
    rng = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = []
    for _ in range(rng.integers(2, most + 1)):
        flat = not maps or rng.random() < 0.5
        shapes.append(
            (int(rng.integers(1, 9)),) if flat else tuple(int(n) for n in rng.integers(1, 5, 3))
        )
    outside = rng.random() < 0.5
    populations = []
    for i, shape in enumerate(shapes):
        rate = float(rng.random()) if rng.random() < 0.5 else rng.random(int(np.prod(shape)))
        populations.append(Population(f"p{i}", shape, rate, on_core=i > 0 or not outside))
    projections = []
    for _ in range(2 * len(shapes)):
        source, target = (
            int(rng.integers(len(shapes))),
            int(rng.integers(int(outside), len(shapes))),
        )
        projections.append(
            Projection(source, target, reach_between(rng, shapes[source], shapes[target]))
        )
    return Problem(tuple(populations), tuple(projections))


def reach_between(
    rng: np.random.Generator, source: tuple[int, ...], target: tuple[int, ...]
) -> Reach:
    kind = rng.integers(4)
    if kind == 0 and source == target:
        return one_to_one(source)
    if kind == 1 and len(source) == len(target) == 3:
        kernel, stride, padding, dilation = (
            tuple(int(n) for n in rng.integers(low, 4, 2)) for low in (1, 1, 0, 1)
        )
        groups = int(np.gcd(source[0], target[0])) if rng.random() < 0.5 else 1
        return window(
            source, target, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
    if kind == 2:
        n_in, n_out = int(np.prod(source)), int(np.prod(target))
        pairs = rng.permutation(n_in * n_out)[: rng.integers(0, n_in * n_out + 1)]
        return sparse(source, target, pairs // n_out, pairs % n_out)
    return dense(source, target)


def slow_pairs(reach: Reach) -> set[tuple[int, int]]:
    """(source, target) of every synapse, from the definition."""
    if isinstance(reach, Explicit):
        return set(zip(reach.source.tolist(), reach.target.tolist(), strict=True))
    along = []
    for axis in reach.axes:
        pairs = set()
        for o in range(axis.n_out):
            for i in range(axis.n_in):
                if isinstance(axis, Every):
                    there = True
                elif isinstance(axis, Blocks):
                    there = i * axis.groups // axis.n_in == o * axis.groups // axis.n_out
                else:
                    assert isinstance(axis, Window)
                    seen = [
                        o * axis.stride - axis.padding + axis.dilation * t
                        for t in range(axis.kernel)
                    ]
                    there = i in seen
                if there:
                    pairs.add((i, o))
        along.append(pairs)
    (_, h_in, w_in), (_, h_out, w_out) = reach.source_shape, reach.target_shape
    return {
        ((a * h_in + b) * w_in + c, (d * h_out + e) * w_out + f)
        for a, d in along[0]
        for b, e in along[1]
        for c, f in along[2]
    }


def chip(
    problem: Problem,
    *,
    neurons: int,
    axons: int,
    synapses: int,
    groups: int = 3,
    count: int = 10_000,
) -> Cores:
    """Neurons, input axons, synapses and populations of a core are limited."""

    def cost(population: int, boxes: np.ndarray) -> np.ndarray:
        n = (boxes[..., 1] - boxes[..., 0]).prod(axis=-1)
        into = problem.into[population]
        axon = sum((p.reach.axons(boxes) for p in into), np.zeros(len(boxes), np.int64))
        synapse = sum((p.reach.synapses(boxes) for p in into), np.zeros(len(boxes), np.int64))
        return np.stack([n, axon, synapse, np.ones_like(n)], axis=-1)

    names = {"neurons": neurons, "axons": axons, "synapses": synapses, "groups": groups}
    return Cores(tuple(Resource(name, most) for name, most in names.items()), count, cost)


def core_of_neurons(found: Partition) -> dict[tuple[int, int], int]:
    """The core of each neuron; fails if one is missing or there twice."""
    at: dict[tuple[int, int], int] = {}
    for p, box, core in zip(
        found.population.tolist(), found.boxes, found.core.tolist(), strict=True
    ):
        numbers = np.arange(found.problem.populations[p].neurons).reshape(
            found.problem.populations[p].box
        )
        for n in numbers[tuple(slice(a, b) for a, b in box)].ravel().tolist():
            assert (p, n) not in at
            at[p, n] = core
    assert len(at) == sum(p.neurons for p in found.problem.populations if p.on_core)
    return at


def slow_spikes(found: Partition) -> dict[tuple[int, int], float]:
    """Spikes a step from core (or -1) to core, neuron by neuron: each counts once for a target
    core.
    """
    problem, at = found.problem, core_of_neurons(found)
    reached: dict[tuple[int, int], set[int]] = defaultdict(set)
    for p in problem.projections:
        for source, target in slow_pairs(p.reach):
            reached[p.source, source].add(at[p.target, target])
    total: dict[tuple[int, int], float] = defaultdict(float)
    for (p, n), cores in reached.items():
        rate = np.broadcast_to(problem.populations[p].rate, problem.populations[p].neurons)[n]
        for core in cores:
            total[at.get((p, n), -1), core] += float(rate)
    return dict(total)
