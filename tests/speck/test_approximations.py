"""Speck's differences one at a time, in the model's units: numbers against the chip's own."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.backends.speck.approximations import (
    _bounded,
    _constants,
    _leaking,
    _weights,
    approximations,
)
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv
from nirc.ir.populations import Population, populations_of
from nirc.ir.program import Program
from nirc.semantics.variations import FixedPoint
from tests.models import DT, chain, lif

WEIGHT, BIAS = np.array([[0.7, -0.3], [0.11, 0.2]]), np.array([0.013, -0.02])


def model_of_both() -> Program:
    """Two neurons with biases, and two with a leak behind them."""
    one = np.ones(2)
    first = nir.IF(r=one / DT, v_threshold=0.9 * one, v_reset=0 * one)
    model = chain(2, nir.Affine(WEIGHT, BIAS), first, nir.Linear(WEIGHT), lif(2), n_out=2)
    return lower(model, Options(dt_s=DT, reset="subtract"), log=Log()).discrete


def biased(
    quantise: SpeckQuantise | None = None,
) -> tuple[Program, Program, dict[str, SpeckNeuron]]:
    legal = SpeckLegalise().run(model_of_both(), Log())
    integer = (quantise or SpeckQuantise()).run(legal, Log())
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


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("bits", [8, 4])
def test_each_program_differs_in_what_its_name_says(bounded: bool, bits: int) -> None:
    """The first population integrates, the last one leaks."""
    discrete = model_of_both()
    quantise = SpeckQuantise(bounded=bounded, bits=bits)
    made = dict(approximations(discrete, quantise))
    bound = "minus the threshold" if bounded else "16 bits"
    leak = "decays: a constant leak, and nothing below 0"
    assert list(made) == [
        f"weights: {bits} bits, one scale a layer",
        "constants: integer thresholds and biases",
        "saturation: several spikes a step",
        f"saturation: membranes down to {bound}",
        leak,
    ]
    kinds = {
        name: [isinstance(p.dynamics, FixedPoint) for p in program.nodes(Population).values()]
        for name, program in made.items()
    }
    assert [fixed for fixed in kinds.values() if any(fixed)] == [[True, False], [False, True]]
    assert kinds[leak] == [False, True]
    _, _, neurons = biased(quantise)
    first, last = neurons.values()
    low, _ = next(iter(made[f"saturation: membranes down to {bound}"].nodes(Population).values())
                  ).dynamics.v  # fmt: skip
    least = -first.threshold_high if bounded else -32768
    np.testing.assert_allclose(low, least / first.scale)
    _, changed = list(made[leak].nodes(Population).values())
    assert (changed.dynamics.neuron.decay_mem == 1).all()
    assert (changed.dynamics.neuron.drift < 0).all() and last.threshold_low == -1
    stored = made[f"weights: {bits} bits, one scale a layer"]
    names = list(neurons)
    assert all((np.abs(p.ops[-1].weight * neurons[n].scale[0]) < 1 << (bits - 1)).all()
               for n in names for _, p in stored.into(n))  # fmt: skip


def test_a_network_of_one_kind_has_no_program_of_the_other() -> None:
    one = np.ones(2)
    integrates = nir.IF(r=one / DT, v_threshold=0.9 * one, v_reset=0 * one)
    for neuron, missing in ((integrates, "decays"), (lif(2), "membranes down")):
        model = chain(2, nir.Linear(WEIGHT), neuron, n_out=2)
        discrete = lower(model, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
        names = [name for name, _ in approximations(discrete)]
        assert len(names) == 4 and not any(missing in name for name in names)


def test_a_threshold_that_is_reached_or_passed_becomes_one_that_is_reached() -> None:
    legal, _, neurons = biased()
    for initial in (0, -1):
        some = {n: replace(neuron, initial=initial) for n, neuron in neurons.items()}
        changed = _constants(legal, some, set(neurons))
        at = {changed[n].dynamics.rule.fires.at for n in neurons}
        assert at == ({">="} if not initial else {legal[n].dynamics.rule.fires.at for n in neurons})
