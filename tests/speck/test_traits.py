"""Traits of Speck that a network rarely shows: each alone, against a definition spelt out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.backends.speck import checks, network
from nirc.backends.speck.network import Arrow, Layer, Network
from nirc.backends.speck.neuron import (
    SpeckNeuron,
    chip_rule,
    fires_at_threshold,
    fires_many,
    refuse_foreign,
    to_one_threshold,
)
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete, Population
from nirc.ir.rules import parse

ONE = np.ones(3)
GOOD: dict[str, Any] = {"decay_mem": ONE, "gain_mem": ONE * 2, "drift": ONE * 0}
GOOD |= {"threshold": np.array([1.0, 2.0, 4.0]), "v_reset": ONE * 0}


@pytest.mark.parametrize(
    ("fields", "code", "where", "found"),
    [
        ({}, "", "", ""),
        ({"decay_mem": ONE * 0.5}, "", "", ""),
        ({"decay_syn": ONE / 2, "gain_syn": ONE}, "S712", "/tau_syn", "CubaLIF or CubaLI"),
        ({"threshold": None}, "S712", "", "I, LI or CubaLI"),
        ({"decay_mem": np.array([0.5, 0, 1])}, "S712", "", "decay 0"),
        ({"drift": np.array([0, 0.25, 0])}, "S712", "/v_leak", "0..0.25"),
        ({"v_reset": ONE * -0.5}, "S712", "/v_reset", "-0.5"),
        ({"threshold": np.array([0.0, -1, 2])}, "S716", "/v_threshold", "-1..2"),
    ],
)
def test_a_population_that_no_core_computes_is_named_with_its_field(
    fields: dict[str, Any], code: str, where: str, found: str
) -> None:
    rule = parse("decay v, add x->v, fire > 1, set, emit")
    d = Discrete(**(GOOD | fields), rule=rule)
    log = Log()
    refuse_foreign("p", Population((3,), d, ("nodes/p",)), log)
    said = [(e.code, e.where) for e in log.errors]
    assert said == ([(code, f"nodes/p{where}")] if code else [])
    assert all(found in e.found for e in log.errors)


def test_thresholds_become_one_and_all_input_is_scaled_with_them() -> None:
    d = Discrete(**GOOD, v_least=ONE * -1.0, v_start=ONE * 0.5)
    same, factor = to_one_threshold(d)
    assert same.threshold is not None and same.threshold.tolist() == [4, 4, 4]
    assert factor.tolist() == [8, 4, 2] and same.gain_mem.tolist() == [1, 1, 1]
    assert same.v_least is not None and same.v_least.tolist() == [-4, -2, -1]
    assert same.v_reset is not None and same.v_reset.tolist() == [0, 0, 0]
    assert same.v_start is None
    assert to_one_threshold(Discrete(**GOOD))[0].v_least is None


@pytest.mark.parametrize(
    ("text", "at", "many", "chip"),
    [
        (
            *("decay v, add x->v, fire > 1, set, emit", False, False),
            "decay v, add x->v, fire > many, set, emit",
        ),
        (
            *("decay v, add x->v, fire >= many, subtract, bound, emit", True, True),
            "decay v, add x->v, fire >= many, subtract, bound, emit",
        ),
        ("decay v, add x->v", False, False, "decay v, add x->v"),
    ],
)
def test_the_chip_fires_many_times_at_once_and_compares_as_the_model(
    text: str, at: bool, many: bool, chip: str
) -> None:
    d = Discrete(**GOOD, rule=parse(text))
    assert (fires_at_threshold(d), fires_many(d)) == (at, many)
    assert chip_rule("p", d).text == parse(chip).text


@pytest.mark.parametrize("initial", [0, 4])
@pytest.mark.parametrize("to_zero", [False, True])
def test_a_layer_of_neurons_has_the_words_of_the_chip(initial: int, to_zero: bool) -> None:
    n = SpeckNeuron((3, 1, 1), 8, -5, to_zero, initial, np.array([1, 0, -2]), ONE, 0.0)
    d = n.as_discrete()
    assert d.decay_mem.tolist() == d.gain_mem.tolist() == [1, 1, 1]
    assert d.drift.tolist() == [1, 0, -2]
    assert d.threshold is not None and d.threshold.tolist() == [8, 8, 8]
    assert d.v_least is not None and d.v_least.tolist() == [-5, -5, -5]
    assert (d.v_start is None) == (initial == 0)
    assert d.v_start is None or d.v_start.tolist() == [4, 4, 4]
    assert d.rule.reset == ("set" if to_zero else "subtract")
    assert n.stepper(2).v.tolist() == [[initial] * 3] * 2


def layer(name: str, *sources: str) -> Layer:
    """A layer of 2 channels behind a kernel of 3 x 2 with strides 2 and 1."""
    kernel = np.arange(2 * 1 * 3 * 2).reshape(2, 1, 3, 2) + 1
    arrows = tuple(Arrow(source, (1, 7, 4), (1, 1), i) for i, source in enumerate(sources))
    bias = np.array([0, 5])
    return Layer(name, "nodes/x", (1, 7, 4), (2, 3, 3), kernel, (2, 1), (0, 0), bias, arrows, 10.0)


def test_an_event_updates_each_channel_where_the_kernel_lands() -> None:
    one = layer("a", "in")
    assert one.kernel_size == (3, 2) and one.has_bias
    assert one.synaptic_operations == 10.0 * 2 * (3 * 2 / 2)


def test_layers_behind_a_source_are_found_with_all_their_arrows() -> None:
    net = Network({"in": 28}, (layer("a", "in", "in"), layer("b", "a"), layer("c", "in")), ("c",))
    assert [(x.name, arrow.feature_shift) for x, arrow in net.leaving("in")] == [
        *(("a", 0), ("a", 1), ("c", 0))
    ]
    assert net.leaving("c") == [] and net.layer("b").arrows[0].source == "a"


def test_the_readout_layer_sees_every_fourth_channel() -> None:
    wide = network._spread(layer("a", "in"))
    assert wide.shape_out == (5, 3, 3) and wide.kernel.shape == (5, 1, 3, 2)
    assert wide.bias.tolist() == [0, 0, 0, 0, 5]
    np.testing.assert_array_equal(wide.kernel[[0, 4]], layer("a").kernel)
    assert not wide.kernel[1:4].any() and wide.kernel.dtype == layer("a").kernel.dtype


def test_a_manifest_may_name_the_channels_and_neurons_of_the_chip() -> None:
    def core(monitored: bool, channels: int, weights: int = 1) -> dict[str, Any]:
        shape = {"feature_count": channels, "size": {"y": 3, "x": 2}}
        dimensions = {"output_shape": shape}
        return {"weights": [0] * weights, "dimensions": dimensions, "monitor_enable": monitored}

    routes = [{"first": 0, "shape": (2, 3, 4)}, {"first": 24, "shape": (1, 2, 2)}]
    tree: dict[str, Any] = {"nirc": {"inputs": routes}}
    tree["cnn_layers"] = [core(True, 2), core(True, 9, 0), core(False, 4), core(True, 1)]
    wanted = {"inputs": 28, "outputs": 18, "kinds": ["spikes"], "parts": {"neurons": 42}}
    assert checks.ends({"config.json": tree}) == wanted
    assert checks.ends({"config.json": tree | {"nirc": {"inputs": []}}})["inputs"] == 0
