"""The weights of one projection on the grid of the chip: exponents, signs and bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nirc.backends.loihi2.limits import WEIGHT_EXP
from nirc.ir.arrays import Float
from nirc.ir.linear import Conv, Dense, Weighted
from nirc.rounding.rule import OWN_BITS

# Sums of the weights of either sign into each neuron, as magnitudes: all sources fire.
Sums = tuple[Float, Float]
LARGEST = 254  # mantissa of a mixed weight, which is even
LARGEST_ONE_SIGN = 255
JUDGED = 1 << 14  # weights of a projection that its error is judged by
TINY = 1e-30  # instead of a division by zero


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
        both_signs = bool(self.value.size and self.value.min() < 0 < self.value.max())
        return self.shared or self.even or both_signs

    @cached_property
    def largest(self) -> float:
        """Magnitude of the largest weight."""
        return float(np.abs(self.value).max(initial=0.0))

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
        n = self.positive.size
        above, below = (_sum(self.op, np.maximum(sign * value, 0), n) for sign in (1, -1))
        return above, below


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


def _largest(*, mixed: bool, coarse: int) -> int:
    """Return the largest weight without an exponent that is a multiple of ``coarse`` steps."""
    step = coarse * (2 if mixed else 1)
    return (LARGEST if mixed else LARGEST_ONE_SIGN) // step * step


def drive_of(op: Weighted, unit: Float) -> Drive:
    """Return ``op`` into neurons whose thresholds are ``unit`` (n,) volts."""
    if isinstance(op, Dense):
        value = op.weight / unit[:, None]
    elif isinstance(op, Conv):
        value = op.weight / unit.reshape(op.shape_out[0], -1)[:, 0].reshape(-1, 1, 1, 1)
    else:
        value = op.value / unit[op.target]
    above, below = (_sum(op, np.maximum(sign * value, 0), unit.size) for sign in (1, -1))
    return Drive(op, value, above, below)


def _sum(op: Weighted, value: Float, n: int) -> Float:
    """Return the sum (n,) of the weights ``value`` of ``op`` into each neuron."""
    if isinstance(op, Dense):
        return np.asarray(value.sum(axis=1))
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
