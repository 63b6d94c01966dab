"""Blocks of clusters that lie side by side: cuts through the smoothest functions on a graph.

Neurons on a sheet or a ring have neighbours only. Bisections that grow from a random node cut such
networks badly. The smoothest functions tell where a cluster lies (Hall 1970, "An r-dimensional
quadratic placement algorithm"). They are the eigenvectors of the normalised adjacency with the
highest eigenvalues, found by repeated multiplication. Cuts go along one function and the other in
turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.mapping.chance import first_state, following
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph
from nirc.native.loops import in_c

ROUNDS = 2000  # multiplications
AVERAGES = 10  # of all neurons
FINE_ANGLES = 24  # of the cuts, within a right angle
TANGENT = 0.4142135623730951  # of half a right angle's half
PASSES = 8  # work of ``fine_sectors`` for each pin

Floats = NDArray[np.float64]


def smoothest(pairs: Hypergraph) -> Floats:
    """Return (2, nodes) the smoothest functions. ``pairs``: every net has two pins."""
    root = np.empty(len(pairs.size))
    found = np.empty((3, len(root)))
    ends = pairs.pin.reshape(-1, 2)
    _smoothest(ends, pairs.weight.astype(np.float64), root, ROUNDS, found)
    smooth: Floats = found[1:] / root
    return smooth


def sectors(smooth: Floats, size: Ints, blocks: int, angles: int) -> Iterator[Ints]:
    """Yield (nodes,) blocks, for some angles of the cuts. ``size`` (nodes, resources)."""
    u, v = smooth
    bulk = (size / np.maximum(size.sum(axis=0), 1)).mean(axis=1)
    for k in range(angles):
        half = TANGENT * k / angles * 2  # the tangent of half the angle
        cosine, sine = (1 - half**2) / (1 + half**2), 2 * half / (1 + half**2)
        block = np.zeros(len(size), np.int64)
        rotated = (cosine * u - sine * v, sine * u + cosine * v)
        _cut(np.arange(len(block)), rotated, bulk, block, 0, blocks)
        yield block


def fine_sectors(graph: Hypergraph, smooth: Floats, blocks: int, state: Ints) -> Ints:
    """Return (nodes,) the cheapest blocks by sectors. ``smooth`` (2, nodes): by clusters.

    Some averages over the neighbours tell the neurons of a cluster apart.
    """
    state[1] -= PASSES * graph.pin.size
    values = averaged(graph, smooth)
    return min(sectors(values, graph.size, blocks, FINE_ANGLES), key=graph.cost)


def averaged(graph: Hypergraph, smooth: Floats) -> Floats:
    """Return functions averaged over the neighbours of each node. ``smooth`` (2, nodes)."""
    share = graph.weight / np.maximum(np.diff(graph.begin) - 1, 1)
    values = np.array(smooth, order="C")
    _average(graph.begin, graph.pin, share, AVERAGES, values)
    return values


def _cut(
    nodes: Ints, along: tuple[Floats, Floats], bulk: Floats, block: Ints, first: int, blocks: int
) -> None:
    """Write the blocks ``first``, ... of ``nodes``, cut along the functions in turn."""
    block[nodes] = first
    if blocks == 1 or len(nodes) < 2:
        return
    order = nodes[np.argsort(along[0][nodes], kind="stable")]
    half = blocks // 2
    share = bulk[order]
    reached = np.cumsum(share) - share / 2
    middle = int(np.searchsorted(reached, share.sum() * half / blocks))
    turned = along[::-1]
    _cut(order[:middle], turned, bulk, block, first, half)
    _cut(order[middle:], turned, bulk, block, first + half, blocks - half)


@in_c("smooth", "qdd*nd*")
def _smoothest(ends: Any, weight: Any, root: Any, rounds: Any, found: Any) -> Any:
    """Write (3, nodes) the smoothest functions on a weighted graph, times the roots of degrees.

    The first is constant. ``root`` (nodes,): written, too.
    """
    nodes = root.size
    root[:] = 1e-9
    for i in range(weight.size):
        root[ends[i, 0]] += weight[i]
        root[ends[i, 1]] += weight[i]
    root[:] = np.sqrt(root)
    found[0] = root
    state = first_state(0)
    for k in range(1, 3):
        for node in range(nodes):
            state = following(state)
            found[k, node] = float(state >> np.uint64(40)) / 16777216.0 - 0.5
    for _ in range(rounds):
        for k in range(3):
            x = found[k]
            for i in range(k):
                product = 0.0
                for node in range(nodes):
                    product += found[i, node] * x[node]
                for node in range(nodes):
                    x[node] -= product * found[i, node]
            norm = 1e-300
            for node in range(nodes):
                norm += x[node] * x[node]
            x /= np.sqrt(norm)
        for k in range(1, 3):
            x = found[k].copy()
            for i in range(weight.size):
                a, b = ends[i]
                part = weight[i] / (root[a] * root[b])
                found[k, a] += part * x[b]
                found[k, b] += part * x[a]


@in_c("average", "qqdnd*")
def _average(begin: Any, pin: Any, share: Any, rounds: Any, values: Any) -> Any:
    """Replace (functions, nodes) values by averages of themselves and of their neighbours.

    ``share`` (nets,): the weight of a neighbour.
    """
    nodes = values.shape[1]
    degree = np.zeros(nodes)
    for net in range(share.size):
        for j in range(begin[net], begin[net + 1]):
            degree[pin[j]] += share[net] * (begin[net + 1] - begin[net])
    for _ in range(rounds):
        for x in values:
            total = np.zeros(nodes)
            for net in range(share.size):
                here = 0.0
                for j in range(begin[net], begin[net + 1]):
                    here += x[pin[j]]
                here *= share[net]
                for j in range(begin[net], begin[net + 1]):
                    total[pin[j]] += here
            for node in range(nodes):
                if degree[node] > 0:
                    x[node] = 0.5 * (x[node] + total[node] / degree[node])
