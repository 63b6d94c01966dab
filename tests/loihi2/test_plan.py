"""The numbers of a plan, each by hand: grids, bounds of the unit, reach, biases and errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.backends.loihi2 import drive as drives
from nirc.backends.loihi2 import fan_in, rule
from nirc.backends.loihi2.drive import Drive, drive_of, grid, magnitude, scaled
from nirc.backends.loihi2.fan_in import _stored, has_large_matrix
from nirc.backends.loihi2.neuron import start_before
from nirc.backends.loihi2.plan import Plan
from nirc.backends.loihi2.soft_reset import MOST_TAPS, _taps
from nirc.ir.arrays import Float
from nirc.ir.linear import Conv, Dense, Sparse, Weighted
from nirc.ir.populations import Discrete, Population
from nirc.ir.program import Program

# Grids.


@pytest.mark.parametrize(
    ("largest", "mixed", "step"),
    [
        (0.0, False, 1),
        (255, False, 1),
        (255.0000001, False, 1),  # by less than a billionth too large
        (256, False, 2),
        (510, False, 2),
        (511, False, 4),
        (255 * 128, False, 128),
        (1e9, False, 128),
        (127, True, 1),
        (127.5, True, 2),
        (254, True, 2),
        (255, True, 4),
        (254 * 128, True, 256),
        (1e9, True, 256),
    ],
)
def test_a_grid_is_the_finest_that_holds_the_largest_weight(
    largest: float, mixed: bool, step: int
) -> None:
    """Mixed weights are even: their steps are two units, or one with an exponent of -1."""
    assert grid(largest, mixed=mixed) == step


def test_weights_of_fewer_bits_have_a_coarser_grid_and_a_smaller_largest() -> None:
    """Four bits are multiples of 16 steps: 240 of one sign, 224 of both."""
    assert grid(240, mixed=False, coarse=16) == 1 and grid(241, mixed=False, coarse=16) == 2
    assert grid(112, mixed=True, coarse=16) == 1 and grid(113, mixed=True, coarse=16) == 2


def one(weights: list[list[float]], **fields: Any) -> Drive:
    value = np.array(weights)
    n = len(value)
    return Drive(Dense(value), value, np.zeros(n), np.zeros(n), **fields)


def test_the_largest_unit_fills_the_largest_exponent() -> None:
    assert one([[0.5, 0.25]]).largest_k(7) == 255 * 128 / 0.5
    assert one([[0.5, -0.25]]).largest_k(7) == 254 * 128 / 0.5
    assert one([[-0.5, -0.25]]).largest_k(0) == 255 / 0.5
    assert one([[0.5]], even=True).largest_k(0) == 254 / 0.5
    assert one([[0.5]], bits=4).largest_k(0) == 240 / 0.5
    assert one([[0.0]]).largest_k(0) == pytest.approx(255e30)
    kernel = Conv(np.ones((1, 1, 1)), (1, 1), (1, 1), (1,), ((0, 0),), (1,), 1)
    shared = Drive(kernel, np.full((1, 1, 1), 0.5), np.zeros(1), np.zeros(1))
    assert shared.largest_k(7) == 254 / 0.5 and shared.step(9.0) == 2


def test_weights_are_rounded_on_the_grid_and_stay_in_range() -> None:
    drive = one([[1.0, -0.5]])
    value = np.array([[1.0, 0.26, -0.26, 9.0, -9.0]])
    assert drive.step(200) == 2 and drive.top == 127
    assert drive.rounded(200, value).tolist() == [[200, 52, -52, 254, -254]]
    assert drive.rounded(201, value).tolist() == [[200, 52, -52, 254, -254]]
    assert drive.rounded(203, value, floor=True).tolist() == [[202, 52, -52, 254, -254]]
    columns = drive.rounded(np.array([[200.0], [100.0]]), value)
    assert columns.tolist() == [[200, 52, -52, 254, -254], [100, 26, -26, 127, -127]]
    assert one([[1.0, 0.5]]).top == 255 and one([[1.0, 0.5]], bits=4).top == 15


@given(st.sampled_from(["dense", "list", "kernel"]), st.integers(0, 2**32), st.booleans())
def test_sums_of_either_sign_are_those_of_each_neuron(kind: str, seed: int, small: bool) -> None:
    rng = np.random.default_rng(seed)
    op, unit = operator(kind, rng), rng.integers(1, 5, 4 if kind != "kernel" else 6) / 2
    if kind == "kernel":
        unit = np.repeat(unit[:2], 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drives, "TOGETHER", 4 if small else 1 << 16)
        drive = drive_of(op, unit)
    matrix = matrix_of(op) / unit[:, None]
    np.testing.assert_allclose(drive.positive, np.maximum(matrix, 0).sum(axis=1))
    np.testing.assert_allclose(drive.negative, np.maximum(-matrix, 0).sum(axis=1))
    assert drive.largest == pytest.approx(np.abs(matrix).max())
    factor = rng.integers(1, 5, unit.size) / 4
    less = scaled(drive, factor)
    if kind == "kernel":  # the least of a channel
        factor = np.repeat(factor.reshape(2, 3).min(axis=1), 3)
    np.testing.assert_allclose(less.positive, drive.positive * factor)
    np.testing.assert_allclose(less.negative, drive.negative * factor)
    above, below = less.sums_of(less.value)
    np.testing.assert_allclose(above, less.positive)
    np.testing.assert_allclose(below, less.negative)


def operator(kind: str, rng: np.random.Generator) -> Weighted:
    if kind == "dense":
        return Dense(rng.normal(size=(4, 5)))
    if kind == "list":
        target, source = np.nonzero(rng.random((4, 5)) < 0.6)
        return Sparse(target, source, rng.normal(size=target.size), 5, 4)
    weight = rng.normal(size=(2, 1, 1, 2))
    return Conv(weight, (1, 1, 4), (2, 1, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def matrix_of(op: Weighted) -> Float:
    """Without the ends of a padded map, a kernel brings all of its weights to each place."""
    matrix = np.zeros((op.n_out, op.n_in))
    rows, cols, values = op.coo()
    np.add.at(matrix, (rows, cols), values)
    return matrix


def test_a_magnitude_is_that_of_either_sign() -> None:
    values = [[0.5, -2.0], [0.5, 1.5], [-0.5, -0.25], [0.25]]
    assert [magnitude(np.array(v)) for v in values] == [2.0, 1.5, 0.5, 0.25]
    assert magnitude(np.zeros(0)) == 0


# How far u gets.


@pytest.mark.parametrize(
    ("du", "positive", "negative", "inhibition", "threshold", "largest"),
    [
        (4095, 10, 7, 0, 0, 10),
        (4095, 7, 10, 0, 0, 10),
        (2047, 10, 7, 0, 6, 20),  # half is kept: two steps of input are held
        (2047, 10, 1, 4, 6, 20),
        (2047, 10, 1, 9, 6, 15),  # half a threshold, a step of input, two of its surplus of 1
        (2047, 10, 5, 9, 6, 16),  # what it subtracts in excess of half a threshold goes below zero
        (2047, 1, 9, 2, 6, 18),
        (2047, 1, 9, 3.5, 6, 18.5),
        (4095, 10, 9, 3, 2, 12),
    ],
)
def test_u_reaches_what_its_inputs_hold(
    du: int, positive: float, negative: float, inhibition: float, threshold: float, largest: float
) -> None:
    found = rule.largest_state(
        np.array([positive]),
        np.array([negative]),
        np.array([du]),
        np.inf,
        self_inhibition=np.array([inhibition]),
        threshold=threshold,
    )
    assert found.tolist() == [largest]


def test_steps_of_input_add_up_as_they_decay() -> None:
    assert rule.steps_held(np.array([2047, 2047, 4095]), np.inf).tolist() == [2, 2, 1]
    assert rule.steps_held(2047, 1) == 1
    assert rule.steps_held(2047, 1.75) == 2 * (1 - 0.5**1.75)
    assert rule.steps_held(2047, 2) == 2  # the sum of all is within so many
    assert rule.steps_held(0, 3) == pytest.approx(1 + 4095 / 4096 + (4095 / 4096) ** 2)


# Plans.


def planned(
    weights: list[list[float]],
    *,
    decay: float = 0.5,
    drift: float = 0.0,
    threshold: float | None = 1.0,
    latency_steps: int = 0,
    **options: Any,
) -> Plan:
    n = len(weights)
    both = np.ones(n)
    d = Discrete(
        decay * both,
        both,
        drift * both,
        threshold=None if threshold is None else threshold * both,
        v_reset=0 * both,
    )
    return Plan(Population((n,), d, ("p",)), [Dense(np.array(weights))], latency_steps, **options)


@pytest.mark.parametrize(
    ("plan", "most"),
    [
        (planned([[1.0, 0.5]]), 255 * 128),
        (planned([[1.0, 0.5]], for_netx=True), 255),
        (planned([[1.0, 0.5]], threshold=2.0), 255 * 128 * 2),
        (planned([[0.125]]), 131071),  # vth
        (planned([[0.125]], threshold=None), 255 * 128 * 8),
        (planned([[0.125] * 2000]), 131071 / 250),  # u
        (planned([[0.125]], drift=0.5), 4095 * 128 / 64 / 0.5),
        (planned([[0.125]], drift=-0.5), 4095 * 128 / 64 / 0.5),
        (planned([[0.125]], drift=1.0, threshold=2.0), 4095 * 128 / 64 / 0.5),
        (planned([[1 / 64]], drift=0.5, for_netx=True), 4095 / 0.5),
        # from -20 and -4.5 thresholds on, at most from -64
        (planned([[1 / 64]], decay=0.25, drift=0.0625, latency_steps=3), 8388607 / 64 / 5.25),
        (
            planned([[1 / 64]], decay=0.25, drift=0.125, threshold=2.0, latency_steps=3),
            8388607 / 64 / 5.25,
        ),
        (planned([[1 / 64]], decay=0.25, drift=0.0625, latency_steps=9), 8388607 / 64 / 64),
    ],
)
def test_the_unit_is_as_fine_as_the_narrowest_word_allows(plan: Plan, most: float) -> None:
    assert plan.largest_k() == pytest.approx(most, rel=1e-12)


def test_a_start_leads_to_the_models_through_steps_without_input() -> None:
    found = start_before(np.full(2, 0.25), np.array([0.0625, 0.0]), np.array([0.0, 0.5]), 3)
    v = found.copy()
    for _ in range(3):
        v = v * 0.25 + [0.0625, 0.0]
    assert found.tolist() == [-5.25, 32] and v.tolist() == [0, 0.5]


def test_a_readout_holds_its_inputs_and_its_drift_behind_its_leak() -> None:
    assert planned([[0.5, 0.25]], threshold=None, decay=0.75).readout_reach() == 3
    assert planned([[0.5, 0.25]], threshold=None, decay=0.75, drift=-0.25).readout_reach() == 4
    assert planned([[0.5], [-1.5]], threshold=None, decay=0.75).readout_reach() == 6
    assert planned([[0.5]], threshold=None, decay=1.0).readout_reach() == 512  # for 1,024 steps


def test_biases_are_rounded_to_the_nearest_and_to_multiples_of_64_for_netx() -> None:
    plan, chain = (planned([[1.0], [1.0]], drift=0.3, for_netx=netx) for netx in (False, True))
    for scale, bias, of_chain in ((100.0, 30, 0), (102.0, 31, 0), (105.0, 32, 0), (110.0, 33, 64)):
        for each, wanted in ((plan, bias), (chain, of_chain)):
            mant, exp = each.bias(np.full(2, scale))
            assert (mant << exp).tolist() == [wanted, wanted]


def test_a_leak_that_is_rounded_leaves_the_resting_voltage() -> None:
    plan = planned([[1.0]], decay=1 - 1 / 700, drift=0.01)
    assert plan.dv.tolist() == [6]
    assert plan.drift[0] / (6 / 4096) == pytest.approx(0.01 * 700)
    endless = planned([[1.0]], decay=1.0, drift=0.01)
    assert endless.dv.tolist() == [0] and endless.drift.tolist() == [0.01]


def test_weights_are_reduced_to_nine_tenths_of_what_u_holds() -> None:
    plan = planned([[1e6] * 2, [1.0] * 2])
    assert plan.reduce_weights()
    assert plan.reach().tolist() == pytest.approx([0.9 * 131072, 2])
    assert not planned([[0.9 * 131072]]).reduce_weights()
    assert planned([[0.901 * 131072]]).reduce_weights()


@pytest.mark.parametrize("fires", [True, False])
def test_an_error_is_the_sum_of_squares_of_what_rounding_changes(fires: bool) -> None:
    weights = [[0.3, -0.7], [0.11, 0.5]]
    plan = planned(weights, drift=0.3, threshold=0.5 if fires else None)
    volts = 0.5 if fires else 1.0
    exact = np.array(weights) / volts
    for k in (90.0, 91.5, 200.25):
        step = 1.0 if np.abs(exact).max() * k <= 127 else 2.0
        lost = np.rint(exact * k / step) * step / k - exact
        bias = np.rint(0.3 / volts * k * 64) / (k * 64) - 0.3 / volts
        wanted = (lost**2).mean() + bias**2
        if fires:
            wanted += (np.rint(k) / k - 1) ** 2
        assert plan.error(k) == pytest.approx(wanted)
    ks = np.array([90.0, 91.5, 200.25])
    assert plan.errors(ks).tolist() == [plan.error(k) for k in ks.tolist()]


@given(st.integers(0, 2**32))
def test_a_unit_at_which_self_inhibition_is_stored_exactly_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = float(rng.uniform(0.1, 1))
    n, both = 3, np.ones(3)
    op = Sparse(np.arange(n), np.arange(n), -kept * both, n, n)
    d = Discrete(0 * both, both, 0 * both, threshold=both, decay_syn=kept * both, gain_syn=both)
    population = Population((n,), d, ("p",))
    plan = Plan(population, [Dense(rng.normal(size=(n, 4))), op], 0, self_inhibition=1)
    most = float(rng.uniform(2, 30000))
    ks = plan._storable_ks(most)
    assert most >= ks[0] > ks[-1] and ks == sorted(ks, reverse=True)
    assert ks[-1] <= most / 2 or len(ks) > 255
    for k in ks:
        step = plan.drives[1].step(k)
        assert kept * k / step == pytest.approx(round(kept * k / step), abs=1e-6)
        assert plan.storable_k(k) == pytest.approx(k, rel=1e-9)


# Filters made of delays.


@pytest.mark.parametrize(
    ("decay", "taps"),
    [
        (None, 1),
        (0.0, 1),
        (2.0**-9, 1),
        (2.0**-8, 1),
        (2.0**-7.9, 2),
        (0.5, 8),
        (0.875, 42),
        (2.0 ** (-8 / 63.5), 64),
        (2.0 ** (-8 / 64.5), MOST_TAPS + 1),
        (0.999, MOST_TAPS + 1),
    ],
)
def test_a_filter_takes_a_synapse_for_each_step_until_a_256th_is_left(
    decay: float | None, taps: int
) -> None:
    filtered = None if decay is None else np.array([0.0, decay])
    program = {"p": SimpleNamespace(dynamics=SimpleNamespace(decay_syn=filtered))}
    assert _taps(cast(Program, program), "p") == taps


# Large networks.


def test_a_matrix_is_large_from_so_many_weights_on(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = SimpleNamespace(ops=(Dense(np.zeros((3, 4))),))
    program = SimpleNamespace(edges=lambda: [("a", "b", edge)])
    for most, large in ((12, True), (13, False)):
        monkeypatch.setattr(fan_in, "LARGE", most)
        assert has_large_matrix(cast(Program, program)) == large
    two = SimpleNamespace(ops=edge.ops * 2)
    monkeypatch.setattr(fan_in, "LARGE", 1)
    assert not has_large_matrix(cast(Program, SimpleNamespace(edges=lambda: [("a", "b", two)])))


def test_a_weight_of_a_step_of_any_grid_is_stored() -> None:
    """A step is a 64th of the largest weight or less, and a unit at least."""
    least = 4 / 254
    alone = one([[1.0, least, 0.999 * least, -least, 0.0]])
    assert _stored(alone, 1e9).tolist() == [True, True, False, True, False]
    assert _stored(alone, 2.0).tolist() == [True, False, False, False, False]
    beside = one([[1.0, least, 2 * least, -2 * least, 0.0], [2.0, 0, 0, 0, 0]])
    assert _stored(beside, 1e9).tolist() == [True, False, True, True, False]
    assert _stored(one([[1.0, 0.26, 0.24]], bits=4), 1e9).tolist() == [True, True, False]
