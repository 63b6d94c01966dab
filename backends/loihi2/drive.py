"""The weights of one projection on the grid of the chip: exponents, signs and bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nirc.backends.loihi2.limits import WEIGHT_EXP
from nirc.backends.loihi2.rule import SignMode
from nirc.ir.arrays import Float
from nirc.ir.linear import Conv, Dense, Sparse, Weighted, weights_of
from nirc.rounding.rule import OWN_BITS

# Sums of the weights of either sign into each neuron, as magnitudes: all sources fire.
Sums = tuple[Float, Float]
LARGEST = 255  # mantissa of a weight. A mixed one is even, so 254
JUDGED = 1 << 14  # weights of a projection that its error is judged by
TINY = 1e-30  # instead of a division by zero
TOGETHER = 1 << 16  # weights that are added together (benchmarks/scale.py recurrent-8000)


@dataclass(frozen=True)
class Drive:
    """A projection into the population.

    ``value``: its weights in thresholds of their targets at gain 1, a kernel's weights each once.
    ``positive`` and ``negative`` (n,): the most that all sources together bring each neuron.
    ``even``: weights of one sign are even, too.
    """

    op: Weighted
    value: Float
    positive: Float
    negative: Float
    even: bool = False
    bits: int = OWN_BITS

    @property
    def coarse(self) -> int:
        """The grid of the weights, as a multiple of the one that the chip has."""
        return 1 << (OWN_BITS - self.bits)

    @property
    def shared(self) -> bool:
        """True for a kernel. There Lava knows no exponent and drops no bits."""
        return isinstance(self.op, Conv)

    @cached_property
    def mixed(self) -> bool:
        """True if weights of both signs, or the even ones of a kernel, are to be stored."""
        low, high = self._range
        both_signs = low < 0 < high
        return self.shared or self.even or both_signs

    @cached_property
    def _range(self) -> tuple[float, float]:
        return float(self.value.min(initial=0.0)), float(self.value.max(initial=0.0))

    @cached_property
    def largest(self) -> float:
        """Magnitude of the largest weight."""
        low, high = self._range
        return max(-low, high)

    @cached_property
    def judged(self) -> Float:
        """Weights that errors are judged by."""
        return self.value.ravel()[:: max(1, self.value.size // JUDGED)]

    def largest_k(self, exponent: int) -> float:
        """Return the largest ``k`` at which exponents up to ``exponent`` can store the weights."""
        if self.shared:
            exponent = 0
        top = _largest(mixed=self.mixed, coarse=self.coarse) * 2.0**exponent
        return top / max(self.largest, TINY)

    def step(self, k: float) -> float:
        """Return the grid of the weights in units."""
        if self.shared:
            return 2.0 * self.coarse
        return grid(self.largest * k, mixed=self.mixed, coarse=self.coarse) * self.coarse

    def rounded(self, k: float | Float, value: Float, *, floor: bool = False) -> Float:
        """Return ``value`` on that grid, each weight alone: to nearest, or towards zero.

        ``k`` may be a column of values.
        """
        if isinstance(k, np.ndarray):
            step: float | Float = np.array([[self.step(each)] for each in k.ravel().tolist()])
        else:
            step = self.step(k)
        exact = value * k / step
        integers = np.trunc(exact) if floor else np.rint(exact)
        return np.clip(integers, -self.top, self.top) * step

    @cached_property
    def top(self) -> float:
        """The largest weight that can be stored, in steps of its grid."""
        step = self.coarse * (2 if self.mixed else 1)
        return float(_largest(mixed=self.mixed, coarse=self.coarse) // step)

    def sums_of(self, value: Float) -> Sums:
        """Return the sums of ``value``, other weights of the same operator."""
        return _signed_sums(self.op, value, self.positive.size)


def magnitude(value: Float) -> float:
    """Return the largest magnitude. A copy of all magnitudes of a large matrix takes long."""
    return float(max(-value.min(initial=0.0), value.max(initial=0.0)))


def grid(largest: float, *, mixed: bool, coarse: int = 1) -> float:
    """Return the finest grid of the chip on which weights up to ``largest`` can be stored.

    ``coarse``: they are multiples of so many of its steps. The grid is 2^exponent with an
    exponent of at most 7. Mixed weights are even, so theirs is twice that.
    """
    exponent = -1 if mixed else 0
    top = _largest(mixed=mixed, coarse=coarse)
    while largest > top * 2.0**exponent * (1 + 1e-9) and exponent < WEIGHT_EXP[1]:
        exponent += 1
    return 2.0**exponent * (2 if mixed else 1)


def stored(value: Float) -> tuple[SignMode, int]:
    """Return sign mode and exponent of weights on the grid of ``plan.Drive``."""
    mixed = bool(value.min() < 0 < value.max())
    exponent = int(np.log2(grid(magnitude(value), mixed=mixed))) - mixed
    if mixed:
        return "mixed", exponent
    return "excitatory" if value.max() > 0 else "inhibitory", exponent


def _largest(*, mixed: bool, coarse: int) -> int:
    """Return the largest weight without an exponent that is a multiple of ``coarse`` steps."""
    step = coarse * (2 if mixed else 1)
    return LARGEST // step * step


def drive_of(op: Weighted, unit: Float) -> Drive:
    """Return ``op`` into neurons whose thresholds are ``unit`` (n,) volts."""
    if (unit == 1).all():  # large weights are not copied
        value = weights_of(op)
    elif isinstance(op, Dense):
        value = op.weight / unit[:, None]
    elif isinstance(op, Conv):
        value = op.weight / unit.reshape(op.shape_out[0], -1)[:, 0].reshape(-1, 1, 1, 1)
    else:
        value = op.value / unit[op.target]
    return Drive(op, value, *_signed_sums(op, value, unit.size))


def _signed_sums(op: Weighted, value: Float, n: int) -> Sums:
    """Return the sums of the positive and of the negative weights into each neuron, as magnitudes.

    Each block of rows of a matrix stays in the cache of the processor.
    """
    if not isinstance(op, Dense):
        above, below = (_sum(op, np.maximum(sign * value, 0), n) for sign in (1, -1))
        return above, below
    above, below = np.zeros(n), np.zeros(n)
    at_once = max(1, TOGETHER // max(1, op.n_in))
    for first in range(0, n, at_once):
        rows = slice(first, first + at_once)
        above[rows] = np.maximum(value[rows], 0).sum(axis=1)
        below[rows] = np.maximum(-value[rows], 0).sum(axis=1)
    return above, below


def _sum(op: Conv | Sparse, value: Float, n: int) -> Float:
    """Return the sum (n,) of the weights ``value`` of ``op`` into each neuron."""
    if isinstance(op, Conv):
        return np.repeat(value.sum(axis=(1, 2, 3)), op.shape_out[1] * op.shape_out[2])
    return np.bincount(op.target, value, minlength=n).astype(np.float64)


def scaled(drive: Drive, factor: Float) -> Drive:
    """Return the drive with the weights into each neuron times ``factor`` (n,).

    A kernel takes the least factor of a channel.
    """
    op = drive.op
    if isinstance(op, Conv):
        per_channel = factor.reshape(op.shape_out[0], -1).min(axis=1)
        factor = np.repeat(per_channel, factor.size // per_channel.size)
        value = drive.value * per_channel.reshape(-1, 1, 1, 1)
    else:
        value = drive.value * (factor[:, None] if isinstance(op, Dense) else factor[op.target])
    above, below = drive.positive * factor, drive.negative * factor
    return replace(drive, value=value, positive=above, negative=below)
