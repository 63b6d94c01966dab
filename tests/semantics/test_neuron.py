"""The interpreter of update rules: every operation as a small story, all of them against the slow
definition.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.ir.arrays import Float, frozen
from nirc.ir.populations import Discrete
from nirc.ir.rules import faults, parse
from nirc.semantics.neuron import NeuronStepper
from tests.reference.rules import one_by_one
from tests.rules import any_rule, drives, neurons, of_writers_and_chips

ONE = frozen(np.ones(1))


def neuron(rule: str, **fields: object) -> Discrete:
    """One neuron with a threshold of 1 that keeps what it has; ``fields`` are numbers."""
    parsed = parse(rule)
    usual: dict[str, object] = {"decay_mem": 1.0, "gain_mem": 1.0, "drift": 0.0}
    if parsed.fires:
        usual["threshold"] = 1.0
    grain = fields.pop("grain", None)
    numbers = {
        k: v if v is None else frozen(np.full(1, float(v))) for k, v in (usual | fields).items()
    }  # type: ignore[arg-type]
    d = Discrete(**numbers, rule=parsed, grain=grain)  # type: ignore[arg-type]
    synapse = d.decay_syn is not None or d.decay_syn_2 is not None
    assert faults(parsed, synapse=synapse, fires=d.fires) == ()
    return d


def ran(d: Discrete, *x: float, second: tuple[float, ...] = ()) -> tuple[list[float], list[float]]:
    """What leaves in each step, and the membrane after it."""
    stepper, sent, v = NeuronStepper(d, (1, 1)), [], []
    for t, value in enumerate(x):
        other = np.full((1, 1), second[t]) if second else None
        sent.append(float(stepper.step(np.full((1, 1), value), other).item()))
        v.append(float(stepper.v.item()))
    return sent, v


def sent(rule: str, *x: float, **fields: object) -> list[float]:
    return ran(neuron(rule, **fields), *x)[0]


def membranes(rule: str, *x: float, **fields: object) -> list[float]:
    return ran(neuron(rule, **fields), *x)[1]


# -- decay and add ---------------------------------------------------------------------------------


def test_the_membrane_decays_and_drifts() -> None:
    assert sent("decay v, add x->v", 4, 0, 0, decay_mem=0.5) == [4, 2, 1]
    assert sent("decay v, add x->v", 0, 0, 0, decay_mem=0.5, drift=1) == [1, 1.5, 1.75]


def test_a_decay_after_the_input_takes_of_it_too() -> None:
    assert sent("add x->v, decay v", 4, 0, decay_mem=0.5) == [2, 1]


def test_the_input_comes_with_the_gain() -> None:
    assert sent("decay v, add x->v", 3, 1, gain_mem=0.5) == [1.5, 2]


def test_a_synapse_keeps_the_input() -> None:
    rule = "decay i, add x->i, decay v, add i->v"
    assert sent(rule, 8, 0, 0, decay_mem=0, decay_syn=0.5, gain_syn=1) == [8, 4, 2]
    assert sent(rule, 8, 0, 0, decay_mem=0, decay_syn=0.5, gain_syn=0.25, gain_mem=2) == [4, 2, 1]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("decay i, add x->i, decay v, add i->v", [8, 4]),
        ("add x->i, decay i, decay v, add i->v", [4, 2]),  # Rockpool and Xylo
        ("add x->i, decay v, add i->v, decay i", [8, 4]),  # Norse
        ("decay v, add i->v, decay i, add x->i", [0, 8]),
    ],
)
def test_the_order_decides_how_much_of_a_current_arrives_and_when(
    rule: str, expected: list[float]
) -> None:
    assert sent(rule, 8, 0, decay_mem=0, decay_syn=0.5, gain_syn=1) == expected


def test_a_second_receptor_has_its_own_current() -> None:
    d = neuron("decay i, add x->i, decay v, add i->v", decay_mem=0, decay_syn=0.5, gain_syn=1,
    decay_syn_2=0.25,
               gain_syn_2=2)  # fmt: skip
    assert ran(d, 8, 0, 0, second=(4, 0, 0))[0] == [16, 4 + 2, 2 + 0.5]


def test_a_receptor_without_a_filter_passes_on_what_comes() -> None:
    d = neuron("decay i, add x->i, decay v, add i->v", decay_mem=0, decay_syn_2=0.5, gain_syn_2=1)
    assert ran(d, 3, 0, 0, second=(4, 0, 0))[0] == [7, 2, 1]


# -- fire ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fire", "expected"), [("fire > 1", [0, 1]), ("fire >= 1", [1, 1])])
def test_a_membrane_at_its_threshold_tells_the_comparisons_apart(
    fire: str, expected: list[float]
) -> None:
    assert sent(f"decay v, add x->v, {fire}, emit", 1, 1, decay_mem=0.5) == expected


@pytest.mark.parametrize(
    ("fire", "expected"),
    [("fire > 1", [0, 1, 1, 1]), ("fire > 2", [0, 1, 2, 2]), ("fire > many", [0, 1, 2, 7]),
     ("fire >= many", [1, 1, 2, 7]), ("fire >= 3", [1, 1, 2, 3])],
)  # fmt: skip
def test_a_neuron_fires_as_often_as_its_membrane_holds_thresholds(
    fire: str, expected: list[float]
) -> None:
    assert sent(f"decay v, add x->v, {fire}, emit", 1, 1.5, 2, 7.5, decay_mem=0) == expected


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_a_threshold_that_is_not_positive_is_passed_once(threshold: float) -> None:
    """There is no number of thresholds in the membrane."""
    assert sent("decay v, add x->v, fire > many, emit", 5, -0.5, -2, decay_mem=0,
    threshold=threshold) == [
        1, float(threshold < -0.5), 0
    ]  # fmt: skip


# -- what spikes do --------------------------------------------------------------------------------


def test_a_spike_sets_the_membrane() -> None:
    assert membranes("decay v, add x->v, fire > 1, set, emit", 0.5, 2.5, 0.5, v_reset=0.25) == [
        0.5,
        0.25,
        0.75,
    ]
    assert membranes("decay v, add x->v, fire > 1, set, emit", 2.5) == [0]


def test_each_spike_subtracts_a_threshold() -> None:
    assert membranes("decay v, add x->v, fire > 1, subtract, emit", 3.5, 0) == [2.5, 1.5]
    assert membranes("decay v, add x->v, fire > many, subtract, emit", 3.5, 0) == [0.5, 0.5]


def test_without_a_reset_a_membrane_stays_above_its_threshold() -> None:
    assert ran(neuron("decay v, add x->v, fire > 1, emit"), 1.5, 0, 0) == ([1, 1, 1], [1.5] * 3)


def test_a_reset_may_come_a_step_late_after_the_decay() -> None:
    """snnTorch's default: the spike of the first step takes its threshold from what the decay left
    of the membrane.
    """
    rule = "fire > 1, decay v, add x->v, subtract, fire > 1, emit"
    assert ran(neuron(rule, decay_mem=0.5), 4, 0, 0) == ([1, 0, 0], [4, 2 - 1, 0.5])


def test_a_late_reset_to_zero_loses_the_input_of_its_step() -> None:
    rule = "fire > 1, decay v, add x->v, set, fire > 1, emit"
    assert ran(neuron(rule), 2, 5, 5) == ([1, 0, 1], [2, 0, 5])


def test_what_was_taken_too_early_is_given_back() -> None:
    """snnTorch without reset_delay: a membrane that starts above its threshold is compared a
    threshold lower.
    """
    rule = "fire > 1, decay v, add x->v, subtract, fire > 1, restore, subtract, emit"
    assert ran(neuron(rule), 2.5, 0, 0.75) == ([1, 0, 1], [1.5, 1.5, 1.25])


def test_a_bound_holds_from_below() -> None:
    rule = "decay v, add x->v, fire >= many, subtract, bound, emit"
    assert membranes(rule, -3, 0.25, 2.5, v_least=-1) == [-1, -0.75, 0.75]


# -- emit ------------------------------------------------------------------------------------------


def test_spikes_may_leave_before_the_membrane_is_updated() -> None:
    """Spyx: what the first input makes leaves in the second step."""
    rule = "fire > 1, emit, decay v, add x->v, subtract"
    assert ran(neuron(rule), 1.5, 0, 0) == ([0, 1, 0], [1.5, 0.5, 0.5])


def test_spikes_that_leave_first_are_those_of_the_step_before() -> None:
    assert sent("emit, decay v, add x->v, fire > 1, set", 2, 0, 2) == [0, 1, 0]


def test_a_membrane_may_leave_before_its_input_comes() -> None:
    """Nengo's Lowpass sends what it held."""
    assert sent("emit, decay v, add x->v", 4, 0, 0, decay_mem=0.5) == [0, 4, 2]


