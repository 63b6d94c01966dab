"""What a simulator recorded, against the rules by which a file may be read and against the stages of a compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc import api
from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.frontend.load import load_raw
from nirc.frontend.nodes import to_layers
from nirc.ir.populations import Population, Sink
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.writers.reading import reading_of
from nirc.writers.writer import Reading, Writer, installed_writers

Array = NDArray[Any]
NEAR = 1e-4  # of the largest value: membranes that float32 computed
COMPARED = 64  # samples at most that every rule is run on


@dataclass(frozen=True)
class Recording:
    """``outputs`` (samples, steps, n) of a simulator; ``analog``: membranes, compared within ``NEAR``."""

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
        """The earliest entry that differs: its sample, step and output, what came out and what was recorded."""
        wrong = np.argwhere(~self.equal(output))
        if not len(wrong):
            return None
        sample, step, neuron = (int(k) for k in wrong[np.lexsort((wrong[:, 2], wrong[:, 0], wrong[:, 1]))[0]])
        at = (sample, step, neuron)
        found, recorded = float(output[at]), float(self.outputs[at])
        return {"sample": sample, "step": step, "output": neuron, "found": found, "recorded": recorded}


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
    return Recording(data.outputs.reshape(samples, steps, n), _is_analog(program))


def _is_analog(program: Program) -> bool:
    """Whether an output is no count of spikes: a membrane, or a weighted sum."""
    for sink in program.nodes(Sink):
        for source, p in program.into(sink):
            payload = program[source]
            fires = not isinstance(payload, Population) or getattr(payload.dynamics, "fires", True)
            if not fires or p.ops or p.biases:
                return True
    return False


def readings(usual: Reading, *, asked: bool) -> Iterator[Reading]:
    """Every reading that a file may have, ``usual`` first; only that one if it was asked for."""
    yield usual
    if asked:
        return
    for writer in installed_writers().values():
        for values in _values(writer, usual):
            if (writer.name, values) != (usual.writer.name, dict(usual.values)):
                yield Reading(writer, values)


def _values(writer: Writer, usual: Reading) -> Iterator[dict[str, str]]:
    """Every combination of a writer's choices that may matter."""
    keys = [c.key for c in writer.choices]
    for chosen in product(*([*c.values, *c.tried] for c in writer.choices)):
        values = dict(zip(keys, chosen, strict=True))
        if writer.name != usual.writer.name or values.get("discretise") in (None, usual.values.get("discretise")):
            yield values


def compare(
    model: object, options: api.Options, data: Data, log: Log, progress: Callable[[int], None] | None = None
) -> list[dict[str, Any]]:
    """``[{"from", "equal", ...}, ...]``: how much of the recorded outputs each reading gives, the best first.

    ``equal``: the share of equal entries. ``active``: the share among entries in which either is not zero, by which
    rules are ranked. ``silent``: the rule gives nothing but zeros. ``default``: the reading of a run without
    ``--from``. ``first_difference``: None where all is equal. At most ``COMPARED`` samples are run. Raises
    ``NircError`` if the file cannot be read or the outputs do not fit.
    """
    raw, name = load_raw(model, Log())
    usual = reading_of(
        raw,
        asked=options.writer,
        reset=None if options.reset == "model" else options.reset,
        discretise=options.discretise,
        log=Log(),
    )
    every = list(readings(usual, asked=options.writer is not None))
    some = replace(data, inputs=data.inputs[:COMPARED], outputs=_first(data.outputs))
    layers: dict[str, Program] = {}
    rows = []
    for done, reading in enumerate(every):
        if progress is not None:
            progress(100 * done // len(every))
        writer = reading.writer
        try:
            if writer.name not in layers:
                typed = to_layers(writer.repair(raw, Log()), Log(), name=name)
                layers[writer.name] = api.canonical(writer.rewire(typed, Log()), Log())
            program = api.lower_layers(layers[writer.name], reading, replace(options, writer=None), log=Log()).reference
        except NircError:
            if reading is usual and options.writer is not None:
                raise
            continue  # this reading asks for something that the file does not have
        row = _row(program, reading, some, log)
        rows.append(row | ({"default": True} if reading is usual and options.writer is None else {}))
    likely = [usual.writer.name, *usual.candidates]

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        name = row["from"].partition(",")[0]
        rank = likely.index(name) if name in likely else len(likely)
        worth = -row["active"], row["silent"], -row["equal"]
        return *worth, not row.get("default", False), rank, row["from"].count(",")

    return sorted(rows, key=order)


def _row(program: Program, reading: Reading, data: Data, log: Log) -> dict[str, Any]:
    kept = recording(data, program, log)
    assert kept is not None
    channels = int(np.prod(data.inputs.shape[2:]))
    output = run(program, flat_raster(data.inputs, channels, log, data.file)).output
    return {
        "from": reading.text,
        "equal": kept.share(output),
        "active": kept.active(output),
        "silent": not output.any(),
        "first_difference": kept.first_difference(output),
    }


def _first(outputs: Array | None) -> Array | None:
    return None if outputs is None else outputs[:COMPARED]


def stage_shares(kept: Recording, outputs: Mapping[str, Array]) -> dict[str, Any]:
    """``{"equal": {stage: share}, "first_difference": {stage: ...}}`` of the stages of a compilation."""
    return {
        "equal": {name: kept.share(output) for name, output in outputs.items()},
        "first_difference": {name: kept.first_difference(output) for name, output in outputs.items()},
    }
