"""loihi2-measure: how often each neuron fires on sample inputs; what the placement weighs its
spikes by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron
from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.passes.pipeline import Calibration
from nirc.semantics.run import run

MAX_SAMPLES = 32


@dataclass(frozen=True)
class LoihiMeasure:
    """Run sample inputs through the integer form and note every neuron's spikes a step."""

    calibration: Calibration
    name: ClassVar[str] = "loihi2-measure"

    def run(self, program: Program, log: Log) -> Program:
        """Never fails."""
        inputs = self.calibration.inputs[:MAX_SAMPLES]
        names = list(program.nodes(Population))
        spikes = run(program, inputs, record=names).spikes
        measured = {}
        for name in names:
            population = program[name]
            kind = population.dynamics
            if (
                spikes[name].size
                and isinstance(kind, LoihiNeuron | BinaryInput)
                and getattr(kind, "spikes", True)
            ):
                rate = frozen(spikes[name].mean(axis=(0, 1), dtype=np.float64))
                measured[name] = replace(population, dynamics=replace(kind, rate=rate))
        return program.mapped(measured)
