"""Floating-point populations to Xylo's integers: decays, scales, shifts, thresholds."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model, lower
from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.neuron import (
    INTEGRATOR,
    XyloNeuron,
    kept_by_rounding,
    membrane_gain,
    nearest_dash,
    peak_gain,
    synapse_gain,
)
from nirc.backends.xylo.quantise import XyloQuantise
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.rules import Fire
from nirc.semantics.neuron import NeuronStepper
from nirc.semantics.variations import ruled
from tests.models import DT, LOOP, chain, cuba, graph, lif, linear


def chip(model: nir.NIRGraph, target: str = "xylo:audio2") -> Specification:
    made: Specification = compile_model(
        model, target, Options(dt_s=DT, reset="subtract")
    ).mapped.chip
    return made


@pytest.mark.parametrize("k", range(1, 15))
def test_a_time_constant_of_a_power_of_two_is_exact(k: int) -> None:
    decay = np.array([1 - 2.0**-k])
    dash = nearest_dash(decay, least=0)
    assert dash[0] == k
    assert membrane_gain(decay, np.array([0.7]), dash)[0] == pytest.approx(0.7)
    # The chip decays after adding: a weight w delivers w * (1 - 2**-k) in its first step, the model
    # gain * w.
    assert synapse_gain(decay, np.array([0.25]), dash)[0] * (1 - 2.0**-k) == pytest.approx(0.25)


def highest(decay_syn: float, decay_mem: float, gain_syn: float, gain_mem: float) -> float:
    """The membrane after one spike, at its largest: step by step."""
    current, v, top = gain_syn, 0.0, 0.0
    for _ in range(4000):
        v = decay_mem * v + gain_mem * current
        current, top = decay_syn * current, max(top, v)
    return top


@pytest.mark.parametrize(
    ("decay_syn", "decay_mem"),
    [(0.9, 0.95), (0.7, 0.91), (0.95, 0.95), (0.99, 0.5), (0.0, 0.9), (0.875, 0.9375)],
)
def test_a_spike_lifts_the_membrane_as_high_as_in_a_model_that_fires_as_the_chip_does(
    decay_syn: float, decay_mem: float
) -> None:
    syn, mem, gain = np.array([decay_syn]), np.array([decay_mem]), np.array([0.6])
    dash_syn, dash_mem = nearest_dash(syn, least=1), nearest_dash(mem, least=0)
    per_weight = peak_gain(syn, mem, gain, dash_syn, dash_mem) * synapse_gain(
        syn, np.array([0.8]), dash_syn
    )
    chip_syn, chip_mem = (1 - 2.0 ** -float(dash[0]) for dash in (dash_syn, dash_mem))
    # The chip decays after adding: a weight w delivers chip_syn * w in its first step.
    chip = highest(chip_syn, chip_mem, chip_syn * float(per_weight[0]), 1.0)
    assert chip == pytest.approx(highest(decay_syn, decay_mem, 0.8, 0.6), rel=1e-5)


def test_models_that_fire_as_the_chip_have_finer_states() -> None:
    """Room for 4 spikes of every source a step, not 8: they fire as often on the chip as in the
    model.
    """
    model = chain(
        40,
        nir.Linear(np.full((3, 40), 0.1)),
        cuba(3),
        nir.Linear(np.full((2, 3), 0.1)),
        cuba(2),
        n_out=2,
    )
    discrete = lower(model, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
    alike = ruled(discrete, lambda rule: rule.with_fire(Fire(">=", None)))
    coarse, fine = (
        XyloQuantise().run(XyloLegalise().run(p, Log()), Log()) for p in (discrete, alike)
    )
    first = next(name for name in coarse.nodes(Population))
    assert fine[first].dynamics.scale == pytest.approx(2 * coarse[first].dynamics.scale)


def test_decays_that_have_no_dash_get_the_nearest_within_range() -> None:
    assert nearest_dash(np.array([0.0, 0.9, 0.95, 1.0, 1 - 1e-9]), least=0).tolist() == [
        0,
        3,
        4,
        15,
        15,
    ]
    assert nearest_dash(np.array([0.0]), least=1).tolist() == [
        1
    ]  # dash 0 would let no input arrive
    assert INTEGRATOR == 15


@pytest.mark.parametrize(
    ("neuron", "dash_mem", "dash_syn"),
    [
        (lif(3, steps=8), 3, 1),
        (cuba(3, steps=16, synapse=4), 4, 2),
        (cuba(3, steps=4, synapse=1), 2, 1),  # tau_syn = dt: dash 0 would read as always 0
        (nir.IF(r=np.ones(3), v_threshold=np.ones(3)), 15, 1),
        (nir.Threshold(threshold=np.ones(3)), 0, 1),
    ],
)
def test_each_primitive_has_its_dashes(neuron: nir.NIRNode, dash_mem: int, dash_syn: int) -> None:
    rng = np.random.default_rng(0)
    spec = chip(chain(2, linear(rng, 3, 2), neuron, linear(rng, 2, 3), lif(2), n_out=2))
    assert spec.dash_mem.tolist() == [dash_mem] * 3 and spec.dash_syn.tolist() == [dash_syn] * 3


def test_weights_keep_their_ratios_and_use_the_whole_word() -> None:
    weight = np.array([[1.0, -0.5], [0.1, 0.05], [3.0, 0.75]])
    spec = chip(
        chain(2, nir.Linear(weight), cuba(3), nir.Linear(np.ones((2, 3))), cuba(2), n_out=2)
    )
    words = spec.weights_in[..., 0].T  # (hidden, inputs)
    assert (np.abs(words).max(axis=1) > 63).all()  # a scale of its own for each neuron
    np.testing.assert_allclose(words / words[:, :1], weight / weight[:, :1], atol=0.01)


def test_a_matrix_eight_times_larger_gets_a_larger_bit_shift() -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([2])),
        "w": nir.Linear(np.full((6, 2), 8.0)),
        "pop": cuba(6),
        "rec": nir.Linear(np.where(rng.random((6, 6)) < 0.5, 1.0, -0.93)),
        "read": linear(rng, 2, 6),
        "last": cuba(2),
        "out": nir.Output(np.array([2])),
    }
    spec = chip(graph(nodes, LOOP))
    assert spec.weight_shift_in > spec.weight_shift_rec
    assert np.abs(spec.weights_rec).max() > 31 and np.abs(spec.weights_in).max() > 63


def test_a_membrane_at_the_threshold_does_not_fire_as_nir_says() -> None:
    """The chip fires at v >= threshold, NIR at v > v_threshold: the integer threshold lies one
    above.
    """
    model = chain(
        1,
        nir.Linear(np.ones((1, 1))),
        cuba(1, steps=8, synapse=2),
        nir.Linear(np.ones((1, 1))),
        lif(1),
        n_out=1,
    )
    made = compile_model(model, "xylo:audio2", Options(reset="subtract"))
    scale = made.bundle.manifest["populations"]["cubalif1"]["scale"][0]
    assert made.mapped.chip.threshold[0] == np.floor(scale) + 1


def test_signs_of_rounding_are_even_handed() -> None:
    """Rounding to nearest, not towards zero: what is 0.6 of a step becomes 1."""
    weight = np.array([[127.0, 0.6, -0.6, 0.4]])
    spec = chip(
        chain(4, nir.Linear(weight), cuba(1), nir.Linear(np.ones((1, 1))), cuba(1), n_out=1)
    )
    assert spec.weights_in[:, 0, 0].tolist() == [127, 1, -1, 0]


@pytest.mark.parametrize(("dash_mem", "dash_syn"), [(3, 1), (5, 2), (4, 3)])
def test_the_bias_holds_what_rounding_the_states_down_adds(dash_mem: int, dash_syn: int) -> None:
    """Against the same neuron without rounding; its membranes would be higher by more than half of
    2^dash.
    """
    one = np.ones(64, np.int64)
    membrane, synapse = (
        float(kept_by_rounding(k * one, 32767.0 * one)[0]) for k in (dash_mem, dash_syn)
    )
    kept = membrane + synapse * 2**dash_syn  # whose inputs never rest
    bias = int(np.rint(-kept))
    neuron = XyloNeuron(
        dash_mem * one, dash_syn * one, 32767 * one, bias * one, 1.0 * one, 31, 0, 0
    )
    exact = replace(neuron.as_discrete(), drift=(bias + kept) * one)
    drive = np.random.default_rng(0).integers(-20, 60, (300, 1, 64)).astype(np.float64)
    chip, model = neuron.stepper(1), NeuronStepper(exact, (1, 64))
    off = []
    for x in drive:
        chip.step(x)
        model.step(x)
        off.append((chip.v - model.v).mean())
    assert abs(np.mean(off[100:])) < 0.1 * 2**dash_mem < 0.5 * 2**dash_mem < kept * 2**dash_mem
