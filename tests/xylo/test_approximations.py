"""The chip's differences one at a time, in the model's units: numbers against the chip's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import nir
import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.backends.xylo.approximations import _constants, _membrane_decay, _words
from nirc.backends.xylo.differences import chip_rule
from nirc.backends.xylo.drives import Shifts
from nirc.backends.xylo.legalise import XyloLegalise
from nirc.backends.xylo.quantise import Plan, planned
from nirc.diagnostics.log import Log
from nirc.ir.populations import Discrete
from nirc.ir.rules import plain
from tests.models import DT, chain, lif


def leaky() -> tuple[Discrete, Plan, Shifts]:
    """Three neurons that rest above 0, with a decay between two dashes."""
    neuron = lif(3, steps=11.0, threshold=1.0)
    neuron.v_leak = np.array([0.0, 0.2, 0.4])
    affine = nir.Affine(weight=np.ones((3, 1)), bias=np.array([0.0, 0.01, 0.0]))
    net = chain(1, affine, neuron, nir.Linear(np.ones((1, 3))), lif(1), n_out=1)
    discrete = lower(net, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
    plan, shifts = planned(XyloLegalise().run(discrete, Log()), Log())["lif1"]
    return plan.d, plan, shifts


def test_integer_thresholds_and_biases_in_volts() -> None:
    d, plan, shifts = leaky()
    found, chip, scale = _constants(d, plan, shifts), plan.neuron(shifts, Log()), plan.scale(shifts)
    assert found.threshold == pytest.approx(chip.threshold / scale)
    assert found.rule.fires is not None and found.rule.fires.at == ">="
    # The bias of the chip, without what it gives back to rounding, is one step's constant input.
    given = (chip.bias + plan.kept(scale)) / scale
    slower = 2.0**plan.dash_mem * (1 - d.decay_mem)  # of the chip's membrane
    assert found.drift - d.drift == pytest.approx((given - plan.bias) * np.maximum(slower, 1))


def test_states_have_sixteen_bits() -> None:
    d, plan, shifts = leaky()
    found, unit = _words(d, plan, shifts), 1 / plan.scale(shifts)
    for low, high in (found.v, found.current):
        assert low == pytest.approx(-32768 * unit) and high == pytest.approx(32767 * unit)


def test_a_slower_membrane_gets_less_input_and_less_drift() -> None:
    d, plan, _ = leaky()
    found = _membrane_decay(d)
    assert plan.dash_mem.tolist() == [3, 3, 3] and found.decay_mem == pytest.approx([7 / 8] * 3)
    share = min(1.0, (1 / 8) / (1 / 11))
    assert found.gain_mem == pytest.approx(d.gain_mem * share)
    assert found.drift == pytest.approx(d.drift * share)


@pytest.mark.parametrize("at", [">", ">="])
def test_the_chip_s_rule_compares_as_the_model_does(at: Literal[">", ">="]) -> None:
    """Thresholds are integers: the next one above makes > of >=."""
    net = chain(
        1, nir.Linear(np.ones((3, 1))), lif(3), nir.Linear(np.ones((1, 3))), lif(1), n_out=1
    )
    discrete = lower(net, Options(dt_s=DT, reset="subtract"), log=Log()).discrete
    rule = chip_rule(discrete)
    for name, most in (("lif1", 31), ("lif3", 1)):
        d = replace(discrete[name].dynamics, rule=plain("set", synapse=False, at=at))
        assert rule(name, d) == plain("subtract", synapse=True, at=at, most=most)
