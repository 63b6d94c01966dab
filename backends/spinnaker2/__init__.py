"""SpiNNaker2, one chip or a board of 48: neurons in float32 on processing elements. The backend on a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.spinnaker2.limits import VARIANTS
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


@dataclass(frozen=True)
class Spinnaker2:
    """The backend `spinnaker2`; ``chosen``: its options as (name, value) pairs."""

    chosen: tuple[tuple[str, str], ...] = ()

    name = "spinnaker2"
    modes = ("synchronous",)
    law_neuron = "CubaLIF"

    @property
    def targets(self) -> tuple[Target, ...]:
        """One chip, a board of 48."""
        return VARIANTS

    @property
    def options(self) -> tuple[ChipOption, ...]:
        """How populations are split, what is recorded, how delays are made, what is known of the system."""
        from nirc.backends.spinnaker2.options import OPTIONS

        return OPTIONS

    @property
    def _relays(self) -> bool:
        return dict(self.chosen).get("delays") == "relays"

    @property
    def _copies(self) -> int | None:
        """None: as many as there is room for, if the network is calibrated."""
        asked = dict(self.chosen).get("copies", "auto")
        return None if asked == "auto" else int(asked)

    def having(self, chosen: Mapping[str, str]) -> Backend:
        """The backend with these options."""
        return Spinnaker2(tuple(sorted({**dict(self.chosen), **chosen}.items())))

    def passes(
        self,
        calibration: NDArray[np.generic] | None = None,
        model: Program | None = None,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> Sequence[Pass]:
        """Legalise and quantise; with sample inputs calibrated."""
        from nirc.backends.spinnaker2.legalise import Spinnaker2Legalise
        from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise

        quantise = Spinnaker2Quantise(self._relays, self._copies or 1)
        if calibration is None or model is None:
            return (Spinnaker2Legalise(), quantise)
        from nirc.backends.spinnaker2.calibrate import Spinnaker2Calibrate

        calibrate = Spinnaker2Calibrate(
            quantise, calibration, model, seed=seed, progress=progress, finer=self._copies is None
        )
        return (Spinnaker2Legalise(), calibrate)

    def hopeless(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Never known before the populations are split."""
        return False

    def fit(self, program: Program, discrete: Program, target: Target, search: Search, log: Log) -> Mapped | None:
        """Slices to processing elements, keys and routing tables."""
        from nirc.backends.spinnaker2.fit import fit
        from nirc.backends.spinnaker2.options import request

        return fit(program, discrete, target, request(dict(self.chosen)), log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """network.npz, mapping.json, deploy.py."""
        from nirc.backends.spinnaker2.emit import emit

        return emit(mapped.chip)

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
        """The chip's rules on network.npz, once mapping.json is known to deliver each spike where it belongs."""
        from nirc.backends.spinnaker2.bundled import run

        return run(files, raster, record=record, progress=progress, log=log)

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Published costs of a step."""
        from nirc.backends.spinnaker2.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Rounding of weights, and of constants, each alone."""
        from nirc.backends.spinnaker2.approximations import approximations
        from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise

        return approximations(discrete, Spinnaker2Quantise(self._relays, self._copies or 1))


BACKEND: Backend = Spinnaker2()
