"""SynSense Speck 2e and 2f: nine event-driven convolution cores and an event camera. The backend on a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nirc.backends.speck.limits import VARIANTS
from nirc.chip.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.speck.quantise import SpeckQuantise
    from nirc.chip.backend import Backend, ChipOption, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Pass
    from nirc.semantics.raster import Run


@dataclass(frozen=True)
class Speck:
    """The backend `speck`; its fields are the values of ``options``."""

    input: str = "host"
    readout: str = "monitor"
    floor: str = "none"
    rounding: str = "auto"

    name = "speck"
    modes = ("synchronous", "events")
    law_neuron = "IF"

    @property
    def targets(self) -> tuple[Target, ...]:
        """2f, 2e: the same limits."""
        return VARIANTS

    @property
    def options(self) -> tuple[ChipOption, ...]:
        """Where events come from, how the answer leaves the chip, how far membranes fall, how weights are rounded."""
        from nirc.chip.backend import ChipOption

        return (
            ChipOption("input", ("host", "dvs"), "events from the host, or from the chip's own camera"),
            ChipOption(
                "readout",
                ("monitor", "layer"),
                "read spikes as monitor events, or let the readout layer vote (15 classes; the last layer's kernel "
                "memory grows fourfold)",
            ),
            ChipOption(
                "floor",
                ("none", "threshold"),
                "membranes fall as far as 16 bits go (NIR has no bound), or to minus the threshold (sinabs trains so)",
            ),
            ChipOption(
                "rounding",
                ("auto", "sums", "nearest"),
                "keep the sum of each channel's weights, or round each by itself, as sinabs does (auto: networks "
                "that fire at their threshold, such as Sinabs', as sinabs does)",
            ),
        )

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """The backend with these options."""
        return replace(self, **chosen)

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> Sequence[Pass]:
        """Legalise and quantise; with sample inputs so that the chip answers as the model did."""
        from nirc.backends.speck.legalise import SpeckLegalise

        camera = self.input == "dvs"
        if calibration is None or model is None:
            return (SpeckLegalise(camera=camera), self._quantise())
        from nirc.backends.speck.calibrate import SpeckCalibrate

        calibrate = SpeckCalibrate(calibration, model, self._quantise(), not camera, seed, progress)
        return (SpeckLegalise(camera=camera), calibrate)

    def _quantise(self) -> SpeckQuantise:
        from nirc.backends.speck.quantise import Measured, SpeckQuantise

        nearest = None if self.rounding == "auto" else self.rounding == "nearest"
        return SpeckQuantise(Measured(), self.floor == "threshold", nearest)

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Never known before the layers are legal, which costs nothing."""
        return False

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Layers to cores."""
        from nirc.backends.speck.fit import fit

        return fit(
            program, discrete, target, search, log, from_camera=self.input == "dvs", readout=self.readout == "layer"
        )

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """config.json, weights.npz, deploy.py."""
        from nirc.backends.speck.emit import emit

        return emit(mapped.chip, dt_s=dt_s)

    def emulate(
        self,
        files: Mapping[str, bytes],
        raster: NDArray[np.generic],
        *,
        mode: str | None = None,
        record: bool = False,
        progress: Callable[[int], None] | None = None,
        log: Log,
    ) -> Run:
        """The rule of the cores on config.json: frame by frame as sinabs sums up, or event by event as the chip."""
        from nirc.backends.speck.config import read_config
        from nirc.backends.speck.emulate import emulate

        if "config.json" not in files:
            log.error("U605", "the bundle has no `config.json`", where="manifest.json/files", help="compile again")
            log.raise_if_errors()
        configuration = read_config(files["config.json"])
        return emulate(configuration, raster, mode=mode or self.modes[0], record=record, progress=progress)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Published costs of a step."""
        from nirc.backends.speck.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Several spikes a step, rounding, leak: each alone."""
        from nirc.backends.speck.approximations import approximations

        return approximations(discrete, self._quantise(), camera=self.input == "dvs")


BACKEND: Backend = Speck()
