"""Cores whose parts fit one core together, because they share what a chip counts once."""

from __future__ import annotations

import numpy as np

from nirc.mapping.partition.boxes import Boxes, Ints
from nirc.mapping.partition.hyperedges import Hyperedges
from nirc.mapping.partition.problem import MergedCost

MOST_TRIED = 32  # cores that each core's parts are offered to


def merged(cost: MergedCost, capacity: Ints, population: Ints, boxes: Boxes, core: Ints, edges: Hyperedges) -> Ints:
    """(parts,) cores, fewer if some can be emptied: the emptiest first, onto those that get the same spikes."""
    cores = int(core.max(initial=-1)) + 1
    members = [np.flatnonzero(core == c) for c in range(cores)]
    load = [float((cost(population[m], boxes[m]) / np.maximum(capacity, 1)).max()) for m in members]
    core = core.copy()
    for c in np.argsort(load, kind="stable").tolist():
        for other in _alike(edges, core, c, cores)[:MOST_TRIED]:
            both = np.concatenate([members[other], members[c]])
            if members[other].size and (cost(population[both], boxes[both]) <= capacity).all():
                members[other], members[c] = both, members[c][:0]
                core[both] = other
                break
    return core


def _alike(edges: Hyperedges, core: Ints, c: int, cores: int) -> list[int]:
    """The other cores, those with most of the spikes that reach ``c`` first."""
    edge, at = edges.edge_of, core[edges.target]
    mine = np.zeros(edges.source.size, bool)
    mine[edge[at == c]] = True
    pairs = np.unique(edge[mine[edge]] * cores + at[mine[edge]])
    shared = np.bincount(pairs % cores, weights=edges.weight[pairs // cores], minlength=cores)
    order = np.argsort(-shared, kind="stable")
    return [int(other) for other in order if other != c]
