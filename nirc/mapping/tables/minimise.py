"""Minimise routing tables, with the same route for every packet that exists.

A table is rebuilt as a decision list (Rivest, "Learning decision lists", Machine Learning 1987),
route by route. All entries of a route come before those of the routes that remain. So entries may
match packets of routes that are done, and packets that no source sends, but no packet of a
remaining route. A route whose blocks fit into one entry goes first: no table has fewer entries for
this route, and the others get more room. Of the rest, the route with the fewest blocks goes first.
A local search of a fixed number of moves then moves routes up and down while this saves entries.

Ordered covering keeps the entries sorted by generality (Mundy, Heathcote and Garside, "On-chip
order-exploiting routing table minimization for a multicast supercomputer network", HPSR 2016). Here
a table may have any order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.chance import following_linear
from nirc.mapping.tables import Ints, Longs, Tables, Words
from nirc.mapping.tables.cover import Blocks, Scratch, cover, scratch_for
from nirc.mapping.tables.walk import differences
from nirc.native.loops import in_c

MOVES_PER_ROUTE = 8
WORK = 100_000_000  # blocks that the search for one table may examine


def minimised(tables: Tables, *, work: int = WORK) -> Tables:
    """Return tables with few entries. Every packet that matches now keeps its route.

    The entries of each router must not overlap (``tables_for`` makes them so). A packet without a
    match now may match then, but no source sends it. Every table is compared with the old table
    before it is returned. ``work``: blocks that the search for one table may examine.
    Raises ``ValueError`` for entries that overlap.
    """
    router = np.repeat(np.arange(tables.routers), tables.sizes)
    order = np.argsort(router << 32 | tables.key, kind="stable")
    key, mask, route = tables.key[order], tables.mask[order], tables.route[order]
    clash = np.flatnonzero((router[:-1] == router[1:]) & ((key | ~mask)[:-1] >= key[1:]))
    if clash.size:
        entry = order[clash[0] + 1]
        raise ValueError(f"entry {entry} of router {router[clash[0]]} overlaps with another")
    sizes = np.zeros(tables.routers, np.int64)
    _minimise_all(tables.first, key, mask, route, len(tables.routes), sizes, work)
    first = np.concatenate([[0], np.cumsum(sizes)])
    kept = np.repeat(tables.first[:-1] - first[:-1], sizes) + np.arange(first[-1])
    result = Tables(first, key[kept], mask[kept], route[kept], tables.routes, tables.directions)
    wrong = differences(result, tables, most=1)
    if wrong:
        raise AssertionError(f"a table changed its meaning: {wrong[0]}")
    return result


@in_c("minimise", "qI*I*i*nq*n")
def _minimise_all(
    first: Longs, key: Words, mask: Words, route: Ints, routes: int, sizes: Longs, work: int
) -> None:
    """Minimise each table, sorted by key, in place, at the beginning of its old place."""
    local = np.full(routes, -1, np.int32)
    for router in range(first.size - 1):
        begin, end = first[router], first[router + 1]
        old = (key[begin:end].copy(), mask[begin:end].copy(), route[begin:end].copy())
        size = _join_siblings(old[0], old[1], old[2])
        table = (old[0][:size], old[1][:size], old[2][:size])
        out = (key[begin:end], mask[begin:end], route[begin:end])
        sizes[router] = _minimise(table, local, out, work)


def _join_siblings(key: Words, mask: Words, route: Ints) -> int:
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
        top += 1
    return top


def _minimise(
    table: tuple[Words, Words, Ints], local: Ints, out: tuple[Words, Words, Ints], work: int
) -> int:
    """Minimise one table (key, mask, route), sorted by key. Return the number of its new entries.

    ``local`` (routes,): scratch, all -1 before and after.
    """
    by_route, start = _by_route(table[2], local)
    key, mask, route = table[0][by_route], table[1][by_route], table[2][by_route]
    hull_key, hull_mask, inside = _hulls(key, mask, start)
    blocks = Blocks(key, mask, start, np.zeros(key.size, np.int64), hull_key, hull_mask)
    counts = np.zeros(start.size - 1, np.int64)
    entries = Entries(np.empty(key.size, np.uint32), np.empty(key.size, np.uint32), counts)
    scratch = scratch_for(key.size, work)
    order = _first_order(blocks, inside)
    for place in range(order.size):
        blocks.place[start[order[place]] : start[order[place] + 1]] = place
    for place in range(order.size):
        r = order[place]
        out_key, out_mask = entries.key[start[r] :], entries.mask[start[r] :]
        entries.size[r] = cover(r, place, blocks, scratch, out_key, out_mask)
    _reorder(order, blocks, entries, scratch, MOVES_PER_ROUTE * order.size)
    size = 0
    for r in order:
        begin, end, after = start[r], start[r] + entries.size[r], size + entries.size[r]
        out[0][size:after] = entries.key[begin:end]
        out[1][size:after] = entries.mask[begin:end]
        out[2][size:after] = route[begin]
        size = after
    return size


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
                count = start[r + 1] - start[r] if inside[r] else 0
                if best < 0 or count < fewest:
                    best = r
                    fewest = count
        order[place] = best
        waiting[best] = False
        for r in range(routes):
            if waiting[r] and inside[r]:
                for i in range(start[best], start[best + 1]):
                    inside[r] -= (key[i] ^ blocks.hull_key[r]) & mask[i] & blocks.hull_mask[r] == 0
    return order


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


class Entries(NamedTuple):
    """The new entries of each route r, from ``start[r]`` on, and their number."""

    key: Words  # (blocks,)
    mask: Words
    size: Longs  # (routes,)


def _reorder(order: Longs, blocks: Blocks, entries: Entries, scratch: Scratch, moves: int) -> None:
    """Move routes in ``order``, with their entries, in place. No move adds entries.

    A move takes any route, but more often a route with several entries. Further down it conflicts
    with fewer foreign blocks. A move without gain may enable a move with gain. The search stops if
    no order can be better.
    """
    routes = order.size
    key, mask, count = entries
    other = Entries(np.empty_like(key), np.empty_like(mask), np.zeros_like(count))
    changed = np.empty(routes, np.int64)
    state = np.uint64(routes)
    for _ in range(moves):
        several = 0  # routes with several entries
        for route in range(routes):
            several += count[route] > 1
        if several == 0 or scratch.work[0] <= 0:
            return
        scratch.work[0] -= blocks.key.size
        state = following_linear(state)
        draw = int(state >> np.uint64(33))
        begin = draw % routes
        if draw & 0x60000000:
            begin = _place_of(order, count, draw % several)
        state = following_linear(state)
        end = int(state >> np.uint64(33)) % routes
        if begin != end:
            _shift(order, blocks, begin, end)
            if not _accept(order, blocks, entries, scratch, other, changed, begin, end):
                _shift(order, blocks, end, begin)


def _place_of(order: Longs, count: Longs, number: int) -> int:
    """Return the place of route ``number`` among the routes with several entries."""
    place = -1
    for _ in range(number + 1):
        place += 1
        while count[order[place]] < 2:
            place += 1
    return place


def _shift(order: Longs, blocks: Blocks, begin: int, end: int) -> None:
    """Move the route at place ``begin`` to ``end``. The routes between move by one place."""
    step = 1 if end > begin else -1
    route = order[begin]
    for place in range(begin, end, step):
        order[place] = order[place + step]
    order[end] = route
    for place in range(min(begin, end), max(begin, end) + 1):
        blocks.place[blocks.start[order[place]] : blocks.start[order[place] + 1]] = place


def _accept(
    order: Longs,
    blocks: Blocks,
    entries: Entries,
    scratch: Scratch,
    other: Entries,
    changed: Longs,
    begin: int,
    end: int,
) -> bool:
    """Take the new order, in which a route moved from ``begin`` to ``end``, with its new entries.

    Return False if this would cost more entries.
    """
    key, mask, count = entries
    new_key, new_mask, new_count = other
    affected = _affected(order, blocks, entries, changed, begin, end)
    change = 0
    most_saved = 0  # by the routes that are still to do
    for i in range(affected):
        most_saved += count[order[changed[i]]] - 1
    for i in range(affected):
        route = order[changed[i]]
        most_saved -= count[route] - 1
        first = blocks.start[route]
        new_count[route] = cover(
            route, changed[i], blocks, scratch, new_key[first:], new_mask[first:]
        )
        change += new_count[route] - count[route]
        if change > most_saved:
            return False
    for i in range(affected):
        route = order[changed[i]]
        first = blocks.start[route]
        after = first + new_count[route]
        count[route] = new_count[route]
        key[first:after] = new_key[first:after]
        mask[first:after] = new_mask[first:after]
    return True


def _affected(
    order: Longs, blocks: Blocks, entries: Entries, changed: Longs, begin: int, end: int
) -> int:
    """Fill ``changed`` with the places of routes whose entries may change. Return their number.

    The upper route of a pair may need fewer entries after the move, if it was the lower route. It
    needs new entries if it matches packets of the route that is now below.
    """
    route = order[end]
    down = end > begin
    low, high = (begin, end) if down else (end + 1, begin + 1)
    count = 0
    for place in range(low, high):
        if (down and _may_gain(route, order[place], blocks, entries)) or (
            not down and _meets(route, order[place], blocks, entries)
        ):
            changed[count] = end
            count += 1
            break
    for place in range(low, high):
        if (down and _meets(order[place], route, blocks, entries)) or (
            not down and _may_gain(order[place], route, blocks, entries)
        ):
            changed[count] = place
            count += 1
    return count


def _may_gain(route: int, foreign: int, blocks: Blocks, entries: Entries) -> bool:
    """Return True if the route may need fewer entries when the foreign route is not below it.

    No entry is wider than the hull of the route. So only a block in the hull keeps blocks apart.
    """
    if entries.size[route] < 2:
        return False
    k = blocks.hull_key[route]
    m = blocks.hull_mask[route]
    for i in range(blocks.start[foreign], blocks.start[foreign + 1]):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0:
            return True
    return False


def _meets(route: int, below: int, blocks: Blocks, entries: Entries) -> bool:
    """Return True if an entry of the route matches a packet of the route below."""
    key, mask, count = entries
    first = blocks.start[route]
    for entry in range(first, first + count[route]):
        for i in range(blocks.start[below], blocks.start[below + 1]):
            if (key[entry] ^ blocks.key[i]) & mask[entry] & blocks.mask[i] == 0:
                return True
    return False
