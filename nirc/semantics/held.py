"""Discrete neurons whose states are held in a chip's words: for what-if studies of rounding and saturation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.semantics.reset import fire
from nirc.semantics.stepper import Stepper

Decayed = Callable[[Float, Float, Float], Float]  # state, what a step keeps of it, unit -> the state after the decay
Range = tuple[Float, Float]  # lowest and highest, (n,) each


def exactly(state: Float, kept: Float, unit: Float) -> Float:
    """No rounding."""
    return kept * state


@dataclass(frozen=True)
class Held:
    """``neuron`` under the reset ``rule``, but for one thing that a chip does with its states.

    ``decayed`` rounds what is left of a state after a step to multiples of ``unit`` (n,), volts of the membrane, which
    are counted from ``zero`` (n,); None: from 0.
    ``v``, ``current``: where the membrane, and what comes to it in a step, saturate; volts. None: nowhere.
    """

    neuron: Discrete
    rule: str
    unit: Float
    decayed: Decayed = exactly
    zero: Float | None = None
    v: Range | None = None
    current: Range | None = None

    def stepper(self, batch: int) -> Stepper:
        """Fresh state for ``batch`` samples."""
        return _HeldStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """The neuron without this."""
        return self.neuron


class _HeldStepper:
    """As ``DiscreteStepper``; synaptic states are kept in volts of the membrane, their gain included."""

    def __init__(self, held: Held, batch: int) -> None:
        self.held, d = held, held.neuron
        shape = (batch, d.decay_mem.size)
        self.v: Float = np.zeros(shape)
        self.i: Float = np.zeros(shape)
        self.i_2: Float = np.zeros(shape)

    def step(self, x: Float, second: Float | None = None) -> Float:
        held, d = self.held, self.held.neuron
        x = d.gain_mem * x
        if d.decay_syn is not None and d.gain_syn is not None:
            self.i = x = _within(held.decayed(self.i, d.decay_syn, held.unit) + d.gain_syn * x, held.current)
        if second is not None and d.decay_syn_2 is not None and d.gain_syn_2 is not None:
            after = held.decayed(self.i_2, d.decay_syn_2, held.unit) + d.gain_syn_2 * d.gain_mem * second
            self.i_2 = _within(after, held.current)
            x = x + self.i_2
        zero = 0.0 if held.zero is None else held.zero
        left = held.decayed(self.v - zero, d.decay_mem, held.unit) + d.decay_mem * zero
        self.v = _within(left + _within(x, held.current) + d.drift, held.v)
        sent, self.v = fire(d, self.v, held.rule)
        return sent


def _within(x: Float, between: Range | None) -> Float:
    return x if between is None else np.clip(x, *between)
