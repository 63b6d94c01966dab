"""One step of a discrete population, forwards with what the way back needs, and backwards.

Backwards a spike has a slope, ``1 / (threshold (1 + SHARP |v - threshold| / threshold)^2)``, as training with surrogate
gradients uses it (Neftci et al., 2019); where neurons may fire several times a step it stays at its largest above the
threshold. The reset counts as given: its slope would only add noise (Zenke & Vogels, 2021).
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import Fire
from nirc.semantics.neuron import NeuronStepper

SHARP = 2.0  # wide enough that silent neurons learn


class Forward(NeuronStepper):
    """One population over a batch. ``before``: the membrane that the last comparison saw, (..., n)."""

    def __init__(self, d: Discrete, shape: tuple[int, ...]) -> None:
        super().__init__(d, shape)
        self.before: Float = self.v

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Summed input of both receptors -> spikes, or the membrane of a population that is silent."""
        sent = super().step(x, second)
        if not self.d.fires:
            self.before = self.v
        return sent

    def fire(self, op: Fire) -> None:
        """Keep what the comparison sees."""
        self.before = self.v
        super().fire(op)


class Backward:
    """The same population from the last step to the first. A reset that is late counts as one at once."""

    def __init__(self, d: Discrete) -> None:
        self.d = d
        self.sets = d.rule.reset == "set"
        self.several = d.rule.fires is not None and d.rule.fires.most != 1
        self.v: Float | float = 0.0
        self.i: Float | float = 0.0
        self.i_2: Float | float = 0.0

    def step(self, slope: Float, before: Float) -> tuple[Float, Float, Float]:
        """Slope by the signal, membrane before the reset -> slopes by the input of both receptors, and by the drift."""
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
            self.i, first = total * d.decay_syn, total * d.gain_syn
        if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            total = self.i_2 + second
            self.i_2, second = total * d.decay_syn_2, total * d.gain_syn_2
        return first, second, into
