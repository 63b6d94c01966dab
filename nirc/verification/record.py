"""Activity of every population after every pass and on the device, on some of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.api import Compiled
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Form, Program
from nirc.passes.pipeline import Step
from nirc.semantics.run import run

Array = NDArray[Any]
DEVICE = "device"
RECORDED = 64  # samples at most whose every spike is compared
RECORDED_VALUES = 1 << 26  # spikes and membranes of these samples stay below
EXECUTABLE = (Form.DISCRETE, Form.INTEGER)
REFERENCE = (
    "discretise",
    "normalise-rules",
)  # what these make is what the others are compared with


@dataclass(frozen=True)
class Stage:
    """A program that can run, and the pass that made it; ``program`` is None for the device."""

    stage: str  # float, discrete, integer or device
    after: str  # the pass
    program: Program | None


@dataclass(frozen=True)
class Recording:
    """Spikes (samples, steps, neurons) of the populations that fire, by name, for the model and
    each stage.
    """

    teacher: Mapping[str, Array]
    stages: tuple[
        tuple[Stage, Mapping[str, Array]], ...
    ]  # in the order of the passes, the device last


def stages_of(made: Compiled, steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Every pass that changed the program, from the discrete form on, then the device."""
    found, before = [], made.stages.reference
    for step in steps:
        if step.program.form in EXECUTABLE and step.program.dt_s == made.stages.continuous.dt_s:
            if step.program is not before and step.name not in REFERENCE:
                found.append(Stage(step.program.form.value, step.name, step.program))
            before = step.program
    return (*found, Stage(DEVICE, "the chip's files", None))


def record(made: Compiled, stages: Sequence[Stage], raster: Array, log: Log) -> Recording:
    """Run the first samples of ``raster`` (samples, steps, channels) through the model and every
    stage.

    Populations that a pass splits or renames are compared where their name stands for as many
    neurons as before.
    """
    some = raster[: _samples(made, raster)]
    model = made.stages.reference
    names = [name for name, p in model.nodes(Population).items() if p.dynamics.fires]
    teacher = run(model, some, record=names).spikes
    found = []
    for each in stages:
        if each.program is None:
            kept = [n for n in names if n in made.bundle.manifest["populations"]]
            spikes = made.bundle.run(some, record=kept, log=log).spikes
        else:
            known = each.program.nodes(Population)
            spikes = run(each.program, some, record=[n for n in names if n in known]).spikes
        found.append((each, {n: s for n, s in spikes.items() if s.shape == teacher[n].shape}))
    return Recording(teacher, tuple(found))


def _samples(made: Compiled, raster: Array) -> int:
    neurons = sum(len(block["index"]) for block in made.bundle.manifest["populations"].values())
    values: int = 2 * raster.shape[1] * neurons
    return max(1, min(RECORDED, (RECORDED_VALUES - 1) // max(1, values)))


def rate(spikes: Array) -> float:
    """Spikes per neuron and step."""
    return float(spikes.mean(dtype=np.float64)) if spikes.size else 0.0
