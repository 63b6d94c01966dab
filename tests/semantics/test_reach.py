"""What can be reached: bounds of sums, drives, spikes and membranes, each rule alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse
from nirc.ir.populations import Bias, Discrete, Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse
from nirc.semantics import silence
from nirc.semantics.silence import (
    MANY_SPIKES,
    Reach,
    _bounds,
    _cause,
    _has_weights,
    _moved,
    _spikes,
    _through,
    at_rest,
    reach,
    report_silent_outputs,
    try_drive,
)

NOTHING = ((0, 0), (0, 0))


def neurons(
    n: int = 1, *, decay: float = 1.0, threshold: float | None = 1.0, rule: str = "", **fields: Any
) -> Discrete:
    one = np.ones(n)
    if threshold is None:
        membrane = parse("decay v, add x->v")
        return Discrete(one * decay, one, 0 * one + fields.get("drift", 0), rule=membrane)
    given = {name: one * value for name, value in fields.items()}
    base: dict[str, Any] = {"decay_mem": one * decay, "gain_mem": one, "drift": 0 * one}
    base |= {"threshold": one * threshold, "v_reset": 0 * one}
    base |= {"rule": parse(rule)} if rule else {}
    return Discrete(**(base | given))


def population(d: Discrete) -> Population[Discrete]:
    return Population((d.decay_mem.size,), d, ("nodes/a",))


def weights(*rows: list[float], receptor: int = 0, **fields: Any) -> Projection:
    return Projection((Dense(np.array(rows, float)),), synapse=receptor, **fields)


WIRE = Projection()


def program(
    edges: list[tuple[str, str, Projection]], inputs: int = 1, **populations: Discrete
) -> Program:
    """One input, populations, and an output of each node that a wire leads from."""
    nodes: dict[str, object] = {"in": Source((inputs,), ("nodes/in",))}
    nodes |= {n: Population((d.decay_mem.size,), d, (f"nodes/{n}",)) for n, d in
              populations.items()}  # fmt: skip
    for source, target, _ in edges:
        if target.startswith("out"):
            port: Any = nodes[source]
            nodes[target] = Sink((port.n,), (f"nodes/{target}",))
    return Program.of(Form.DISCRETE, nodes, edges)


# Bounds of sums.

LOW, HIGH = np.array([-1.0, 0.0]), np.array([2.0, 3.0])


@pytest.mark.parametrize(
    ("op", "low", "high"),
    [
        (Dense(np.array([[1.0, 1], [-1, 2], [1, -2], [0, 0]])), [-1, -2, -7, 0], [5, 7, 2, 0]),
        (Diagonal(np.array([2.0, -3.0])), [-2, -9], [4, 0]),
        (Diagonal(np.array([-2.0, 3.0])), [-4, 0], [2, 9]),
        (Sparse(np.array([0, 0]), np.array([0, 1]), np.array([-2.0, 1.0]), 2, 1), [-4], [5]),
        (Conv(np.array([[[[1.0, -1.0]]]]), (1, 1, 2), (1, 1, 1), (1, 1), NOTHING, (1, 1), 1),
         [-4], [2]),
        (Pool((1, 1, 2), (1, 1, 1), (1, 2), (1, 2), NOTHING), [-1], [5]),
        (Pool((1, 1, 2), (1, 1, 1), (1, 2), (1, 2), NOTHING, factor=-2.0), [-10], [2]),
    ],
)  # fmt: skip
def test_a_sum_is_least_and_largest_by_the_signs_of_its_weights(
    op: LinearOp, low: list[float], high: list[float]
) -> None:
    found = _bounds(op, LOW, HIGH)
    assert [each.tolist() for each in found] == [low, high]


def test_operators_one_behind_the_other_bound_one_another() -> None:
    chain = Projection((Diagonal(np.array([-1.0, 1.0])), Dense(np.array([[1.0, 1.0]]))))
    assert [each.tolist() for each in _through(chain, (LOW, HIGH))] == [[-2], [4]]


@pytest.mark.parametrize("rows", [1, 5, 1 << 20])
def test_a_matrix_may_be_bounded_some_rows_at_a_time(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(silence, "ROWS", rows)
    rng = np.random.default_rng(0)
    weight, low, high = rng.normal(size=(7, 2)), LOW, HIGH
    found = _bounds(Dense(weight), low, high)
    ends = np.stack([weight * low, weight * high])
    np.testing.assert_allclose(found[0], ends.min(axis=0).sum(axis=1))
    np.testing.assert_allclose(found[1], ends.max(axis=0).sum(axis=1))


# Neurons under a drive.


@pytest.mark.parametrize(
    ("fields", "x", "fires"),
    [
        ({"decay": 0.5}, 0.49, False),  # twice the drive in the end, below the threshold
        ({"decay": 0.5}, 0.51, True),
        ({"decay": 0.999}, 0.0011, True),  # after 2,400 steps
        ({"decay": 1.0}, 1e-3, True),
        ({"decay": 1.0}, 0.0, False),
        ({"decay": 1.0}, -1.0, False),
        ({"threshold": 1e9}, 1.0, True),  # it rises and never stops
        ({"threshold": 1e9}, -1.0, False),
    ],
)
def test_a_neuron_fires_if_its_membrane_rises_to_the_threshold(
    fields: dict[str, float], x: float, fires: bool
) -> None:
    one = population(neurons(**fields))
    assert try_drive(one, np.array([[x]]), np.zeros((1, 1))).tolist() == [[fires]]


def test_with_little_work_a_membrane_that_still_moves_counts_as_one_that_fires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may sink before a slow synapse turns it. One that stands still is silent."""
    two = population(neurons(2, threshold=1e9))
    drive = np.array([[-1.0, 0.0]])
    assert try_drive(two, drive, 0 * drive).tolist() == [[False, False]]
    monkeypatch.setattr(silence, "WORK", 1)
    assert try_drive(two, drive, 0 * drive).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("fields", "rests"),
    [
        ({}, True),
        ({"drift": 0.1}, False),
        ({"v_least": -1.0}, True),
        ({"v_least": 0.0}, True),
        ({"v_least": 0.5}, False),
        ({"v_start": 0.5}, False),
        ({"threshold": 0.0}, False),
        ({"threshold": -1.0}, False),
    ],
)
def test_a_neuron_at_rest_stays_there(fields: dict[str, Any], rests: bool) -> None:
    d = neurons(2, **fields)
    assert at_rest(population(d), d) == rests


