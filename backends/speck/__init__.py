"""SynSense Speck 2e and 2f: nine event-driven convolution cores and an event camera."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.speck import limits
from nirc.chip.backend import Backend, option
from nirc.chip.vendor import SAMNA_STUB, SYNSENSE, Package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.speck.quantise import SpeckQuantise
    from nirc.backends.speck.training import SpeckTraining
    from nirc.chip.backend import Emulation, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.target import Target
    from nirc.diagnostics.finding import Finding
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Calibration, Pass
    from nirc.semantics.raster import Run


@dataclass(frozen=True)
class Speck(Backend):
    """The backend `speck`. Both variants have the same limits."""

    name = "speck"
    targets = limits.VARIANTS
    packages = (
        Package(
            "samna",
            "samna",
            "deploy.py on the board",
            f"pip install --force-reinstall samna --index-url {SYNSENSE}",
            SAMNA_STUB,
        ),
    )
    modes = ("synchronous", "events")
    law_neuron = "IF"
    has_weight_bits = True

    input: str = option(("host", "dvs"), "events from the host, or from the chip's own camera")
    readout: str = option(
        ("monitor", "layer"),
        "read spikes as monitor events, or let the readout layer vote (15 classes; the last "
        "layer's kernel memory grows fourfold)",
    )
    floor: str = option(
        ("none", "threshold"),
        "membranes fall as far as 16 bits go (NIR has no bound), or to minus the threshold "
        "(sinabs trains so)",
    )
    rounding: str = option(
        ("auto", "sums", "nearest"),
        "keep the sum of each channel's weights, or round each by itself, as sinabs does (auto: "
        "networks that fire at their threshold, such as Sinabs', as sinabs does)",
    )

    @property
    def camera(self) -> bool:
        """True if events come from the chip's own camera."""
        return self.input == "dvs"

    def findings(self) -> Sequence[type[Finding]]:
        """Return the limits of the chip as diagnostics."""
        from nirc.backends.speck import findings
        from nirc.diagnostics.finding import declared

        return declared(findings)

    def legalise(self) -> Sequence[Pass]:
        """Return the pass to layers that a core has."""
        from nirc.backends.speck.legalise import SpeckLegalise

        return (SpeckLegalise(camera=self.camera),)

    def quantise(self) -> SpeckQuantise:
        """Return the pass to integer kernels, thresholds and leaks."""
        from nirc.backends.speck.quantise import Measured, SpeckQuantise

        nearest = None if self.rounding == "auto" else self.rounding == "nearest"
        return SpeckQuantise(Measured(), self.floor == "threshold", nearest, bits=self.weight_bits)

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the pass to integers with which the chip answers as the model does."""
        from nirc.backends.speck.calibrate import SpeckCalibrate

        return (SpeckCalibrate(self.quantise(), calibration, events=not self.camera),)

    def cannot_hold(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if a matrix needs more channels or kernel memory than the cores have."""
        from nirc.backends.speck.fit import report_matrices

        report_matrices(discrete, targets[0], log)  # both variants have the same limits
        return bool(log.errors)

    def training(self) -> SpeckTraining:
        """Return the numbers that training may change."""
        from nirc.backends.speck.training import SpeckTraining

        return SpeckTraining(self.weight_bits)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Place layers on cores."""
        from nirc.backends.speck.fit import fit

        readout = self.readout == "layer"
        return fit(program, discrete, target, search, log, from_camera=self.camera, readout=readout)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return config.json, weights.npz and deploy.py."""
        from nirc.backends.speck.emit import emit

        return emit(mapped.chip, dt_s=dt_s)

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run config.json frame by frame as sinabs does, or event by event as the chip does."""
        from nirc.backends.speck.config import read_config
        from nirc.backends.speck.emulate import emulate

        configuration = read_config(files["config.json"])
        return emulate(
            configuration, raster, mode=asked.mode, record=asked.record, progress=asked.progress
        )

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Yield the latency of an event, synaptic operations and the energy at rest."""
        from nirc.chip.estimate import Figure

        latency = limits.LATENCY_S * len(mapped.chip.layers)
        paper = "abstract of the Speck paper; / 9 layers"
        yield Figure("latency of an event", latency, "s", paper, "I")
        operations = sum(activity.operations.values())
        yield Figure("synaptic operations per step", operations, "operations", activity.how, "M")
        if dt_s is not None:
            energy = limits.RESTING_W * dt_s
            source = "Nat. Commun. 2024, processor at rest only"
            yield Figure("resting energy per step", energy, "J", source, "S")

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return programs with several spikes a step, rounding or a leak alone."""
        from nirc.backends.speck.approximations import approximations

        return approximations(discrete, self.quantise(), camera=self.camera)


BACKEND = Speck()