def test_a_membrane_may_leave_before_it_is_bound() -> None:
    assert ran(neuron("decay v, add x->v, emit, bound", v_least=-1), -3, 0) == ([-3, -1], [-1, -1])


def test_a_decay_may_cut_states_to_a_grain() -> None:
    assert sent("decay v, add x->v", 0.75, 0, 0, decay_mem=0.5, grain=0.25) == [0.75, 0.25, 0]
    assert sent("decay v, add x->v", -0.75, 0, decay_mem=0.5, grain=0.25) == [-0.75, -0.25]
    rule = "decay i, add x->i, decay v, add i->v"
    assert sent(rule, 0.75, 0, decay_mem=0, decay_syn=0.5, gain_syn=1, grain=0.25) == [0.75, 0.25]


def test_the_membrane_may_start_anywhere() -> None:
    assert sent("decay v, add x->v", 0, 0, decay_mem=0.5, v_start=4) == [2, 1]
    assert sent("fire > 1, emit, decay v, add x->v, subtract", 0, 0, v_start=1.5) == [1, 0]


def test_samples_and_candidates_have_their_own_state() -> None:
    """Any shape whose last axis is neurons, as calibration uses it: (candidates, samples,
    neurons).
    """
    d = neuron("decay v, add x->v, fire > 1, subtract, emit")
    x = np.random.default_rng(0).integers(0, 4, (9, 2, 3, 1)) / 2
    together = NeuronStepper(d, (2, 3, 1))
    got = np.stack([together.step(each) for each in x])
    for c in range(2):
        for s in range(3):
            assert got[:, c, s, 0].tolist() == ran(d, *x[:, c, s, 0])[0]


