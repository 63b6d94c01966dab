"""Whatever is cut: every neuron once, nothing overfull, and traffic as it is by definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.partition import (
    Partition,
    PartitionError,
    Population,
    Problem,
    Projection,
    dense,
    fewest,
    packing,
    partition,
    search,
)
from tests.mapping.partition.networks import chip, core_of_neurons, network, slow_spikes


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for small problems; the same code."""
    monkeypatch.setitem(packing.ROUNDS, "normal", 5)
    monkeypatch.setattr(search, "WORK", 100_000)
    monkeypatch.setitem(fewest.WORK, "normal", 0.2)


def cut(seed: int) -> Partition | None:
    problem = network(seed)
    rng = np.random.default_rng(seed)
    most = {
        name: int(rng.integers(low, 60))
        for name, low in (("neurons", 1), ("axons", 10), ("synapses", 10))
    }
    try:
        return partition(problem, chip(problem, **most), seed=seed)
    except PartitionError:
        return None


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_what_holds_for_every_partition(seed: int) -> None:
    found = cut(seed)
    if found is None:
        return
    core_of_neurons(found)
    taken = np.zeros_like(found.usage)
    for p, box, core in zip(
        found.population.tolist(), found.boxes, found.core.tolist(), strict=True
    ):
        taken[core] += found.cores.cost(p, box[None])[0]
    assert (taken == found.usage).all()
    assert (found.usage <= found.cores.capacity).all()
    assert found.bound <= found.count


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_traffic_is_what_it_is_by_definition(seed: int) -> None:
    found = cut(seed)
    if found is None:
        return
    spikes = slow_spikes(found)
    source, target, weight = found.spikes
    assert list(zip(source.tolist(), target.tolist(), strict=True)) == sorted(spikes)
    np.testing.assert_allclose(weight, [spikes[pair] for pair in sorted(spikes)])
    assert found.traffic == pytest.approx(sum(w for (a, b), w in spikes.items() if a != b))


def test_a_spike_serves_all_its_targets_on_a_core() -> None:
    pops = Population("a", (4,), 0.5), Population("b", (6,)), Population("c", (6,))
    problem = Problem(pops, tuple(Projection(0, i, dense((4,), (6,))) for i in (1, 2)))
    found = partition(problem, chip(problem, neurons=12, axons=8, synapses=48))
    assert found.count == 2
    assert found.traffic == 4 * 0.5
    nets = found.nets()
    assert nets.weight.tolist() == [2.0]
    assert len(nets.target) == 1 or nets.source[0] in nets.target


def test_a_long_chain_has_one_projection_between_neighbouring_cores() -> None:
    """Populations numbered at random, four on a core."""
    order = np.random.default_rng(2).permutation(80).tolist()
    populations = tuple(Population(f"p{i}", (2,), 0.5) for i in range(80))
    chain = tuple(Projection(a, b, dense((2,), (2,))) for a, b in pairwise(order))
    problem = Problem(populations, chain)
    found = partition(problem, chip(problem, neurons=99, axons=99, synapses=99, groups=4))
    assert found.count == 20 and found.traffic == 19 * 2 * 0.5
