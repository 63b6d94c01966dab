"""Tiny problems: as few cores as an exhaustive search finds, and bounds that hold."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.partition import Cores, PartitionError, Problem, packing, partition
from nirc.mapping.partition.boxes import neurons_of
from tests.mapping.partition.networks import chip, network


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packing.ROUNDS, "normal", 2)


def fewest(problem: Problem, cores: Cores, most: int) -> int:
    """The fewest cores, by trying every cover by boxes and every way to put them on cores; ``most``
    if it is that.
    """
    boxes = []  # (population, its neurons, cost) of every box that fits
    for i, population in enumerate(problem.populations):
        if not population.on_core:
            continue
        axes = [[(a, b) for a in range(n) for b in range(a + 1, n + 1)] for n in population.box]
        every = np.array(list(product(*axes)))
        for box, cost in zip(every, cores.cost(i, every), strict=True):
            if (cost <= cores.capacity).all():
                boxes.append((i, frozenset(neurons_of(population.box, box).tolist()), cost))
    todo = frozenset(
        (i, n)
        for i, population in enumerate(problem.populations)
        if population.on_core
        for n in range(population.neurons)
    )
    best = [most]

    def cover(left: frozenset[tuple[int, int]], used: list[np.ndarray]) -> None:
        if len(used) >= best[0]:
            return
        if not left:
            best[0] = len(used)
            return
        population, neuron = min(left)
        for i, inside, cost in boxes:
            taken = frozenset((i, n) for n in inside)
            if i != population or neuron not in inside or not taken <= left:
                continue
            for k, load in enumerate(used):
                if (load + cost <= cores.capacity).all():
                    cover(left - taken, [*used[:k], load + cost, *used[k + 1 :]])
            cover(left - taken, [*used, cost])

    cover(todo, [])
    return best[0]


def small(seed: int) -> tuple[Problem, Cores]:
    rng = np.random.default_rng(seed)
    while True:
        seed += 1_000_003
        problem = network(seed, 3)
        if sum(p.neurons for p in problem.populations if p.on_core) <= 7:
            break
    most = {
        name: int(rng.integers(low, high))
        for name, low, high in (("neurons", 1, 6), ("axons", 4, 20), ("synapses", 4, 24))
    }
    return problem, chip(problem, **most, groups=int(rng.integers(1, 4)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_as_few_cores_as_can_be(seed: int) -> None:
    problem, cores = small(seed)
    try:
        found = partition(problem, cores, seed=seed)
    except PartitionError:
        return
    optimum = fewest(problem, cores, found.count)
    assert found.bound <= optimum
    assert found.count == optimum
    assert found.proven


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_bounds_hold_without_the_exact_search(seed: int) -> None:
    problem, cores = small(seed)
    try:
        found = partition(problem, cores, effort="quick")
    except PartitionError:
        return
    assert found.bound <= fewest(problem, cores, found.count) <= found.count
