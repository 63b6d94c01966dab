"""Cores on a system: places, chips, routes and the load of links, against slow definitions."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.loihi2 import cores as module
from nirc.backends.loihi2.cores import RESOURCES, Placed, cells_of, cores_of, place, problem_of
from nirc.backends.loihi2.limits import CHIP, HALA_POINT, KAPOHO_POINT, OHEO_GULCH
from nirc.backends.loihi2.tables import Geometry, Input, Population, Projection, Tables
from nirc.chip.backend import Search
from nirc.chip.target import Target
from nirc.mapping import partition as parts
from nirc.mapping.partition import Partition, Problem, Resource, dense, sparse, window

Arc = tuple[int, int]
Point = tuple[int, int, int]


def on_cores(neurons: list[int], arcs: list[Arc], core: list[int]) -> Partition:
    """Populations with a rate of 1/4, each whole on a core. The first is an external input."""
    populations = tuple(
        parts.Population(f"p{i}", (n,), 0.25, on_core=i > 0) for i, n in enumerate(neurons)
    )
    projections = tuple(
        parts.Projection(a, b, dense((neurons[a],), (neurons[b],))) for a, b in arcs
    )
    problem = Problem(populations, projections)
    boxes = np.array([[[0, n], [0, 1], [0, 1]] for n in neurons[1:]])
    usage = np.arange(len(set(core)) * len(RESOURCES)).reshape(-1, len(RESOURCES))
    cores = cores_of(problem, OHEO_GULCH)
    numbers = np.arange(1, len(neurons))
    return Partition(problem, cores, numbers, boxes, np.array(core), usage, 1)


def targets_of(found: Partition) -> dict[int, set[int]]:
    """The cores that each population's spikes go to."""
    core = {int(p): int(c) for p, c in zip(found.population, found.core, strict=True)}
    return {p: {core[x.target] for x in found.problem.out_of[p]} for p in core}


def route(source: Point, target: Point) -> list[Point]:
    """All points along x, then y, then z."""
    points = [list(source)]
    for axis in range(3):
        while points[-1][axis] != target[axis]:
            step = [*points[-1]]
            step[axis] += int(np.sign(target[axis] - step[axis]))
            points.append(step)
    return [(x, y, z) for x, y, z in points]


def loads(found: Partition, at: list[Point]) -> dict[tuple[Point, Point], float]:
    """Each spike crosses a link of its tree once."""
    total: Counter[tuple[Point, Point]] = Counter()
    core = dict(zip(found.population.tolist(), found.core.tolist(), strict=True))
    for p, targets in targets_of(found).items():
        tree = set()
        for target in targets:
            tree |= set(itertools.pairwise(route(at[core[p]], at[target])))
        for link in tree:
            total[link] += found.problem.populations[p].neurons * 0.25
    return total


def cost(found: Partition, at: list[Point]) -> float:
    """Hops of all spikes, each target core on its own."""
    core = dict(zip(found.population.tolist(), found.core.tolist(), strict=True))
    return sum(
        found.problem.populations[p].neurons * 0.25 * (len(route(at[core[p]], at[target])) - 1)
        for p, targets in targets_of(found).items()
        for target in targets
    )


def places(placed: Placed) -> list[Point]:
    return [core.at for core in placed.floorplan.cores]


@st.composite
def networks(draw: st.DrawFn, most: int = 5) -> Partition:
    n = draw(st.integers(2, most))
    neurons = draw(st.lists(st.integers(1, 9), min_size=n + 1, max_size=n + 1))
    arc = st.tuples(st.integers(0, n), st.integers(1, n))
    arcs = draw(st.lists(arc, max_size=8, unique=True))
    core = draw(st.permutations(range(n)))
    if n > 2 and draw(st.booleans()):
        core = [min(c, n - 2) for c in core]  # two populations share a core
    return on_cores(neurons, arcs, list(core))


@settings(max_examples=40, deadline=None)
@given(networks())
def test_few_cores_lie_where_their_spikes_take_the_fewest_hops(found: Partition) -> None:
    placed = place(found, OHEO_GULCH, Search())
    plan, at = placed.floorplan, places(placed)
    assert len(set(at)) == found.count and max(map(sum, at)) < found.count  # close together
    assert plan.cost == pytest.approx(cost(found, at))
    best = min(cost(found, list(order)) for order in itertools.permutations(sorted(at)))
    assert plan.cost == pytest.approx(best)
    assert plan.bound == pytest.approx(
        sum(
            found.problem.populations[p].neurons * 0.25
            for p, cores in targets_of(found).items()
            for core in cores - {int(found.core[p - 1])}
        )
    )
    assert {(k.source, k.target): k.load for k in plan.links} == pytest.approx(loads(found, at))
    assert "x, then y, then z" in placed.deadlock


