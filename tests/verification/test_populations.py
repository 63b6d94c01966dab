from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nirc.verification.populations import van_rossum

TRAINS = arrays(np.int8, (2, 30, 3), elements=st.integers(0, 3))


def slow(a: list[int], b: list[int], tau: float) -> float:
    """The filtered trains, written out far beyond the last step, and their squared difference
    summed up.
    """
    steps = range(len(a) + int(30 * tau))
    total = 0.0
    for t in steps:
        f = sum(n * np.exp(-(t - at) / tau) for at, n in enumerate(a) if at <= t)
        g = sum(n * np.exp(-(t - at) / tau) for at, n in enumerate(b) if at <= t)
        total += (f - g) ** 2
    return float(np.sqrt(total * (1 - np.exp(-2 / tau)) / 2))


@given(TRAINS, TRAINS, st.sampled_from([1.0, 4.0]))
def test_it_is_the_integral_of_the_filtered_difference(
    a: np.ndarray, b: np.ndarray, tau: float
) -> None:
    got = van_rossum(a, b, tau)
    assert got.shape == (2, 3)
    assert abs(got[1, 2] - slow(a[1, :, 2].tolist(), b[1, :, 2].tolist(), tau)) < 1e-6


def test_a_spike_too_many_is_a_root_of_one_half_and_a_misplaced_one_is_1() -> None:
    none, one, late = np.zeros((3, 1, 400, 1), int)
    one[0, 3] = late[0, 390] = 1
    assert abs(van_rossum(one, none)[0, 0] - np.sqrt(0.5)) < 1e-12
    assert abs(van_rossum(one, late)[0, 0] - 1) < 1e-9
    assert van_rossum(one, one)[0, 0] == 0
