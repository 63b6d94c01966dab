"""How large is a weight on the chip? Each neuron, or each channel of a convolution, has a scale of
its own.

Thresholds, offsets and decays are floating-point numbers of each neuron, so a scale costs nothing
but the rounding of the neuron's own weights: the smallest scale that makes them all whole, else the
one that rounds best.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.limits import RING
from nirc.ir.arrays import Float, Int

WHOLE = 2e-5  # distance from a whole number that float32 weights and gains leave
PROBED = 8  # entries of a row that decide whether a whole scale is looked for
TRIED = np.linspace(
    0.75, 1.0, 26
)  # shares of the largest scale, of which the one with the least error is taken


def row_scales(
    row: Int,
    value: Float,
    n: int,
    limit: int,
    constant: Float | None = None,
    times: Int | None = None,
) -> Float:
    """(n,) the factor for the entries of each row: all of them stay within ``limit`` once rounded;
    1 for empty rows.

    ``constant`` (n,): of each row, to be whole as well if that can be had; it may be above
    ``limit``. ``times`` (entries,): how many times ``limit`` each entry may be, as long as those of
    a row together stay within ``RING``.
    """
    if constant is not None:
        alone = np.setdiff1d(np.flatnonzero(constant), row)  # rows that are empty otherwise
        row, value = np.concatenate([row, alone]), np.concatenate([value, constant[alone]])
        times = None if times is None else np.concatenate([times, np.ones(alone.size, np.int64)])
    rows = _Rows(row, value, n)
    if times is not None:
        rows.allow(times, limit)
    best, error = limit / rows.most, rows.error(limit / rows.most)
    for share in TRIED:
        scale = share * limit / rows.most
        found = rows.error(scale)
        best, error = np.where(found < error, scale, best), np.minimum(found, error)
    whole = rows.whole(limit)
    if constant is not None:
        both = rows.whole(limit, np.abs(constant))
        whole = np.where(np.isnan(both), whole, both)
    return np.where(rows.empty, 1.0, np.where(np.isnan(whole), best, whole))


class _Rows:
    """Entries sorted by row."""

    def __init__(self, row: Int, value: Float, n: int) -> None:
        self.order = np.argsort(row, kind="stable")
        self.row, self.value, self.n, self.times = row[self.order], value[self.order], n, 1
        self.size = np.abs(self.value)
        self.most, self.least = np.zeros(n), np.full(n, np.inf)
        np.maximum.at(self.most, self.row, self.size)
        np.minimum.at(self.least, self.row, self.size)
        self.empty = self.most == 0
        self.most[self.empty] = self.least[self.empty] = 1.0
        self.probe = np.arange(self.row.size) - np.searchsorted(self.row, self.row) < PROBED

    def allow(self, times: Int, limit: int) -> None:
        """Entries up to ``times`` (entries,) the limit, in the order in which they were given."""
        share = np.zeros(self.n)
        np.maximum.at(share, self.row, self.size / times[self.order])
        total = np.bincount(self.row, self.size, minlength=self.n) * limit / RING
        self.most = np.where(self.empty, self.most, np.minimum(self.most, np.maximum(share, total)))
        self.times = int(times.max(initial=1))

    def error(self, scale: Float) -> Float:
        """(n,) sum of the squared errors that rounding leaves in each row."""
        factor = scale[self.row]
        wrong = (np.rint(self.value * factor) / factor - self.value) ** 2
        total: Float = np.bincount(self.row, wrong, minlength=self.n).astype(np.float64)
        return total

    def whole(self, limit: int, also: Float | None = None) -> Float:
        """(n,) the smallest scale with which all entries of a row, and ``also``, are whole; NaN if
        there is none.

        The smallest entry becomes some whole number, so only its multiples have to be tried.
        """
        found = np.full(self.n, np.nan)
        for k in range(1, limit * self.times + 1):
            scale = k / self.least
            fits = np.isnan(found) & ~self.empty & (scale * self.most <= limit + WHOLE)
            if not fits.any():
                break
            if also is not None:
                fits &= _near(also * scale)
            fits &= self._all_near(self.probe, scale)
            if fits.any():
                fits &= self._all_near(fits[self.row], scale)
            found = np.where(fits, scale, found)
        return found

    def _all_near(self, some: NDArray[np.bool_], scale: Float) -> NDArray[np.bool_]:
        row = self.row[some]
        broken = ~_near(self.size[some] * scale[row])
        good: NDArray[np.bool_] = np.bincount(row, broken, minlength=self.n) == 0
        return good


def _near(value: Float) -> NDArray[np.bool_]:
    """Which of these (0 or more) are whole numbers, but for float32's rounding."""
    near: NDArray[np.bool_] = np.abs(value - np.rint(value)) <= WHOLE * np.maximum(1.0, value)
    return near
