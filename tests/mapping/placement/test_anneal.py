"""What placement is made of: traffic, cells and their distances, curves, annealing, and the
benchmark's files.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.mapping.placement import Cells, Traffic, cost, multilevel, place
from nirc.mapping.placement import anneal as annealing
from nirc.mapping.placement.anneal import anneal, cooling, temperature_for
from nirc.mapping.placement.bounds import lower_bound, nearest

BENCHMARK = Path(__file__).parents[3] / "benchmarks/place.py"


def ring(nodes: int) -> Traffic:
    around = np.arange(nodes)
    return Traffic.from_edges(nodes, around, (around + 1) % nodes)


# traffic


def test_parallel_edges_are_added_and_loops_dropped() -> None:
    traffic = Traffic.from_edges(3, [0, 1, 2, 1, 0], [1, 0, 2, 2, 2], [3, 4, 9, 5, 0])
    assert [edge.tolist() for edge in traffic.edges()] == [[0, 1], [1, 2], [7, 5]]
    assert traffic.neighbours.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("src", "dst", "weight", "message"),
    [
        ([0, 1], [1], [1, 1], "differ in length: 2, 1, 2"),
        ([0], [3], [1], "dst holds nodes 3 to 3, allowed are 0 to 2"),
        ([-1], [0], [1], "src holds nodes -1"),
        ([0], [1], [-2], "weight holds -2"),
        ([0.5], [1], [1], "src must be a list of integers"),
        ([[0]], [1], [1], "src must be a list of integers"),
        ([0, 1], [1, 2], [1 << 52, 1 << 52], "add up to 2\\^53 or more"),
    ],
)
def test_wrong_edges_are_refused(src: object, dst: object, weight: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Traffic.from_edges(3, src, dst, weight)  # type: ignore[arg-type]


# bounds


def test_traffic_without_locality_has_a_bound_that_means_something() -> None:
    """Random graphs: the bound from eigenvalues is half of what annealing finds, the others a
    seventh.
    """
    rng = np.random.default_rng(1)
    traffic, cells = (
        Traffic.from_edges(256, *rng.integers(0, 256, (2, 1024))),
        Cells.mesh(16, 17, excluded=[3]),
    )
    found = anneal(traffic, cells, cells.curve()[:256], cooling(20.0, 0.5, 100), 2_000_000).cost[-1]
    assert (
        lower_bound(traffic, cells, spectral=False)
        < 0.35 * found
        < 0.5 * found
        < lower_bound(traffic, cells)
        <= found
    )


# annealing


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 24), st.sampled_from([1, 10**7]))
def test_both_loops_take_the_same_moves(seed: int, depth: int, nodes: int, scale: int) -> None:
    """With tables and without; large weights need tables of 64 bits."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, nodes, (2, 3 * nodes))
    traffic = Traffic.from_edges(nodes, src, dst, scale * rng.integers(0, 50, src.size))
    cells = Cells.chips((2, 2, 1), (3, 3, depth), chip_link=4, excluded=[0, 7])
    start = rng.permutation(np.flatnonzero(cells.usable))[:nodes]
    made = []
    for most in (annealing.MOST_TABLED, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(annealing, "MOST_TABLED", most)
            made.append(
                anneal(traffic, cells, start, cooling(60.0 * scale, scale, 30), 6000, seed=seed)
            )
    assert (made[0].cell_of_node == made[1].cell_of_node).all()
    assert (made[0].cost == made[1].cost).all() and (made[0].rates == made[1].rates).all()
    assert made[0].cost[-1] == cost(traffic, cells, made[0].cell_of_node)


# cells


def test_links_between_chips_and_boards_cost_more() -> None:
    cells = Cells.chips((4, 1, 1), (2, 1, 1), chip_link=5, board=(2, 1, 1), board_link=20)
    assert cells.places(np.arange(8))[:, 0].tolist() == [0, 1, 6, 7, 27, 28, 33, 34]


def test_a_chip_above_is_a_link_away() -> None:
    cells = Cells.chips((1, 1, 2), (2, 2, 1), chip_link=7)
    pair = Traffic.from_edges(2, [0], [1])
    assert cost(pair, cells, cells.number([[0, 0, 0], [1, 1, 1]])) == 1 + 1 + 7


@given(st.integers(0, 10**6))
def test_a_part_keeps_distances_and_knows_where_its_cells_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = Cells.chips((3, 2, 2), (2, 3, 1), chip_link=4, excluded=rng.permutation(72)[:5])
    chosen = rng.choice(np.flatnonzero(cells.usable), 10, replace=False)
    part, number = cells.part(chosen)
    inside = np.flatnonzero(part.usable)
    assert sorted(number[inside]) == sorted(chosen)
    here, there = part.places(inside), cells.places(number[inside])
    assert (here - here[0] == there - there[0]).all()


def test_the_curve_visits_neighbours_and_leaves_out_faulty_cells() -> None:
    square = Cells.mesh(16, 16)
    steps = np.abs(np.diff(square.coordinates(square.curve()), axis=0)).sum(axis=1)
    assert set(steps.tolist()) == {1}
    cube = Cells.mesh(8, 8, 8)
    assert set(np.abs(np.diff(cube.coordinates(cube.curve()), axis=0)).sum(axis=1).tolist()) == {1}
    assert sorted(Cells.mesh(3, 2, excluded=[1, 4]).curve()) == [0, 2, 3, 5]


def test_the_curve_fills_one_chip_after_the_other() -> None:
    cells = Cells.chips((2, 2, 1), (4, 4, 1))
    chip = cells.coordinates(cells.curve()) // np.array([4, 4, 1])
    assert np.count_nonzero(np.diff(chip, axis=0).any(axis=1)) == 3


@example(7, 7, 1, 1)  # 1 / 49 * 49 is below 1
@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 3), st.integers(1, 300))
def test_blocks_are_enough_for_what_was_asked(
    width: int, height: int, depth: int, count: int
) -> None:
    cells = Cells.mesh(width, height, depth)
    assert cells.coarse(count).count >= min(count, cells.count)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(1, 6))
