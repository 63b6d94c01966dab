"""toycamera: a toychip with an option (where its events come from) and a second mode of its emulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nirc.chip.backend import Backend, ChipOption, Mapped
from nirc.chip.target import Target
from nirc.diagnostics.log import Log
from nirc.semantics.raster import Run
from toychip import ToyChip
from toychip.limits import TOY


class ToyCamera(ToyChip):
    """The backend `toycamera`. Never changed: what one compilation chose must not reach another."""

    name = "toycamera"
    targets: tuple[Target, ...] = (replace(TOY, chip="toycamera"),)
    options: tuple[ChipOption, ...] = (
        ChipOption("input", ("host", "dvs"), "where events come from"),
        ChipOption("led", ("off", "on"), "the light beside the camera"),
    )
    modes: tuple[str, ...] = ("synchronous", "one-event")
    law_neuron = "CubaLIF"

    def __init__(self, source: str = "host") -> None:
        self.source = source

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """The light changes no file."""
        return ToyCamera(chosen.get("input", self.source))

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """The network, and the input that was chosen."""
        return super().emit(mapped, dt_s=dt_s) | {"input.txt": self.source.encode()}

    def emulate(
        self,
        files: Mapping[str, bytes],
        raster: np.ndarray,
        *,
        mode: str | None = None,
        record: bool = False,
        progress: Callable[[int], None] | None = None,
        log: Log,
    ) -> Run:
        """In mode one-event a channel takes no more than one event a step."""
        fed = np.minimum(raster, 1) if mode == "one-event" else raster
        return super().emulate(files, fed, record=record, progress=progress, log=log)


BACKEND = ToyCamera()