def test_a_membrane_without_threshold_or_rule_is_not_known_to_rest() -> None:
    d = neurons(threshold=None)
    assert not at_rest(population(d), d) and not at_rest(population(d), object())


def test_one_of_several_neurons_that_moves_is_enough() -> None:
    d = neurons(2, drift=np.array([0.0, 0.1]))
    assert not at_rest(population(d), d)
    d = neurons(2, threshold=1.0)
    d = Discrete(d.decay_mem, d.gain_mem, d.drift, threshold=np.array([1.0, 0.0]),
                 v_reset=d.v_reset)  # fmt: skip
    assert not at_rest(population(d), d)


@pytest.mark.parametrize(
    ("rule", "most"),
    [
        ("decay v, add x->v, fire > 1, subtract, emit", 1),
        ("decay v, add x->v, fire >= 31, subtract, emit", 31),
        ("decay v, add x->v, fire >= many, subtract, emit", MANY_SPIKES),
    ],
)
def test_a_neuron_that_fires_may_do_so_as_often_as_its_rule_says(rule: str, most: int) -> None:
    one = population(neurons(2, decay=0.5, rule=rule))
    x = np.array([0.2, 0.7])
    assert _spikes(one, x, np.zeros(2)).tolist() == [0, most]
    assert _spikes(one, np.zeros(2), np.zeros(2)).tolist() == [0, 0]


def test_a_neuron_that_nothing_drives_may_fire_by_itself() -> None:
    one = population(neurons(2, drift=np.array([0.0, 0.1])))
    assert _spikes(one, np.zeros(2), np.zeros(2)).tolist() == [0, 1]


def test_a_membrane_moves_by_its_drive_or_its_leak() -> None:
    still, drifts = population(neurons(2, threshold=None)), None
    assert _moved(still, np.array([0.0, 0.5]), np.zeros(2)).tolist() == [0, 1]
    drifts = population(neurons(2, threshold=None, drift=0.1))
    assert _moved(drifts, np.zeros(2), np.zeros(2)).tolist() == [1, 1]


