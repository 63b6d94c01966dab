"""SpiNNaker2, one chip or a board of 48: neurons in float32 on processing elements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from nirc.backends.spinnaker2.limits import (
    DYN_BYTES,
    DYN_MOST,
    MAX_PIXELS,
    STEPS,
    VARIANTS,
    Prices,
)
from nirc.chip.backend import Backend, OnCore, option
from nirc.chip.vendor import Package

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nirc.backends.spinnaker2.cut import Request
    from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
    from nirc.backends.spinnaker2.training import Spinnaker2Training
    from nirc.chip.backend import Emulation, Mapped, Search
    from nirc.chip.estimate import Activity, Figure
    from nirc.chip.target import Target
    from nirc.diagnostics.finding import Finding
    from nirc.diagnostics.log import Log
    from nirc.ir.program import Program
    from nirc.passes.pipeline import Calibration, Pass
    from nirc.semantics.raster import Run


AUTO = "auto"
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
PAIR = re.compile(r"([^=:,]+):([0-9]{1,9})")
SECONDS = re.compile(r"[0-9]*\.?[0-9]+(e-?[0-9]{1,2})?")
LONGEST_TICK_S = 10.0


def _pairs(text: str) -> dict[str, int]:
    """Parse ``NAME:NUMBER`` with commas between them. Return {} for anything else."""
    pairs: dict[str, int] = {}
    for word in filter(None, text.split(",")):
        match = PAIR.fullmatch(word)
        if match is None or match[1] in pairs:
            return {}
        pairs[match[1]] = int(match[2])
    return pairs


def _atoms(text: str) -> bool:
    pairs = _pairs(text)
    return bool(pairs) and all(1 <= n <= MAX_PIXELS for n in pairs.values())


def _prices(text: str) -> bool:
    pairs = _pairs(text)
    known = {price.name for price in fields(Prices)}
    return bool(pairs) and pairs.keys() <= known and all(n <= DYN_MOST for n in pairs.values())


def _tick(text: str) -> bool:
    return SECONDS.fullmatch(text) is not None and 0 < float(text) <= LONGEST_TICK_S


def _steps(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None


def _memory(text: str) -> bool:
    return _steps(text) and int(text) <= DYN_MOST


def _bad(text: str) -> bool:
    from nirc.backends.spinnaker2.system import Faults

    return bool(text) and Faults.parsed(text) is not None


@dataclass(frozen=True)
class Spinnaker2(Backend):
    """The backend `spinnaker2`. One chip is tried before a board."""

    name = "spinnaker2"
    targets = VARIANTS
    has_weight_bits = True
    packages = (
        Package(
            "spinnaker2",
            "spinnaker2",
            "deploy.py on the chip, or in its simulator",
            "pip install git+https://gitlab.com/spinnaker2/py-spinnaker2.git",
        ),
    )

    atoms: str = option(
        (AUTO,),
        "neurons on a processing element (PE), by population; auto: as many as fit",
        "NAME:ATOMS,...",
        _atoms,
    )
    delays: str = option(
        ("synapses", "relays"),
        "where inputs of a population come with different delays: in the synapses, whose weights "
        "then have 4 bits, or by relay neurons",
    )
    copies: str = option(
        (AUTO, "1", "2", "4", "8"),
        "by how many spike sources a channel of an input is sent at most: its weights are sums of "
        "so many, and finer. auto: with --calibrate as many as small networks have room for, else "
        "1",
    )
    steps: str = option(
        (str(STEPS),),
        "steps of a run, for which PEs need room to play inputs and record outputs",
        "STEPS",
        _steps,
    )
    tick: str = option((AUTO,), "the system tick in seconds; auto: at least 1 ms", "SECONDS", _tick)
    memory: str = option(
        (str(DYN_BYTES),), "bytes of a PE for synapses and recordings", "BYTES", _memory
    )
    prices: str = option(
        ("as declared",),
        "what things take of that memory, by the names in `backends/spinnaker2/limits.py`",
        "NAME:NUMBER,...",
        _prices,
    )
    bad: str = option(
        ("none",),
        "what is broken: chips (9), their PEs (9:17) and links (9>2); chips are numbered x + 8 y",
        "9,9:17,9>2,...",
        _bad,
    )
    order: str = option(
        ("regrouped", "index"),
        "regrouped: neurons with lists of synapses get places beside those they talk to, if that "
        "means fewer PEs or fewer packets between them. index: the model's order",
    )

    def request(self) -> Request:
        """Return the options of the placement."""
        from nirc.backends.spinnaker2.cut import Request
        from nirc.backends.spinnaker2.system import Faults

        prices = _pairs(self.prices)
        if int(self.memory) != DYN_BYTES:
            prices["dyn_bytes"] = int(self.memory)
        return Request(
            atoms=_pairs(self.atoms),
            steps=int(self.steps),
            tick_s=None if self.tick == AUTO else float(self.tick),
            prices=Prices(**prices),
            faults=Faults.parsed(self.bad),
            regroups=self.order == "regrouped",
        )

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
        return Spinnaker2Quantise(self.delays == "relays", copies, bits=self.weight_bits)

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the pass that quantises so that the chip answers as the model does."""
        from nirc.backends.spinnaker2.calibrate import Spinnaker2Calibrate

        return (Spinnaker2Calibrate(self.quantise(), calibration, finer=self.copies == AUTO),)

    def training(self) -> Spinnaker2Training:
        """Return the numbers that training may change."""
        from nirc.backends.spinnaker2.training import Spinnaker2Training

        return Spinnaker2Training(self.weight_bits)

    def cannot_fit(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True, with N901, if there are too many neurons for the PEs of all ``targets``."""
        from nirc.backends.spinnaker2.fit import cannot_fit

        return cannot_fit(discrete, targets, self.request().faults, log)

    def cannot_hold(self, discrete: Program, targets: Sequence[Target], log: Log) -> bool:
        """Return True if there are too many neurons (N901), or inputs of a neuron (N903)."""
        from nirc.backends.spinnaker2.cut import cut
        from nirc.passes.pipeline import run_passes

        self.cannot_fit(discrete, targets, log)
        integer = run_passes(discrete, [*self.legalise(), self.quantise()], log.attempt())
        cut(integer, replace(self.request(), effort="quick"), log)
        return bool(log.errors)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Return slices on processing elements, with keys and routing tables."""
        from nirc.backends.spinnaker2.fit import fit

        request = replace(self.request(), effort=search.effort, seed=search.seed)
        return fit(program, discrete, target, request, log)

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return network.npz, mapping.json, floorplan.json and deploy.py."""
        from nirc.backends.spinnaker2.bundle import emit

        return emit(mapped.chip)

    def on_cores(self, files: Mapping[str, bytes]) -> Sequence[OnCore]:
        """Return the slices in mapping.json, with the cells of their PEs."""
        from nirc.backends.spinnaker2.bundle import slices_in

        return slices_in(files)

    def emulate(
        self, files: Mapping[str, bytes], raster: NDArray[np.generic], asked: Emulation, log: Log
    ) -> Run:
        """Run network.npz, once mapping.json is known to deliver each spike."""
        from nirc.backends.spinnaker2.bundle import run

        return run(files, raster, record=asked.record, progress=asked.progress, log=log)

    def input_finding(self, most: int) -> Finding | None:
        """Return N911 for more than 1 spike."""
        from nirc.backends.spinnaker2.findings import SeveralSpikesOfInput

        return SeveralSpikesOfInput(most=most) if most > 1 else None

    def estimate(self, mapped: Mapped, activity: Activity, dt_s: float | None) -> Iterable[Figure]:
        """Return published costs of a step."""
        from nirc.backends.spinnaker2.estimate import estimate

        return estimate(mapped, activity)

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return programs with the chip's rounding of weights, of states, ... each alone."""
        from nirc.backends.spinnaker2.approximations import approximations

        return approximations(discrete, self.quantise())


BACKEND = Spinnaker2()
