"""One scale a layer: weights to 8 bits, biases and thresholds to 16. Integers stay as they are."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.api import Options, lower
from nirc.backends.speck.legalise import SpeckLegalise
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.quantise import (
    Measured,
    SpeckQuantise,
    _exact_scale,
    _most,
    _most_in_single_precision,
)
from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.log import Log
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.models import lif
from tests.speck.networks import conv, fire, line, small


def quantised(
    model: nir.NIRGraph,
    *,
    reset: str = "subtract",
    measured: Measured | None = None,
    nearest: bool = False,
) -> tuple[Program, Program, list[Diagnostic]]:
    """Discrete program, integer program and what was said about the latter."""
    log = Log()
    discrete = lower(model, Options(reset=reset), log=Log()).discrete
    return (
        discrete,
        SpeckQuantise(measured or Measured(), nearest=nearest).run(
            SpeckLegalise().run(discrete, Log()), log
        ),
        log.diagnostics,
    )


def of_sinabs(model: nir.NIRGraph, floor: str = "none", **how: bool | None) -> Program:
    """Return the integers of a network of Sinabs, which fires at its threshold."""
    discrete = lower(model, Options(writer=f"sinabs,floor={floor}"), log=Log()).discrete
    return SpeckQuantise(**how).run(SpeckLegalise().run(discrete, Log()), Log())


def weights(program: Program, name: str) -> np.ndarray:
    ((_, projection),) = program.into(name)
    return projection.ops[-1].weight


def neuron(program: Program, name: str) -> SpeckNeuron:
    found = program[name].dynamics
    assert isinstance(found, SpeckNeuron)
    return found


def dense(
    weight: np.ndarray, *, threshold: float = 1.0, bias: np.ndarray | None = None
) -> nir.NIRGraph:
    """A single layer of integrate-and-fire neurons."""
    n = len(weight)
    layer = nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
    return line((weight.shape[1],), layer, fire(n, threshold=threshold), out=(n,))


@pytest.mark.parametrize(
    ("largest", "smallest", "expected"),
    [(0.5, -0.1, (127, -25)), (0.1, -0.5, (26, -128)), (0.5, -0.5, (127, -127))],
)
def test_the_largest_weight_takes_all_of_8_bits(
    largest: float, smallest: float, expected: tuple[int, int]
) -> None:
    odd = 0.0123456789  # so that nothing is an integer
    _, made, _ = quantised(dense(np.array([[largest, smallest, odd]])), nearest=True)
    assert tuple(weights(made, "n1").ravel()[:2]) == expected


def test_a_threshold_is_rounded_to_the_nearest_that_is_subtracted() -> None:
    _, made, _ = quantised(dense(np.array([[0.5, 0.0123456789]]), threshold=0.3), nearest=True)
    assert neuron(made, "n1").threshold_high == round(0.3 * 127 / 0.5)
    assert neuron(made, "n1").initial == 0


def test_a_threshold_is_the_next_integer_above_where_the_membrane_returns_to_zero() -> None:
    """76.2 in the chip's units: 76 does not exceed it, 77 does."""
    _, made, _ = quantised(
        dense(np.array([[0.5, 0.0123456789]]), threshold=0.3), reset="model", nearest=True
    )
    assert neuron(made, "n1").threshold_high == 77
    assert neuron(made, "n1").return_to_zero


def test_biases_use_16_bits_and_do_not_cost_weights_their_precision() -> None:
    """sinabs squeezes a bias of 5 into 8 bits, and the weights of 0.1 to 0.4 become 3 to 10."""
    model = dense(np.array([[0.1, 0.2], [0.3, 0.4]]) + 0.00123456789, bias=np.array([5.0, 0.0]))
    _, made, _ = quantised(model, nearest=True)
    assert weights(made, "n1").max() == 127
    assert neuron(made, "n1").bias.max() == round(5 * 127 / 0.40123456789)


def test_the_lower_bound_does_not_enter_the_scale() -> None:
    """sinabs takes -32768 as a potential where there is no bound. All weights become 0 and -1."""
    _, made, _ = quantised(small(np.random.default_rng(0)), nearest=True)
    for name in ("n1", "n4", "n8"):
        assert neuron(made, name).threshold_low == -32768
        assert np.abs(weights(made, name)).max() >= 127


