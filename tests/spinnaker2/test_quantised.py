"""A population in the chip's numbers: model, parameters, clocks and copies, each rule alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2 import fit
from nirc.backends.spinnaker2.limits import BOARD_48, CHIP
from nirc.backends.spinnaker2.neuron import SpinNeuron
from nirc.backends.spinnaker2.quantise import TINY, Spinnaker2Quantise, strictly_above
from nirc.backends.spinnaker2.spike_sources import (
    CLOCKS,
    Clocked,
    Copy,
    Summed,
    _clock,
    _joined,
    _projections,
    add_clocks,
    add_copies,
    integer_part,
    shares,
    start,
)
from nirc.backends.spinnaker2.system import System
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import ConstantActsAtOnce, FourBitWeights
from nirc.ir.linear import Dense, sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection, Role, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse
from tests.reports import Reports

SUBTRACTS = parse("decay v, add x->v, fire > 1, subtract, emit")


# Constants as integers of clocks.


@pytest.mark.parametrize(
    ("wanted", "integer", "rest"),
    [
        (3.4, 3, 0.4),
        (-3.4, -3, -0.4),
        (2.5, 2, 0.5),
        (7.0 + 5e-9, 7, 0.0),
        (7.0 - 5e-9, 7, 0.0),
        (7.0 + 1e-8, 7, 1e-8),
        (5e-10, 0, 0.0),
        (2e-9, 0, 2e-9),
        (15.0 * CLOCKS + 4, 15 * CLOCKS, 4.0),
        (-15.0 * CLOCKS - 4, -15 * CLOCKS, -4.0),
    ],
)
def test_clocks_bring_the_integer_part_and_the_rest_is_left(
    wanted: float, integer: int, rest: float
) -> None:
    found, left = integer_part(np.array([wanted]), 15)
    assert found.tolist() == [integer] and left.tolist() == pytest.approx([rest], abs=1e-12)
    assert (left[0] == 0) == (rest == 0)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ([0, 0], [[0, 0]]),
        ([15, -15], [[15, -15]]),
        ([16, -15], [[15, -15], [1, 0]]),
        ([-40, 7], [[-15, 7], [-15, 0], [-10, 0]]),
        ([], [[]]),
    ],
)
def test_a_weight_is_a_sum_of_full_shares_and_a_rest(
    weights: list[int], parts: list[list[int]]
) -> None:
    assert [each.tolist() for each in shares(np.array(weights, int), 15)] == parts


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.9])
def test_the_starting_membrane_makes_up_for_the_constants_of_the_latency(alpha: float) -> None:
    offset = np.array([0.25, -3.0, 0.0])
    v = start(offset, np.full(3, alpha), 4)
    for _ in range(4):
        v = alpha * v + offset
    np.testing.assert_allclose(v, 0, atol=1e-12)


def test_neurons_without_memory_and_endless_values_start_from_zero() -> None:
    assert start(np.ones(2), np.array([0.0, 1e-20]), 4).tolist() == [0, 0]
    assert start(np.ones(1), np.array([0.0]), 0).tolist() == [0]
    assert start(np.ones(1), np.ones(1), 5).tolist() == [-5]


def user(*clocked: Clocked, signs: tuple[int, ...] = (), **fields: Any) -> Any:
    """A population that asks for clocks."""
    given: dict[str, Any] = {"name": "a", "limit": 15, "latency_steps": 3, "filtered": bool(signs)}
    given |= {"n": 2, "clocked": list(clocked), "receptors": SimpleNamespace(signs=signs)}
    given |= {"population": SimpleNamespace(origins=(f"nodes/{fields.get('name', 'a')}",))}
    return SimpleNamespace(**(given | fields))


def joined(one: Any) -> list[tuple[int, list[int]]]:
    return [(c.onset, c.weight.tolist()) for c in _joined(one)]


def test_constants_of_one_onset_are_one_unless_signs_have_filters_of_their_own() -> None:
    asked = (Clocked(2, np.array([4, -3])), Clocked(0, np.array([1, 1])),
             Clocked(2, np.array([-1, 5])))  # fmt: skip
    assert joined(user(*asked)) == [(0, [1, 1]), (2, [3, 2])]
    assert joined(user(*asked, signs=(1, -1))) == [
        *((0, [1, 1]), (0, [0, 0]), (2, [4, 5]), (2, [-1, -3]))
    ]


def synapses(p: Projection) -> list[tuple[int, int, float]]:
    op = p.ops[0]
    return sorted(zip(op.target.tolist(), op.source.tolist(), op.value.tolist(), strict=True))


@pytest.mark.parametrize("filtered", [False, True])
def test_each_share_comes_from_a_clock_of_its_own_to_the_current_of_its_sign(
    filtered: bool,
) -> None:
    one = user(Clocked(0, np.array([20, -3])), Clocked(5, np.array([0, 7])), filtered=filtered)
    found = _projections(one, {0: 1, 5: 3}, 4)
    up = [(0, 1, 15), (0, 2, 5), (1, 3, 7)]
    down = [(1, 1, -3)]
    wanted = [(0, up), (1, down)] if filtered else [(0, sorted(up + down))]
    assert [(p.synapse, synapses(p)) for p in found] == wanted
    assert all((p.ops[0].n_in, p.ops[0].n_out) == (4, 2) for p in found)
    assert all(p.origins == ("nodes/a",) for p in found)


def test_a_clock_fires_in_each_step_from_its_onset_on() -> None:
    """It counts the chip's steps. Spikes arrive a step later, and the first model step is 3."""
    clock = _clock(np.array([0, 2]), 3)
    assert clock.latency_steps == 2 and clock.scale.tolist() == [1, 1]
    stepper = clock.stepper(1)
    nothing = np.zeros((1, 2))
    fired = [stepper.step(nothing)[0].tolist() for _ in range(5)]
    assert fired == [[1, 0], [1, 0], [1, 1], [1, 1], [1, 1]]


