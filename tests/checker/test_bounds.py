"""The checker's bounds of states, and the inputs that it gives where a state leaves its range."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.backends.loihi2.rule import SIGN_MODES
from nirc.certificate.certificate import reader_of
from nirc.checker import loihi2, xylo
from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, check
from nirc.checker.values import Finding
from nirc.library import compile
from tests.corrupt import bundles, sealed
from tests.models import chain, lif

ROOT = Path(__file__).parents[2]


def bundle() -> Bundle:
    """Return a bundle that keeps findings only."""
    made = Bundle.__new__(Bundle)
    made.findings = []
    return made


def driven(
    sign: int, push: int, du: int = 4095, dv: int = 0, bias: int = 0, v: int = 0
) -> list[str]:
    """Drive a neuron of Loihi 2 by all synapses of a sign."""
    made = bundle()
    cells = [np.array([n]) for n in (push, du, dv, 64, bias, v, 1)]
    loihi2._loihi2_drive(made, "n", sign, cells)
    return [str(each) for each in made.findings]


def test_inhibition_without_leak_saturates_v_after_as_many_steps_as_it_takes() -> None:
    most = 2**23 - 1
    line = "network.npz: n[0]: v saturates if all inhibitory synapses act for {} steps"
    assert driven(-1, most) == [line.format(2)]
    assert driven(-1, most + 1) == [line.format(1)]
    assert driven(-1, 1 << 20) == [line.format(8)]
    assert driven(-1, 1 << 20, v=-1) == [line.format(8)]
    assert driven(-1, 1 << 20, bias=-(1 << 20)) == [line.format(4)]
    assert driven(-1, 1 << 20, dv=4096) == [] and driven(1, 1 << 20) == []
    assert driven(-1, 1 << 20, dv=2048) == []  # at rest where as much is lost as comes


def test_u_wraps_around_where_its_weights_add_up() -> None:
    line = "network.npz: n[0]: u wraps around if all {} synapses act for {} steps"
    assert driven(1, 1 << 20, du=0) == [line.format("excitatory", 9)]
    assert driven(1, 2**23, du=4095) == []
    assert driven(1, 2**23 + 1) == [line.format("excitatory", 1)]
    assert driven(-1, 2**23 + 1, dv=4096) == [line.format("inhibitory", 1)]


def test_weights_of_a_sign_have_its_range() -> None:
    assert set(loihi2.LOIHI2_SIGNS) == set(SIGN_MODES)
    for low, high, step in loihi2.LOIHI2_SIGNS.values():  # 8 bits, of mixed ones the last is 0
        assert len(range(low, high + 1, step)) == 256


Pair = tuple[Chip, Any]


def pair(into: float, across: float, dash: int = 2, threshold: int = 100) -> Pair:
    """Return two hidden neurons of Xylo and a readout: a channel drives one, which the other."""
    rows: list[Any] = [(0, 1, 0, 0, into), (1, 2, 0, 1, across), (2, 3, 0, 1, 1)]
    synapses = [np.array(column) for column in zip(*rows, strict=True)]
    row = {"i_syn_decay": dash, "v_mem_decay": dash, "v_mem_bias": 0, "threshold": threshold}
    cells = xylo._xylo_cells(1, [row, row], [row])
    one = np.ones(4)  # a channel, two hidden neurons, a readout
    return Chip(1, {}, {}, {}, synapses, one, one), cells


def unproved(made: Pair, inputs: int = 15) -> list[list[int]]:
    """Return the states that are not proved: isyn, isyn2 and v of two neurons and a readout."""
    return np.asarray(xylo._xylo_unproved(*made, inputs), int).tolist()


def test_a_state_of_xylo_climbs_to_its_gain_times_two_to_the_dash() -> None:
    """isyn of 15 * w << 2 is proved up to 32767, and from where it is above it is not."""
    most = 32767 // 4 // 15  # of weight, at 15 spikes a step
    assert unproved(pair(most, 0))[0] == [0, 0, 0]
    assert unproved(pair(most + 1, 0))[0] == [1, 0, 0]
    assert unproved(pair(-most, 0))[0] == [0, 0, 0]
    assert unproved(pair(-most - 2, 0))[0] == [1, 0, 0]
    assert unproved(pair(most + 1, 0), inputs=1)[0] == [0, 0, 0]
    assert unproved(pair(-8192, 0), inputs=1)[0] == [0, 0, 0]  # -8191 << 2, less 1
    assert unproved(pair(-8193, 0), inputs=1)[0] == [1, 0, 0]


def test_a_neuron_of_xylo_fires_at_most_31_times_in_a_step() -> None:
    most = 32767 // 4 // 31
    assert unproved(pair(200, most))[0] == [0, 0, 0]
    assert unproved(pair(200, most + 1))[0] == [0, 1, 0]
    assert unproved(pair(200, most + 1, threshold=30000))[0] == [0, 0, 0]  # it fires once
    assert unproved(pair(200, 4000, threshold=30000))[0] == [0, 0, 0]
    assert unproved(pair(0, 8000))[0] == [0, 0, 0]  # it never fires


def bounded(weight: int, du: int = 0, dv: int = 4096, back: int = 0) -> list[str]:
    """Bound the states of a neuron of Loihi 2 behind an input, which may inhibit itself."""
    made, one = bundle(), np.array([1])
    cells = np.array([[0, du], [0, dv], [0, 64], [0, 0], [0, 0], [0, 1]])
    wires: list[Any] = [(0 * one, one, 0, 1, weight * one)]
    wires += [(one, one, 0, 1, back * one)] if back else []
    loihi2._loihi2_bounds(made, {"populations": [{"name": "n"}]}, {"n": one}, cells, wires)
    return [str(each) for each in made.findings]


def test_u_is_bounded_by_all_that_it_can_sum() -> None:
    """u gains 64 times the weight in each step and loses a 4,096th."""
    assert bounded(31) == []  # 31 * 64 * 4096 is below 2^23
    (line,) = bounded(128)
    assert line.endswith("u wraps around if all excitatory synapses act for 1179 steps")
    (line,) = bounded(-128)
    assert line.endswith("u wraps around if all inhibitory synapses act for 1179 steps")
    assert bounded(2**17 - 1, du=4095) == [] and bounded(2**17 + 1, du=4095)


def test_a_neuron_of_xylo_that_fires_31_times_is_left_below_its_threshold() -> None:
    """v is bounded by a step's current while 31 spikes take all of it, and 32 would be one more."""
    row = {"i_syn_decay": 2, "v_mem_decay": 6, "v_mem_bias": 0, "threshold": 100}
    for gain, holds in ((1033, True), (1034, False)):  # v gains 3 * gain in a step, on top of 99
        made, _ = pair(gain, 0)
        found = unproved((made, xylo._xylo_cells(1, [row, row], [row])), inputs=1)
        assert found[2][0] == (not holds)


