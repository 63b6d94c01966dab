"""Intel Loihi 2: stock LIF neurons, as Lava's fixed-point models describe them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nirc.backends.loihi2.limits import VARIANTS
from nirc.chip.backend import Backend, OnCore, option
from nirc.chip.vendor import Package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.loihi2.quantise import LoihiQuantise
    from nirc.backends.loihi2.training import LoihiTraining
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
    packages = (
        Package(
            "lava-nc",
            "lava",
            "deploy.py in Lava's simulator, or on the chip",
            "pip install lava-nc==0.10.0, with Python 3.10",
        ),
    )
    has_weight_bits = True
    most_input_spikes = 1  # messages carry no number

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
        "auto: two with --calibrate, for small networks without kernels",
    )
    reset: str = option(
        ("exact", "zero"),
        "exact: where a threshold is to be subtracted (--reset subtract), each neuron does it by "
        "a synapse to itself. zero: it is reset to zero instead",
    )
    order: str = option(
        ("regrouped", "index"),
        "regrouped: neurons of a network with lists of synapses get places beside those they talk "
        "to, if that means fewer messages between cores. index: the model's order",
    )

    @property
    def subtracts(self) -> bool:
        """True if neurons subtract by self-inhibition, which the paper's importer did not have."""
        return self.reset == "exact" and self.constants != "paper"

    def findings(self) -> Sequence[type[Finding]]:
        """Return the limits of the chip as diagnostics."""
        from nirc.backends.loihi2 import findings
        from nirc.diagnostics.finding import declared

        return declared(findings)

    def legalise(self) -> Sequence[Pass]:
        """Return the pass to what the chip has neurons and synapses for."""
        from nirc.backends.loihi2.legalise import LoihiLegalise

        return (LoihiLegalise(self.subtracts),)

    def quantise(self) -> LoihiQuantise:
        """Return the pass to integer weights, decays and thresholds."""
        from nirc.backends.loihi2.quantise import LoihiQuantise

        return LoihiQuantise(
            self.constants == "paper",
            self.netx == "chains",
            self.synapses == "two",
            bits=self.weight_bits,
        )

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return a quantisation nearest to the model, and a pass that measures rates of spikes."""
        from nirc.backends.loihi2.calibrate import LoihiCalibrate, LoihiMeasure

        finer = self.synapses == "auto"
        return LoihiCalibrate(self.quantise(), calibration, finer=finer), LoihiMeasure(calibration)

    def training(self) -> LoihiTraining:
        """Return the numbers that training may change."""
        from nirc.backends.loihi2.training import LoihiTraining

        return LoihiTraining(self.weight_bits)

    def cannot_fit(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if there are too many neurons, or too many synapses of a neuron."""
        from nirc.backends.loihi2.fan_in import has_large_matrix, surely_stored
        from nirc.backends.loihi2.fit import cannot_fit, report_first_neurons
        from nirc.diagnostics.errors import CompileError
        from nirc.passes.pipeline import run_passes

        cannot_fit(discrete, targets, log)
        if self.constants == "rounded" and has_large_matrix(discrete):
            with contextlib.suppress(CompileError):  # which the passes themselves report
                legal = run_passes(discrete, self.legalise(), log.attempt())
                part = surely_stored(legal, self.weight_bits)
                integer = run_passes(part, [self.quantise()], log.attempt())
                report_first_neurons(integer, targets[0], log)  # all variants have the same cores
        return bool(log.errors)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Return cores, places and routes within the limits of ``target``."""
        from nirc.backends.loihi2.fit import fit

        regroups = self.order == "regrouped"
        return fit(program, discrete, target, search, log, regroups=regroups)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return network.npz, network.net for a chain, mapping, floorplan and deploy.py."""
        from nirc.backends.loihi2.emit import emit

        return emit(mapped.chip)

    def on_cores(self, files: Mapping[str, bytes]) -> Sequence[OnCore]:
        """Return the parts in mapping.json, with their cores' numbers."""
        from nirc.backends.loihi2.emit import parts_in

        return parts_in(files)

    def network_once_more(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return network.net as network.npz has the network, if that is a chain."""
        from nirc.backends.loihi2.netx import network_net
        from nirc.backends.loihi2.tables import FILE, from_npz

        chain = network_net(from_npz(files[FILE]))
        return {} if chain is None else {"network.net": chain}

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run Lava's fixed-point models, bit for bit, on network.npz."""
        from nirc.backends.loihi2.emulate import emulate_files

        return emulate_files(files, raster, record=asked.record, progress=asked.progress)

    def input_finding(self, most: int) -> Finding | None:
        """Return L811 for more than 1 spike: messages are binary."""
        from nirc.backends.loihi2.findings import InputsCountOnce

        return InputsCountOnce(count=most) if most > 1 else None

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Return published costs of a step.

        Dynamic energy without the routes between cores, static power, and the least time that
        neurons and barrier take.
        """
        from nirc.backends.loihi2 import limits as costs
        from nirc.chip.estimate import Figure

        neurons = sum(activity.neurons.values())
        energy = sum(activity.operations.values()) * costs.OPERATION_J
        energy += neurons * (costs.ACCESS_J + costs.UPDATE_J)
        energy += sum(activity.spikes.values()) * (costs.SPIKE_J + costs.MESSAGE_J)
        busiest, _ = mapped.utilisation["neurons of a core"]
        least_s = busiest * (costs.ACCESS_S + costs.UPDATE_S) + costs.BARRIER_S
        chips, _ = mapped.utilisation["chips"]
        return (
            Figure("dynamic energy per step", energy, "J", costs.LOIHI_1, "I"),
            Figure("static power", costs.STATIC_W * chips, "W", costs.NOTEBOOKS, "S"),
            Figure("least time per step", least_s, "s", costs.LOIHI_1, "I", is_step=True),
        )

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return programs with reset, decays, rounding or saturation alone, in floating point."""
        from nirc.backends.loihi2.differences import approximations

        return approximations(discrete, self.quantise(), exact=self.subtracts)


BACKEND = Loihi2()