def test_a_threshold_far_above_the_weights_bounds_the_scale() -> None:
    _, made, _ = quantised(dense(np.array([[0.5, 0.0123456789]]), threshold=1000.0))
    assert neuron(made, "n1").threshold_high == 32640


def test_sums_of_channels_are_kept_unless_asked_otherwise() -> None:
    weight = np.random.default_rng(2).normal(0.0, 0.1, (5, 40))
    off = {}
    for nearest in (False, True):
        _, made, _ = quantised(dense(weight), nearest=nearest)
        kernel, scale = weights(made, "n1").reshape(5, -1), neuron(made, "n1").scale[0]
        assert np.abs(kernel - weight * scale).max() <= (0.5 if nearest else 1) + 1e-9
        off[nearest] = np.abs(kernel.sum(axis=1) - weight.sum(axis=1) * scale).max()
    assert off[False] <= 0.5 + 1e-9 < off[True]


def test_weights_that_vanish_are_counted() -> None:
    _, _, said = quantised(dense(np.array([[1.0, 1e-4, -1e-4, 0.0]])))
    (finding,) = [d for d in said if d.code == "D410"]
    assert finding.message.startswith("2 of 3 weights")


@given(st.integers(0, 500), st.integers(1, 60), st.booleans(), st.booleans())
def test_integers_are_exact_up_to_the_strict_threshold(
    seed: int, threshold: int, zero: bool, halves: bool
) -> None:
    """Whole weights, biases and thresholds: the chip fires in the same steps as the model."""
    rng = np.random.default_rng(seed)
    unit = 0.5 if halves else 1.0
    weight = rng.integers(-5, 6, (4, 3)) * unit
    weight[0, 0] = 5 * unit
    bias = rng.integers(-1, 2, 4) * unit
    model = dense(weight, threshold=threshold * unit, bias=bias)
    discrete, made, _ = quantised(model, reset="model" if zero else "subtract")
    inputs = rng.integers(0, 2, (2, 30, 3)) * (rng.random((2, 30, 3)) < 0.5)
    expected = run(discrete, inputs, record=["n1"])
    # Where the model would need several spikes in a step the chip fires them: a difference in kind,
    # not of numbers.
    if zero or (expected.v["n1"] <= threshold * unit).all():
        got = run(made, inputs).outputs
        assert ((got > 0) == expected.outputs).all()
        assert zero or (got <= 1).all()


def test_a_leak_is_a_constant_that_is_right_at_half_the_threshold() -> None:
    model = line((2,), nir.Linear(np.array([[0.7, 0.0123456789]])), lif(1, steps=10.0), out=(1,))
    _, made, said = quantised(model)
    scale = 127 / 0.7
    assert neuron(made, "n1").bias.tolist() == [-round(0.1 * 0.5 * scale)]
    assert neuron(made, "n1").threshold_low == -1
    assert [d.severity for d in said if d.code == "D417"] == ["warning"]


def test_a_leak_follows_the_membranes_that_were_measured() -> None:
    model = line((2,), nir.Linear(np.array([[0.7, 0.0123456789]])), lif(1, steps=10.0), out=(1,))
    _, made, _ = quantised(model, measured=Measured(membrane={"n1": 0.2}))
    assert neuron(made, "n1").bias.tolist() == [-round(0.1 * 0.2 * 127 / 0.7)]


def test_layers_without_any_weight_still_have_a_threshold() -> None:
    _, made, _ = quantised(dense(np.zeros((2, 2))))
    assert neuron(made, "n1").threshold_high > 0


def test_a_branch_is_rounded_with_the_scale_of_its_layer() -> None:
    rng = np.random.default_rng(0)
    _, made, _ = quantised(
        line((1, 6, 6), conv(rng, 1, 2, padding=1), fire(2, 6, 6), out=(2, 6, 6))
    )
    assert (
        weights(made, "n1").dtype == float
        and (weights(made, "n1") == np.rint(weights(made, "n1"))).all()
    )


def sinabs_rounds(weight: np.ndarray) -> np.ndarray:
    """Single precision: the scale by a reciprocal, the product, ties to even."""
    single = weight.astype(np.float32)
    return np.rint(single * (np.float32(127) * (np.float32(1) / single.max()))).astype(np.int64)


