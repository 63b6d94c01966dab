"""One layer on its way to integers: scale, threshold, lower bound, leak, and what is reported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck.limits import WEIGHT
from nirc.backends.speck.quantise import (
    Measured,
    SpeckQuantise,
    _exact_scale,
    _Layer,
    _most,
    _most_in_single_precision,
    leak_per_step,
)
from nirc.ir.linear import Conv, Pool
from nirc.ir.populations import Bias, Discrete, Population, Projection, Source
from nirc.ir.program import Form, Program
from nirc.ir.rules import parse
from nirc.rounding.rule import KEEPING_SUMS, Rounding, Weights
from tests.reports import Reports

SUBTRACTS = "decay v, add x->v, fire > 1, subtract, emit"
SINABS = "decay v, add x->v, fire >= many, subtract, emit"


def program(
    weight: Any,
    *,
    threshold: float = 1.0,
    decay: float | tuple[float, ...] = 1.0,
    bias: Any = 0.0,
    rule: str = SUBTRACTS,
    pool: bool = False,
    origins: tuple[str, ...] = ("nodes/w",),
) -> Program:
    """Neurons behind a matrix (out, in), maybe behind a pool of one pixel."""
    matrix = np.array(weight, float)
    n, n_in = matrix.shape
    one = np.ones(n)
    dynamics = Discrete(
        *(one * decay, one, 0 * one), threshold=one * threshold, v_reset=0 * one, rule=parse(rule)
    )
    pads = ((0, 0), (0, 0))
    kernel = matrix.reshape(n, n_in, 1, 1)
    conv = Conv(kernel, (n_in, 1, 1), (n, 1, 1), (1, 1), pads, (1, 1), 1)
    pools = (Pool((n_in, 1, 1), (n_in, 1, 1), (1, 1), (1, 1), pads),) if pool else ()
    arriving = Projection((*pools, conv), biases=(Bias(one * bias),), origins=origins)
    nodes = {
        **{"in": Source((n_in, 1, 1), ("nodes/in",)), "a": Population((n,), dynamics, ("nodes/a",))}
    }
    return Program.of(Form.DISCRETE, nodes, [("in", "a", arriving)])


def layer(
    made: Program, *, rounding: Rounding | None = None, lead: int = 0, bits: int = 8
) -> _Layer:
    return _Layer("a", made["a"], made, rounding, lead, bits)


def stand_in(**fields: Any) -> Any:
    """A layer that has these fields only."""
    return SimpleNamespace(**fields)


# Scales.


@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_is_an_integer_but_for_its_last_bits_is_exact(sign: int) -> None:
    for near, scale in ((5e-10, 100.0), (1.5e-9, None)):
        values = np.array([1.0, 3 * (1 + sign * near)])
        assert _exact_scale(values, 100.0) == scale


def test_a_scale_that_division_made_a_little_smaller_is_not_missed() -> None:
    values = np.random.default_rng(0).uniform(0.01, 1, 50)
    assert min(30 / v * v for v in values) < 30
    assert [round(_exact_scale(np.array([v]), 30 / v) * v) for v in values] == [30] * 50


def test_every_factor_is_tried() -> None:
    """Factors are halves. 2.5 makes 7.5 of 3."""
    assert _exact_scale(np.array([2.0, 3.0]), 2.5) == 2.0
    assert _exact_scale(np.array([2.0, 3.0]), 3.0) == 3.0


def test_more_numbers_than_8_bits_have_are_not_tried() -> None:
    assert _exact_scale(np.arange(1.0, 257.0), 3.0) == 3.0
    assert _exact_scale(np.arange(1.0, 258.0), 3.0) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "most"), [(1e39, 0.0), (1e-50, np.inf), (-1e-44, np.inf)])
def test_numbers_beyond_single_precision_are_no_warning(value: float, most: float) -> None:
    with np.errstate(all="warn", under="ignore"):
        assert _most_in_single_precision(np.array([value]), WEIGHT) == most


def test_a_range_is_used_on_the_side_that_needs_it() -> None:
    assert _most(np.array([-2.0, 4.0]), (-10, 8)) == 2.0
    assert _most(np.array([-5.0, 1.0]), (-10, 8)) == 2.0
    assert _most(np.array([0.25]), (-10, 8)) == 32.0


@pytest.mark.parametrize(
    ("as_sinabs", "exact", "single"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_only_rounded_numbers_of_sinabs_are_of_single_precision(
    as_sinabs: bool, exact: bool, single: bool
) -> None:
    made = _Layer._units(stand_in(scale=1.0, as_sinabs=as_sinabs, exact=exact), np.array([0.1]))
    assert made.tolist() == [float(np.float32(0.1)) if single else 0.1]


def test_a_threshold_that_16_bits_do_not_hold_at_the_scale_of_sinabs_makes_it_coarser() -> None:
    one = layer(program([[0.5, 0.0123]], threshold=200.0, rule=SINABS))
    assert one.as_sinabs
    assert one.neuron(Measured(), Reports(), bounded=False).threshold_high == 32640


@pytest.mark.parametrize(
    ("rule", "rounding", "decay", "as_sinabs"),
    [
        (SINABS, None, 1.0, True),
        (SINABS, KEEPING_SUMS, 1.0, False),
        (SUBTRACTS, None, 1.0, False),
        (SINABS, None, 0.5, False),
    ],
)
def test_a_layer_of_sinabs_fires_at_its_threshold_and_does_not_leak(
    rule: str, rounding: Rounding | None, decay: float, as_sinabs: bool
) -> None:
    assert layer(program([[0.5]], rule=rule, decay=decay), rounding=rounding).as_sinabs == as_sinabs


def test_one_channel_that_leaks_makes_a_layer_leaky() -> None:
    leaky = [layer(program([[1.0]] * 2, decay=d)).leaky for d in ((1, 1), (1, 0.5), (0.5, 0.5))]
    assert leaky == [False, True, True]


# Thresholds and bounds.


@pytest.mark.parametrize(
    ("at", "reached", "passed", "nearest"),
    [
        (4.0, 4, 5, 4),
        (4.0 + 1e-10, 4, 5, 4),
        (4.0 - 1e-10, 4, 5, 4),
        (4.0 + 1.5e-9, 5, 5, 4),
        (4.0 - 1.5e-9, 4, 4, 4),
        (4.7, 5, 5, 5),
        (4.3, 5, 5, 4),
        (0.2, 1, 1, 1),
    ],
)
def test_a_threshold_is_the_next_integer_for_a_comparison_and_the_nearest_to_subtract(
    at: float, reached: int, passed: int, nearest: int
) -> None:
    """``reached``: for a model that fires at its threshold. ``passed``: for one above it."""

    def found(rule: str, *, zero: bool, exact: bool) -> tuple[int, int]:
        dynamics = program([[1.0]], rule=rule)["a"].dynamics
        one = stand_in(threshold=at, dynamics=dynamics, exact=exact, _units=lambda x: x)
        return _Layer._threshold(one, zero=zero)

    for exact, initial in ((True, -1), (False, 0)):
        assert found(SINABS, zero=True, exact=exact) == (reached, 0)
        assert found(SUBTRACTS, zero=True, exact=exact) == (passed, 0)
        assert found(SINABS, zero=False, exact=exact) == (nearest, 0)
        assert found(SUBTRACTS, zero=False, exact=exact) == (nearest, initial)


@pytest.mark.parametrize(
    ("leaky", "v_least", "bounded", "low", "clipped"),
    [
        (True, None, True, -1, None),
        (True, [-5.0], False, -1, None),
        (False, None, True, -9, None),
        (False, None, False, -32768, None),
        (False, [-5.4, -7.0], True, -5, None),
        (False, [-32768.0], False, -32768, None),
        (False, [-32769.0, -40000.0], False, -32768, -32769),
        (False, [3.0], False, -1, None),
    ],
)
def test_the_lower_bound_is_the_models_unless_neurons_leak(
    leaky: bool, v_least: Any, bounded: bool, low: int, clipped: int | None
) -> None:
    one = stand_in(
        leaky=leaky,
        dynamics=stand_in(v_least=None if v_least is None else np.array(v_least)),
        population=stand_in(origins=("nodes/a", "nodes/b")),
        name="a",
        _units=lambda x: x,
    )
    log = Reports()
    assert _Layer._lowest(one, 9, log, bounded=bounded) == low
    expected = {"where": "nodes/a", "population": "a", "least": clipped}
    assert [vars(f) for f in log.found] == [expected] * (clipped is not None)


# Biases.


@pytest.mark.parametrize(
    ("lead", "rule", "bias", "expected"),
    [
        (0, SUBTRACTS, 9.0, 279),
        (1, SUBTRACTS, 4.0, 124),  # 4 does not exceed the threshold of 4: membranes start at -1
        (1, SUBTRACTS, 9.0, 124),
        (2, SUBTRACTS, 9.0, 62),
        (3, SUBTRACTS, 9.0, 41),
        (2, SUBTRACTS, -9.0, -279),
        (1, SINABS, 9.0, 123),
        (3, SINABS, 9.0, 41),
    ],
)
def test_a_bias_may_not_make_a_neuron_fire_before_its_first_input(
    lead: int, rule: str, bias: float, expected: int
) -> None:
    """All numbers are integers at a scale of 31, as the largest weight is 4."""
    one = layer(program([[4.0, 1.0]], threshold=4.0, bias=bias, rule=rule), lead=lead)
    made = one.neuron(Measured(), Reports(), bounded=False)
    assert made.threshold_high == 124 and made.bias.tolist() == [expected]
    assert not made.bias.flags.writeable


def test_events_of_a_layer_are_those_measured_or_a_tenth_of_the_inputs() -> None:
    one = layer(program([[1.0, 2.0, 3.0]]))
    assert one.neuron(Measured(), Reports(), bounded=False).events == pytest.approx(0.3)
    assert one.neuron(Measured(events={"in": 7.0}), Reports(), bounded=False).events == 7.0


# Leaks.


def test_a_leak_is_that_of_the_usual_membrane_up_to_the_threshold() -> None:
    d = program([[1.0]] * 2, threshold=4.0, decay=(0.75, 1.0))["a"].dynamics
    assert leak_per_step(d, None).tolist() == [0.5, 0.0]
    assert leak_per_step(d, 3.0).tolist() == [0.75, 0.0]
    assert leak_per_step(d, 9.0).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("membrane", "leak"), [(None, 0.5), (1.0, 0.25), (3.0, 0.75)])
def test_the_report_of_a_leak_tells_how_far_it_is_from_the_models(
    membrane: float | None, leak: float
) -> None:
    """A quarter of the membrane is lost in a step, up to 1. The second channel loses nothing."""
    model = program([[2.0, 0.7]] * 2, threshold=4.0, decay=(0.75, 1.0), bias=(0.0, 0.25))
    measured = Measured() if membrane is None else Measured({"in": 1.0}, {"a": membrane})
    log = Reports()
    made = layer(model).neuron(measured, log, bounded=False)
    (found,) = log.found
    assert vars(found) == {
        "where": "nodes/a",
        "population": "a",
        "leak": leak / 4 / 2,
        "decay": 0.125,
        "apart": max(leak, 1 - leak) / 4,
        "biases": (made.bias.min(), made.bias.max()),
        "unit": 1 / made.scale[0],
        "calibrated": membrane is not None,
        "measured": membrane is not None,
    }
    assert made.bias.tolist() == [round(-leak * made.scale[0]), round(0.25 * made.scale[0])]


# Weights.


def test_weights_that_vanish_are_reported_where_they_are_written() -> None:
    for origins, where in ((("nodes/w",), "nodes/w"), ((), "nodes/a")):
        log = Reports()
        one = layer(program([[1.0, 1e-4, 0.0, -1e-4]], origins=origins), bits=4)
        one.neuron(Measured(), log, bounded=False)
        ((source, made),) = one.projections(log)
        (found,) = log.found
        assert vars(found) == {
            **{"where": where, "lost": 2, "of": 3, "which": "from `in` to `a`"},
            "limit": "4 bits, one scale a layer",
        }
        assert source == "in" and made.biases == ()
        assert made.ops[-1].weight.ravel().tolist() == [7, 0, 0, 0]


def test_a_pool_stays_before_its_kernel_and_the_rounding_knows_of_it() -> None:
    asked: list[Weights] = []

    class Recorder(Rounding):
        def integers(self, weights: Weights) -> Any:
            asked.append(weights)
            return np.rint(weights.exact)

    model = program([[1.0, 0.3]], pool=True)
    one = layer(model, rounding=Recorder())
    one.neuron(Measured(), Reports(), bounded=False)
    ((_, made),) = one.projections(Reports())
    before = model.into("a")[0][1].ops[0]
    assert made.ops[0] is before and len(made.ops) == 2
    (weights,) = asked
    assert weights.source == "in" and weights.before == (before,)


def test_the_quantised_program_is_in_the_integer_form() -> None:
    made = SpeckQuantise().run(program([[1.0, 0.3]], bias=0.5), Reports())  # type: ignore[arg-type]
    assert made.form is Form.INTEGER and SpeckQuantise.name == "speck-quantise"
    assert made.into("a")[0][1].biases == ()