def test_the_first_run_is_for_the_neuron_with_the_most_open_states() -> None:
    """Channel 0 excites both neurons, channel 1 the second one alone."""
    rows: list[Any] = [(0, 2, 0, 0, 3000), (0, 3, 0, 0, 3000), (1, 3, 0, 0, 3000)]
    synapses = [np.array(column) for column in zip(*rows, strict=True)]
    row = {"i_syn_decay": 2, "v_mem_decay": 2, "v_mem_bias": 0, "threshold": 100}
    one = np.ones(4)
    chip = Chip(2, {}, {}, {}, synapses, one, one)
    cells = xylo._xylo_cells(2, [row, row], [])
    for most, channels in ((0, "[0]"), (1, "[0, 1]")):
        states = np.zeros((3, 2), bool)
        states[:, most] = True
        said = xylo._xylo_leaving(chip, cells, states)
        assert said.endswith(f"isyn of neuron 0 in step 0: 15 spikes on {channels}")


def test_a_relay_of_xylo_repeats_one_neuron() -> None:
    relay = {"i_syn2_decay": 1, **xylo.XYLO_RELAY}
    del relay[...]
    first, second = {**relay, "alias_target": 2}, {**relay, "alias_target": 2}
    assert xylo._xylo_aliases([first, relay, relay]).tolist() == [2, -1, -1]
    with pytest.raises(Finding, match="a relay repeats two neurons"):
        xylo._xylo_aliases([first, second, relay])


