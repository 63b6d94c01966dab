"""Population by population: does it fire as often, and when the model's does? Which fell silent,
and why?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nirc.api import Compiled
from nirc.diagnostics.log import Log
from nirc.ir.linear import composed
from nirc.ir.populations import Population, Projection
from nirc.ir.program import Program
from nirc.semantics.run import run
from nirc.verification.distance import van_rossum
from nirc.verification.record import DEVICE, Array, Recording, rate

MOST_PRODUCTS = 1 << 22  # of a chain of operators that is unrolled to count synapses


def table(recording: Recording) -> list[dict[str, Any]]:
    """A row for each population that is on the device under its own name.

    ``rate`` and ``device_rate``: spikes per neuron and step; ``rate_error``: mean absolute
    difference of a neuron's rate; ``distance``: mean van Rossum distance of a neuron's train in a
    sample; ``several``: share of its spiking steps in which a neuron fires more than once;
    ``silent``: neurons that fire in the model and never on the device.
    """
    device = recording.stages[-1][1]
    rows = []
    for name, got in device.items():
        expected = recording.teacher[name]
        difference = got.mean(axis=(0, 1), dtype=np.float64) - expected.mean(
            axis=(0, 1), dtype=np.float64
        )
        rows.append(
            {
                "name": name,
                "neurons": expected.shape[2],
                "rate": rate(expected),
                "device_rate": rate(got),
                "rate_error": float(np.abs(difference).mean()) if difference.size else 0.0,
                "distance": float(van_rossum(expected, got).mean()) if difference.size else 0.0,
                "silent": int((expected.any(axis=(0, 1)) & ~got.any(axis=(0, 1))).sum()),
                "several": float((got > 1).sum() / max(1, (got > 0).sum())),
            }
        )
    return rows


def left_out(recording: Recording) -> list[str]:
    """Populations that fire in the model and are not on the device under their own name, whole."""
    device = recording.stages[-1][1]
    return [name for name in recording.teacher if name not in device]


def say_silent(
    recording: Recording,
    made: Compiled,
    what_if: Mapping[str, Program],
    lost: Sequence[Mapping[str, Any]],
    raster: Array,
    log: Log,
) -> None:
    """An error (P313) with its cause for each population that fires in the model and never on the
    device.
    """
    device = recording.stages[-1][1]
    silent = [n for n, got in device.items() if not got.any() and recording.teacher[n].any()]
    if not silent:
        return
    some = raster[: len(recording.teacher[silent[0]])]
    alone = {
        about: run(
            program, some, record=[n for n in silent if n in program.nodes(Population)]
        ).spikes
        for about, program in what_if.items()
    }
    for name in silent:
        before = [s for s, _ in made.stages.discrete.into(name) if s in silent and s != name]
        log.error(
            "P313",
            f"`{name}` fires in the model and never on the chip: "
            + "; ".join(_causes(name, before, recording, alone, lost)),
            where=made.stages.discrete[name].origins[0],
            found="0 spikes",
            limit=f"{int(recording.teacher[name].sum())} in the model, on {len(some)} sample(s)",
            help=("" if made.calibrated else "calibrate the scales with --calibrate, or ")
            + "compare the stages above",
        )


def _causes(
    name: str,
    before: list[str],
    recording: Recording,
    alone: Mapping[str, Mapping[str, Array]],
    lost: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """A silent population before it; or the pass since which it is silent, what silences it, and
    weights it lost.
    """
    if before:
        yield f"`{before[0]}`, which drives it, is silent"
        return
    first = next(
        (s for s, spikes in recording.stages if name in spikes and not spikes[name].any()), None
    )
    if first is not None:
        yield f"on the {DEVICE}" if first.program is None else f"from pass {first.after} on"
    blamed = [about for about, spikes in alone.items() if name in spikes and not spikes[name].any()]
    if blamed:
        yield f"this alone silences it: {' / '.join(blamed)}"
    for row in lost:
        if row["to"] == name and row["zero"]:
            yield f"{row['zero']} of {row['synapses']} synapses from `{row['from']}` round to zero"


def vanished(made: Compiled) -> list[dict[str, Any]]:
    """Synapses that rounded to zero, counted for each pair of populations (or input) that
    quantisation keeps apart.
    """
    legal, integer = (
        _synapses(made.legal, {}),
        _synapses(made.integer, _stand_ins(made.legal, made.integer)),
    )
    return [
        {
            "from": source,
            "to": target,
            "synapses": len(n),
            "zero": len(np.setdiff1d(n, integer[source, target])),
        }
        for (source, target), n in legal.items()
        if (source, target) in integer
    ]


def _stand_ins(legal: Program, integer: Program) -> dict[str, str]:
    """Return, by node of the legal program, the population that repeats its spikes on the chip."""
    found: dict[str, str] = {}
    for name in integer.graph:
        into = integer.into(name)
        if name not in legal.graph and len(into) == 1 and _neuron_by_neuron(into[0][1]):
            found[name] = into[0][0]
    return found


def _neuron_by_neuron(projection: Projection) -> bool:
    whole = composed(projection.ops, max_entries=MOST_PRODUCTS) if projection.ops else None
    return not projection.ops or (whole is not None and bool(np.array_equal(*whole.coo()[:2])))


def _synapses(program: Program, stand_ins: Mapping[str, str]) -> dict[tuple[str, str], Array]:
    """Pairs of neurons with a synapse by (source, target), kernels unrolled; without those that are
    too many for it.
    """
    pairs: dict[tuple[str, str], Array] = {}
    for source, target, projection in program.edges():
        while source in stand_ins:
            source = stand_ins[source]  # noqa: PLW2901
        if isinstance(program[target], Population) and projection.ops:
            whole = composed(projection.ops, max_entries=MOST_PRODUCTS)
            if whole is not None and whole.entries <= MOST_PRODUCTS:
                row, column, value = whole.coo()
                mine = (row * whole.n_in + column)[value != 0]
                key = (source, target)
                pairs[key] = np.union1d(pairs[key], mine) if key in pairs else np.unique(mine)
    return pairs