# Programs.


def alive(model: Program, most_input: int = 1, membranes: tuple[str, ...] = ()) -> Any:
    found = reach(model, membranes, most_input)
    return {name: found.alive[name].tolist() for name in model.graph}


def test_only_neurons_that_their_largest_drive_fires_are_alive() -> None:
    edges = [("in", "a", weights([0.4], [0.6])), ("a", "b", weights([5.0, 0.0], [0.0, 1.0]))]
    model = program([*edges, ("b", "out", WIRE)], a=neurons(2, decay=0.5), b=neurons(2))
    found = alive(model)
    assert found == {"in": [True], "a": [False, True], "b": [False, True], "out": [False, True]}
    assert alive(model, most_input=2)["out"] == [True, True]
    whole = reach(model, (), 1)
    assert whole.outputs(model).tolist() == [False, True] and whole.blocked(model) == []
    assert {n: whole.drive[n].tolist() for n in "ab"} == {"a": [0.4, 0.6], "b": [0, 1]}


def test_both_receptors_drive_a_neuron_together() -> None:
    two = neurons(decay=0.5, decay_syn=0.0, gain_syn=1.0, decay_syn_2=0.0, gain_syn_2=1.0)
    edges = [("in", "a", weights([0.3])), ("in", "a", weights([0.3], receptor=1))]
    model = program([*edges, ("a", "out", WIRE)], a=two)
    assert reach(model, (), 1).drive["a"].tolist() == [0.6]


@pytest.mark.parametrize(
    ("bias", "onset", "fires"),
    [(0.5, 0, True), (-0.5, 0, False), (0.5, 2, True), (-0.5, 2, True), (0.0, 0, True)],
)
def test_a_late_bias_can_only_help(bias: float, onset: int, fires: bool) -> None:
    """The input alone brings .6, just enough. Before its onset a bias inhibits nothing."""
    p = weights([0.6], biases=(Bias(np.array([bias]), onset_steps=onset),))
    model = program([("in", "a", p), ("a", "out", WIRE)], a=neurons(decay=0.5))
    assert alive(model)["out"] == [fires]


def test_inhibition_is_taken_to_be_absent() -> None:
    edges = [("in", "a", weights([0.6, -5.0])), ("a", "out", WIRE)]
    assert alive(program(edges, inputs=2, a=neurons(decay=0.5)))["out"] == [True]


def test_a_membrane_sends_both_signs() -> None:
    """A membrane below zero excites through a negative weight."""
    edges = [("in", "m", weights([-0.5])), ("m", "a", weights([-2.0])), ("a", "out", WIRE)]
    model = program(edges, m=neurons(threshold=None), a=neurons(decay=0.5))
    assert alive(model, membranes=("m",))["out"] == [True]
    shown = program([("in", "m", weights([-0.5], [0.0])), ("m", "out", WIRE)],
                    m=neurons(2, threshold=None))  # fmt: skip
    assert alive(shown, membranes=("m",))["out"] == [True, False]


def test_neurons_behind_no_input_are_looked_at_for_their_own_sake() -> None:
    edges = [("b", "a", weights([2.0])), ("a", "out", WIRE)]
    assert alive(program(edges, a=neurons(), b=neurons(drift=0.1)))["out"] == [True]
    assert alive(program(edges, a=neurons(), b=neurons()))["out"] == [False]


def test_a_loop_that_an_input_starts_keeps_itself_up() -> None:
    edges = [("in", "a", weights([2.0])), ("a", "b", weights([0.4])), ("b", "b", weights([9.0])),
             ("b", "out", WIRE)]  # fmt: skip
    assert alive(program(edges, a=neurons(), b=neurons(decay=0.5)))["out"] == [False]
    edges[1] = ("a", "b", weights([0.6]))
    assert alive(program(edges, a=neurons(), b=neurons(decay=0.5)))["out"] == [True]


# Causes.


