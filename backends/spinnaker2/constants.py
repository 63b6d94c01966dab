"""Constant inputs: offsets of the membrane, and clocks, neurons that spike in every step from a
given one on.

The chip adds ``i_offset`` to the membrane from its first step on, the model once the population's
first input could be there, ``late`` steps later; a starting value of the membrane makes up for it.
Behind a synaptic filter a constant has to arrive as spikes: the whole part comes from a clock,
through the filter and in time; what is left, less than half a unit of weight, is added to the
membrane with its value in the steady state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float, Int

CLOCKS = 64  # of one step and target, at most
FAR = 1e30  # no starting value goes beyond


@dataclass(frozen=True)
class Clocked:
    """Whole weights (neurons,) that clocks of the step ``onset`` (of the model) bring together."""

    onset: int
    weight: Int


def whole_part(wanted: Float, limit: int) -> tuple[Int, Float]:
    """``wanted`` (n,) as whole numbers that ``CLOCKS`` weights of ``limit`` can bring, and what is
    left.
    """
    whole = np.clip(np.rint(wanted), -limit * CLOCKS, limit * CLOCKS).astype(np.int64)
    left = wanted - whole
    return whole, np.where(np.abs(left) < 1e-9 * np.maximum(1.0, np.abs(wanted)), 0.0, left)


def shares(weight: Int, limit: int) -> list[Int]:
    """``weight`` (n,) as a sum of arrays within ``limit``."""
    count = max(1, -(-int(np.abs(weight).max(initial=0)) // limit))
    sign, size = np.sign(weight), np.abs(weight)
    return [sign * np.clip(size - k * limit, 0, limit) for k in range(count)]


def start(offset: Float, alpha: Float, late: int) -> Float:
    """(n,) the membrane from which ``late`` steps of ``offset`` lead to 0; 0 where nothing is
    remembered anyway.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        leaking = (alpha ** -float(late) - 1) / (1 - alpha)
        steps = np.where(alpha == 1, float(late), leaking)
        value = -offset * steps
    return np.where((offset != 0) & (np.abs(value) < FAR), value, 0.0)
