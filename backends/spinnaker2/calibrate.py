"""spinnaker2-calibrate: weights with spikes on sample inputs nearest to the model's.

The chip's neurons are the model's. Its weights have 8 bits, or 4 where there are delays. Method:
``nirc.calibration``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from nirc.backends.spinnaker2.limits import MAX_ATOMS, PES, Prices
from nirc.backends.spinnaker2.quantise import Spinnaker2Quantise
from nirc.backends.spinnaker2.spike_sources import Copy
from nirc.calibration.plain import PlainCalibrate
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population, Source, populations_of
from nirc.ir.program import Program

CHOICES = (8, 4, 2)  # of ``--set copies``, besides 1
# The default in networks that take, with copies, at most a quarter of a chip and half of a PE for a
# neuron (?: choices).
MOST_SLICES = PES // 4
MOST_SYNAPSES = PES * Prices.dyn_bytes // Prices.synapse_bytes // 4
MOST_FAN_IN = Prices.dyn_bytes // (Prices.synapse_bytes + Prices.row_header) // 2


@dataclass(frozen=True)
class Spinnaker2Calibrate(PlainCalibrate):
    """Quantise, then search gains and weights with spikes on sample inputs nearest to the model's.

    ``finer``: inputs have several spike sources, as far as there is room.
    """

    quantise: Spinnaker2Quantise
    finer: bool = False
    name: ClassVar[str] = "spinnaker2-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Return the calibrated integer program. Raises the errors of ``quantise``."""
        copies = roomy(program) if self.finer else self.quantise.copies
        quantise = replace(self.quantise, copies=copies)
        plain = PlainCalibrate(quantise, self.calibration, report=self.report)
        integer = plain.run(program, log)
        if populations_of(integer, Copy):
            self.report["copies"] = copies
        return integer


def roomy(program: Program) -> int:
    """Return the default copies of inputs, 1 if there is no room for more."""
    return next((copies for copies in CHOICES if _small(program, copies)), 1)


def _small(program: Program, copies: int) -> bool:
    times = {name: copies if isinstance(program[name], Source) else 1 for name in program.graph}
    slices = sum(-(-program[name].n * k // MAX_ATOMS) for name, k in times.items())
    synapses = fan_in = 0
    for name in program.nodes(Population):
        into = program.into(name)
        for source, projection in into:
            synapses += times[source] * sum(op.entries for op in projection.ops)
        fan_in = max(fan_in, sum(times[source] * program[source].n for source, _ in into))
    return slices <= MOST_SLICES and synapses <= MOST_SYNAPSES and fan_in <= MOST_FAN_IN
