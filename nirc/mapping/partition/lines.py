"""An order of nodes along one of the smoothest functions on their graph.

Ranges of such an order are stripes: each joins the ranges beside it only. On a sheet of neurons all
directions are equally smooth, so some angles between two functions are tried.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, coarsened
from nirc.mapping.partition.regroup import as_pairs
from nirc.mapping.partition.sectors import Floats, averaged, smoothest

CLUSTERS = 1000  # of which the functions are found
LARGEST = 4  # times the mean size of a cluster
FEWEST_ANGLES, MOST_ANGLES = 16, 180
FINER = 8  # angles more on each side of the best
WORK = 40_000_000  # pins that are looked at with all angles


def best_line(graph: Hypergraph, price: Callable[[Ints], int], *, seed: int = 0) -> Ints | None:
    """Return (nodes,) the nodes in the cheapest order along a smooth function.

    None if the clusters are too many, or have too many neighbours. ``price`` (order) -> cost.
    ``graph.size`` (nodes, 1): ones.
    """
    nodes = len(graph.size)
    state = np.array([seed * 2 + 1, WORK], np.int64)
    largest = np.array([max(LARGEST * nodes // CLUSTERS, 1)])
    levels, coarse, _ = coarsened(graph, CLUSTERS, largest, state)
    pairs = as_pairs(coarse, len(coarse.size))  # a line is worse without the light pairs
    if pairs is None:
        return None
    values = smoothest(pairs)
    for level in reversed(levels):
        values = averaged(level.fine, values[:, level.cluster])
    angles = min(max(WORK // max(graph.pin.size, 1), FEWEST_ANGLES), MOST_ANGLES)
    tangents = np.arange(-angles, angles, 2) / angles
    best = min(tangents.tolist(), key=lambda half: price(_order(values, half)))
    near = best + np.arange(-FINER, FINER + 1) / (FINER * angles)
    return _order(values, min(near.tolist(), key=lambda half: price(_order(values, half))))


def _order(values: Floats, half: float) -> Ints:
    """Return the order along an angle. ``half``: the tangent of half of it, without a cosine.

    A cosine would differ between machines.
    """
    along = (1 - half**2) * values[0] + 2 * half * values[1]
    return np.argsort(along, kind="stable")
