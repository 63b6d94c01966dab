"""The integer payload of a population on SpiNNaker2: parameters of its model, executable by the
interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2 import rule
from nirc.backends.spinnaker2.rule import Float32, Reset
from nirc.backends.spinnaker2.tables import Model
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import MEMBRANE, Rule, plain
from nirc.ir.rules import Reset as Kind
from nirc.semantics.stepper import Stepper


@dataclass(frozen=True)
class SpinNeuron:
    """Parameters of a population in the chip's units, float32 (n,). Weights into it are whole.

    ``late``: steps by which it is later on the chip than in the model; its own constants act from
    the chip's first step on. ``scale`` (n,): chip units per volt of the model. ``fires`` false: a
    readout, whose v is the output. ``exc_decay``, ``inh_decay``: of the currents; excitatory
    weights come in at receptor 0, inhibitory ones at 1.
    """

    model: Model
    reset: Reset
    threshold: Float32
    alpha_decay: Float32
    i_offset: Float32
    v_init: Float32
    v_reset: Float32
    scale: Float
    late: int
    fires: bool = True
    exc_decay: Float32 | None = None
    inh_decay: Float32 | None = None

    def stepper(self, batch: int) -> Stepper:
        """State of ``batch`` samples at the model's first step."""
        return _SpinStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """The same neuron in chip units and double precision; one receptor if both currents decay
        alike.
        """
        one = np.ones(len(self.v_init))
        exc, inh = self.exc_decay, self.inh_decay
        two = exc is not None and inh is not None and bool((exc != inh).any())
        return Discrete(
            decay_mem=self.alpha_decay.astype(np.float64),
            gain_mem=one,
            drift=self.i_offset.astype(np.float64),
            decay_syn=None if exc is None else exc.astype(np.float64),
            gain_syn=None if exc is None else one,
            threshold=self.threshold.astype(np.float64) if self.fires else None,
            v_reset=self.v_reset.astype(np.float64),
            decay_syn_2=inh.astype(np.float64) if two and inh is not None else None,
            gain_syn_2=one if two else None,
            rule=self._rule(),
        )

    def _rule(self) -> Rule:
        """The chip's: a spike where v is at the threshold or above it."""
        synapse = self.exc_decay is not None
        if not self.fires:
            return MEMBRANE.with_synapse() if synapse else MEMBRANE
        reset: Kind = "subtract" if self.reset == "reset_by_subtraction" else "set"
        return plain(reset, synapse=synapse, at=">=")

    def fires_before_its_time(self) -> NDArray[np.bool_]:
        """(n,) who spikes on the chip before the model's first step, of its constants alone."""
        return (
            _SpinStepper(self, 1).early[0] if self.fires else np.zeros(len(self.v_init), np.bool_)
        )


def single(values: Float | Float32) -> Float32:
    """A read-only float32 copy."""
    made: Float32 = np.array(values, np.float32)
    made.setflags(write=False)
    return made


class _SpinStepper:
    def __init__(self, neuron: SpinNeuron, batch: int) -> None:
        self.neuron = neuron
        n = len(neuron.v_init)
        self.state: Float32 = np.zeros((batch, n), np.float32) + neuron.v_init
        self.exc: Float32 = np.zeros((batch, n), np.float32)
        self.inh: Float32 = np.zeros((batch, n), np.float32)
        self.early = np.zeros((batch, n), np.bool_)
        for _ in range(neuron.late):
            self.early |= self._step(np.zeros((batch, n), np.float32))
        self.v: Float = self.state.astype(np.float64)

    def step(self, x: Float, second: Float | None = None) -> Float:
        n = self.neuron
        drive = x.astype(np.float32)
        if n.exc_decay is not None and n.inh_decay is not None:
            inhibition = np.zeros_like(drive) if second is None else second.astype(np.float32)
            self.exc = rule.current_step(self.exc, drive, n.exc_decay)
            self.inh = rule.current_step(self.inh, inhibition, n.inh_decay)
            drive = self.exc + self.inh
        spikes = self._step(drive)
        self.v = self.state.astype(np.float64)
        return spikes.astype(np.float64) if n.fires else self.v / n.scale

    def _step(self, drive: Float32) -> NDArray[np.bool_]:
        n = self.neuron
        v = rule.membrane_step(self.state, drive, n.alpha_decay, n.i_offset)
        spikes, self.state = rule.fire(v, n.threshold, n.v_reset, n.reset)
        return spikes
