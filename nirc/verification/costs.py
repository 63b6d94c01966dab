"""The activity of a network, measured on sample inputs or assumed: what estimates start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.chip.estimate import Activity
from nirc.ir.linear import composed
from nirc.ir.populations import Population, Projection, Source
from nirc.ir.program import Program
from nirc.semantics.raster import Run
from nirc.semantics.run import run

ASSUMED_RATE = 0.1  # spikes of an input channel in a step: about the zoo's data, 0.15 to 0.3
ASSUMED_STEPS = 50
MOST_VALUES = 1 << 24  # inputs and recorded spikes of the samples that are used
MOST_PRODUCTS = 1 << 24  # of a chain of operators that is multiplied out to count its synapses


def activity(program: Program, inputs: NDArray[Any] | None) -> Activity:
    """Return means over ``inputs`` (samples, steps, channels), or over random inputs (seed 0).

    ``program``: any executable form. Random inputs have ``ASSUMED_RATE``. Samples beyond
    ``MOST_VALUES`` values are left out. ``how`` describes the inputs.
    """
    if inputs is not None:
        some = measured_part(program, inputs)
        return recorded_activity(program, some, run_recorded(program, some))
    channels = sum(s.n for s in program.nodes(Source).values())
    raster = np.random.default_rng(0).random((1, ASSUMED_STEPS, channels)) < ASSUMED_RATE
    found = recorded_activity(program, raster, run_recorded(program, raster))
    how = f"assumed: random inputs, {ASSUMED_RATE} spikes per channel and step"
    return replace(found, how=how)


def measured_part(program: Program, inputs: NDArray[Any]) -> NDArray[Any]:
    """Return the samples that are measured, of ``MOST_VALUES`` values of inputs and neurons."""
    sources, populations = program.nodes(Source), program.nodes(Population)
    width = sum(s.n for s in sources.values()) + sum(p.n for p in populations.values())
    return inputs[: max(1, MOST_VALUES // max(1, inputs.shape[1] * width))]


def run_recorded(program: Program, raster: NDArray[Any]) -> Run:
    """Run ``raster`` with the spikes of all populations."""
    return run(program, raster.astype(np.int64), record=tuple(program.nodes(Population)))


def recorded_activity(program: Program, raster: NDArray[Any], result: Run) -> Activity:
    """Return the means of a run of ``raster`` with the spikes of all populations."""
    sources = program.nodes(Source)
    populations = program.nodes(Population)
    recorded = result.spikes
    mean: dict[str, NDArray[np.float64]] = {}
    first = 0
    for name, source in sources.items():
        mean[name] = raster[:, :, first : first + source.n].mean(axis=(0, 1), dtype=np.float64)
        first += source.n
    mean |= {
        name: s.mean(axis=(0, 1), dtype=np.float64)
        for name, s in recorded.items()
        if program[name].dynamics.fires
    }
    operations = dict.fromkeys(populations, 0.0)
    for source_name, target, projection in program.edges():
        if target in operations and source_name in mean:
            operations[target] += float(
                mean[source_name] @ fan_out(projection, mean[source_name].size)
            )
    return Activity(
        {name: float(rate.sum()) for name, rate in mean.items()},
        operations,
        {name: p.n for name, p in populations.items()},
        f"measured on {len(raster)} sample(s)",
    )


def fan_out(projection: Projection, sources: int) -> NDArray[np.float64]:
    """Return (sources,) the number of targets of each source neuron.

    If a chain is too long to multiply out, count the paths instead.
    """
    if not projection.ops:
        return np.ones(sources)
    product = composed(projection.ops, max_entries=MOST_PRODUCTS)
    if product is not None:
        return np.bincount(product.coo()[1], minlength=sources).astype(np.float64)
    paths: NDArray[np.float64] = np.ones(projection.ops[-1].n_out)
    for op in reversed(projection.ops):
        target, source, _ = op.coo()
        paths = np.bincount(source, weights=paths[target], minlength=op.n_in).astype(np.float64)
    return paths
