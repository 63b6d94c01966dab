"""The activity of a network, measured on sample inputs or assumed: what estimates start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.chip.estimate import Activity
from nirc.ir.linear import composed
from nirc.ir.populations import Population, Projection, Source
from nirc.ir.program import Program
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
    sources = program.nodes(Source)
    populations = program.nodes(Population)
    channels = sum(s.n for s in sources.values())
    if inputs is None:
        raster = np.random.default_rng(0).random((1, ASSUMED_STEPS, channels)) < ASSUMED_RATE
        how = f"assumed: random inputs, {ASSUMED_RATE} spikes per channel and step"
    else:
        width = channels + sum(p.n for p in populations.values())
        raster = inputs[: max(1, MOST_VALUES // max(1, inputs.shape[1] * width))]
        how = f"measured on {len(raster)} sample(s)"
    recorded = run(program, raster.astype(np.int64), record=tuple(populations)).spikes
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
        how,
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
