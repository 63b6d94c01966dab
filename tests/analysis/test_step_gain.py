"""Coefficients of a step at the edges of what numbers are: infinite times, huge gains, steps as
long as tau.
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.analysis.step_gain import euler, exponential, gain_is_per_step

DT = 1e-4


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
