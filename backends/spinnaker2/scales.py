"""Scales: chip units per volt of each neuron, or of each channel of a convolution.

Thresholds, offsets and decays are floating-point numbers of each neuron. So only the rounding of
the neuron's own weights depends on its scale. The best scale is the smallest that makes them all
integers. If there is none, it is the scale with the least rounding error.
"""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.limits import RING
from nirc.ir.arrays import Float, Int
from nirc.native.loops import in_c

NEAR = 2e-5  # distance from an integer that float32 weights and gains leave
PROBED = 8  # entries of a row that are tested first
TOGETHER = 1 << 15  # entries of the rows that are looked at together
TRIED = np.linspace(0.75, 1.0, 26)  # shares of the largest scale, which is the last


def row_scales(
    row: Int,
    value: Float,
    n: int,
    limit: int,
    constant: Float | None = None,
    times: Int | None = None,
) -> Float:
    """Return (n,) factors with which the rounded entries of each row are within ``limit``.

    Empty rows have 1. ``constant`` (n,): of each row, an integer too if possible, which may be
    above ``limit``. ``times`` (entries,): the limit of each entry in units of ``limit``. All
    entries of a row together stay within ``RING``.
    """
    if constant is not None:
        alone = np.setdiff1d(np.flatnonzero(constant), row)  # rows without entries
        row, value = np.concatenate([row, alone]), np.concatenate([value, constant[alone]])
        times = None if times is None else np.concatenate([times, np.ones(alone.size, np.int64)])
    if (np.diff(row) < 0).any():
        order = np.argsort(row, kind="stable")
        row, value = row[order], value[order]
        times = None if times is None else times[order]
    scales = np.ones(n)
    ends = np.searchsorted(row, np.arange(n + 1))
    first = 0
    while first < n:  # some rows at a time, which the processor's cache can hold
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + TOGETHER, "right")) - 1)
        some, rows = slice(ends[first], ends[last]), slice(first, last)
        block = _Rows(row[some] - first, value[some], last - first)
        if times is not None:
            block.allow(times[some], limit)
        scales[rows] = _scales_of(block, limit, None if constant is None else constant[rows])
        first = last
    return scales


def _scales_of(rows: _Rows, limit: int, constant: Float | None) -> Float:
    tried = TRIED * limit / rows.most[:, None]
    errors = rows.errors(tried)
    best, least = tried[:, -1], errors[:, -1]
    for scale, error in zip(tried.T, errors.T, strict=True):
        best = np.where(error < least, scale, best)
        least = np.minimum(error, least)
    exact = rows.exact(limit)
    if constant is not None:
        both = rows.exact(limit, np.abs(constant))
        exact = np.where(np.isnan(both), exact, both)
    return np.where(rows.empty, 1.0, np.where(np.isnan(exact), best, exact))


class _Rows:
    """Entries sorted by row."""

    def __init__(self, row: Int, value: Float, n: int) -> None:
        self.row = row
        self.lengths = np.bincount(row, minlength=n)
        self.value = value
        self.n = n
        self.size = np.abs(self.value)
        self.most, self.least = np.zeros(n), np.full(n, np.inf)
        first = np.cumsum(self.lengths) - self.lengths
        used = np.flatnonzero(self.lengths)
        if used.size:
            self.most[used] = np.maximum.reduceat(self.size, first[used])
            self.least[used] = np.minimum.reduceat(self.size, first[used])
        self.empty = self.most == 0
        self.most[self.empty] = self.least[self.empty] = 1.0
        self.probe = np.arange(self.row.size) - np.repeat(first, self.lengths) < PROBED

    def allow(self, times: Int, limit: int) -> None:
        """Allow entries up to ``times`` (entries,) the limit."""
        share = np.zeros(self.n)
        np.maximum.at(share, self.row, self.size / times)
        total = np.bincount(self.row, self.size, minlength=self.n) * limit / RING
        self.most = np.where(self.empty, self.most, np.minimum(self.most, np.maximum(share, total)))

    def errors(self, scales: Float) -> Float:
        """Return (n, k) sums of the squared rounding errors of each row at ``scales`` (n, k)."""
        errors = np.empty(scales.shape)
        ends = np.append(0, np.cumsum(self.lengths))
        _row_errors(self.value, scales, ends, errors)
        return errors

    def exact(self, limit: int, also: Float | None = None) -> Float:
        """Return (n,) the smallest scales that make entries, and ``also``, integers, else NaN.

        The smallest entry of a row becomes an integer too, so there are few scales to try.
        """
        scales = np.full(self.n, np.nan)
        for k in count(1):
            scale = k / self.least
            fits = np.isnan(scales) & ~self.empty & (scale * self.most <= limit + NEAR)
            if not fits.any():
                break
            if also is not None:
                fits &= _near(also * scale)
            fits &= self._all_near(self.probe, scale)
            if fits.any():
                fits &= self._all_near(fits[self.row], scale)
            scales = np.where(fits, scale, scales)
        return scales

    def _all_near(self, some: NDArray[np.bool_], scale: Float) -> NDArray[np.bool_]:
        row = self.row[some]
        broken = ~_near(self.size[some] * scale[row])
        good: NDArray[np.bool_] = np.bincount(row, broken, minlength=self.n) == 0
        return good


@in_c("row_errors", "ddqd*")
def _row_errors(value: Float, scales: Float, ends: Int, errors: Float) -> None:
    """Write ``errors`` (rows, k). Row i of ``value`` is ``value[ends[i]:ends[i + 1]]``."""
    row = np.repeat(np.arange(len(scales)), np.diff(ends))
    for k in range(scales.shape[1]):
        factor = scales[row, k]
        wrong = np.rint(value * factor) / factor - value
        errors[:, k] = np.bincount(row, wrong * wrong, minlength=len(scales))


def _near(value: Float) -> NDArray[np.bool_]:
    """Return True for values (0 or more) that are integers except for float32's rounding."""
    near: NDArray[np.bool_] = np.abs(value - np.rint(value)) <= NEAR * np.maximum(1.0, value)
    return near
