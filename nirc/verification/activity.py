"""Spikes of every population after every pass and on the device, for some of the samples."""

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
TRAINED = "the trained integers of the file"
MOST_SAMPLES = 64  # whose every spike is compared
MOST_VALUES = 1 << 26  # spikes and membranes of these samples
EXECUTABLE = (Form.DISCRETE, Form.INTEGER)
REFERENCE = ("discretise", "normalise-rules")  # the passes that make the reference


@dataclass(frozen=True)
class Stage:
    """A program that can run, and the pass that made it. ``program``: None for the device."""

    stage: str  # float, discrete, integer or device
    after: str  # the pass
    program: Program | None


@dataclass(frozen=True)
class Activity:
    """Spikes (samples, steps, neurons) of the populations that fire, by name.

    ``reference``: of the model. ``stages``: in the order of the passes, the device last.
    """

    reference: Mapping[str, Array]
    stages: tuple[tuple[Stage, Mapping[str, Array]], ...]

    @property
    def device(self) -> Mapping[str, Array]:
        """Return the spikes on the device."""
        return self.stages[-1][1]

    def first_divergence(self) -> dict[str, Any] | None:
        """Return the first spike that differs from the reference, None if all spikes agree.

        Order: the first pass that changes a spike, then the earliest step, then the sample.
        """
        for stage, spikes in self.stages:
            places = [
                _first_difference(name, self.reference[name], found)
                for name, found in spikes.items()
            ]
            different = [place for place in places if place is not None]
            if different:
                first = min(different, key=lambda place: (place["step"], place["sample"]))
                return {"stage": stage.stage, "pass": stage.after} | first
        return None


def _first_difference(name: str, expected: Array, found: Array) -> dict[str, Any] | None:
    different = np.argwhere((expected != found).transpose(1, 0, 2))  # by step first
    if not len(different):
        return None
    step, sample, neuron = (int(i) for i in different[0])
    return {
        "population": name,
        "step": step,
        "sample": sample,
        "neuron": neuron,
        "expected": float(expected[sample, step, neuron]),
        "found": float(found[sample, step, neuron]),
    }


def stages_of(compiled: Compiled, steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Return each pass that changed the program, from the discrete form on, then the device."""
    stages = []
    before = compiled.stages.reference
    dt_s = compiled.stages.continuous.dt_s
    for step in steps:
        program = step.program
        if program is not None and program.form in EXECUTABLE and program.dt_s == dt_s:
            if program is not before and step.name not in REFERENCE:
                stages.append(Stage(program.form.value, step.name, program))
            before = program
    if compiled.integer is not before:  # no pass has made them
        stages.append(Stage(compiled.integer.form.value, TRAINED, compiled.integer))
    return (*stages, Stage(DEVICE, "the chip's files", None))


def record(compiled: Compiled, stages: Sequence[Stage], raster: Array, log: Log) -> Activity:
    """Run the first samples of ``raster`` (samples, steps, channels) through model and stages.

    A population is compared where a program has as many neurons under its name.
    """
    some = raster[: _samples(compiled, raster)]
    model = compiled.stages.reference
    names = [name for name, p in model.nodes(Population).items() if p.dynamics.fires]
    reference = run(model, some, record=names).spikes
    recorded = []
    for each in stages:
        if each.program is None:
            on_device = [n for n in names if n in compiled.bundle.manifest["populations"]]
            spikes = compiled.bundle.run(some, record=on_device, log=log).spikes
        else:
            known = each.program.nodes(Population)
            spikes = run(each.program, some, record=[n for n in names if n in known]).spikes
        same = {n: s for n, s in spikes.items() if s.shape == reference[n].shape}
        recorded.append((each, same))
    return Activity(reference, tuple(recorded))


def _samples(compiled: Compiled, raster: Array) -> int:
    blocks = compiled.bundle.manifest["populations"].values()
    neurons = sum(len(block["index"]) for block in blocks)
    values: int = 2 * raster.shape[1] * neurons
    return max(1, min(MOST_SAMPLES, (MOST_VALUES - 1) // max(1, values)))
