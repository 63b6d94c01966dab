"""Reduce the traffic of small partitions by the best move or exchange, without compiled code."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hyperedges import Hyperedges
from nirc.mapping.partition.result import core_pairs

MOST_PARTS = 24
MOST_TARGETS = 20_000
SWEEPS = 8


def small(edges: Hyperedges, parts: int) -> bool:
    """Return True if this descent is as quick as loading the compiled annealing."""
    return parts <= MOST_PARTS and edges.target.size <= MOST_TARGETS


def descended(
    edges: Hyperedges, core: Ints, taken: Ints, capacity: Ints, *, local_is_free: bool
) -> Ints:
    """Return (parts,) cores with at most as much traffic. No core is added or overfilled."""
    cores = int(core.max(initial=-1)) + 1
    best = core
    least = _traffic(edges, core, cores, local_is_free)
    for _ in range(SWEEPS):
        around = best
        for other in _neighbours(around, cores):
            if not _holds(other, taken, capacity, cores):
                continue
            traffic = _traffic(edges, other, cores, local_is_free)
            if traffic < least - 1e-9:
                best = other
                least = traffic
        if best is around:
            break
    return best


def _neighbours(core: Ints, cores: int) -> list[Ints]:
    """Return all assignments that differ by one part's core or by an exchange of two parts."""
    neighbours = []
    for part in range(core.size):
        for c in range(cores):
            if c != core[part]:
                neighbours.append(core.copy())
                neighbours[-1][part] = c
    for a, b in combinations(range(core.size), 2):
        if core[a] != core[b]:
            neighbours.append(core.copy())
            neighbours[-1][[a, b]] = core[[b, a]]
    return neighbours


def _holds(core: Ints, taken: Ints, capacity: Ints, cores: int) -> bool:
    usage = np.zeros((cores, capacity.size), dtype=np.int64)
    np.add.at(usage, core, taken)
    return bool((usage <= capacity).all())


def _traffic(edges: Hyperedges, core: Ints, cores: int, local_is_free: bool) -> float:
    source, target, spikes = core_pairs(edges, core, cores)
    return float(spikes[source != target].sum() if local_is_free else spikes.sum())
