"""spinnaker2-calibrate: weights at which the chip's spikes come nearest to the model's on sample
inputs.

The chip's neurons are the model's; its weights have 8 bits, or 4 where there are delays. Method:
``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.spinnaker2.copies import Copy, roomy
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.populations import populations_of
from nirc.ir.program import Program


@dataclass(frozen=True)
class Spinnaker2Calibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the
    model's.

    ``finer``: inputs are sent by several spike sources, as far as there is room.
    """

    quantise: Spinnaker2Quantise
    finer: bool = False
    name: ClassVar[str] = "spinnaker2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        copies = roomy(program) if self.finer else self.quantise.copies
        quantise = replace(self.quantise, copies=copies)
        made = PlainCalibrate(quantise, self.calibration, self.resets_to_zero, self.report).run(
            program, log
        )
        if populations_of(made, Copy):
            self.report["copies"] = copies
        return made