@settings(max_examples=40, deadline=None)
@given(networks())
def test_a_part_knows_the_cores_that_its_spikes_go_to(found: Partition) -> None:
    placed = place(found, OHEO_GULCH, Search())
    wanted = [sorted(cores) for cores in targets_of(found).values()]
    assert [targets.tolist() for targets in placed.targets] == wanted


def test_the_floorplan_lists_parts_usage_and_limits() -> None:
    found = on_cores([3, 4, 5, 6], [(0, 1), (1, 2), (2, 3)], [1, 0, 1])
    plan = place(found, OHEO_GULCH, Search()).floorplan
    parts_of = [[(part.population, part.box) for part in core.parts] for core in plan.cores]
    assert parts_of == [[("p2", ((0, 5),))], [("p1", ((0, 4),)), ("p3", ((0, 6),))]]
    assert [core.usage for core in plan.cores] == [
        dict(zip(RESOURCES, range(7), strict=True)),
        dict(zip(RESOURCES, range(7, 14), strict=True)),
    ]
    assert plan.limits["neurons of a core"] == (4096, "")
    assert plan.limits["shared memory of a core"] == (120_000, "bytes")
    assert plan.size == CHIP and plan.chip == CHIP
    assert plan.absent == tuple((x, 7, 0) for x in range(8, 16))  # the last 8 of the die


def test_the_load_of_a_link_has_six_digits() -> None:
    found = on_cores([1, 1, 1], [(1, 2)], [0, 1])
    rare = replace(found.problem.populations[1], rate=2 / 3)
    populations = (found.problem.populations[0], rare, found.problem.populations[2])
    found = replace(found, problem=replace(found.problem, populations=populations))
    assert [link.load for link in place(found, OHEO_GULCH, Search()).floorplan.links] == [0.666667]


def test_cores_without_traffic_cost_nothing() -> None:
    placed = place(on_cores([1, 2, 3], [(0, 1), (0, 2)], [0, 1]), OHEO_GULCH, Search())
    assert (placed.floorplan.cost, placed.floorplan.bound) == (0, 0)
    assert placed.floorplan.links == () and len(set(places(placed))) == 2


@pytest.mark.parametrize(("cores", "every"), [(6, True), (7, False)])
def test_every_order_of_six_cores_is_tried(
    monkeypatch: pytest.MonkeyPatch, cores: int, every: bool
) -> None:
    tried = []
    once = module._every_order
    monkeypatch.setattr(module, "_every_order", lambda *x: tried.append(1) or once(*x))
    found = on_cores([1] * (cores + 1), [(i, i + 1) for i in range(cores)], list(range(cores)))
    placed = place(found, OHEO_GULCH, Search())
    assert bool(tried) == every
    assert placed.floorplan.cost == placed.floorplan.bound == (cores - 1) * 0.25


@pytest.mark.parametrize(("cores", "by_hand"), [(64, True), (65, False)])
def test_links_of_many_cores_are_those_of_the_router(
    monkeypatch: pytest.MonkeyPatch, cores: int, by_hand: bool
) -> None:
    """The same trees, and the same loads."""
    followed = []
    once = module._by_hand
    monkeypatch.setattr(module, "_by_hand", lambda *x: followed.append(1) or once(*x))
    rng = np.random.default_rng(cores)
    arcs = sorted({(int(a), int(b)) for a, b in rng.integers(1, cores + 1, (90, 2))})
    found = on_cores([1] * (cores + 1), arcs, list(range(cores)))
    placed = place(found, OHEO_GULCH, Search())
    assert bool(followed) == by_hand
    links = {(k.source, k.target): k.load for k in placed.floorplan.links}
    assert links == pytest.approx(loads(found, places(placed)))


# Chips.


