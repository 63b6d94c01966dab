"""Sums that saturate after each source, in C and in numpy, are those of plain Python numbers."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.ir.linear import sparse
from nirc.native.library import SWITCH
from nirc.native.saturated import HIGH, LOW, Fans, add


def plain(state: np.ndarray, counts: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The definition: one number at a time."""
    state = state.copy()
    for row in range(len(state)):
        for target in range(state.shape[1]):
            total = int(state[row, target])
            for source in range(len(matrix)):
                total += int(counts[row, source]) * int(matrix[source, target])
                total = max(LOW, min(HIGH, total))
            state[row, target] = total
    return state


@pytest.mark.parametrize("switch", ["0", "1"])
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_each_source_saturates_alone(
    switch: str, density: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, switch)
    rng = np.random.default_rng(0)
    matrix = rng.integers(-127, 128, (7, 9)) * 128 * (rng.random((7, 9)) < density)
    source, target = np.nonzero(matrix)
    fans = Fans.of(sparse(target, source, matrix[source, target] * 1.0, 7, 9))
    state = rng.integers(LOW, HIGH + 1, (20, 9)).astype(np.int32)
    counts = rng.integers(0, 4, (20, 7)) * rng.integers(0, 2, (20, 7)) * 1.0
    counts[0, 0], counts[1, 1] = 1e12, -1e12
    expected = plain(state, counts, matrix)
    at_once = np.clip(state + counts @ matrix, LOW, HIGH)
    assert (at_once != expected).any()
    add(state, counts, fans)
    np.testing.assert_array_equal(state, expected)
