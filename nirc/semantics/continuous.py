"""The *float* stage: NIR's equations by forward Euler, in the order that every exporter assumes.

Synaptic current, membrane, threshold (v > v_threshold), reset. Source: docs/reference/semantics.md; measured to
reproduce snnTorch's recorded spikes exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirc.analysis.step_gain import euler, exponential
from nirc.ir.populations import Continuous
from nirc.semantics.reset import reset

Float = NDArray[np.float64]


class EulerStepper:
    """Integrates ``tau v' = (v_leak - v) + r i`` and ``tau_syn i' = -i + w_in x``."""

    def __init__(self, d: Continuous, batch: int, n: int, dt_s: float | None, rule: str) -> None:
        self.d, self.rule = d, rule
        self.v: Float = np.zeros((batch, n))
        self.i: Float | None = None
        one = np.ones(n)
        r = one if d.r is None else d.r
        if d.kind == "Threshold":
            self.decay, self.gain = np.zeros(n), one
        elif d.tau_mem_s is None:
            self.decay, self.gain = one, r if d.per_step or dt_s is None else r * dt_s
        else:
            self.decay, self.gain = _step(d.tau_mem_s, r, dt_s or np.nan)
        self.leak = 0.0 if d.v_leak is None else np.where(self.decay == 1, 0.0, d.v_leak)
        if d.tau_syn_s is not None:
            self.i = np.zeros((batch, n))
            self.decay_syn, self.gain_syn = _step(d.tau_syn_s, one if d.w_in is None else d.w_in, dt_s or np.nan)

    def step(self, x: Float, second: Float | None = None) -> Float:
        """One step of dt."""
        if self.i is not None:
            self.i = x = self.decay_syn * self.i + self.gain_syn * x
        self.v = self.leak + self.decay * (self.v - self.leak) + self.gain * x
        if self.d.v_threshold is None:
            return self.v
        spikes = (self.v > self.d.v_threshold).astype(np.float64)
        self.v = reset(self.v, spikes, self.d.v_threshold, self.d.v_reset, self.rule)
        return spikes


def _step(tau_s: Float, gain: Float, dt_s: float) -> tuple[Float, Float]:
    """(decay, gain) by forward Euler, exact where tau is below dt: there Euler would swing to infinity.

    Such a tau gets here with ``--discretise exponential`` only (P303).
    """
    short = tau_s < dt_s * (1 - 1e-5)
    exact, usual = exponential(tau_s, gain, dt_s), euler(tau_s, gain, dt_s)
    return np.where(short, exact[0], usual[0]), np.where(short, exact[1], usual[1])
