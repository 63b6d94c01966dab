"""Intel Loihi 2: stock LIF neurons, as Lava's fixed-point models describe them. The backend on a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nirc.backends.loihi2.limits import VARIANTS
from nirc.chip.backend import ChipOption
from nirc.chip.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.chip.backend import Backend, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Pass
    from nirc.semantics.raster import Run

CONSTANTS = ChipOption(
    "constants", ("rounded", "paper"), "rounded to nearest, or cut off as in the NIR paper's importer (K = 256)"
)
NETX = ChipOption(
    "netx", ("chains", "never"), "chains: weights of a chain without exponents, so that network.net can hold them"
)
SYNAPSES = ChipOption(
    "synapses",
    ("auto", "one", "two"),
    "two: what rounding leaves of a weight in a second one; finer, for twice the memory. auto: two with --calibrate, "
    "for small networks without kernels",
)
RESET = ChipOption(
    "reset",
    ("exact", "zero"),
    "exact: where a threshold is to be subtracted (--reset subtract), each neuron does it by a synapse to itself. "
    "zero: it is reset to zero instead",
)


@dataclass(frozen=True)
class Loihi2:
    """The backend `loihi2`. Fields: its options, see their texts above."""

    constants: str = "rounded"
    netx: str = "chains"
    synapses: str = "auto"
    reset: str = "exact"
    name = "loihi2"
    options = (CONSTANTS, NETX, SYNAPSES, RESET)
    modes = ("synchronous",)
    law_neuron = "CubaLIF"

    @property
    def subtracts(self) -> bool:
        """Whether subtraction is done by synapses; the paper's importer knew of none."""
        return self.reset == "exact" and self.constants != "paper"

    @property
    def targets(self) -> tuple[Target, ...]:
        """oheogulch, kapohopoint, halapoint: the smallest system first."""
        return VARIANTS

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """Another way to choose constants."""
        return replace(self, **dict(chosen))

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> Sequence[Pass]:
        """Legalise and quantise; with sample inputs calibrated, and rates are measured for the placement."""
        from nirc.backends.loihi2.legalise import LoihiLegalise
        from nirc.backends.loihi2.quantise import LoihiQuantise

        legalise = LoihiLegalise(self.subtracts)
        quantise = LoihiQuantise(self.constants == "paper", self.netx == "chains", self.synapses == "two")
        if calibration is None or model is None:
            return (legalise, quantise)
        from nirc.backends.loihi2.calibrate import LoihiCalibrate
        from nirc.backends.loihi2.measure import LoihiMeasure

        calibrate = LoihiCalibrate(
            quantise, calibration, model, seed=seed, progress=progress, finer=self.synapses == "auto"
        )
        return (legalise, calibrate, LoihiMeasure(calibration))

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Whether there are more neurons than the largest of ``targets`` has places."""
        from nirc.backends.loihi2.fit import hopeless

        return hopeless(discrete, targets, log)

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Cores, places and ways within the limits of ``target``."""
        from nirc.backends.loihi2.fit import fit

        return fit(program, discrete, target, search, log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """network.npz, network.net for a chain, deploy.py, mapping.json."""
        from nirc.backends.loihi2.emit import emit

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
        """Lava's fixed-point models, bit for bit, on network.npz."""
        from nirc.backends.loihi2.bundle import emulate_files

        return emulate_files(files, raster, record=record, progress=progress, log=log)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Published costs of a step."""
        from nirc.backends.loihi2.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Reset, decays, rounding, saturation: each alone, in floating point."""
        from nirc.backends.loihi2.approximations import approximations
        from nirc.backends.loihi2.quantise import LoihiQuantise

        how = LoihiQuantise(self.constants == "paper", self.netx == "chains", self.synapses == "two")
        return approximations(discrete, how, exact=self.subtracts)


BACKEND: Backend = Loihi2()
