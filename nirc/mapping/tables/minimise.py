"""Minimise routing tables, with the same route for every packet that exists.

A table is rebuilt as a decision list (Rivest, "Learning decision lists", Machine Learning 1987),
route by route. All entries of a route come before those of the routes that remain. So entries may
match packets of routes that are done, and packets that no source sends, but no packet of a
remaining route. A route whose blocks fit into one entry is taken first: no table has fewer entries
for it, and the others get more room. Of the rest, the route with the fewest blocks goes first. A
local search then moves routes up and down while this saves entries.

Ordered covering keeps the entries sorted by generality (Mundy, Heathcote and Garside, "On-chip
order-exploiting routing table minimization for a multicast supercomputer network", HPSR 2016). This
is not needed here: a table may have any order.
"""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.cover import Blocks, cover, scratch_for
from nirc.mapping.tables.entries import Ints, Longs, Tables, Words
from nirc.mapping.tables.reorder import Cubes, reorder
from nirc.mapping.tables.walk import differences

MOVES_PER_ROUTE = 8
WORK = 100_000_000  # blocks that the search for one table may examine


def minimised(tables: Tables) -> Tables:
    """Return tables with few entries. Every packet that matches now keeps its route.

    The entries of each router must not overlap (``tables_for`` makes them so). A packet without a
    match now may match then, but no source sends it. Every table is compared with the old table
    before it is returned.
    Raises ``ValueError`` for entries that overlap.
    """
    router = np.repeat(np.arange(tables.routers), tables.sizes)
    order = np.argsort(router << 32 | tables.key, kind="stable")
    key, mask, route = tables.key[order], tables.mask[order], tables.route[order]
    clash = np.flatnonzero((router[:-1] == router[1:]) & ((key | ~mask)[:-1] >= key[1:]))
    if clash.size:
        raise ValueError(
            f"entry {order[clash[0] + 1]} of router {router[clash[0]]} overlaps with another"
        )
    sizes = np.zeros(tables.routers, np.int64)
    _minimise_all(tables.first, key, mask, route, len(tables.routes), sizes)
    first = np.concatenate([[0], np.cumsum(sizes)])
    kept = np.repeat(tables.first[:-1] - first[:-1], sizes) + np.arange(first[-1])
    result = Tables(first, key[kept], mask[kept], route[kept], tables.routes, tables.directions)
    wrong = differences(result, tables, most=1)
    if wrong:
        raise AssertionError(f"a table changed its meaning: {wrong[0]}")
    return result


@compiled
def _minimise_all(
    first: Longs, key: Words, mask: Words, route: Ints, routes: int, sizes: Longs
) -> None:
    """Minimise each table, sorted by key, in place, at the beginning of its old place."""
    local = np.full(routes, -1, np.int32)
    for router in range(first.size - 1):
        begin, end = first[router], first[router + 1]
        k, m, r = key[begin:end].copy(), mask[begin:end].copy(), route[begin:end].copy()
        n = _joined_siblings(k, m, r)
        sizes[router] = _minimise(
            k[:n], m[:n], r[:n], local, key[begin:end], mask[begin:end], route[begin:end]
        )


@compiled
def _joined_siblings(key: Words, mask: Words, route: Ints) -> int:
    """Join neighbours that make an aligned block of one route, in place. Return the new length."""
    top = 0
    for i in range(key.size):
        key[top], mask[top], route[top] = key[i], mask[i], route[i]
        while top and route[top - 1] == route[top] and mask[top - 1] == mask[top]:
            step = np.uint32(~mask[top]) + np.uint32(1)
            if key[top - 1] ^ key[top] != step or step == 0:
                break
            top -= 1
            mask[top] = mask[top] ^ np.uint32(step)
            key[top] = key[top] & mask[top]
        top += 1
    return top


