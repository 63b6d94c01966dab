"""A proportional leak as the constant one that the slow clock can give."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete

USUAL_MEMBRANE = 0.5  # of the threshold: where membranes are taken to be unless calibration says it


def leak_per_step(d: Discrete, membrane: float | None) -> Float:
    """(n,) volts per step that come closest to ``(1 - decay) v`` in the mean square over the
    membranes above 0.

    ``membrane``: their mean as measured, volts, None for half the threshold. Zero for a neuron
    without a leak.
    """
    assert d.threshold is not None
    typical = (
        USUAL_MEMBRANE * d.threshold if membrane is None else np.minimum(membrane, d.threshold)
    )
    leak: Float = (1 - d.decay_mem) * typical
    return leak
