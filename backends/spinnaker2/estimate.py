"""Energy and time of a step on SpiNNaker2.

Source: SENECA paper (Front. Neurosci. 2023), table 3, citing Hoeppner et al., "The SpiNNaker 2
Processing Element Architecture for Hybrid Digital Neuromorphic Computing" (2021). Energy of
updates, hops and idling is not published.
"""

from __future__ import annotations

from collections.abc import Iterator

from nirc.backends.spinnaker2.fit import Chip
from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure

OPERATION_J = 10e-12
SENECA = "SENECA paper 2023, table 3: synaptic operations only"


def estimate(mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterator[Figure]:
    """Energy of synaptic operations, and the system tick that the run will have."""
    chip: Chip = mapped.chip
    tick = chip.mapping.tick
    operations = sum(activity.operations.values()) + _of_copies(chip, activity)
    yield Figure(
        "energy of synaptic operations per step", operations * OPERATION_J, "J", SENECA, "S"
    )
    yield Figure("time per step", tick.seconds, "s", f"system tick: {tick.reason}", "I")


def _of_copies(chip: Chip, activity: Activity) -> float:
    """Operations a step that copies of inputs add: each copy spikes as the average channel of its
    input does.
    """
    tables, labels = chip.tables, chip.labels
    spikes = {labels[name]: n for name, n in activity.spikes.items()}
    rate = {p.name: spikes[p.name] / p.n for p in tables.inputs if p.name in spikes}
    played = {int(k): rate[p.name] for p in tables.inputs if p.name in rate for k in p.channels}
    copies = {p.name: p.channels for p in tables.inputs if p.name not in rate}
    return sum(
        played.get(int(copies[p.source][0]), 0.0) * p.pre.size
        for p in tables.projections
        if p.source in copies
    )
