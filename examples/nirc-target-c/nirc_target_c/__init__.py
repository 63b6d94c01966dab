"""The target `c`: one C file in integers, for any processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.plain import PlainCalibrate
from nirc.chip.backend import Backend, Block, Emulation, Mapped, Search, option
from nirc.chip.target import Target
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration, Pass
from nirc.semantics.raster import Run, spike_counts
from nirc.semantics.run import run
from nirc_target_c import approximations, compiled, findings, source, tables
from nirc_target_c.bounds import COUNT
from nirc_target_c.legalise import CLegalise
from nirc_target_c.limits import C99, report_excesses, utilisation
from nirc_target_c.quantise import CQuantise


@dataclass(frozen=True)
class C(Backend):
    """The backend `c`."""

    name = "c"
    targets = (C99,)
    modes = ("synchronous", "compiled") if compiled.COMPILER else ("synchronous",)
    most_input_spikes = COUNT

    bits: str = option(("16", "8"), "the bits of a weight; 8: half the memory")

    def findings(self) -> Sequence[type[Finding]]:
        """Return the warning about large counts."""
        return (findings.CountsAreBytes,)

    def legalise(self) -> Sequence[Pass]:
        """Fold gains into weights, and chains of operators into one."""
        return (CLegalise(),)

    def quantise(self) -> CQuantise:
        """Round weights, decays and constants."""
        return CQuantise(int(self.bits))

    def calibrate(self, calibration: Calibration) -> Sequence[Pass]:
        """Return the pass that rounds so that the program answers as the model does."""
        return (PlainCalibrate(self.quantise(), calibration),)

    def fit(
        self, program: Program, discrete: Program, target: Target, search: Search, log: Log
    ) -> Mapped | None:
        """Return the tables: populations in the order of signals, and what leads to them."""
        report_excesses(program, target, log)
        if log.errors:
            return None
        chip, labels = tables.tables_of(program)
        shown = [program.into(sink)[0][0] for sink in program.nodes(Sink)]
        columns: dict[str, range] = {}
        for name in shown:
            first = sum(len(each) for each in columns.values())
            columns.setdefault(name, range(first, first + program[name].n))
        blocks = {}
        for name, population in program.nodes(Population).items():
            neurons = population.dynamics
            part, index = labels[name], range(population.n)
            if name in columns and not neurons.units.fires:
                part, index = tables.READOUT, columns[name]
            blocks[name] = Block(part, tuple(index), tuple(neurons.scale.tolist()))
        output_map = tuple(chain.from_iterable(columns[name] for name in shown))
        return Mapped(
            target,
            chip,
            tuple(range(chip.channels)),
            output_map,
            (0,) * len(output_map),
            blocks,
            utilisation(program, target),
            silent_outputs=any(not program[name].dynamics.units.fires for name in shown),
        )

    def emit(self, mapped: Mapped, *, dt_s: float | None) -> dict[str, bytes]:
        """Return network.npz, network.h and network.c."""
        return {tables.FILE: tables.to_npz(mapped.chip), **source.files_of(mapped.chip)}

    def emulate(
        self,
        files: Mapping[str, bytes],
        raster: NDArray[np.generic],
        asked: Emulation,
        log: Log,
    ) -> Run:
        """Run network.npz, of which network.c must be the text, or compile network.c and run it."""
        chip = tables.from_npz(files[tables.FILE])
        program = tables.program_of(chip)
        for name, text in source.files_of(chip).items():
            if files[name] != text:
                problem = f"{name} is not what {tables.FILE} says"
                help_ = "compile the model again"
                raise UnusableBundle(where=name, problem=problem, help=help_).refusal()
        counts = np.minimum(spike_counts(raster, chip.channels), COUNT)
        if asked.mode == "compiled":
            done = compiled.run(chip, files, counts)
        else:
            record = list(program.nodes(Population)) if asked.record else ()
            done = run(program, counts, record=record, progress=asked.progress)
        silent = np.zeros(done.outputs.shape, np.int8)
        return Run(
            done.outputs,
            {**done.spikes, tables.READOUT: silent},
            {**done.v, tables.READOUT: done.outputs},
        )

    def input_finding(self, most: int) -> Finding | None:
        """Warn of counts that are no bytes."""
        return findings.CountsAreBytes(most=most) if most > COUNT else None

    def approximations(self, discrete: Program) -> Sequence[tuple[str, Program]]:
        """Return the model with one kind of rounding each."""
        return approximations.approximations(discrete, self.quantise())


BACKEND = C()
