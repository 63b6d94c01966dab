"""The checker walks the packets of SpiNNaker2, and sums what a ring buffer may get in a step."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nirc.certificate.certificate import reader_of
from nirc.checker import spinnaker2
from nirc.checker.bundle import Bundle
from nirc.checker.compare import check
from nirc.checker.values import Finding
from nirc.files.bundle import contents
from nirc.library import compile
from tests.corrupt import bundles, sealed
from tests.models import chain, lif

MASK = 2**32 - 256
EAST, BACK = 0, 3
NO_PE = "mapping.json: slices: there is no working PE for each slice"
SLICES = np.array([[0, 5, 0, MASK], [1, 7, 256, MASK]])  # chip, PE, key, mask


def tables() -> Any:
    """Return routes from a slice on chip 0 to one on chip 1, whose packets go nowhere."""
    return {
        "entries": np.array([[0, 0, MASK, 0], [1, 0, MASK, 1], [1, 256, MASK, 2]]),
        "routes": [
            {"links": [EAST], "cores": []},
            {"links": [], "cores": [7]},
            {"links": [], "cores": []},
        ],
    }


def walk(root: Any, many: bool = True) -> list[Finding]:
    """Walk from slice 0, on PE 5 of chip 0, to slice 1, on PE 7 of chip 1."""
    bundle = Bundle.__new__(Bundle)
    bundle.findings = []
    pairs = np.array([1] if many else [], int)  # source * slices + target
    spinnaker2._spinnaker2_walk(bundle, root, SLICES, pairs)
    return bundle.findings


def edited(change: Callable[[Any], object]) -> Any:
    """Return the routes with a change."""
    root = copy.deepcopy(tables())
    change(root)
    return root


def entries(root: Any, chip: int, rows: list[list[int]]) -> None:
    """Replace the entries of a router."""
    others = root["entries"][root["entries"][:, 0] != chip].tolist()
    root["entries"] = np.array([*others, *([chip, *row] for row in rows)], np.int64)


ASTRAY: list[tuple[str, Callable[[Any], object]]] = [
    ("packets 0x0: they go round, or nowhere, at chip, found 1", lambda r: entries(r, 1, [])),
    ("packets 0x100: they go round, or nowhere, at chip, found 1",
     lambda r: entries(r, 1, [[0, MASK, 1]])),
    ("packets 0x0: they go round, or nowhere, at chip, found 0",
     lambda r: r["routes"][1].update(links=[BACK])),
    ("packets 0x0: they reach other PEs, found [(1, 7), (1, 8)], expected [(1, 7)]",
     lambda r: r["routes"][1].update(cores=[7, 8])),
    ("packets 0x0: they reach other PEs, found [(1, 7), (1, 7)], expected [(1, 7)]",
     lambda r: r["routes"][1].update(cores=[7, 7])),
    ("packets 0x0: they reach other PEs", lambda r: r["routes"][1].update(cores=[])),
    ("packets 0x0: they reach other PEs, found [(0, 5), (1, 7)]",
     lambda r: r["routes"][0].update(cores=[5])),
    ("packets 0x0: they go round", lambda r: r["routes"][0].update(links=[EAST, EAST])),
    ("packets 0x0: they leave the board, found (-1, 0)",
     lambda r: r["routes"][0].update(links=[BACK])),
    ("packets 0x0: they reach other PEs", lambda r: r["routes"][0].update(links=[])),
    ("packets 0x0: they go round, or nowhere", lambda r: entries(r, 0, [[0, MASK, 3]])),
    ("packets 0x0: they go round, or nowhere", lambda r: entries(r, 0, [[0, 2**32 - 1, 0]])),
    ("packets 0x100: they reach other PEs", lambda r: entries(r, 1, [[0, MASK - 256, 1]])),
]  # fmt: skip


def test_packets_reach_the_pes_that_have_synapses_for_them() -> None:
    assert walk(tables()) == []
    assert walk(edited(lambda r: entries(r, 0, [[1, MASK, 2], [0, MASK, 0]]))) == []  # 1 never fits
    with pytest.raises(Finding, match="they reach other PEs"):
        walk(tables(), many=False)


@pytest.mark.parametrize(("line", "change"), ASTRAY)
def test_packets_that_go_astray_are_named(line: str, change: Callable[[Any], object]) -> None:
    with pytest.raises(Finding) as found:
        walk(edited(change))
    assert found.value.kind == "route" and str(found.value).startswith(f"mapping.json: {line}")


def test_the_board_is_a_hexagon_of_48_chips() -> None:
    """A packet may go to each of them, and from none over the edge."""
    inside = [x + 8 * y for y in range(8) for x in range(8) if -4 <= y - x <= 3]
    assert len(inside) == 48
    for chip in inside:
        for link, (x, y) in enumerate(spinnaker2.SPIN_LINKS):
            there = chip % 8 + x, chip // 8 + y
            on_board = min(there) >= 0 and max(there) < 8 and there[0] + 8 * there[1] in inside
            root = {
                "entries": np.array([[chip, 0, MASK, 0], [there[0] + 8 * there[1], 0, MASK, 1]]),
                "routes": [{"links": [link], "cores": []}, {"links": [], "cores": []}],
            }
            slices = np.array([[chip, 1, 0, MASK]])
            bundle = Bundle.__new__(Bundle)
            bundle.findings = []
            if on_board:
                spinnaker2._spinnaker2_walk(bundle, root, slices, np.zeros(0, int))
            else:
                with pytest.raises(Finding, match="they leave the board"):
                    spinnaker2._spinnaker2_walk(bundle, root, slices, np.zeros(0, int))


def test_a_router_has_a_table_of_limited_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinnaker2, "SPIN_ENTRIES", 1)
    (line,) = walk(tables())
    assert str(line) == (
        "mapping.json: entries of the router of chip 1: there are too many, found 2, expected 0..1"
    )


def test_links_lead_as_they_do_on_the_board() -> None:
    """A packet that goes around a chip comes back to it."""
    steps = spinnaker2.SPIN_LINKS
    assert [tuple(np.add(steps[i], steps[i + 3])) for i in range(3)] == [(0, 0)] * 3
    assert len(set(steps)) == 6 and np.sum(steps) == 0


def test_a_ring_buffer_holds_the_weights_of_a_sign_up_to_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert spinnaker2.SPIN_RING == 32767
    (files,) = [
        files for name, files in bundles("spinnaker2") if name == "wide on spinnaker2:board"
    ]
    chip = spinnaker2.spinnaker2(Bundle(files.__getitem__, []))
    _, target, _, _, weight = chip.synapses
    sums = {sign: int(np.bincount(target, np.maximum(sign * weight, 0)).max()) for sign in (1, -1)}
    most = max(sums.values())
    monkeypatch.setattr(spinnaker2, "SPIN_RING", most)
    assert check(files.__getitem__, reader_of("spinnaker2")) == []
    monkeypatch.setattr(spinnaker2, "SPIN_RING", most - 1)
    (found,) = check(files.__getitem__, reader_of("spinnaker2"))
    assert found.kind == "overflow" and abs(float(found.found)) == most
    assert "a buffer overflows if all weights of a sign act in a step" in str(found)


def test_two_slices_are_on_two_pes() -> None:
    """Also those of inputs, to which no packet goes."""
    one = np.ones((4, 300)) / 300
    made = compile(chain(300, nir.Linear(one), lif(4), n_out=4), "spinnaker2")
    mapping = json.loads(made.files["mapping.json"])
    (first, second, _) = mapping["slices"]  # of the input, and of the population
    assert first[:2] != second[:2]
    second[1] = first[1]
    files = contents(made.manifest, {**made.files, "mapping.json": json.dumps(mapping).encode()})
    (*_, last) = check(sealed(files).__getitem__, reader_of("spinnaker2"))
    assert str(last) == NO_PE


def places(chips: list[int], pes: list[int], bad: str = "none", target: str = "board") -> list[str]:
    """Return what is wrong with the places of slices."""
    bundle = Bundle.__new__(Bundle)
    bundle.findings, bundle.manifest = [], {"target": f"spinnaker2:{target}"}
    try:
        spinnaker2._spinnaker2_places(bundle, bad, np.array(chips), np.array(pes))
    except Finding as last:
        bundle.findings.append(last)
    return [str(each) for each in bundle.findings]


def test_a_slice_is_on_a_working_pe_of_the_system() -> None:
    assert places([0, 63, 4, 24], [1, 152, 7, 7]) == []
    for chip, pe in ((5, 1), (32, 1), (64, 1), (0, 0), (0, 153)):
        assert places([chip], [pe]) == [NO_PE]
    assert places([0, 0], [1, 2], target="chip") == []
    assert places([1], [1], target="chip") == [NO_PE]
    for bad in ("9", "09", "9:7", "9:007", "3,9:7"):
        assert places([9], [7], bad) == [NO_PE]
    assert places([9], [7], "9:8,9>7,7:9,7,97") == []


def test_users_have_148_pes_of_a_chip() -> None:
    every = list(range(1, 150))
    assert places([9] * 148, every[:148]) == []
    assert places([9] * 149, every) == [
        "mapping.json: PEs of chip 9: there are too many, found 149, expected 0..148"
    ]


def test_a_projection_may_have_no_synapse() -> None:
    """Those that it has are by source, target and delay, and fit the target's neurons."""
    ids = {"a": np.arange(3), "b": np.arange(3, 5)}
    models = {"a": "spike_list", "b": "lif"}

    def wire(*rows: tuple[int, int, int, int]) -> Any:
        columns = np.array(rows, int).reshape(-1, 4).T
        ends = {"name": "w", "source": "a", "target": "b"}
        block = {**ends, **dict(zip(("pre", "post", "weight", "delay"), columns, strict=True))}
        return spinnaker2._spinnaker2_wire(block, models, ids)

    assert wire()[0].size == 0
    _, target, _, delay, _ = wire((0, 1, 15, 7), (2, 0, -15, 0))
    assert (target.tolist(), delay.tolist()) == ([4, 3], [8, 1])
    for row in ((3, 0, 1, 0), (0, 2, 1, 0)):
        with pytest.raises(IndexError):
            wire(row)
    for row in ((0, 0, 16, 0), (0, 0, -16, 0), (0, 0, 1, 8)):
        with pytest.raises(Finding, match="synapses that their target cannot have"):
            wire(row)
    for rows in (((0, 0, 0, 0),), ((1, 0, 1, 0), (0, 0, 1, 0)), ((0, 0, 1, 0), (0, 0, 1, 0))):
        with pytest.raises(Finding, match="synapses are not by pre, post, delay"):
            wire(*rows)
