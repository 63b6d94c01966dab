"""The numbers of an integer program that training may change, each with the grid that holds it.

A backend gives its own by ``Backend.training``. ``nirc.torch`` runs and trains them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from nirc.ir.arrays import Float, Int
from nirc.ir.computation import Computation
from nirc.ir.populations import Population
from nirc.ir.program import Program


@dataclass(frozen=True)
class Reals:
    """Any number from ``low`` to ``high``."""

    low: float = -np.inf
    high: float = np.inf

    def holds(self, values: Float) -> bool:
        """Return True if all ``values`` are on the grid."""
        return bool(((values >= self.low) & (values <= self.high)).all())


@dataclass(frozen=True)
class Multiples:
    """Multiples of ``step``, from ``low`` to ``high`` of them."""

    low: float
    high: float
    step: float = 1.0

    def holds(self, values: Float) -> bool:
        """Return True if all ``values`` are on the grid."""
        steps = values / self.step
        inside = (steps >= self.low) & (steps <= self.high)
        return bool((inside & (steps == np.rint(steps))).all())


@dataclass(frozen=True)
class Mantissas:
    """Integers up to ``top`` times a power of two, the least that is possible, up to ``most``."""

    top: float
    most: int

    def holds(self, values: Float) -> bool:
        """Return True if all ``values`` are on the grid."""
        steps = [values / 2.0**k for k in range(self.most + 1)]
        held = [(s == np.rint(s)) & (np.abs(s) <= self.top) for s in steps]
        return bool(np.any(held, axis=0).all())


@dataclass(frozen=True)
class ShiftDecays:
    """Decays of ``1 - 2^-k``, with ``k`` from ``least`` to ``most``."""

    least: int
    most: int

    def holds(self, values: Float) -> bool:
        """Return True if all ``values`` are on the grid."""
        return bool(np.isin(values, 1 - np.exp2(-np.arange(self.least, self.most + 1.0))).all())


@dataclass(frozen=True)
class Singles:
    """Numbers of single precision from ``low`` to ``high``."""

    low: float = -np.inf
    high: float = np.inf

    def holds(self, values: Float) -> bool:
        """Return True if all ``values`` are on the grid."""
        inside = (values >= self.low) & (values <= self.high)
        return bool((inside & (values == values.astype(np.float32))).all())


Grid = Reals | Multiples | Mantissas | ShiftDecays | Singles
Place = tuple[int, int]
Fits = Callable[[Program], bool]


@dataclass(frozen=True)
class Trainable:
    """An array of the program that may change.

    ``unit``: chip units per unit of the model, for all numbers or for each. Training sees the
    number in the model's units, so that a rate of learning means the same for every chip.
    ``group``: for each number, the one that it shares. None: each is free.
    """

    grid: Grid
    unit: Float
    group: Int | None = None


@dataclass(frozen=True)
class Trainables:
    """``values``: by population and parameter of its ``Computation``.

    ``weights``: by edge, which is its place in program order, and place among its operators.
    ``biases``: by edge and place among its biases.
    """

    values: Mapping[str, Mapping[str, Trainable]]
    weights: Mapping[Place, Trainable]
    biases: Mapping[Place, Trainable] = field(default_factory=dict)


class Training(Protocol):
    """A chip's integer program: its computation, and its changes.

    ``payloads``: the classes of its populations.
    """

    payloads: ClassVar[tuple[type, ...]]

    def computation(self, population: Population[Any]) -> Computation:
        """Return one step of an integer population."""

    def trainables(self, program: Program) -> Trainables:
        """Return the numbers of an integer program that may change."""

    def settings(self, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return a population with other settings of its neurons, which have no slopes.

        Empty for a chip, or a population, that has none. Nothing else of a program changes with it.
        """

    def variants(self, program: Program, model: Program, fits: Fits) -> Sequence[Sequence[Program]]:
        """Return other starts for learning, in families. Empty where all numbers have slopes.

        ``program``: calibrated. ``model``: legal and discrete. Weights suit the decays that they
        were found with. So a variant is judged after some learning. Of a family only the member
        that is nearest to the model at the start learns. ``fits``: True for a program that the
        target holds.
        """

    def changed(self, program: Program, values: Mapping[str, Mapping[str, Float]]) -> Program:
        """Return the program with other values by population and parameter, on their grids.

        ``program`` has the new weights. What follows from the numbers, as states at the start,
        follows anew.
        """
