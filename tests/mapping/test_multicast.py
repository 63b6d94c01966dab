"""Neurons get cores of a mesh so that the trees of their spikes have few links."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping import multicast
from nirc.mapping.multicast import Trees, annealed, place_neurons
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, hypergraph
from nirc.mapping.partition.regroup import regroup
from nirc.mapping.placement import Cells, Traffic
from nirc.mapping.placement.anneal import cooling
from nirc.mapping.placement.place import place_on


def network(rng: np.random.Generator, neurons: int, synapses: int) -> Hypergraph:
    """Neurons of one size. Each has a target, so net i is of neuron i."""
    own = np.arange(neurons)
    source = np.append(own, rng.integers(0, neurons, synapses))
    target = np.append((own + 1) % neurons, rng.integers(0, neurons, synapses))
    return hypergraph(source, target, rng.integers(1, 99, neurons), np.ones((neurons, 1), int))


def on_mesh(graph: Hypergraph, width: int, height: int, capacity: int, *, least: int = 0) -> Trees:
    source = np.arange(len(graph.size))
    return Trees(graph, source, width, height, np.array([least]), np.array([capacity]))


def walked(trees: Trees, cell: Ints) -> int:
    """Walk from each source to each target, along x and then y, and count each link once."""
    total = 0
    for net, source in enumerate(trees.source):
        tree = nx.Graph()
        for pin in trees.graph.pin[trees.graph.begin[net] : trees.graph.begin[net + 1]]:
            (y, x), (to_y, to_x) = (divmod(int(cell[node]), trees.width) for node in (source, pin))
            corners = [(x, y), (to_x, y), (to_x, to_y)]
            for (ax, ay), (bx, by) in itertools.pairwise(corners):
                steps = max(abs(bx - ax), abs(by - ay))
                line = [
                    (ax + (bx - ax) * k // max(steps, 1), ay + (by - ay) * k // max(steps, 1))
                    for k in range(steps + 1)
                ]
                nx.add_path(tree, line)
        total += int(trees.graph.weight[net]) * tree.number_of_edges()
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5))
def test_a_tree_costs_the_links_that_a_walk_counts(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    trees = on_mesh(network(rng, 12, 40), width, height, 12)
    cell = rng.integers(0, width * height, 12)
    assert trees.cost(cell) == walked(trees, cell)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 1), st.integers(3, 6))
def test_annealing_keeps_what_a_core_must_and_may_hold(seed: int, least: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    trees = on_mesh(network(rng, 24, 90), 3, 3, most, least=least)
    start = np.arange(24) % 9
    found = annealed(trees, start, cooling(80.0, 10.0, 10), 2000, seed)
    assert trees.holds(found)
    cooled = annealed(trees, start, np.zeros(1), 2000, seed)
    assert trees.cost(cooled) <= trees.cost(start)


@pytest.mark.parametrize("seed", range(3))
def test_tiny_networks_get_the_fewest_links(seed: int) -> None:
    trees = on_mesh(network(np.random.default_rng(seed), 6, 14), 2, 2, 2)
    every = (np.array(cell) for cell in itertools.product(range(4), repeat=6))
    best = min(trees.cost(cell) for cell in every if trees.holds(cell))
    found = place_neurons(trees, effort="quick")
    assert found is not None
    assert trees.cost(found) == best


def test_trees_of_spikes_have_fewer_links_than_with_groups_placed_afterwards() -> None:
    graph = network(np.random.default_rng(4), 60, 500)
    trees = on_mesh(graph, 4, 4, 5)
    block = regroup(graph, 16, np.array([5]))
    assert block is not None
    net = np.repeat(np.arange(60), np.diff(graph.begin))
    net, target = np.divmod(np.unique(net * 16 + block[graph.pin]), 16)
    traffic = Traffic.from_edges(16, block[net], target, graph.weight[net])
    apart = place_on(traffic, Cells.mesh(4, 4)).cell_of_node[block]
    found = place_neurons(trees, effort="quick")
    assert found is not None
    assert trees.holds(found)
    assert trees.cost(found) < 0.95 * trees.cost(apart)


def test_each_core_gets_its_least_share() -> None:
    graph = network(np.random.default_rng(5), 26, 60)
    found = place_neurons(on_mesh(graph, 2, 3, 6, least=4), effort="quick")
    assert found is not None
    counts = np.bincount(found, minlength=6)
    assert counts.min() >= 4
    assert counts.max() <= 6


def test_too_many_neurons_have_no_answer() -> None:
    graph = network(np.random.default_rng(6), 13, 20)
    assert place_neurons(on_mesh(graph, 2, 2, 3), effort="quick") is None


def test_neurons_without_synapses_and_a_single_core_are_no_search() -> None:
    none = np.zeros(0, np.int64)
    silent = hypergraph(none, none, np.ones(4, np.int64), np.ones((4, 1), np.int64))
    trees = Trees(silent, none, 2, 2, np.array([0]), np.array([1]))
    found = place_neurons(trees, effort="quick")
    assert found is not None
    assert sorted(found.tolist()) == [0, 1, 2, 3]
    alone = place_neurons(on_mesh(network(np.random.default_rng(7), 5, 9), 1, 1, 5), effort="quick")
    assert alone is not None
    assert alone.tolist() == [0] * 5


def test_the_same_seed_gives_the_same_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multicast.WORK, "quick", 2e6)
    trees = on_mesh(network(np.random.default_rng(8), 40, 200), 3, 3, 6)
    first, again, other = (place_neurons(trees, effort="quick", seed=seed) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize(("width", "height"), [(0, 3), (65, 2), (2, 65)])
def test_a_mesh_has_at_most_64_rows_and_columns(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="possible are 1 to 64"):
        on_mesh(network(np.random.default_rng(9), 4, 4), width, height, 4)
