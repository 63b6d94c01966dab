"""What the interpreter asks of a population: start, and one step. Integer payloads of backends bring their own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


class Stepper(Protocol):
    """The state of one population over a batch of samples."""

    v: Float  # (batch, n) membrane after the last step

    def step(self, x: Float, second: Float | None = None) -> Float:
        """(batch, n) summed input of this step -> (batch, n) spikes, or membrane of a population that is silent.

        ``second``: what arrives at the second receptor, None if the population has one.
        """


@runtime_checkable
class Executable(Protocol):
    """An integer payload that knows how to run."""

    def stepper(self, batch: int) -> Stepper:
        """Fresh state for ``batch`` samples."""
