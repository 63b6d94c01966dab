"""Neurons in the chip's integers as a payload of programs, and the values that they start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import STATE, STATE_SHIFT
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete
from nirc.ir.rules import LETTER, MEMBRANE
from nirc.semantics.neuron import Stepper

# Thresholds below 0 that a start value may lie. More would cost weights their bits.
START_ROOM = 64.0
QUIET = 0.98  # share of the threshold above which rounding might fire a neuron at its start


@dataclass(frozen=True)
class LoihiNeuron:
    """Neurons in the chip's units, each array (n,) int64. Weights contain their exponent.

    ``scale`` (n,): chip units of v per volt of the model. ``v_start``: v before the model's first
    step. ``v_init``: v before the chip's first step, which is ``latency_steps`` earlier.
    ``spikes``: False for a readout. ``rate`` (n,): spikes a step on sample inputs, None without.
    """

    du: Int
    dv: Int
    vth: Int
    bias_mant: Int
    bias_exp: Int
    v_start: Int
    v_init: Int
    scale: Float
    latency_steps: int = 0
    spikes: bool = True
    rate: Float | None = None

    def stepper(self, batch: int) -> Stepper:
        """Return a fresh state for ``batch`` samples."""
        return _LoihiStepper(self, batch)

    def beyond_nir(self) -> dict[str, Int]:
        """Return what the chip has and NIR's neurons have no field for."""
        return {"v_init": self.v_init}

    def as_discrete(self) -> Discrete:
        """Return the neuron in chip units, with states that are not rounded and v from 0 on."""
        keep_mem = 1 - self.dv / rule.DECAY_UNITY
        keep_syn = 1 - (self.du + 1) / rule.DECAY_UNITY
        filtered = bool(keep_syn.any())
        gain = np.full(self.du.size, float(1 << STATE_SHIFT))
        start = self.v_start.astype(np.float64)
        bias = rule.effective_bias(self.bias_mant, self.bias_exp)
        update = LETTER if self.spikes else MEMBRANE
        return Discrete(
            decay_mem=keep_mem,
            gain_mem=np.ones(self.du.size) if filtered else gain,
            drift=bias - (1 - keep_mem) * start,
            decay_syn=keep_syn if filtered else None,
            gain_syn=gain if filtered else None,
            threshold=(self.vth << STATE_SHIFT) - start if self.spikes else None,
            v_reset=-start,
            rule=update.with_synapse() if filtered else update,
        )


@dataclass(frozen=True)
class BinaryInput:
    """An input whose messages carry no numbers: any count above 0 is one spike.

    ``rate``: see ``LoihiNeuron``.
    """

    repeats_input: ClassVar[bool] = True
    rate: Float | None = None

    def stepper(self, batch: int) -> Stepper:
        """Return a stepper without state."""
        return _BinaryStepper()

    def as_discrete(self) -> Discrete:
        """Return a comparison with 0."""
        zero = np.zeros(1)
        return Discrete(zero, zero + 1, zero, threshold=zero, v_reset=zero)


class _LoihiStepper:
    def __init__(self, neuron: LoihiNeuron, batch: int) -> None:
        self.neuron = neuron
        self.bias = rule.effective_bias(neuron.bias_mant, neuron.bias_exp)
        self.u = np.zeros((batch, neuron.du.size), np.int32)
        self.v: Float = np.tile(neuron.v_start.astype(np.float64), (batch, 1))

    def step(self, x: Float, second: Float | None = None) -> Float:
        n = self.neuron
        self.u = rule.current_step(self.u, np.rint(x).astype(np.int64), n.du)
        v = rule.membrane_step(self.v.astype(np.int32), self.u, self.bias, n.dv)
        spikes, v = rule.fire(v, n.vth)
        self.v = v.astype(np.float64)
        return spikes.astype(np.float64) if n.spikes else self.v / n.scale


class _BinaryStepper:
    v: Float = np.zeros((1, 1))

    def step(self, x: Float, second: Float | None = None) -> Float:
        spikes: Float = (x > 0).astype(np.float64)
        return spikes


# Start values. The chip runs some steps before the first input can reach a deep layer.


def shifted(d: Discrete) -> tuple[Float | None, Float, Float]:
    """Return threshold, drift and start, each (n,), with v_reset as the zero of the voltage.

    The chip resets to 0.
    """
    zero = np.zeros(d.decay_mem.size)
    reset = d.resets_to if d.resets_to is not None and d.decay_mem.any() else zero
    threshold = None if d.threshold is None else d.threshold - reset
    return threshold, d.drift - (1 - d.decay_mem) * reset, -reset


def start_before(decay: Float, drift: Float, start: Float, steps: int) -> Float:
    """Return the v from which ``steps`` steps without input lead to ``start``.

    It is infinite where a membrane without memory would have to.
    """
    v = start.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(steps):
            before, v = v, np.where(v == drift, 0.0, (v - drift) / decay)
            if np.array_equal(v, before):
                break
    return v


def start_up_fails(d: Discrete, latency_steps: int) -> bool:
    """Return True if no start value keeps a neuron quiet until the model's first step.

    The model's first step is ``latency_steps`` after the chip's.
    """
    threshold, drift, start = shifted(d)
    if threshold is None or not latency_steps or not drift.any():
        return False
    memory = d.decay_mem > 0
    decay = np.where(memory, d.decay_mem, 1.0)
    v = start_before(decay, np.where(memory, drift, 0.0), start, latency_steps)
    above = np.maximum(threshold, 0)
    out_of_range = (v < -START_ROOM * above) | (v > QUIET * above)
    wrong = np.where(memory, out_of_range, drift > QUIET * above)
    return bool((wrong & (drift != 0)).any())


def start_value(start: Int, bias: Int, dv: Int, vth: Int, steps: int) -> Int:
    """Return the v from which ``steps`` steps without input lead to ``start`` exactly.

    Where a neuron would fire, return the nearest v at which it is quiet. The decay is undone:
    ``trunc(x (4096 - dv) / 4096) = z`` for x = z 4096 / (4096 - dv), rounded away from zero.
    """
    v = start.astype(np.int64)
    top = np.minimum(vth << STATE_SHIFT, STATE[1])
    kept = rule.DECAY_UNITY - dv
    for _ in range(steps):
        z = v - bias
        magnitude = np.where(kept > 0, -(-np.abs(z) * rule.DECAY_UNITY // np.maximum(kept, 1)), 0)
        before, v = v, np.clip(np.sign(z) * magnitude, STATE[0], top)
        if np.array_equal(v, before):
            break
    return v


def run_without_input(
    v: rule.IntArray, bias: rule.IntArray, dv: rule.Ints, vth: rule.Ints, steps: int
) -> tuple[Int, bool]:
    """Return v after ``steps`` steps without input, and True if a neuron fired."""
    state = v.astype(np.int32)
    none = np.zeros_like(state)
    fired = False
    for _ in range(steps):
        before = state
        spikes, state = rule.fire(rule.membrane_step(state, none, bias.astype(np.int32), dv), vth)
        fired = fired or bool(spikes.any())
        if np.array_equal(state, before):  # and so after all further steps
            break
    return state.astype(np.int64), fired
