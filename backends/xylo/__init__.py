"""SynSense Xylo: one reservoir of hidden neurons and a readout, in three variants. The backend on a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nirc.backends.xylo.limits import VARIANTS
from nirc.chip.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.chip.backend import Backend, ChipOption, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Pass
    from nirc.semantics.raster import Run


class Xylo:
    """The backend `xylo`."""

    name = "xylo"
    options: tuple[ChipOption, ...] = ()
    modes = ("synchronous",)
    law_neuron = "CubaLIF"

    @property
    def targets(self) -> tuple[Target, ...]:
        """audio2, audio3, imu: the variant with the freest order of neurons is tried first."""
        return VARIANTS

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """No options: itself."""
        return self

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> Sequence[Pass]:
        """Legalise, then quantise: with sample inputs so that the chip answers as the model did."""
        from nirc.backends.xylo.legalise import XyloLegalise
        from nirc.backends.xylo.quantise import XyloQuantise

        if calibration is None or model is None:
            return (XyloLegalise(), XyloQuantise())
        from nirc.backends.xylo.calibrate import XyloCalibrate

        return (XyloLegalise(), XyloCalibrate(calibration, seed, progress))

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Whether the unrounded network is above a limit that rounding cannot mend, on each of ``targets``."""
        from nirc.backends.xylo.fit import hopeless

        return hopeless(discrete, targets, log)

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Order the neurons within the limits of ``target``."""
        from nirc.backends.xylo.fit import fit

        return fit(program, discrete, target, search, log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """config.json, specification.npz, deploy.py."""
        from nirc.backends.xylo.emit import emit

        return emit(mapped.chip, mapped.target, dt_s=dt_s, clock_hz=mapped.target.max("clock"))

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
        """xylosim's rule, bit for bit, on config.json."""
        from nirc.backends.xylo.config import read_config
        from nirc.backends.xylo.emulate import emulate
        from nirc.backends.xylo.limits import MAX_INPUT_SPIKES

        if "config.json" not in files:
            log.error("U605", "the bundle has no `config.json`", where="manifest.json/files", help="compile again")
            log.raise_if_errors()
        spec = read_config(files["config.json"])
        if raster.size and raster.max() > MAX_INPUT_SPIKES:
            log.warning(
                "X514",
                "some channels have more spikes in a step than the chip takes",
                found=int(raster.max()),
                limit=MAX_INPUT_SPIKES,
            )
        return emulate(spec, raster, record=record, progress=progress)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Published costs of a step."""
        from nirc.backends.xylo.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Reset, decays, synaptic filter, several spikes a step: each alone, in floating point."""
        from nirc.backends.xylo.approximations import approximations

        return approximations(discrete)


BACKEND: Backend = Xylo()
