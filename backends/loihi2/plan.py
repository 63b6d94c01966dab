"""One population on its way to integers: units of a volt, exponents, weights, threshold and bias.

The unit is the threshold. The voltage unit of each neuron is chosen so that all neurons of a
population have the same ``vth``. The plan looks for ``k``, which is that number, or units per volt
for a readout. Everything that must stay in range bounds ``k`` from above. Among the largest values
the plan takes the one with the least rounding error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.drive import LARGEST, TINY, Sums, drive_of, scaled
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
from nirc.ir.linear import Weighted
from nirc.ir.populations import Discrete, Population
from nirc.rounding.rule import OWN_BITS

T = TypeVar("T")

UNIT = 1 << STATE_SHIFT
CANDIDATES = 48  # values of k that are tried, between the largest and half of it
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
        bits: int = OWN_BITS,
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
        drive = {
            id(op): replace(drive_of(op, self.unit), even=even, bits=bits) for op in distinct(ops)
        }
        self.drives = [drive[id(op)] for op in ops]  # projections may share an operator
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
        drives = distinct(d for i, d in enumerate(self.drives) if i != self.self_inhibition)
        steps_of = (drive.largest * drive.coarse / drive.step(0.0) for drive in drives)
        heaviest = max(steps_of, default=0.0)
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
        reduced = {id(drive): scaled(drive, factor) for drive in distinct(self.drives)}
        self.drives = [reduced[id(drive)] for drive in self.drives]
        return True

    def largest_k(self) -> float:
        """Return the largest ``k`` that everything but a readout's v allows."""
        weight_exp, bias_exp = WEIGHT_EXP[1], BIAS_EXP[1]
        if self.for_netx:
            weight_exp, bias_exp = 0, STATE_SHIFT
        bounds = [drive.largest_k(weight_exp) for drive in distinct(self.drives)]
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
        lost = {
            id(drive): ((drive.rounded(ks, drive.judged) / ks - drive.judged) ** 2).mean(axis=1)
            for drive in distinct(self.drives)
            if drive.judged.size
        }
        for drive in self.drives:
            if drive.judged.size:
                total += lost[id(drive)]
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
        while ks[-1] > most / 2 and len(ks) <= LARGEST:
            ks.append(self.storable_k(ks[-1] - 0.5 * drive.step(ks[-1]) / drive.largest))
            if ks[-1] >= ks[-2]:
                break
        return ks


def distinct(objects: Iterable[T]) -> list[T]:
    """Return the objects, each once: many projections may share an operator, and its drive."""
    return [*{id(each): each for each in objects}.values()]


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
