"""The system tick: long enough for the busiest processing element (PE), as far as that can be
told.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.limits import EVENTS_PER_S, PLANNED, RATE, TICK_S
from nirc.backends.spinnaker2.mapping import Tick
from nirc.backends.spinnaker2.split import Split

STEP_S = 1e-4  # ticks are rounded up to such steps


def events(parts: Split) -> NDArray[np.float64]:
    """(slices,) synaptic events of a step to be expected: ``RATE`` spikes of each source neuron."""
    return np.bincount(parts.pair_target, RATE * parts.synapses, minlength=parts.count).astype(
        np.float64
    )


def tick(parts: Split, asked: float | None) -> Tick:
    """``asked``, or the usual 1 ms, or more where a PE has more events than it can be planned to
    take.
    """
    busy = events(parts) / (EVENTS_PER_S * PLANNED)
    need = float(busy.max(initial=0.0))
    worst = parts.names[parts.owner[int(busy.argmax())]]
    expected = f"{events(parts).max(initial=0.0):,.0f} events a step at {RATE:g} spikes a neuron"
    if asked is not None:
        return Tick(
            asked,
            f"as asked; the busiest PE, of {worst}, has {expected}",
            int((busy > asked).sum()),
        )
    if need <= TICK_S:
        return Tick(
            TICK_S, f"users' scripts run at 1 ms; the busiest PE, of {worst}, has {expected}"
        )
    seconds = round(STEP_S * math.ceil(need / STEP_S), 4)
    return Tick(
        seconds,
        f"the busiest PE, of {worst}, has {expected}; {EVENTS_PER_S * PLANNED:,.0f} a second are "
        "planned",
    )
