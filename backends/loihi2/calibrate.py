"""loihi2-calibrate: weights at which the chip's spikes come nearest to the model's on sample inputs.

What differs in kind is the reset of networks that subtract their threshold: this chip's neurons go to zero. Method:
``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.calibration.plain import PlainCalibrate

RESET = (("subtract", "zero"),)  # the chip's rule by the model's


@dataclass(frozen=True)
class LoihiCalibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the model's."""

    reset: tuple[tuple[str, str], ...] = RESET
    name: ClassVar[str] = "loihi2-calibrate"
