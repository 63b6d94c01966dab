"""The weights into a population of Xylo on their way to integers: connections, filters, shifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.backends.xylo.neuron import charge, synapse_dash, synapse_gain
from nirc.ir.arrays import Float
from nirc.ir.linear import Sparse
from nirc.ir.populations import Projection

SMALLEST = 1e-300  # volts that count as none


@dataclass(frozen=True)
class Shifts:
    """Bit shifts of the weights from inputs and from hidden neurons."""

    inputs: int = 0
    recurrent: int = 0

    def of(self, from_input: bool) -> int:
        """Return the shift of weights from inputs, or of those from hidden neurons."""
        return self.inputs if from_input else self.recurrent


@dataclass(frozen=True)
class Connection:
    """All synapses from one node to one receptor of a population, unrolled."""

    source: str
    target: str
    projection: Projection
    op: Sparse
    from_input: bool


class Receptor:
    """A synaptic filter on the chip: dash, chip weight per model weight, charge of a unit input."""

    def __init__(self, decay: Float | None, gain: Float | None, n: int) -> None:
        self.dash = synapse_dash(decay, n)
        self.gain = synapse_gain(decay, gain, self.dash)
        self.charge = charge(decay, gain, n)


class Drive:
    """A connection's weights in chip units at scale 1.

    ``largest``, ``total``: the largest and the sum of the magnitudes by target.
    """

    def __init__(self, connection: Connection, value: Float, n: int) -> None:
        self.connection = connection
        self.value = value
        self.target = connection.op.target
        self.synapse = connection.projection.synapse
        self.largest = np.zeros(n)
        self.total = np.zeros(n)
        np.maximum.at(self.largest, self.target, np.abs(value))
        np.add.at(self.total, self.target, np.abs(value))

    def shift(self, shifts: Shifts) -> int:
        """Return the bit shift of these weights."""
        return shifts.of(self.connection.from_input)


def at_least(x: Float) -> Float:
    """Return ``x`` without zeros to divide by."""
    return np.maximum(x, SMALLEST)
