"""One population on its way to integers: units of a volt, exponents, weights, threshold and bias.

The unit is the threshold. The voltage unit of each neuron is chosen so that all neurons of a
population have the same ``vth``. The plan looks for ``k``, which is that number, or units per volt
for a readout. Everything that must stay in range bounds ``k`` from above. Among the largest values
the plan takes the one with the least rounding error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nirc.backends.loihi2 import rule
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
from nirc.backends.loihi2.neuron import START_ROOM, shifted, start_before
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, Weighted
from nirc.ir.populations import Discrete, Population

# Sums of the weights of either sign into each neuron, as magnitudes: all sources fire.
Sums = tuple[Float, Float]
UNIT = 1 << STATE_SHIFT
LARGEST = 254  # mantissa of a mixed weight, which is even
LARGEST_ONE_SIGN = 255
CANDIDATES = 48  # values of k that are tried, between the largest and half of it
JUDGED = 1 << 14  # weights of a projection that its error is judged by
SLOWEST_READ = 1024.0  # steps of full input that the readout of an integrator has room for
EXACT = 1e-18  # sum of squares, in thresholds, that float32 weights leave where nothing is rounded
REDUCED = 0.9  # of the range of u, at a threshold of one unit. Rounding may add some.
# The room of a membrane in u: steps of full one-signed input, and steps of its grid in its largest
# weight. The first that is possible is taken. Without any, the population resets to zero (?:
# choices. Real inputs fill u more slowly by far: in 12 steps of the digits networks to a twentieth
# where there is room for 32 steps. Measured there: a largest weight of 16 steps costs less than a
# reset to zero).
ROOMS = ((64.0, 64), (48.0, 64), (32.0, 64), (32.0, 16), (24.0, 16), (16.0, 16))
TOGETHER = 1 << 16  # errors of weights at all units that are tried
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
        top = (LARGEST if self.mixed else LARGEST_ONE_SIGN) * 2.0**exponent
        return top / max(self.largest, TINY)

    def step(self, k: float) -> float:
        """Return the grid of the weights in units."""
        return 2.0 if self.shared else grid(self.largest * k, mixed=self.mixed)

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
        return float(LARGEST // 2 if self.mixed else LARGEST_ONE_SIGN)

    def sums_of(self, value: Float) -> Sums:
        """Return the sums of ``value``, other weights of the same operator."""
        n = self.positive.size
        above, below = (_sum(self.op, np.maximum(sign * value, 0), n) for sign in (1, -1))
        return above, below


def grid(largest: float, *, mixed: bool) -> float:
    """Return the finest grid on which weights up to ``largest`` can be stored.

    It is 2^exponent with an exponent of at most 7. Mixed weights are even, so theirs is twice that.
    """
    top, exponent = (LARGEST, -1) if mixed else (LARGEST_ONE_SIGN, 0)
    while largest > top * 2.0**exponent * (1 + 1e-9) and exponent < WEIGHT_EXP[1]:
        exponent += 1
    return 2.0**exponent * (2 if mixed else 1)


class Plan:
    """A population with its drives. The chip starts ``latency_steps`` before the model.

    ``for_netx``: weights without positive exponents, and biases in their units, as network.net can
    hold them. ``self_inhibition``: the number of the operator by which neurons subtract their
    threshold (``soft_reset``). u is the membrane then, and may wrap around after ``steps`` steps in
    which all sources of one sign fire.
    """

    def __init__(
        self,
        population: Population[Discrete],
        ops: list[Weighted],
        latency_steps: int,
        *,
        for_netx: bool = False,
        self_inhibition: int | None = None,
    ) -> None:
        d = population.dynamics
        self.d = d
        self.n = population.n
        self.latency_steps = latency_steps
        self.for_netx = for_netx
        self.threshold, self.drift, self.start = shifted(d)
        self.fires = self.threshold is not None
        self.never_rests = np.zeros(self.n, np.bool_)
        self.unit = np.ones(self.n)  # volts
        if self.threshold is not None:
            self.never_rests = self.threshold <= 0
            self.unit = np.where(self.never_rests, 1.0, self.threshold)
        self.du, self.dv = self._decays()
        self.drift = self.drift * self._leak_gain()
        even = for_netx and len(ops) > 1  # netx has one number of bits for them all
        self.drives = [replace(_drive(op, self.unit), even=even) for op in ops]
        self.self_inhibition = self_inhibition
        self.steps = self._steps()

    def _decays(self) -> tuple[Int, Int]:
        syn = np.zeros(self.n) if self.d.decay_syn is None else self.d.decay_syn
        du = np.rint(rule.DECAY_UNITY * (1 - syn)).astype(np.int64) - 1
        dv = np.rint(rule.DECAY_UNITY * (1 - self.d.decay_mem)).astype(np.int64)
        return np.clip(du, *DU), np.clip(dv, 0, rule.DECAY_UNITY)

    def _leak_gain(self) -> Float:
        """Return the factor that keeps the resting voltage although the leak is rounded."""
        leak = 1 - self.d.decay_mem
        return np.where(leak > 0, self.dv / rule.DECAY_UNITY / np.where(leak > 0, leak, 1.0), 1.0)

    def _steps(self) -> float:
        """Return the steps of full input that u must have room for."""
        if self.self_inhibition is None:
            return np.inf
        return next((steps for steps, levels in ROOMS if self._keeps(levels, steps)), ROOMS[-1][0])

    @property
    def has_room(self) -> bool:
        """True if weights of a membrane in u keep enough bits."""
        return self._keeps(ROOMS[-1][1], self.steps)

    def _keeps(self, levels: int, steps: float) -> bool:
        """Return True if the largest weight is ``levels`` steps of its grid.

        u has room for ``steps`` steps of full input.
        """
        drives = [drive for i, drive in enumerate(self.drives) if i != self.self_inhibition]
        heaviest = max((drive.largest / drive.step(0.0) for drive in drives), default=0.0)
        return WRAP / UNIT * heaviest >= levels * float(self._reach(steps).max())

    def reach(self, k: float = 1.0, sums: Sequence[Sums] | None = None) -> Float:
        """Return the largest magnitude of u (n,) after ``steps`` of full input, in thresholds.

        ``sums`` are those of the drives, in other units of which ``k`` are a threshold.
        """
        return self._reach(self.steps, k, sums)

    def _reach(self, steps: float, k: float = 1.0, sums: Sequence[Sums] | None = None) -> Float:
        sums = [(drive.positive, drive.negative) for drive in self.drives] if sums is None else sums
        zeros = np.zeros(self.n)
        inhibition = zeros if self.self_inhibition is None else sums[self.self_inhibition][1]
        others = [each for i, each in enumerate(sums) if i != self.self_inhibition]
        positive = sum((above for above, _ in others), zeros)
        negative = sum((below for _, below in others), zeros)
        return rule.largest_state(
            positive, negative, self.du, steps, self_inhibition=inhibition, threshold=k
        )

    def reduce_weights(self) -> bool:
        """Reduce weights that would make u wrap around even with a threshold of one unit.

        Return True if there were any.
        """
        factor = np.minimum(1.0, REDUCED * WRAP / UNIT / np.maximum(self.reach(), TINY))
        if (factor == 1).all():
            return False
        self.drives = [replace(_scaled(drive, factor), even=drive.even) for drive in self.drives]
        return True

    def largest_k(self) -> float:
        """Return the largest ``k`` that everything but a readout's v allows."""
        weight_exp, bias_exp = WEIGHT_EXP[1], BIAS_EXP[1]
        if self.for_netx:
            weight_exp, bias_exp = 0, STATE_SHIFT
        bounds = [drive.largest_k(weight_exp) for drive in self.drives]
        bounds.append((WRAP / UNIT - 1) / max(float(self.reach().max()), TINY))
        drift = float(np.abs(self.drift / self.unit).max())
        bounds.append(BIAS_MANT[1] * 2.0**bias_exp / UNIT / max(drift, TINY))
        bounds.append(STATE[1] / UNIT / max(self._start_reach(), TINY))
        if self.fires:
            bounds.append(float(VTH[1]))
        return float(min(bounds))

    def _start_reach(self) -> float:
        """Return the largest magnitude of a start value, in thresholds, at most ``START_ROOM``."""
        if not self.fires:
            return 0.0
        start = start_before(self.d.decay_mem, self.drift, self.start, self.latency_steps)
        before = start / self.unit
        finite = np.abs(before[np.isfinite(before)])
        return min(START_ROOM, float(finite.max(initial=0.0)))

    def readout_reach(self) -> float:
        """Return the largest magnitude of a readout's v per volt under full input."""
        leak = np.maximum(self.dv / rule.DECAY_UNITY, 1 / SLOWEST_READ)
        return float(((self.reach() + np.abs(self.drift)) / leak).max())

    def error(self, k: float) -> float:
        """Return the sum of squares of the rounding of weights and bias, in thresholds."""
        return float(self.errors(np.array([k]))[0])

    def errors(self, ks: Float) -> Float:
        """Return ``error`` (ks,) at each of ``ks``."""
        widest = max((drive.judged.size for drive in self.drives), default=self.n)
        at_once = max(1, TOGETHER // max(1, widest, self.n))
        parts = [self._errors(ks[i : i + at_once, None]) for i in range(0, len(ks), at_once)]
        return np.concatenate(parts)

    def _errors(self, ks: Float) -> Float:
        """Return (ks,) for a column (ks, 1)."""
        total = np.zeros(len(ks))
        for drive in self.drives:
            exact = drive.judged
            if exact.size:
                total += ((drive.rounded(ks, exact) / ks - exact) ** 2).mean(axis=1)
        mant, exp = self.bias(ks * UNIT / self.unit)
        if self.fires:
            total += (np.rint(ks[:, 0]) / ks[:, 0] - 1) ** 2
        wrong = mant * 2.0**exp / (ks * UNIT) - self.drift / self.unit
        return np.asarray(total + (wrong**2).mean(axis=1))

    def bias(self, scale: Float) -> tuple[Int, Int]:
        """Return mantissas and exponents of the drift, at ``scale`` (n,) units of v a volt."""
        step = UNIT if self.for_netx else 1
        return split_bias(np.rint(self.drift * scale / step).astype(np.int64) * step)

    def grain_k(self, most: float) -> float | None:
        """Return the ``k`` at which the chip's states have the model's grain, if it is exact.

        The chip truncates a decayed state as the model does then, and every spike is equal. Return
        None if this ``k`` is above ``most`` or rounds anything else.
        """
        if self.d.grain is None or self.self_inhibition is not None:
            return None
        k = self.unit / (UNIT * self.d.grain)
        first = float(k[0])
        storable = first <= most and (not self.fires or first == np.rint(first))
        if not storable or (k != first).any() or self.error(first) > EXACT:
            return None
        return first

    def best_k(self, most: float) -> float:
        """Return the value with the least error, of some from half of ``most`` on.

        A threshold is an integer.
        """
        if self.self_inhibition is not None:
            storable = np.array(self._storable_ks(most))
            return float(storable[self.errors(storable).argmin()])
        tried = most * 2.0 ** -(np.arange(CANDIDATES) / CANDIDATES)
        if self.fires:
            tried = np.unique(np.maximum(np.floor(tried), 1))[::-1]
        return float(tried[self.errors(tried).argmin()])

    def storable_k(self, k: float) -> float:
        """Return the largest value up to ``k`` at which self-inhibition can be stored exactly.

        Return ``k`` if self-inhibition is too small. The error of self-inhibition adds up from
        spike to spike. An error of the threshold does not, so this value may be a fraction.
        """
        assert self.self_inhibition is not None
        drive = self.drives[self.self_inhibition]
        steps = np.floor(drive.largest * k / drive.step(k) * (1 + 1e-12))
        return float(steps * drive.step(k) / max(drive.largest, TINY)) or k

    def _storable_ks(self, most: float) -> list[float]:
        """Return all such values from ``most`` down to half of it.

        There are some 128, since self-inhibition has 8 bits.
        """
        assert self.self_inhibition is not None
        drive = self.drives[self.self_inhibition]
        ks = [self.storable_k(most)]
        while ks[-1] > most / 2 and len(ks) <= LARGEST_ONE_SIGN:
            ks.append(self.storable_k(ks[-1] - 0.5 * drive.step(ks[-1]) / drive.largest))
            if ks[-1] >= ks[-2]:
                break
        return ks


def _drive(op: Weighted, unit: Float) -> Drive:
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


def _scaled(drive: Drive, factor: Float) -> Drive:
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
    return Drive(op, value, drive.positive * factor, drive.negative * factor)


def split_bias(bias: Int) -> tuple[Int, Int]:
    """Return mantissa and least exponent of each. Clip magnitudes beyond an exponent of 7."""
    top = BIAS_MANT[1]
    exponent = np.zeros_like(bias)
    for _ in range(BIAS_EXP[1]):
        beyond = (np.rint(np.abs(bias) / 2.0**exponent) > top) & (exponent < BIAS_EXP[1])
        if not beyond.any():
            break
        exponent += beyond
    mantissa = np.clip(np.rint(bias / 2.0**exponent), -top, top).astype(np.int64)
    return mantissa, exponent
