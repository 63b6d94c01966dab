"""The *discrete* stage: coefficients per step, as ``ir.populations.Discrete`` defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.ir.populations import Discrete
from nirc.semantics.reset import fire

Float = NDArray[np.float64]


class DiscreteStepper:
    """State of one discrete population."""

    def __init__(self, d: Discrete, batch: int, n: int, rule: str) -> None:
        self.d, self.rule = d, rule
        self.v: Float = np.zeros((batch, n))
        self.i: Float = np.zeros((batch, n))
        self.i_2: Float = np.zeros((batch, n))

    def step(self, x: Float, second: Float | None = None) -> Float:
        """One step."""
        d = self.d
        if d.decay_syn is not None and d.gain_syn is not None:
            self.i = x = d.decay_syn * self.i + d.gain_syn * x
        if second is not None and d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            self.i_2 = d.decay_syn_2 * self.i_2 + d.gain_syn_2 * second
            x = x + self.i_2
        self.v = d.decay_mem * self.v + d.gain_mem * x + d.drift
        sent, self.v = fire(d, self.v, self.rule)
        return sent
