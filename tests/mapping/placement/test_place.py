"""Nodes that talk much are put close: every node on a cell of its own, and what is claimed of the
cost holds.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.placement import Cells, Traffic, cost, multilevel, place
from nirc.mapping.placement.anneal import anneal, cooling
from nirc.mapping.placement.bounds import lower_bound
from nirc.mapping.placement.place import place_on


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for small problems; the same code."""
    monkeypatch.setitem(place.WORK, "normal", 2e7)
    monkeypatch.setitem(place.COARSE_WORK, "normal", 1e7)
    monkeypatch.setitem(place.VISITS_PER_NODE, "normal", 2000)


def planted(side: int, seed: int = 0) -> tuple[Traffic, int]:
    """A mesh with shuffled numbers and random weights, and its optimum: every edge at distance
    1.
    """
    rng = np.random.default_rng(seed)
    number = rng.permutation(side * side).reshape(side, side)
    src = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    dst = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    weight = rng.integers(1, 20, src.size)
    return Traffic.from_edges(side * side, src, dst, weight), int(weight.sum())


def random_traffic(seed: int, nodes: int, edges: int) -> Traffic:
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, nodes, (2, edges))
    return Traffic.from_edges(nodes, src, dst, rng.integers(0, 50, edges))


def slow_cost(traffic: Traffic, cells: Cells, at: np.ndarray) -> int:
    """From the definition, edge by edge."""
    total = 0
    for a, b, weight in zip(*(x.tolist() for x in traffic.edges()), strict=True):
        here, there = (cells.places(at[[v]])[0] for v in (a, b))
        total += weight * int(np.abs(here - there).sum())
    return total


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(0, 60))
def test_costs_are_what_they_are_by_definition(seed: int, nodes: int, edges: int) -> None:
    traffic = random_traffic(seed, nodes, edges)
    rng = np.random.default_rng(seed)
    cells = Cells.chips((2, 2, 1), (3, 3, 1), chip_link=4)
    at = rng.permutation(36)[:nodes]
    assert cost(traffic, cells, at) == slow_cost(traffic, cells, at)
    made = anneal(traffic, cells, at, cooling(50.0, 1.0, 20), 4000, seed=seed % 1000 + 1)
    assert made.cost[-1] == slow_cost(traffic, cells, made.cell_of_node)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_every_node_gets_a_usable_cell_of_its_own(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    faulty = rng.permutation(16)[: rng.integers(0, 5)].tolist()
    cells = Cells.mesh(4, 4, excluded=faulty)
    result = place_on(random_traffic(seed, nodes, 3 * nodes), cells, effort="quick")
    assert np.unique(result.cell_of_node).size == nodes
    assert not set(result.cell_of_node.tolist()) & set(faulty)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_the_bound_is_below_the_optimum_and_the_answer_is_the_optimum(
    seed: int, nodes: int
) -> None:
    traffic, cells = random_traffic(seed, nodes, 2 * nodes), Cells.mesh(3, 2)
    optimum = min(slow_cost(traffic, cells, np.array(at)) for at in permutations(range(6), nodes))
    result = place_on(traffic, cells)
    assert lower_bound(traffic, cells) <= result.bound <= optimum == result.cost


@pytest.mark.parametrize("side", [6, 8, 12])
def test_a_mesh_is_found_again_and_proven_to_be_the_best(side: int) -> None:
    traffic, optimum = planted(side)
    result = place_on(traffic, Cells.mesh(side, side))
    assert result.cost == optimum and result.proven


@pytest.mark.parametrize(("width", "height", "side"), [(10, 10, 13), (12, 7, 12)])
def test_a_mesh_is_found_on_a_larger_one_too(width: int, height: int, side: int) -> None:
    rng = np.random.default_rng(3)
    number = rng.permutation(width * height).reshape(height, width)
    src = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    dst = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    traffic = Traffic.from_edges(width * height, src, dst, rng.integers(1, 20, src.size))
    result = place_on(traffic, Cells.mesh(side, side))
    assert result.proven and result.cost == traffic.edges()[2].sum()


@pytest.mark.parametrize("nodes", [100, 125])
def test_a_shuffled_path_goes_to_and_fro_over_its_chips_and_is_proven_the_best(nodes: int) -> None:
    """Chips of 16 x 8 without their last 8 cores, as those of Loihi 2."""
    order = np.random.default_rng(5).permutation(nodes)
    traffic = Traffic.from_edges(nodes, order[:-1], order[1:], np.full(nodes - 1, 7))
    off = [x + 32 * 7 for x in (*range(8, 16), *range(24, 32))]
    cells = Cells.chips((2, 1, 1), (16, 8, 1), chip_link=4, excluded=off)
    result = place_on(traffic, cells)
    chips = -(-nodes // 120)
    assert result.proven and result.cost == 7 * (nodes - 1 + 3 * (chips - 1))


def test_a_snake_visits_every_usable_cell_and_turns_at_the_ends_of_chips() -> None:
    cells = Cells.chips((2, 2, 2), (3, 2, 1), excluded=[4])
    walk = cells.snake()
    assert sorted(walk.tolist()) == np.flatnonzero(cells.usable).tolist()
    steps = np.abs(np.diff(cells.places(walk), axis=0)).sum(axis=1)
    assert (steps > 1).sum() <= 4  # around the faulty cell, and from each row of chips to the next


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_no_placement_on_several_chips_costs_less_than_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = Cells.chips((3, 1, 1), (2, 1, 1), chip_link=int(rng.integers(1, 9)))
    traffic = random_traffic(seed, 5, int(rng.integers(3, 9)))
    optimum = min(slow_cost(traffic, cells, np.array(at)) for at in permutations(range(6), 5))
    assert lower_bound(traffic, cells) <= optimum


def test_nodes_that_talk_share_a_chip() -> None:
    """Two groups of four, all talking within: on two chips of 2 x 2 none may cross the dear
    link.
    """
    pairs = [(g + a, g + b) for g in (0, 4) for a in range(4) for b in range(a)]
    order = np.array([0, 4, 1, 5, 2, 6, 3, 7])
    traffic = Traffic.from_edges(8, order[[a for a, _ in pairs]], order[[b for _, b in pairs]])
    cells = Cells.chips((2, 1, 1), (2, 2, 1), chip_link=100)
    assert place_on(traffic, cells).cost == 2 * (4 * 1 + 2 * 2)


def test_the_same_seed_gives_the_same_placement_and_threads_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traffic, cells = random_traffic(3, 40, 160), Cells.mesh(7, 7)
    first = place_on(traffic, cells, seed=5)
    monkeypatch.setattr(place, "ThreadPoolExecutor", _OneThread)
    assert (place_on(traffic, cells, seed=5).cell_of_node == first.cell_of_node).all()


class _OneThread:
    def __init__(self, workers: int) -> None: ...

    def __enter__(self) -> _OneThread:
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


def test_large_problems_go_through_levels_and_beat_the_space_filling_curve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, "MOST_NODES_ANNEALED", 500)
    monkeypatch.setattr(place, "COARSEST", 200)
    traffic, optimum = planted(40, seed=2)
    cells = Cells.mesh(40, 40)
    result = place_on(traffic, cells)
    assert np.unique(result.cell_of_node).size == 1600
    assert result.cost < 0.5 * cost(traffic, cells, place.on_curve(traffic, cells))
    assert optimum <= result.cost


def test_levels_keep_the_traffic_between_groups() -> None:
    traffic = random_traffic(1, 300, 1200)
    (first, *_) = multilevel.coarsen(traffic, 100)
    a, b, weight = traffic.edges()
    crossing = weight[first.group[a] != first.group[b]].sum()
    assert first.traffic.edges()[2].sum() == crossing


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="10 nodes do not fit on 9 cells"):
        place_on(random_traffic(0, 10, 20), Cells.mesh(3, 3))


def test_the_first_runs_of_a_search_have_no_more_work_than_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A move of a node with many neighbours costs much: moves alone bound nothing."""
    moves = []

    def counted(*given: Any, **options: Any) -> Any:
        moves.append(given[4])
        return anneal(*given, **options)

    monkeypatch.setattr(place, "anneal", counted)
    monkeypatch.setitem(place.WORK, "normal", 1e6)
    everyone = np.triu_indices(60, 1)
    place_on(Traffic.from_edges(60, *everyone), Cells.mesh(8, 8))
    assert 60 <= max(moves) < 1000 * 60 / 2
