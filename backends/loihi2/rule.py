"""The arithmetic of Lava's fixed-point models in integers: neuron step, weights, synaptic sums.

Every function is pure. It works element by element on integer arrays of any batch shape and
broadcasts parameters. Lava holds u and v in 32-bit words and checks nothing. So sums here wrap
around at 32 bits as they do there. A network that gets so far has left the chip's 24 bits long
before. Source: lava-nc 0.10.0, ``proc/lif/models.py``, ``proc/dense/models.py``,
``utils/weightutils.py``. See also the targets sheet, section 2.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.limits import STATE, STATE_SHIFT, WRAP
from nirc.ir.arrays import Float

IntArray = NDArray[np.signedinteger[Any]]
Int32 = NDArray[np.int32]
Ints = IntArray | int
SignMode = Literal["mixed", "excitatory", "inhibitory"]
SIGN_MODES: tuple[SignMode, ...] = ("mixed", "excitatory", "inhibitory")

DECAY_UNITY = 4096
WEIGHT_LIMIT = 1 << 8


def decay(x: IntArray, loss: Ints) -> Int32:
    """Return ``x * (4096 - loss) / 4096``, towards zero. ``loss`` is 0 to 4096."""
    # float64 holds the factor and the product (32 + 13 bits) exactly. The cast drops the fraction.
    kept: Int32 = (x * ((DECAY_UNITY - np.asarray(loss)) / DECAY_UNITY)).astype(np.int32)
    return kept


def current_step(u: IntArray, arrived: IntArray, du: Ints) -> Int32:
    """Return u after a step: decay by du + 1, add ``arrived << 6``, wrap around at 24 bits.

    As in Lava, +2^23 itself stays, and u wraps around once only.
    """
    total = decay(u, np.asarray(du) + 1) + (arrived.astype(np.int32) << STATE_SHIFT)
    raised = np.where(total <= -WRAP, total + 2 * WRAP, total)
    return np.where(total > WRAP, total - 2 * WRAP, raised)


def membrane_step(v: IntArray, u: Int32, bias: Int32, dv: Ints) -> Int32:
    """Return v before the threshold: decay by dv, add u and ``bias``, saturate at 24 bits."""
    saturated: Int32 = np.clip(decay(v, dv) + u + bias, *STATE)
    return saturated


def fire(v: Int32, vth: Ints) -> tuple[NDArray[np.bool_], Int32]:
    """Return the spikes, v strictly above ``vth << 6``, and v after the reset to 0."""
    spikes = v > np.asarray(vth) << STATE_SHIFT
    return spikes, v * ~spikes


def effective_bias(mantissa: IntArray, exponent: IntArray) -> Int32:
    """Return the constant that each step adds to v: ``mantissa << exponent``, exponent from 0."""
    return (mantissa.astype(np.int32) << exponent.astype(np.int32)).astype(np.int32)


def effective_weights(weights: IntArray, sign_mode: SignMode, bits: int) -> Int32:
    """Return ``weights`` as a synapse stores them: clipped by sign mode, the low bits dropped.

    Excitatory: 0..255. Inhibitory: -255..0. The wrong sign becomes 0. Mixed: -256..255. The
    magnitude loses 8 - ``bits`` bits. A mixed weight loses one more and is rounded down. So mixed
    weights of 8 bits are even.
    """
    w = weights.astype(np.int32)
    if sign_mode == "mixed":
        np.clip(w, -WEIGHT_LIMIT, WEIGHT_LIMIT - 1, out=w)
        w &= -1 << (9 - bits)
        return w
    sign = -1 if sign_mode == "inhibitory" else 1
    return sign * (np.clip(sign * w, 0, WEIGHT_LIMIT - 1) & (-1 << (8 - bits)))


def scaled(total: IntArray, exponent: int) -> IntArray:
    """Return a projection's sum of one delay times 2^``exponent``, rounded down."""
    return total << exponent if exponent > 0 else total >> -exponent


def largest_state(
    positive: Float,
    negative: Float,
    du: Ints,
    steps: float,
    *,
    self_inhibition: Float | float = 0.0,
    threshold: float = 0.0,
) -> Float:
    """Return the largest magnitude of u if ``positive`` or ``negative`` arrives in each step.

    In the worst case every source of one sign fires in every step, ``steps`` times. u then rises to
    the sum of the weights times the sum of a decaying unit. Rounding towards zero only makes u
    smaller.

    ``self_inhibition`` is what a neuron with u above ``threshold`` subtracts from its own u. Let d
    be the decay, w the self-inhibition and p the input. Below the threshold u reaches at most
    d theta + p. Each step above the threshold adds p - w, if that is positive, to what the decay
    leaves. Below zero self-inhibition adds only what it subtracts in excess of the threshold. All
    arrays are (n,), magnitudes in one unit.
    """
    kept = 1 - (du + 1) / DECAY_UNITY
    held = steps_held(du, steps)
    surplus = np.maximum(positive - self_inhibition, 0)
    above = np.minimum(positive * held, kept * threshold + positive + surplus * held)
    excess = np.where(self_inhibition > 0, np.maximum(self_inhibition - kept * threshold, 0), 0)
    highest = np.where(self_inhibition > 0, above, positive * held)
    largest: Float = np.maximum(highest, negative * held + excess)
    return largest


def steps_held(du: Ints, steps: float) -> Float:
    """Return how many steps of input u holds after ``steps``: the sum of a decaying unit.

    Where the unit decays within ``steps``, return the sum of all steps.
    """
    total = DECAY_UNITY / (np.asarray(du) + 1.0)
    return np.where(total <= steps, total, total * (1 - (1 - 1 / total) ** steps))