def test_users_of_one_latency_share_clocks() -> None:
    program = Program.of(Form.DISCRETE, {"bias": Source((1,), ("nodes/bias",))}, ())
    users = [
        user(Clocked(4, np.array([1, 0])), name="late", latency_steps=5),
        user(Clocked(0, np.array([31, 0])), Clocked(2, np.array([1, 1])), name="a"),
        user(Clocked(0, np.array([16, 0])), Clocked(1, np.array([0, 15])), name="b"),
        user(name="none"),
    ]
    nodes: dict[str, object] = {}
    arcs: list[Any] = []
    add_clocks(users, program, nodes, arcs)
    made: Any = nodes
    assert list(nodes) == ["bias2", "bias3"]
    assert (made["bias2"].n, made["bias3"].n) == (5, 1)  # 3 from step 0, and 1 from 1 and 2 each
    assert made["bias2"].dynamics.threshold.tolist() == [3, 3, 3, 4, 5]
    assert made["bias3"].dynamics.threshold.tolist() == [9]
    assert made["bias2"].origins == ("nodes/a", "nodes/b") and made["bias2"].role is Role.CLOCK
    found = [(s, t, synapses(p)) for s, t, p in arcs]
    assert found == [
        ("bias2", "a", [(0, 0, 15), (0, 1, 15), (0, 2, 1), (0, 4, 1), (1, 4, 1)]),
        ("bias2", "b", [(0, 0, 15), (0, 1, 1), (1, 3, 15)]),
        ("bias3", "late", [(0, 0, 1)]),
    ]


# Copies of inputs.


def summed(target: str, *rows: tuple[int, int, float], source: str = "in") -> Summed:
    at, came, value = np.array(rows, float).T
    op = sparse(at.astype(int), came.astype(int), value, 3, 2)
    return Summed.of((source, target, Projection(origins=("nodes/w",))), op, 15)