def test_weights_of_sinabs_are_rounded_as_sinabs_rounds_them() -> None:
    """Weights beside a tie are ties in single precision only. They are rounded one by one."""
    largest = np.float32(0.2997)
    halves = ((np.arange(127) + 0.5) / (127 / np.float64(largest))).astype(np.float32)
    beside = [halves, np.nextafter(halves, np.float32(0)), np.nextafter(halves, np.float32(1))]
    weight = np.concatenate([*beside, [largest]])[None].astype(np.float64)
    expected = sinabs_rounds(weight)
    assert (expected != np.rint(weight * (127 / weight.max()))).any()
    np.testing.assert_array_equal(weights(of_sinabs(dense(weight)), "n1").reshape(1, -1), expected)
    kept = weights(of_sinabs(dense(weight), nearest=False), "n1").reshape(1, -1)
    assert (kept != expected).any()


def test_other_networks_keep_the_sums_of_their_weights() -> None:
    weight = np.random.default_rng(4).uniform(0.0, 0.3, (4, 1000))
    _, made, _ = quantised(dense(weight), nearest=None)
    exact = (weight * (127 / weight.max())).sum(axis=1)
    assert np.abs(weights(made, "n1").reshape(4, 1000).sum(axis=1) - exact).max() <= 0.5 + 1e-9


def test_a_threshold_of_sinabs_is_reached_and_not_only_passed() -> None:
    """Two inputs of half a threshold fire a neuron of Sinabs, and none by the letter of NIR."""
    model = dense(np.array([[0.5, 0.5]]))
    ones = np.ones((1, 1, 2))
    assert run(of_sinabs(model), ones).outputs.sum() == 1
    assert run(quantised(model)[1], ones).outputs.sum() == 0


def test_biases_of_sinabs_have_8_bits_unless_that_costs_much() -> None:
    """Down to a quarter of the finest scale the integers are those of Sinabs."""
    weight = np.random.default_rng(5).uniform(-0.1, 0.2, (2, 20))
    for bias, largest in ((0.7, 127 * weight.max() / 0.7), (5.0, 127)):
        made = of_sinabs(dense(weight, bias=np.array([bias, -0.01])))
        assert weights(made, "n1").max() == round(largest)


@pytest.mark.parametrize(
    ("floor", "low"), [("-1", -635), ("-0.3", -190), ("-60", -32768), ("none", -32768)]
)
def test_the_lower_bound_of_sinabs_is_the_chips(floor: str, low: int) -> None:
    """-60 V would be -38100 at the finest scale: the scale is a little coarser.

    Without one, 16 bits are left.
    """
    weight = np.array([[0.2, -0.0345678, 0.0123456]])
    made = of_sinabs(dense(weight), floor)
    assert neuron(made, "n1").threshold_low == low
    assert neuron(made, "n1").threshold_high == (546 if floor == "-60" else 635)
    assert weights(made, "n1").max() == (109 if floor == "-60" else 127)


@pytest.mark.parametrize(
    ("values", "most", "scale"),
    [
        ([0.5, 1.0, 0.0], 4.0, 4.0),
        ([0.5, -1.5], 3.9, 2.0),
        ([0.5, 0.75], 8.0, 8.0),
        ([0.5, 0.75], 3.0, None),
        ([0.3], 10.0, 10.0),
        ([0.1, 1 / 3], 120.0, 120.0),
        ([0.0], 9.0, None),
    ],
)
def test_the_exact_scale_is_the_largest_that_leaves_nothing_to_round(
    values: list[float], most: float, scale: float | None
) -> None:
    assert _exact_scale(np.array(values), most) == (scale and pytest.approx(scale))


def test_the_largest_factor_keeps_both_ends_in_their_range() -> None:
    for most in (_most, _most_in_single_precision):
        assert most(np.array([0.5, -0.1]), (-128, 127)) == pytest.approx(254)
        assert most(np.array([0.1, -0.5]), (-128, 127)) == pytest.approx(256)
        assert most(np.array([0.5]), (-128, 127)) == pytest.approx(254)
        assert most(np.array([-0.5]), (-128, 127)) == pytest.approx(256)
        assert most(np.zeros(2), (-128, 127)) == most(np.zeros(0), (-128, 127)) == np.inf
