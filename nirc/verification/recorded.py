"""Outputs that a simulator recorded, beside the outputs that a program computes.

They also prove which neurons the file lacks behind its last layer (``lost_layer``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc import api
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import RasterDoesNotFit
from nirc.files.data import Data
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.semantics.run import run

Array = NDArray[Any]
NEAR = 1e-4  # of the largest value: membranes that float32 computed
SAME = 1e-4  # relative: decays and gains that float32 computed
MOST_DECAYS = 4  # in a message
TINY = 1e-30  # instead of a largest value of 0


@dataclass(frozen=True)
class Recording:
    """``outputs`` (samples, steps, n). ``analog``: they are membranes, compared within ``NEAR``."""

    outputs: Array
    analog: bool

    def equal(self, output: Array) -> Array:
        """Return (samples, steps, n): True for each equal entry."""
        if not self.analog:
            return np.asarray(output == self.outputs)
        largest = float(np.abs(self.outputs).max(initial=0.0))
        return np.asarray(np.abs(output - self.outputs) <= NEAR * max(largest, TINY))

    def share(self, output: Array) -> float:
        """Return the share of equal entries."""
        return float(self.equal(output).mean()) if output.size else 1.0

    def active(self, output: Array) -> float:
        """Return the share of equal entries among those in which either is not zero.

        Entries in which both are silent tell nothing about a rule. Without others it is 1.
        """
        either = ~self.equal(np.zeros(())) | (output != 0)
        return float(self.equal(output)[either].mean()) if either.any() else 1.0

    def first_difference(self, output: Array) -> dict[str, Any] | None:
        """Return the earliest entry that differs: its place, and both values."""
        wrong = np.argwhere(~self.equal(output))
        if not len(wrong):
            return None
        order = np.lexsort((wrong[:, 2], wrong[:, 0], wrong[:, 1]))
        sample, step, neuron = (int(k) for k in wrong[order[0]])
        return {
            "sample": sample,
            "step": step,
            "output": neuron,
            "found": float(output[sample, step, neuron]),
            "recorded": float(self.outputs[sample, step, neuron]),
        }


def recording(data: Data, program: Program, log: Log) -> Recording | None:
    """Return the recorded outputs of ``data`` for the sinks of ``program``, None without any.

    Raises ``InputError`` (U604) if their number is not that of the network's outputs.
    """
    if data.outputs is None:
        return None
    n = sum(s.n for s in program.nodes(Sink).values())
    samples, steps = data.inputs.shape[:2]
    if data.outputs.shape[:2] != (samples, steps) or int(np.prod(data.outputs.shape[2:])) != n:
        misfit = RasterDoesNotFit(
            where="outputs",
            problem="the recorded outputs do not fit the network",
            found=f"shape {data.outputs.shape}",
            limit=f"({samples} samples, {steps} steps, {n} outputs in all)",
            help="record one value for each sample, step and output, in the order of the inputs",
            file=data.file,
        )
        log.add(misfit)
        log.raise_if_errors()
    return Recording(data.outputs.reshape(samples, steps, n), is_analog(program))


def is_analog(program: Program) -> bool:
    """Return True if an output is a membrane or a weighted sum instead of a spike count."""
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

    ``before_readout``: outputs of the unchanged file, without the neurons that --readout adds.
    """

    recording: Recording
    output: Array
    before_readout: bool = False

    def shares(self, outputs: Mapping[str, Array]) -> dict[str, Any]:
        """Return ``equal`` (the share) and ``first_difference`` of the stages, each by stage.

        The stages behind a readout cannot be compared with a recording of the signal before.
        """
        if self.before_readout:
            outputs = {"float": self.output}
        known = self.recording
        return {
            "equal": {name: known.share(output) for name, output in outputs.items()},
            "first_difference": {
                name: known.first_difference(output) for name, output in outputs.items()
            },
            "before_readout": self.before_readout,
        }


