"""The samples of a report: spikes of model and chip, and the cost of each difference alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.chip.backend import KINDS
from nirc.chip.running import run_bundle
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.report.figures import Answer
from nirc.report.score import score
from nirc.semantics.run import run

MOST_STEPS = 250  # of a drawn sample
MOST_VALUES = 1 << 23  # spikes of all neurons that are recorded, or run for costs
MOST_SAMPLES = 32  # that costs are measured on

Array = NDArray[Any]
Row = dict[str, Any]


def answer(
    reference: Program,
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes],
    raster: Array,
    source: str,
) -> Answer:
    """Return the spikes of model and emulator on the first sample of ``raster`` with spikes.

    ``raster`` (samples, steps, channels) is from ``source``. Steps that make too many values for a
    picture are left out.
    """
    busy = np.flatnonzero(raster.any(axis=(1, 2)))
    sample = int(busy[0]) if len(busy) else 0
    firing = {n: p for n, p in reference.nodes(Population).items() if p.dynamics.fires}
    steps = min(MOST_STEPS, max(1, MOST_VALUES // max(1, _neurons(reference))))
    some = raster[sample : sample + 1, :steps]
    names = [name for name in firing if name in manifest["populations"]]
    model = run(reference, some, record=tuple(names)).spikes
    chip = run_bundle(manifest, files, some, record=names, progress=None, log=Log()).spikes
    return Answer(
        {name: model[name][0] for name in names},
        {name: chip[name][0] for name in names if chip[name].shape == model[name].shape},
        sample,
        source,
    )


def costs(
    reference: Program, alone: Sequence[tuple[str, Program]], raster: Array
) -> dict[str, Any]:
    """Return what each difference costs alone: agreement and error of counts.

    ``alone``: programs with one approximation of the chip, by name. ``raster``: samples, of which
    some are run.
    """
    values = raster.shape[1] * max(1, _neurons(reference))
    some = raster[: min(MOST_SAMPLES, max(1, MOST_VALUES // max(1, values)))]
    expected = run(reference, some).outputs
    rows = [score(name, run(program, some).outputs, expected, None) for name, program in alone]
    return {"samples": len(some), "differences": by_cost(rows), "exact": exact_kinds(alone)}


def by_cost(rows: list[Row]) -> list[Row]:
    """Return the rows of scores, the most expensive first."""
    return sorted(rows, key=lambda row: (row["agreement"], -row["count_error"]))


def exact_kinds(alone: Sequence[tuple[str, Program]]) -> list[str]:
    """Return the kinds of approximation that the chip does not make."""
    made = {name.partition(":")[0] for name, _ in alone}
    return [kind for kind in KINDS if kind not in made]


def _neurons(program: Program) -> int:
    return sum(p.n for p in program.nodes(Population).values())
