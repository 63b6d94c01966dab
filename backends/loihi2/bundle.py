"""A bundle's files run as one network, under the names of the manifest: "neurons", and "readout"
for the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from nirc.backends.loihi2.emulate import emulate
from nirc.backends.loihi2.findings import InputsCountOnce
from nirc.backends.loihi2.tables import FILE, Tables, from_npz
from nirc.diagnostics.log import Log
from nirc.semantics.raster import Run

NEURONS, READOUT = "neurons", "readout"


def emulate_files(
    files: Mapping[str, bytes],
    raster: NDArray[np.generic],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
    log: Log,
) -> Run:
    """Run ``raster`` (samples, steps, channels) on network.npz.

    With ``record``, ``spikes`` and ``v`` hold all neurons side by side under "neurons", the
    outputs' columns under "readout". L811 warns of counts above 1. Raises ``InputError`` (U604,
    U605), ``CompileError`` (L810).
    """
    tables = from_npz(files[FILE])
    if raster.size and raster.max() > 1:
        log.add(InputsCountOnce(count=int(raster.max())))
    run = emulate(tables, raster, record=record, progress=progress)
    return _side_by_side(tables, run) if record else run


def _side_by_side(tables: Tables, run: Run) -> Run:
    names = [population.name for population in tables.populations]
    spikes = np.concatenate([run.spikes[name] for name in names], axis=2)
    v = np.concatenate([run.v[name] for name in names], axis=2)
    readout = run.output
    return Run(
        run.output,
        {NEURONS: spikes, READOUT: np.zeros_like(readout)},
        {NEURONS: v, READOUT: readout},
    )
