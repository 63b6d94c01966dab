"""Bounds, groups and ranks of slices on chips, against definitions spelt out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2 import places as module
from nirc.backends.spinnaker2.limits import LINK_HOPS, RATE
from nirc.backends.spinnaker2.places import chips_of, lower_bound
from nirc.backends.spinnaker2.slices import Split
from nirc.backends.spinnaker2.system import Faults, System, hops_to_router
from nirc.mapping.partition import regroup as engine
from nirc.mapping.placement import place as engine_of_places

Pairs = set[tuple[int, int]]


def several(owner: list[int], size: list[int], pairs: Pairs) -> Split:
    """Slices of populations ``owner`` with ``size`` neurons each. ``pairs`` send."""
    source, target = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    names = tuple(f"p{i}" for i in range(max(owner) + 1))
    begin = np.concatenate([np.arange(owner.count(i)) for i in range(len(names))])
    end = begin + np.array(size)
    return Split(names, {}, np.array(owner), begin, end, source, target, source * 0 + 1, {})


def tight(most: int) -> Faults:
    """Chips of a board with ``most`` PEs each."""
    broken = [(chip, core) for chip in System(board=True).chips for core in range(most + 1, 153)]
    return Faults(cores=tuple(broken))


def drawn(seed: int) -> Split:
    """Nine slices of three populations or four, with a third of all pairs."""
    rng = np.random.default_rng(seed)
    owner = np.unique(rng.integers(0, 4, 9), return_inverse=True)[1]
    every = rng.random((9, 9)) < 1 / 3
    pairs = {(int(source), int(target)) for source, target in np.argwhere(every)}
    return several(sorted(owner.tolist()), rng.integers(1, 50, 9).tolist(), pairs)


def pairs_of(parts: Split) -> list[tuple[int, int]]:
    return list(zip(parts.pair_source.tolist(), parts.pair_target.tolist(), strict=True))


@pytest.mark.parametrize("most", [148, 4, 2])
def test_the_bound_has_the_busiest_slices_nearest_and_a_link_for_each_further_chip(
    most: int,
) -> None:
    system = System(board=True, faults=tight(most))
    every = [core for chip in system.chips for core in system.cores(chip).tolist()]
    hops = sorted(hops_to_router(every).tolist())
    for seed in range(4):
        parts = drawn(seed)
        size = (parts.end - parts.begin).tolist()
        packets = [RATE * n for n in size]
        for source, target in pairs_of(parts):
            packets[target] += RATE * size[source]
        bound = sum(a * b for a, b in zip(sorted(packets, reverse=True), hops, strict=False))
        for slice_, n in enumerate(size):
            needed = {target for source, target in pairs_of(parts) if source == slice_} | {slice_}
            bound += LINK_HOPS * RATE * n * (-(-len(needed) // most) - 1)
        assert lower_bound(parts, system) == pytest.approx(bound)
        np.testing.assert_allclose(module._packets(parts), packets)


@pytest.mark.parametrize("seed", range(12))
def test_populations_are_ranked_breadth_first_from_those_that_nothing_feeds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 5
    chosen = np.argwhere(rng.random((count, count)) < 0.25).tolist()
    wires = {(source, target) for source, target in chosen}
    fed = {target for source, target in wires if source != target}
    seen: list[int] = []
    for root in [*(i for i in range(count) if i not in fed), *range(count)]:
        waiting = [root]
        while waiting:
            here = waiting.pop(0)
            if here not in seen:
                seen.append(here)
                waiting += [t for t in range(count) if (here, t) in wires]
    found = module._along_the_network(several([*range(count)], [1] * count, wires))
    assert found.tolist() == [seen.index(i) for i in range(count)]


def test_a_snake_goes_from_chip_to_chip_along_the_network() -> None:
    """p1 feeds p0. Two PEs a chip: p1 and then p0 fill chips 0, 1 and 2."""
    system = System(board=True, faults=tight(2))
    parts = several([0, 0, 0, 1, 1], [1] * 5, {(3, 0)})
    assert system.chips[:3] == [0, 1, 2]
    assert next(chips_of(parts, system, "quick", 0)).tolist() == [1, 1, 2, 0, 0]


def test_even_chips_are_those_with_most_pes_unless_all_are_needed() -> None:
    lost = [(0, core) for core in range(1, 153) if core not in (1, 2, 3)]
    lost += [(1, core) for core in range(1, 151)]
    system = System(board=True, faults=Faults(cores=tuple(lost)))
    full = [chip for chip in system.chips if chip > 1]
    assert module._even_chips(46 * 148, system) == (full, 148)
    assert module._even_chips(46 * 148 + 1, system) == (system.chips, 2)


Asked = list[tuple[int, list[int], list[list[int]], str, int]]
SENT: list[int] = [10] * 44 + [35]  # neurons of the slices of the next test


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What the engine is asked for: groups, their room, sizes, effort and seed."""
    done: Asked = []

    def regroup(graph: Any, groups: int, most: np.ndarray, *, effort: str, seed: int) -> np.ndarray:
        done.append((groups, most.tolist(), graph.size.tolist(), effort, seed))
        assert graph.weight.tolist() in ([10] * graph.weight.size, [10, 35])
        return np.arange(graph.size.shape[0]) % groups

    monkeypatch.setattr(engine, "regroup", regroup)
    return done