def cause(first: float, second: float, *, unrounded: float | None = None) -> str:
    """The cause of silence of a chain of two, whose second weight rounding may have changed."""

    def model(weight: float) -> Program:
        edges = [("in", "a", weights([first])), ("a", "b", weights([weight])), ("b", "out", WIRE)]
        return program(edges, a=neurons(decay=0.5), b=neurons(decay=0.5))

    integer, legal = model(second), model(second if unrounded is None else unrounded)
    return _cause(reach(integer, (), 1), legal, integer)


def test_each_cause_of_silence_has_its_words() -> None:
    assert cause(0.4, 1.0) == "all weights into `a` together never reach its threshold"
    assert cause(1.0, 0.4) == "all weights into `b` together never reach its threshold"
    assert cause(1.0, 0.0) == "all weights into `b` are zero"
    assert cause(1.0, 0.0, unrounded=1.0) == "all weights into `b` round to zero"
    assert cause(-1.0, 1.0) == "nothing that fires has a positive weight into `a`"
    edges = [("in", "a", weights([1.0])), ("b", "out", WIRE)]
    apart = program(edges, a=neurons(), b=neurons())
    words = "no path of weights leads from an input to an output"
    assert _cause(reach(apart, (), 1), apart, apart) == words


@pytest.mark.parametrize(
    ("weight", "before", "words"),
    [
        (0.0, 1.0, "all weights into `a` round to zero"),
        (0.0, 0.0, "all weights into `a` are zero"),
        (-1.0, 1.0, "nothing that fires has a positive weight into `a`; "
         "1 of 2 neuron(s) of `s` can never fire"),
        (0.1, 1.0, "all weights into `a` together never reach its threshold"),
    ],
)  # fmt: skip
def test_weights_of_zero_may_be_the_model_s_or_of_rounding(
    weight: float, before: float, words: str
) -> None:
    def model(value: float) -> Program:
        edges = [("s", "a", weights([value, 0.0])), ("a", "out", WIRE)]
        return program(edges, s=neurons(2), a=neurons(decay=0.5))

    found = Reach({"s": np.array([True, False]), "a": np.zeros(1, bool)},
                  {"a": np.array([max(weight, 0.0)])})  # fmt: skip
    assert _cause(found, model(before), model(weight)) == words
    assert _has_weights(model(weight), "a") == (weight != 0)
    if not weight:
        other = program([("s", "b", weights([1.0, 1.0]))], s=neurons(2), b=neurons())
        assert _cause(found, other, model(weight)) == "all weights into `a` are zero"


def reported(weight: list[list[float]], model_weight: list[list[float]]) -> list[Any]:
    """Findings about a chip's network, beside a model of other weights."""

    def model(rows: list[list[float]]) -> Program:
        edges = [("in", "a", weights(*rows)), ("a", "out", WIRE)]
        return program(edges, a=neurons(len(rows), decay=0.5))

    found: list[Any] = []
    chip, reference = model(weight), model(model_weight)
    log: Any = SimpleNamespace(add=found.append)
    report_silent_outputs(
        reference, chip, chip, most_input=1, allowed=False, calibrated=True, log=log
    )
    return [(type(f).code, f) for f in found]


def test_all_or_some_outputs_are_silent_in_the_model_or_on_the_chip() -> None:
    assert reported([[1.0], [1.0]], [[1.0], [1.0]]) == []
    for weight, in_model in ((0.1, True), (1.0, False)):
        ((code, found),) = reported([[0.1], [0.2]], [[weight], [weight]])
        assert (code, found.where) == ("P325", "nodes/a")
        assert (found.outputs, found.in_model) == (2, in_model)
        assert (found.allowed, found.calibrated) == (False, True)
    ((code, found),) = reported([[0.1], [1.0], [0.2]], [[0.1], [1.0], [1.0]])
    assert (code, found.silent, found.outputs, found.in_model) == ("P326", (0, 2), 3, 1)


def test_silence_without_a_blocked_population_has_no_place() -> None:
    edges = [("in", "a", weights([1.0])), ("b", "out", WIRE)]
    model = program(edges, a=neurons(), b=neurons())
    log = Log()
    report_silent_outputs(
        model, model, model, most_input=1, allowed=True, calibrated=False, log=log
    )
    assert [(d.code, d.where) for d in log.diagnostics] == [("P325", "")]
