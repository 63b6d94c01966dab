"""The board and the chip as SpiNNMachine 7.4.1 has them."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.spinnaker2.limits import LINK_SPIKES_PER_S, PES
from nirc.backends.spinnaker2.system import (
    CORES,
    QUADS,
    ROUTER,
    Faults,
    System,
    board_links,
    chip_links,
    hops_to_router,
    on_board,
    quad_of,
    router_of,
)

# Lowest and highest y of the chips in each column of the board: version_248.py, CHIPS_PER_BOARD.
ROWS = [(0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (1, 7), (2, 7), (3, 7)]


def test_the_board_is_a_hexagon_of_48_chips() -> None:
    y, x = np.mgrid[-1:9, -1:9]
    chips = [(int(a), int(b)) for a, b in zip(x[on_board(x, y)], y[on_board(x, y)], strict=True)]
    assert sorted(chips) == [
        (x, y) for x, (low, high) in enumerate(ROWS) for y in range(low, high + 1)
    ]
    assert board_links().works.sum() == len(chips) == 48


def test_links_go_the_six_ways_of_spinnaker_and_do_not_wrap() -> None:
    links = board_links()
    ways = [links.outgoing[router_of(3, 3), d] for d in range(6)]
    there = links.coordinates[links.target[ways], :2].tolist()
    assert there == [[4, 3], [4, 4], [3, 4], [2, 3], [2, 2], [3, 2]]
    assert links.source.size == 6 * (48 - 8)  # eight rows, columns and diagonals of chips
    assert (links.outgoing[router_of(0, 0)] >= 0).tolist() == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_bad_chips_and_links_are_left_out() -> None:
    links = board_links(bad_chips=[(3, 3)], bad_links=[(0, 0, 1)])
    assert not links.works[router_of(3, 3)] and links.outgoing[router_of(0, 0), 1] < 0
    assert links.outgoing[router_of(1, 1), 4] >= 0  # the way back
    for bad in ({"bad_chips": [(0, 4)]}, {"bad_links": [(7, 2, 0)]}):
        with pytest.raises(ValueError, match="no chip"):
            board_links(**bad)
    with pytest.raises(ValueError, match="does not exist"):
        board_links(bad_links=[(0, 0, 6)])


def test_a_chip_alone_has_no_links() -> None:
    assert (chip_links().routers, chip_links().source.size) == (1, 0)


def test_38_quads_fill_the_chip_but_for_the_router_and_two_holes() -> None:
    everywhere = {(x, y) for x in range(1, 8) for y in range(1, 7)}
    assert everywhere - set(QUADS) == {*ROUTER, (7, 3), (7, 4)}
    assert len(set(QUADS)) == len(QUADS) and CORES == 152
    # core ids in SpiNNMachine's QUAD_MAP
    assert quad_of([1, 4, 5, 77, 152]).tolist() == [
        [7, 6, 0],
        [7, 6, 3],
        [7, 5, 0],
        [1, 1, 0],
        [5, 3, 3],
    ]
    with pytest.raises(ValueError, match="1 to 152"):
        quad_of([0])


def test_the_router_is_reached_in_five_hops_from_the_farthest_corner() -> None:
    hops = hops_to_router(np.arange(1, CORES + 1))
    assert (hops.min(), hops.max()) == (1, 5)
    assert hops_to_router([1, 77]).tolist() == [5, 5]


@pytest.mark.parametrize("bad", ["", "0:1,0:77", "0:1,0:2,0:3,0:4,0:5,0:6"])
def test_a_floorplan_has_the_cells_that_users_may_have(bad: str) -> None:
    """152 PEs are on the die. All that is neither broken nor absent is as many as may be used."""
    system = System(board=False, faults=Faults.parsed(bad))
    others = {*system.absent(), *system.faulty()}
    assert len(others) == len(system.absent()) + len(system.faulty())
    assert np.prod(system.size) - len(others) == system.count == min(PES, CORES - bad.count(":"))
    assert not others & {system.at(0, core) for core in system.cores(0).tolist()}


def test_cells_of_chips_lie_side_by_side() -> None:
    chip, board = System(board=False), System(board=True)
    assert (chip.size, board.size) == ((8, 7, 4), (64, 56, 4))
    x, y, pe = quad_of(6).tolist()
    assert chip.at(0, 6) == (x, y, pe) and pe == 1
    assert board.at(2 + 8 * 3, 6) == (2 * 8 + x, 3 * 7 + y, 1)
    assert len(chip.absent()) == 8 * 7 * 4 - PES


def test_links_of_a_board_avoid_its_broken_chips() -> None:
    system = System(board=True, faults=Faults(chips=(9,), links=((0, 0),)))
    links = system.links
    assert not links.works[9] and 9 not in system.chips
    assert not {*links.source.tolist(), *links.target.tolist()} & {9}
    assert links.outgoing[0, 0] == -1
    assert (links.outgoing[1, 3] == -1) is np.False_, "the way back works"
    assert set(links.capacity.tolist()) == {LINK_SPIKES_PER_S}
    assert set(links.cost.tolist()) == {1.0}


def test_a_single_chip_has_faults_of_its_own_only() -> None:
    faults = Faults(cores=((0, 7), (3, 9)))
    chip, board = System(board=False, faults=faults), System(board=True, faults=faults)
    assert list(chip.faulty()) == [chip.at(0, 7)]
    assert {*board.faulty()} >= {board.at(0, 7), board.at(3, 9)}
    assert 9 in chip.cores(0) and 9 not in board.cores(3)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", Faults()),
        ("9", Faults(chips=(9,))),
        ("9:17", Faults(cores=((9, 17),))),
        ("9>2", Faults(links=((9, 2),))),
        (",0,1:152,,63>5,9:1,10>0,", Faults((0,), ((1, 152), (9, 1)), ((63, 5), (10, 0)))),
        ("9:0", None),
        ("9:153", None),
        ("9:1,9:153", None),
        ("9>6", None),
        ("64", None),
        ("7", None),
        ("7:1", None),
        ("7>1", None),
        ("9>", None),
        ("9:", None),
        ("9 ", None),
        ("9;10", None),
        ("-1", None),
        ("9:1:1", None),
        ("x", None),
        ("1,x", None),
    ],
)
def test_broken_hardware_is_written_as_chips_cores_and_links(
    text: str, faults: Faults | None
) -> None:
    assert Faults.parsed(text) == faults


def test_a_fault_is_of_a_chip_of_the_board() -> None:
    known = [chip for chip in range(100) if Faults.parsed(str(chip)) is not None]
    assert known == sorted(System(board=True).chips)


def test_a_snake_goes_through_all_chips_along_their_links() -> None:
    chips = System(board=True).chips
    assert sorted(chips) == np.flatnonzero(board_links().works).tolist()
    steps = np.diff(chips)
    assert [chips[0], *steps[:9].tolist()] == [0, 1, 1, 1, 1, 9, -1, -1, -1, -1]
    assert set(steps.tolist()) <= {1, -1, 8, 9}


def test_pes_are_taken_from_the_router_outwards_and_faults_fill_up() -> None:
    """Of 152, the 4 farthest stay free. PEs as near as another come by their number."""
    every = range(1, CORES + 1)
    hops = hops_to_router(list(every)).tolist()
    outwards = sorted(every, key=lambda core: (hops[core - 1], core))
    chip = System(board=False, faults=Faults(cores=((0, outwards[0]), (0, outwards[5]))))
    assert System(board=False).cores(0).tolist() == outwards[:PES]
    left = [core for core in outwards if core not in (outwards[0], outwards[5])]
    assert chip.cores(0).tolist() == left[:PES]
    assert (System(board=True).count, chip.count) == (48 * PES, PES)


def test_all_cells_of_a_broken_chip_are_faulty() -> None:
    board = System(board=True, faults=Faults(chips=(9,), cores=((1, 3),)))
    wanted = {board.at(9, core) for core in range(1, CORES + 1)} | {board.at(1, 3)}
    assert {*board.faulty()} == wanted and len(board.faulty()) == CORES + 1