def test_no_cell_has_nearer_neighbours_than_the_bound_thinks(
    x: int, y: int, z: int, link: int
) -> None:
    cells = Cells.chips((x, y, z), (2, 1, 1), chip_link=link)
    at = cells.places(np.arange(cells.count))
    apart = np.sort(np.abs(at[:, None] - at).sum(axis=2), axis=1)[:, 1:]
    thought = nearest(cells, cells.count - 1)
    assert (thought <= apart).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cells.mesh(0, 3),
        lambda: Cells.mesh(1 << 14, 1 << 14),
        lambda: Cells.mesh(3, 3, excluded=[9]),
        lambda: Cells.chips((1, 1, 1), (2, 2, 1), chip_link=0),
        lambda: Cells.chips((4, 1, 1), (2, 2, 1), chip_link=1 << 40),
    ],
)
def test_impossible_boxes_are_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


# annealing and levels


def test_the_temperature_falls_and_ends_at_nothing() -> None:
    falling = cooling(100.0, 1.0, 50)
    assert (np.diff(falling) <= 0).all() and falling.size == 50
    assert falling[0] == 100.0 and falling[44] == pytest.approx(1.0) and not falling[45:].any()


def test_without_heat_nothing_gets_worse() -> None:
    traffic, cells = ring(30), Cells.mesh(6, 6)
    start = np.random.default_rng(1).permutation(36)[:30]
    made = anneal(traffic, cells, start, np.zeros(20), 20000)
    assert (np.diff(made.cost) <= 0).all()
    assert made.cost[-1] < cost(traffic, cells, start)


def test_more_heat_is_needed_for_more_moves() -> None:
    traffic, cells = ring(100), Cells.mesh(10, 10)
    start = cells.curve()
    low, high = (temperature_for(traffic, cells, start, rate) for rate in (0.05, 0.5))
    assert 0 < low < high


