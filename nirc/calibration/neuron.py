"""One step of a discrete population, forwards with what the way back needs, and backwards.

Backwards a spike has a slope, ``1 / (threshold (1 + SHARP |v - threshold| / threshold)^2)``, as training with surrogate
gradients uses it (Neftci et al., 2019); where neurons may fire several times a step it stays at its largest above the
threshold. The reset counts as given: its slope would only add noise (Zenke & Vogels, 2021).
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.semantics.reset import fire

SHARP = 2.0  # wide enough that silent neurons learn


class Forward:
    """State of one population; ``before``: the membrane before the reset. Arrays (..., n) of any batch shape."""

    def __init__(self, d: Discrete, shape: tuple[int, ...], rule: str) -> None:
        self.d, self.rule = d, rule
        self.v: Float = np.zeros(shape)
        self.i: Float = np.zeros(shape)
        self.i_2: Float = np.zeros(shape)
        self.before = self.v

    def step(self, x: Float, second: Float | None) -> Float:
        """Summed input of both receptors -> spikes, or the membrane of a population that is silent."""
        d = self.d
        if d.decay_syn is not None and d.gain_syn is not None:
            self.i = x = d.decay_syn * self.i + d.gain_syn * x
        if second is not None and d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            self.i_2 = d.decay_syn_2 * self.i_2 + d.gain_syn_2 * second
            x = x + self.i_2
        self.before = self.v = d.decay_mem * self.v + d.gain_mem * x + d.drift
        sent, self.v = fire(d, self.v, self.rule)
        return sent


class Backward:
    """The same population from the last step to the first."""

    def __init__(self, d: Discrete, rule: str) -> None:
        self.d, self.rule = d, rule
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
            far = np.maximum(-away, 0.0) if d.max_spikes > 1 else np.abs(away)
            kept = self.v if self.rule == "subtract" else self.v * (away <= 0)
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
