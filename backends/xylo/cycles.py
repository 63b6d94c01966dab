"""Clock cycles of a step, for real-time operation.

Formula restated from rockpool, ``devices/xylo/*/power_cycles_model.py`` (cost-models sheet), with
every neuron firing.
"""

from __future__ import annotations

import math

import numpy as np

from nirc.backends.xylo.specification import Specification
from nirc.chip.target import Target
from nirc.diagnostics.log import Log


def worst_case(chip: Specification, target: Target) -> int:
    """Cycles of a step in which every input and every neuron is active."""
    n_in, n_hidden = chip.weights_in.shape[:2]
    n_out = chip.weights_out.shape[1]
    reached = min(n_hidden, target.max("neurons that inputs reach"))
    read = min(n_hidden, target.max("neurons that outputs leave from"))
    entries = int(np.count_nonzero(chip.weights_rec.any(axis=2)))
    inputs = n_in * (1 + 3.5 * reached)
    hidden, outputs = 22 * n_hidden, 12 * n_out
    cycles: float = inputs + 3 * n_hidden + 7 * entries + read * (1 + 8 * n_out) + hidden + outputs
    return math.ceil(cycles)


def report(chip: Specification, target: Target, dt_s: float | None, log: Log) -> None:
    """Note (X511) if a worst-case step is longer than dt: only real-time operation is bound by
    it.
    """
    if dt_s is None:
        return
    cycles, clock = worst_case(chip, target), target.max("clock")
    if cycles > clock * dt_s:
        log.note(
            "X511",
            f"in real time a step with everything active takes longer than dt = {dt_s:g} s",
            found=f"{cycles} cycles, {cycles / clock:.3g} s at {clock / 1e6:g} MHz",
            limit=f"{clock * dt_s:.0f} cycles",
            source="cycle formula of rockpool, power_cycles_model.py",
            help="use accelerated time, or a larger time step",
        )
