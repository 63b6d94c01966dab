"""Passes with sample inputs: weights at which the chip answers as the model, and rates of spikes.

Only the reset of networks that subtract their threshold may differ in kind: some neurons of this
chip reset to zero. Where neurons inhibit themselves (``soft_reset``), the calibration sees neurons
that subtract. Self-inhibition is added before every quantisation. Method: ``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.loihi2.legalise import LoihiLegalise, subtracted
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron
from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.backends.loihi2.soft_reset import inhibits_itself, reset_to_zero
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, LinearOp
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.rounding.rule import Rounding
from nirc.semantics.run import run

# Synapses of a network that gets a second one for each unasked. With these it takes a third of the
# smallest system's memory (?: a choice).
MOST_SYNAPSES = 1 << 19
MEASURED = 32  # samples that rates are measured on


@dataclass(frozen=True)
class LoihiCalibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes are nearest to the model's.

    ``finer``: weights get a second synapse for the rest of rounding, if there is room and no
    kernel.
    """

    quantise: LoihiQuantise
    resets_to_zero: bool = True
    finer: bool = False
    name: ClassVar[str] = "loihi2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        if self.finer and not self.quantise.paper and _has_room(program):
            self.report["synapses"] = "two"
            twice = replace(self.quantise, twice=True)
            return replace(self, quantise=twice, finer=False).run(program, log)
        populations = program.nodes(Population)
        names = tuple(name for name in populations if inhibits_itself(program, name))
        if not names:
            return super().run(program, log)
        to_zero = sum(p.n for name, p in populations.items() if reset_to_zero(program, name))
        again = PlainCalibrate(
            _Subtracting(self.quantise, names),
            self.calibration,
            to_zero > sum(populations[name].n for name in names),
            self.report,
        )
        return again.run(LoihiLegalise(exact=False).run(self.calibration.model, Log()), log)


@dataclass(frozen=True)
class _Subtracting:
    """Add self-inhibition to the populations ``names``, then ``quantise``."""

    quantise: LoihiQuantise
    names: tuple[str, ...]
    name: ClassVar[str] = LoihiQuantise.name

    def rounding_by(self, rounding: Rounding) -> _Subtracting:
        """Return the pass with another rule by which weights become integers."""
        return replace(self, quantise=self.quantise.rounding_by(rounding))

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        return self.quantise.run(subtracted(program, Log(), self.names), log)


def _has_room(program: Program) -> bool:
    ops: list[LinearOp] = []
    for _, target, p in program.edges():
        if isinstance(program[target], Population):
            ops += p.ops
    kernels = any(isinstance(op, Conv) for op in ops)
    return sum(op.entries for op in ops) <= MOST_SYNAPSES and not kernels


@dataclass(frozen=True)
class LoihiMeasure:
    """Run sample inputs through the integer form and keep every neuron's spikes a step.

    The placement weighs spikes by them.
    """

    calibration: Calibration
    name: ClassVar[str] = "loihi2-measure"

    def run(self, program: Program, log: Log) -> Program:
        """Never fails."""
        names = list(program.nodes(Population))
        spikes = run(program, self.calibration.inputs[:MEASURED], record=names).spikes
        measured = {}
        for name in names:
            population = program[name]
            kind = population.dynamics
            fires = isinstance(kind, BinaryInput) or (isinstance(kind, LoihiNeuron) and kind.spikes)
            if fires and spikes[name].size:
                rate = frozen(spikes[name].mean(axis=(0, 1), dtype=np.float64))
                measured[name] = population.with_dynamics(replace(kind, rate=rate))
        return program.mapped(measured)