def test_a_channel_has_copies_for_its_largest_weight() -> None:
    program = Program.of(Form.DISCRETE, {"in": Source((3,), ("nodes/in",))}, ())
    first = summed("a", (0, 0, 40), (1, 1, -3), (1, 2, 20))
    second = summed("b", (0, 0, -16), (1, 2, 5))
    small = summed("c", (0, 0, 15))
    assert [s.copies.tolist() for s in (first, second, small)] == [[2, 0, 1], [1, 0, 0], [0, 0, 0]]
    nodes: dict[str, object] = {}
    arcs: list[Any] = []
    reports: Any = Reports()
    add_copies([first, second, small], program, nodes, arcs, reports)
    copies: Any = nodes["in.copies"]
    assert list(nodes) == ["in.copies"] and copies.n == 3
    assert copies.role is Role.RELAY and isinstance(copies.dynamics, Copy)
    assert [(s, t, synapses(p)) for s, t, p in arcs] == [
        ("in", "in.copies", [(0, 0, 1), (1, 0, 1), (2, 2, 1)]),
        ("in.copies", "a", [(0, 0, 15), (0, 1, 10), (1, 2, 5)]),
        ("in.copies", "b", [(0, 0, -1)]),
    ]
    (found,) = reports.found
    assert vars(found) == {"where": "nodes/in", "port": "in", "copies": 3, "most": 3}
    assert synapses(first.arc[2]) == [(0, 0, 15), (1, 1, -3), (1, 2, 15)]


def test_weights_within_the_range_need_no_copies() -> None:
    program = Program.of(Form.DISCRETE, {"in": Source((3,), ("nodes/in",))}, ())
    nodes: dict[str, object] = {}
    add_copies([summed("a", (0, 0, 15))], program, nodes, [], Log())
    assert nodes == {}


def test_a_copy_repeats_its_input() -> None:
    x = np.array([[2.0, 0.0, 1.0]])
    assert Copy().stepper(1).step(x) is x and Copy().as_discrete().threshold == pytest.approx(0.5)


# Parameters.


def quantised(d: Discrete, *projections: Projection, **how: Any) -> tuple[Any, list[Any]]:
    """The neuron behind two inputs, or one with its delays, and what was reported."""
    nodes: dict[str, object] = {n: Source((1,), (f"nodes/{n}",)) for n in ("in", "in2")}
    nodes |= {"a": Population((d.decay_mem.size,), d, ("nodes/a",)), "out": Sink((1,), ("out",))}
    edges = list(zip(("in", "in2"), "aa", projections, strict=False))
    program = Program.of(Form.DISCRETE, nodes, [*edges, ("a", "out", Projection())])
    log = Log()
    found = Spinnaker2Quantise(**how).planned(program, log)["a"]
    return found, log.diagnostics


def dynamics(**fields: Any) -> Discrete:
    one = np.ones(2)
    given = {name: one * v if isinstance(v, float) else v for name, v in fields.items()}
    base = {"decay_mem": one / 2, "gain_mem": one, "drift": 0 * one, "threshold": one}
    return Discrete(**(base | {"v_reset": 0 * one} | given))


def weights(first: float = 1.0, second: float = 0.3, **fields: Any) -> Projection:
    return Projection((Dense(np.array([[first], [second]])),), origins=("nodes/w",), **fields)


FILTER = {"decay_syn": 0.5, "gain_syn": 1.0}


@pytest.mark.parametrize(
    ("fields", "delay", "model"),
    [
        ({}, 0, "lif_no_delay"),
        ({}, 2, "lif"),
        (FILTER, 0, "lif_curr_exp_no_delay"),
        (FILTER, 2, "lif_curr_exp"),
    ],
)
def test_each_kind_of_neuron_has_its_model(fields: Any, delay: int, model: str) -> None:
    found, reports = quantised(dynamics(**fields), weights(delay_steps=delay), weights(0.37, 0.11))
    assert found.neuron.model == model and found.limit == (15 if delay else 127)
    assert found.delayed == bool(delay) and found.filtered == bool(fields)
    four_bits = [d.where for d in reports if d.code == FourBitWeights.code]
    assert four_bits == (["nodes/a"] if delay else [])
    currents = [each is None for each in (found.neuron.exc_decay, found.neuron.inh_decay)]
    assert currents == [not fields] * 2


