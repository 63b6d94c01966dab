"""Neurons are grouped by their synapses, whatever their numbers."""

import itertools

import numpy as np
import pytest

from nirc.mapping.partition import regroup as grouping
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, hypergraph
from nirc.mapping.partition.regroup import as_pairs, regroup
from nirc.mapping.partition.sectors import fine_sectors, sectors, smoothest


def network(source: Ints, target: Ints, neurons: int, size: Ints | None = None) -> Hypergraph:
    """Neurons that all spike once a step, with the same size if no other is given."""
    size = np.ones((neurons, 1), np.int64) if size is None else size
    return hypergraph(source, target, np.ones(neurons, np.int64), size)


def modules(rng: np.random.Generator, count: int, neurons: int) -> tuple[Hypergraph, Ints]:
    """Modules with synapses inside only, shuffled, and the module of each neuron."""
    module = rng.permutation(np.repeat(np.arange(count), neurons))
    source, target = np.nonzero(module[:, None] == module)
    kept = rng.random(source.size) < 0.5
    return network(source[kept], target[kept], count * neurons), module


def sheet(side: int, number: Ints) -> Hypergraph:
    """Neurons on a sheet with synapses to their neighbours at distances up to 2."""
    y, x = np.divmod(np.arange(side * side), side)
    near = (abs(y[:, None] - y) <= 2) & (abs(x[:, None] - x) <= 2)
    source, target = np.nonzero(near)
    return network(number[source], number[target], side * side)


def test_modules_are_found() -> None:
    graph, module = modules(np.random.default_rng(0), 5, 20)
    block = regroup(graph, 5, np.array([20]))
    assert block is not None
    assert graph.cost(block) == 0
    assert len(set(zip(block.tolist(), module.tolist(), strict=True))) == 5


