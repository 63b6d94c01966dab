"""Neurons of the calibration are stepped by the library as by their definitions, to the bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.calibration.gradients import BackwardNeurons
from nirc.ir.arrays import on_grid
from nirc.ir.populations import Discrete
from nirc.ir.rules import MEMBRANE, Rule, plain
from nirc.native.floats import FastStepper
from nirc.native.library import SWITCH
from nirc.semantics.neuron import NeuronStepper

N, ROWS, GROUPS, STEPS = 7, 300, 3, 12
RULES = {
    "subtract": plain("subtract", synapse=True, most=None),
    "set": plain("set", synapse=True),
    "fifteen spikes": plain("subtract", synapse=False, most=15),
    "readout": MEMBRANE.with_synapse(),
}


def neurons(rng: np.random.Generator, rule: Rule, shape: tuple[int, ...], **more: Any) -> Discrete:
    """Return random neurons with two receptors, if they have a synapse."""

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, shape)

    synapse = rule.has_synapse
    return Discrete(
        rule=rule,
        decay_mem=between(0.5, 1),
        gain_mem=between(0.5, 2),
        drift=between(-0.1, 0.1),
        decay_syn=between(0.1, 0.9) if synapse else None,
        gain_syn=between(0.5, 2) if synapse else None,
        decay_syn_2=between(0.1, 0.9) if synapse else None,
        gain_syn_2=between(0.5, 2) if synapse else None,
        threshold=rng.uniform(0.5, 2, N) if rule.fires else None,
        v_reset=rng.uniform(-0.5, 0.2, N) if rule.reset == "set" else None,
        **more,
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("shape", [(ROWS, N), (GROUPS, ROWS, N)])
@pytest.mark.parametrize("grain", [None, 2.0**-8])
def test_a_step(rule: Rule, shape: tuple[int, ...], grain: float | None) -> None:
    rng = np.random.default_rng(len(shape))
    d = neurons(rng, rule, (N,) if len(shape) == 2 else (GROUPS, 1, N), grain=grain)
    fast, slow = FastStepper(d, shape), NeuronStepper(d, shape)
    assert fast.library is not None, "the tests need the library: install with a C compiler"
    total = 0.0
    for _ in range(STEPS):
        x, second = rng.normal(0.3, 1.0, (2, *shape))
        given = second if rule.has_synapse else None
        sent = slow.step(x, given)
        np.testing.assert_array_equal(fast.step(x, given), sent)
        np.testing.assert_array_equal(fast.v, slow.v)
        total += float(np.abs(sent).sum())
    assert total > STEPS


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("value", [1.0, np.inf])
def test_a_step_back(rule: Rule, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    d = neurons(rng, rule, (N,))
    fast = BackwardNeurons(d, ROWS)
    monkeypatch.setenv(SWITCH, "0")
    slow = BackwardNeurons(d, ROWS)
    monkeypatch.delenv(SWITCH)
    assert fast.fast is not None and slow.fast is None
    slopes = rng.normal(0, 1, (ROWS, STEPS, N))
    slopes[3, 5, 2] *= value
    before = rng.normal(0.5, 1, (ROWS, STEPS, N))
    a, b = np.zeros((2, ROWS, STEPS, N)), np.zeros((2, ROWS, STEPS, N))
    with np.errstate(invalid="ignore"):
        for t in reversed(range(STEPS)):
            fast.step(slopes[:, t], before[:, t], a[0, :, t], a[1, :, t])
            slow.step(slopes[:, t], before[:, t], b[0, :, t], b[1, :, t])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fast.drift, slow.drift)


def test_a_rule_with_two_comparisons_runs_by_the_definition() -> None:
    rule = plain("subtract", synapse=False)
    twice = replace(rule, operations=(*rule.operations, *rule.operations))
    d = neurons(np.random.default_rng(7), twice, (N,))
    assert FastStepper(d, (ROWS, N)).library is None


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("inhibits", [False, True])
def test_all_steps_at_once(rule: Rule, inhibits: bool) -> None:
    """As step by step, with synapses of each neuron to itself."""
    rng = np.random.default_rng(8)
    d = neurons(rng, rule, (N,))
    first, second = rng.normal(0.3, 1.0, (2, ROWS, STEPS, N))
    given = second if rule.has_synapse else None
    itself = -rng.random(N) if inhibits else None
    fast, slow = FastStepper(d, (ROWS, N)), FastStepper(d, (ROWS, N))
    signal, before = np.empty(first.shape), first.copy()
    fast.run(before, given, itself, signal)
    slopes, last = rng.normal(0, 1, (ROWS, STEPS, N)), 0.0
    for t in range(STEPS):
        x = first[:, t] if itself is None else first[:, t] + last * itself
        last = slow.step(x, None if given is None else given[:, t])
        np.testing.assert_array_equal(signal[:, t], last)
        np.testing.assert_array_equal(before[:, t], slow.before)
    at_once, by_step = BackwardNeurons(d, ROWS), BackwardNeurons(d, ROWS)
    a, b = np.zeros((2, ROWS, STEPS, N)), np.zeros((2, ROWS, STEPS, N))
    assert at_once.fast is not None
    at_once.fast.run(slopes.copy(), before, a[0], a[1], itself)
    for t in reversed(range(STEPS)):
        if itself is not None and t + 1 < STEPS:
            slopes[:, t] += on_grid(b[0][:, t + 1]) * itself
        by_step.step(slopes[:, t], before[:, t], b[0][:, t], b[1][:, t])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(at_once.drift, by_step.drift)
