"""What a model does on sample inputs: how many events a core will see, and where membranes are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.quantise import Measured
from nirc.ir.populations import Population, Source
from nirc.ir.program import Program
from nirc.semantics.run import run

CHUNK_VALUES = 1 << 24  # spikes and membranes held at a time


def measure(
    model: Program, inputs: NDArray[np.generic], progress: Callable[[int], None] | None = None
) -> Measured:
    """Run ``inputs`` (samples, steps, channels) through the discrete ``model``."""
    populations = model.nodes(Population)
    names = list(populations)
    samples, steps, _ = inputs.shape
    chunk = max(1, CHUNK_VALUES // max(1, 2 * steps * sum(p.n for p in populations.values())))
    spikes = dict.fromkeys(names, 0.0)
    above, times = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for start in range(0, samples, chunk):
        made = run(model, inputs[start : start + chunk], record=names)
        for name in names:
            spikes[name] += float(made.spikes[name].sum())
            positive = made.v[name][made.v[name] > 0]
            above[name] += float(positive.sum())
            times[name] += positive.size
        if progress is not None:
            progress(100 * min(start + chunk, samples) // samples)
    first = 0
    for name, source in model.nodes(Source).items():
        spikes[name] = float(inputs[:, :, first : first + source.n].sum())
        first += source.n
    per = max(1, samples * steps)
    membrane = {name: above[name] / times[name] for name in names if times[name]}
    return Measured({name: total / per for name, total in spikes.items()}, membrane)
