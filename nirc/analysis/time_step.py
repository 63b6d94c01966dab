"""The time step, recovered from parameters, and the coefficients of one step.

NIR stores no time step, but exporters hide it in the parameters. A network trained with
``v = beta*v + x`` exports tau = dt / (1 - beta) and r = tau / dt, so dt = tau / r. CubaLIF also has
w_in = tau_syn / dt. A gain of 1 or less carries no information. Rockpool decays after adding and
exports r = tau / dt * exp(-dt / tau). Source: exporters of snnTorch, sinabs, Rockpool, as measured
on their files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float

SHORTEST_S = 1e-9  # quotients out of this range are no time steps
LONGEST_S = 100.0
AGREE = 1e-3  # relative, since files hold float32
MAX_STEPS = 1 << 24  # of a delay
# An integrate-and-fire gain below 1 / sqrt(dt) is nearer to 1 than to 1 / dt: the exporter means it
# per step.
PER_STEP_WITHOUT_DT = 100.0


@dataclass(frozen=True)
class Evidence:
    """The time step (seconds) that a pair of fields of one node implies."""

    where: str
    rule: str
    dt_s: float
    spread: float  # relative, within the population
    tau_s: float  # the shortest time constant of these neurons


def from_pair(where: str, rule: str, tau_s: Float | None, gain: Float | None) -> Evidence | None:
    """Return the evidence of ``tau / gain``, over the neurons with information."""
    if tau_s is None or gain is None:
        return None
    tau_s, gain = np.broadcast_arrays(tau_s, gain)
    informative = np.isfinite(tau_s) & np.isfinite(gain) & (gain > 1.0 + AGREE)
    if not informative.any():
        return None
    steps = tau_s[informative] / gain[informative]
    middle = float(np.median(steps))
    if not SHORTEST_S <= middle <= LONGEST_S:
        return None
    spread = float(np.ptp(steps)) / middle
    return Evidence(where, rule, middle, spread, float(tau_s[informative].min()))


def agreed(evidence: list[Evidence]) -> float | None:
    """Return the time step that all evidence agrees on, rounded to float32's precision, or None."""
    if not evidence:
        return None
    middle = float(np.median([e.dt_s for e in evidence]))
    if any(e.spread > AGREE or abs(e.dt_s / middle - 1) > AGREE for e in evidence):
        return None
    return rounded(middle)


def rounded(dt_s: float) -> float:
    """Return the shortest decimal within float32's error: 1e-4 for 9.99999975e-05."""
    for digits in range(1, 8):
        short = float(f"{dt_s:.{digits - 1}e}")
        if abs(short / dt_s - 1) < 2e-6:
            return short
    return dt_s


def steps_of_delay(delay_s: float, dt_s: float | None) -> int:
    """Return the steps of a delay: 0, or the nearest integer from 1 to MAX_STEPS."""
    if delay_s == 0 or dt_s is None:
        return 0
    return max(1, round(min(delay_s / dt_s, float(MAX_STEPS))))


def is_round(dt_s: float) -> bool:
    """Return True if ``dt_s`` has at most three significant digits, as chosen time steps have."""
    return abs(float(f"{dt_s:.2e}") / dt_s - 1) < 2e-6


def rockpool(tau_s: float, gain: float) -> float:
    """Return dt with gain = tau / dt * exp(-dt / tau), by Newton's method on u = dt / tau."""
    u = 1.0 / gain
    for _ in range(30):
        u -= (u * gain - np.exp(-u)) / (gain + np.exp(-u))
    return float(u * tau_s)


def gain_is_per_step(r: Float, dt_s: float | None) -> bool:
    """Return True if ``r`` of an integrator is added per step (sinabs, snnTorch), not per second.

    Exporters write r = 1 or r = 1 / dt for the same meaning. The nearer value on a logarithmic
    scale decides.
    """
    bounded = np.minimum(np.abs(r), 1e300)  # the median of two adds them: avoid an overflow
    typical = float(np.median(bounded))
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