def test_numbers_of_neurons_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    in_order = sheet(16, np.arange(256))
    shuffled = sheet(16, rng.permutation(256))
    costs = []
    for graph in (in_order, shuffled):
        block = regroup(graph, 4, np.array([70]))
        assert block is not None
        costs.append(graph.cost(block))
    assert max(costs) <= 1.02 * min(costs)
    rows = in_order.cost(np.arange(256) // 64)  # ranges of the index order are strips
    assert max(costs) < 0.8 * rows


def test_two_resources_keep_their_capacities() -> None:
    rng = np.random.default_rng(2)
    size = np.stack([rng.integers(1, 9, 120), rng.integers(0, 30, 120)], axis=1)
    graph = network(rng.integers(0, 120, 900), rng.integers(0, 120, 900), 120, size)
    capacity = np.ceil(size.sum(axis=0) / 4 * 1.05).astype(np.int64)
    block = regroup(graph, 4, capacity)
    assert block is not None
    assert (graph.loads(block, 4) <= capacity).all()


@pytest.mark.parametrize(
    ("blocks", "capacity"),
    [pytest.param(2, 5, id="too little in all"), pytest.param(20, 1, id="too large a neuron")],
)
def test_what_does_not_fit_has_no_answer(blocks: int, capacity: int) -> None:
    graph = network(np.arange(6), np.arange(6)[::-1], 6, np.full((6, 1), 2))
    assert regroup(graph, blocks, np.array([capacity])) is None


def test_neurons_without_synapses_are_spread() -> None:
    none = np.zeros(0, np.int64)
    block = regroup(network(none, none, 500), 5, np.array([100]))
    assert block is not None
    assert np.bincount(block).tolist() == [100] * 5


def test_the_same_seed_gives_the_same_blocks() -> None:
    rng = np.random.default_rng(3)
    graph = network(rng.integers(0, 300, 3000), rng.integers(0, 300, 3000), 300)
    first, again = (regroup(graph, 4, np.array([80]), seed=7) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_tiny_networks_are_solved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng.integers(0, 8, 20), rng.integers(0, 8, 20), 8)
    every = (np.array(block) for block in itertools.product(range(2), repeat=8))
    least = min(graph.cost(block) for block in every if block.sum() == 4)
    found = regroup(graph, 2, np.array([4]))
    assert found is not None
    assert graph.cost(found) == least


def test_a_spike_counts_once_for_each_other_core() -> None:
    graph = hypergraph(
        np.array([0, 0, 0, 1]), np.array([1, 2, 3, 0]), np.array([5, 7, 1, 1]), np.ones((4, 1), int)
    )
    assert graph.cost(np.array([0, 1, 1, 2])) == 5 * 2 + 7


@pytest.mark.parametrize("neurons", [1, 2, 3, 5])
def test_more_blocks_than_neurons_leave_blocks_empty(neurons: int) -> None:
    source = np.arange(neurons)
    block = regroup(network(source, (source + 1) % neurons, neurons), 8, np.array([1]))
    assert block is not None
    assert len(np.unique(block)) == neurons


def test_sectors_cut_a_sheet_along_straight_lines() -> None:
    y, x = np.divmod(np.arange(64), 8)
    number = np.random.default_rng(3).permutation(64)
    right, down = np.flatnonzero(x < 7), np.flatnonzero(y < 7)
    ends = np.concatenate([np.stack([right, right + 1], 1), np.stack([down, down + 8], 1)])
    begin = np.arange(0, 2 * len(ends) + 1, 2)
    ones = np.ones(len(ends), np.int64)
    grid = Hypergraph(begin, number[ends].ravel(), ones, np.ones((64, 1), np.int64))
    smooth = smoothest(grid)
    found = list(sectors(smooth, grid.size, 4, 6))
    assert min(grid.cost(block) for block in found) <= 18  # quadrants cut 16 of the 112 edges
    found.append(fine_sectors(grid, smooth, 4, np.zeros(2, np.int64)))
    assert all((np.bincount(block, minlength=4) == 16).all() for block in found)
    assert grid.cost(found[-1]) <= 18


def pairs_of(graph: Hypergraph, most: int) -> dict[tuple[int, ...], int]:
    pairs = as_pairs(graph, most)
    assert pairs is not None
    return dict(
        zip(map(tuple, pairs.pin.reshape(-1, 2).tolist()), pairs.weight.tolist(), strict=True)
    )


def test_a_node_keeps_its_heaviest_pairs() -> None:
    """Two nets join neurons 0 and 1, only the larger net joins the others."""
    graph = network(np.array([0, 0, 0, 1]), np.array([1, 2, 3, 0]), 4)
    assert pairs_of(graph, 3) == {
        pair: 1024 if pair == (0, 1) else 256 for pair in itertools.combinations(range(4), 2)
    }
    assert pairs_of(graph, 1) == {(0, 1): 1024, (0, 2): 256, (0, 3): 256}


@pytest.mark.parametrize("limit", ["MOST_CLUSTERS", "MOST_PAIRS"])
def test_clusters_that_do_not_join_are_bisected_as_they_are(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neurons above half of a core's memory make no clusters, so pairs would be too many."""
    rng = np.random.default_rng(4)
    graph = network(rng.integers(0, 60, 300), rng.integers(0, 60, 300), 60, np.full((60, 1), 5))
    monkeypatch.setattr(grouping, limit, 59)
    assert as_pairs(graph, 40) is None
    block = regroup(graph, 30, np.array([11]), effort="quick")
    assert block is not None
    assert (graph.loads(block, 30) <= 11).all()


def test_a_network_without_structure_is_grouped_from_a_random_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    graph = network(rng.integers(0, 1000, 20_000), rng.integers(0, 1000, 20_000), 1000)
    monkeypatch.setitem(grouping.WORK, "normal", 0)  # the network seems large
    costs = []
    for per_pin in (grouping.SCATTERED_PER_PIN, 1 << 40):
        monkeypatch.setattr(grouping, "SCATTERED_PER_PIN", per_pin)
        block = regroup(graph, 20, np.array([52]))
        assert block is not None
        costs.append(graph.cost(block))
    assert costs[0] < costs[1]


@pytest.mark.parametrize("pairs", [grouping.MOST_PAIRS, 0])
def test_neurons_without_structure_are_grouped_once(
    monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    """Each neuron sends to all blocks, however they are grouped. Modules are grouped again."""
    monkeypatch.setattr(grouping, "MOST_PAIRS", pairs)
    cycles: list[int] = []

    def cycled(graph: Hypergraph, block: Ints, limits: Ints, state: Ints) -> Ints:
        cycles.append(len(limits))
        return block

    monkeypatch.setattr(grouping, "_cycled", cycled)
    rng = np.random.default_rng(4)
    everywhere = network(np.repeat(np.arange(200), 60), rng.integers(0, 200, 12_000), 200)
    block = regroup(everywhere, 4, np.array([52]))
    assert block is not None and everywhere.loads(block, 4).max() <= 52
    assert cycles == []
    graph, _ = modules(rng, 4, 40)
    assert regroup(graph, 4, np.array([40])) is not None
    assert len(cycles) > 1
