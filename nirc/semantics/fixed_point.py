"""Discrete neurons with states in a chip's fixed-point numbers, for what-if studies of rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.semantics.neuron import NeuronStepper
from nirc.semantics.stepper import Stepper

Decayed = Callable[
    [Float, Float, Float], Float
]  # (state, kept share, unit) -> state after the decay
Range = tuple[Float, Float]  # lowest and highest, (n,) each


def exactly(state: Float, kept: Float, unit: Float) -> Float:
    """Decay without rounding."""
    return kept * state


@dataclass(frozen=True)
class FixedPoint:
    """``neuron`` with the number format of a chip for its states.

    ``decayed`` rounds a state after its decay to multiples of ``unit`` (n,). Units are volts of the
    membrane, counted from ``zero`` (n,), None: from 0. ``v``, ``current``: the ranges, in volts, in
    which the membrane and the current of a step saturate. None: unlimited.
    """

    neuron: Discrete
    unit: Float
    decayed: Decayed = exactly
    zero: Float | None = None
    v: Range | None = None
    current: Range | None = None

    def stepper(self, batch: int) -> Stepper:
        """Return a fresh state for ``batch`` samples."""
        return _FixedPointStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """Return the neuron without the number format."""
        return self.neuron


class _FixedPointStepper(NeuronStepper):
    """The stepper. Synaptic currents are in volts of the membrane, both gains included."""

    def __init__(self, fixed: FixedPoint, batch: int) -> None:
        super().__init__(fixed.neuron, (batch, fixed.neuron.decay_mem.size))
        self.fixed = fixed

    def decay_current(self) -> None:
        """Decay with the chip's rounding."""
        d = self.d
        fixed = self.fixed
        kept = np.zeros_like(d.decay_mem) if d.decay_syn is None else d.decay_syn
        self.i = fixed.decayed(self.i, kept, fixed.unit)
        if self.i_2 is not None and d.decay_syn_2 is not None:
            self.i_2 = fixed.decayed(self.i_2, d.decay_syn_2, fixed.unit)

    def add_to_current(self) -> None:
        """Add and saturate."""
        d = self.d
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        self.i = _within(self.i + gain * self.x, self.fixed.current)
        if self.i_2 is not None and self.second is not None and d.gain_syn_2 is not None:
            self.i_2 = _within(
                self.i_2 + d.gain_mem * d.gain_syn_2 * self.second, self.fixed.current
            )

    def decay_membrane(self) -> None:
        """Decay with the chip's rounding, counted from the chip's zero."""
        d = self.d
        fixed = self.fixed
        zero = 0.0 if fixed.zero is None else fixed.zero
        self.v = fixed.decayed(self.v - zero, d.decay_mem, fixed.unit) + d.decay_mem * zero

    def add_current(self) -> None:
        """Add and saturate."""
        self._reach(self.i if self.i_2 is None else self.i + self.i_2)

    def add_input(self) -> None:
        """Add and saturate."""
        self._reach(self.d.gain_mem * self.x)

    def _reach(self, x: Float) -> None:
        self.v = _within(self.v + _within(x, self.fixed.current) + self.d.drift, self.fixed.v)


def _within(x: Float, between: Range | None) -> Float:
    return x if between is None else np.clip(x, *between)
