"""Distances in time between two spike trains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TAU_STEPS = 10.0  # spikes nearer to each other than about this count as partly the same


def van_rossum(a: Array, b: Array, tau_steps: float = TAU_STEPS) -> NDArray[np.float64]:
    """(samples, neurons): distance of the trains ``a`` and ``b`` (samples, steps, neurons), spike
    counts.

    0 for equal trains; a spike too many or too few is 1 / sqrt 2, one that is far from its place 1.
    Each train is filtered by exp(-t / tau) and the difference integrated, beyond the last step too.
    Source: M. C. W. van Rossum, "A novel spike distance", Neural Computation 13 (2001), in steps
    instead of seconds.
    """
    keep = np.exp(-1.0 / tau_steps)
    trace = np.zeros((a.shape[0], a.shape[2]))
    total = np.zeros_like(trace)
    for step in range(a.shape[1]):
        trace = keep * trace + (a[:, step].astype(np.float64) - b[:, step])
        total += trace**2
    total += trace**2 * keep**2 / (1 - keep**2)
    distance: NDArray[np.float64] = np.sqrt(total * (1 - keep**2) / 2)
    return distance
