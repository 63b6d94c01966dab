"""Places of slices: within what chips hold, no dearer than the snake, not below the bound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nirc.backends.spinnaker2.fit import Assignment, assign, routed
from nirc.backends.spinnaker2.limits import CHIPS, PES
from nirc.backends.spinnaker2.places import _swapped, chips_of, cores_of, lower_bound
from nirc.backends.spinnaker2.slices import Split
from nirc.backends.spinnaker2.system import (
    BOARD_SIDE,
    CORES,
    Faults,
    System,
    board_links,
    distance,
    hops_to_router,
)
from nirc.diagnostics.log import Log
from nirc.mapping.routing import Nets
from nirc.mapping.routing.route import route


def slices(pairs: np.ndarray, count: int) -> Split:
    """One population of ``count`` slices of 100 neurons. ``pairs`` (n, 2) that send."""
    key = np.unique(pairs[:, 0] * count + pairs[:, 1])
    source, target = np.divmod(key, count)
    begin = 100 * np.arange(count)
    owner = np.zeros(count, np.int64)
    one = np.ones_like(source)
    return Split(("p",), {"p": 100}, owner, begin, begin + 100, source, target, one, {})


def modules(count: int, size: int) -> Split:
    """Modules of slices that send to all of their module, and to one of the next. Shuffled."""
    number = np.random.default_rng(0).permutation(count)
    inside = np.argwhere(np.equal.outer(np.arange(count) // size, np.arange(count) // size))
    across = [(first, (first + size) % count) for first in range(0, count, size)]
    return slices(number[np.concatenate([inside, across])], count)


# A board whose chips have 20 PEs each.
SMALL = tuple((chip, core) for chip in System(board=True).chips for core in range(21, CORES + 1))


def placed(parts: Split, effort: str, faults: Faults | None = None) -> Assignment:
    system = System(board=True, faults=faults)
    made = assign(parts, system, 1e-3, Log(), effort)  # type: ignore[arg-type]
    assert made is not None
    room = {chip: set(system.cores(chip).tolist()) for chip in system.chips}
    taken = list(zip(made.chip.tolist(), made.core.tolist(), strict=True))
    assert len(set(taken)) == parts.count
    assert all(core in room[chip] for chip, core in taken)
    assert 0 < made.bound <= made.cost
    return made


def test_groups_that_talk_are_on_one_chip() -> None:
    parts = modules(6 * 19, 19)
    few = Faults(cores=SMALL)
    snake, ours = placed(parts, "quick", few), placed(parts, "normal", few)
    system = System(board=True, faults=few)
    _, packed, *spread = chips_of(parts, system, "normal", 0)
    assert len(np.unique(packed)) == 6
    assert routed(parts, system, packed, 1e-3).routes.hops.sum() == 6  # a slice of each sends on
    assert [len(np.unique(chip)) for chip in spread] == [6, 12, 24]  # 48 would be uneven
    assert snake.routes.hops.sum() > 50
    assert ours.cost < snake.cost
    again = placed(parts, "normal", few)
    assert (again.chip == ours.chip).all() and (again.core == ours.core).all()


@pytest.mark.parametrize("seed", range(1, 2))
def test_a_search_is_never_dearer_than_the_snake(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = slices(rng.integers(0, 90, (900, 2)), 90)
    few = Faults(cores=SMALL)
    assert placed(parts, "normal", few).cost <= placed(parts, "quick", few).cost


def test_broken_chips_and_pes_stay_empty() -> None:
    broken = Faults(chips=(0, 9), cores=(*SMALL, (1, 1), (1, 2)), links=((2, 0), (2, 1)))
    made = placed(modules(6 * 19, 19), "normal", broken)
    assert not {0, 9} & set(made.chip.tolist())


def test_more_slices_than_whole_chips_take_use_all_chips() -> None:
    """Every chip lacks another number of PEs, and all that are left are needed."""
    lost = tuple(
        (chip, core)
        for number, chip in enumerate(System(board=True).chips)
        for core in range(1, 140 + number % 3)
    )
    system = System(board=True, faults=Faults(cores=lost))
    parts = slices(np.array([[0, 1], [1, 2]]), system.count)
    chosen = list(chips_of(parts, system, "normal", 0))
    assert all(np.bincount(chip, minlength=64).max() <= PES for chip in chosen)
    placed(parts, "normal", Faults(cores=lost))


def test_a_single_chip_is_placed_at_the_bound() -> None:
    parts = modules(140, 20)
    made = assign(parts, System(board=False), 1e-3, Log())
    assert made is not None and made.cost == pytest.approx(made.bound)


def test_a_packet_to_more_slices_than_a_chip_has_takes_links() -> None:
    star = np.stack([np.zeros(2 * PES, np.int64), np.arange(1, 2 * PES + 1)], axis=1)
    far = slices(star, 2 * PES + 1)
    near = slices(star[: PES - 1], 2 * PES + 1)
    system = System(board=True)
    sent = 100 * 0.1
    links = [8 * sent * chips for chips in (2, 0)]
    extra = lower_bound(far, system) - lower_bound(near, system) - links[0]
    hops = lower_bound(slices(star[PES - 1 :], 2 * PES + 1), system)
    assert 0 < extra <= hops


def test_distances_are_those_of_shortest_routes() -> None:
    links = board_links()
    chips = System(board=True).chips
    assert len(chips) == CHIPS
    inside = [(a, b) for a, b in pairwise([*chips, chips[0], chips[-1], chips[20], chips[5]])]
    source, target = np.array(inside).T
    routes = route(Nets.unicast(source, target), links)
    between = distance(source, target)
    assert (routes.hops >= between).all() and (routes.hops == between).mean() > 0.9
    assert distance(0, BOARD_SIDE + 1) == 1  # a diagonal link
    assert distance(1, BOARD_SIDE) == 2
    assert distance(0, 2 + 3 * BOARD_SIDE) == distance(2 + 3 * BOARD_SIDE, 0) == 3
    assert distance(3 * BOARD_SIDE, 2) == distance(2, 3 * BOARD_SIDE) == 5
    assert distance(4, 4 + 3 * BOARD_SIDE) == distance(4 * BOARD_SIDE, 4 * BOARD_SIDE + 3) == 3


def test_packets_times_hops_are_the_cost_and_the_busiest_slices_are_nearest() -> None:
    """Each of 200 slices sends 10 packets. Half of them receive those of the first slice, too."""
    parts = slices(np.array([[0, target] for target in range(100, 200)]), 200)
    chip = np.repeat([0, 9, 0, 9], 50)
    core, cost = cores_of(parts, System(board=True), chip)
    hops, packets = hops_to_router(core), np.repeat([10, 20], 100)
    assert cost == (packets * hops).sum() and len(set(hops.tolist())) > 1
    for number in (0, 9):
        idle, busy = (hops[(chip == number) & (packets == each)] for each in (10, 20))
        assert busy.max() <= idle.min() < idle.max()


@pytest.mark.parametrize("seed", range(4))
def test_no_exchange_of_two_groups_lowers_traffic_times_links(seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = np.triu(rng.integers(0, 9, (6, 6)) * (rng.random((6, 6)) < 0.6), 1)
    traffic = (half + half.T).astype(float)
    chips = np.array(System(board=True).chips)

    def cost(at: np.ndarray) -> float:
        return float((traffic * distance(at[:, None], at)).sum())

    start = rng.choice(chips, 6, replace=False)
    found = _swapped(traffic, start.copy(), chips)
    assert len(set(found.tolist())) == 6 and cost(found) <= cost(start)
    for group in range(6):
        for chip in chips.tolist():
            other = np.where(found == chip, found[group], found)
            other[group] = chip
            assert cost(found) <= cost(other)