def test_a_step_leaves_its_input_and_what_was_sent_alone() -> None:
    stepper = NeuronStepper(
        neuron("decay i, add x->i, decay v, add i->v", decay_syn=1, gain_syn=1), (1, 1)
    )
    x = np.ones((1, 1))
    first = stepper.step(x)
    second = stepper.step(x)
    assert (x.item(), first.item(), second.item()) == (1, 1, 3)


# -- all of them -----------------------------------------------------------------------------------


def defined(d: Discrete, x: Float, second: Float) -> tuple[Float, Float]:
    """(steps, n) what leaves and the membranes, by the slow definition."""
    slow = one_by_one(d)
    out, v = np.zeros_like(x), np.zeros_like(x)
    for t in range(len(x)):
        for j, each in enumerate(slow):
            out[t, j] = each.step(float(x[t, j]), float(second[t, j]))
            v[t, j] = each.v
    return out, v


@settings(max_examples=300)
@given(neurons(st.one_of(of_writers_and_chips(), any_rule())), drives(), st.booleans())
def test_the_interpreter_is_the_slow_definition(d: Discrete, x: Float, swapped: bool) -> None:
    second = x[::-1] if swapped else np.zeros_like(x)
    stepper = NeuronStepper(d, (2, x.shape[1]))
    expected, membrane = defined(d, x, second)
    for t in range(len(x)):
        got = stepper.step(
            np.stack([x[t], 0 * x[t]]), None if not swapped else np.stack([second[t], 0 * x[t]])
        )
        np.testing.assert_array_equal(got[0], expected[t])
        np.testing.assert_array_equal(stepper.v[0], membrane[t])


def test_what_is_restored_is_a_threshold_for_each_spike() -> None:
    rule = "fire > 1, decay v, add x->v, subtract, fire > 1, restore, subtract, emit"
    assert membranes(rule, 5, 0, threshold=2) == [3, 3]


def test_without_a_least_value_the_membrane_is_not_bounded() -> None:
    assert membranes("decay v, add x->v, bound, emit", -5) == [-5]
    assert membranes("decay v, add x->v, bound, emit", -5, v_least=-2) == [-2]


def test_a_grain_cuts_a_membrane_that_does_not_decay() -> None:
    assert membranes("add x->v, decay v", 1.6, 0.5, grain=0.25) == [1.5, 2.0]
