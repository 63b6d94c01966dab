"""A better order of the routes: local search by moving one at a time, a fixed number of moves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.cover import Blocks, Scratch, cover
from nirc.mapping.tables.entries import Longs, Words


class Cubes(NamedTuple):
    """The new entries of each route r, from ``start[r]`` on, and how many they are."""

    key: Words  # (blocks,)
    mask: Words
    many: Longs  # (routes,)


@compiled
def reorder(order: Longs, blocks: Blocks, cubes: Cubes, scratch: Scratch, moves: int) -> None:
    """Change order, places and entries in place while that costs no entries. Stops where no order can be better.

    A route that takes several entries is moved further down, where fewer foreign blocks are in its way, or any route
    up or down: a move that neither wins nor loses may open the way to one that wins.
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
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)  # Knuth's MMIX
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
    """The place of the route that is number ``which`` of those with several entries."""
    for place in range(order.size):
        if count[order[place]] > 1:
            if which == 0:
                return place
            which -= 1
    return 0


@compiled
def _shift(order: Longs, blocks: Blocks, begin: int, end: int) -> None:
    """Move the route at place ``begin`` to ``end``; those between give way."""
    step = 1 if end > begin else -1
    route = order[begin]
    for place in range(begin, end, step):
        order[place] = order[place + step]
    order[end] = route
    for place in range(min(begin, end), max(begin, end) + 1):
        blocks.place[blocks.start[order[place]] : blocks.start[order[place] + 1]] = place


@compiled
def _try(
    order: Longs, blocks: Blocks, cubes: Cubes, scratch: Scratch, other: Cubes, changed: Longs, begin: int, end: int
) -> bool:
    """Entries for the new order, of the routes that need or may profit from others. False: it would cost more."""
    many = _concerned(order, blocks, cubes, changed, begin, end)
    change, hope = 0, 0
    for i in range(many):
        hope += cubes.many[order[changed[i]]] - 1
    for i in range(many):
        route = order[changed[i]]
        hope -= cubes.many[route] - 1
        first = blocks.start[route]
        other.many[route] = cover(route, changed[i], blocks, scratch, other.key[first:], other.mask[first:])
        change += other.many[route] - cubes.many[route]
        if change > hope:
            return False
    for i in range(many):
        route = order[changed[i]]
        first, after = blocks.start[route], blocks.start[route] + other.many[route]
        cubes.many[route] = other.many[route]
        cubes.key[first:after] = other.key[first:after]
        cubes.mask[first:after] = other.mask[first:after]
    return True


@compiled
def _concerned(order: Longs, blocks: Blocks, cubes: Cubes, changed: Longs, begin: int, end: int) -> int:
    """Fill ``changed`` with the places of the routes to look at. Returns how many."""
    route, many = order[end], 0
    low, high = (begin, end) if end > begin else (end + 1, begin + 1)
    down = end > begin  # it has fewer in its way, and is in the way of those it passed; else the other way round
    for place in range(low, high):
        passed = order[place]
        if (
            (cubes.many[route] > 1 and _in_hull(route, passed, blocks))
            if down
            else _meets(route, passed, blocks, cubes)
        ):
            changed[many] = end
            many += 1
            break
    for place in range(low, high):
        passed = order[place]
        if _meets(passed, route, blocks, cubes) if down else cubes.many[passed] > 1 and _in_hull(passed, route, blocks):
            changed[many] = place
            many += 1
    return many


@compiled
def _in_hull(route: int, foreign: int, blocks: Blocks) -> bool:
    """Whether a block of the foreign route may keep blocks of the route apart: no entry is wider than the hull."""
    k, m = blocks.hull_key[route], blocks.hull_mask[route]
    for i in range(blocks.start[foreign], blocks.start[foreign + 1]):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0:
            return True
    return False


@compiled
def _meets(route: int, below: int, blocks: Blocks, cubes: Cubes) -> bool:
    """Whether an entry of the route matches a packet of the route below."""
    first = blocks.start[route]
    for cube in range(first, first + cubes.many[route]):
        for i in range(blocks.start[below], blocks.start[below + 1]):
            if (cubes.key[cube] ^ blocks.key[i]) & cubes.mask[cube] & blocks.mask[i] == 0:
                return True
    return False
