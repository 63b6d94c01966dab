"""The same annealing as in anneal.py, faster if most moves are refused.

The cost of a node's edges at a cell is the sum of the costs along each axis. A table holds these
costs for every node and every coordinate. So a refused move reads only some numbers, however many
edges there are. An accepted move goes over the edges and updates the rows of the neighbours.
"""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.moves import NO_CELL, WANTED_RATE, below, following


@compiled
def _add(row, weight, step):  # type: ignore[no-untyped-def]
    """Add weight times step to the row. As a function, the loop becomes vector instructions."""
    for k in range(step.size):
        row[k] += weight * step[k]


@compiled
def run_tabled(  # type: ignore[no-untyped-def]  # noqa: PLR0915 - one loop, and numba inlines nothing across files
    indptr, neighbours, weights, table, apart, shape, near, uphill, at, coord, temperatures,
    per_stage, window, shrink,
    seed, change, rates,
):  # fmt: skip
    """Anneal in place. The moves are the same as in ``run_edgewise``.

    ``table`` (nodes, width + height + depth): room for the costs, int32 or int64. ``apart`` (the
    same length twice): distance of two coordinates of one axis.
    """
    nodes = coord.shape[0]
    width, height, depth = shape
    up = width  # the first columns of y and z
    out = width + height
    table[:] = 0
    for v in range(nodes):
        for j in range(indptr[v], indptr[v + 1]):
            to, w = neighbours[j], weights[j]
            for begin, end, axis in ((0, up, 0), (up, out, 1), (out, out + depth, 2)):
                row = apart[begin + coord[to, axis]]
                for k in range(begin, end):
                    table[v, k] += w * row[k]
    step = np.empty(table.shape[1], table.dtype)
    state = np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)
    low32 = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    widest = max(width, height, depth) - 1
    reach = min(float(window), float(widest))
    for stage in range(temperatures.size):
        temperature = temperatures[stage]
        accepted = 0
        gain = np.int64(0)
        r = max(np.int64(reach + 0.5), np.int64(1))
        for move in range(per_stage):
            state = following(state)
            a = below(state >> half, nodes)
            ax, ay, az = coord[a, 0], coord[a, 1], coord[a, 2]
            begin = indptr[a]
            degree = indptr[a + 1] - begin
            luck = uphill[np.int64(state & np.uint64(4095))]
            state = following(state)
            if move & 1 and degree > 0:  # every other move goes beside a neighbour
                to = neighbours[begin + below(state >> half, degree)]
                k = below(state & low32, near.shape[0])
                state = following(state)
                beside = to  # or beside one neighbour and in line with another
                if state & np.uint64(1):
                    beside = neighbours[begin + below(state >> half, degree)]
                bx, by, bz = (
                    coord[to, 0] + near[k, 0],
                    coord[beside, 1] + near[k, 1],
                    coord[to, 2] + near[k, 2],
                )
                if bx < 0 or by < 0 or bz < 0 or bx >= width or by >= height or bz >= depth:
                    continue
            else:
                first, last = max(ax - r, 0), min(ax + r, width - 1)
                bx = first + below(state >> half, last - first + 1)
                first, last = max(ay - r, 0), min(ay + r, height - 1)
                by = first + below(state & low32, last - first + 1)
                bz = az
                if depth > 1:
                    state = following(state)
                    first, last = max(az - r, 0), min(az + r, depth - 1)
                    bz = first + below(state >> half, last - first + 1)
            there = bx + width * (by + height * bz)
            b = at[there]
            if b == a or b == NO_CELL:  # noqa: PLR1714, SIM109 - a set would be built at every move
                continue
            old = np.int64(table[a, ax]) + table[a, up + ay] + table[a, out + az]
            new = np.int64(table[a, bx]) + table[a, up + by] + table[a, out + bz]
            if b >= 0:
                old += np.int64(table[b, bx]) + table[b, up + by] + table[b, out + bz]
                new += np.int64(table[b, ax]) + table[b, up + ay] + table[b, out + az]
            allowed = old + np.int64(temperature * luck)
            if new > allowed:
                continue
            if b >= 0:
                for j in range(begin, begin + degree):  # neither cost has the edge between the two
                    if neighbours[j] == b:
                        far = apart[ax, bx] + apart[up + ay, up + by] + apart[out + az, out + bz]
                        new += 2 * weights[j] * np.int64(far)
                if new > allowed:
                    continue
            gain += new - old
            accepted += 1
            at[ax + width * (ay + height * az)] = b
            at[there] = a
            coord[a, 0], coord[a, 1], coord[a, 2] = bx, by, bz
            if b >= 0:
                coord[b, 0], coord[b, 1], coord[b, 2] = ax, ay, az
            for k in range(up):
                step[k] = apart[bx, k] - apart[ax, k]
            for k in range(up, out):
                step[k] = apart[up + by, k] - apart[up + ay, k]
            for k in range(out, out + depth):
                step[k] = apart[out + bz, k] - apart[out + az, k]
            for j in range(begin, begin + degree):
                _add(table[neighbours[j]], table.dtype.type(weights[j]), step)
            if b >= 0:
                for j in range(indptr[b], indptr[b + 1]):
                    _add(table[neighbours[j]], table.dtype.type(-weights[j]), step)
        change[stage] = gain
        rates[stage] = accepted / per_stage
        if shrink:
            reach = min(max(reach * (1.0 + 0.1 * (rates[stage] - WANTED_RATE)), 1.0), float(widest))
