"""One population on its way to integers: how many units a volt is, exponents, weights, threshold
and bias.

All is reckoned in thresholds: a neuron's voltage unit is chosen so that all of a population have
the same ``vth``, and ``k``, that number (for a readout: units per volt), is what is sought.
Everything that must stay in range bounds ``k`` from above; among the largest values the one with
the least rounding error is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.dynamics import START_ROOM, shifted, start_before
from nirc.backends.loihi2.limits import (
    BIAS_EXP,
    BIAS_MANT,
    DU,
    STATE,
    STATE_SHIFT,
    VTH,
    WEIGHT_EXP,
    WRAP,
)
from nirc.backends.loihi2.ranges import largest_state
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, Weighted
from nirc.ir.populations import Discrete, Population
from nirc.rounding.rule import with_sums_kept

Sums = tuple[
    Float, Float
]  # what all sources bring each neuron by weights of either sign, as magnitudes
UNIT = 1 << STATE_SHIFT
LARGEST = 254  # mantissa of a mixed weight, which is even
LARGEST_ONE_SIGN = 255
CANDIDATES = 48  # values of k that are tried, between the largest and half of it
JUDGED = 1 << 14  # weights of a projection that its error is judged by
SLOWEST_READ = 1024.0  # steps of full input that an endless integrator's readout has room for
EXACT = 1e-18  # sum of squares, in thresholds, that float32 weights leave where nothing is rounded
READ_BITS = (
    64  # a readout's largest weight is at least so large, if need be at the expense of ``room``
)
LEAST_ROOM = 1 / 64
TAMED = 0.9  # of the range of u, at a threshold of one unit; rounding may add some
# What a membrane in u has: room for steps of full one-signed input, and steps of its grid in its
# largest weight. The first that can be had is taken; without any it is not worth having (?:
# choices. Real inputs fill u more slowly by far: in 12 steps of the digits networks to a twentieth
# where there is room for 32 steps. Measured there: a largest weight of 16 steps costs less than a
# reset to zero).
ROOMS = ((64.0, 64), (48.0, 64), (32.0, 64), (32.0, 16), (24.0, 16), (16.0, 16))
PAPER_K, PAPER_VTH, PAPER_DECAY = (
    256,
    131071,
    4095,
)  # the NIR paper's importer: section 4.1 of the targets sheet


@dataclass(frozen=True)
class Drive:
    """A projection into the population. ``value``: its weights (of a kernel: each once) in
    thresholds of their targets at gain 1; ``positive`` and ``negative`` (n,): what all sources
    together bring each neuron at most; ``even``: weights of one sign are to be even, too."""

    op: Weighted
    value: Float
    positive: Float
    negative: Float
    even: bool = False

    @property
    def shared(self) -> bool:
        """A kernel: Lava knows no exponent and drops no bits there."""
        return isinstance(self.op, Conv)

    @cached_property
    def mixed(self) -> bool:
        """Whether weights of both signs, or the even ones of a kernel, are to be stored."""
        return (
            self.shared
            or self.even
            or bool(self.value.size and self.value.min() < 0 < self.value.max())
        )

    @cached_property
    def largest(self) -> float:
        """Magnitude of the largest weight."""
        return float(np.abs(self.value).max(initial=0.0))

    @cached_property
    def some(self) -> Float:
        """Weights that errors are judged by."""
        return self.value.ravel()[:: max(1, self.value.size // JUDGED)]

    def most(self, exponent: int) -> float:
        """The largest ``k`` at which it can be stored with exponents up to ``exponent``."""
        top = (
            LARGEST
            if self.shared
            else (LARGEST if self.mixed else LARGEST_ONE_SIGN) * 2.0**exponent
        )
        return top / max(self.largest, 1e-30)

    def step(self, k: float) -> float:
        """The grid of its weights in units: 2^exponent, twice that if they are mixed, since those
        are even.
        """
        if self.shared:
            return 2.0
        return grid(self.largest * k, mixed=self.mixed)

    def rounded(self, k: float, value: Float | None = None, *, floor: bool = False) -> Float:
        """Weights on that grid, the sum of each neuron's kept; towards zero with ``floor``, one by
        one if given.
        """
        step, top = self.step(k), self.top
        if value is not None or floor:
            value = (self.value if value is None else value) * k / step
            return np.clip(np.trunc(value) if floor else np.rint(value), -top, top) * step
        return with_sums_kept(self.op, self.value * k / step, -top, top) * step

    @cached_property
    def top(self) -> float:
        """The largest weight that can be stored, in steps of its grid."""
        return float(LARGEST // 2 if self.mixed else LARGEST_ONE_SIGN)


def grid(largest: float, *, mixed: bool) -> float:
    """The least grid on which weights up to ``largest`` can be stored, with an exponent of at most
    7.
    """
    top, least = (LARGEST, -1) if mixed else (LARGEST_ONE_SIGN, 0)
    exponent = least
    while largest > top * 2.0**exponent * (1 + 1e-9) and exponent < WEIGHT_EXP[1]:
        exponent += 1
    return 2.0**exponent * (2 if mixed else 1)


class Plan:
    """A population with its drives; ``late``: steps by which the chip starts before its first.

    ``whole``: weights without positive exponents and biases in their units, as network.net can hold
    them. ``brake``: the operator by which neurons take away their threshold (``soft_reset``): u is
    the membrane, and may go round after ``steps`` steps in which all sources of one sign fire.
    """

    def __init__(
        self,
        population: Population[Discrete],
        ops: list[Weighted],
        late: int,
        *,
        whole: bool = False,
        brake: int | None = None,
    ) -> None:
        d = population.dynamics
        self.d, self.n, self.late, self.whole = d, population.n, late, whole
        self.fires = d.threshold is not None
        threshold, self.drift, self.start = shifted(d)
        self.never_rests = np.zeros(self.n, np.bool_) if threshold is None else threshold <= 0
        self.unit = (
            np.ones(self.n) if threshold is None else np.where(self.never_rests, 1.0, threshold)
        )
        self.threshold = threshold
        self.du, self.dv = self._decays()
        self.drift = self.drift * self._leak_gain()
        even = whole and len(ops) > 1  # netx has one number of bits for them all
        self.drives = [replace(_drive(op, self.unit), even=even) for op in ops]
        self.brake = brake
        self.steps = self._steps()

    def _decays(self) -> tuple[Int, Int]:
        syn = np.zeros(self.n) if self.d.decay_syn is None else self.d.decay_syn
        du = np.rint(rule.DECAY_UNITY * (1 - syn)).astype(np.int64) - 1
        dv = np.rint(rule.DECAY_UNITY * (1 - self.d.decay_mem)).astype(np.int64)
        return np.clip(du, *DU), np.clip(dv, 0, rule.DECAY_UNITY)

    def _leak_gain(self) -> Float:
        """What keeps the resting voltage where it is although the leak is rounded."""
        leak = 1 - self.d.decay_mem
        return np.where(leak > 0, self.dv / rule.DECAY_UNITY / np.where(leak > 0, leak, 1.0), 1.0)

    def _steps(self) -> float:
        """Steps of full input that u must have room for."""
        if self.brake is None:
            return np.inf
        return next((steps for steps, levels in ROOMS if self._keeps(levels, steps)), ROOMS[-1][0])

    @property
    def has_room(self) -> bool:
        """Whether weights of a membrane in u keep enough bits."""
        return self._keeps(ROOMS[-1][1], self.steps)

    def _keeps(self, levels: int, steps: float) -> bool:
        """Whether the largest weight is ``levels`` steps of its grid, with room for ``steps`` of
        full input.
        """
        drives = [drive for i, drive in enumerate(self.drives) if i != self.brake]
        heaviest = max((drive.largest / drive.step(0.0) for drive in drives), default=0.0)
        return WRAP / UNIT * heaviest >= levels * float(self._reach(steps).max())

    def reach(self, k: float = 1.0, sums: Sequence[Sums] | None = None) -> Float:
        """(n,) the largest magnitude of u, every source of one sign firing in each of ``steps``, in
        thresholds.

        ``sums``: what the drives bring, positive and negative, in other units of which ``k`` are a
        threshold.
        """
        return self._reach(self.steps, k, sums)

    def _reach(self, steps: float, k: float = 1.0, sums: Sequence[Sums] | None = None) -> Float:
        sums = [(drive.positive, drive.negative) for drive in self.drives] if sums is None else sums
        zeros = np.zeros(self.n)
        brake = zeros if self.brake is None else sums[self.brake][1]
        positive = sum((above for i, (above, _) in enumerate(sums) if i != self.brake), zeros)
        negative = sum((below for i, (_, below) in enumerate(sums) if i != self.brake), zeros)
        return largest_state(positive, negative, self.du, steps, brake=brake, threshold=k)

    def tame(self) -> bool:
        """Reduce weights that would make u go round even with a threshold of one unit; whether
        there were any.
        """
        factor = np.minimum(1.0, TAMED * WRAP / UNIT / np.maximum(self.reach(), 1e-30))
        if (factor == 1).all():
            return False
        self.drives = [replace(_scaled(drive, factor), even=drive.even) for drive in self.drives]
        return True

    def most(self) -> float:
        """The largest ``k`` that everything but a readout's v allows."""
        weight_exp, bias_exp = (0, STATE_SHIFT) if self.whole else (WEIGHT_EXP[1], BIAS_EXP[1])
        bounds = [drive.most(weight_exp) for drive in self.drives]
        bounds.append((WRAP / UNIT - 1) / max(float(self.reach().max()), 1e-30))
        drift = float(np.abs(self.drift / self.unit).max())
        bounds.append(BIAS_MANT[1] * 2.0**bias_exp / UNIT / max(drift, 1e-30))
        bounds.append(STATE[1] / UNIT / max(self._start_reach(), 1e-30))
        if self.fires:
            bounds.append(float(VTH[1]))
        return float(min(bounds))

    def _start_reach(self) -> float:
        """The largest magnitude of a start value, in thresholds; what is beyond ``START_ROOM`` is
        cut off.
        """
        if not self.fires:
            return 0.0
        before = start_before(self.d.decay_mem, self.drift, self.start, self.late) / self.unit
        finite = np.abs(before[np.isfinite(before)])
        return min(START_ROOM, float(finite.max(initial=0.0)))

    def readout_reach(self) -> float:
        """The largest magnitude of a readout's v per volt, all sources firing in every step."""
        leak = np.maximum(self.dv / rule.DECAY_UNITY, 1 / SLOWEST_READ)
        return float(((self.reach() + np.abs(self.drift)) / leak).max())

    def error(self, k: float) -> float:
        """Sum of squares of what rounding does to weights and bias, in thresholds."""
        total = 0.0
        for drive in self.drives:
            if not drive.value.size:
                continue
            some = drive.some
            total += float(((drive.rounded(k, some) / k - some) ** 2).mean())
        mant, exp = self.bias(k * UNIT / self.unit)
        total += (float(np.rint(k)) / k - 1) ** 2 if self.fires else 0.0
        return total + float(((mant * 2.0**exp / (k * UNIT) - self.drift / self.unit) ** 2).mean())

    def bias(self, scale: Float) -> tuple[Int, Int]:
        """Mantissas and exponents of the drift, at ``scale`` (n,) units of v a volt."""
        step = UNIT if self.whole else 1
        return split_bias(np.rint(self.drift * scale / step).astype(np.int64) * step)

    def of_the_model(self, most: float) -> float | None:
        """The ``k`` up to ``most`` at which the chip's states have the model's grain, if that
        rounds nothing else.

        The chip cuts what a decay leaves as the model does, so that every spike is equal.
        """
        if self.d.grain is None or self.brake is not None:
            return None
        k = self.unit / (UNIT * self.d.grain)
        first = float(k[0])
        storable = first <= most and (not self.fires or first == np.rint(first))
        if not storable or (k != first).any() or self.error(first) > EXACT:
            return None
        return first

    def best(self, most: float) -> float:
        """Of some values from half of ``most`` on the one with the least error; whole for a
        threshold.
        """
        if self.brake is not None:
            return min(self._braking_from(most), key=self.error)
        tried = most * 2.0 ** -(np.arange(CANDIDATES) / CANDIDATES)
        if self.fires:
            tried = np.unique(np.maximum(np.floor(tried), 1))[::-1]
        return min((float(k) for k in tried), key=self.error)

    def braking(self, k: float) -> float:
        """The largest value up to ``k`` at which the brake is a weight that can be stored; ``k`` if
        it is too small.

        What a spike leaves of the membrane adds up, an error of the threshold does not: so this
        need not be whole.
        """
        assert self.brake is not None
        drive = self.drives[self.brake]
        whole = np.floor(drive.largest * k / drive.step(k) * (1 + 1e-12))
        return float(whole * drive.step(k) / max(drive.largest, 1e-30)) or k

    def _braking_from(self, most: float) -> list[float]:
        """All such values from ``most`` down to half of it: 128 or so, since the brake has 8
        bits.
        """
        assert self.brake is not None
        found = [self.braking(most)]
        while found[-1] > most / 2 and len(found) <= LARGEST_ONE_SIGN:
            drive = self.drives[self.brake]
            found.append(self.braking(found[-1] - 0.5 * drive.step(found[-1]) / drive.largest))
            if found[-1] >= found[-2]:
                break
        return found


