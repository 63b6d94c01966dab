"""Candidates of a search have the errors of the definition, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.calibration import gains
from nirc.calibration.chip import Parameters
from nirc.calibration.gains import Search, Setting
from nirc.calibration.unrolled import Unrolled
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import Rule, plain
from nirc.native.library import SWITCH

N, INPUTS, SAMPLES, STEPS = 60, 5, 11, 9
RULES = {
    "subtract": plain("subtract", synapse=True, most=31),
    "set": plain("set", synapse=False),
}


def search(rule: Rule) -> Search:
    """Return a search with two projections, one to a second receptor if there is one."""
    rng = np.random.default_rng(3)
    synapse = rule.has_synapse

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, N)

    d = Discrete(
        rule=rule,
        decay_mem=between(0.5, 1),
        gain_mem=between(0.5, 2),
        drift=between(-0.1, 0.1),
        decay_syn=between(0.1, 0.9) if synapse else None,
        gain_syn=between(0.5, 2) if synapse else None,
        decay_syn_2=between(0.1, 0.9) if synapse else None,
        gain_syn_2=between(0.5, 2) if synapse else None,
        threshold=between(0.5, 2),
        v_reset=between(-0.5, 0.2) if rule.reset == "set" else None,
        v_start=between(-0.5, 0.5),
    )
    weights = rng.normal(size=(2, N, INPUTS))
    bias = (Bias(between(-0.2, 0.2), 2),)
    projections = [Projection(ops=(Dense(w),), biases=bias) for w in weights]
    projections[1] = replace(projections[1], synapse=int(synapse))
    nodes = {
        "in": Source((INPUTS,), ("in",)),
        "a": Population((N,), d, ("a",)),
        "out": Sink((N,), ("out",)),
    }
    edges = [("in", "a", p) for p in projections]
    program = Program.of(Form.DISCRETE, nodes, [*edges, ("a", "out", Projection())])
    unrolled = Unrolled(program)
    unrolled.feed((rng.random((SAMPLES, STEPS, INPUTS)) < 0.4).astype(np.int64))
    reference = (rng.random((SAMPLES, STEPS, N)) < 0.2).astype(np.uint8)
    parameters = Parameters(drift=True)
    return Search(unrolled, "a", parameters, reference, None, rng)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("inhibits", [False, True])
def test_errors(rule: Rule, inhibits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = search(rule)
    if inhibits:
        tried.self_inhibition = -1
    settings = [Setting((k, -3 * k), 2 * k, self_inhibition=5 * k) for k in range(4)]
    fast = tried.errors(settings)
    monkeypatch.setenv(SWITCH, "0")
    np.testing.assert_array_equal(fast, tried.errors(settings))
    assert len({*fast.tolist()}) == len(settings)


def test_a_candidate_ends_where_it_cannot_be_the_best() -> None:
    tried = search(RULES["set"])
    settings = [Setting((k, k)) for k in (0, gains.LARGEST, 3)]
    everything = tried.errors(settings)
    least = float(np.median(everything))
    up_to = tried.errors(settings, least)
    better = everything < least
    np.testing.assert_array_equal(up_to[better], everything[better])
    assert better.any() and (up_to[~better] >= least).all()
    assert up_to.sum() < everything.sum()
