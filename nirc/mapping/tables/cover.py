"""Entries for one route: match all its packets, none of the routes that come below it in the table.

An entry is widened like an implicant of two-level logic (Brayton et al., "Logic Minimization Algorithms for VLSI
Synthesis", 1984, EXPAND): it lets go of bits to match more, as long as every foreign packet differs in one that stays.
A foreign block that was met once is remembered by the bits that keep it out, so most tries cost no second look at the
table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.entries import Longs, Words


class Blocks(NamedTuple):
    """A table before it is made small, sorted by route, and the order of the routes in the new one."""

    key: Words  # (blocks,) none overlaps with another
    mask: Words
    start: Longs  # (routes + 1,) the blocks of route r are start[r] to start[r + 1]
    place: Longs  # (blocks,) of the block's route in the order, from the top of the table
    hull_key: Words  # (routes,) the narrowest entry that matches all of a route
    hull_mask: Words


class Scratch(NamedTuple):
    """Memory of ``cover``, (blocks,) each, and (1,) looks at a block that it may still take."""

    bars: Words
    free: Words
    left: Longs
    work: Longs


@compiled
def scratch_for(blocks: int, work: int) -> Scratch:
    """Scratch for a table of so many blocks."""
    return Scratch(
        np.empty(blocks, np.uint32), np.empty(blocks, np.uint32), np.empty(blocks, np.int64), np.full(1, work, np.int64)
    )


@compiled
def cover(route: int, place: int, blocks: Blocks, scratch: Scratch, out_key: Words, out_mask: Words) -> int:
    """Entries that match all blocks of the route and none of the routes below ``place``. Returns how many.

    Each begins as the first block that is not matched yet, and takes the others in, the nearest first; when the work
    is used up, none. ``out_key``, ``out_mask``: room for as many as the route has blocks.
    """
    key, mask, left = blocks.key, blocks.mask, scratch.left
    many = blocks.start[route + 1] - blocks.start[route]
    for i in range(many):
        left[i] = blocks.start[route] + i
    size = 0
    while many:
        k, m = key[left[0]], mask[left[0]]
        gone = _widened(k, m, place, blocks, scratch, many) if many > 1 and scratch.work[0] > 0 else np.uint32(0)
        out_key[size], out_mask[size] = k & ~gone, m & ~gone
        size += 1
        kept = 0
        for i in range(1, many):
            if ((k ^ key[left[i]]) & m | m & ~mask[left[i]]) & ~gone:
                left[kept] = left[i]
                kept += 1
        many = kept
    return size


@compiled
def _widened(k: int, m: int, place: int, blocks: Blocks, scratch: Scratch, many: int) -> int:
    """Bits that an entry lets go to match as many as it may of ``left[:many]``, of which it is the first."""
    bars, free, left = scratch.bars, scratch.free, scratch.left
    for i in range(1, many):
        free[i] = m & ((k ^ blocks.key[left[i]]) | ~blocks.mask[left[i]])
    gone, barred, tried = np.uint32(0), 0, 1
    while tried < many:
        best, fewest = tried, 33
        for i in range(tried, many):
            new = ones(free[i] & ~gone)
            if new < fewest:
                best, fewest = i, new
        free[best], free[tried], left[best], left[tried] = free[tried], free[best], left[tried], left[best]
        wide = gone | free[tried]
        tried += 1
        scratch.work[0] -= many - tried
        if not allowed(wide, bars, barred):
            continue
        met = _met(k & ~wide, m & ~wide, place, blocks, scratch.work)
        if met < 0:
            gone = wide
        else:
            bars[barred] = (k ^ blocks.key[met]) & m & blocks.mask[met]
            barred += 1
    return int(gone)


@compiled
def _met(k: int, m: int, place: int, blocks: Blocks, work: Longs) -> int:
    """A block below the place that this entry matches a packet of, or -1."""
    for i in range(blocks.key.size):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0 and blocks.place[i] > place:
            work[0] -= i
            return i
    work[0] -= blocks.key.size
    return -1


@compiled
def allowed(gone: int, bars: Words, barred: int) -> bool:
    """Whether every set of ``bars`` keeps a bit."""
    for j in range(barred):  # noqa: SIM110 - a generator is not compiled
        if bars[j] & ~gone == 0:
            return False
    return True


@compiled
def ones(word: int) -> int:
    """Bits that are 1 (Warren, "Hacker's Delight", 2012, figure 5-2)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24