def test_a_window_holds_nodes_without_edges_where_they_are() -> None:
    traffic = Traffic.from_edges(1, [], np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    cells = Cells.mesh(64, 64)
    moved = cells.coordinates(
        anneal(traffic, cells, np.array([0]), np.ones(1), 3, window=2).cell_of_node
    )
    assert moved.max() <= 6


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_spreading_gives_everyone_a_cell_and_keeps_who_has_one(seed: int, nodes: int) -> None:
    rng = np.random.default_rng(seed)
    cells = Cells.mesh(5, 4, 3, excluded=rng.permutation(60)[: rng.integers(0, 61 - nodes)])
    at = multilevel.spread_over(rng.integers(0, 9, (nodes, 3)), cells)
    assert np.unique(at).size == nodes and cells.usable[at].all()
    everyone = rng.permutation(np.flatnonzero(cells.usable))
    assert (multilevel.spread_over(cells.places(everyone), cells) == everyone).all()


@pytest.mark.parametrize("side", [4, 9, 20])
def test_the_spectral_layout_sees_a_mesh(side: int) -> None:
    number = np.random.default_rng(side).permutation(side * side).reshape(side, side)
    src = np.r_[number[:, :-1].ravel(), number[:-1].ravel()]
    traffic = Traffic.from_edges(side * side, src, np.r_[number[:, 1:].ravel(), number[1:].ravel()])
    cells = Cells.mesh(side, side)
    flat = multilevel.spectral(traffic, cells, lambda at: cost(traffic, cells, at))
    assert anneal(traffic, cells, flat, np.zeros(1), 1000 * side * side).cost[-1] == src.size


# the benchmark


def solve_file(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["place.py", str(path), "-o", str(out), "--effort", "quick"])
    runpy.run_path(str(BENCHMARK), run_name="__main__")


def problem(path: Path, **changed: object) -> Path:
    edges = {"src": [0, 1, 2], "dst": [1, 2, 3], "weight": [1, 2, 3]}
    np.savez(path, **{"side": 2, "nodes": 4, **edges, **changed})  # type: ignore[arg-type]
    return path


def test_a_file_is_solved_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = problem(tmp_path / "chain.npz"), tmp_path / "out.npz"
    (tmp_path / "reference.json").write_text(
        json.dumps({"chain.npz": {"rig": [12, 0.5], "optimum": 6}})
    )
    solve_file(path, out, monkeypatch)
    xy = np.load(out)["xy"]
    assert sorted(map(tuple, xy.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert np.abs(np.diff(xy, axis=0)).sum() == 3
    said = capsys.readouterr().out
    assert "cost 6 (proven optimal), lower bound 6" in said and "to rig 12: 0.5" in said


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nodes": 5}, "a mesh of 2 x 2 takes 0 to 4"),
        ({"side": 10**9}, "side is 1000000000"),
        ({"side": [2, 2]}, "side must be one integer"),
        ({"src": [0, 1, 4]}, "src holds nodes 0 to 4"),
        ({"weight": [1, -2, 3]}, "weight holds -2"),
        ({"weight": np.array([1, None, 3])}, "allow_pickle"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        solve_file(problem(tmp_path / "wrong.npz", **changed), tmp_path / "out.npz", monkeypatch)
    assert not (tmp_path / "out.npz").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SystemExit, match=r"is not an \.npz file"):
        solve_file(tmp_path / "wrong.npz", tmp_path / "out.npz", monkeypatch)


def test_the_scale_problem_fills_its_chips() -> None:
    benchmark = runpy.run_path(str(BENCHMARK))
    cells = benchmark["hala_cells"]((2, 2, 1))
    assert cells.count == 4 * 122
    traffic = benchmark["layered"](cells.count, 0)
    assert traffic.nodes == cells.count and place.on_curve(traffic, cells).size == cells.count
