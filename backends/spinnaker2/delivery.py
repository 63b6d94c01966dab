"""Do keys and routing tables take each spike to the processing elements that have synapses for it,
and no others?
"""

from __future__ import annotations

import numpy as np

from nirc.backends.spinnaker2.emulate import connections
from nirc.backends.spinnaker2.geometry import board_links, chip_links
from nirc.backends.spinnaker2.mapping import FILE, Mapping, Slice
from nirc.backends.spinnaker2.tables import Tables
from nirc.diagnostics.log import Log
from nirc.mapping.keys import Keys
from nirc.mapping.nets import Nets


def check_delivery(tables: Tables, mapping: Mapping, log: Log) -> None:
    """Follow every packet of every slice; raises ``InputError`` (U605) naming the first that goes
    astray.
    """
    from nirc.mapping.tables.walk import walk

    slices = mapping.slices
    source, target = wanted(tables, slices)
    chip = np.array([s.chip for s in slices], np.int32)
    core = np.array([s.core for s in slices], np.int64)
    first = np.searchsorted(source, np.arange(len(slices) + 1))
    nets = Nets(chip, first, chip[target], np.ones(len(slices)))
    links = chip_links() if mapping.tables.routers == 1 else board_links()
    for fault in walk(mapping.tables, nets, links, _keys(tables, slices), core[target], most=1):
        lost = slices[fault.net]
        log.error(
            "U605",
            f"spikes of `{lost.population}`, neurons {lost.begin} to {lost.end - 1}, go astray: "
            f"{fault}",
            where=f"{FILE}/routers",
            help="compile again",
        )
    log.raise_if_errors()


def wanted(tables: Tables, slices: tuple[Slice, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(pairs,) source and target slice of all that have synapses between them, sorted by source."""
    of: dict[str, np.ndarray] = {name: np.zeros(n, np.int64) for name, n in tables.sizes().items()}
    for i, s in enumerate(slices):
        of[s.population][s.begin : s.end] = i
    pairs = [np.zeros(0, np.int64)]
    for c in connections(tables):
        pairs.append(np.unique(of[c.source][c.pre] * len(slices) + of[c.target][c.post]))
    key = np.unique(np.concatenate(pairs))
    return key // len(slices), key % len(slices)


def _keys(tables: Tables, slices: tuple[Slice, ...]) -> Keys:
    nothing = np.zeros(len(tables.sizes()), np.uint32)
    return Keys(
        np.array([s.key for s in slices], np.uint32),
        np.array([s.mask for s in slices], np.uint32),
        np.array([s.end - s.begin for s in slices], np.int64),
        nothing,
        nothing,
    )