def test_parameters_are_those_of_the_model_in_the_chip_s_units() -> None:
    d = dynamics(drift=np.array([0.01, -0.02]), v_reset=-0.25, rule=parse(
        "decay v, add x->v, fire > 1, set, emit"))  # fmt: skip
    found, _ = quantised(d, weights())
    n, scale = found.neuron, found.scale
    assert n.reset == "reset_to_v_reset" and n.fires and n.latency_steps == 1
    np.testing.assert_allclose(n.v_reset, scale * -0.25, rtol=1e-6)
    np.testing.assert_allclose(n.i_offset, scale * d.drift, rtol=1e-6)
    np.testing.assert_allclose(n.v_init, -scale * d.drift / 0.5, rtol=1e-6)
    np.testing.assert_allclose(n.alpha_decay, 0.5)
    assert (n.threshold > scale).all() and (n.threshold <= np.nextafter(scale, np.inf) + 1e-4).all()
    assert quantised(dynamics(rule=SUBTRACTS), weights())[0].neuron.reset == "reset_by_subtraction"


def test_a_model_that_fires_at_its_threshold_keeps_it() -> None:
    at = parse("decay v, add x->v, fire >= 1, subtract, emit")
    found, _ = quantised(dynamics(rule=at), weights(1.0, 1.0))
    assert found.neuron.threshold.tolist() == found.scale.astype(np.float32).tolist()


@pytest.mark.parametrize("value", [1.0, 0.1, 3.7, 1e-12, 127.0, 16777217.0])
def test_the_threshold_is_the_least_number_above_the_models(value: float) -> None:
    found = strictly_above(np.array([value]))[0]
    assert float(found) > value and float(np.nextafter(found, np.float32(0))) <= value
    assert found.dtype == np.float32 and TINY > 0


def test_a_threshold_that_the_processor_would_round_to_zero_is_raised() -> None:
    found, _ = quantised(dynamics(threshold=1e-40), weights())
    assert (found.neuron.threshold >= TINY).all()


@pytest.mark.parametrize(
    ("fields", "bias", "onset", "clocked", "offset"),
    [
        ({}, 0.01, 0, False, True),
        ({}, 2.0, 1, True, False),
        (FILTER, 2.0, 0, True, False),
    ],
)
def test_constants_come_from_the_membrane_or_from_clocks(
    fields: Any, bias: float, onset: int, clocked: bool, offset: bool
) -> None:
    """All numbers are integers at a scale of 1, 2, ... but for the small bias."""
    p = weights(1.0, 0.5, biases=(Bias(np.full(2, bias), onset_steps=onset),))
    found, _ = quantised(dynamics(threshold=64.0, **fields), p)
    assert [c.onset for c in found.clocked] == [onset] * clocked
    assert bool(found.neuron.i_offset.any()) == offset
    for each in found.clocked:
        np.testing.assert_allclose(each.weight, found.scale * bias)


def test_biases_of_one_receptor_and_onset_are_added() -> None:
    bias = (Bias(np.full(2, 0.25)),)
    found, _ = quantised(dynamics(threshold=9.0), weights(biases=bias), weights(biases=bias))
    np.testing.assert_allclose(found.neuron.i_offset, 0.5 * found.scale, rtol=1e-6)


@pytest.mark.parametrize(("copies", "finer"), [(1, 1), (4, 4)])
def test_copies_make_the_scale_of_inputs_finer(copies: int, finer: int) -> None:
    one, _ = quantised(dynamics(), weights(1.0, 0.0123))
    more, _ = quantised(dynamics(), weights(1.0, 0.0123), copies=copies)
    assert more.scale[0] >= one.scale[0] and bool(more.sums) == (copies > 1)
    assert all(s.parts[0].max() <= 127 for s in more.sums)


# Limits of the whole.


