"""Intel Loihi 2: stock LIF neurons, as Lava's fixed-point models describe them.

The backend on a screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.loihi2.limits import VARIANTS
from nirc.chip.backend import Backend, option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.loihi2.quantise import LoihiQuantise
    from nirc.chip.backend import Emulation, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.target import Target
    from nirc.diagnostics.finding import Finding
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Calibration, Pass
    from nirc.semantics.raster import Run


@dataclass(frozen=True)
class Loihi2(Backend):
    """The backend `loihi2`. The smallest system is tried first."""

    name = "loihi2"
    targets = VARIANTS

    constants: str = option(
        ("rounded", "paper"),
        "rounded to nearest, or cut off as in the NIR paper's importer (K = 256)",
    )
    netx: str = option(
        ("chains", "never"),
        "chains: weights of a chain without exponents, so that network.net can hold them",
    )
    synapses: str = option(
        ("auto", "one", "two"),
        "two: what rounding leaves of a weight in a second one; finer, for twice the memory. "
        "auto: two with "
        "--calibrate, for small networks without kernels",
    )
    reset: str = option(
        ("exact", "zero"),
        "exact: where a threshold is to be subtracted (--reset subtract), each neuron does it by "
        "a synapse to itself. "
        "zero: it is reset to zero instead",
    )

    @property
    def subtracts(self) -> bool:
        """Whether subtraction is done by synapses. The paper's importer knew of none."""
        return self.reset == "exact" and self.constants != "paper"

    def findings(self) -> Sequence[type[Finding]]:
        """Return the limits of the chip as diagnostics."""
        from nirc.backends.loihi2 import findings
        from nirc.diagnostics.finding import declared

        return declared(findings)

    def legalise(self) -> Sequence[Pass]:
        """Only what the chip has neurons and synapses for."""
        from nirc.backends.loihi2.legalise import LoihiLegalise

        return (LoihiLegalise(self.subtracts),)

    def quantise(self) -> LoihiQuantise:
        """Integer weights, decays and thresholds."""
        from nirc.backends.loihi2.quantise import LoihiQuantise

        return LoihiQuantise(
            self.constants == "paper", self.netx == "chains", self.synapses == "two"
        )

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Quantise so that the chip answers as the model does.

        Rates are measured for the placement.
        """
        from nirc.backends.loihi2.calibrate import LoihiCalibrate
        from nirc.backends.loihi2.measure import LoihiMeasure

        finer = self.synapses == "auto"
        return (
            LoihiCalibrate(self.quantise(), calibration, finer=finer),
            LoihiMeasure(calibration),
        )

    def cannot_fit(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Whether there are more neurons than the largest of ``targets`` has places."""
        from nirc.backends.loihi2.fit import cannot_fit

        return cannot_fit(discrete, targets, log)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Cores, places and ways within the limits of ``target``."""
        from nirc.backends.loihi2.fit import fit

        return fit(program, discrete, target, search, log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """network.npz, network.net for a chain, deploy.py, mapping.json."""
        from nirc.backends.loihi2.emit import emit

        return emit(mapped.chip, dt_s=dt_s)

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Lava's fixed-point models, bit for bit, on network.npz."""
        from nirc.backends.loihi2.bundle import emulate_files

        return emulate_files(files, raster, record=asked.record, progress=asked.progress, log=log)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Published costs of a step."""
        from nirc.backends.loihi2.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Reset, decays, rounding, saturation: each alone, in floating point."""
        from nirc.backends.loihi2.approximations import approximations

        return approximations(discrete, self.quantise(), exact=self.subtracts)


BACKEND = Loihi2()
