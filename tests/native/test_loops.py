"""The library in C maps like its definitions in Python, to the bit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.scales import row_scales
from nirc.diagnostics.errors import NircWarning
from nirc.mapping.multicast import Trees
from nirc.mapping.multicast import annealed as annealed_trees
from nirc.mapping.partition import regroup as regrouping
from nirc.mapping.partition import sectors
from nirc.mapping.partition.hypergraph import hypergraph
from nirc.mapping.partition.improve import annealed
from nirc.mapping.partition.regroup import regroup
from nirc.mapping.partition.result import Hyperedges
from nirc.mapping.placement import Cells, Traffic, cost
from nirc.mapping.placement.anneal import anneal, cooling
from nirc.mapping.placement.multilevel import coarsen, spectral, spread_over
from nirc.mapping.routing import Nets, deadlock
from nirc.mapping.routing import walk as walk_trees
from nirc.mapping.routing.links import mesh
from nirc.mapping.routing.route import route
from nirc.mapping.tables import tables_for
from nirc.mapping.tables.keys import allocate, spread
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import walk
from nirc.native import loops
from nirc.native.loops import in_c

NETS = 60
BOARDS: dict[str, dict[str, Any]] = {
    "mesh": {},
    "box": {"depth": 2},
    "triangles": {"triangular": True},
    "torus": {"wraps": True},
    "torus of triangles": {"triangular": True, "wraps": True},
}


def grouped() -> list[Any]:
    rng = np.random.default_rng(1)
    source = np.repeat(np.arange(60), 4)
    target = (source + rng.integers(-5, 6, source.size)) % 60
    size = np.stack([np.ones(60, np.int64), rng.integers(1, 9, 60)], axis=1)
    graph = hypergraph(source, target, rng.integers(1, 99, 60), size)
    return [regroup(graph, 2, np.array([33, 160]), effort="quick", seed=seed) for seed in range(2)]


def annealed_parts() -> list[Any]:
    rng = np.random.default_rng(2)
    target = [np.unique(rng.integers(0, 40, rng.integers(1, 9))) for _ in range(60)]
    first = np.concatenate([[0], np.cumsum([len(t) for t in target])])
    source = np.append(rng.integers(0, 40, 50), np.full(10, -1))
    edges = Hyperedges(
        np.zeros(60, np.int64), source, rng.random(60), first, np.concatenate(target)
    )
    core, taken = rng.integers(0, 6, 40), rng.integers(1, 4, (40, 2))
    capacity = np.array([22, 24])
    return [
        annealed(edges, core, taken, capacity, local_is_free=free, work=20_000)
        for free in (True, False)
    ]


def neurons_on_a_mesh() -> list[Any]:
    rng = np.random.default_rng(8)
    size = np.stack([np.ones(30, np.int64), rng.integers(1, 9, 30)], axis=1)
    graph = hypergraph(
        np.arange(120) % 30, rng.integers(0, 30, 120), rng.integers(0, 99, 30) + 1, size
    )
    capacity = np.array([5, 30])
    trees = Trees(graph, np.arange(30), 4, 3, np.array([1, 0]), capacity)
    start = np.arange(30) % 12
    assert trees.holds(start)
    return [annealed_trees(trees, start, cooling(60.0, 9.0, 10), 600, seed) for seed in range(3)]


def scaled() -> list[Any]:
    rng = np.random.default_rng(5)
    row = np.sort(rng.integers(0, 9, 200))  # row 9 is empty
    return [row_scales(row, rng.standard_normal(200), 10, limit) for limit in (15, 127)]


def placed() -> list[Any]:
    rng = np.random.default_rng(3)
    traffic = Traffic.from_edges(50, *rng.integers(0, 50, (2, 150)), rng.integers(1, 50, 150))
    heavy = Traffic.from_edges(50, *rng.integers(0, 50, (2, 150)), rng.integers(1, 1 << 40, 150))
    cells = Cells.chips((2, 2, 1), (4, 3, 2), chip_link=4, excluded=[3, 20])
    start = rng.permutation(np.flatnonzero(cells.usable))[:50]
    pairs = np.triu_indices(50, 1)  # both ends of a swap have all other nodes as neighbours
    dense = Traffic.from_edges(50, *pairs, rng.integers(3, 5, pairs[0].size))
    found: list[Any] = [spectral(traffic, cells, lambda at: int(at[0]))]
    for each in (traffic, heavy, dense):
        hot = float(each.weights.max())
        result = anneal(each, cells, start, cooling(hot, hot / 50, 20), 3000, seed=4)
        found += [result.cell_of_node, result.cost, result.rates]
        found.append(np.array(cost(each, cells, result.cell_of_node)))
    found += [level.group for level in coarsen(traffic, 12)]
    return [*found, spread_over(rng.integers(0, 9, (50, 3)), cells)]


def placed_by_edges() -> list[Any]:
    rng = np.random.default_rng(5)
    nodes = 70_000 // 8  # their table would be larger than a processor's cache
    traffic = Traffic.from_edges(nodes, *rng.integers(0, nodes, (2, nodes)))
    cells = Cells.mesh(60, 150)
    result = anneal(traffic, cells, np.arange(nodes), cooling(40.0, 4.0, 10), 2000)
    return [result.cell_of_node, result.cost, result.rates]


def routed(board: dict[str, Any]) -> list[Any]:
    links = mesh(5, 6, faulty_routers=[7, 8], faulty_links=[(20, 0)], **board)
    rng = np.random.default_rng(6)
    works = np.flatnonzero(links.works)
    target = rng.choice(works, 4 * NETS)
    nets = Nets(rng.choice(works, NETS), np.arange(0, 4 * NETS + 1, 4), target, rng.random(NETS))
    cores = rng.integers(0, 20, target.size)
    plain = route(nets, links)
    busy = route(nets, links, congestion_aware=True, rounds=3)
    owner = np.arange(NETS) // 3
    keys = allocate(owner, np.full(NETS, 50))
    long = tables_for(nets, plain, links, keys, cores)
    short = minimised(long)
    bad = tables_for(nets, busy, links, keys, cores[::-1])
    found = [deadlock.check(links, each).cycle for each in (plain, busy)]
    found += [str(walk(tables, nets, links, keys, cores)) for tables in (short, bad)]
    arrays = (*vars(plain).values(), *vars(busy).values(), walk_trees(nets, links, busy))
    spread_keys = spread(keys, owner, long, seed=1)
    return [*found, *arrays, short.key, short.mask, short.route, spread_keys.key, short.sizes]


CASES: dict[str, Callable[[], list[Any]]] = {
    "groups of neurons": grouped,
    "annealed parts": annealed_parts,
    "neurons on a mesh": neurons_on_a_mesh,
    "scaled": scaled,
    "places": placed,
    "places by edges": placed_by_edges,
    **{name: lambda board=board: routed(board) for name, board in BOARDS.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("case", CASES)
def test_the_library_and_its_definitions_agree(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sectors, "ROUNDS", 5)
    monkeypatch.setattr(regrouping, "TRIES", 2)
    monkeypatch.setattr(regrouping, "STARTS", 3)
    monkeypatch.setattr(regrouping, "CYCLES", 1)
    monkeypatch.setattr(regrouping, "PER_BLOCK", (6, 0))
    fast = CASES[case]()
    monkeypatch.setenv("NIRC_NATIVE", "0")
    slow = CASES[case]()
    assert len(fast) == len(slow) > 1
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_of_equal_bits_get_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from nirc.mapping.tables import _distinct

    rows = np.random.default_rng(7).integers(0, 9, (2000, 2)).astype(np.uint64)
    number, examples = _distinct(rows)
    assert (rows[examples][number] == rows).all() and len(examples) == 81
    monkeypatch.setenv("NIRC_NATIVE", "0")
    for a, b in zip((number, examples), _distinct(rows), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_the_library_a_warning_tells_once_why_searches_are_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = in_c("copy", "qqii*")(lambda *_: "in Python")
    monkeypatch.setattr(loops, "library", lambda: None)
    loops._warn_once.cache_clear()
    with pytest.warns(NircWarning, match="U617"):
        assert loop() == "in Python"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loop() == "in Python"


def test_arrays_of_another_kind_are_no_arguments() -> None:
    loop = in_c("copy", "qqii*")(lambda *_: None)
    rows = np.array([[0, 3], [3, 5]])
    pool, link = np.arange(6, dtype=np.int32), np.zeros(5, np.int32)
    loop(rows[:, 0], rows[:, 1], pool, link)  # columns are copied
    assert link.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(TypeError, match="an array of int32, wanted int64"):
        loop(rows[:, 0], pool, pool, link)
    with pytest.raises(TypeError, match="must be in one piece"):
        loop(rows[:, 0], rows[:, 1], pool, np.zeros(10, np.int32)[::2])
    with pytest.raises(TypeError, match="3 arguments, wanted 4"):
        loop(rows, rows, pool)