@compiled
def _minimise(
    key: Words,
    mask: Words,
    route: Ints,
    local: Ints,
    out_key: Words,
    out_mask: Words,
    out_route: Ints,
) -> int:
    """Minimise one table, sorted by key. Return its new length.

    ``local`` (routes,): scratch, all -1 before and after.
    """
    by_route, start = _by_route(route, local)
    key, mask = key[by_route], mask[by_route]
    hull_key, hull_mask, inside = _hulls(key, mask, start)
    blocks = Blocks(key, mask, start, np.zeros(key.size, np.int64), hull_key, hull_mask)
    cubes = Cubes(
        np.empty(key.size, np.uint32),
        np.empty(key.size, np.uint32),
        np.zeros(start.size - 1, np.int64),
    )
    scratch = scratch_for(key.size, WORK)
    order = _first_order(blocks, inside)
    for place in range(order.size):
        begin, end = start[order[place]], start[order[place] + 1]
        blocks.place[begin:end] = place
    for place in range(order.size):
        begin = start[order[place]]
        cubes.many[order[place]] = cover(
            order[place], place, blocks, scratch, cubes.key[begin:], cubes.mask[begin:]
        )
    reorder(order, blocks, cubes, scratch, MOVES_PER_ROUTE * order.size)
    size = 0
    for place in range(order.size):
        begin, count = start[order[place]], cubes.many[order[place]]
        out_key[size : size + count] = cubes.key[begin : begin + count]
        out_mask[size : size + count] = cubes.mask[begin : begin + count]
        out_route[size : size + count] = route[by_route[begin]]
        size += count
    return size


@compiled
def _by_route(route: Ints, local: Ints) -> tuple[Longs, Longs]:
    """Return the entries sorted by route, in the order of first entries, and each route's start."""
    number = np.empty(route.size, np.int64)
    count = 0
    for i in range(route.size):
        if local[route[i]] < 0:
            local[route[i]] = count
            count += 1
        number[i] = local[route[i]]
    start = np.zeros(count + 1, np.int64)
    for i in range(route.size):
        local[route[i]] = -1
        start[number[i] + 1] += 1
    for r in range(count):
        start[r + 1] += start[r]
    order = np.empty(route.size, np.int64)
    at = start.copy()
    for i in range(route.size):
        order[at[number[i]]] = i
        at[number[i]] += 1
    return order, start


@compiled
def _first_order(blocks: Blocks, inside: Longs) -> Longs:
    """Return the routes from the top: those of one entry first, then those with fewest blocks."""
    key, mask, start = blocks.key, blocks.mask, blocks.start
    routes = start.size - 1
    waiting = np.ones(routes, np.bool_)
    order = np.empty(routes, np.int64)
    for place in range(routes):
        best = -1
        fewest = 0
        for r in range(routes):
            if waiting[r]:
                many = start[r + 1] - start[r] if inside[r] else 0
                if best < 0 or many < fewest:
                    best = r
                    fewest = many
        order[place] = best
        waiting[best] = False
        for r in range(routes):
            if waiting[r] and inside[r]:
                for i in range(start[best], start[best + 1]):
                    inside[r] -= (key[i] ^ blocks.hull_key[r]) & mask[i] & blocks.hull_mask[r] == 0
    return order


@compiled
def _hulls(key: Words, mask: Words, start: Longs) -> tuple[Words, Words, Longs]:
    """Return the narrowest entry for all of a route, and how many foreign blocks it meets."""
    routes = start.size - 1
    hull_key = np.empty(routes, np.uint32)
    hull_mask = np.empty(routes, np.uint32)
    inside = np.zeros(routes, np.int64)
    for r in range(routes):
        k, m = key[start[r]], mask[start[r]]
        for i in range(start[r] + 1, start[r + 1]):
            m &= mask[i] & ~(k ^ key[i])
        hull_key[r] = k & m
        hull_mask[r] = m
        for i in range(key.size):
            if not start[r] <= i < start[r + 1]:
                inside[r] += (key[i] ^ hull_key[r]) & mask[i] & m == 0
    return hull_key, hull_mask, inside