@pytest.mark.parametrize(
    ("target", "cores", "chips"),
    [
        (OHEO_GULCH, 1, (1, 1, 1)),
        (OHEO_GULCH, 120, (1, 1, 1)),
        (OHEO_GULCH, 121, (1, 1, 1)),  # there are no more
        (KAPOHO_POINT, 120, (1, 1, 1)),
        (KAPOHO_POINT, 121, (2, 1, 1)),
        (KAPOHO_POINT, 241, (2, 2, 1)),
        (KAPOHO_POINT, 481, (2, 2, 2)),
        (KAPOHO_POINT, 10_000, (2, 2, 2)),
        (HALA_POINT, 122, (1, 1, 1)),
        (HALA_POINT, 123, (2, 1, 1)),
        (HALA_POINT, 8 * 122 + 1, (3, 2, 2)),
        (HALA_POINT, 122 * 12 * 12 * 8, (12, 12, 8)),
    ],
)
def test_as_many_chips_as_the_cores_need_in_a_shape_near_a_cube(
    target: Target, cores: int, chips: Point
) -> None:
    cells = cells_of(target, cores)
    assert cells.shape == tuple(n * k for n, k in zip(chips, CHIP, strict=True))
    off = 6 if target is HALA_POINT else 8
    assert cells.count == (128 - off) * int(np.prod(chips))
    usable = cells.usable.reshape(cells.shape[::-1])[0, :8, :16].ravel()
    assert usable.tolist() == [True] * (128 - off) + [False] * off


def test_a_step_to_the_next_chip_costs_four() -> None:
    x, y, z = cells_of(KAPOHO_POINT, 481).positions
    assert np.diff(x).tolist() == [1] * 15 + [4] + [1] * 15
    assert np.diff(y).tolist() == [1] * 7 + [4] + [1] * 7
    assert np.diff(z).tolist() == [4]


def test_chips_are_numbered_along_x_then_y_then_z() -> None:
    cells = cells_of(HALA_POINT, 122 * 12)  # 3 x 2 x 2 chips
    width, height, _ = cells.shape
    corners = [
        x * 16 + 15 + width * (y * 8 + height * z)
        for z, y, x in itertools.product(range(2), range(2), range(3))
    ]
    n = len(corners)
    found = SimpleNamespace(
        count=n,
        population=np.zeros(n, np.int64),
        boxes=np.array([[[i, i + 1], [0, 1], [0, 1]] for i in range(n)]),
        core=np.arange(n),
        problem=SimpleNamespace(populations=[parts.Population("p", (n,))]),
        cores=SimpleNamespace(resources=[Resource("neurons", 9, "")]),
        usage=np.ones((n, 1), np.int64),
    )
    made: Any = module._cores(found, cells, np.array(corners))
    assert [core.chip for core in made] == list(range(n))
    assert [core.at for core in made][:4] == [(15, 0, 0), (31, 0, 0), (47, 0, 0), (15, 8, 0)]


# What a part takes.


def test_a_part_of_a_map_takes_a_kernel_and_axons_for_its_places() -> None:
    shape, maps = (2, 6, 5), (4, 3, 4)
    kernel = window(shape, maps, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 1), groups=2)
    same = window(maps, maps, (1, 1))
    problem = Problem(
        (
            parts.Population("a", shape),
            parts.Population("b", maps),
            parts.Population("c", maps),
            parts.Population("d", (3,)),
        ),
        (
            parts.Projection(0, 1, kernel),
            parts.Projection(1, 2, same),
            parts.Projection(1, 3, dense(maps, (3,))),
        ),
    )
    cores = cores_of(problem, OHEO_GULCH)
    boxes = np.array([[[0, 2], [0, 3], [1, 3]], [[1, 4], [1, 2], [0, 4]], [[0, 4], [0, 3], [0, 4]]])
    neurons, places_ = np.array([12, 12, 48]), np.array([6, 4, 12])
    words = np.array([2, 3, 3])  # 2, 3 and 4 channels of 6 taps, a byte each
    maps_, out = neurons + 2 * places_, places_
    shared = 6 * (neurons + 2 + maps_ + out) + 8 * words
    expected = np.stack([neurons, 0 * neurons + 1, 0 * neurons + 2, maps_, out, words, shared])
    assert cores.cost(1, boxes).T.tolist() == expected.tolist()
    whole = cores.cost(2, boxes[2:])[0].tolist()
    assert whole == [48, 1, 2, 48, 0, 2, 6 * (48 + 2 + 48) + 8 * 2]  # 4 x 4 weights
    assert cores_of(problem, OHEO_GULCH, weight_bits=[8, 4, 8]).cost(2, boxes[2:])[0, 5] == 1
    with pytest.raises(ValueError, match="2 sizes of weights for 3 projections"):
        cores_of(problem, OHEO_GULCH, weight_bits=[8, 8])


