"""spinnaker2-calibrate: weights with spikes on sample inputs nearest to the model's.

The chip's neurons are the model's. Its weights have 8 bits, or 4 where there are delays. Method:
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
    """Quantise, then search gains and weights with spikes on sample inputs nearest to the model's.

    ``finer``: inputs have several spike sources, as far as there is room.
    """

    quantise: Spinnaker2Quantise
    finer: bool = False
    name: ClassVar[str] = "spinnaker2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Return the calibrated integer program. Raises the errors of ``quantise``."""
        copies = roomy(program) if self.finer else self.quantise.copies
        quantise = replace(self.quantise, copies=copies)
        plain = PlainCalibrate(quantise, self.calibration, report=self.report)
        integer = plain.run(program, log)
        if populations_of(integer, Copy):
            self.report["copies"] = copies
        return integer
