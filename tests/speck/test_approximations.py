"""Speck's differences one at a time, in the model's units: numbers against the chip's own."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.backends.speck.approximations import _bounded, _constants, _leaking, _weights
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv
from nirc.ir.populations import populations_of
from nirc.ir.program import Program
from tests.models import DT, chain, lif

WEIGHT, BIAS = np.array([[0.7, -0.3], [0.11, 0.2]]), np.array([0.013, -0.02])


def biased() -> tuple[Program, Program, dict[str, SpeckNeuron]]:
    """Two neurons with biases, and two with a leak behind them."""
    one = np.ones(2)
    first = nir.IF(r=one / DT, v_threshold=0.9 * one, v_reset=0 * one)
    model = chain(2, nir.Affine(WEIGHT, BIAS), first, nir.Linear(WEIGHT), lif(2), n_out=2)
    discrete = lower(model, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
    legal = SpeckLegalise().run(discrete, Log())
    integer = SpeckQuantise().run(legal, Log())
    neurons = {n: p.dynamics for n, p in populations_of(integer, SpeckNeuron).items()}
    return legal, integer, neurons


def test_weights_alone_are_those_that_the_chip_stores() -> None:
    legal, integer, neurons = biased()
    for name, neuron in neurons.items():
        (((_, changed),), ((_, stored),)) = (
            program.into(name) for program in (_weights(legal, integer, neurons), integer)
        )
        kernel, integers = changed.ops[-1], stored.ops[-1]
        assert isinstance(kernel, Conv) and isinstance(integers, Conv)
        scale = np.unique(neuron.scale).item()
        np.testing.assert_allclose(kernel.weight, integers.weight / scale)
        np.testing.assert_allclose(kernel.weight.reshape(2, 2), WEIGHT, atol=0.51 / scale)


def test_constants_alone_are_the_chips_thresholds_and_biases() -> None:
    legal, _, neurons = biased()
    (first, bias), (last, leaky) = neurons.items()
    found = {n: p.dynamics for n, p in _constants(legal, neurons, {last}).nodes(object).items()
             if n in neurons}  # fmt: skip
    for name, neuron in neurons.items():
        np.testing.assert_allclose(found[name].threshold, neuron.threshold_high / neuron.scale)
    np.testing.assert_allclose(found[first].drift, bias.bias / bias.scale - BIAS, atol=1e-12)
    assert np.abs(found[first].drift).max() > 0
    assert np.array_equal(found[last].drift, legal[last].dynamics.drift)
    assert leaky.bias.any()


def test_a_leak_is_a_constant_and_the_membrane_has_the_chips_lower_bound() -> None:
    legal, _, neurons = biased()
    (last, chip) = list(neurons.items())[-1]
    exact = legal[last].dynamics
    leaking = _leaking(exact)
    assert leaking.decay_mem == pytest.approx([1, 1])
    assert leaking.drift == pytest.approx(exact.drift - (1 - exact.decay_mem) * 0.5)
    fixed = _bounded(leaking, chip)
    low, high = fixed.v
    assert low == pytest.approx(chip.threshold_low / chip.scale) and np.isinf(high).all()
    assert fixed.unit == pytest.approx(1 / chip.scale)
