"""xylo-calibrate: thresholds at which each population's spike counts come closest to the model's on sample inputs.

Coordinate search: population by population in program order, every factor of a fixed grid, two rounds, judged by
the integer form. Bounded by work, not by time. Raising thresholds is what tames several spikes in a step
(targets sheet, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.legalise import is_relay
from nirc.backends.xylo.limits import THRESHOLD
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run

FACTORS = 2.0 ** (np.arange(-4, 13) / 8.0)  # 0.71 to 2.8, in steps of 9 %
ROUNDS = 2
MAX_SAMPLES = 128


@dataclass(frozen=True)
class XyloCalibrate:
    """Scale thresholds, population by population, until spike counts on sample inputs are nearest to the model's."""

    inputs: NDArray[Any]  # (samples, steps, channels)
    model: Program  # discrete
    progress: Callable[[int], None] | None = None  # told the percentage that is done
    name: ClassVar[str] = "xylo-calibrate"

    def run(self, program: Program, log: Log) -> Program:
        """Never fails; a note (D414) tells each factor that was chosen."""
        inputs = self.inputs[:MAX_SAMPLES]
        names = [n for n in _adjustable(program) if n in self.model.graph]
        taught = run(self.model, inputs, record=names).spikes
        target = {n: taught[n].sum(axis=1) for n in names}
        chosen = dict.fromkeys(names, 1.0)
        for number, name in enumerate(names * ROUNDS, start=1):
            errors = [_error(_scaled(program, chosen | {name: f}), inputs, name, target) for f in FACTORS]
            chosen[name] = float(FACTORS[int(np.argmin(errors))])
            if self.progress is not None:
                self.progress(100 * number // (len(names) * ROUNDS))
        for name, factor in chosen.items():
            log.note(
                "D414",
                f"thresholds of `{name}` are scaled by {factor:.3g} to keep its spike counts",
                where=program[name].origins[0],
                found=f"{len(inputs)} sample(s)",
            )
        return _scaled(program, chosen)


def _adjustable(program: Program) -> list[str]:
    populations = program.nodes(Population).items()
    return [
        n for n, p in populations if isinstance(p.dynamics, XyloNeuron) and not p.dynamics.silent and not is_relay(n)
    ]


def _scaled(program: Program, factors: dict[str, float]) -> Program:
    changed = {}
    for name, factor in factors.items():
        neuron: XyloNeuron = program[name].dynamics
        threshold = np.clip(np.rint(neuron.threshold * factor), *THRESHOLD).astype(np.int64)
        threshold.setflags(write=False)
        changed[name] = replace(program[name], dynamics=replace(neuron, threshold=threshold))
    return program.mapped(changed)


def _error(program: Program, inputs: NDArray[Any], name: str, target: dict[str, NDArray[Any]]) -> float:
    """Mean absolute difference of the spike counts of ``name``."""
    counts = run(program, inputs, record=[name]).spikes[name].sum(axis=1)
    return float(np.abs(counts - target[name]).mean())
