"""spinnaker2-calibrate: weights at which the chip's spikes come nearest to the model's on sample inputs.

The chip's neurons are the model's; its weights have 8 bits, or 4 where there are delays. Method: ``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.calibration.plain import PlainCalibrate


@dataclass(frozen=True)
class Spinnaker2Calibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the model's."""

    name: ClassVar[str] = "spinnaker2-calibrate"