def _drive(op: Weighted, unit: Float) -> Drive:
    if isinstance(op, Dense):
        value = op.weight / unit[:, None]
        return Drive(op, value, np.maximum(value, 0).sum(axis=1), np.maximum(-value, 0).sum(axis=1))
    if isinstance(op, Conv):
        value = op.weight / unit.reshape(op.shape_out[0], -1)[:, 0].reshape(-1, 1, 1, 1)
        positions = op.shape_out[1] * op.shape_out[2]
        above, below = (np.maximum(sign * value, 0).sum(axis=(1, 2, 3)) for sign in (1, -1))
        return Drive(op, value, np.repeat(above, positions), np.repeat(below, positions))
    value = op.value / unit[op.target]
    n = unit.size
    positive, negative = (
        np.bincount(op.target, np.maximum(sign * value, 0), minlength=n) for sign in (1, -1)
    )
    return Drive(op, value, positive.astype(np.float64), negative.astype(np.float64))


def _scaled(drive: Drive, factor: Float) -> Drive:
    """The drive with the weights into each neuron times ``factor`` (n,); a kernel's by the least of
    a channel.
    """
    op = drive.op
    if isinstance(op, Conv):
        per_channel = factor.reshape(op.shape_out[0], -1).min(axis=1)
        factor = np.repeat(per_channel, factor.size // per_channel.size)
        value = drive.value * per_channel.reshape(-1, 1, 1, 1)
    else:
        value = drive.value * (factor[:, None] if isinstance(op, Dense) else factor[op.target])
    return Drive(op, value, drive.positive * factor, drive.negative * factor)


def split_bias(bias: Int) -> tuple[Int, Int]:
    """Mantissa and the least exponent for each; magnitudes beyond what 7 takes are cut off."""
    top = BIAS_MANT[1]
    exponent = np.zeros_like(bias)
    for _ in range(BIAS_EXP[1]):
        exponent += (np.rint(np.abs(bias) / 2.0**exponent) > top) & (exponent < BIAS_EXP[1])
    mantissa = np.clip(np.rint(bias / 2.0**exponent), -top, top).astype(np.int64)
    return mantissa, exponent
