"""The integer payload of a population on Speck, executable by the interpreter frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.speck.geometry import Map
from nirc.backends.speck.rule import fire
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Discrete
from nirc.ir.rules import parse
from nirc.semantics.stepper import Stepper

RULE = parse("decay v, add x->v, fire >= many, subtract, bound, emit")


@dataclass(frozen=True)
class SpeckNeuron:
    """Parameters of one layer in the chip's units. ``bias`` (n,) per step, the same over each
    channel.

    ``shape``: the layer's map. ``scale``: chip units per volt of the model, one number a channel
    (n,). ``initial``: of every neuron. ``events``: events that arrive in a step of a sample,
    measured or assumed.
    """

    shape: Map
    threshold_high: int
    threshold_low: int
    return_to_zero: bool
    initial: int
    bias: Int
    scale: Float
    events: float

    def stepper(self, batch: int) -> Stepper:
        """Fresh state for ``batch`` samples."""
        return _SpeckStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """The same neuron in chip units, summed up over a step."""
        one = np.ones(self.bias.size)
        return Discrete(
            one,
            one,
            self.bias.astype(np.float64),
            threshold=self.threshold_high * one,
            rule=RULE.with_reset("set") if self.return_to_zero else RULE,
            v_least=self.threshold_low * one,
            v_start=self.initial * one if self.initial else None,
        )


class _SpeckStepper:
    """A step's input is summed up first, as sinabs does: the chip itself goes event by event
    (``events.py``).
    """

    def __init__(self, neuron: SpeckNeuron, batch: int) -> None:
        self.neuron = neuron
        self.v: Float = np.full((batch, neuron.bias.size), float(neuron.initial))

    def step(self, x: Float, second: Float | None = None) -> Float:
        n = self.neuron
        spikes, self.v = fire(
            self.v + x + n.bias, n.threshold_high, n.threshold_low, n.return_to_zero
        )
        return spikes
