"""The interface between the interpreter and populations: start, and one step.

Integer payloads of backends implement this interface.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


class Stepper(Protocol):
    """The state of a population over a batch of samples."""

    v: Float  # (batch, n) membrane after the last step

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Map (batch, n) summed input of this step to (batch, n) spikes, or to the membrane.

        ``second``: the input of the second receptor, None without a second receptor.
        """


@runtime_checkable
class Executable(Protocol):
    """An integer payload with a stepper."""

    def stepper(self, batch: int) -> Stepper:
        """Return a fresh state for ``batch`` samples."""
