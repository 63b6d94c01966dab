"""Decays as bit shifts: the dash whose time constant is nearest, and the gains that keep the DC
response.

The chip multiplies by ``1 - 2**-dash`` each step; a synapse decays after its input is added, so one
unit of weight delivers ``2**dash - 1`` in all, and one unit of input lifts the membrane by
``2**dash`` in the end. Source: targets sheet, sections 2 and 5 (measured on xylosim).
"""

from __future__ import annotations

import numpy as np

from nirc.backends.xylo.limits import DASH
from nirc.ir.arrays import Float, Int

INTEGRATOR = DASH[1]  # the slowest decay: loses one unit a step
FASTEST = 1e-6  # decay for which a state without memory is taken
ALIKE = 1e-6  # decays that are nearer to each other are taken to be so far apart


def nearest_dash(decay: Float, *, least: int) -> Int:
    """(n,) decay per step in [0, 1] -> dash with the nearest time constant on a logarithmic scale.

    ``least``: 0 for membranes; 1 for synapses, whose dash 0 would let no input arrive. A decay of 1
    is an integrator.
    """
    with np.errstate(divide="ignore"):
        exact = -np.log2(np.maximum(1.0 - decay, 0.0))
    return np.clip(np.rint(np.minimum(exact, INTEGRATOR)), least, INTEGRATOR).astype(np.int64)


def synapse_gain(decay: Float | None, gain: Float | None, dash: Int) -> Float:
    """Chip weight per model weight so that one spike delivers the same charge; without a synapse,
    its weight.
    """
    chip = np.exp2(dash.astype(np.float64)) - 1.0
    if decay is None or gain is None:
        return 1.0 / chip
    return charge(decay, gain) / chip


def charge(decay: Float, gain: Float) -> Float:
    """What one unit of input delivers in all; of an endless integrator, what the slowest dash
    delivers.
    """
    return gain / np.maximum(1.0 - decay, 2.0**-INTEGRATOR)


def membrane_gain(decay: Float, gain: Float, dash: Int) -> Float:
    """Chip input per model input: the same step response, but never a larger one than the model's
    first step.

    A slower chip membrane needs less input for the same steady state. A faster one would need more;
    it gets the model's own gain, because hidden neurons fire several times a step and what is too
    much feeds back (measured: JapaneseVowels .59 instead of .22 accuracy).
    """
    steady = gain / np.maximum(1.0 - decay, 2.0**-INTEGRATOR) / 2.0**dash
    return np.where(decay >= 1.0, gain, np.minimum(np.abs(steady), np.abs(gain)) * np.sign(gain))


def peak_gain(
    decay_syn: Float, decay_mem: Float, gain: Float, dash_syn: Int, dash_mem: Int
) -> Float:
    """Chip input per model input: one spike lifts the membrane as high as in the model.

    For models that fire as the chip does, at the threshold and with subtraction. Where no dash is
    near a decay, the height of one spike says more of how often they fire than the response to a
    constant input. Measured by benchmarks/vendor_xylo.py: count error .09 instead of .22, agreement
    .95 instead of .93.
    """
    syn, mem = (1.0 - np.exp2(-dash.astype(np.float64)) for dash in (dash_syn, dash_mem))
    return gain * _peak(decay_syn, decay_mem) / _peak(syn, mem)


def _peak(decay_syn: Float, decay_mem: Float) -> Float:
    """(n,) the highest membrane after one unit of charge: the sum of two geometric series at its
    largest step.
    """
    a, b = (np.clip(decay, FASTEST, 1 - 2.0**-INTEGRATOR) for decay in (decay_syn, decay_mem))
    b = np.where(np.abs(a - b) < ALIKE, a * (1 - ALIKE), b)
    longest = np.log(np.log(b) / np.log(a)) / np.log(
        a / b
    )  # steps, the first included, as a real number
    steps = (np.maximum(np.floor(longest), 1), np.ceil(longest))
    first, second = ((a**n - b**n) / (a - b) for n in steps)
    highest: Float = (1 - a) * np.maximum(first, second)
    return highest


def kept_by_rounding(dash: Int, largest: Float) -> Float:
    """(n,) units by which a state loses too little in a step, in the mean over its values from 0 to
    ``largest``.

    Rounding down keeps half a unit in the mean, above 0 and below it; but a state above 0 loses 1
    at least, which is too much below ``2**dash``. Exact for whole ``largest``; see ``rule.leak``.
    """
    step = np.exp2(dash.astype(np.float64))
    below = np.minimum(step - 1, largest)
    lost = below - below * (below + 1) / (2 * step)
    kept = np.maximum(largest + 1 - step, 0) * (step - 1) / (2 * step)
    result: Float = (kept - lost) / (largest + 1)
    return result
