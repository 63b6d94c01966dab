"""Time and energy of a step on SpiNNaker2.

The energy is that of synaptic operations only. Source: SENECA paper (Front. Neurosci. 2023), table
3, citing Hoeppner et al., "The SpiNNaker 2 Processing Element Architecture for Hybrid Digital
Neuromorphic Computing" (2021). Energy of updates, hops and idling is not published.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.limits import EVENTS_PER_S, PLANNED, RATE, TICK_S
from nirc.backends.spinnaker2.mapping import Tick
from nirc.backends.spinnaker2.slices import Split
from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure

if TYPE_CHECKING:
    from nirc.backends.spinnaker2.fit import Chip

STEP_S = 1e-4  # ticks are rounded up to such steps
OPERATION_J = 10e-12
SENECA = "SENECA paper 2023, table 3: synaptic operations only"


def events(parts: Split) -> NDArray[np.float64]:
    """Return (slices,) synaptic events of a step, with ``RATE`` spikes of each source neuron."""
    return np.bincount(parts.pair_target, RATE * parts.synapses, minlength=parts.count).astype(
        np.float64
    )


def tick(parts: Split, asked: float | None) -> Tick:
    """Return the system tick: ``asked``, or 1 ms, or more where a PE has too many events."""
    busy = events(parts) / (EVENTS_PER_S * PLANNED)
    need = float(busy.max(initial=0.0))
    worst = parts.names[parts.owner[int(busy.argmax())]]
    expected = f"{events(parts).max(initial=0.0):,.0f} events a step at {RATE:g} spikes a neuron"
    if asked is not None:
        reason = f"as asked; the busiest PE, of {worst}, has {expected}"
        return Tick(asked, reason, int((busy > asked).sum()))
    if need <= TICK_S:
        reason = f"users' scripts run at 1 ms; the busiest PE, of {worst}, has {expected}"
        return Tick(TICK_S, reason)
    planned = f"{EVENTS_PER_S * PLANNED:,.0f} a second are planned"
    seconds = round(STEP_S * math.ceil(need / STEP_S), 4)
    return Tick(seconds, f"the busiest PE, of {worst}, has {expected}; {planned}")


def estimate(mapped: Mapped, activity: Activity) -> Iterator[Figure]:
    """Yield the energy of synaptic operations, and the system tick of a run."""
    chip: Chip = mapped.chip
    time = chip.mapping.tick
    operations = sum(activity.operations.values()) + _operations_of_copies(chip, activity)
    yield Figure(
        "energy of synaptic operations per step", operations * OPERATION_J, "J", SENECA, "S"
    )
    yield Figure(
        "time per step", time.seconds, "s", f"system tick: {time.reason}", "I", is_step=True
    )


def _operations_of_copies(chip: Chip, activity: Activity) -> float:
    """Return the operations a step that copies of inputs add.

    Each copy spikes as the average channel of its input.
    """
    spikes = {chip.labels[name]: n for name, n in activity.spikes.items()}
    rates: dict[int, float] = {}  # by channel
    for port in chip.tables.inputs:
        if port.name in spikes:
            rates |= dict.fromkeys(port.channels.tolist(), spikes[port.name] / port.n)
    copies = {p.name: int(p.channels[0]) for p in chip.tables.inputs if p.name not in spikes}
    return sum(
        rates.get(copies[p.source], 0.0) * p.pre.size
        for p in chip.tables.projections
        if p.source in copies
    )
