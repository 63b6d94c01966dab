"""The interpreter of update rules: a population of the discrete form, over a batch of samples.

A chip's integer payload implements the same interface (``Executable``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Projection
from nirc.ir.rules import Act, Add, Decay, Fire, Operation


class Stepper(Protocol):
    """The state of a population over a batch of samples."""

    v: Float  # (batch, n) membrane after the last step

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Map (batch, n) summed input of this step to (batch, n) spikes, or to the membrane.

        ``second``: the input of the second receptor, None without a second receptor.
        """


@runtime_checkable
class OrderedStepper(Protocol):
    """A stepper whose sums depend on the order of the sources."""

    def inlet(self, projection: Projection) -> Callable[[Float], None]:
        """Return what adds a step's signal (batch, n of the source) of a source."""

    def finish(self) -> Float:
        """Return what ``Stepper.step`` returns, once all sources are added."""


@runtime_checkable
class Executable(Protocol):
    """An integer payload with a stepper."""

    def stepper(self, batch: int) -> Stepper:
        """Return a fresh state for ``batch`` samples."""


class NeuronStepper:
    """State of a discrete population: membrane ``v``, currents ``i`` and ``i_2``, each (..., n).

    A subclass may change the effect of an operation on the states (see ``variations``).
    """

    def __init__(self, d: Discrete, shape: tuple[int, ...]) -> None:
        self.d = d
        self.v: Float = (
            np.zeros(shape) if d.v_start is None else np.broadcast_to(d.v_start, shape).copy()
        )
        self.i: Float = np.zeros(shape) if d.rule.has_synapse else self.v
        self.i_2: Float | None = None if d.decay_syn_2 is None else np.zeros(shape)
        self.x: Float = self.v
        self.second: Float | None = None
        self.spikes: Float = np.zeros(shape)  # of the last comparison
        self.earlier: Float = self.spikes  # of the comparison before
        self.sent: Float | None = None
        self.gain_mem = _unless_one(d.gain_mem)
        self.gain_syn = None if d.gain_syn is None else _unless_one(d.gain_syn)
        self.decay_mem = _unless_one(d.decay_mem) if d.grain is None else d.decay_mem
        self.drift = d.drift if d.drift.any() else None
        self.threshold: Float = np.zeros(0) if d.threshold is None else d.threshold
        self.operations = [self._bound(op) for op in d.rule.operations]

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Map summed input (..., n) of each receptor to output spikes, or to the membrane."""
        self.x = x
        self.second = second
        for operation in self.operations:
            operation()
        return self.v.copy() if self.sent is None else self.sent

    def _bound(self, op: Operation) -> Callable[[], None]:
        match op:
            case Decay(state="i"):
                return self.decay_current
            case Decay():
                return self.decay_membrane
            case Add(source="x", to="i"):
                return self.add_to_current
            case Add(source=source):
                return self.add_current if source == "i" else self.add_input
            case Fire():
                return lambda: self.fire(op)
            case Act():
                return {
                    "subtract": self.subtract,
                    "set": self.set,
                    "restore": self.restore,
                    "bound": self.bound,
                    "emit": self.emit,
                }[op.text]

    def decay_current(self) -> None:
        """Decay the currents. A receptor without a filter keeps nothing."""
        self.i = (
            np.zeros_like(self.i)
            if self.d.decay_syn is None
            else self._cut(self.d.decay_syn * self.i)
        )
        if self.i_2 is not None and self.d.decay_syn_2 is not None:
            self.i_2 = self._cut(self.d.decay_syn_2 * self.i_2)

    def add_to_current(self) -> None:
        """Add the input of each receptor to its current."""
        self.i += _times(self.gain_syn, self.x)
        if self.i_2 is not None and self.second is not None:
            self.i_2 += _times(self.d.gain_syn_2, self.second)

    def decay_membrane(self) -> None:
        """Decay the membrane and add the constant drift."""
        if self.decay_mem is not None:
            self.v = self._cut(self.decay_mem * self.v)
        if self.drift is not None:
            self.v = self.v + self.drift

    def _cut(self, state: Float) -> Float:
        return state if self.d.grain is None else np.trunc(state / self.d.grain) * self.d.grain

    def add_current(self) -> None:
        """Add the currents to the membrane."""
        self.add_to_membrane(self.i if self.i_2 is None else self.i + self.i_2)

    def add_input(self) -> None:
        """Add the input to the membrane."""
        self.add_to_membrane(self.x)

    def add_to_membrane(self, x: Float) -> None:
        """Add ``x`` to the membrane, with its gain."""
        self.v = self.v + _times(self.gain_mem, x)

    def fire(self, op: Fire) -> None:
        """Count the spikes of this comparison."""
        threshold = self.threshold
        self.earlier = self.spikes
        self.spikes = (self.v >= threshold if op.at == ">=" else self.v > threshold).astype(
            np.float64
        )
        if op.most != 1 and self.spikes.any():
            ratio = np.floor(self.v / np.where(threshold > 0, threshold, np.inf))
            count = np.clip(ratio, 1, np.inf if op.most is None else op.most)
            self.spikes = np.where(self.spikes > 0, count, 0.0)

    def subtract(self) -> None:
        """Subtract one threshold for each spike of the last comparison."""
        self.v = self.v - self.spikes * self.threshold

    def set(self) -> None:
        """Set the membrane to v_reset where the last comparison had a spike."""
        self.v = np.where(
            self.spikes > 0, 0.0 if self.d.v_reset is None else self.d.v_reset, self.v
        )

    def restore(self) -> None:
        """Add one threshold for each spike of the comparison before the last."""
        self.v = self.v + self.earlier * self.threshold

    def bound(self) -> None:
        """Keep the membrane at or above its lower bound."""
        self.v = np.maximum(self.v, -np.inf if self.d.v_least is None else self.d.v_least)

    def emit(self) -> None:
        """Send the spikes of the last comparison, or the membrane without a threshold."""
        self.sent = self.spikes if self.d.threshold is not None else self.v


def _unless_one(factor: Float) -> Float | None:
    return None if (factor == 1).all() else factor


def _times(factor: Float | None, x: Float) -> Float:
    return x if factor is None else factor * x
