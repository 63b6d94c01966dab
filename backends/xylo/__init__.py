"""SynSense Xylo: one reservoir of hidden neurons and a readout, in three variants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nirc.backends.xylo.limits import MAX_INPUT_SPIKES, VARIANTS
from nirc.chip.backend import Backend
from nirc.chip.vendor import SAMNA_STUB, SYNSENSE, Package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.xylo.quantise import XyloQuantise
    from nirc.backends.xylo.training import XyloTraining
    from nirc.chip.backend import Emulation, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.target import Target
    from nirc.diagnostics.finding import Finding
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Calibration, Pass
    from nirc.semantics.raster import Run


class Xylo(Backend):
    """The backend `xylo`. The variant with the freest order of neurons is tried first."""

    name = "xylo"
    targets = VARIANTS
    packages = (
        Package(
            "samna",
            "samna",
            "deploy.py on the board",
            f'pip install --force-reinstall "samna>=0.48.6" --index-url {SYNSENSE}',
            SAMNA_STUB,
        ),
        Package("rockpool", "rockpool", "Rockpool's simulator XyloSim", "pip install rockpool"),
    )
    most_input_spikes = MAX_INPUT_SPIKES
    has_weight_bits = True

    def findings(self) -> Sequence[type[Finding]]:
        """Return the limits of the chip as diagnostics."""
        from nirc.backends.xylo import findings
        from nirc.diagnostics.finding import declared

        return declared(findings)

    def legalise(self) -> Sequence[Pass]:
        """Return the pass that makes a reservoir and a readout."""
        from nirc.backends.xylo.legalise import XyloLegalise

        return (XyloLegalise(),)

    def quantise(self) -> XyloQuantise:
        """Return the pass to integer weights and thresholds, and decays as shifts."""
        from nirc.backends.xylo.quantise import XyloQuantise

        return XyloQuantise(bits=self.weight_bits)

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the pass that quantises and imitates the model on samples."""
        from nirc.backends.xylo.calibrate import XyloCalibrate

        return (XyloCalibrate(calibration, self.quantise()),)

    def training(self) -> XyloTraining:
        """Return the numbers that training may change."""
        from nirc.backends.xylo.training import XyloTraining

        return XyloTraining(self.weight_bits)

    def cannot_fit(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if the network is above a limit of each target that rounding cannot mend."""
        from nirc.backends.xylo.fit import cannot_fit

        return cannot_fit(discrete, targets, log)

    def cannot_hold(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if there are too many channels, neurons or outputs for each target."""
        from nirc.backends.xylo.fit import cannot_fit

        return cannot_fit(discrete, targets, log, synapses=False)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Order the neurons within the limits of ``target``."""
        from nirc.backends.xylo.fit import fit

        return fit(program, discrete, target, search, log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return config.json, specification.npz and deploy.py."""
        from nirc.backends.xylo.emit import emit

        return emit(mapped.chip, mapped.target, dt_s=dt_s, clock_hz=mapped.target.max("clock"))

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run xylosim's rule, bit for bit, on config.json."""
        from nirc.backends.xylo.config import read_config
        from nirc.backends.xylo.emulate import emulate

        spec = read_config(files["config.json"])
        return emulate(spec, raster, record=asked.record, progress=asked.progress)

    def input_finding(self, most: int) -> Finding | None:
        """Return X514 for more than 15 spikes."""
        from nirc.backends.xylo.findings import InputsClipped

        return InputsClipped(spikes=most) if most > MAX_INPUT_SPIKES else None

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Yield published costs of a step."""
        from nirc.backends.xylo.estimate import estimate

        return estimate(mapped, activity, dt_s)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return the model with one difference of the chip at a time, in floating point."""
        from nirc.backends.xylo.approximations import approximations

        return approximations(discrete, self.weight_bits)


BACKEND = Xylo()
