"""loihi2-calibrate: weights at which the chip's spikes come nearest to the model's on sample
inputs.

What may differ in kind is the reset of networks that subtract their threshold: some of this chip's
neurons go to zero. Where synapses subtract it (``soft_reset``), the calibration sees neurons that
do so by themselves; the synapses come before every quantisation. Method: ``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.loihi2.legalise import LoihiLegalise, subtracted
from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.backends.loihi2.soft_reset import has_brake, reset_to_zero
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.rounding.rule import Rounding

MOST_SYNAPSES = (
    1 << 19
)  # that get a second one unasked: with it a third of the smallest system's memory (?: a choice)


@dataclass(frozen=True)
class LoihiCalibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the
    model's.

    ``finer``: weights get a second synapse for what rounding leaves of them, if there is room and
    no kernel.
    """

    quantise: LoihiQuantise
    resets_to_zero: bool = True
    finer: bool = False
    name: ClassVar[str] = "loihi2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        if self.finer and not self.quantise.paper and _roomy(program):
            self.report["synapses"] = "two"
            return replace(self, quantise=replace(self.quantise, twice=True), finer=False).run(
                program, log
            )
        names = tuple(name for name in program.nodes(Population) if has_brake(program, name))
        if not names:
            return super().run(program, log)
        lost = sum(
            program[name].n for name in program.nodes(Population) if reset_to_zero(program, name)
        )
        to_zero = lost > sum(program[name].n for name in names)
        again = PlainCalibrate(
            _Subtracting(self.quantise, names), self.calibration, to_zero, self.report
        )
        return again.run(LoihiLegalise(exact=False).run(self.calibration.model, Log()), log)


@dataclass(frozen=True)
class _Subtracting:
    """Synapses that subtract the thresholds of the populations ``names``, then ``quantise``."""

    quantise: LoihiQuantise
    names: tuple[str, ...]
    name: ClassVar[str] = LoihiQuantise.name

    def rounding_by(self, rounding: Rounding) -> _Subtracting:
        """The same with another rule by which weights become whole."""
        return replace(self, quantise=self.quantise.rounding_by(rounding))

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        return self.quantise.run(subtracted(program, Log(), self.names), log)


def _roomy(program: Program) -> bool:
    ops = [op for _, t, p in program.edges() if isinstance(program[t], Population) for op in p.ops]
    return sum(op.entries for op in ops) <= MOST_SYNAPSES and not any(
        isinstance(op, Conv) for op in ops
    )
