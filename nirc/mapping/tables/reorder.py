"""Improve the order of the routes by moving one route at a time, for a fixed number of moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.cover import Blocks, Scratch, cover
from nirc.mapping.tables.entries import Longs, Words


class Cubes(NamedTuple):
    """The new entries of each route r, from ``start[r]`` on, and their number."""

    key: Words  # (blocks,)
    mask: Words
    many: Longs  # (routes,)


@compiled
def reorder(order: Longs, blocks: Blocks, cubes: Cubes, scratch: Scratch, moves: int) -> None:
    """Change order, places and entries in place, if this costs no entries.

    A route with several entries is moved down, where fewer foreign blocks conflict. Or any route is
    moved up or down: a move without gain may enable a move with gain. The search stops if no order
    can be better.
    """
    routes = order.size
    other = Cubes(np.empty_like(cubes.key), np.empty_like(cubes.mask), np.zeros_like(cubes.many))
    changed = np.empty(routes, np.int64)
    state = np.uint64(routes)
    for _ in range(moves):
        costly = 0
        for route in range(routes):
            costly += cubes.many[route] > 1
        if costly == 0 or scratch.work[0] <= 0:
            return
        scratch.work[0] -= blocks.key.size
        state = state * np.uint64(6364136223846793005) + np.uint64(
            1442695040888963407
        )  # Knuth's MMIX
        draw = np.int64(state >> np.uint64(33))
        begin = draw % routes
        if draw & 0x40000000 or draw & 0x20000000:
            begin = _costly(order, cubes.many, draw % costly)
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        end = np.int64(state >> np.uint64(33)) % routes
        if begin != end:
            _shift(order, blocks, begin, end)
            if not _try(order, blocks, cubes, scratch, other, changed, begin, end):
                _shift(order, blocks, end, begin)


@compiled
def _costly(order: Longs, count: Longs, which: int) -> int:
    """Return the place of route number ``which`` among those with several entries."""
    for place in range(order.size):
        if count[order[place]] > 1:
            if which == 0:
                return place
            which -= 1
    return 0


@compiled
def _shift(order: Longs, blocks: Blocks, begin: int, end: int) -> None:
    """Move the route at place ``begin`` to ``end``. The routes between move by one place."""
    step = 1 if end > begin else -1
    route = order[begin]
    for place in range(begin, end, step):
        order[place] = order[place + step]
    order[end] = route
    for place in range(min(begin, end), max(begin, end) + 1):
        blocks.place[blocks.start[order[place]] : blocks.start[order[place] + 1]] = place


@compiled
def _try(
    order: Longs,
    blocks: Blocks,
    cubes: Cubes,
    scratch: Scratch,
    other: Cubes,
    changed: Longs,
    begin: int,
    end: int,
) -> bool:
    """Compute entries for the new order, for the routes that need or may profit from new entries.

    Return False if this would cost more entries.
    """
    many = _concerned(order, blocks, cubes, changed, begin, end)
    change = 0
    hope = 0
    for i in range(many):
        hope += cubes.many[order[changed[i]]] - 1
    for i in range(many):
        route = order[changed[i]]
        hope -= cubes.many[route] - 1
        first = blocks.start[route]
        other.many[route] = cover(
            route, changed[i], blocks, scratch, other.key[first:], other.mask[first:]
        )
        change += other.many[route] - cubes.many[route]
        if change > hope:
            return False
    for i in range(many):
        route = order[changed[i]]
        first = blocks.start[route]
        after = first + other.many[route]
        cubes.many[route] = other.many[route]
        cubes.key[first:after] = other.key[first:after]
        cubes.mask[first:after] = other.mask[first:after]
    return True


@compiled
def _concerned(
    order: Longs, blocks: Blocks, cubes: Cubes, changed: Longs, begin: int, end: int
) -> int:
    """Fill ``changed`` with the places of the routes to examine. Return their number."""
    route = order[end]
    many = 0
    down = (
        end > begin
    )  # moved down, a route conflicts with fewer blocks, and with those that it passed
    low, high = (begin, end) if down else (end + 1, begin + 1)
    for place in range(low, high):
        passed = order[place]
        if down:
            concerned = cubes.many[route] > 1 and _in_hull(route, passed, blocks)
        else:
            concerned = _meets(route, passed, blocks, cubes)
        if concerned:
            changed[many] = end
            many += 1
            break
    for place in range(low, high):
        passed = order[place]
        if (
            _meets(passed, route, blocks, cubes)
            if down
            else cubes.many[passed] > 1 and _in_hull(passed, route, blocks)
        ):
            changed[many] = place
            many += 1
    return many


@compiled
def _in_hull(route: int, foreign: int, blocks: Blocks) -> bool:
    """Return True if a block of the foreign route meets the hull of the route.

    No entry is wider than the hull. So only a block in the hull keeps blocks of the route apart.
    """
    k = blocks.hull_key[route]
    m = blocks.hull_mask[route]
    for i in range(blocks.start[foreign], blocks.start[foreign + 1]):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0:
            return True
    return False


@compiled
def _meets(route: int, below: int, blocks: Blocks, cubes: Cubes) -> bool:
    """Return True if an entry of the route matches a packet of the route below."""
    first = blocks.start[route]
    for cube in range(first, first + cubes.many[route]):
        for i in range(blocks.start[below], blocks.start[below + 1]):
            if (cubes.key[cube] ^ blocks.key[i]) & cubes.mask[cube] & blocks.mask[i] == 0:
                return True
    return False