def compared_stage(
    data: Data, stages: api.Stages, options: api.Options, output: Array, raster: Array, log: Log
) -> ComparedStage | None:
    """Return the recorded outputs of ``data`` beside the float stage, None without any.

    ``output`` (samples, steps, n): of the float stage. With --readout, the recording is of the
    network in the file, or of a readout that the file lost. The nearer of both is compared.
    """
    known = recording(data, stages.reference, log)
    if known is None:
        return None
    with_readout = ComparedStage(known, output)
    plain = stages.reference
    if options.readout is not None:
        plain = api.lower_layers(
            stages.layers, stages.reading, replace(options, readout=None), log=Log()
        ).reference
    if set(plain.graph) == set(stages.reference.graph):
        return with_readout
    before = ComparedStage(
        replace(known, analog=is_analog(plain)), run(plain, raster).outputs, before_readout=True
    )
    return max(before, with_readout, key=lambda each: each.recording.active(each.output))


def lost_layer(program: Program, known: Recording, output: Array) -> str:
    """Return a sentence about neurons that the file lacks, "" if the recording shows none.

    ``output`` (samples, steps, n): of the file. The proof of leaky integrators is their recurrence:
    every recorded value is a share of the value before, plus a gain times the file's output.
    """
    recorded = known.outputs
    if known.share(output) == 1:
        return ""
    counts = bool((recorded % 1 == 0).all())
    if not _ends_in_weights(program):
        if known.analog or counts:
            return ""
        return (
            "the recorded outputs are no spike counts, and the file ends in spiking neurons: "
            "record their spikes"
        )
    if counts and recorded.any() and (recorded >= 0).all() and (output % 1 != 0).any():
        return (
            "the recorded outputs are spikes, and the file ends in a linear layer: it lacks the "
            "last neurons. Export them, or add --readout if:THRESHOLD"
        )
    fitted = _integrators(recorded, output)
    return "" if fitted is None else _lost_integrators(*fitted)


def _lost_integrators(decay: Array, gain: Array) -> str:
    lost = (
        "the recorded outputs are those of leaky integrators behind the last layer, which "
        "the file lacks: "
    )
    if np.ptp(decay) <= SAME and (abs(gain - 1) <= SAME).all():
        return f"{lost}--readout li:{1 / (1 - decay.mean()):.5g} adds them"
    decays = ", ".join(f"{d:.5g}" for d in decay[:MOST_DECAYS])
    more = ", ..." * (len(decay) > MOST_DECAYS)
    gains = ""
    if (abs(gain - 1) > SAME).any():
        gains = f" and multiply their input by {gain.mean():.5g}"
    return (
        f"{lost}they keep {decays}{more} of themselves in a step{gains}. Add them to the file as "
        "nir.LI(tau=dt / (1 - kept), r=tau / dt, v_leak=0)"
    )


def _ends_in_weights(program: Program) -> bool:
    into = chain.from_iterable(map(program.into, program.nodes(Sink)))
    return any(
        p.ops or p.biases or not isinstance(program[source], Population) for source, p in into
    )


def _integrators(recorded: Array, output: Array) -> tuple[Array, Array] | None:
    """Return decay and gain (n,) of integrators from ``output`` to ``recorded``, or None."""
    before = np.concatenate([np.zeros_like(recorded[:, :1]), recorded[:, :-1]], axis=1)
    largest = max(float(np.abs(recorded).max(initial=0.0)), TINY)
    decays = []
    gains = []
    for neuron in range(recorded.shape[2]):
        parts = np.stack([before[..., neuron].ravel(), output[..., neuron].ravel()], axis=1)
        wanted = recorded[..., neuron].ravel()
        (decay, gain), *_ = np.linalg.lstsq(parts, wanted, rcond=None)
        residual = np.abs(parts @ (decay, gain) - wanted).max(initial=0.0)
        if residual > SAME * largest or not SAME < decay < 1 - 1e-9:
            return None
        decays.append(float(decay))
        gains.append(float(gain))
    return np.array(decays), np.array(gains)
