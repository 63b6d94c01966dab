"""spinnaker2-calibrate: weights at which the chip's spikes come nearest to the model's on sample inputs.

The chip's neurons are the model's; its weights have 8 bits, or 4 where there are delays. Method: ``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.spinnaker2.copies import Copy, roomy
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Program


@dataclass(frozen=True)
class Spinnaker2Calibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the model's.

    ``finer``: inputs are sent by several spike sources, as far as there is room.
    """

    finer: bool = False
    name: ClassVar[str] = "spinnaker2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        assert isinstance(self.quantise, Spinnaker2Quantise)
        copies = roomy(program) if self.finer else self.quantise.copies
        made = super(Spinnaker2Calibrate, replace(self, quantise=replace(self.quantise, copies=copies))).run(
            program, log
        )
        if any(isinstance(p.dynamics, Copy) for p in made.nodes(Population).values()):
            self.report["copies"] = copies
        return made
