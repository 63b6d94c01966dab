"""The emulator against the slow definition, and the configuration file against the network it came
from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from nirc.backends.xylo import emulate as module
from nirc.backends.xylo.config import MAX_BYTES, IntArray, Specification, read_config
from nirc.backends.xylo.emulate import emulate
from nirc.diagnostics.errors import CompileError, InputError
from nirc.semantics.raster import Run
from tests.reference import xylo as reference
from tests.xylo.networks import (
    as_json,
    config_tree,
    networks_and_rasters,
    random_network,
    random_raster,
)


def states(run: Run) -> dict[str, np.ndarray]:
    """All recordings under the names of the slow definition."""
    return {**run.spikes, **{f"v/{name}": v for name, v in run.v.items()}, **run.extra}


def assert_same_states(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(got) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, err_msg=name, strict=False)


def relays(hidden: int, aliases: dict[int, int]) -> Specification:
    """Neuron i fires c times when input i brings c spikes: drive 2, half of it left, threshold
    1.
    """
    zeros = np.zeros(hidden, np.int64)
    ones = zeros + 1
    weights_in = np.zeros((hidden, hidden, 2), np.int64)
    weights_in[..., 0] = 2 * np.eye(hidden, dtype=np.int64)
    targets = np.array([aliases.get(i, -1) for i in range(hidden)])
    return Specification(
        weights_in=weights_in,
        weights_rec=np.zeros((hidden, hidden, 2), np.int64),
        weights_out=np.zeros((hidden, 1), np.int64),
        dash_mem=zeros, dash_mem_out=zeros[:1],
        dash_syn=ones, dash_syn_2=ones, dash_syn_out=ones[:1],
        threshold=ones, threshold_out=zeros[:1] + 32767,
        bias_hidden=zeros, bias_out=zeros[:1],
        weight_shift_in=0, weight_shift_rec=0, weight_shift_out=0,
        aliases=targets,
    )  # fmt: skip


def first_step(spec: Specification, counts: list[int]) -> tuple[list[int], list[int]]:
    """Hidden spikes and membranes after one step."""
    run = emulate(spec, [[counts]], record=True)
    return run.spikes["hidden"][0, 0].tolist(), run.v["hidden"][0, 0].tolist()


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(networks_and_rasters(max_hidden=10, max_samples=3, max_steps=10))
def test_emulator_is_the_definition(case: tuple[Specification, IntArray]) -> None:
    spec, raster = case
    assert_same_states(states(emulate(spec, raster, record=True)), reference.emulate(spec, raster))


def test_aliases_up_travel_in_one_step_and_down_stop() -> None:
    assert first_step(relays(4, {0: 1, 1: 2}), [3, 0, 0, 0])[0] == [3, 3, 3, 0]
    assert first_step(relays(4, {2: 1, 1: 0}), [0, 0, 3, 0])[0] == [0, 3, 3, 0]
    assert first_step(relays(4, {0: 3, 1: 3, 2: 3}), [1, 2, 4, 8])[0] == [1, 2, 4, 15]


def test_a_target_filled_by_aliases_keeps_what_it_could_not_fire() -> None:
    spec = relays(3, {0: 2, 1: 2})
    assert first_step(spec, [15, 15, 15]) == ([15, 15, 31], [0, 0, 14])


def test_a_circle_of_aliases_goes_round_once() -> None:
    assert first_step(relays(2, {0: 1, 1: 0}), [2, 5])[0] == [9, 7]


def test_counts_above_15_are_clipped() -> None:
    assert first_step(relays(1, {}), [40])[0] == [15]


def test_saturation_depends_on_the_order_of_the_sources() -> None:
    spec = relays(2, {})
    spec.weights_in[..., 0] = [[127, -127], [-127, 127]]
    spec = replace(spec, weight_shift_in=7, threshold=spec.threshold * 32767)
    run = emulate(spec, [[[15, 1]], [[1, 15]]], record=True)
    # 32767 - 16256 and -32768 + 16256, each halved. Then 16256 - 32768 (saturated) and the reverse.
    assert run.extra["isyn/hidden"][:, 0].tolist() == [[8256, -8256], [-16384, 16384]]


def test_one_saturating_neuron_does_not_disturb_its_neighbours() -> None:
    rng = np.random.default_rng(5)
    spec = random_network(rng, inputs=3, hidden=30, outputs=2, aliases=False)
    spec.weights_rec[:] = 0
    loud = replace(spec, weights_in=spec.weights_in.copy(), weight_shift_in=7)
    quiet = replace(loud, weights_in=loud.weights_in.copy())
    loud.weights_in[:, 4, 0] = 127
    raster = random_raster(rng, 5, 12, 3)
    a, b = emulate(loud, raster, record=True), emulate(quiet, raster, record=True)
    others = np.arange(30) != 4
    assert (a.extra["isyn/hidden"][..., 4] > 10_000).any()
    assert (a.v["hidden"][..., others] == b.v["hidden"][..., others]).all()


def test_the_answer_does_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    spec = random_network(rng, inputs=4, hidden=20, outputs=3, flavour="saturated")
    raster = random_raster(rng, 9, 15, 4)
    whole = emulate(spec, raster, record=True)
    done: list[int] = []
    monkeypatch.setattr(module, "CHUNK_VALUES", 1)
    monkeypatch.setattr(module, "CHUNK_SAMPLES", 4)
    assert_same_states(
        states(emulate(spec, raster, record=True, progress=done.append)), states(whole)
    )
    assert done == [4, 8, 9]


def test_output_without_recording_is_the_same() -> None:
    rng = np.random.default_rng(2)
    spec = random_network(rng, inputs=4, hidden=20, outputs=3, flavour="ties")
    raster = random_raster(rng, 6, 15, 4)
    plain, recorded = emulate(spec, raster), emulate(spec, raster, record=True)
    assert plain.outputs.shape == (6, 15, 3)
    assert plain.outputs.any()
    assert set(np.unique(plain.outputs)) <= {0, 1}
    np.testing.assert_array_equal(plain.outputs, recorded.outputs)
    assert not plain.spikes
    assert not plain.v


def test_whole_floats_are_counts() -> None:
    raster = np.array([[[1, 2]]])
    np.testing.assert_array_equal(
        emulate(relays(2, {}), raster.astype(np.float64)).outputs,
        emulate(relays(2, {}), raster).outputs,
    )


@pytest.mark.parametrize(
    "raster",
    [
        [[1, 2]],
        [[[1, 2, 3]]],
        [[[1, -1]]],
        [[[0.5, 0]]],
        [[[np.nan, 0]]],
        [[[np.inf, -np.inf]]],
        [[["1", "0"]]],
    ],
)
def test_a_raster_that_does_not_fit_is_refused(raster: Any) -> None:
    with pytest.raises(InputError) as refused:
        emulate(relays(2, {}), raster)
    assert [d.code for d in refused.value.diagnostics] == ["U604"]


# From here on: config.json.


def fitting(variant: str, hidden: int = 12) -> Specification:
    """A random network that the windows and synapses of ``variant`` can hold."""
    rng = np.random.default_rng(hidden)
    spec = random_network(rng, inputs=4, hidden=hidden, outputs=3, synapse_2=variant != "imu")
    if variant != "audio2":
        spec.weights_in[:, 128:] = 0
        spec.weights_out[: max(0, hidden - 128)] = 0
    else:
        spec.weights_rec[:, 64:] = 0  # targets of a neuron
    return replace(spec, dash_syn_2=spec.dash_syn_2 * (variant != "imu"))


@pytest.mark.parametrize("variant", ["audio2", "audio3", "imu"])
@pytest.mark.parametrize("hidden", [1, 12, 128, 129, 300])
def test_a_written_network_is_read_back(variant: str, hidden: int) -> None:
    spec = fitting(variant, hidden)
    read = read_config(as_json(config_tree(spec, variant)))
    for field in fields(Specification):
        np.testing.assert_array_equal(
            getattr(read, field.name), getattr(spec, field.name), err_msg=field.name
        )


def test_switched_off_biases_and_second_synapses_are_left_out() -> None:
    tree = config_tree(fitting("audio2"))
    read = read_config(as_json({**tree, "bias_enable": False, "synapse2_enable": False}))
    assert fitting("audio2").uses_bias
    assert fitting("audio2").uses_synapse_2
    assert not read.uses_bias
    assert not read.uses_synapse_2


def put(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of ``tree`` with ``value`` at a path like "readout.neurons[0].threshold"."""
    copy: dict[str, Any] = json.loads(json.dumps(tree))
    *way, last = [
        int(k) if k.isdigit() else k for k in path.replace("[", ".").replace("]", "").split(".")
    ]
    at: Any = copy
    for key in way:
        at = at[key]
    at[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "limit"),
    [
        ("input.weights[1][2]", 128, "-128..127"),
        ("reservoir.syn2_weights[11][0]", -129, "-128..127"),
        ("readout.weights[3][1]", 10**30, "-128..127"),
        ("input.weight_bit_shift", 8, "0..7"),
        ("reservoir.neurons[2].i_syn_decay", 16, "0..15"),
        ("reservoir.neurons[0].i_syn2_decay", -1, "0..15"),
        ("readout.neurons[1].threshold", 0, "1..32767"),
        ("readout.neurons[1].threshold", 32768, "1..32767"),
        ("reservoir.neurons[5].v_mem_bias", 128, "-128..127"),
        ("reservoir.neurons[5].alias_target", 12, "0..11"),
        ("reservoir.neurons[5].alias_target", 5, "another neuron"),
    ],
)
def test_a_value_outside_its_range_is_named(path: str, value: int, limit: str) -> None:
    tree = put(config_tree(fitting("audio2")), "reservoir.aliasing", True)
    with pytest.raises(CompileError) as refused:
        read_config(as_json(put(tree, path, value)))
    (finding,) = refused.value.diagnostics
    assert (finding.code, finding.where, finding.found, finding.limit) == (
        "X510",
        path,
        str(value),
        limit,
    )


