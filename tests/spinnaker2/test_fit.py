"""Slices, memory, places and routes of compiled networks, and how what does not fit is refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

import nirc
from nirc import api
from nirc.api import Compiled, Options
from nirc.backends.spinnaker2 import BACKEND
from nirc.backends.spinnaker2.fit import Chip
from nirc.backends.spinnaker2.limits import BOARD_48, CHIP, DYN_BYTES, PES
from nirc.backends.spinnaker2.slices import TERMS
from nirc.diagnostics.errors import CompileError, InputError, UsageError
from nirc.diagnostics.log import Log
from nirc.verification.laws import network
from tests.build import graph, if_, inp, lowered, out
from tests.models import DATA
from tests.spinnaker2.networks import one

CNN = DATA / "paper/cnn_sinabs.nir"


def compiled(model: object, target: str = "spinnaker2", **chip: str) -> Compiled:
    return api.compile_model(
        model, target, Options(reset="subtract", chip=tuple(sorted(chip.items())))
    )


def slices(made: Compiled) -> Counter[str]:
    chip: Chip = made.mapped.chip
    return Counter(s.population for s in chip.mapping.slices)


def codes(model: object, target: str = "spinnaker2", **chip: str) -> set[str]:
    with pytest.raises(CompileError) as refusal:
        compiled(model, target, **chip)
    return {d.code for d in refusal.value.diagnostics if d.severity == "error"}


# The paper's network.


@pytest.fixture(scope="module")
def cnn() -> Compiled:
    return compiled(CNN)


def test_the_papers_splits(cnn: Compiled) -> None:
    """16 + 4 + 16 PEs for these three layers; by default as few as memory allows."""
    paper = compiled(CNN, atoms="3:256,6:128,10:16")
    assert [slices(paper)[name] for name in ("3", "6", "10")] == [16, 4, 16]
    ours, theirs = slices(cnn), slices(paper)
    assert all(ours[name] <= theirs[name] for name in theirs)
    assert (sum(ours.values()), sum(theirs.values())) == (58, 63)


def test_rows_of_the_dense_layer_cost_what_the_sheet_says() -> None:
    """512 sources with 16 targets each: 512 * (4 + 4 * 16) bytes, less 4 for each weight that
    rounds to 0.
    """
    made = compiled(CNN, atoms="10:16")
    chip: Chip = made.mapped.chip
    (lost,) = [
        int(d.message.split()[0])
        for d in made.bundle.diagnostics
        if d.code == "D410" and "to `10`" in d.message
    ]
    cores = [c for c in chip.floorplan.cores if c.parts[0].population == "10"]
    assert sum(34_816 - int(c.usage["rows"]) for c in cores) == 4 * lost > 0
    assert "N903" in codes(CNN, "spinnaker2:chip", atoms="10:32")  # 67,584 bytes


def test_memory_is_the_sum_of_its_terms_and_never_above_the_limit(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    for core in chip.floorplan.cores:
        assert core.usage["memory"] == sum(core.usage.get(term, 0) for term in TERMS) <= DYN_BYTES


def test_busy_slices_are_near_the_router(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    cores = chip.floorplan.cores
    near = [abs(c.at[0] - 4) + min(abs(c.at[1] - 3), abs(c.at[1] - 4)) for c in cores]
    assert len({c.at for c in cores}) == len(cores)
    assert max(near) <= 4, "58 of 148 PEs are within four hops"


def test_the_tick_grows_with_the_busiest_pe(cnn: Compiled) -> None:
    chip: Chip = cnn.mapped.chip
    assert chip.mapping.tick.seconds == pytest.approx(2.1e-3)
    hurried: Chip = compiled(CNN, tick="1e-3").mapped.chip
    assert (hurried.mapping.tick.seconds, hurried.mapping.tick.late_cores) == (1e-3, 2)


# Limits.


def test_a_network_too_large_for_a_chip_goes_to_the_board() -> None:
    wide = network(inputs=1, hidden=250 * PES, outputs=50, neuron="IF")
    made = compiled(wide)
    assert made.mapped.target.name == "spinnaker2:board"
    assert "N901" in {d.code for d in made.bundle.diagnostics}
    assert codes(wide, "spinnaker2:chip") == {"N901"}
    assert made.bundle.run(np.ones((1, 3, 1), int)).outputs.shape == (1, 3, 50)


def test_one_neuron_with_too_many_inputs() -> None:
    with pytest.raises(CompileError) as refusal:
        compiled(network(inputs=6000, hidden=1, outputs=1, neuron="IF"), "spinnaker2:chip")
    (found,) = [d for d in refusal.value.diagnostics if d.code == "N903"]
    assert "rows 47,624" in found.found and "neuron 0 alone" in found.message


def test_recordings_take_memory() -> None:
    small = network(hidden=200, outputs=200, neuron="IF")
    few, many = (slices(compiled(small, steps=steps)) for steps in ("100", "4000"))
    assert few["last"] == 1 and many["last"] > 1
    assert "N903" in codes(small, "spinnaker2:chip", steps="100000")


def test_prices_and_memory_can_be_stated() -> None:
    assert slices(compiled(CNN, prices="synapse_bytes:2"))["10"] < slices(compiled(CNN))["10"]
    assert slices(compiled(CNN, memory="90000"))["10"] < slices(compiled(CNN))["10"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("atoms", "3:0"),
        ("atoms", "3:257"),
        ("atoms", "3"),
        ("atoms", "3:4,3:5"),
        ("steps", "0"),
        ("steps", "x"),
        ("tick", "0"),
        ("tick", "nan"),
        ("tick", "-1"),
        ("memory", "131073"),
        ("prices", "gold:1"),
        ("bad", "0:153"),
        ("bad", "7"),
        ("bad", "9>6"),
        ("bad", ""),
        ("delays", "none"),
    ],
)
def test_options_that_make_no_sense(name: str, value: str) -> None:
    with pytest.raises(UsageError) as refusal:
        compiled(CNN, **{name: value})
    assert refusal.value.diagnostics[0].code == "U607"


def test_a_population_that_is_not_there_or_too_many_atoms_of_it() -> None:
    assert codes(CNN, atoms="nobody:3") == {"N902"}
    assert codes(CNN, atoms="10:256") == {"N902"}


# Broken hardware.


def test_bad_pes_stay_free() -> None:
    small = network(neuron="IF")
    chip: Chip = compiled(small).mapped.chip
    used = {s.core for s in chip.mapping.slices}
    other: Chip = compiled(small, bad=",".join(f"0:{core}" for core in used)).mapped.chip
    assert not used & {s.core for s in other.mapping.slices}
    assert len(other.floorplan.faulty) == len(used)


def test_bad_chips_and_links_of_a_board() -> None:
    wide = network(inputs=1, hidden=5 * PES, outputs=20, neuron="IF")
    made = compiled(wide, "spinnaker2:board", bad="0,1:7,2>0,3>3", atoms="hidden:3")
    chip: Chip = made.mapped.chip
    assert not {
        (s.chip, s.core) for s in chip.mapping.slices if s.chip == 0 or (s.chip, s.core) == (1, 7)
    }
    used = {(link.source, link.target) for link in chip.floorplan.links}
    assert used and not used & {((2, 0, 0), (3, 0, 0)), ((3, 0, 0), (2, 0, 0))}
    made.bundle.run(np.ones((1, 2, 1), int))  # every packet is followed before


# Delivery.


def test_packets_that_go_astray_are_found() -> None:
    bundle = compiled(network(neuron="IF")).bundle
    original = bundle.files["mapping.json"]
    for change in (_without_a_core, _with_a_core_more, _without_an_entry):
        bundle.files["mapping.json"] = change(json.loads(original))
        with pytest.raises(InputError) as refusal:
            bundle.run(np.ones((1, 2, 3), int))
        assert refusal.value.diagnostics[0].code == "U605"


def _without_a_core(tree: dict[str, Any]) -> bytes:
    next(route for route in tree["routes"] if route["cores"])["cores"].pop()
    return json.dumps(tree).encode()


def _with_a_core_more(tree: dict[str, Any]) -> bytes:
    next(route for route in tree["routes"] if route["cores"])["cores"].append(99)
    return json.dumps(tree).encode()


def _without_an_entry(tree: dict[str, Any]) -> bytes:
    del tree["entries"][0]
    return json.dumps(tree).encode()


def test_the_same_bytes_whatever_the_order_of_options() -> None:
    first, second = (
        nirc.compile(network(neuron="IF"), "spinnaker2", chip=chip).files
        for chip in ({"steps": "99", "memory": "40000"}, {"memory": "40000", "steps": "99"})
    )
    assert first == second
    assert one(1).dtype == np.float32


def test_too_many_neurons_are_refused_before_weights_are_rounded() -> None:
    n = 256 * PES // 2 + 1
    wide = lowered(graph({"in": inp(n), "pop": if_(n), "out": out(n)}, "in pop out"))
    log = Log()
    assert BACKEND.cannot_fit(wide.discrete, (CHIP,), log)
    (error,) = log.errors
    assert (error.code, error.found.split(":")[0]) == ("N901", str(2 * (PES // 2 + 1)))
    assert error.help.endswith("or compile for spinnaker2:board")
    assert not BACKEND.cannot_fit(wide.discrete, (CHIP, BOARD_48), Log())