def test_groups_are_as_few_as_fit_with_some_slack_then_even_and_twice_as_many(
    asked: Asked,
) -> None:
    """45 slices on chips of 20 PEs: 3 groups hold them, and 6, 12, 24 and 48 hold even shares."""
    system = System(board=True, faults=tight(20))
    parts = several([0] * 45, SENT, {(0, 1), (44, 2)})
    found = list(chips_of(parts, system, "normal", 5))
    assert [groups for groups, *_ in asked] == [3, 3, 6, 12, 24, 48] and len(found) == 7
    packets = [1, 2, 5, *[1] * 41, 4]  # rounded up
    assert asked[0] == (3, [20], [[1]] * 45, "quick", 5)
    for groups, *rest in asked[1:]:
        room = int(1.05 * sum(packets) / groups)
        assert rest == [[20, room], [[1, n] for n in packets], "quick", 5]
    assert next(iter(chips_of(parts, system, "quick", 5))).tolist() == found[0].tolist()
    assert len(list(chips_of(parts, system, "quick", 5))) == 1
    asked.clear()
    assert list(chips_of(parts, system, "thorough", 6)) and asked[0][3:] == ("normal", 6)


def test_slack_asks_for_a_chip_more_where_chips_would_be_all_but_full(asked: Asked) -> None:
    system = System(board=True, faults=tight(20))
    for slices, groups in ((58, 3), (59, 4), (48 * 20, 48)):
        asked.clear()
        list(chips_of(several([0] * slices, [10] * slices, {(0, 1)}), system, "normal", 0))
        assert asked[0][0] == groups


def test_two_chips_have_two_groups(asked: Asked) -> None:
    system = System(board=True, faults=tight(20))
    list(chips_of(several([0] * 21, [10] * 21, {(0, 1)}), system, "normal", 0))
    assert [groups for groups, *_ in asked][:3] == [2, 2, 4]


def test_one_chip_needs_no_groups(asked: Asked) -> None:
    parts = several([0] * 100, [10] * 100, {(0, 1)})
    assert len(list(chips_of(parts, System(board=True), "normal", 0))) == 1 and not asked


def test_groups_near_one_another_are_those_with_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet to several slices of a group counts once. Groups 0 and 1 send both ways."""
    shown: list[np.ndarray] = []

    def swapped(traffic: np.ndarray, at: np.ndarray, chips: np.ndarray) -> np.ndarray:
        shown.append(traffic)
        assert len(set(at.tolist())) == 3 and set(at.tolist()) <= set(chips.tolist())
        return np.array([9, 1, 18])

    monkeypatch.setattr(module, "_swapped", swapped)
    parts = several([0] * 6, [10, 20, 30, 40, 50, 60], {(0, 2), (0, 3), (0, 1), (3, 1), (4, 0)})
    group = np.array([0, 0, 1, 1, 2, 2])
    system = System(board=True, faults=Faults(chips=(0, 2)))
    found = module._on_board(parts, group, system, "normal", 0)
    assert found.tolist() == [9, 9, 1, 1, 18, 18]
    assert shown[0].tolist() == [[0, 10 + 40, 50], [10 + 40, 0, 0], [50, 0, 0]]


def test_groups_are_put_on_chips_that_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three chips, far from one another, are left."""
    tried: list[tuple[str, int]] = []
    place_on = engine_of_places.place_on

    def noted(traffic: Any, cells: Any, *, effort: Any, seed: int) -> Any:
        tried.append((effort, seed))
        return place_on(traffic, cells, effort=effort, seed=seed)

    monkeypatch.setattr(engine_of_places, "place_on", noted)
    left = (0, 27, 63)
    broken = tuple(chip for chip in System(board=True).chips if chip not in left)
    system = System(board=True, faults=Faults(chips=broken))
    parts = several([0] * 3, [10, 20, 30], {(0, 1), (1, 2)})
    found = module._on_board(parts, np.arange(3), system, "normal", 4)
    assert sorted(found.tolist()) == [*left] and found[1] == 27
    module._on_board(parts, np.arange(3), system, "thorough", 5)
    assert tried == [("quick", 4), ("normal", 5)]
