"""Self-inhibition and differences of the chip, each condition at its edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.backends.loihi2.differences import _decay, _start, _with_bias, towards_zero, wrapping
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.soft_reset import (
    Clock,
    _subtracts,
    _to_itself,
    reset_to_zero,
    taps_of_a_filter,
    why_not,
)
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Dense, LinearOp, Sparse
from nirc.ir.populations import Discrete, Population, Projection, Role, Source
from nirc.ir.program import Form, Program, Training
from nirc.ir.rules import LETTER

ONE = np.ones(2)
SUBTRACTS = LETTER.at_once("subtract")
DIAGONAL = Sparse(np.arange(2), np.arange(2), np.array([-0.5, -0.25]), 2, 2)


def neurons(**fields: Any) -> Discrete:
    """They keep a half, and subtract a threshold of 1."""
    given = {"decay_mem": ONE / 2, "threshold": ONE, "rule": SUBTRACTS, **fields}
    return Discrete(gain_mem=ONE, drift=0 * ONE, **given)


def alone(d: Discrete, role: Role = Role.MODEL, weights: Any = ((0.5, 0.25), (1, 0.5))) -> Program:
    n = np.shape(weights)[1]
    nodes = {"in": Source((n,), ("nodes/in",)), "p": Population((2,), d, ("nodes/p",), role)}
    wires = [("in", "p", Projection(ops=(Dense(np.array(weights)),)))]
    return Program.of(Form.DISCRETE, nodes, wires)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (alone(neurons()), ""),
        (alone(neurons(rule=LETTER)), "there is nothing to subtract"),
        (alone(neurons(threshold=None)), "there is nothing to subtract"),
        (alone(neurons(decay_mem=0 * ONE)), "there is nothing to subtract"),
        (alone(neurons(decay_mem=np.array([0, 0.5]))), ""),
        (alone(neurons(), Role.CLOCK), "there is nothing to subtract"),
        (alone(neurons(threshold=np.array([1.0, 0.0]))), "its thresholds are not above 0"),
        (alone(neurons(decay_mem=np.array([0.5, -0.1]))), "its thresholds are not above 0"),
        (alone(neurons(decay_mem=np.array([0.5, 1.1]))), "its thresholds are not above 0"),
        (alone(neurons(decay_mem=ONE)), ""),
        (
            alone(neurons(decay_syn=np.array([0.5, -0.5]), gain_syn=ONE)),
            "its synaptic filter is too slow to be made of 64 delays",
        ),
        (
            alone(neurons(decay_syn=2.0 ** (-8 / 64.5) * ONE, gain_syn=ONE)),
            "its synaptic filter is too slow to be made of 64 delays",
        ),
        (alone(neurons(decay_syn=2.0 ** (-8 / 63.5) * ONE, gain_syn=ONE)), ""),
        (
            alone(neurons(decay_mem=ONE), weights=np.ones((2, 600))),
            "with room in u for 16 steps of full input its largest weight has less than 16 steps",
        ),
    ],
)
def test_a_population_subtracts_unless_there_is_a_reason(program: Program, reason: str) -> None:
    assert why_not(program, "p") == reason


def test_a_legal_population_that_still_subtracts_resets_to_zero() -> None:
    assert reset_to_zero(alone(neurons()), "p")
    for kept in ({"decay_mem": 0 * ONE}, {"threshold": None}, {"rule": LETTER}):
        assert not reset_to_zero(alone(neurons(**kept)), "p")


def inhibition(op: LinearOp = DIAGONAL, **fields: Any) -> Projection:
    return Projection(ops=(op,), **{"feedback": True, **fields})


@pytest.mark.parametrize(
    ("fields", "projection", "subtracts"),
    [
        ({}, inhibition(), True),
        ({"threshold": np.array([0.5, 0.25]), "decay_syn": ONE / 3}, inhibition(), True),
        ({"threshold": np.array([1.0, 0.25])}, inhibition(), False),
        ({"threshold": None}, inhibition(), False),
        ({"decay_syn": None, "gain_syn": None}, inhibition(), False),
        ({"decay_mem": ONE / 2}, inhibition(), False),
        ({}, inhibition(delay_steps=1), False),
        ({}, inhibition(feedback=False), False),
        ({}, inhibition(Dense(np.array([[-0.5, 0.0], [0.0, -0.25]]))), True),
        ({}, inhibition(Dense(np.array([[-0.5, 0.1], [0.0, -0.25]]))), False),
        ({}, inhibition(replace(DIAGONAL, value=np.array([0.5, 0.25]))), False),
    ],
)
def test_self_inhibition_is_known_by_its_weights(
    fields: dict[str, Any], projection: Projection, subtracts: bool
) -> None:
    """Of a threshold, or of what a step leaves of it."""
    usual = {"decay_mem": 0 * ONE, "decay_syn": ONE / 2, "gain_syn": ONE}
    usual["threshold"] = np.array([1.0, 0.5])
    population = Population((2,), neurons(**(usual | fields)), ("nodes/p",))
    assert _subtracts(population, projection) == subtracts


def test_weights_to_itself_are_those_of_each_neuron_alone() -> None:
    def found(*ops: LinearOp) -> list[float] | None:
        weights = _to_itself(Projection(ops=ops), 2)
        return None if weights is None else weights.tolist()

    assert found(DIAGONAL) == [-0.5, -0.25]
    assert found(Sparse(np.array([1]), np.array([1]), np.array([3.0]), 2, 2)) == [0, 3]
    assert found(replace(DIAGONAL, source=np.array([1, 0]))) is None
    assert found(DIAGONAL, DIAGONAL) is None
    assert found(Conv(np.ones((1, 1, 1)), (1, 2), (1, 2), (1,), ((0, 0),), (1,), 1)) is None
    assert found(Dense(np.ones((2, 2)))) is None


def test_projections_of_one_filter_are_those_with_the_next_delay() -> None:
    """From one source, with synapses in the same places."""
    wide, other = Dense(np.ones((2, 3))), Dense(np.ones((3, 2)))
    into = [
        ("a", Projection(ops=(wide,))),
        ("a", Projection(ops=(wide,), delay_steps=1)),
        ("a", Projection(ops=(wide,), delay_steps=2)),
        ("a", Projection(ops=(wide,), delay_steps=4)),
        ("b", Projection(ops=(wide,), delay_steps=5)),
        ("b", Projection(ops=(other,), delay_steps=6)),
        ("b", Projection(ops=(DIAGONAL,), delay_steps=7)),
        ("b", Projection(ops=(replace(DIAGONAL, value=ONE),), delay_steps=8)),
        ("b", Projection(ops=(replace(DIAGONAL, target=np.array([1, 0])),), delay_steps=9)),
        ("b", Projection(ops=(replace(DIAGONAL, source=np.array([1, 0])),), delay_steps=10)),
    ]
    assert taps_of_a_filter(into, None) == [[i] for i in range(10)]
    assert taps_of_a_filter(into, 9) == [[0, 1, 2], [3], [4], [5], [6, 7], [8], [9]]
    assert taps_of_a_filter(into, 1) == [[0], [1], [2], [3], [4], [5], [6, 7], [8], [9]]
    assert taps_of_a_filter(into, 0) == [[0], [1, 2], [3], [4], [5], [6, 7], [8], [9]]


def test_the_clock_fires_in_every_step_and_there_is_one() -> None:
    program = alone(neurons())
    clock = Clock(program)
    assert clock.name == "always" and not clock.nodes
    source, target, p = clock.edge("p", np.array([0.5, -1.0]), 3, ())
    assert (source, target, p.delay_steps, p.origins) == ("always", "p", 3, ())
    assert isinstance(p.ops[0], Dense) and p.ops[0].weight.tolist() == [[0.5], [-1.0]]
    population = clock.nodes["always"]
    assert (population.role, population.origins) == (Role.CLOCK, ("p",))
    assert population.dynamics.drift.tolist() == [1]
    clock.edge("p", ONE, 0, ("nodes/p",))
    assert clock.nodes == {"always": population}
    nodes = {**dict(program.graph.nodes(data="payload")), "tick": population}
    assert Clock(program.rebuilt(nodes, list(program.edges()))).name == "tick"


# Differences.


def told(decay: list[float], loss: list[float], field: str = "tau_mem", **training: Any) -> Any:
    log = Log()
    simulator = Training("snnTorch", 1.0, **training)
    _decay("p", field, np.array(decay), np.array(loss), "nodes/p", simulator, log)
    return [(d.code, d.where, d.message, d.found, d.help) for d in log.diagnostics]


def test_decays_that_the_chip_has_are_not_named() -> None:
    assert told([0.875, 0.0, 1.0], [0.125, 1.0, 0.0]) == []
    assert told([0.5, 0.5], [0.504, 0.496]) == []  # by less than 1 %


def test_an_integrator_that_leaks_is_named_before_what_else_there_is() -> None:
    resets = {"set": "reset_mechanism=zero"}
    (one,) = told([1.0, 0.5, 1.0, 0.9999], [1 / 4096, 0.6, 1 / 4096, 0.0], resets=resets)
    assert one[:2] == ("D420", "nodes/p")
    assert "2 of 4 neurons integrate, and lose 1/4096 of their membrane" in one[2]
    assert one[4].endswith("loses nothing: train with reset_mechanism=zero")
    (bare,) = told([1.0], [1 / 4096])
    assert bare[4] == "`nirc verify` shows what the loss costs in the row of the decays"
    (current,) = told([1.0], [1 / 4096], "tau_syn")
    assert "their synaptic current" in current[2]
    assert current[4] == "train with a decay of 0.999756 a step: tau_syn = 4096 steps"


def test_a_leak_that_vanishes_is_counted_with_its_loss() -> None:
    (one,) = told([0.5, 1 - 1e-4, 1.0], [0.6, 0.0, 0.0])
    assert one[:2] == ("D420", "nodes/p/tau_mem")
    assert "1 of 3 neurons become integrators" in one[2] and one[3] == "a loss of 0.0001 a step"


def test_a_time_constant_that_is_rounded_most_is_shown() -> None:
    (one,) = told([0.5, 0.75, 0.875], [0.506, 0.26, 0.125], "tau_syn")
    assert one[:2] == ("D421", "nodes/p/tau_syn")
    assert "2 of 3 neurons change by more than 1 %" in one[2]
    assert one[3] == "4 steps becomes 3.846 steps"


def integers(start: list[int], dv: int = 512, spikes: bool = True) -> LoihiNeuron:
    both = np.ones(2, np.int64)
    v = np.array(start)
    fields = (4095 * both, dv * both, 100 * both, 0 * both, 0 * both, v, v)
    return LoihiNeuron(*fields, scale=np.array([100.0, 200.0]), spikes=spikes)


def test_a_start_that_is_far_from_the_models_is_named() -> None:
    """The model begins 1.5 above its reset, so at 150 and 300 units."""
    d = neurons(v_reset=-1.5 * ONE, rule=LETTER)
    for start, count in (([150, 300], 0), ([214, 236], 0), ([215, 300], 1), ([215, 200], 2)):
        log = Log()
        _start("p", d, integers(start), "nodes/p", log)
        assert [d.code for d in log.diagnostics] == ["D422"] * bool(count)
        for found in log.diagnostics:
            assert f"{count} of" in found.message or f"{count} neuron" in found.message
    log = Log()
    _start("p", d, integers([9999, 0], dv=4096), "nodes/p", log)
    _start("p", d, integers([9999, 0], spikes=False), "nodes/p", log)
    assert not log.diagnostics
    _start("p", d, integers([215, 200]), "nodes/p", log)
    (worst,) = log.diagnostics
    assert "1" in worst.found and "1.5" in worst.limit + worst.found + worst.message


def test_the_constant_of_a_what_if_is_the_one_that_is_stored() -> None:
    """At scales of 100 and 200: 31 and 59 units for .3, where a leak of 512 is exact."""
    d = replace(neurons(decay_mem=ONE * 0.875, rule=LETTER), drift=0.3 * ONE)
    stored = replace(integers([0, 0]), bias_mant=np.array([31, 59]))
    np.testing.assert_allclose(_with_bias(d, stored).drift, [0.31, 0.295])
    half = replace(stored, dv=np.array([256, 1024]))  # the bias is less or more by as much
    np.testing.assert_allclose(_with_bias(d, half).drift, [0.62, 0.1475])
    none = replace(stored, dv=np.array([0, 0]))
    np.testing.assert_allclose(_with_bias(d, none).drift, [0.3, 0.3])
    endless = replace(d, decay_mem=ONE)
    np.testing.assert_allclose(_with_bias(endless, stored).drift, [0.31, 0.295])


def test_states_of_a_what_if_are_cut_or_wrap_around() -> None:
    unit = np.array([0.5])
    x = np.array([-3.9, -0.9, 0.9, 3.9])
    assert towards_zero(x, np.array([0.5]), unit).tolist() == [-1.5, 0, 0, 1.5]
    edge = 2.0**23 * 0.5
    states = np.array([edge - 0.5, edge, edge + 0.5, -edge, -edge - 0.5])
    assert wrapping(states, np.array([1.0]), unit).tolist() == [
        edge - 0.5, -edge, -edge + 0.5, -edge, edge - 0.5,
    ]  # fmt: skip
