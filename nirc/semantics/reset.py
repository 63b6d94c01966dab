"""The three reset rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def reset(v: Float, spikes: Float, threshold: Float, v_reset: Float | None, rule: str) -> Float:
    """The membrane after spikes: ``model`` v := v_reset, ``zero`` v := 0, ``subtract`` v := v - n * threshold."""
    if rule == "subtract":
        return v - spikes * threshold
    target = np.zeros_like(threshold) if rule == "zero" or v_reset is None else v_reset
    return np.where(spikes > 0, target, v)
