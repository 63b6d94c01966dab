"""The integer payload of a population on SpiNNaker2, executable by the interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.rule import Float32, Reset, States
from nirc.backends.spinnaker2.tables import Model
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import MEMBRANE, Fire, Rule, plain
from nirc.semantics.neuron import Stepper


def chip_rule(rule: Rule) -> Rule:
    """Return the rule by which the chip computes ``rule``: a reset at once, one spike a step.

    The comparison is the model's, since thresholds are float32 numbers.
    """
    if rule.fires is None:
        return rule
    return rule.at_once().with_fire(Fire(rule.fires.at))


@dataclass(frozen=True)
class SpinNeuron:
    """Parameters of a population in the chip's units, float32 (n,), for integer weights.

    ``latency_steps``: delay of the chip against the model. The chip's constants act from its first
    step on. ``scale`` (n,): chip units per volt of the model. ``fires`` false: a readout, whose v
    is the output. ``exc_decay``, ``inh_decay``: of the currents. Excitatory weights arrive at
    receptor 0, inhibitory weights at receptor 1.
    """

    model: Model
    reset: Reset
    threshold: Float32
    alpha_decay: Float32
    i_offset: Float32
    v_init: Float32
    v_reset: Float32
    scale: Float
    latency_steps: int
    fires: bool = True
    exc_decay: Float32 | None = None
    inh_decay: Float32 | None = None

    def stepper(self, batch: int) -> Stepper:
        """Return the states of ``batch`` samples at the model's first step."""
        return _SpinStepper(self, batch)

    def begun(self) -> States:
        """Return the states (1, n) at the model's first step."""
        return _SpinStepper(self, 1).states

    def beyond_nir(self) -> dict[str, Float32]:
        """Return what the chip has and NIR's neurons have no field for."""
        return {"v_init": self.v_init}

    def as_discrete(self) -> Discrete:
        """Return the same neuron in chip units and double precision.

        It has one receptor if both currents decay alike.
        """
        one = np.ones(len(self.v_init))
        exc, inh = self.exc_decay, self.inh_decay
        synapse = exc is not None
        second = inh if exc is not None and inh is not None and (exc != inh).any() else None
        rule = MEMBRANE.with_synapse() if synapse else MEMBRANE
        if self.fires:
            subtracts = self.reset == "reset_by_subtraction"
            rule = plain("subtract" if subtracts else "set", synapse=synapse, at=">=")
        return Discrete(
            decay_mem=self.alpha_decay.astype(np.float64),
            gain_mem=one,
            drift=self.i_offset.astype(np.float64),
            decay_syn=None if exc is None else exc.astype(np.float64),
            gain_syn=one if synapse else None,
            threshold=self.threshold.astype(np.float64) if self.fires else None,
            v_reset=self.v_reset.astype(np.float64),
            decay_syn_2=None if second is None else second.astype(np.float64),
            gain_syn_2=None if second is None else one,
            rule=rule,
        )

    def fires_early(self) -> NDArray[np.bool_]:
        """Return True (n,) for spikes by constants alone before the model's first step."""
        stepper = _SpinStepper(self, 1)
        return stepper.early[0] if self.fires else np.zeros_like(stepper.early[0])


def single(values: Float | Float32) -> Float32:
    """Return a read-only float32 copy."""
    copy: Float32 = np.array(values, np.float32)
    copy.setflags(write=False)
    return copy


class _SpinStepper:
    def __init__(self, neuron: SpinNeuron, batch: int) -> None:
        self.neuron = neuron
        n = len(neuron.v_init)
        nothing: Float32 = np.zeros((batch, n), np.float32)
        self.states = States(neuron, batch, n)
        self.early = np.zeros((batch, n), np.bool_)
        for _ in range(neuron.latency_steps):
            before = self.states.v.copy()
            self.early |= self.states.step(nothing, nothing)
            if np.array_equal(self.states.v, before):  # and so after all further steps
                break
        self.v: Float = self.states.v.astype(np.float64)

    def step(self, x: Float, second: Float | None = None) -> Float:
        arrived = x.astype(np.float32)
        inhibition = np.zeros_like(arrived) if second is None else second.astype(np.float32)
        spikes = self.states.step(arrived, inhibition)
        self.v = self.states.v.astype(np.float64)
        return spikes.astype(np.float64) if self.neuron.fires else self.v / self.neuron.scale