def test_a_part_of_a_list_takes_the_rows_of_its_own_synapses() -> None:
    """Rows of one synapse take a word, those of two, too: 12 and 20 bits, and 20 more."""
    pre, post = np.array([0, 0, 1, 1, 1]), np.array([0, 3, 1, 2, 3])
    problem = Problem(
        (parts.Population("a", (2,)), parts.Population("b", (4,))),
        (parts.Projection(0, 1, sparse((2,), (4,), pre, post)),),
    )
    boxes = np.array([[[a, b], [0, 1], [0, 1]] for a, b in ((0, 1), (0, 4), (1, 4))])
    found = cores_of(problem, OHEO_GULCH).cost(1, boxes)
    assert found[:, 2].tolist() == [1, 2, 2] and found[:, 5].tolist() == [1, 1 + 2, 1 + 2]
    assert found[:, 3].tolist() == [1, 4, 3]  # neurons that end in an output


# From tables.


def tables(*projections: Projection, sizes: dict[str, int]) -> Tables:
    cells = []
    for name, n in sizes.items():
        zeros = np.zeros(n, np.int64)
        cells.append(Population(name, 4095, 0, 10, zeros, zeros, zeros))
    return Tables(60, (Input("in", np.arange(60)),), tuple(cells), projections, ())


def kinds(made: Problem) -> list[str]:
    return [p.reach.kind for p in made.projections]


def test_kernels_give_their_shapes_to_both_ends() -> None:
    first = Geometry((2, 6, 5), (4, 3, 4), (2, 1), (1, 0), (1, 1), 2)
    weights = np.full((4, 1, 3, 2), 2)
    conv = Projection("w0", "in", "maps", "conv", weights, "mixed", geometry=first)
    on = replace(conv, name="w1", source="maps", target="next", weights=np.full((1, 4, 1, 1), 2))
    on = replace(on, geometry=Geometry((4, 3, 4), (1, 3, 4)))
    out = Projection("w2", "next", "flat", "dense", np.ones((3, 12)), "excitatory")
    sizes = {"maps": 48, "next": 12, "flat": 3}
    made = problem_of(tables(conv, on, out, sizes=sizes), {"flat": (1, 3)}, {})
    assert [p.shape for p in made.populations] == [(2, 6, 5), (4, 3, 4), (1, 3, 4), (1, 3)]
    assert [p.on_core for p in made.populations] == [False, True, True, True]
    assert kinds(made) == ["window", "window", "dense"]
    wanted = window((2, 6, 5), (4, 3, 4), (3, 2), stride=(2, 1), padding=(1, 0), groups=2)
    boxes = np.array([[[1, 3], [0, 2], [1, 4]], [[0, 4], [2, 3], [0, 1]]])
    assert made.projections[0].reach.axes == wanted.axes
    assert made.projections[0].reach.axons(boxes).tolist() == wanted.axons(boxes).tolist()


def test_a_population_that_two_kernels_see_as_other_maps_counts_as_a_matrix() -> None:
    weights = np.full((1, 1, 1, 1), 2)
    one = Geometry((1, 6, 10), (1, 6, 10))
    other = Geometry((1, 10, 6), (1, 10, 6))
    first = Projection("w0", "in", "a", "conv", weights, "mixed", geometry=one)
    second = Projection("w1", "in", "b", "conv", weights, "mixed", geometry=other)
    made = problem_of(tables(first, second, sizes={"a": 60, "b": 60}), {}, {})
    assert kinds(made) == ["window", "dense"]
    assert [p.shape for p in made.populations] == [(1, 6, 10), (1, 6, 10), (1, 10, 6)]


@pytest.mark.parametrize(
    ("rows", "cols", "target", "kind"),
    [
        (range(4), range(4), 4, "one-to-one"),
        ([0, 1, 2, 3], [0, 1, 3, 2], 4, "list"),
        (range(3), range(3), 4, "list"),
        (range(4), range(4), 5, "list"),
    ],
)
def test_a_list_is_one_to_one_if_it_joins_each_neuron_to_its_like(
    rows: Any, cols: Any, target: int, kind: str
) -> None:
    places_ = {"rows": np.array(rows), "cols": np.array(cols)}
    weights = np.ones(len(rows), np.int64)
    listed = Projection("w", "a", "b", "sparse", weights, "excitatory", **places_)
    made = problem_of(tables(listed, sizes={"a": 4, "b": target}), {}, {})
    assert (kinds(made) == ["one-to-one"]) == (kind == "one-to-one")
    assert isinstance(made.projections[0].reach, parts.Explicit) == (kind == "list")


def test_neurons_that_nobody_measured_fire_in_every_tenth_step() -> None:
    rate = np.array([0.5, 0.25])
    made = problem_of(tables(sizes={"a": 2, "b": 3}), {}, {"a": rate})
    assert [np.asarray(p.rate).tolist() for p in made.populations] == [0.1, [0.5, 0.25], 0.1]
