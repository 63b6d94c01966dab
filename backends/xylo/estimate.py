"""Clock cycles of a time step on Xylo. Energy per cycle is not published, so there is no energy.

Source: synsense/rockpool, ``devices/xylo/syns61201/power_cycles_model.py`` and ``syns63300`` (read
for the rule).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nirc.backends.xylo.specification import Specification
from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure

SOURCE = "rockpool, power_cycles_model.py"
MARGIN = 1.2  # rockpool's default on top of the cycles


def cycles(spec: Specification, input_rate: float, hidden_rate: float) -> float:
    """Cycles of one step; rates in spikes per channel (neuron) and step.

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
    """Cycles, time at the full clock, and the slowest clock that keeps up with the model's time
    step.
    """
    spec: Specification = mapped.chip
    clock_hz = mapped.target.max("clock")
    inputs = sum(rate for name, rate in activity.spikes.items() if name not in activity.neurons)
    hidden = sum(rate for name, rate in activity.spikes.items() if name in activity.neurons)
    neurons = max(1, sum(activity.neurons.values()))
    needed = cycles(spec, inputs / max(1, spec.weights_in.shape[0]), hidden / neurons)
    yield Figure("cycles per step", needed, "cycles", SOURCE, "S")
    yield Figure(
        "time per step", needed / clock_hz, "s", f"{SOURCE}; clock {clock_hz / 1e6:g} MHz", "S"
    )
    if dt_s is not None:
        yield Figure(
            "slowest clock", MARGIN * needed / dt_s, "Hz", f"{SOURCE}; margin of 20 %", "S"
        )
