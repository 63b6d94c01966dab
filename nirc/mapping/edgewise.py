"""The inner loop of annealing that counts the edges of both nodes at every move, see anneal.py."""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.moves import NO_CELL, WANTED_RATE, below, following


@compiled
def _at(indptr, neighbours, weights, place, node, x, y, z):  # type: ignore[no-untyped-def]
    """Return the cost of the edges of ``node`` at (x, y, z). A neighbour in that cell costs 0."""
    total = np.int64(0)
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        total += weights[j] * (
            abs(x - place[to, 0]) + abs(y - place[to, 1]) + abs(z - place[to, 2])
        )
    return total


@compiled
def _update_neighbours(  # type: ignore[no-untyped-def]
    indptr, neighbours, weights, place, node_cost, node, other, x0, y0, z0, x1, y1, z1
):
    """Update the costs of ``node``'s neighbours, except ``other``, after a move from 0 to 1."""
    for j in range(indptr[node], indptr[node + 1]):
        to = neighbours[j]
        if to != other:
            x, y, z = place[to, 0], place[to, 1], place[to, 2]
            far = abs(x1 - x) + abs(y1 - y) + abs(z1 - z)
            node_cost[to] += weights[j] * np.int64(far - abs(x0 - x) - abs(y0 - y) - abs(z0 - z))


@compiled
def run_edgewise(  # type: ignore[no-untyped-def]  # noqa: PLR0915 - one loop, and numba inlines nothing across files
    indptr, neighbours, weights, xs, ys, zs, near, uphill, at, coord, temperatures, per_stage,
    window, shrink, seed,
    change, rates,
):  # fmt: skip
    """Anneal in place. Fill ``change`` (stages,) and ``rates`` (stages,)."""
    nodes = coord.shape[0]
    width, height, depth = xs.size, ys.size, zs.size
    place = np.empty((nodes, 4), np.int32)
    for v in range(nodes):
        place[v, 0], place[v, 1], place[v, 2] = xs[coord[v, 0]], ys[coord[v, 1]], zs[coord[v, 2]]
    node_cost = np.empty(nodes, np.int64)  # cost of the edges of each node
    for v in range(nodes):
        node_cost[v] = _at(
            indptr, neighbours, weights, place, v, place[v, 0], place[v, 1], place[v, 2]
        )
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
            x0, y0, z0 = place[a, 0], place[a, 1], place[a, 2]
            x1, y1, z1 = xs[bx], ys[by], zs[bz]
            # Most moves are refused. The old costs are known, and often the new cost of the first
            # node is too high.
            allowed = node_cost[a] + np.int64(temperature * luck)
            if b >= 0:
                allowed += node_cost[b]
            new_a = _at(indptr, neighbours, weights, place, a, x1, y1, z1)
            if new_a > allowed:
                continue
            new_b, between = np.int64(0), np.int64(0)
            if b >= 0:
                new_b = _at(indptr, neighbours, weights, place, b, x0, y0, z0)
                if new_a + new_b > allowed:
                    continue
                for j in range(begin, begin + degree):  # neither cost has the edge between the two
                    if neighbours[j] == b:
                        between = weights[j] * (abs(x1 - x0) + abs(y1 - y0) + abs(z1 - z0))
                if new_a + new_b + 2 * between > allowed:
                    continue
                gain += new_b + between - node_cost[b]
                _update_neighbours(
                    indptr, neighbours, weights, place, node_cost, b, a, x1, y1, z1, x0, y0, z0
                )
                node_cost[b] = new_b + between
            gain += new_a + between - node_cost[a]
            _update_neighbours(
                indptr, neighbours, weights, place, node_cost, a, b, x0, y0, z0, x1, y1, z1
            )
            node_cost[a] = new_a + between
            accepted += 1
            at[ax + width * (ay + height * az)] = b
            at[there] = a
            coord[a, 0], coord[a, 1], coord[a, 2] = bx, by, bz
            place[a, 0], place[a, 1], place[a, 2] = x1, y1, z1
            if b >= 0:
                coord[b, 0], coord[b, 1], coord[b, 2] = ax, ay, az
                place[b, 0], place[b, 1], place[b, 2] = x0, y0, z0
        change[stage] = gain
        rates[stage] = accepted / per_stage
        if shrink:
            reach = min(max(reach * (1.0 + 0.1 * (rates[stage] - WANTED_RATE)), 1.0), float(widest))
