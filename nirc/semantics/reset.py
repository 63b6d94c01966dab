"""Firing, and the three reset rules."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete


def fire(d: Discrete, v: Float, rule: str) -> tuple[Float, Float]:
    """What a population with membrane ``v`` (..., n) sends, and the membrane after it: a silent one sends ``v``."""
    if d.threshold is None:
        return v, v
    spikes = (v > d.threshold).astype(np.float64)
    if d.max_spikes > 1:
        spikes *= np.clip(np.ceil(v / d.threshold) - 1, 1, d.max_spikes)
    return spikes, reset(v, spikes, d.threshold, d.v_reset, rule)


def reset(v: Float, spikes: Float, threshold: Float, v_reset: Float | None, rule: str) -> Float:
    """The membrane after spikes: ``model`` v := v_reset, ``zero`` v := 0, ``subtract`` v := v - n * threshold."""
    if rule == "subtract":
        return v - spikes * threshold
    target = np.zeros_like(threshold) if rule == "zero" or v_reset is None else v_reset
    return np.where(spikes > 0, target, v)
