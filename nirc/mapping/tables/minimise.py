"""Fewer entries that say the same to every packet that exists.

A table is rebuilt as a decision list (Rivest, "Learning decision lists", 1987), route by route. All entries of a route
come before those of the routes that are still to come, so they may match packets of routes that are done, and packets
that no source sends, but none of a route to come. A route whose entries fit into one is taken at once: no table has
fewer for it, and the others get more room. Of the rest the route with the fewest packets goes first; its entries are
widened like the implicants of two-level logic (Brayton et al., "Logic Minimization Algorithms", 1984, EXPAND). The
order by generality that ordered covering keeps (Mundy, Heathcote and Garside, "On-chip order-exploiting routing table
minimization for a multicast supercomputer network", HPSR 2016) is not needed: any order is a table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.entries import Ints, Longs, Tables, Words
from nirc.mapping.tables.walk import differences

Bools = npt.NDArray[np.bool_]


def minimised(tables: Tables) -> Tables:
    """Tables with as few entries as we find, in which every packet that matches now keeps its route.

    The entries of each router must not overlap, as ``tables_for`` makes them. What matches no entry now may match one
    then: nothing sends it. Every table is compared with the old one before it is returned.
    Raises ``ValueError`` for entries that overlap.
    """
    key, mask = tables.key.copy(), tables.mask.copy()
    route, sizes = tables.route.copy(), np.zeros(tables.routers, np.int64)
    clash = _minimise_all(tables.first, key, mask, route, len(tables.routes), sizes)
    if clash >= 0:
        raise ValueError(f"entry {clash} of router {tables.router_of(clash)} overlaps with another")
    first = np.concatenate([[0], np.cumsum(sizes)])
    kept = np.repeat(tables.first[:-1] - first[:-1], sizes) + np.arange(first[-1])
    result = Tables(first, key[kept], mask[kept], route[kept], tables.routes, tables.directions)
    wrong = differences(result, tables, most=1)
    if wrong:
        raise AssertionError(f"a table changed its meaning: {wrong[0]}")
    return result


@compiled
def _minimise_all(first: Longs, key: Words, mask: Words, route: Ints, routes: int, sizes: Longs) -> int:
    """Minimise each table in place, at the beginning of its old place. Returns an entry that overlaps, or -1."""
    local = np.full(routes, -1, np.int32)
    for router in range(first.size - 1):
        begin, end = first[router], first[router + 1]
        order = np.argsort(key[begin:end], kind="mergesort")
        k, m, r = key[begin:end][order], mask[begin:end][order], route[begin:end][order]
        for i in range(1, k.size):
            if (k[i - 1] | ~m[i - 1]) >= k[i]:
                return int(begin + order[i])
        n = _joined_siblings(k, m, r)
        sizes[router] = _minimise(k[:n], m[:n], r[:n], local, key[begin:end], mask[begin:end], route[begin:end])
    return -1


@compiled
def _joined_siblings(key: Words, mask: Words, route: Ints) -> int:
    """Join neighbours that make one aligned block with one route, again and again, in place. Returns the new length."""
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
    key: Words, mask: Words, route: Ints, local: Ints, out_key: Words, out_mask: Words, out_route: Ints
) -> int:
    """One table, sorted by key. Returns its new length. ``local`` (routes,): scratch, all -1 before and after."""
    order, start, count = _by_route(route, local)
    key, mask, route = key[order], mask[order], route[order]
    alive = np.ones(key.size, np.bool_)
    hull_key, hull_mask, inside = _hulls(key, mask, start[: count + 1])
    waiting = np.ones(count, np.bool_)
    bars, free = np.empty(key.size, np.uint32), np.empty(key.size, np.uint32)
    covered = np.empty(key.size, np.bool_)
    size = 0
    for _ in range(count):
        best = -1
        for r in range(count):
            if waiting[r] and (inside[r] == 0 or best < 0 or (inside[best] and _less(r, best, start))):
                best = r
                if inside[r] == 0:
                    break
        begin, end = start[best], start[best + 1]
        if inside[best] == 0:
            out_key[size], out_mask[size] = hull_key[best], hull_mask[best]
            many = 1
        else:
            many = _cover(begin, end, key, mask, alive, bars, free, covered, out_key[size:], out_mask[size:])
        out_route[size : size + many] = route[begin]
        size += many
        waiting[best] = False
        alive[begin:end] = False
        for r in range(count):
            if waiting[r]:
                for i in range(begin, end):
                    inside[r] -= (key[i] ^ hull_key[r]) & mask[i] & hull_mask[r] == 0
    return size


@compiled
def _less(a: int, b: int, start: Longs) -> bool:
    """Fewer entries go first; then as the routes come."""
    return bool(start[a + 1] - start[a] < start[b + 1] - start[b])


@compiled
def _by_route(route: Ints, local: Ints) -> tuple[Longs, Longs, int]:
    """The entries sorted by route, in the order of the first of each; where each route starts; how many there are."""
    number = np.empty(route.size, np.int64)
    start = np.zeros(route.size + 2, np.int64)
    count = 0
    for i in range(route.size):
        if local[route[i]] < 0:
            local[route[i]] = count
            count += 1
        number[i] = local[route[i]]
        start[number[i] + 1] += 1
    for i in range(route.size):
        local[route[i]] = -1
    for r in range(count):
        start[r + 1] += start[r]
    return np.argsort(number, kind="mergesort"), start, count


@compiled
def _hulls(key: Words, mask: Words, start: Longs) -> tuple[Words, Words, Longs]:
    """The narrowest entry that matches all of a route, and how many entries of other routes it meets."""
    count = start.size - 1
    hull_key, hull_mask = np.empty(count, np.uint32), np.empty(count, np.uint32)
    inside = np.zeros(count, np.int64)
    for r in range(count):
        k, m = key[start[r]], mask[start[r]]
        for i in range(start[r] + 1, start[r + 1]):
            m &= mask[i] & ~(k ^ key[i])
        hull_key[r], hull_mask[r] = k & m, m
        for i in range(key.size):
            if not start[r] <= i < start[r + 1]:
                inside[r] += (key[i] ^ hull_key[r]) & mask[i] & m == 0
    return hull_key, hull_mask, inside


@compiled
def _cover(
    begin: int,
    end: int,
    key: Words,
    mask: Words,
    alive: Bools,
    bars: Words,
    free: Words,
    covered: Bools,
    out_key: Words,
    out_mask: Words,
) -> int:
    """Entries that match those from ``begin`` to ``end`` and no other that is alive. Returns how many.

    Each begins as the first that is not yet matched. In ``free[i]`` are the bits that it must let go to match i, in
    ``bars`` the sets of bits that it may not let go all.
    """
    size = 0
    covered[begin:end] = False
    for seed in range(begin, end):
        if covered[seed]:
            continue
        k, m = key[seed], mask[seed]
        barred = _bars(k, m, begin, end, key, mask, alive, bars)
        for i in range(begin, end):
            free[i] = m & ((k ^ key[i]) | ~mask[i])
        gone = np.uint32(0)
        while True:
            best, fewest = -1, 33
            for i in range(begin, end):
                if not covered[i]:
                    many = _ones(free[i] & ~gone)
                    if 0 < many < fewest and _allowed(gone | free[i], bars, barred):
                        best, fewest = i, many
            if best < 0:
                break
            gone |= free[best]
        for i in range(begin, end):
            covered[i] |= free[i] & ~gone == 0
        out_key[size], out_mask[size] = k & ~gone, m & ~gone
        size += 1
    return size


@compiled
def _bars(k: int, m: int, begin: int, end: int, key: Words, mask: Words, alive: Bools, bars: Words) -> int:
    """For each entry of another route the bits that keep it out; only sets that hold no other. Returns how many."""
    size = 0
    for i in range(key.size):
        if not alive[i] or begin <= i < end:
            continue
        bar = (k ^ key[i]) & m & mask[i]
        new = True
        for j in range(size):
            if bars[j] & ~bar == 0:
                new = False
                break
        if not new:
            continue
        kept = 0
        for j in range(size):
            if bar & ~bars[j]:
                bars[kept] = bars[j]
                kept += 1
        bars[kept] = bar
        size = kept + 1
    return size


@compiled
def _allowed(gone: int, bars: Words, barred: int) -> bool:
    ok = True
    for j in range(barred):
        ok &= bars[j] & ~gone != 0
    return ok


@compiled
def _ones(word: int) -> int:
    """Bits that are 1 (Warren, "Hacker's Delight", 2012, figure 5-2)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24
