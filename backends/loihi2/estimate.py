"""Energy of a time step on Loihi 2, in events of its predecessor: none of Loihi 2's own are
published.

Sources: SLAM-Lab/SANA-FE, ``arch/loihi.yaml``, which has its figures from Davies et al., "Loihi: A
Neuromorphic Manycore Processor with On-Chip Learning" (2018); static power from the outputs of
lava-dl's PilotNet notebooks (Oheo Gulch). Intel claims up to ten times faster processing, without a
figure for an operation: no factor is applied.
"""

from __future__ import annotations

from collections.abc import Iterator

from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure

OPERATION_J, ACCESS_J, UPDATE_J = (
    35.5e-12,
    51.2e-12,
    21.6e-12,
)  # a synaptic operation; a neuron, each step
SPIKE_J, MESSAGE_J = 69.3e-12, 111.0e-12
ACCESS_S, UPDATE_S = 6.0e-9, 3.7e-9
BARRIER_S = 1.8e-6  # of 29 tiles, the most that is published
STATIC_W = 0.232  # of a chip, the lower of the two measured
STAND_IN = "Loihi 1 as a stand-in: SANA-FE, after Davies et al. 2018"
NOTEBOOKS = "lava-dl, PilotNet notebooks, Oheo Gulch"


def estimate(mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterator[Figure]:
    """Dynamic energy without the ways between cores, static power, and the least time that neurons
    and barrier take.
    """
    neurons, spikes = sum(activity.neurons.values()), sum(activity.spikes.values())
    dynamic = sum(activity.operations.values()) * OPERATION_J + neurons * (ACCESS_J + UPDATE_J)
    dynamic += spikes * (SPIKE_J + MESSAGE_J)
    busiest, _ = mapped.utilisation["neurons of a core"]
    chips, _ = mapped.utilisation["chips"]
    yield Figure("dynamic energy per step", dynamic, "J", STAND_IN, "I")
    yield Figure("static power", STATIC_W * chips, "W", NOTEBOOKS, "S")
    yield Figure(
        "least time per step", busiest * (ACCESS_S + UPDATE_S) + BARRIER_S, "s", STAND_IN, "I"
    )
