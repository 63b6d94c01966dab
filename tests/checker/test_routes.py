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

KEY = np.array([0, 256])
MASK = 2**32 - 256
EAST, NORTH, BACK = 0, 2, 3


def tables() -> Any:
    """Return routes from a slice on chip 0 to one on chip 1, whose packets go nowhere."""
    return {
        "routers": [
            {"chip": 0, "entries": np.array([[0, MASK, 0]])},
            {"chip": 1, "entries": np.array([[0, MASK, 1], [256, MASK, 2]])},
        ],
        "routes": [
            {"links": [EAST], "cores": []},
            {"links": [], "cores": [7]},
            {"links": [], "cores": []},
        ],
    }


def walk(root: Any, many: bool = True) -> list[Finding]:
    """Walk from slice 0, on core 5 of chip 0, to slice 1, on core 7 of chip 1."""
    bundle = Bundle.__new__(Bundle)
    bundle.findings = []
    chip, core = np.array([0, 1]), np.array([5, 7])
    pairs = np.array([1] if many else [], int)  # source * slices + target
    spinnaker2._spinnaker2_walk(bundle, root, KEY, np.full(2, MASK), chip, core, pairs)
    return bundle.findings


def edited(change: Callable[[Any], object]) -> Any:
    """Return the routes with a change."""
    root = copy.deepcopy(tables())
    change(root)
    return root


def entries(root: Any, chip: int, rows: list[list[int]]) -> None:
    """Replace the entries of a router."""
    root["routers"][chip]["entries"] = np.array(rows, np.int64).reshape(-1, 3)


ASTRAY: list[tuple[str, Callable[[Any], object]]] = [
    ("packets 0x0: they go round, or nowhere, at chip, found 1", lambda r: entries(r, 1, [])),
    ("packets 0x100: they go round, or nowhere, at chip, found 1",
     lambda r: entries(r, 1, [[0, MASK, 1]])),
    ("packets 0x0: they go round, or nowhere, at chip, found 0",
     lambda r: r["routes"][1].update(links=[BACK])),
    ("packets 0x0: they reach other PEs of chip 1, found [7, 8]",
     lambda r: r["routes"][1].update(cores=[7, 8])),
    ("packets 0x0: they reach other PEs of chip 1", lambda r: r["routes"][1].update(cores=[])),
    ("packets 0x0: they reach other PEs of chip 0", lambda r: r["routes"][0].update(cores=[5])),
    ("packets 0x0: they reach other PEs of chip 0",
     lambda r: r["routes"][0].update(links=[EAST, EAST])),
    ("packets 0x0: they leave the board at chip, found 0",
     lambda r: r["routes"][0].update(links=[BACK])),
    ("packets 0x0: they miss PEs of chips, found [1]", lambda r: r["routes"][0].update(links=[])),
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


def test_a_router_has_one_table_of_limited_length(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = edited(lambda r: r["routers"].append(r["routers"][0]))
    with pytest.raises(Finding, match="routers: a chip has two"):
        walk(twice)
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
    first, second = [row for row in mapping["slices"] if row["population"] == "in"]
    assert first["core"] != second["core"]
    second["core"] = first["core"]
    files = contents(made.manifest, {**made.files, "mapping.json": json.dumps(mapping).encode()})
    (*_, last) = check(sealed(files).__getitem__, reader_of("spinnaker2"))
    assert str(last) == "mapping.json: slices: there is no working PE for each slice"


@pytest.mark.parametrize(
    ("name", "last_chip"), [("readout on spinnaker2", 0), ("wide on spinnaker2:board", 63)]
)
def test_a_slice_is_on_a_chip_of_the_system(name: str, last_chip: int) -> None:
    (files,) = [files for title, files in bundles("spinnaker2") if title == name]
    mapping = json.loads(files["mapping.json"])
    for row in (mapping["slices"][0], mapping["routers"][0]):
        kept, row["chip"] = row["chip"], 64
        other = sealed({**files, "mapping.json": json.dumps(mapping).encode()})
        (*_, last) = check(other.__getitem__, reader_of("spinnaker2"))
        assert last.wanted == f"(0, {last_chip})" and last.place.endswith("[0].chip")
        row["chip"] = kept


def test_a_projection_may_have_no_synapse() -> None:
    """Those that it has are by source, target and delay, and fit the target's neurons."""
    ids = {"a": np.arange(3), "b": np.arange(3, 5)}
    models = {"a": "spike_list", "b": "lif"}

    def wire(*rows: tuple[int, int, int, int]) -> Any:
        columns = np.array(rows, int).reshape(-1, 4).T
        ends = {"place": "projections/0", "source": "a", "target": "b"}
        block = {**ends, **dict(zip(("pre", "post", "weight", "delay"), columns, strict=True))}
        return spinnaker2._spinnaker2_wire(block, models, ids)

    assert wire()["weight"].size == 0
    assert wire((0, 1, 15, 7), (2, 0, -15, 0))["to"].tolist() == [4, 3]
    for row in ((3, 0, 1, 0), (0, 2, 1, 0), (0, 0, 16, 0), (0, 0, -16, 0), (0, 0, 1, 8)):
        with pytest.raises(Finding, match="synapses that their target cannot have"):
            wire(row)
    for rows in (((0, 0, 0, 0),), ((1, 0, 1, 0), (0, 0, 1, 0)), ((0, 0, 1, 0), (0, 0, 1, 0))):
        with pytest.raises(Finding, match="synapses are not by pre, post and delay"):
            wire(*rows)
