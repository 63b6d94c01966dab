"""What an assignment of slices reports, and which of its attempts it keeps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2 import fit as module
from nirc.backends.spinnaker2.fit import assign, routed
from nirc.backends.spinnaker2.limits import BOARD_48, CHIP, LINK_HOPS, LINK_SPIKES_PER_S, RATE
from nirc.backends.spinnaker2.system import Faults, System
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population, Role
from nirc.ir.program import Form, Program
from tests.spinnaker2.test_place_counts import several, tight


def test_the_largest_populations_are_named_where_pes_are_too_few() -> None:
    owner = [0] * 2 + [1] * 5 + [2] * 3 + [3] * 4
    parts = several(owner, [1] * 14, set())
    relays = Population((1,), None, (), role=Role.RELAY)
    program = Program.of(Form.INTEGER, {"p2": relays, "p3": relays}, [])
    broken = Faults(cores=tuple((0, core) for core in range(14, 153)))
    for left, enough in ((13, False), (14, True)):
        system = System(board=False, faults=Faults(cores=broken.cores[left - 13 :]))
        assert system.count == left
        log = Log()
        assert module._enough(parts, program, system, CHIP, log) == enough
        if enough:
            continue
        (error,) = log.errors
        assert (error.code, error.where) == ("N901", "p1")
        assert error.found == "14: `p1` 5, `p3` 4, `p2` 3, ..., 7 for relays"
        assert error.help.endswith("or compile for spinnaker2:chip")
        assert error.limit == f"13 ({CHIP.description})"
    log = Log()
    module._report_pes({"a": 1, "b": 2, "c": 3}, {}, system, BOARD_48, log)
    assert log.errors[0].found == "6: `c` 3, `b` 2, `a` 1" and log.errors[0].where == "c"
    assert log.errors[0].message.startswith("spinnaker2:board")


def test_the_longest_table_of_a_board_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices 0 to 3 share chip 0 and send to others there. Slice 4 sends to slice 5 on chip 1."""
    parts = several([0] * 6, [4] * 6, {(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (4, 5)})
    system = System(board=True, faults=tight(4))
    made = assign(parts, system, 1e-3, Log(), "quick")
    assert made is not None
    sizes = made.routing.sizes.tolist()
    longest = max(sizes)
    for entries, said in ((longest, 0), (longest - 1, 1)):
        monkeypatch.setattr(module, "ROUTER_ENTRIES", entries)
        log = Log()
        made = assign(parts, system, 1e-3, log, "quick")
        assert (made is None) == (len(log.errors) == said == 1)
    assert log.errors[0].found == str(longest) and log.errors[0].limit == str(longest - 1)
    assert sizes.index(longest) == 0 and "of chip 0 is" in log.errors[0].message


@pytest.mark.parametrize("seconds", [1.0, 0.25])
def test_links_above_their_capacity_are_routed_around(seconds: float) -> None:
    """Two slices of chip 0 send to chip 1 as much as a link takes, and a little more."""
    system = System(board=True, faults=tight(2))
    chip = np.array([0, 0, 1, 1])
    fits = round(LINK_SPIKES_PER_S * seconds / RATE / 2)
    for neurons, most in ((fits, LINK_SPIKES_PER_S), (fits + 10, LINK_SPIKES_PER_S / 2 + 1)):
        parts = several([0] * 4, [neurons] * 4, {(0, 2), (1, 3)})
        found = routed(parts, system, chip, seconds)
        assert found.routes.loads.max() == pytest.approx(most)
        assert (found.routes.loads <= system.links.capacity).all()
        _, on_chips = module.cores_of(parts, system, chip)
        packets = found.routes.loads.sum() * seconds  # of a step
        assert found.cost == pytest.approx(on_chips + LINK_HOPS * packets)


CUT_OFF = System(board=True, faults=Faults(links=tuple((18, way) for way in range(6))))


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Four placements: the second has slices on a chip that is cut off."""
    done: list[list[int]] = []
    known = routed

    def noted(parts: Any, system: System, chip: np.ndarray, seconds: float) -> Any:
        done.append(chip.tolist())
        return known(parts, system, chip, seconds)

    chips = [np.array(each) for each in ([0, 9, 0, 9], [0, 18, 1, 1], [0, 0, 9, 9], [0, 0, 0, 0])]
    monkeypatch.setattr(module, "chips_of", lambda *_: iter(chips))
    monkeypatch.setattr(module, "routed", noted)
    return done


def test_the_cheapest_placement_is_kept_and_one_without_links_is_the_last(
    attempts: list[list[int]],
) -> None:
    inside = several([0] * 4, [8] * 4, {(0, 1), (2, 3), (1, 0)})
    made = assign(inside, CUT_OFF, 1e-3, Log())
    assert made is not None and made.chip.tolist() == [0, 0, 9, 9]
    assert len(attempts) == 3, "nothing is better than no packet on a link"
    assert made.cost == routed(inside, CUT_OFF, made.chip, 1e-3).cost


def test_all_placements_are_tried_where_packets_leave_their_chips(
    attempts: list[list[int]],
) -> None:
    across = several([0] * 4, [8] * 4, {(0, 3), (1, 2), (0, 1), (2, 1)})
    made = assign(across, CUT_OFF, 1e-3, Log())
    assert made is not None and made.chip.tolist() == [0, 0, 0, 0] and len(attempts) == 4
    assert made.entries[0] >= made.entries[1] > 0


@pytest.mark.parametrize("board", [False, True])
def test_what_is_used_is_the_most_of_any_pe_and_table(board: bool) -> None:
    parts = several([0, 0, 0, 1], [8, 5, 7, 6], {(0, 1)})
    chip = np.array([0, 9, 9, 0])
    cores = [SimpleNamespace(usage={"memory": bytes_}) for bytes_ in (10, 40, 30)]
    plan: Any = SimpleNamespace(cores=cores, limits={"neurons": (250, ""), "memory": (900, "")})
    placed: Any = SimpleNamespace(chip=chip, routing=SimpleNamespace(sizes=np.array([3, 7, 5])))
    system = System(board=board, faults=Faults(chips=(2,)) if board else None)
    found = module._utilisation(parts, placed, system, plan)
    assert found.pop("chips", None) == ((2, 47) if board else None)
    assert found == {
        "processing elements": (4, system.count),
        "neurons of a processing element": (8, 250),
        "memory of a processing element": (40, 900),
        "routing entries of a chip": (7, 16_384),
    }
