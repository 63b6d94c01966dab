"""The integer payload of a population on Xylo, executable by the interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.xylo.rule import fire, membrane_step, synapse_step
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete
from nirc.ir.rules import Fire, Rule, parse
from nirc.semantics.stepper import Stepper

HIDDEN = parse("add x->i, decay i, decay v, add i->v, fire >= 31, subtract, emit")
READ = Rule(HIDDEN.operations[:4])


@dataclass(frozen=True)
class XyloNeuron:
    """Parameters in the chip's units, each (n,) int64; weights of projections already contain the
    bit shift.

    ``scale``: chip units per volt of the model, (n,). ``max_spikes``: 31 for hidden neurons, 1 for
    outputs. ``shift_in``, ``shift_rec``: bit shift of weights from inputs and from hidden neurons.
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

    def stepper(self, batch: int) -> Stepper:
        """Fresh state for ``batch`` samples."""
        return _XyloStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """The same neuron in chip units without the rounding of its states."""

        def decay(dash: Int) -> Float:
            return 1.0 - 2.0 ** -dash.astype(np.float64)

        second = None if self.dash_syn_2 is None else decay(self.dash_syn_2)
        return Discrete(
            decay_mem=decay(self.dash_mem),
            gain_mem=np.ones(self.threshold.size),
            drift=self.bias.astype(np.float64),
            decay_syn=decay(self.dash_syn),
            gain_syn=np.ones(self.threshold.size),
            threshold=None if self.silent else self.threshold.astype(np.float64),
            decay_syn_2=second,
            gain_syn_2=None if second is None else np.ones(second.size),
            rule=READ if self.silent else HIDDEN.with_fire(Fire(">=", self.max_spikes)),
        )


class _XyloStepper:
    """Adds a step's input at once: equal to the chip unless a partial sum would leave 16 bits."""

    def __init__(self, neuron: XyloNeuron, batch: int) -> None:
        self.neuron = neuron
        self.isyn = np.zeros((batch, neuron.threshold.size), dtype=np.int64)
        self.isyn_2 = self.isyn
        self.v: Float = np.zeros((batch, neuron.threshold.size))

    def step(self, x: Float, second: Float | None = None) -> Float:
        n = self.neuron
        self.isyn = synapse_step(self.isyn, np.rint(x).astype(np.int64), n.dash_syn)
        if second is not None and n.dash_syn_2 is not None:
            self.isyn_2 = synapse_step(self.isyn_2, np.rint(second).astype(np.int64), n.dash_syn_2)
        v = membrane_step(self.v.astype(np.int64), self.isyn + self.isyn_2, n.dash_mem, n.bias)
        spikes, v = fire(v, n.threshold, n.max_spikes)
        self.v = v.astype(np.float64)
        return self.v / n.scale if n.silent else spikes.astype(np.float64)
