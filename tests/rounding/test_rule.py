"""Rounding that keeps the sum of each row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense
from nirc.ir.populations import Discrete
from nirc.rounding import rule
from nirc.rounding.rule import (
    BLOCK,
    KEEPING_SUMS,
    LONG,
    Weights,
    _keep_sums,
    _largest,
    narrowed,
    sums_kept,
)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(-15, 15), (-127, 127), (-128, 127)]))
@settings(max_examples=60, deadline=None)
def test_it_keeps_the_sum_of_each_row(seed: int, between: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    n, rows = int(rng.integers(1, 400)), int(rng.integers(1, 9))
    row = rng.integers(0, rows, n)
    exact = np.clip(rng.normal(rng.normal(), 30, n), *between)
    whole = sums_kept(exact, row, rows, *between)
    assert (
        whole.min() >= between[0]
        and whole.max() <= between[1]
        and (np.abs(whole - exact) <= 1).all()
    )
    inside = np.bincount(row, np.isin(np.rint(exact), between), minlength=rows) == 0
    assert (np.abs(np.bincount(row, whole - exact, minlength=rows))[inside] <= 0.5 + 1e-9).all()


def test_whole_numbers_and_no_numbers_stay() -> None:
    value = np.array([3.0, -7.0, 0.0])
    assert sums_kept(value, np.array([0, 0, 1]), 2, -15, 15).tolist() == value.tolist()
    assert not sums_kept(np.zeros(0), np.zeros(0, np.int64), 3, -15, 15).size


def test_many_small_ones_of_one_sign_do_not_all_vanish() -> None:
    assert sums_kept(np.full(10, 0.4), np.zeros(10, np.int64), 1, -127, 127).sum() == 4


def slow(value: Float, row: Int, n: int) -> list[float]:
    """Turn the largest loss of a row, the first of equal ones, until its sum is kept."""
    rounded = np.rint(value)
    for i in range(n):
        lost = {k: float(value[k] - rounded[k]) for k in np.flatnonzero(row == i)}
        missing = round(sum(lost.values()))
        sign = int(np.sign(missing))
        for k in sorted(lost, key=lambda k: (-sign * lost[k], k))[: abs(missing)]:
            rounded[k] += sign
    return list(np.clip(rounded, -127, 127))


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_long_and_short_rows_turn_their_largest_losses(seed: int, ties: bool, order: bool) -> None:
    rng = np.random.default_rng(seed)
    row = np.repeat(np.arange(4), rng.choice([0, 3, LONG, LONG + 1, 3 * LONG], 4))
    exact = rng.normal(rng.normal(), 80, row.size)
    exact = np.round(exact * 4) / 4 if ties else exact
    row = row if order else rng.permutation(row)
    assert sums_kept(exact, row, 4, -127, 127).tolist() == slow(exact, row, 4)


def test_of_equal_losses_the_first_are_turned() -> None:
    assert _largest(np.array([3.0, 1, 2, 2, 2, 0]), 3).tolist() == [0, 2, 3]


def test_blocks_of_rows_do_not_meet() -> None:
    for length in (BLOCK, BLOCK + 1):
        exact = np.full(3 * length, 0.4)
        row = np.repeat(np.arange(3), length)
        sums = np.bincount(row, sums_kept(exact, row, 3, -127, 127))
        assert sums.tolist() == [round(0.4 * length)] * 3


def test_every_row_of_a_matrix_and_every_channel_of_a_kernel_keeps_its_sum() -> None:
    exact = np.full((3, 10), 0.4)
    d = Discrete(decay_mem=np.ones(3), gain_mem=np.ones(3), drift=np.zeros(3), threshold=None)
    kernel = Conv(exact.reshape(3, 2, 5), (2, 6), (3, 6), (1,), ((2, 2),), (1,), 1)
    (one,) = KEEPING_SUMS.integers(Weights("a", d, Dense(exact[:1]), exact[:1], -7, 7))
    assert one.sum() == 4
    assert not KEEPING_SUMS.integers(Weights("a", d, Dense(exact[:0]), exact[:0], -7, 7)).size
    for op in (Dense(exact), kernel):
        whole = KEEPING_SUMS.integers(Weights("a", d, op, op.weight, -7, 7))
        assert whole.shape == op.weight.shape
        assert whole.reshape(3, 10).sum(axis=1).tolist() == [4, 4, 4]


def test_rows_are_rounded_in_blocks_that_stay_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many whole rows as a block has room for, at least one."""
    blocks: list[list[int]] = []
    once = rule._keep_sums

    def noted(rounded: Float, value: Float, ends: Int) -> None:
        blocks.append(ends.tolist())
        assert rounded.size == value.size == ends[-1]
        once(rounded, value, ends)

    monkeypatch.setattr(rule, "_keep_sums", noted)
    monkeypatch.setattr(rule, "BLOCK", 6)
    row = np.repeat(np.arange(5), [3, 3, 1, 8, 2])
    whole = sums_kept(np.full(17, 0.4), row, 5, -7, 7)
    assert blocks == [[0, 3, 6], [0, 1], [0, 8], [0, 2]]
    assert np.bincount(row, whole).tolist() == [1, 1, 0, 3, 1]
    assert BLOCK * 8 == 512 * 1024


def test_entries_in_the_order_of_their_rows_are_not_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts: list[Int] = []
    argsort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda x, **how: sorts.append(x) or argsort(x, **how))
    sums_kept(np.full(4, 0.4), np.array([0, 0, 1, 1]), 2, -7, 7)
    assert not sorts
    sums_kept(np.full(4, 0.4), np.array([0, 1, 0, 1]), 2, -7, 7)
    assert len(sorts) == 1


def test_only_a_long_row_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    monkeypatch.setattr(rule, "_largest", lambda x, n: searched.append(x.size) or _largest(x, n))
    for n in (LONG, LONG + 1):
        exact = np.full(n, 0.4)
        _keep_sums(np.rint(exact), exact, np.array([0, n]))
    assert searched == [LONG + 1]


@pytest.mark.parametrize(
    ("own", "bits", "range_"),
    [
        ((-128, 127), 8, (-128, 127)),
        ((-128, 127), 4, (-8, 7)),
        ((-128, 127), 2, (-2, 1)),
        ((-127, 127), 8, (-127, 127)),
        ((-127, 127), 4, (-7, 7)),
        ((-15, 15), 8, (-15, 15)),
        ((-15, 15), 2, (-1, 1)),
        ((-4, 3), 8, (-4, 3)),
    ],
)
def test_fewer_bits_hold_a_part_of_the_range(
    own: tuple[int, int], bits: int, range_: tuple[int, int]
) -> None:
    """That of two's complement, or as far down as up where the chip's range is."""
    assert narrowed(own, bits) == range_
