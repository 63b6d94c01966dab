"""The neuron of Xylo in integers: its rule, its decays as bit shifts, and a population as payload.

The functions of the rule are pure. They work element by element on integer arrays of 32 bits or
more and broadcast their parameters, so neurons may lie along any axis. States are 16-bit values
(``limits.STATE``). Source: measured on xylosim 0.1.3 (``tests/xylo/test_oracle.py`` repeats it),
targets sheet, sections 2 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.limits import DASH, STATE
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Projection
from nirc.ir.rules import Fire, Rule, parse
from nirc.native.saturated import Fans, add

IntArray = NDArray[np.signedinteger[Any]]
Ints = IntArray | int

HIDDEN = parse("add x->i, decay i, decay v, add i->v, fire >= 31, subtract, emit")
READ = Rule(HIDDEN.operations[:4])

INTEGRATOR = DASH[1]  # the slowest decay: loses one unit a step
FASTEST = 1e-6  # decay for which a state without memory is taken
ALIKE = 1e-6  # decays that are nearer to each other are taken to be so far apart


# --- one step: synapse, membrane, spikes ---


def saturate(x: IntArray) -> IntArray:
    """Clip ``x`` to 16 bits."""
    return np.clip(x, *STATE)


def leak(x: IntArray, dash: Ints) -> IntArray:
    """Return the loss of ``x`` in a step: ``x >> dash`` (floor), at least 1 if ``x`` is above 0.

    The minimum is written as ``min(x, 1)``: for x <= 0 that is x itself, never more than x >> dash.
    """
    floored: IntArray = np.maximum(x >> dash, np.minimum(x, 1))
    return floored


def decay(x: IntArray, dash: Ints) -> IntArray:
    """Return ``x`` after one step of decay.

    Dash 0 clears ``x``. A negative ``x`` ends at 0 too, since -1 >> k is -1.
    """
    return x - leak(x, dash)


def accumulate(isyn: IntArray, parts: Iterable[IntArray]) -> IntArray:
    """Add ``parts`` to ``isyn`` one at a time, and saturate after each: then the order matters.

    A part is one source's ``count * (weight << shift)``. All ``count`` additions of one source have
    one sign, so one addition gives the same.
    """
    for part in parts:
        isyn = saturate(isyn + part)
    return isyn


def membrane_step(v: IntArray, current: IntArray, dash: Ints, bias: Ints) -> IntArray:
    """Return the membrane before spikes are generated.

    ``current``: the sum of the neuron's synaptic states. The leak is negated in 16 bits, so with
    v = -32768 and dash 0 it overflows to -32768 as in xylosim.
    """
    lost = -leak(v, dash).astype(np.int16)
    return saturate(v + saturate(saturate(current + lost) + bias))


def fire(v: IntArray, threshold: Ints, max_spikes: Ints) -> tuple[IntArray, IntArray]:
    """Return the spikes of a step and the membrane after them.

    A neuron fires ``v div threshold`` times, at most ``max_spikes`` times. Each spike subtracts the
    threshold once. ``threshold`` must be at least 1.
    """
    spikes = np.zeros_like(v)
    # Division is the slowest operation here, and few neurons reach their threshold.
    np.floor_divide(v, threshold, out=spikes, where=v >= threshold)
    spikes = np.minimum(spikes, max_spikes)
    return spikes, v - spikes * threshold


# --- decays as bit shifts (dashes), and the gains that keep the DC response ---
#
# The chip multiplies by ``1 - 2**-dash`` in each step. A synapse decays after its input is added,
# so one unit of weight delivers ``2**dash - 1`` in all. One unit of input lifts the membrane by
# ``2**dash`` in the end.


def chip_decay(dash: Int) -> Float:
    """Return the decay per step of a dash, without the rounding of states."""
    return 1.0 - np.exp2(-dash.astype(np.float64))


def nearest_dash(decay: Float, *, least: int) -> Int:
    """Return (n,) the dash whose time constant is nearest to that of ``decay`` on a log scale.

    ``least``: 0 for membranes, 1 for synapses, whose dash 0 would let no input arrive. A decay of 1
    is an integrator.
    """
    with np.errstate(divide="ignore"):
        exact = -np.log2(np.maximum(1.0 - decay, 0.0))
    return np.clip(np.rint(np.minimum(exact, INTEGRATOR)), least, INTEGRATOR).astype(np.int64)


def synapse_dash(decay: Float | None, n: int) -> Int:
    """Return (n,) the dash of a synapse with ``decay``, the shortest one without a synapse."""
    return nearest_dash(np.zeros(n) if decay is None else decay, least=1)


def synapse_gain(decay: Float | None, gain: Float | None, dash: Int) -> Float:
    """Return the chip's weight per model weight for which a spike delivers the same charge.

    Without a synapse, the charge is the weight.
    """
    return charge(decay, gain, dash.size) / (np.exp2(dash.astype(np.float64)) - 1.0)


def chip_synapse(decay: Float | None, gain: Float | None, n: int) -> tuple[Float, Float]:
    """Return decay and gain per step of the chip's synapse, without the rounding of states.

    The chip decays after adding: of a weight w, w * decay arrives in the first step.
    """
    dash = synapse_dash(decay, n)
    kept = chip_decay(dash)
    return frozen(kept), frozen(synapse_gain(decay, gain, dash) * kept)


def charge(decay: Float | None, gain: Float | None, n: int) -> Float:
    """Return (n,) the charge that one unit of input delivers in all, 1 without a synapse.

    An endless integrator delivers as much as the slowest dash.
    """
    if decay is None or gain is None:
        return np.ones(n)
    return gain / np.maximum(1.0 - decay, 2.0**-INTEGRATOR)


def membrane_gain(decay: Float, gain: Float, dash: Int) -> Float:
    """Return the chip's input per model input that keeps the step response.

    A slower chip membrane needs less input for the same steady state. A faster one would need more.
    It gets the model's gain: hidden neurons fire several times a step, and an excess feeds back
    (measured: JapaneseVowels .59 instead of .22 accuracy).
    """
    steady = gain / np.maximum(1.0 - decay, 2.0**-INTEGRATOR) / 2.0**dash
    return np.where(decay >= 1.0, gain, np.minimum(np.abs(steady), np.abs(gain)) * np.sign(gain))


def peak_gain(
    decay_syn: Float, decay_mem: Float, gain: Float, dash_syn: Int, dash_mem: Int
) -> Float:
    """Return the chip's input per model input that keeps the height of one spike.

    For models that fire as the chip does, at the threshold and with subtraction. Where no dash is
    near a decay, the height of one spike predicts the spike count better than the response to a
    constant input. Measured by benchmarks/vendor_xylo.py: count error .09 instead of .22, agreement
    .95 instead of .93.
    """
    return gain * _peak(decay_syn, decay_mem) / _peak(chip_decay(dash_syn), chip_decay(dash_mem))


def _peak(decay_syn: Float, decay_mem: Float) -> Float:
    """Return (n,) the highest membrane after one unit of charge.

    The membrane is a sum of two geometric series.
    """
    a, b = (np.clip(decay, FASTEST, 1 - 2.0**-INTEGRATOR) for decay in (decay_syn, decay_mem))
    b = np.where(np.abs(a - b) < ALIKE, a * (1 - ALIKE), b)
    # The step of the maximum as a real number, the first step included.
    longest = np.log(np.log(b) / np.log(a)) / np.log(a / b)
    steps = (np.maximum(np.floor(longest), 1), np.ceil(longest))
    first, second = ((a**n - b**n) / (a - b) for n in steps)
    highest: Float = (1 - a) * np.maximum(first, second)
    return highest


def kept_by_rounding(dash: Int, largest: Float) -> Float:
    """Return (n,) the mean of the units that rounding keeps from decaying in a step.

    The mean is over values from 0 to ``largest``. Rounding down keeps half a unit in the mean,
    above 0 and below it. But a state above 0 loses at least 1, which is too much below ``2**dash``.
    Exact for integer ``largest``. See ``leak``.
    """
    step = np.exp2(dash.astype(np.float64))
    below = np.minimum(step - 1, largest)
    lost = below - below * (below + 1) / (2 * step)
    kept = np.maximum(largest + 1 - step, 0) * (step - 1) / (2 * step)
    result: Float = (kept - lost) / (largest + 1)
    return result


# --- a population ---


@dataclass(frozen=True)
class XyloNeuron:
    """Parameters of a population in the chip's units, each (n,) int64. The interpreter runs it.

    ``scale``: chip units per volt of the model, (n,). ``max_spikes``: 31 for hidden neurons, 1 for
    outputs. ``shift_in``, ``shift_rec``: bit shift of weights from inputs and from hidden neurons,
    which the weights of projections include. ``start``: both synaptic states and the membrane as
    the model's first step begins. The chip's first step comes before, and begins from 0.
    """

    dash_mem: Int
    dash_syn: Int
    threshold: Int
    bias: Int
    scale: Float
    max_spikes: int
    shift_in: int
    shift_rec: int
    dash_syn_2: Int | None = None  # of the second synapse, if it is used
    silent: bool = False  # a non-spiking output: its membrane is read
    start: tuple[Int, Int, Int] | None = None

    def stepper(self, batch: int) -> XyloStepper:
        """Return fresh states for ``batch`` samples."""
        return XyloStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """Return the same neuron in chip units without the rounding of its states."""
        second = None if self.dash_syn_2 is None else chip_decay(self.dash_syn_2)
        return Discrete(
            decay_mem=chip_decay(self.dash_mem),
            gain_mem=np.ones(self.threshold.size),
            drift=self.bias.astype(np.float64),
            decay_syn=chip_decay(self.dash_syn),
            gain_syn=np.ones(self.threshold.size),
            threshold=None if self.silent else self.threshold.astype(np.float64),
            decay_syn_2=second,
            gain_syn_2=None if second is None else np.ones(second.size),
            rule=READ if self.silent else HIDDEN.with_fire(Fire(">=", self.max_spikes)),
        )


class XyloStepper:
    """The states of a population. Sources add to them one after another, as on the chip."""

    def __init__(self, neuron: XyloNeuron, batch: int) -> None:
        self.neuron = neuron
        nothing = np.zeros(neuron.threshold.size, dtype=np.int64)
        states = neuron.start or (nothing, nothing, nothing)
        first, second, v = (np.tile(state, (batch, 1)) for state in states)
        self.isyn = (first.astype(np.int32), second.astype(np.int32))
        self.v: Float = v.astype(np.float64)

    def inlet(self, projection: Projection) -> Callable[[Float], None]:
        """Return what adds the spikes (batch, n of the source) of a step to a synaptic state."""
        (op,) = projection.ops
        assert isinstance(op, Sparse)
        fans = Fans.of(op)
        state = self.isyn[projection.synapse]
        return lambda signal: add(state, signal, fans)

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Add one more source, with the sums ``x`` and ``second``, and end the step."""
        received = (x, None if self.neuron.dash_syn_2 is None else second)
        for state, drive in zip(self.isyn, received, strict=True):
            if drive is not None:
                state[:] = saturate(state + np.rint(drive).astype(np.int64))
        return self.finish()

    def finish(self) -> Float:
        """Return the spikes of a step, or the membrane in volts of neurons that are read."""
        n = self.neuron
        first, second = self.isyn
        first[:] = decay(first, n.dash_syn)
        if n.dash_syn_2 is not None:
            second[:] = decay(second, n.dash_syn_2)
        v = membrane_step(self.v.astype(np.int64), first + second, n.dash_mem, n.bias)
        spikes, v = fire(v, n.threshold, n.max_spikes)
        self.v = v.astype(np.float64)
        return self.v / n.scale if n.silent else spikes.astype(np.float64)
