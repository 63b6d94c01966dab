"""States in fixed point: without rounding and bounds nothing changes; with them, just what is
asked.
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Dense, Sparse
from nirc.ir.populations import Discrete
from nirc.ir.rules import LETTER, Fire, Rule, plain
from nirc.semantics.neuron import NeuronStepper
from nirc.semantics.run import _delayed, run
from nirc.semantics.variations import (
    FixedPoint,
    altered,
    capped_inputs,
    inverse,
    later,
    ruled,
    times,
    with_chip_rule,
)
from tests.build import graph, inp, lif, linear, lowered, out
from tests.models import DATA

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


def neuron(**fields: object) -> Discrete:
    one = np.ones(1)
    return Discrete(
        **{"decay_mem": one / 2, "gain_mem": one, "drift": 0 * one, "threshold": 10 * one} | fields
    )  # type: ignore[arg-type]


def membranes(fixed: FixedPoint, inputs: list[float]) -> list[float]:
    stepper, found = fixed.stepper(1), []
    for x in inputs:
        stepper.step(np.full((1, 1), x))
        found.append(float(stepper.v[0, 0]))
    return found


@pytest.mark.parametrize("rule", ["model", "zero", "subtract"])
def test_words_without_rounding_and_bounds_are_the_model(rule: str) -> None:
    discrete = lower(VOWELS, Options(reset=rule, writer="nir"), log=Log()).discrete
    inputs = np.load(VOWELS.with_suffix(".npz"))["inputs"][:20]
    unchanged = altered(discrete, lambda _, d: FixedPoint(d, np.ones(d.decay_mem.size)))
    got, exact = run(unchanged, inputs).outputs, run(discrete, inputs).outputs
    assert exact.any() and (got == exact).all()


def test_a_decay_is_rounded_and_counted_from_its_zero() -> None:
    def down(x: np.ndarray, kept: np.ndarray, unit: np.ndarray) -> np.ndarray:
        return np.floor(x * kept / unit) * unit

    one = np.ones(1)
    assert membranes(FixedPoint(neuron(), one, down), [5, 0, 0, 0]) == [5, 2, 1, 0]
    assert membranes(FixedPoint(neuron(), one, down, zero=one), [5, 0]) == [
        4.5,
        1.5,
    ]  # -1 halved is -1; 3.5 is 1


def test_membranes_and_currents_saturate() -> None:
    one = np.ones(1)
    assert membranes(FixedPoint(neuron(), one, v=(-3 * one, 4 * one)), [9, -9, 0]) == [4, -3, -1.5]
    assert membranes(FixedPoint(neuron(), one, current=(-one, one)), [9, 9, -9]) == [1, 1.5, -0.25]
    filtered = neuron(decay_syn=one / 2, gain_syn=one, rule=LETTER.with_synapse())
    assert membranes(FixedPoint(filtered, one, current=(-2 * one, 2 * one)), [9, 0, 0]) == [
        2,
        2,
        1.5,
    ]


def test_counts_of_an_input_are_capped_and_no_others() -> None:
    discrete = lower(VOWELS, Options(), log=Log()).discrete
    inputs = np.random.default_rng(0).poisson(0.8, (6, 40, 12))
    got = run(capped_inputs(discrete, 2), inputs).outputs
    assert (got == run(discrete, np.minimum(inputs, 2)).outputs).all() and (
        got != run(discrete, inputs).outputs
    ).any()


def test_an_edge_comes_later() -> None:
    discrete = lower(VOWELS, Options(), log=Log()).discrete
    inputs = np.random.default_rng(0).poisson(0.3, (2, 40, 12))
    number = next(i for i, (s, _, _) in enumerate(discrete.edges()) if s == "input")
    moved, exact = run(later(discrete, {number: 3}), inputs).outputs, run(discrete, inputs).outputs
    assert exact[:, :-3].any() and not (moved == exact).all()
    assert (run(later(discrete, {}), inputs).outputs == exact).all()


def test_parts_of_a_chips_rule_go_into_populations_that_fire() -> None:
    """A chip that subtracts, up to 31 times a step in `a` and once in `b`."""
    net = graph(
        {
            "in": inp(1),
            "w": linear([[1.0]]),
            "a": lif(1),
            "v": linear([[1.0]]),
            "b": lif(1),
            "out": out(1),
        },
        "in w a v b out",
    )
    program = lowered(net).discrete

    def chip(name: str, _: Discrete) -> Rule:
        return plain("subtract", synapse=False, at=">=", most=31 if name == "a" else 1)

    def rules(**parts: bool) -> list[str]:
        changed = with_chip_rule(program, chip, **parts)
        return [changed[name].dynamics.rule.text for name in ("a", "b")]

    model = [program[name].dynamics.rule.text for name in ("a", "b")]
    assert rules() == model
    assert rules(spikes=True) == [model[0].replace("fire > 1", "fire > 31"), model[1]]
    subtracting = [plain("subtract", synapse=False, most=most).text for most in (31, 1)]
    assert rules(reset=True, spikes=True) == subtracting


def test_a_threshold_of_zero_keeps_its_number_of_spikes() -> None:
    net = graph(
        {"in": inp(1), "w": linear([[1.0]]), "a": lif(1, threshold=0.0), "out": out(1)},
        "in w a out",
    )
    program = lowered(net).discrete
    several = with_chip_rule(program, lambda _, d: d.rule.with_fire(Fire(">", None)), spikes=True)
    assert several["a"].dynamics.rule == program["a"].dynamics.rule


def test_a_chip_that_fires_once_takes_spikes_from_a_model_that_fires_often() -> None:
    program = ruled(
        lowered(graph({"in": inp(1), "a": lif(1), "out": out(1)}, "in a out")).discrete,
        lambda rule: rule.with_fire(Fire(">", None)),
    )
    once = with_chip_rule(program, lambda _, d: d.rule.with_fire(Fire(">=")), spikes=True)
    assert once["a"].dynamics.rule == program["a"].dynamics.rule.with_fire(Fire(">"))


def test_constants_and_the_second_receptor_are_as_in_the_model() -> None:
    one = np.ones(1)
    assert membranes(FixedPoint(neuron(drift=2 * one), one), [1, 0]) == [3, 3.5]
    both = neuron(
        decay_syn=one / 2,
        gain_syn=one,
        decay_syn_2=one / 4,
        gain_syn_2=3 * one,
        gain_mem=2 * one,
        threshold=None,
        rule=Rule(LETTER.with_synapse().operations[:4]),
    )
    fixed, exact = FixedPoint(both, one).stepper(1), NeuronStepper(both, (1, 1))
    for x, second in ((4, 1), (0, 2), (0, 0)):
        each = [s.step(np.full((1, 1), x), np.full((1, 1), second)) for s in (fixed, exact)]
        assert np.array_equal(*each)


def test_operators_are_multiplied_by_neuron_and_kernels_by_map() -> None:
    x = np.random.default_rng(0).normal(size=(2, 6))
    dense = Dense(np.arange(12.0).reshape(2, 6))
    listed = Sparse(np.array([0, 1, 1]), np.array([0, 2, 5]), np.array([1.0, 2, 3]), 6, 2)
    for op in (dense, listed):
        factor = np.array([2.0, -3.0])
        np.testing.assert_allclose(times(op, factor).apply(x), op.apply(x) * factor)
    conv = Conv(np.arange(4.0).reshape(2, 1, 2), (1, 6), (2, 5), (1,), ((0, 0),), (1,), 1)
    factor = np.repeat([2.0, -3.0], 5)
    np.testing.assert_allclose(times(conv, factor).apply(x), conv.apply(x) * factor)
    whole = Conv(np.arange(12.0).reshape(2, 1, 6), (1, 6), (2, 1), (1,), ((0, 0),), (1,), 1)
    np.testing.assert_allclose(times(whole, factor[::5]).apply(x), whole.apply(x) * factor[::5])
    with np.errstate(all="raise"):
        assert inverse(np.array([0.0, 4.0, -0.5])).tolist() == [0.0, 0.25, -2.0]


def test_an_output_that_is_shown_later_begins_with_zeros() -> None:
    signal = np.arange(6.0).reshape(1, 3, 2)
    assert _delayed(signal, 1).tolist() == [[[0, 0], [0, 1], [2, 3]]]
    assert _delayed(signal, 3).tolist() == [[[0, 0]] * 3]
    assert _delayed(signal, 5).tolist() == [[[0, 0]] * 3]
