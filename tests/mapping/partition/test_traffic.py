"""Parts move to where fewer spikes leave their core, by the compiled annealing as by the plain
descent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.partition.along import filled, followed, least_traffic
from nirc.mapping.partition.boxes import Ints, even_cuts, grid
from nirc.mapping.partition.improve import annealed, descended, joined, traffic
from nirc.mapping.partition.result import Hyperedges, core_pairs

Mover = Callable[..., Ints]
MOVERS = [partial(annealed, work=60_000), descended]


def hypergraph(rng: np.random.Generator, parts: int, edges: int) -> Hyperedges:
    targets = [np.unique(rng.integers(0, parts, rng.integers(1, 5))) for _ in range(edges)]
    first = np.append(0, np.cumsum([t.size for t in targets]))
    source = rng.integers(-1, parts, edges)
    return Hyperedges(
        np.zeros(edges, np.int64), source, rng.random(edges), first, np.concatenate(targets)
    )


def slow_traffic(edges: Hyperedges, core: Ints, free: bool) -> float:
    total = 0.0
    for e, (source, weight) in enumerate(
        zip(edges.source.tolist(), edges.weight.tolist(), strict=True)
    ):
        cores = {int(core[t]) for t in edges.target[edges.first[e] : edges.first[e + 1]]}
        if free and source >= 0:
            cores -= {int(core[source])}
        total += weight * len(cores)
    return total


@pytest.mark.parametrize("mover", MOVERS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), free=st.booleans())
def test_never_more_traffic_and_never_too_full(mover: Mover, seed: int, free: bool) -> None:
    rng = np.random.default_rng(seed)
    parts, cores = int(rng.integers(4, 14)), int(rng.integers(2, 5))
    core = (
        np.append(np.arange(cores), rng.integers(0, cores, parts - cores))
        if parts > cores
        else np.arange(parts)
    )
    taken = rng.integers(1, 5, (parts, 2))
    usage = np.zeros((cores, 2), np.int64)
    np.add.at(usage, core, taken)
    capacity = usage.max(axis=0) + rng.integers(0, 3, 2)
    edges = hypergraph(rng, parts, 12)
    moved = mover(edges, core, taken, capacity, local_is_free=free)
    assert moved.size == parts
    after = np.zeros((cores, 2), np.int64)
    np.add.at(after, moved, taken)
    assert (after <= capacity).all()
    assert slow_traffic(edges, moved, free) <= slow_traffic(edges, core, free) + 1e-6


@pytest.mark.parametrize("mover", MOVERS)
def test_a_planted_grouping_is_found(mover: Mover) -> None:
    """Five cores of four parts each that talk among themselves only, shuffled."""
    rng = np.random.default_rng(0)
    home = rng.permutation(np.repeat(np.arange(5), 4))
    pairs = [(a, b) for a in range(20) for b in range(20) if a != b and home[a] == home[b]]
    source, target = np.array(pairs).T
    edges = Hyperedges(
        np.zeros(len(pairs), np.int64),
        source,
        np.ones(len(pairs)),
        np.arange(len(pairs) + 1),
        target,
    )
    start = rng.permutation(np.repeat(np.arange(5), 4))
    moved = mover(edges, start, np.ones((20, 1), np.int64), np.array([4]), local_is_free=True)
    assert slow_traffic(edges, start, True) > 0
    if mover is not descended:  # which may end where no single exchange helps
        assert slow_traffic(edges, moved, True) == 0
    assert slow_traffic(edges, moved, True) < 0.5 * slow_traffic(edges, start, True)


def test_a_shuffled_chain_fills_its_cores_one_after_the_other() -> None:
    rng = np.random.default_rng(1)
    order = rng.permutation(60)
    source = np.append(-1, order[:-1])  # an input sends to the first
    edges = Hyperedges(np.zeros(60, np.int64), source, np.ones(60), np.arange(61), order)
    found = followed(edges, 60)
    assert found is not None and found.parts == order.tolist() and found.starts == 1
    needs = np.ones((60, 1), np.int64)
    core = filled(found.parts, needs, np.array([4]), 15)
    assert core is not None and (core[order] == np.repeat(np.arange(15), 4)).all()
    assert traffic(edges, core, local_is_free=True) == 1 + 14
    assert least_traffic(edges, 15, found.starts, local_is_free=True) == 1 + 14
    assert filled(found.parts, needs, np.array([4]), 14) is None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), free=st.booleans())
def test_no_assignment_has_less_traffic_than_the_bound(seed: int, free: bool) -> None:
    rng = np.random.default_rng(seed)
    cores = int(rng.integers(2, 6))
    core = rng.permutation(np.append(np.arange(cores), rng.integers(0, cores, 9 - cores)))
    edges = hypergraph(rng, 9, int(rng.integers(6, 16)))
    found = followed(edges, 9)
    assert found is not None and sorted(found.parts) == list(range(9))
    least = least_traffic(edges, cores, found.starts, local_is_free=free)
    assert least <= slow_traffic(edges, core, free) + 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_spikes_between_cores_by_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges, core = hypergraph(rng, 9, 15), rng.integers(0, 4, 9)
    source, target, spikes = core_pairs(edges, core, 4)
    assert float(spikes.sum()) == pytest.approx(slow_traffic(edges, core, False))
    assert float(spikes[source != target].sum()) == pytest.approx(slow_traffic(edges, core, True))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_joined_parts_are_the_same_neurons_on_the_same_cores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 6, 3))
    boxes = grid([even_cuts(n, int(rng.integers(1, n + 1))) for n in shape])
    core = rng.integers(0, 2, len(boxes))
    population = np.zeros(len(boxes), np.int64)

    def painted(boxes: np.ndarray, core: np.ndarray) -> np.ndarray:
        field = np.full(shape, -1)
        for box, c in zip(boxes, core, strict=True):
            assert (field[tuple(slice(a, b) for a, b in box)] == -1).all()
            field[tuple(slice(a, b) for a, b in box)] = c
        return field

    same, fewer, at = joined(population, boxes, core, np.zeros(0, np.int64))
    assert (painted(fewer, at) == painted(boxes, core)).all()
    assert len(same) == len(fewer) <= len(boxes)
    assert core.any() or len(fewer) == 1
    assert len(joined(population, boxes, core, np.zeros(1, np.int64))[1]) == len(boxes)
