"""Coefficients of one step of dt from physical parameters. An infinite time constant has its gain per step."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

# An integrate-and-fire gain below 1 / sqrt(dt) is nearer to 1 than to 1 / dt: the exporter means it per step.
PER_STEP_WITHOUT_DT = 100.0


def gain_is_per_step(r: Float, dt_s: float | None) -> bool:
    """Whether ``r`` of an integrator is added once per step (sinabs, snnTorch) or is per second (1 / dt).

    Exporters write r = 1 or r = 1 / dt for the same thing; the nearer of the two, on a logarithmic scale, decides.
    """
    typical = float(np.median(np.minimum(np.abs(r), 1e300)))  # the middle of two is their sum halved
    return typical < (PER_STEP_WITHOUT_DT if dt_s is None else dt_s**-0.5)


def euler(tau_s: Float, gain: Float, dt_s: float) -> tuple[Float, Float]:
    """(decay, gain) per step of ``tau x' = -x + gain * u`` by forward Euler; tau = inf: (1, gain)."""
    infinite = np.isinf(tau_s)
    rate = np.where(infinite, 0.0, dt_s / tau_s)
    return 1.0 - rate, np.where(infinite, gain, gain * rate)


def exponential(tau_s: Float, gain: Float, dt_s: float) -> tuple[Float, Float]:
    """(decay, gain) per step, exact for an input that is constant over the step; tau = inf: (1, gain)."""
    infinite = np.isinf(tau_s)
    decay = np.where(infinite, 1.0, np.exp(-dt_s / tau_s))
    return decay, np.where(infinite, gain, gain * -np.expm1(-dt_s / tau_s))
