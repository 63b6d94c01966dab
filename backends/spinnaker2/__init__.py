"""SpiNNaker2, one chip or a board of 48: neurons in float32 on processing elements.

The backend on a screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.spinnaker2.limits import VARIANTS
from nirc.backends.spinnaker2.options import AUTO, Spinnaker2Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
    from nirc.chip.backend import Emulation, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.target import Target
    from nirc.diagnostics.finding import Finding
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Calibration, Pass
    from nirc.semantics.raster import Run


@dataclass(frozen=True)
class Spinnaker2(Spinnaker2Options):
    """The backend `spinnaker2`. One chip is tried before a board."""

    name = "spinnaker2"
    targets = VARIANTS

    def findings(self) -> Sequence[type[Finding]]:
        """Return the limits of the chip as diagnostics."""
        from nirc.backends.spinnaker2 import findings
        from nirc.diagnostics.finding import declared

        return declared(findings)

    def legalise(self) -> Sequence[Pass]:
        """Return the pass that leaves only neurons and synapses of the chip."""
        from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise

        return (Spinnaker2Legalise(),)

    def quantise(self) -> Spinnaker2Quantise:
        """Return the pass that makes integer weights and float32 parameters."""
        from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise

        copies = 1 if self.copies == AUTO else int(self.copies)
        return Spinnaker2Quantise(self.delays == "relays", copies)

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the pass that quantises so that the chip answers as the model does."""
        from nirc.backends.spinnaker2.calibrate import Spinnaker2Calibrate

        return (Spinnaker2Calibrate(self.quantise(), calibration, finer=self.copies == AUTO),)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Return slices on processing elements, with keys and routing tables."""
        from nirc.backends.spinnaker2.fit import fit

        return fit(program, discrete, target, self.request(), log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return network.npz, mapping.json and deploy.py."""
        from nirc.backends.spinnaker2.bundle import emit

        return emit(mapped.chip)

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run network.npz, once mapping.json is known to deliver each spike."""
        from nirc.backends.spinnaker2.bundle import run

        return run(files, raster, record=asked.record, progress=asked.progress, log=log)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Return published costs of a step."""
        from nirc.backends.spinnaker2.estimate import estimate

        return estimate(mapped, activity)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return programs with the chip's rounding of weights, of states, ... each alone."""
        from nirc.backends.spinnaker2.approximations import approximations

        return approximations(discrete, self.quantise())


BACKEND = Spinnaker2()
