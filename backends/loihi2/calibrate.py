"""loihi2-calibrate: weights at which the chip's spikes come nearest to the model's on sample inputs.

What differs in kind is the reset of networks that subtract their threshold: this chip's neurons go to zero. Method:
``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.loihi2.quantise import LoihiQuantise
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv
from nirc.ir.populations import Population
from nirc.ir.program import Program

RESET = (("subtract", "zero"),)  # the chip's rule by the model's
MOST_SYNAPSES = 1 << 19  # that get a second one unasked: with it a third of the smallest system's memory (?: a choice)


@dataclass(frozen=True)
class LoihiCalibrate(PlainCalibrate):
    """Quantise, then search gains and weights whose spikes on sample inputs are nearest to the model's.

    ``finer``: weights get a second synapse for what rounding leaves of them, if there is room and no kernel.
    """

    reset: tuple[tuple[str, str], ...] = RESET
    finer: bool = False
    name: ClassVar[str] = "loihi2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Raises what ``quantise`` raises."""
        assert isinstance(self.quantise, LoihiQuantise)
        if self.finer and not self.quantise.paper and _roomy(program):
            self.report["synapses"] = "two"
            return replace(self, quantise=replace(self.quantise, twice=True), finer=False).run(program, log)
        return super().run(program, log)


def _roomy(program: Program) -> bool:
    ops = [op for _, t, p in program.edges() if isinstance(program[t], Population) for op in p.ops]
    return sum(op.entries for op in ops) <= MOST_SYNAPSES and not any(isinstance(op, Conv) for op in ops)