@pytest.mark.parametrize("into", [3000, -3000])
def test_an_input_is_named_that_drives_a_state_out_of_its_range(into: int) -> None:
    made = bundle()
    xylo._xylo_bounds(made, *pair(into, 0))
    (found,) = made.findings
    assert found.kind == "overflow" and found.place == "isyn, isyn2, v"
    assert "of 9 states are not proved to stay in 16 bits" in found.problem
    assert "isyn of neuron 0 in step 0: 15 spikes on [0]" in found.found


def test_a_network_of_xylo_without_large_weights_is_proved() -> None:
    made = bundle()
    xylo._xylo_bounds(made, *pair(10, 10))
    assert made.findings == []


def test_neurons_of_speck_that_are_early_begin_later() -> None:
    """What the bias brings in that step is taken back."""
    made = compile(ROOT / "tests/data/simulators/spyx/if.nir", "speck")
    assert made.manifest["populations"]["layer_3"]["latency_steps"] == -1
    assert not [d.code for d in made.diagnostics if d.code in ("C901", "C902", "C906")]


def test_biases_that_act_before_the_models_first_step_are_undone() -> None:
    """The second population of a chain begins on the chip as its bias leaves it after a step."""
    rng = np.random.default_rng(1)
    second = lif(6, steps=4)
    second.v_leak = np.array([0.3, -0.3, 0.8, 0.2, -0.8, 0.0])
    layers = (nir.Linear(rng.normal(0.3, 0.4, (8, 4))), lif(8), nir.Linear(np.eye(6, 8)), second)
    made = compile(chain(4, *layers, n_out=6), "loihi2")
    arrays = np.load(io.BytesIO(made.files["network.npz"]))
    assert arrays["populations/1/v_init"].any() and arrays["populations/1/bias_mant"].any()
    assert not [d.code for d in made.diagnostics if d.code in ("C901", "C902", "C906")]


def test_events_that_saturate_a_membrane_of_speck_are_counted() -> None:
    """Each event leaves v higher by what its weight is above the threshold."""
    (files,) = [files for name, files in bundles("speck") if name == "basicmotions_lif_ff on speck"]
    config = json.loads(files["config.json"])
    core = config["cnn_layers"][0]
    most = int(np.max(core["weights"]))
    for above, events in ((0, None), (1, 32767 - (most - 1) + 2), (3, (32767 - most + 3) // 3 + 2)):
        core["threshold_high"] = most - above
        other = sealed({**files, "config.json": json.dumps(config).encode()})
        found = check(other.__getitem__, reader_of("speck"))
        lines = [each.found for each in found if each.place == "cnn_layers[0]"]
        assert [line.partition(" events that meet the weight")[0] for line in lines] == (
            [] if events is None else [str(events)]
        )


@pytest.mark.parametrize("leaks", [False, True])
def test_a_core_of_speck_leaks_if_any_of_its_biases_does(leaks: bool) -> None:
    (files,) = [files for name, files in bundles("speck") if name == "camera on speck"]
    config = json.loads(files["config.json"])
    core = next(core for core in config["cnn_layers"] if core["weights"])
    assert len(core["biases"]) > 1
    core["biases"], core["leak_enable"] = [-1] + [0] * (len(core["biases"]) - 1), leaks
    other = sealed({**files, "config.json": json.dumps(config).encode()})
    places = [each.place for each in check(other.__getitem__, reader_of("speck"))]
    assert any(place.endswith(".leak_enable") for place in places) == (not leaks)
