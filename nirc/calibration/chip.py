"""What a backend tells the calibration about its chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.program import Program
from nirc.rounding.rule import Rounding


@dataclass(frozen=True)
class Knobs:
    """What may be changed of one population.

    ``mem``, ``syn``: the decays per step (n,) that its neurons could have instead, in rising order; empty: as they are.
    ``gains``: each projection into it may be scaled. ``weights``: every weight may change. ``drift``: so may the
    constant current. ``brake``: its neurons may inhibit themselves.
    """

    mem: tuple[Float, ...] = ()
    syn: tuple[Float, ...] = ()
    gains: bool = True
    weights: bool = True
    drift: bool = False
    brake: bool = False


class Chip(Protocol):
    """One chip, as seen by the calibration."""

    def dynamics(self, legal: Program) -> Program:
        """The legal discrete program with the chip's dynamics in floating point: all but its rounding.

        Nodes keep their names; edges may change, those into a population each have operators with numbers.
        """

    def knobs(self, program: Program, name: str) -> Knobs | None:
        """What may be changed of ``name`` in ``program`` (the answer of ``dynamics``); None: nothing."""

    def quantised(self, program: Program, rounding: Rounding, log: Log) -> Program:
        """The integer form of ``program``, a variation of ``dynamics``' answer or the legal program itself."""

    def answers(self, integer: Program, inputs: Int) -> Sequence[Float]:
        """Outputs (samples, steps, outputs) on ``inputs``, by each way in which the chip may work."""

    def affordable(self, integer: Program, start: Program) -> bool:
        """Whether the chip has room for ``integer`` wherever it has for ``start``, the uncalibrated integer form."""
