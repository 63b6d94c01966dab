"""The time step that exporters hide in the parameters is found, where they agree on one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.analysis.time_step import (
    MAX_STEPS,
    Evidence,
    agreed,
    euler,
    exponential,
    from_pair,
    gain_is_per_step,
    is_round,
    rockpool,
    rounded,
    steps_of_delay,
)

DT = 1e-4
TAU = np.array([8e-4, 2e-3, 5e-2])


def says(tau: np.ndarray | None, gain: np.ndarray | None) -> Evidence | None:
    return from_pair("nodes/x/r", "tau / r", tau, gain)


@given(st.sampled_from([1e-3, 5e-4, 1e-4, 2.5e-5, 1e-6]), st.integers(0, 1000))
def test_float32_parameters_give_the_decimal_that_was_meant(dt: float, seed: int) -> None:
    tau = (dt / np.random.default_rng(seed).uniform(0.001, 0.9, 5)).astype(np.float32).astype(float)
    gain = (tau / dt).astype(np.float32).astype(float)
    found = says(tau, gain)
    assert found is not None and agreed([found]) == dt


@pytest.mark.parametrize(
    ("tau", "gain"),
    [(None, TAU), (TAU, None), (TAU, np.ones(3)), (TAU, np.zeros(3)), (TAU, -TAU / 1e-4),
    (TAU * np.inf, TAU / 1e-4),
     (np.array([5e-324]), np.array([1e308]))],
)  # fmt: skip
def test_gains_of_one_or_less_and_infinite_times_tell_nothing(
    tau: np.ndarray, gain: np.ndarray
) -> None:
    assert says(tau, gain) is None


def test_one_telling_neuron_is_enough() -> None:
    found = says(np.array([np.inf, 8e-4, 2e-3]), np.array([1.0, 8.0, 1.0]))
    assert found == Evidence("nodes/x/r", "tau / r", 1e-4, 0.0, tau_s=8e-4)


def test_evidence_that_disagrees_gives_no_time_step() -> None:
    one, other = says(TAU, TAU / 1e-4), says(TAU, TAU / 2e-4)
    assert one is not None and other is not None
    assert agreed([one]) == 1e-4 and agreed([one, other]) is None and agreed([]) is None
    assert agreed([one, one, other]) is None and agreed([other, other, one]) is None
    spread = says(TAU, np.array([8.0, 21.0, 500.0]))
    assert spread is not None and agreed([spread]) is None


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        (9.99999975e-05, 1e-4),
        (0.001, 0.001),
        (1 / 30, 0.0333333),
        (2.5000001e-5, 2.5e-5),
        (1.23456e-3, 1.23456e-3),
    ],
)
def test_rounding_stops_where_float32_ends(found: float, meant: float) -> None:
    assert rounded(found) == pytest.approx(meant, rel=1e-12)


def test_time_steps_that_people_choose_are_round() -> None:
    assert is_round(1e-4) and is_round(2.5e-5) and is_round(1.25e-3) and not is_round(9.512e-5)


@pytest.mark.parametrize("tau", [2e-3, 2e-2, 0.1])
def test_rockpool_s_gain_is_undone(tau: float) -> None:
    dt = 1e-3
    assert rockpool(tau, tau / dt * np.exp(-dt / tau)) == pytest.approx(dt, rel=1e-9)


@pytest.mark.parametrize(
    ("delay", "steps"),
    [
        (0.0, 0),
        (1e-4, 1),
        (3e-4, 3),
        (3.4e-4, 3),
        (1e-6, 1),
        (5e-324, 1),
        (1e308, MAX_STEPS),
        (np.inf, MAX_STEPS),
    ],
)
def test_delays_take_whole_steps(delay: float, steps: int) -> None:
    assert steps_of_delay(delay, 1e-4) == steps
    assert steps_of_delay(delay, None) == 0


def test_euler_and_the_exponential_differ_in_the_second_order() -> None:
    tau, gain = np.array([1e-2, np.inf]), np.array([100.0, 0.5])
    (d1, g1), (d2, g2) = euler(tau, gain, 1e-4), exponential(tau, gain, 1e-4)
    assert d1.tolist() == [0.99, 1.0] and g1.tolist() == [1.0, 0.5]
    assert abs(d1[0] - d2[0]) < 1e-4 and abs(g1[0] - g2[0]) < 1e-2 and (d2[1], g2[1]) == (1.0, 0.5)
    assert d2[0] == pytest.approx(np.exp(-0.01))


@pytest.mark.parametrize(
    ("r", "dt", "per_step"),
    [(1.0, 1e-4, True), (1e4, 1e-4, False), (0.2, 1e-3, True), (1e3, 1e-3, False),
    (1.0, None, True),
     (1e3, None, False), (-1e4, 1e-4, False), (2.0, 0.25, False), (100.0, None, False)],
)  # fmt: skip
def test_an_integrator_s_gain_is_per_step_or_per_second_whichever_is_nearer(
    r: float, dt: float | None, per_step: bool
) -> None:
    assert gain_is_per_step(np.array([r, r, 1.0]), dt) == per_step


# -- coefficients of a step ------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", [euler, exponential])
def test_an_infinite_time_constant_keeps_all_and_adds_its_gain_once(method: object) -> None:
    assert callable(method)
    decay, gain = method(np.array([np.inf, 8 * DT]), np.array([3.0, 8.0]), DT)
    assert (decay[0], gain[0]) == (1.0, 3.0) and 0.87 < decay[1] < 0.89 and 0.93 < gain[1] <= 1


def test_euler_forgets_all_in_a_step_as_long_as_the_time_constant() -> None:
    decay, gain = euler(np.array([DT]), np.array([0.5]), DT)
    assert (decay.item(), gain.item()) == (0.0, 0.5)


def test_the_exponential_keeps_its_digits_for_long_time_constants() -> None:
    """1 - exp(-x) would lose them: at x = 1e-12 there would be four left."""
    decay, gain = exponential(np.array([DT * 1e12]), np.array([1e12]), DT)
    assert gain.item() == pytest.approx(1 - 0.5e-12, rel=1e-12) and decay.item() < 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("r", "dt_s", "per_step"),
    [
        ([1.0, 1.0], 1e-4, True),
        ([1e4, 1e4], 1e-4, False),
        ([99.0], 1e-4, True),
        ([101.0], 1e-4, False),
        ([-1.0], 1e-4, True),
        ([1.0, 1.0, 1e4], 1e-4, True),
        ([1e308, 1e308], 1e-4, False),
        ([0.0], 1e-4, True),
        ([5.0], None, True),
        ([500.0], None, False),
    ],
)
def test_a_gain_is_per_step_if_it_is_nearer_to_one_than_to_one_over_dt(
    r: list[float], dt_s: float | None, per_step: bool
) -> None:
    assert gain_is_per_step(np.array(r), dt_s) == per_step
