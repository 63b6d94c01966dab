"""The arithmetic of Lava's fixed-point models in integers: neuron step, weights, synaptic sums;
exactly.

Every function is pure and works element by element on integer arrays of any batch shape,
broadcasting parameters. Lava holds u and v in 32-bit words and checks nothing; so sums here go
round at 32 bits as they do there, though a network that gets so far has long left the chip's 24
bits. Source: lava-nc 0.10.0, ``proc/lif/models.py``, ``proc/dense/models.py``,
``utils/weightutils.py``; targets sheet, section 2.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.limits import STATE, STATE_SHIFT, WRAP

IntArray = NDArray[np.signedinteger[Any]]
Int32 = NDArray[np.int32]
Ints = IntArray | int
SignMode = Literal["mixed", "excitatory", "inhibitory"]
SIGN_MODES: tuple[SignMode, ...] = ("mixed", "excitatory", "inhibitory")

DECAY_UNITY = 4096
WEIGHT_LIMIT = 1 << 8


def decay(x: IntArray, loss: Ints) -> Int32:
    """``x * (4096 - loss) / 4096``, towards zero; ``loss`` 0 to 4096, ``x`` of at most 32 bits."""
    # float64 holds the product exactly (32 + 13 bits) and the factor, too; the cast drops what is
    # behind the point.
    kept: Int32 = (x * ((DECAY_UNITY - np.asarray(loss)) / DECAY_UNITY)).astype(np.int32)
    return kept


def current_step(u: IntArray, arrived: IntArray, du: Ints) -> Int32:
    """u after a step in which ``arrived`` came in: decay by du + 1, add ``arrived << 6``, go round
    at 24 bits.

    +2^23 itself stays, and only one turn is taken back, as in Lava.
    """
    total = decay(u, np.asarray(du) + 1) + (arrived.astype(np.int32) << STATE_SHIFT)
    return np.where(
        total > WRAP, total - 2 * WRAP, np.where(total <= -WRAP, total + 2 * WRAP, total)
    )


def membrane_step(v: IntArray, u: Int32, bias: Int32, dv: Ints) -> Int32:
    """v before the threshold: decay by dv, add u and ``bias``, saturate at 24 bits."""
    saturated: Int32 = np.clip(decay(v, dv) + u + bias, *STATE)
    return saturated


def fire(v: Int32, vth: Ints) -> tuple[NDArray[np.bool_], Int32]:
    """Who spikes, v strictly above ``vth << 6``, and v after the reset to 0."""
    spikes = v > np.asarray(vth) << STATE_SHIFT
    return spikes, v * ~spikes


def effective_bias(mantissa: IntArray, exponent: IntArray) -> Int32:
    """The constant added to v in each step: ``mantissa << exponent``, exponent from 0."""
    return (mantissa.astype(np.int32) << exponent.astype(np.int32)).astype(np.int32)


def effective_weights(weights: IntArray, sign_mode: SignMode, bits: int) -> Int32:
    """What the synapse stores of ``weights``: clipped by sign mode, the low bits dropped.

    Excitatory 0..255, inhibitory -255..0 (the wrong sign becomes 0), mixed -256..255. Dropped are 8
    - ``bits`` bits of the magnitude; of a mixed weight one more, rounding down: at 8 bits mixed
    weights are even.
    """
    w = weights.astype(np.int32)
    if sign_mode == "mixed":
        return _drop(np.clip(w, -WEIGHT_LIMIT, WEIGHT_LIMIT - 1), 9 - bits)
    sign = -1 if sign_mode == "inhibitory" else 1
    return sign * _drop(np.clip(sign * w, 0, WEIGHT_LIMIT - 1), 8 - bits)


def scaled(total: IntArray, exponent: int) -> IntArray:
    """A connection's sum times 2^``exponent``, rounding down.

    One sum for each delay is scaled alone.
    """
    return total << exponent if exponent > 0 else total >> -exponent


def _drop(w: Int32, bits: int) -> Int32:
    return (w >> bits) << bits
