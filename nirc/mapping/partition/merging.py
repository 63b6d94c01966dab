"""Merge cores whose parts fit one core together, because the chip counts shared resources once."""

from __future__ import annotations

import numpy as np

from nirc.mapping.partition.boxes import Boxes, Ints
from nirc.mapping.partition.hyperedges import Hyperedges
from nirc.mapping.partition.problem import MergedCost

MOST_TRIED = 32  # other cores to try for each core's parts


def merged(
    cost: MergedCost, capacity: Ints, population: Ints, boxes: Boxes, core: Ints, edges: Hyperedges
) -> Ints:
    """Return (parts,) fewer cores: the emptiest are emptied first, onto cores with equal spikes."""
    cores = int(core.max(initial=-1)) + 1
    members = [np.flatnonzero(core == c) for c in range(cores)]
    load = [float((cost(population[m], boxes[m]) / np.maximum(capacity, 1)).max()) for m in members]
    core = core.copy()
    for c in np.argsort(load, kind="stable").tolist():
        for other in _alike(edges, core, c, cores)[:MOST_TRIED]:
            both = np.concatenate([members[other], members[c]])
            if members[other].size and (cost(population[both], boxes[both]) <= capacity).all():
                members[other] = both
                members[c] = members[c][:0]
                core[both] = other
                break
    return core


def _alike(edges: Hyperedges, core: Ints, c: int, cores: int) -> list[int]:
    """Return the other cores, ordered by the spikes that they share with ``c``, falling."""
    edge = edges.edge_of
    at = core[edges.target]
    reaching = np.zeros(edges.source.size, bool)
    reaching[edge[at == c]] = True
    pairs = np.unique(edge[reaching[edge]] * cores + at[reaching[edge]])
    shared = np.bincount(pairs % cores, weights=edges.weight[pairs // cores], minlength=cores)
    order = np.argsort(-shared, kind="stable")
    return [int(other) for other in order if other != c]
