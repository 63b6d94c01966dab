"""Outputs that a simulator recorded, beside those that a program computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc import api
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.semantics.run import run

Array = NDArray[Any]
NEAR = 1e-4  # of the largest value: membranes that float32 computed


@dataclass(frozen=True)
class Recording:
    """``outputs`` (samples, steps, n) of a simulator; ``analog``: membranes, compared within
    ``NEAR``.
    """

    outputs: Array
    analog: bool

    def equal(self, output: Array) -> Array:
        """(samples, steps, n) whether each entry is equal."""
        if not self.analog:
            return np.asarray(output == self.outputs)
        largest = float(np.abs(self.outputs).max(initial=0.0))
        return np.asarray(np.abs(output - self.outputs) <= NEAR * max(largest, 1e-30))

    def share(self, output: Array) -> float:
        """The share of equal entries."""
        return float(self.equal(output).mean()) if output.size else 1.0

    def active(self, output: Array) -> float:
        """The share of equal entries among those in which the recording or ``output`` is not zero.

        Entries in which both are silent say nothing of a rule. 1 if there are no others.
        """
        either = ~self.equal(np.zeros(())) | (output != 0)
        return float(self.equal(output)[either].mean()) if either.any() else 1.0

    def first_difference(self, output: Array) -> dict[str, Any] | None:
        """The earliest entry that differs: its sample, step and output, what came out and what was
        recorded.
        """
        wrong = np.argwhere(~self.equal(output))
        if not len(wrong):
            return None
        sample, step, neuron = (
            int(k) for k in wrong[np.lexsort((wrong[:, 2], wrong[:, 0], wrong[:, 1]))[0]]
        )
        at = (sample, step, neuron)
        found, recorded = float(output[at]), float(self.outputs[at])
        return {
            "sample": sample,
            "step": step,
            "output": neuron,
            "found": found,
            "recorded": recorded,
        }


def recording(data: Data, program: Program, log: Log) -> Recording | None:
    """The recorded outputs of ``data`` for the sinks of ``program``; None if it has none.

    Raises ``InputError`` (U604) if their number is not that of the network's outputs.
    """
    if data.outputs is None:
        return None
    n = sum(s.n for s in program.nodes(Sink).values())
    samples, steps = data.inputs.shape[:2]
    if data.outputs.shape[:2] != (samples, steps) or int(np.prod(data.outputs.shape[2:])) != n:
        log.error(
            "U604",
            "the recorded outputs do not fit the network",
            where="outputs",
            found=f"shape {data.outputs.shape}",
            limit=f"({samples} samples, {steps} steps, {n} outputs in all)",
            help="record one value for each sample, step and output, in the order of the inputs",
            file=data.file,
        )
        log.raise_if_errors()
    return Recording(data.outputs.reshape(samples, steps, n), is_analog(program))


def is_analog(program: Program) -> bool:
    """Return whether an output is no count of spikes: a membrane, or a weighted sum."""
    for sink in program.nodes(Sink):
        for source, p in program.into(sink):
            payload = program[source]
            fires = not isinstance(payload, Population) or getattr(payload.dynamics, "fires", True)
            if not fires or p.ops or p.biases:
                return True
    return False


@dataclass(frozen=True)
class ComparedStage:
    """A recording, and the outputs of the float stage that it is compared with.

    ``before_readout``: outputs of the file as it is, without the neurons that --readout adds.
    """

    kept: Recording
    output: Array
    before_readout: bool = False

    def shares(self, outputs: Mapping[str, Array]) -> dict[str, Any]:
        """``{"equal": {stage: share}, "first_difference": {stage: ...}}`` of the stages that can be
        compared.

        The stages behind a readout cannot be compared with a recording of what comes before.
        """
        if self.before_readout:
            outputs = {"float": self.output}
        return {
            "equal": {name: self.kept.share(output) for name, output in outputs.items()},
            "first_difference": {
                name: self.kept.first_difference(output) for name, output in outputs.items()
            },
            "before_readout": self.before_readout,
        }


def compared_stage(
    data: Data, stages: api.Stages, options: api.Options, output: Array, raster: Array, log: Log
) -> ComparedStage | None:
    """The recorded outputs of ``data`` beside the float stage, None if it has none.

    ``output`` (samples, steps, n) is that of the float stage. With --readout the recording may be
    of the network in the file, or of a simulator's readout that the file lost: the one that comes
    nearer is compared.
    """
    kept = recording(data, stages.reference, log)
    if kept is None:
        return None
    found = ComparedStage(kept, output)
    plain = stages.reference
    if options.readout is not None:
        plain = api.lower_layers(
            stages.layers, stages.reading, replace(options, readout=None), log=Log()
        ).reference
    if set(plain.graph) == set(stages.reference.graph):
        return found
    before = ComparedStage(
        replace(kept, analog=is_analog(plain)), run(plain, raster).output, before_readout=True
    )
    return max(before, found, key=lambda each: each.kept.active(each.output))
