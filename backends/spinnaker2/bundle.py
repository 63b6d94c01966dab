"""The files of a bundle: written, read back, and run.

A routing table treats a packet by its key alone. So all packets are followed once, before the run.
If each slice reaches exactly the processing elements (PEs) with synapses for it, the synapses
decide everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2 import limits, mapping, tables
from nirc.backends.spinnaker2.emulate import connections, emulate
from nirc.backends.spinnaker2.mapping import Slice
from nirc.backends.spinnaker2.system import System, board_links, chip_links
from nirc.backends.spinnaker2.tables import READOUT, Tables
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.scripts import deploy_script
from nirc.mapping.floorplan import Part, Point, written
from nirc.mapping.routing import Nets
from nirc.mapping.tables.keys import Keys
from nirc.semantics.raster import Run

if TYPE_CHECKING:
    from nirc.backends.spinnaker2.fit import Chip


def emit(chip: Chip) -> dict[str, bytes]:
    """Return files by name, the same for the same network."""
    return {
        tables.FILE: tables.to_npz(chip.tables),
        mapping.FILE: chip.mapping.to_json(),
        **written(chip.floorplan, tick={"reason": chip.mapping.tick.reason}),
        "deploy.py": deploy_py(),
    }


@cache
def deploy_py() -> bytes:
    """Return a script without nirc, which checks the bundle, builds the network and runs a raster.

    The script is the same for every network and both systems. It needs numpy and py-spinnaker2.
    """
    return deploy_script(
        "nirc.backends.spinnaker2",
        files=[tables.NETWORK, mapping.MAPPING],
        modules=["nirc.files.members", "nirc.backends.spinnaker2.checks"],
        pes=limits.PES,
        chips=limits.CHIPS,
    )


def run(
    files: Mapping[str, bytes],
    raster: NDArray[np.generic],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
    log: Log,
) -> Run:
    """Run a bundle. Raises ``InputError`` (U604, U605) and ``CompileError`` (N904, N910)."""
    network = tables.from_npz(files[tables.FILE])
    check_delivery(network, mapping.from_json(files[mapping.FILE], network), log)
    result = emulate(network, raster, record=record, progress=progress)
    if record:
        silent = np.zeros(result.outputs.shape, np.int8)
        spikes = {**result.spikes, READOUT: silent}
        return Run(result.outputs, spikes, {**result.v, READOUT: result.outputs})
    return result


def slices_in(files: Mapping[str, bytes]) -> list[tuple[Point, Part]]:
    """Return the cell and the neurons of each slice in mapping.json."""
    placed = mapping.from_json(files[mapping.FILE], tables.from_npz(files[tables.FILE]))
    cell = System(board=True).at
    return [(cell(s.chip, s.core), Part(s.population, ((s.begin, s.end),))) for s in placed.slices]


def check_delivery(network: Tables, placed: mapping.Mapping, log: Log) -> None:
    """Follow every packet of every slice.

    Raises ``InputError`` (U605) for the first slice with a packet that goes astray.
    """
    from nirc.mapping.tables.walk import walk

    slices = placed.slices
    source, target = pairs(network, slices)
    chip = np.array([s.chip for s in slices], np.int32)
    core = np.array([s.core for s in slices], np.int64)
    first = np.searchsorted(source, np.arange(len(slices) + 1))
    nets = Nets(chip, first, chip[target], np.ones(len(slices)))
    links = chip_links() if placed.tables.routers == 1 else board_links()
    keys = _keys(slices, len(network.sizes()))
    for fault in walk(placed.tables, nets, links, keys, core[target], most=1):
        lost = slices[fault.net]
        places = f"`{lost.population}`, places {lost.begin} to {lost.end - 1}"
        log.add(
            UnusableBundle(
                where=f"{mapping.FILE}/entries",
                problem=f"spikes of {places}, go astray: {fault}",
                help="compile again",
            )
        )
    log.raise_if_errors()


def pairs(network: Tables, slices: tuple[Slice, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (pairs,) source and target slices with synapses between them, sorted by source."""
    of: dict[str, np.ndarray] = {name: np.zeros(n, np.int64) for name, n in network.sizes().items()}
    for i, s in enumerate(slices):
        of[s.population][s.begin : s.end] = i
    pairs = [np.zeros(0, np.int64)]
    for c in connections(network):
        pairs.append(np.unique(of[c.source][c.pre] * len(slices) + of[c.target][c.post]))
    return np.divmod(np.unique(np.concatenate(pairs)), len(slices))


def _keys(slices: tuple[Slice, ...], populations: int) -> Keys:
    nothing = np.zeros(populations, np.uint32)
    return Keys(
        np.array([s.key for s in slices], np.uint32),
        np.array([s.mask for s in slices], np.uint32),
        np.array([s.end - s.begin for s in slices], np.int64),
        nothing,
        nothing,
    )