def test_too_many_neurons_for_each_target_are_told_for_each() -> None:
    """The input takes one processing element. The others have so many neurons at most."""
    most = fit.MAX_PIXELS * (System(board=False).count - 1)
    for targets, n, refused in (
        ([CHIP], most, []),
        ([CHIP], most + 1, [CHIP]),
        ([CHIP, BOARD_48], most + 1, []),
        ([CHIP, BOARD_48], 50 * (most + fit.MAX_PIXELS), [CHIP, BOARD_48]),
    ):
        one = Discrete(*(np.ones(n),) * 3, threshold=np.ones(n))
        nodes = {"in": Source((1,), ("nodes/in",)), "a": Population((n,), one, ("nodes/a",))}
        log = Log()
        cannot = fit.cannot_fit(Program.of(Form.DISCRETE, nodes, ()), targets, None, log)
        assert cannot == bool(refused)
        assert [d.code for d in log.diagnostics] == ["N901"] * len(refused)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_clocks_cannot_bring_acts_with_the_steady_state_of_its_own_filter(sign: int) -> None:
    """Receptor 0 keeps a half in a step, receptor 1 three quarters, whatever the signs are."""
    filters = {"decay_syn": 0.5, "gain_syn": 1.0, "decay_syn_2": 0.75, "gain_syn_2": 2.0}
    volts = (sign * 0.213, -sign * 0.117)
    projections = [
        weights(sign * 1.0, sign * 0.3, biases=(Bias(np.full(2, volts[0])),)),
        weights(-sign * 1.0, -sign * 0.7, synapse=1, biases=(Bias(np.full(2, volts[1])),)),
    ]
    found, reports = quantised(dynamics(threshold=9.0, **filters), *projections)
    assert found.receptors.signs == (sign, -sign)
    offset = np.zeros(2)
    for volt, gain, decay in ((volts[0], 1.0, 0.5), (volts[1], 2.0, 0.75)):
        _, rest = integer_part(volt * gain * found.scale, found.limit)
        offset += rest / (1 - decay)
    assert offset.all()
    np.testing.assert_allclose(found.neuron.i_offset, offset, rtol=1e-5)
    assert [d.where for d in reports if d.code == ConstantActsAtOnce.code] == ["nodes/a"] * 2


def test_a_constant_of_the_other_sign_does_not_go_through_the_wrong_filter() -> None:
    """No clock brings it: excitation would arrive at the filter of inhibition."""
    filters = {"decay_syn": 0.5, "gain_syn": 1.0, "decay_syn_2": 0.75, "gain_syn_2": 1.0}
    bias = (Bias(np.array([-2.0, 2.0])),)
    found, _ = quantised(dynamics(threshold=9.0, **filters), weights(1.0, 1.0, biases=bias),
                         weights(-1.0, -1.0, synapse=1))  # fmt: skip
    (clocked,) = found.clocked
    assert (clocked.weight > 0).tolist() == [False, True] and clocked.weight[0] == 0
    np.testing.assert_allclose(found.neuron.i_offset[0], -2 * found.scale[0] / 0.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("offset", "v_init", "latency", "early"),
    [(2.0, 0.0, 3, 1), (0.0, 5.0, 3, 1), (0.0, 0.0, 3, 0), (2.0, 0.0, 0, 0), (0.1, -0.3, 3, 0)],
)
def test_neurons_that_fire_before_the_model_begins_are_reported(
    offset: float, v_init: float, latency: int, early: int
) -> None:
    one = np.ones(2, np.float32)
    both = np.array([0, 1], np.float32)
    neuron = SpinNeuron(
        *("lif_no_delay", "reset_by_subtraction", one, one, offset * both, v_init * both, 0 * one),
        *(np.ones(2), latency),
    )
    reports: Any = Reports()
    for role, reported in ((Role.CLOCK, 0), (Role.MODEL, early)):
        nodes = {"a": Population((2,), neuron, ("nodes/a",), role)}
        fit._report_early(Program.of(Form.INTEGER, nodes, ()), reports)
        assert len(reports.found) == reported
    for found in reports.found:
        assert vars(found) == {
            **{"where": "nodes/a", "population": "a", "neurons": 1, "latency_steps": latency}
        }
