"""Population by population: does it fire as often, and when the model's does? Which fell silent, and why?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nirc.api import Compiled
from nirc.diagnostics.log import Log
from nirc.ir.linear import composed
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.verification.distance import van_rossum
from nirc.verification.record import DEVICE, Array, Recording, rate

MOST_PRODUCTS = 1 << 22  # of a chain of operators that is unrolled to count synapses


def table(recording: Recording) -> list[dict[str, Any]]:
    """A row for each population that is on the device under its own name.

    ``rate`` and ``device_rate``: spikes per neuron and step; ``rate_error``: mean absolute difference of a neuron's
    rate; ``distance``: mean van Rossum distance of a neuron's train in a sample; ``several``: share of its spiking
    steps in which a neuron fires more than once.
    """
    device = recording.stages[-1][1]
    rows = []
    for name, got in device.items():
        expected = recording.teacher[name]
        difference = got.mean(axis=(0, 1), dtype=np.float64) - expected.mean(axis=(0, 1), dtype=np.float64)
        rows.append(
            {
                "name": name,
                "neurons": expected.shape[2],
                "rate": rate(expected),
                "device_rate": rate(got),
                "rate_error": float(np.abs(difference).mean()) if difference.size else 0.0,
                "distance": float(van_rossum(expected, got).mean()) if difference.size else 0.0,
                "several": float((got > 1).sum() / max(1, (got > 0).sum())),
            }
        )
    return rows


def say_silent(recording: Recording, made: Compiled, what_if: Mapping[str, Program], raster: Array, log: Log) -> None:
    """An error (P313) with its cause for each population that fires in the model and never on the device."""
    device = recording.stages[-1][1]
    silent = [n for n, got in device.items() if not got.any() and recording.teacher[n].any()]
    if not silent:
        return
    some = raster[: len(recording.teacher[silent[0]])]
    alone = {
        about: run(program, some, record=[n for n in silent if n in program.nodes(Population)]).spikes
        for about, program in what_if.items()
    }
    for name in silent:
        before = [s for s, _ in made.stages.discrete.into(name) if s in silent and s != name]
        log.error(
            "P313",
            f"`{name}` fires in the model and never on the chip: {_cause(name, before, recording, alone)}",
            where=made.stages.discrete[name].origins[0],
            found="0 spikes",
            limit=f"{int(recording.teacher[name].sum())} in the model, on {len(some)} sample(s)",
            help="calibrate the scales with --calibrate, or compare the stages above",
        )


def _cause(name: str, before: list[str], recording: Recording, alone: Mapping[str, Mapping[str, Array]]) -> str:
    if before:
        return f"`{before[0]}`, which drives it, is silent"
    blamed = [about for about, spikes in alone.items() if name in spikes and not spikes[name].any()]
    first = next((s for s, spikes in recording.stages if name in spikes and not spikes[name].any()), None)
    since = "" if first is None else f"on the {DEVICE}" if first.program is None else f"from pass {first.after} on"
    return f"{since}; this alone silences it: {', '.join(blamed)}" if blamed else since


def vanished(made: Compiled) -> list[dict[str, Any]]:
    """Synapses that rounded to zero, counted for each pair of populations (or input) that quantisation keeps apart."""
    legal, integer = _synapses(made.legal), _synapses(made.integer)
    return [
        {"from": source, "to": target, "synapses": n, "zero": max(0, n - integer[source, target])}
        for (source, target), n in legal.items()
        if (source, target) in integer
    ]


def _synapses(program: Program) -> dict[tuple[str, str], int]:
    """Synapses by (source, target), kernels unrolled; without those that are too many to unroll."""
    counts: dict[tuple[str, str], int] = {}
    for source, target, projection in program.edges():
        if isinstance(program[target], Population) and projection.ops:
            whole = composed(projection.ops, max_entries=MOST_PRODUCTS)
            if whole is not None and whole.entries <= MOST_PRODUCTS:
                n = int(np.count_nonzero(whole.coo()[2]))
                counts[source, target] = counts.get((source, target), 0) + n
    return counts
