"""Discrete neurons whose states are held in a chip's words: for what-if studies of rounding and saturation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.semantics.neuron import NeuronStepper
from nirc.semantics.stepper import Stepper

Decayed = Callable[[Float, Float, Float], Float]  # state, what a step keeps of it, unit -> the state after the decay
Range = tuple[Float, Float]  # lowest and highest, (n,) each


def exactly(state: Float, kept: Float, unit: Float) -> Float:
    """No rounding."""
    return kept * state


@dataclass(frozen=True)
class Held:
    """``neuron``, but for one thing that a chip does with its states.

    ``decayed`` rounds what is left of a state after a step to multiples of ``unit`` (n,), volts of the membrane, which
    are counted from ``zero`` (n,); None: from 0.
    ``v``, ``current``: where the membrane, and what comes to it in a step, saturate; volts. None: nowhere.
    """

    neuron: Discrete
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


class _HeldStepper(NeuronStepper):
    """Synaptic currents are kept in volts of the membrane, with both gains included."""

    def __init__(self, held: Held, batch: int) -> None:
        super().__init__(held.neuron, (batch, held.neuron.decay_mem.size))
        self.held = held

    def decay_current(self) -> None:
        """As the chip rounds it."""
        d, held = self.d, self.held
        kept = np.zeros_like(d.decay_mem) if d.decay_syn is None else d.decay_syn
        self.i = held.decayed(self.i, kept, held.unit)
        if self.i_2 is not None and d.decay_syn_2 is not None:
            self.i_2 = held.decayed(self.i_2, d.decay_syn_2, held.unit)

    def add_to_current(self) -> None:
        """Saturates."""
        d = self.d
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        self.i = _within(self.i + gain * self.x, self.held.current)
        if self.i_2 is not None and self.second is not None and d.gain_syn_2 is not None:
            self.i_2 = _within(self.i_2 + d.gain_mem * d.gain_syn_2 * self.second, self.held.current)

    def decay_membrane(self) -> None:
        """As the chip rounds it, from its own zero."""
        d, held = self.d, self.held
        zero = 0.0 if held.zero is None else held.zero
        self.v = held.decayed(self.v - zero, d.decay_mem, held.unit) + d.decay_mem * zero

    def add_current(self) -> None:
        """Saturates."""
        self._reach(self.i if self.i_2 is None else self.i + self.i_2)

    def add_input(self) -> None:
        """Saturates."""
        self._reach(self.d.gain_mem * self.x)

    def _reach(self, x: Float) -> None:
        self.v = _within(self.v + _within(x, self.held.current) + self.d.drift, self.held.v)


def _within(x: Float, between: Range | None) -> Float:
    return x if between is None else np.clip(x, *between)
