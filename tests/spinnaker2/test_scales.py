"""Scales of neurons: integer weights stay what they are, others stay in range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.spinnaker2 import scales as module
from nirc.backends.spinnaker2.limits import RING
from nirc.backends.spinnaker2.scales import NEAR, PROBED, _near, _Rows, row_scales
from nirc.rounding.rule import sums_kept


@given(st.lists(st.integers(-15, 15), min_size=1, max_size=12), st.floats(0.01, 100))
def test_integer_weights_stay_what_they_are(weights: list[int], unit: float) -> None:
    value = np.array(weights) * unit
    row = np.zeros(len(weights), np.int64)
    kept = value != 0
    scale = row_scales(row[kept], value[kept], 1, 15)
    exact = value * scale[row]
    np.testing.assert_allclose(sums_kept(exact, row, 1, -15, 15), exact, atol=1e-3)
    assert np.gcd.reduce(np.abs(np.rint(exact)).astype(int)) in {0, 1}, (
        "the smallest of such scales"
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 31), st.sampled_from([2, 4, 8]), st.sampled_from([15, 127]))
def test_scales_are_bounded_by_all_that_a_neuron_stores(seed: int, copies: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    n, size = 5, int(rng.integers(1, 400))
    row, value = rng.integers(0, n, size), rng.normal(0, rng.choice([0.1, 1.0, 30.0], size))
    times = np.where(rng.random(size) < 0.5, copies, 1)
    plain, scale = row_scales(row, value, n, limit), row_scales(row, value, n, limit, times=times)
    rounded = np.abs(np.rint(value * scale[row]))
    assert (rounded <= limit * times).all()
    total = np.bincount(row, np.abs(value) * scale[row], minlength=n)
    finer = scale > plain / 0.75 * (1 + 1e-9)  # more than the search among shares explains
    assert (total[finer] <= RING * (1 + 1e-9)).all()
    np.testing.assert_array_equal(row_scales(row, value, n, limit, times=np.ones(size, int)), plain)


def test_weights_of_float32_are_integers_after_all() -> None:
    value = (np.array([127, -3, 50]) * 0.013).astype(np.float32).astype(float)
    scale = row_scales(np.zeros(3, np.int64), value, 1, 127)
    np.testing.assert_allclose(value * scale, [127, -3, 50], rtol=1e-6)


def test_a_constant_may_need_the_largest_weight_of_all() -> None:
    one, row = np.ones(1), np.zeros(1, np.int64)
    assert row_scales(row, one, 1, 15, one / 15).tolist() == [15.0]
    assert row_scales(row, one, 1, 15).tolist() == [1.0]
    assert row_scales(row[:0], one[:0], 1, 15).tolist() == [1.0]


def test_an_integer_is_near_by_the_precision_of_float32() -> None:
    value = np.array([0.0, 1.0, 1000.0, 100.0])
    assert _near(value * (1 + NEAR / 2)).all() and _near(value + NEAR / 2).all()
    assert not _near(np.array([0.5, 1.5, 1 + 3 * NEAR, 3 * NEAR])).any()


def test_the_largest_weight_may_be_above_the_limit_by_the_precision_of_float32() -> None:
    """0.3 is more than 3 times 0.1 in float32."""
    value = np.array([0.1, 0.3]).astype(np.float32).astype(float)
    assert value[1] > 3 * value[0]
    rows = _Rows(np.zeros(2, np.int64), value, 1)
    np.testing.assert_allclose(rows.exact(3) * value, [1, 3], rtol=1e-6)
    assert np.isnan(rows.exact(2)).all()
    assert np.isnan(rows.exact(3, also=np.array([0.05]))).all()
    assert not np.isnan(rows.exact(3, also=np.array([0.2]))).any()


@given(st.integers(0, 1 << 31), st.integers(1, 40))
def test_rows_have_the_same_scales_alone_as_together(seed: int, together: int) -> None:
    """Rows of integers and of others, longer and shorter than what is looked at together."""
    rng = np.random.default_rng(seed)
    n = 6
    row = np.sort(rng.integers(0, n, 50))
    unit = rng.choice([0.5, 0.013], n)
    value = np.where(rng.random(n) < 0.5, 1.0, rng.uniform(0.9, 1.1, n))[row] * unit[row]
    value *= rng.integers(1, 15, 50)
    value[rng.random(50) < 0.05] *= 1.01
    alone = [row_scales(row[row == i] * 0, value[row == i], 1, 15)[0] for i in range(n)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOGETHER", together)
        np.testing.assert_array_equal(row_scales(row, value, n, 15), alone)


def test_one_entry_far_behind_keeps_a_row_from_being_exact() -> None:
    """The first entries are tried first. All entries decide."""
    late = np.ones(PROBED + 5)
    late[-1] = 1.4999
    row = np.repeat([0, 1, 2], late.size)
    value = np.concatenate([late, np.ones(late.size) * 0.5, late])
    exact = _Rows(row, value, 3).exact(3)
    assert np.isnan(exact[[0, 2]]).all() and exact[1] == 2.0


@pytest.mark.parametrize("together", [1, 3, 100])
def test_a_row_may_be_longer_than_what_is_looked_at_together(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", together)
    row = np.repeat([0, 2, 3], [2, 5, 1])
    value = np.array([1, 2, 0.5, 1, 1.5, 2, 2.5, 0.25])
    assert row_scales(row, value, 5, 15).tolist() == [1, 1, 2, 4, 1]