def test_all_values_outside_their_range_are_named_at_once() -> None:
    tree = put(config_tree(fitting("audio2")), "input.weights[0]", [200] * 12)
    with pytest.raises(CompileError) as refused:
        read_config(as_json(put(tree, "readout.neurons[0].threshold", -7)))
    assert [d.where for d in refused.value.diagnostics] == [
        "input.weights[0][0]",
        "readout.neurons[0].threshold",
    ]
    assert "11 more" in refused.value.diagnostics[0].message


@pytest.mark.parametrize("variant", ["audio2", "audio3", "imu"])
def test_more_neurons_than_the_variant_has_are_refused_before_any_matrix(variant: str) -> None:
    tree = config_tree(fitting(variant), variant)
    block = tree["reservoir" if variant == "audio2" else "hidden"]
    block["neurons"] = block["neurons"] * 1000
    with pytest.raises(CompileError) as refused:
        read_config(as_json(tree))
    (finding,) = refused.value.diagnostics
    assert finding.code == "X510"
    assert finding.found == "12000"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "nirc-xylo-config/2"),
        ("variant", ["audio2"]),
        ("variant", "audio3"),  # its hidden block has another name
        ("input", None),
        ("input.weights", {}),
        ("input.weights[0]", [1] * 11),
        ("input.weights[0]", "123456789012"),
        ("input.weights[0][0]", True),
        ("input.weights[0][0]", 1.0),
        ("input.weights[0][0]", None),
        ("reservoir.weights", [[]] * 12),
        ("readout.weights", [[0, 0, 0]] * 11),
        ("reservoir.neurons[4]", 3),
        ("reservoir.neurons[4].threshold", "5"),
        ("reservoir.aliasing", 1),
        ("bias_enable", None),
    ],
)
def test_a_damaged_tree_is_refused(path: str, value: Any) -> None:
    with pytest.raises(InputError) as refused:
        read_config(as_json(put(config_tree(fitting("audio2")), path, value)))
    assert [d.code for d in refused.value.diagnostics] == ["U605"]


def test_an_alias_without_aliasing_is_a_contradiction() -> None:
    tree = put(config_tree(fitting("audio2")), "reservoir.neurons[3].alias_target", 1)
    with pytest.raises(InputError, match="aliasing is off"):
        read_config(as_json(put(tree, "reservoir.aliasing", False)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": NaN}',
        b'{"format": 1, "format": 2}',
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_text_that_is_not_a_configuration_is_refused(text: bytes) -> None:
    with pytest.raises(InputError) as refused:
        read_config(text)
    assert [d.code for d in refused.value.diagnostics] == ["U605"]


def test_a_file_beyond_any_network_is_not_parsed() -> None:
    with pytest.raises(InputError, match="too large"):
        read_config(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    "shorten", [lambda t: t[:-1], lambda t: t[: len(t) // 2], lambda t: t + b"]"]
)
def test_a_truncated_file_is_refused(shorten: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InputError, match="not JSON"):
        read_config(shorten(as_json(config_tree(fitting("imu"), "imu"))))
