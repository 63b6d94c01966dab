"""The interface between a chip's backend and the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.rounding.rule import Rounding


@dataclass(frozen=True)
class Parameters:
    """The parameters of a population that may change.

    ``mem``, ``syn``: possible decays per step (n,) of its neurons, in rising order. Empty: fixed.
    ``gains``: each projection into the population may be scaled. ``weights``: every weight may
    change. ``drift``: the constant current may change. ``self_inhibition``: its neurons may inhibit
    themselves.
    """

    mem: tuple[Float, ...] = ()
    syn: tuple[Float, ...] = ()
    gains: bool = True
    weights: bool = True
    drift: bool = False
    self_inhibition: bool = False


class Chip(Protocol):
    """A chip, as seen by the calibration."""

    def dynamics(self, legal: Program) -> Program:
        """Return the legal program with the chip's dynamics in floating point, without rounding.

        Nodes keep their names. Edges may change. Each edge into a population has operators with
        numbers.
        """

    def parameters(self, program: Program, name: str) -> Parameters | None:
        """Return the parameters of ``name`` in ``program`` (from ``dynamics``) that may change."""

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """Return the integer form of a variation of ``dynamics(legal)`` or ``legal``."""

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Return the outputs (samples, steps, outputs) on ``inputs``, for each mode of the chip."""

    def affordable(self, integer: Program, start: Program) -> bool:
        """Return True if ``integer`` fits the chip wherever the uncalibrated ``start`` fits."""


class Settings(Protocol):
    """Settings of a chip's neurons that no search of gains and no gradient reaches."""

    def others(self, name: str, population: Population[Any]) -> Sequence[Population[Any]]:
        """Return an integer population with other lower bounds of its membranes."""

    def bound(self, population: Population[Any]) -> float:
        """Return the lower bound of its membranes, in thresholds."""
