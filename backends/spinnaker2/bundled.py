"""Runs a bundle's files: spikes travel by the keys and routing tables of mapping.json to the
synapses of network.npz.

What the tables do with a packet depends on its key alone. So the walk of all packets is done once,
before the run: if each slice reaches just the processing elements that hold neurons it has synapses
to, the synapses alone say the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2 import mapping, tables
from nirc.backends.spinnaker2.delivery import check_delivery
from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.limits import SCRIPTS
from nirc.backends.spinnaker2.lower import READOUT
from nirc.diagnostics.log import Log
from nirc.semantics.raster import Run


def run(
    files: Mapping[str, bytes],
    raster: NDArray[np.generic],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
    log: Log,
) -> Run:
    """The recordings; raises ``InputError`` (U604, U605) and ``CompileError`` (N904, N910)."""
    network = tables.from_npz(files[tables.FILE])
    check_delivery(network, mapping.from_json(files[mapping.FILE], network), log)
    if raster.size and raster.max() > 1:
        log.warning(
            "N911",
            "some channels have more than one spike in a step; it is taken that each is sent",
            found=int(raster.max()),
            limit="1 for sure",
            source=SCRIPTS,
        )
    made = emulate(network, raster, record=record, progress=progress)
    if record:
        silent = np.zeros(made.output.shape, np.int8)
        return Run(made.output, {**made.spikes, READOUT: silent}, {**made.v, READOUT: made.output})
    return made
