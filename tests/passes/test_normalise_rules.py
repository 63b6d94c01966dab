"""normalise-rules: rules that mean the same are written alike, and the outputs stay the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import LETTER, MEMBRANE, plain
from nirc.ir.verify import verify
from nirc.passes.normalise_rules import NormaliseRules
from nirc.semantics.run import run
from nirc.writers import lava, nengo, norse, rockpool, snntorch, spyx
from tests.reference.rules import one_by_one
from tests.rules import any_rule, drives, neurons, of_writers_and_chips

N = 2
EVERY = st.one_of(of_writers_and_chips(), any_rule())
WEIGHTS = st.lists(st.integers(-4, 8), min_size=N * N, max_size=N * N)
SPYX = st.sampled_from([spyx.PLAIN, spyx.WITH_SYNAPSE])


def normalised(program: Program) -> Program:
    made = NormaliseRules().run(program, Log())
    verify(made)
    return made


def dense(values: list[int]) -> Dense:
    return Dense(frozen(np.array(values).reshape(N, N) / 4.0))


def network(
    dynamics: dict[str, Discrete], edges: list[tuple[str, str, Projection]], *sinks: str
) -> Program:
    nodes: dict[str, object] = {"in": Source((N,), ("in",))}
    nodes |= {name: Population((N,), d, (name,)) for name, d in dynamics.items()}
    nodes |= {name: Sink((N,), (name,)) for name in sinks}
    program = Program.of(Form.DISCRETE, nodes, edges)
    verify(program)
    return program


def alone(d: Discrete, *edges: tuple[str, str, Projection]) -> Program:
    return network({"a": d}, [("in", "a", Projection()), ("a", "out", Projection()), *edges], "out")


def one(d: Discrete) -> Discrete:
    """What the pass makes of one population."""
    made: Discrete = normalised(alone(d))["a"].dynamics
    return made


def values(number: float) -> Float:
    return frozen(np.full(N, number))


def lif(**fields: object) -> Discrete:
    usual = {
        "decay_mem": values(0.5),
        "gain_mem": values(1),
        "drift": values(0),
        "threshold": values(1),
    }
    return Discrete(**(usual | fields))  # type: ignore[arg-type]


def cuba(**fields: object) -> Discrete:
    return lif(**({"decay_syn": values(0.25), "gain_syn": values(2)} | fields))


# -- what becomes of each writer's rule ------------------------------------------------------------


def test_spyx_lif_is_snntorch_s_a_step_later() -> None:
    made = normalised(alone(lif(rule=spyx.PLAIN)))
    assert made["a"].dynamics.rule == snntorch.LATE_SUBTRACT
    assert made["out"].delay_steps == 1


def test_spyx_cuba_lif_subtracts_at_once_a_step_later() -> None:
    made = normalised(alone(cuba(rule=spyx.WITH_SYNAPSE)))
    assert made["a"].dynamics.rule == plain("subtract", synapse=True)
    assert made["out"].delay_steps == 1


def test_slayer_is_the_letter_a_step_later() -> None:
    made = normalised(alone(cuba(rule=lava.DELAYED.with_synapse())))
    assert made["a"].dynamics.rule == LETTER.with_synapse() and made["out"].delay_steps == 1


def test_a_synapse_that_decays_what_it_took_has_a_smaller_gain() -> None:
    """Rockpool: (i + x) * 1/4 is i * 1/4 + x * 1/4."""
    d = one(cuba(rule=rockpool.WITH_SYNAPSE))
    assert d.rule.text == "decay i, add x->i, decay v, add i->v, fire >= many, subtract, emit"
    assert d.gain_syn is not None and d.gain_syn.tolist() == [0.5] * N


def test_a_synapse_that_decays_after_its_use_keeps_its_gain() -> None:
    """Norse: the decay at the end of a step is one at the beginning of the next."""
    d = one(cuba(rule=norse.CELL))
    assert (
        d.rule == LETTER.with_synapse()
        and d.gain_syn is not None
        and d.gain_syn.tolist() == [2] * N
    )


def test_a_lowpass_sends_its_membrane_a_step_later() -> None:
    d = lif(rule=nengo.FILTER, threshold=None)
    made = normalised(alone(d))
    assert made["a"].dynamics.rule == MEMBRANE and made["out"].delay_steps == 1


@pytest.mark.parametrize(
    "rule", [LETTER, snntorch.LATE_SUBTRACT, snntorch.RESTORED, snntorch.LATE_SET]
)
def test_rules_in_order_stay_as_they_are(rule: object) -> None:
    d = lif(rule=rule)
    assert one(d) is d


def test_a_neuron_that_fires_before_its_first_input_keeps_its_rule() -> None:
    """A step later there would be no step for its first spike."""
    d = lif(rule=spyx.PLAIN, v_start=values(1.5))
    program = alone(d)
    made = normalised(program)
    assert made["a"].dynamics is d and made["out"].delay_steps == 0
    assert run(program, np.zeros((1, 2, N))).outputs[0, :, 0].tolist() == [1, 0]


# -- outputs ---------------------------------------------------------------------------------------


def test_an_output_of_late_and_other_spikes_delays_only_the_late_ones() -> None:
    program = network(
        {"a": lif(rule=spyx.PLAIN), "b": lif()},
        [
            ("in", "a", Projection()),
            ("in", "b", Projection()),
            ("a", "out", Projection()),
            ("b", "out", Projection()),
        ],
        "out",
    )
    made = normalised(program)
    assert made["out"].delay_steps == 0
    assert {s: p.delay_steps for s, p in made.into("out")} == {"a": 1, "b": 0}


def test_a_bias_of_an_output_is_not_held_back() -> None:
    program = network(
        {"a": lif(rule=spyx.PLAIN)},
        [("in", "a", Projection()), ("a", "out", Projection(biases=(Bias(values(3.0)),)))],
        "out",
    )
    x = np.zeros((1, 2, N))
    assert (
        run(normalised(program), x).outputs.tolist()
        == run(program, x).outputs.tolist()
        == [[[3, 3], [3, 3]]]
    )


@settings(max_examples=200)
@given(st.data())
def test_any_two_populations_answer_as_before(data: st.DataObject) -> None:
    """Two populations one behind the other, with a delay, and an output of each and of both."""
    a, b = (data.draw(neurons(EVERY, N, receptors=1)) for _ in "ab")
    delay = data.draw(st.integers(0, 2))
    edges = [
        ("in", "a", Projection((dense(data.draw(WEIGHTS)),))),
        ("in", "b", Projection((dense(data.draw(WEIGHTS)),))),
        ("a", "b", Projection((dense(data.draw(WEIGHTS)),), delay_steps=delay)),
        ("a", "first", Projection()),
        ("b", "second", Projection()),
        ("a", "both", Projection()),
        ("b", "both", Projection()),
    ]
    program = network({"a": a, "b": b}, edges, "first", "second", "both")
    x = data.draw(drives(N, most_steps=6))[None]
    np.testing.assert_array_equal(run(normalised(program), x).outputs, run(program, x).outputs)


# -- loops -----------------------------------------------------------------------------------------


def recurrent(d: Discrete, inward: Dense, back: Dense, x: Float) -> Float:
    """(steps, n) what leaves a Spyx cell: the spikes of a step feed back in that step."""
    cells, out = one_by_one(d), []
    for t in range(len(x)):
        leaves = np.array([copy.copy(cell).step(0.0) for cell in cells])  # known before the input
        drive = inward.apply(x[t]) + back.apply(leaves)
        for j, cell in enumerate(cells):
            assert cell.step(float(drive[j])) == leaves[j]
        out.append(leaves)
    return np.array(out)


@settings(max_examples=100)
@given(neurons(SPYX, N, receptors=1), WEIGHTS, WEIGHTS, drives(N, most_steps=6))
def test_a_recurrent_cell_of_spyx_hears_itself_in_the_same_step(
    d: Discrete, inward: list[int], back: list[int], x: Float
) -> None:
    if d.v_start is not None:
        return  # Spyx starts at 0
    program = network(
        {"a": d},
        [
            ("in", "a", Projection((dense(inward),))),
            ("a", "a", Projection((dense(back),), feedback=True)),
            ("a", "out", Projection()),
        ],
        "out",
    )
    expected = recurrent(d, dense(inward), dense(back), x)
    np.testing.assert_array_equal(run(normalised(program), x[None]).outputs[0], expected)


@settings(max_examples=100)
@given(st.data())
def test_other_loops_answer_as_before(data: st.DataObject) -> None:
    d = data.draw(neurons(EVERY.filter(lambda rule: not rule.emission_is_delayed), N, receptors=1))
    back = Projection(
        (dense(data.draw(WEIGHTS)),), feedback=True, delay_steps=data.draw(st.integers(0, 1))
    )
    program = alone(d, ("a", "a", back))
    x = data.draw(drives(N, most_steps=6))[None]
    np.testing.assert_array_equal(run(normalised(program), x).outputs, run(program, x).outputs)


def test_two_receptors_are_normalised_together() -> None:
    d = cuba(rule=rockpool.WITH_SYNAPSE, decay_syn_2=values(0.75), gain_syn_2=values(4))
    second = Projection((dense([4, 0, 0, 4]),), synapse=1)
    program = alone(d, ("in", "a", second))
    x = np.random.default_rng(0).integers(0, 3, (2, 6, N)) / 4
    made = normalised(program)
    assert made["a"].dynamics.gain_syn_2.tolist() == [3] * N
    np.testing.assert_array_equal(run(made, x).outputs, run(program, x).outputs)
    assert run(program, x).outputs.any()
