"""The integer payloads of a program for Loihi 2, executable by the interpreter at the model's
steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import STATE_SHIFT
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete
from nirc.ir.rules import LETTER, MEMBRANE, Rule
from nirc.semantics.stepper import Stepper


@dataclass(frozen=True)
class LoihiNeuron:
    """Neurons in the chip's units, each array (n,) int64; weights of projections already contain
    the exponent.

    ``scale``: chip units of v per volt of the model, (n,). ``v_start``: v before the model's first
    step; ``v_init``: before the chip's, which comes ``late`` steps earlier. ``spikes`` false: a
    readout. ``rate`` (n,): spikes a step on sample inputs, None if there were none.
    """

    du: Int
    dv: Int
    vth: Int
    bias_mant: Int
    bias_exp: Int
    v_start: Int
    v_init: Int
    scale: Float
    late: int = 0
    spikes: bool = True
    rate: Float | None = None

    def stepper(self, batch: int) -> Stepper:
        """Fresh state for ``batch`` samples."""
        return _LoihiStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """The same neuron in chip units without the rounding of its states, shifted so that v
        starts at 0.
        """
        keep_mem, keep_syn = 1 - self.dv / rule.DECAY_UNITY, 1 - (self.du + 1) / rule.DECAY_UNITY
        filtered, gain = bool(keep_syn.any()), np.full(self.du.size, float(1 << STATE_SHIFT))
        start, one = self.v_start.astype(np.float64), np.ones(self.du.size)
        bias = rule.effective_bias(self.bias_mant, self.bias_exp)
        return Discrete(
            decay_mem=keep_mem,
            gain_mem=one if filtered else gain,
            drift=bias - (1 - keep_mem) * start,
            decay_syn=keep_syn if filtered else None,
            gain_syn=gain if filtered else None,
            threshold=(self.vth << STATE_SHIFT) - start if self.spikes else None,
            v_reset=-start,
            rule=_rule(fires=self.spikes, filtered=filtered),
        )


def _rule(*, fires: bool, filtered: bool) -> Rule:
    """NIR's letter; a readout sends v."""
    rule = LETTER if fires else MEMBRANE
    return rule.with_synapse() if filtered else rule


@dataclass(frozen=True)
class BinaryInput:
    """Messages carry no numbers: any count above 0 is one spike. ``rate``: see ``LoihiNeuron``."""

    rate: Float | None = None

    def stepper(self, batch: int) -> Stepper:
        """It has no state."""
        return _BinaryStepper()

    def as_discrete(self) -> Discrete:
        """A comparison with 0."""
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
