"""Clock cycles of a time step. Energy per cycle is not published, so there is no energy.

Source: synsense/rockpool, ``devices/xylo/syns61201/power_cycles_model.py`` and ``syns63300`` (read
for the rule), restated in the cost-models sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nirc.backends.xylo.config import Specification
from nirc.backends.xylo.findings import ClockTooSlow
from nirc.backends.xylo.limits import FIRST, LAST
from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure
from nirc.chip.target import Target
from nirc.diagnostics.log import Log

SOURCE = "rockpool, power_cycles_model.py"
MARGIN = 1.2  # rockpool's default on top of the cycles


def cycles(spec: Specification, input_rate: float, hidden_rate: float) -> float:
    """Return the cycles of one step. Rates are in spikes per channel (neuron) and step.

    Aliases add up to 3 cycles each.
    """
    n_in, n_hidden, _ = spec.weights_in.shape
    n_out = spec.weights_out.shape[1]
    recurrent = spec.weights_rec.any(axis=2).sum(axis=1)
    mean_fan_out = float(recurrent[recurrent > 0].mean()) if recurrent.any() else 0.0
    reached = int(np.count_nonzero(spec.weights_in.any(axis=(0, 2))))
    leaving = int(np.count_nonzero(spec.weights_out.any(axis=1)))
    aliases = 4 * hidden_rate * int(np.count_nonzero(spec.aliases >= 0))
    return float(
        n_in * (1 + 3.5 * input_rate * reached)
        + n_hidden * (3 + 7 * mean_fan_out * hidden_rate)
        + leaving * hidden_rate * (1 + 8 * n_out)
        + n_hidden * (19 + 3 * hidden_rate)
        + 12 * n_out
        + aliases
    )


def estimate(mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterator[Figure]:
    """Yield cycles, time at the full clock, and the slowest clock that keeps up with dt."""
    spec: Specification = mapped.chip
    clock_hz = mapped.target.max("clock")
    inputs = sum(rate for name, rate in activity.spikes.items() if name not in activity.neurons)
    hidden = sum(rate for name, rate in activity.spikes.items() if name in activity.neurons)
    neurons = max(1, sum(activity.neurons.values()))
    needed = cycles(spec, inputs / max(1, spec.weights_in.shape[0]), hidden / neurons)
    yield Figure("cycles per step", needed, "cycles", SOURCE, "S")
    yield Figure(
        "time per step",
        needed / clock_hz,
        "s",
        f"{SOURCE}; clock {clock_hz / 1e6:g} MHz",
        "S",
        is_step=True,
    )
    if dt_s is not None:
        yield Figure(
            "slowest clock", MARGIN * needed / dt_s, "Hz", f"{SOURCE}; margin of 20 %", "S"
        )


def worst_case(chip: Specification, target: Target) -> int:
    """Return the cycles of a step in which every input and every neuron is active."""
    n_in, n_hidden = chip.weights_in.shape[:2]
    n_out = chip.weights_out.shape[1]
    reached = min(n_hidden, target.max(FIRST))
    read = min(n_hidden, target.max(LAST))
    entries = int(np.count_nonzero(chip.weights_rec.any(axis=2)))
    inputs = n_in * (1 + 3.5 * reached)
    total: float = inputs + 25 * n_hidden + 7 * entries + read * (1 + 8 * n_out) + 12 * n_out
    return math.ceil(total)


def report_slow_clock(chip: Specification, target: Target, dt_s: float | None, log: Log) -> None:
    """Report X511 if a worst-case step is longer than dt. It matters in real time only."""
    if dt_s is None:
        return
    needed = worst_case(chip, target)
    clock_hz = target.max("clock")
    if needed > clock_hz * dt_s:
        log.add(ClockTooSlow(dt_s=dt_s, cycles=needed, clock_hz=clock_hz))
