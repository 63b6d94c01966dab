"""toycamera: a toychip with an option (where its events come from) and a second mode of its
emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nirc.chip.backend import Emulation, Mapped, option
from nirc.diagnostics.log import Log
from nirc.semantics.raster import Run
from toychip import ToyChip
from toychip.limits import TOY


@dataclass(frozen=True)
class ToyCamera(ToyChip):
    """The backend `toycamera`. The light changes no file."""

    name = "toycamera"
    targets = (replace(TOY, chip="toycamera"),)
    modes = ("synchronous", "one-event")

    input: str = option(("host", "dvs"), "where events come from")
    led: str = option(("off", "on"), "the light beside the camera")

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """The network, and the input that was chosen."""
        return super().emit(mapped, dt_s=dt_s) | {"input.txt": self.input.encode()}

    def emulate(
        self, files: Mapping[str, bytes], raster: np.ndarray, asked: Emulation, log: Log
    ) -> Run:
        """In mode one-event a channel takes no more than one event a step."""
        fed = np.minimum(raster, 1) if asked.mode == "one-event" else raster
        return super().emulate(files, fed, asked, log)


BACKEND = ToyCamera()
