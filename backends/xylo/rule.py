"""The neuron of Xylo in integers: one step of synapse, membrane and spike generation, exactly.

Every function is pure, works element by element on integer arrays of any width from 32 bits, and
broadcasts its parameters, so neurons may lie along any axis. States are 16-bit values
(``limits.STATE``). Source: measured on xylosim 0.1.3 (``tests/xylo/test_oracle.py`` repeats it);
targets sheet, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.limits import STATE

IntArray = NDArray[np.signedinteger[Any]]
Ints = IntArray | int


def saturate(x: IntArray) -> IntArray:
    """``x`` clamped to the 16-bit range."""
    return np.clip(x, *STATE)


def leak(x: IntArray, dash: Ints) -> IntArray:
    """What ``x`` loses in a step: ``x >> dash`` (floor), but at least 1 while ``x`` is positive.

    The minimum is written as ``min(x, 1)``: for x <= 0 that is x itself, never more than x >> dash.
    """
    floored: IntArray = np.maximum(x >> dash, np.minimum(x, 1))
    return floored


def decay(x: IntArray, dash: Ints) -> IntArray:
    """``x`` after one step of decay.

    Dash 0 clears it; a negative ``x`` ends at 0 too (-1 >> k is -1).
    """
    return x - leak(x, dash)


def accumulate(isyn: IntArray, parts: Iterable[IntArray]) -> IntArray:
    """``isyn`` after adding ``parts`` one at a time, saturating after each: the order matters when
    it does.

    A part is one source's ``count * (weight << shift)``. (Adding it ``count`` times instead gives
    the same, because all those additions have one sign.)
    """
    for part in parts:
        isyn = saturate(isyn + part)
    return isyn


def synapse_step(isyn: IntArray, drive: IntArray, dash: Ints) -> IntArray:
    """One synaptic state after a step: input first, then decay.

    ``drive`` is the sum over all sources, added at once; that equals the chip unless a partial sum
    in the chip's order would leave the 16-bit range, for which there is ``accumulate``.
    """
    return decay(saturate(isyn + drive), dash)


def membrane_step(v: IntArray, current: IntArray, dash: Ints, bias: Ints) -> IntArray:
    """The membrane before spikes are generated. ``current``: the sum of the neuron's synaptic
    states.

    The leak is negated in 16 bits, so with v = -32768 and dash 0 it overflows to -32768 as in
    xylosim.
    """
    lost = -leak(v, dash).astype(np.int16)
    return saturate(v + saturate(saturate(current + lost) + bias))


def fire(v: IntArray, threshold: Ints, max_spikes: Ints) -> tuple[IntArray, IntArray]:
    """Spikes of a step and the membrane after them: ``v div threshold`` spikes, at most
    ``max_spikes``.

    Each spike takes the threshold away once. ``threshold`` must be at least 1.
    """
    spikes = np.zeros_like(v)
    # Few neurons reach their threshold and division is the slowest operation here: divide only
    # those.
    np.floor_divide(v, threshold, out=spikes, where=v >= threshold)
    spikes = np.minimum(spikes, max_spikes)
    return spikes, v - spikes * threshold
