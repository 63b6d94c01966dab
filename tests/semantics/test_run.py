"""What a program computes, step by step: delays, feedback, biases, resets and every kind of
neuron.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawNode
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import plain
from nirc.passes.fold_synapses import FoldSynapses
from nirc.semantics import run as interpreter
from nirc.semantics.run import run
from tests.build import (
    DT,
    Made,
    adder,
    affine,
    changed,
    cuba,
    delay,
    graph,
    if_,
    inp,
    layers,
    lif,
    linear,
    lowered,
    node,
    out,
    scale,
    steps,
)  # fmt: skip
from tests.reference.nir_graph import Reference


def alone(item: RawNode, n: int = 1, **options: Any) -> Made:
    return lowered(graph({"in": inp(n), "x": item, "out": out(n)}, "in x out"), **options)


def values(made: Made, *x: object) -> list[float]:
    found: list[float] = made.outputs(steps(*x)).ravel().tolist()
    return found


# -- kinds of neurons ------------------------------------------------------------------------------


def test_a_spike_crosses_a_feed_forward_network_in_its_own_step() -> None:
    nodes = {"in": inp(1), "a": if_(), "b": if_(), "c": if_(), "out": out(1)}
    assert values(lowered(graph(nodes, "in a b c out")), 1, 0, 1) == [1, 0, 1]


def test_an_integrator_adds_up() -> None:
    assert values(alone(node("I", r=[0.5])), 1, 2, -1) == [0.5, 1.5, 1.0]


def test_a_gain_per_second_is_multiplied_by_the_step() -> None:
    assert values(alone(node("I", r=[2e4])), 1, 1) == [2, 4]


def test_a_leaky_integrator_forgets_towards_its_leak() -> None:
    item = node("LI", tau=[8 * DT], r=[8.0], v_leak=[4.0])
    assert values(alone(item), 0, 0, 1) == [0.5, 0.9375, 0.9375 * 0.875 + 0.5 + 1]


def test_a_synapse_filters_first() -> None:
    item = node("CubaLI", tau_syn=[2 * DT], tau_mem=[4 * DT], r=[4.0], v_leak=[0.0], w_in=[2.0])
    assert values(alone(item), 1, 0, 0) == [1, 0.75 + 0.5, 0.75 * 1.25 + 0.25]


def test_a_threshold_is_strict_and_remembers_nothing() -> None:
    assert values(alone(node("Threshold", threshold=[0.5])), 0.5, 0.75, 0.25, -1) == [0, 1, 0, 0]


def test_a_spike_needs_more_than_the_threshold() -> None:
    assert values(alone(if_(1, 1.0)), 1, 0, 0.5, 2) == [0, 0, 1, 1]


@pytest.mark.parametrize(("reset", "after"), [("model", 0.25), ("zero", 0.0), ("subtract", 1.5)])
def test_the_three_resets(reset: str, after: float) -> None:
    item = changed(if_(1, 1.0), v_reset=[0.25])
    ran = run(alone(item, reset=reset).discrete, steps(2.5), record=["x"])
    assert ran.outputs.item() == 1 and ran.v["x"].item() == after


def test_subtraction_leaves_several_spikes_for_later_steps() -> None:
    assert values(alone(if_(1, 1.0), reset="subtract"), 3.5, 0, 0, 0) == [1, 1, 1, 0]


def test_some_chips_send_them_all_at_once() -> None:
    one = frozen(np.ones(1))
    several = Discrete(
        one, one, frozen([0.0]), threshold=one, rule=plain("subtract", synapse=False, most=3)
    )
    program = Program.of(
        Form.DISCRETE,
        {
            "in": Source((1,), ("i",)),
            "x": Population((1,), several, ("x",)),
            "out": Sink((1,), ("o",)),
        },
        [("in", "x", Projection()), ("x", "out", Projection())],
    )
    ran = run(program, steps(1, 0.5, 2, 9), record=["x"])
    assert ran.outputs.ravel().tolist() == [
        0,
        1,
        2,
        3,
    ]  # 1 is not above 1; 2.5 sends two; 9.5 sends three at most
    assert ran.v["x"].ravel().tolist() == [1, 0.5, 0.5, 6.5]


def test_neurons_of_one_population_have_their_own_parameters() -> None:
    item = lif(
        3,
        tau=np.array([2, 4, np.inf]) * DT,
        r=[2.0, 4.0, np.inf],
        v_threshold=[0.9, 1.5, 2.5],
        v_leak=[0.0, 0, 0],
    )
    found = alone(item, 3).outputs(np.ones((1, 4, 3)))
    assert found[0].T.tolist() == [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]]


def test_the_exponential_decays_more_slowly_than_euler() -> None:
    item = node("LI", tau=[2 * DT], r=[1.0], v_leak=[0.0])
    v = run(alone(item, discretise="exponential").discrete, steps(1, 0)).outputs.ravel()
    assert v[1] / v[0] == pytest.approx(np.exp(-0.5))


# -- time ------------------------------------------------------------------------------------------


def test_a_delayed_signal_arrives_later_and_nothing_before_it() -> None:
    nodes = {"in": inp(1), "d": delay(2 * DT), "x": if_(), "out": out(1)}
    assert values(lowered(graph(nodes, "in d x out")), 1, 0, 1, 0, 0) == [0, 0, 1, 0, 1]


def test_a_delay_after_the_last_population_holds_the_output_back() -> None:
    nodes = {"in": inp(1), "x": if_(), "d": delay(DT), "out": out(1)}
    assert values(lowered(graph(nodes, "in x d out")), 1, 0, 0) == [0, 1, 0]


def test_a_bias_is_always_on_from_its_onset() -> None:
    nodes = {"in": inp(1), "w": affine([[0.0]], [1.0]), "x": adder(), "out": out(1)}
    assert values(lowered(graph(nodes, "in w x out")), 0, 0, 0) == [1, 2, 3]
    late = graph(nodes | {"d": delay(2 * DT)}, "in w d x out")
    assert values(lowered(late), 0, 0, 0, 0) == [0, 0, 1, 2]


def test_the_bias_of_a_recurrent_weight_acts_from_the_first_step() -> None:
    nodes = {"in": inp(1), "x": adder(), "rec": affine([[1.0]], [1.0]), "out": out(1)}
    assert values(lowered(graph(nodes, "in x rec x", "x out")), 0, 0, 0) == [1, 3, 7]


def test_a_population_hears_itself_one_step_later() -> None:
    nodes = {"in": inp(2), "x": if_(2), "rec": linear([[0, 0], [1.0, 0]]), "out": out(2)}
    made = lowered(graph(nodes, "in x rec x", "x out"))
    assert made.outputs(steps([1, 0], [0, 0])).tolist() == [[[1, 0], [0, 1]]]


def test_in_a_loop_of_two_only_the_way_back_takes_a_step() -> None:
    nodes = {"in": inp(1), "a": if_(), "b": if_(), "out": out(1), "out2": out(1)}
    made = lowered(graph(nodes, "in a b a", "a out", "b out2"))
    assert made.outputs(steps(1, 0, 0)).tolist() == [[[1, 1], [1, 1], [1, 1]]]


@pytest.mark.parametrize(("wait", "period"), [(1, 1), (2, 2), (3, 3)])
def test_a_delay_in_a_loop_replaces_its_step(wait: int, period: int) -> None:
    nodes = {"in": inp(1), "a": if_(), "d": delay(wait * DT), "out": out(1)}
    found = values(lowered(graph(nodes, "in a d a", "a out")), 1, 0, 0, 0, 0, 0)
    assert found == [float(t % period == 0) for t in range(6)]


def test_a_delay_in_a_loop_of_two_populations() -> None:
    nodes = {"in": inp(1), "a": if_(), "b": if_(), "d": delay(2 * DT), "out": out(1)}
    assert values(lowered(graph(nodes, "in a b d a", "b out")), 1, 0, 0, 0, 0) == [1, 0, 1, 0, 1]
    assert values(lowered(graph(nodes, "in a d b a", "b out")), 1, 0, 0, 0, 0, 0) == [
        0,
        0,
        1,
        0,
        1,
        0,
    ]


def test_loops_are_those_of_the_slow_definition() -> None:
    dice = np.random.default_rng(5)
    nodes = {
        "in": inp(3), "w": affine(dice.normal(size=(4, 3)), dice.normal(size=4)), "a": lif(4),
        "f": linear(np.eye(4)),
        "b": cuba(4), "back": affine(dice.normal(size=(4, 4)), dice.normal(size=4)),
        "d": delay([DT, 0, DT, 2 * DT]),
        "rec": scale(dice.normal(size=4)), "read": linear(dice.normal(size=(2, 4))), "li": node(
            "LI", tau=np.full(2, 5 * DT), r=np.full(2, 5.0), v_leak=np.array([0.1, -0.1])
        ), "out": out(2),
    }  # fmt: skip
    raw = graph(nodes, "in w a f b back a", "b rec d b", "b read li out")
    x = dice.integers(0, 3, (1, 25, 3)).astype(float)
    expected = Reference(layers(raw), x[0], dt=DT, late=[("b", "a")]).output()
    np.testing.assert_allclose(lowered(raw).outputs(x)[0], expected, atol=1e-9)


# -- several ways in and out -----------------------------------------------------------------------


def test_inputs_and_outputs_lie_flat_one_after_the_other() -> None:
    nodes = {
        "in_a": inp(2), "in_b": inp(1), "x": if_(2), "y": if_(1), "out_a": out(1), "out_b": out(2),
    }  # fmt: skip
    made = lowered(graph(nodes, "in_a x out_b", "in_b y out_a"))
    assert made.outputs(steps([1, 0, 0], [0, 1, 1])).tolist() == [[[0, 1, 0], [1, 0, 1]]]


def test_two_populations_add_up_in_one_output() -> None:
    nodes = {"in": inp(1), "x": if_(1), "y": if_(1, 1.5), "out": out(1)}
    assert values(lowered(graph(nodes, "in x out", "in y out")), 1, 2) == [1, 2]


def test_an_input_may_be_an_output() -> None:
    assert values(
        lowered(graph({"in": inp(1), "s": scale(3.0), "out": out(1)}, "in s out")), 1, 2
    ) == [3, 6]


def test_an_output_of_a_membrane_and_of_spikes() -> None:
    nodes = {"in": inp(1), "x": adder(), "y": if_(), "out": out(1), "out2": out(1)}
    assert lowered(graph(nodes, "in x out", "in y out2")).outputs(steps(3, 4)).tolist() == [
        [[3, 1], [7, 1]]
    ]


# -- running ---------------------------------------------------------------------------------------


def test_recording_gives_spikes_and_membranes_of_each_step() -> None:
    ran = run(alone(if_(1, 1.5)).discrete, steps(1, 1, 1), record=["x", "in"])
    assert ran.spikes["x"].ravel().tolist() == [0, 1, 0] and ran.v["x"].ravel().tolist() == [
        1,
        0,
        1,
    ]
    assert ran.spikes["in"].ravel().tolist() == [1, 1, 1] and "in" not in ran.v


def test_samples_are_independent_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    program = alone(lif(2), 2).discrete
    x = np.random.default_rng(0).integers(0, 3, (7, 9, 2))
    whole, told = run(program, x).outputs, []
    monkeypatch.setattr(interpreter, "CHUNK_BYTES", 2 * 9 * 2 * 8)
    np.testing.assert_array_equal(run(program, x, progress=told.append).outputs, whole)
    assert told == [2, 4, 6, 7]
    for i in range(7):
        np.testing.assert_array_equal(run(program, x[i : i + 1]).outputs[0], whole[i])


def test_nothing_in_nothing_out() -> None:
    program = alone(lif(2), 2).discrete
    assert run(program, np.zeros((0, 5, 2))).outputs.shape == (0, 5, 2)
    assert run(program, np.zeros((3, 0, 2))).outputs.shape == (3, 0, 2)


def test_the_wrong_number_of_channels_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="3 channels for 2 inputs"):
        run(alone(lif(2), 2).discrete, np.zeros((1, 1, 3)))


def test_folding_a_synapse_keeps_all_values() -> None:
    li = node("LI", tau=np.full(2, 4 * DT), r=np.full(2, 4.0), v_leak=np.zeros(2))
    nodes = {
        "in": inp(2),
        "li": li,
        "w": linear([[1.0, 0.5], [0.5, 1.0]]),
        "x": lif(2),
        "out": out(2),
    }
    program = lowered(graph(nodes, "in li w x out")).discrete
    folded = FoldSynapses().run(program, Log())
    assert set(folded.graph) == {"in", "x", "out"}
    x = np.random.default_rng(1).integers(0, 2, (2, 20, 2))
    np.testing.assert_array_equal(run(folded, x).outputs, run(program, x).outputs)
