"""Coefficients of one step of dt. An infinite time constant has its gain per step."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

# An integrate-and-fire gain below 1 / sqrt(dt) is nearer to 1 than to 1 / dt: the exporter means it
# per step.
PER_STEP_WITHOUT_DT = 100.0


def gain_is_per_step(r: Float, dt_s: float | None) -> bool:
    """Return True if ``r`` of an integrator is added per step (sinabs, snnTorch), not per second.

    Exporters write r = 1 or r = 1 / dt for the same meaning. The nearer value on a logarithmic
    scale decides.
    """
    typical = float(
        np.median(np.minimum(np.abs(r), 1e300))
    )  # the median of two adds them: avoid an overflow
    return typical < (PER_STEP_WITHOUT_DT if dt_s is None else dt_s**-0.5)


def euler(tau_s: Float, gain: Float, dt_s: float) -> tuple[Float, Float]:
    """Return (decay, gain) per step of ``tau x' = -x + gain * u``, (1, gain) for tau = inf."""
    infinite = np.isinf(tau_s)
    rate = np.where(infinite, 0.0, dt_s / tau_s)
    return 1.0 - rate, np.where(infinite, gain, gain * rate)


def exponential(tau_s: Float, gain: Float, dt_s: float) -> tuple[Float, Float]:
    """Return (decay, gain) per step, exact for constant input, (1, gain) for tau = inf."""
    infinite = np.isinf(tau_s)
    decay = np.where(infinite, 1.0, np.exp(-dt_s / tau_s))
    return decay, np.where(infinite, gain, gain * -np.expm1(-dt_s / tau_s))
