"""Time and resting energy on Speck. Energy per synaptic operation is not published.

Sources: "Speck: A Smart event-based Vision Sensor with a low latency 327K Neuron Convolutional
Neuronal Network Processing Pipeline" (3.36 us for an event through nine layers); "Spike-based
dynamic computing with asynchronous sensing-computing neuromorphic chip", Nat. Commun. 2024 (0.42 mW
at rest).
"""

from __future__ import annotations

from collections.abc import Iterator

from nirc.backends.speck.configuration import Configuration
from nirc.chip.backend import Mapped
from nirc.chip.estimate import Activity, Figure

LATENCY_S = 3.36e-6 / 9  # of an event in a layer
RESTING_W = 0.42e-3
SPECK = "abstract of the Speck paper; / 9 layers"
RESTING = "Nat. Commun. 2024, processor at rest only"


def estimate(mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterator[Figure]:
    """Way of an event through the layers, synaptic operations, and what the chip takes doing
    nothing.
    """
    chip: Configuration = mapped.chip
    yield Figure("latency of an event", LATENCY_S * len(chip.layers), "s", SPECK, "I")
    yield Figure(
        "synaptic operations per step",
        sum(activity.operations.values()),
        "operations",
        activity.how,
        "M",
    )
    if dt_s is not None:
        yield Figure("resting energy per step", RESTING_W * dt_s, "J", RESTING, "S")
