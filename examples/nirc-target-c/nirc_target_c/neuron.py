"""The integer neuron. It follows the update rule of the model, whatever that is.

A decay keeps a multiple of 1 / 2^23 of a state and cuts it towards 0. Everything that is added to
a state saturates at +-(2^30 - 1). ``source.py`` writes the same operations in C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.semantics.neuron import NeuronStepper, Stepper
from nirc_target_c.limits import STATE


@dataclass(frozen=True)
class CNeuron:
    """Neurons in integers. ``units``: their coefficients, ``scale`` (n,): units per volt.

    Gains are 1, since weights contain them. Decays are multiples of 1 / 2^23.
    """

    units: Discrete
    scale: Float

    def stepper(self, batch: int) -> Stepper:
        """Return fresh states for ``batch`` samples."""
        return CStepper(self.units, (batch, self.scale.size))

    def as_discrete(self) -> Discrete:
        """Return the neurons without saturation."""
        return self.units


class CStepper(NeuronStepper):
    """The interpreter of update rules, with states that saturate."""

    def add_to_current(self) -> None:
        """Add and saturate."""
        super().add_to_current()
        self.i = saturated(self.i)
        self.i_2 = None if self.i_2 is None else saturated(self.i_2)

    def decay_membrane(self) -> None:
        """Decay, add the constant and saturate."""
        super().decay_membrane()
        self.v = saturated(self.v)

    def add_to_membrane(self, x: Float) -> None:
        """Add and saturate. Two currents are added first, and their sum saturates too."""
        self.v = saturated(self.v + saturated(x))

    def subtract(self) -> None:
        """Subtract and saturate."""
        super().subtract()
        self.v = saturated(self.v)

    def restore(self) -> None:
        """Add the threshold back and saturate."""
        super().restore()
        self.v = saturated(self.v)


def saturated(state: Float) -> Float:
    """Return ``state`` within +-(2^30 - 1)."""
    return np.clip(state, -STATE, STATE)
