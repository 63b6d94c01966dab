"""SpiNNaker2's differences one at a time, in the model's units: numbers against the chip's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2.approximations import approximations, in_single_precision
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.backends.spinnaker2.spike_sources import integer_part
from nirc.diagnostics.log import Log
from nirc.ir.linear import Dense
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import Rule, parse
from nirc.semantics.variations import FixedPoint

ONE = np.ones(2)
AT_ONCE = "decay v, add x->v, fire > 1, subtract, emit"
WEIGHTS = "weights: 8 bits"
SINGLE = "states: single precision"
WIRE = Projection(origins=("nodes/out",))


def neurons(rule: str = AT_ONCE, *, filtered: bool = False, **fields: Any) -> Discrete:
    synapse = {"decay_syn": ONE / 2, "gain_syn": 2 * ONE} if filtered else {}
    text = rule.replace("add x->v", "decay i, add x->i, add i->v") if filtered else rule
    given: dict[str, Any] = {"threshold": ONE, "v_reset": 0 * ONE, "rule": parse(text)}
    return Discrete(0.9 * ONE, ONE, 0 * ONE, **(given | synapse | fields))


def weights(factor: float = 1.0, **fields: Any) -> Projection:
    matrix = factor * np.array([[1.0, 0.317], [0.2183, -0.7]])
    return Projection((Dense(matrix),), origins=("nodes/w",), **fields)


def program(first: Projection, second: Projection | None = None, **how: Any) -> Program:
    """Two inputs into a, and a into b. ``how``: of both populations."""
    d = neurons(**how)
    nodes = {
        "in": Source((2,), ("nodes/in",)),
        "a": Population((2,), d, ("nodes/a",)),
        "b": Population((2,), d, ("nodes/b",)),
        "out": Sink((2,), ("nodes/out",)),
    }
    edges = [("in", "a", first), ("a", "b", second or weights()), ("b", "out", WIRE)]
    return Program.of(Form.DISCRETE, nodes, edges)


def found(model: Program, **how: Any) -> dict[str, Program]:
    return dict(approximations(model, Spinnaker2Quantise(**how)))


def matrix(program: Program, source: str, target: str) -> Any:
    (p,) = [p for s, p in program.into(target) if s == source and p.ops[0].entries]
    return p.ops[0].apply(np.eye(2)).T


def rules(program: Program) -> set[Rule]:
    return {p.dynamics.rule for p in program.nodes(Population).values()}


def test_weights_alone_are_those_that_the_chip_stores_in_volts() -> None:
    model = program(weights())
    made = found(model)
    assert list(made) == [WEIGHTS, SINGLE]
    for name, q in Spinnaker2Quantise().planned(model, Log()).items():
        (drive,) = q.into
        _, stored = q.stored(drive)
        exact, rounded = (matrix(p, drive.source, name) for p in (model, made[WEIGHTS]))
        volts = stored.apply(np.eye(2)).T / q.scale[:, None]
        np.testing.assert_allclose(rounded, volts, rtol=1e-12)
        assert (rounded != exact).any()
        assert (np.abs(rounded - exact) <= 0.51 / q.scale[:, None]).all()
    assert list(found(model, bits=5)) == ["weights: 5 bits", SINGLE]


def test_states_of_single_precision_are_rounded_after_their_decay() -> None:
    single = found(program(weights()))[SINGLE]
    for population in single.nodes(Population).values():
        fixed = population.dynamics
        assert isinstance(fixed, FixedPoint) and fixed.decayed is in_single_precision
        assert fixed.unit.tolist() == [1, 1]
    x, kept = np.array([1 / 3]), np.array([0.9])
    rounded = in_single_precision(x, kept, ONE)
    assert rounded.dtype == np.float64 and rounded[0] == np.float32(1 / 3) * np.float32(0.9)


def test_synapses_of_another_delay_have_four_bits_and_say_so() -> None:
    late = program(weights(), weights(delay_steps=2))
    skip = late.rebuilt(dict(late.graph.nodes(data="payload")),
                        [*late.edges(), ("in", "b", weights())])  # fmt: skip
    assert next(iter(found(skip))) == "weights: 8 bits, or 4 and a sign where delays differ"
    assert next(iter(found(skip, relays=True))) == WEIGHTS


def test_relays_are_not_shown_but_their_delay_is() -> None:
    late = program(weights(), weights(delay_steps=2))
    skip = late.rebuilt(dict(late.graph.nodes(data="payload")),
                        [*late.edges(), ("in", "b", weights())])  # fmt: skip
    made = found(skip, relays=True)[WEIGHTS]
    assert set(made.graph) == {"in", "a", "b", "out"}
    assert {(s, t): p.delay_steps for s, t, p in made.edges()} == {
        **{("in", "a"): 0, ("a", "b"): 2, ("in", "b"): 0, ("b", "out"): 0}
    }


def test_a_loop_of_two_takes_a_step_more() -> None:
    model = program(weights())
    loop = model.rebuilt(dict(model.graph.nodes(data="payload")),
                         [*model.edges(), ("b", "a", weights(0.1, feedback=True))])  # fmt: skip
    made = found(loop)
    slow = made["delays: a step for every synapse"]
    lags = {(s, t): (p.delay_steps, p.feedback) for s, t, p in slow.edges() if p.ops}
    assert sum(lag for lag, _ in lags.values()) == 2
    assert not any(feedback for _, feedback in lags.values())
    np.testing.assert_array_equal(matrix(slow, "b", "a"), matrix(loop, "b", "a"))
    assert "delays: a step for every synapse" not in found(model)


def test_constants_behind_a_filter_come_as_integer_weights_and_a_steady_rest() -> None:
    bias = (Bias(np.array([0.213, -0.117])),)
    model = program(weights(biases=bias), filtered=True)
    clocked = found(model)["constants: through a filter in integer weights"]
    q = Spinnaker2Quantise().planned(model, Log())["a"]
    gain = 2.0  # of the filter, and of the membrane
    integer, rest = integer_part(bias[0].value * gain * q.scale, q.limit)
    ((_, p),) = clocked.into("a")
    np.testing.assert_allclose(p.biases[0].value, integer / (gain * q.scale))
    drift = clocked["a"].dynamics.drift
    np.testing.assert_allclose(drift, rest / q.scale / (1 - 0.5))
    assert rest.any() and clocked["b"] is model["b"]
    kept = found(model)[WEIGHTS]
    assert [[b.value.tolist() for b in p.biases] for _, p in kept.into("a") if p.biases] == [
        [bias[0].value.tolist()]
    ]
    for other in (program(weights(biases=bias)), program(weights(), filtered=True)):
        assert "constants: through a filter in integer weights" not in found(other)


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (AT_ONCE, []),
        ("decay v, add x->v, fire >= many, subtract, emit", ["saturation: one spike a step"]),
        (
            "decay v, add x->v, fire > 1, subtract, bound, emit",
            ["saturation: membranes without a lower bound"],
        ),
        (
            "fire > 1, decay v, add x->v, subtract, fire > 1, emit",
            ["reset: in the step of the spike"],
        ),
        (
            "fire > many, decay v, add x->v, subtract, fire > many, emit",
            [
                *("reset: in the step of the spike", "saturation: one spike a step"),
                "reset: in the step of the spike, one spike a step",
            ],
        ),
    ],
)
def test_each_difference_of_the_rule_has_a_program_of_its_own(rule: str, names: list[str]) -> None:
    least = {"v_least": -ONE} if "bound" in rule else {}
    made = found(program(weights(), rule=rule, **least))
    assert list(made)[2:] == names
    many = "many" in rule
    for name in names:
        (changed,) = rules(made[name])
        assert changed.fires is not None
        once = "one spike" in name or not many
        assert changed.fires.most == (1 if once else None)
        assert changed.reset_is_delayed == (rule.startswith("fire") and "reset" not in name)
        assert not changed.bounded or "bound" not in name
