"""One step of a discrete population, forwards (with a record for the backward step) and backwards.

Backwards a spike has the slope ``1 / (threshold (1 + SHARP |v - threshold| / threshold)^2)``, as in
training with surrogate gradients (Neftci et al., 2019). If neurons may fire several times a step,
the slope stays at its maximum above the threshold. The reset counts as a constant, since its slope
would only add noise (Zenke & Vogels, 2021).
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import Fire
from nirc.semantics.neuron import NeuronStepper

SHARP = 2.0  # wide enough that silent neurons learn


class Forward(NeuronStepper):
    """A population over a batch. ``before`` (..., n): the membrane at the last comparison."""

    def __init__(self, d: Discrete, shape: tuple[int, ...]) -> None:
        super().__init__(d, shape)
        self.before: Float = self.v

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Map the input of both receptors to spikes, or to the membrane without spikes."""
        sent = super().step(x, second)
        if not self.d.fires:
            self.before = self.v
        return sent

    def fire(self, op: Fire) -> None:
        """Keep the membrane that the comparison sees."""
        self.before = self.v
        super().fire(op)


class Backward:
    """The population from the last step to the first. A delayed reset counts as immediate."""

    def __init__(self, d: Discrete) -> None:
        self.d = d
        self.sets = d.rule.reset == "set"
        self.several = d.rule.fires is not None and d.rule.fires.most != 1
        self.v: Float | float = 0.0
        self.i: Float | float = 0.0
        self.i_2: Float | float = 0.0

    def step(self, slope: Float, before: Float) -> tuple[Float, Float, Float]:
        """Return the slopes by the input of both receptors, and by the drift.

        ``slope``: by the signal. ``before``: membrane before the reset.
        """
        d = self.d
        if d.threshold is None:
            into = self.v + slope
        else:
            away = (before - d.threshold) / d.threshold
            far = np.maximum(-away, 0.0) if self.several else np.abs(away)
            kept = self.v * (away <= 0) if self.sets else self.v
            into = kept + slope / (d.threshold * (1.0 + SHARP * far) ** 2)
        self.v = into * d.decay_mem
        first = second = into * d.gain_mem
        if d.decay_syn is not None and d.gain_syn is not None:
            total = self.i + first
            self.i = total * d.decay_syn
            first = total * d.gain_syn
        if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            total = self.i_2 + second
            self.i_2 = total * d.decay_syn_2
            second = total * d.gain_syn_2
        return first, second, into
