"""Entries for one route.

They match all its packets, and no packet of the routes below in the table. An entry is widened like
an implicant of two-level logic (Brayton et al., "Logic Minimization Algorithms for VLSI Synthesis",
1984, EXPAND). The entry drops bits to match more, while every foreign packet differs in a remaining
bit. A foreign block that matched once is remembered by the bits that exclude it. So most tries need
no second look at the table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.tables.entries import Longs, Words


class Blocks(NamedTuple):
    """A table before minimisation, sorted by route, and the order of routes in the new table."""

    key: Words  # (blocks,) no two overlap
    mask: Words
    start: Longs  # (routes + 1,) the blocks of route r are start[r] to start[r + 1]
    place: Longs  # (blocks,) place of the block's route, from the top of the table
    hull_key: Words  # (routes,) the narrowest entry that matches all of a route
    hull_mask: Words


class Scratch(NamedTuple):
    """Memory of ``cover``: (blocks,) each, and (1,) ``work``, the blocks that it may still
    examine.
    """

    bars: Words
    free: Words
    left: Longs
    work: Longs


@compiled
def scratch_for(blocks: int, work: int) -> Scratch:
    """Return scratch for a table of so many blocks."""
    return Scratch(
        np.empty(blocks, np.uint32),
        np.empty(blocks, np.uint32),
        np.empty(blocks, np.int64),
        np.full(1, work, np.int64),
    )


@compiled
def cover(
    route: int, place: int, blocks: Blocks, scratch: Scratch, out_key: Words, out_mask: Words
) -> int:
    """Write entries that match all blocks of the route and none below ``place``.

    Return their number. Each entry begins as the first block that is not matched yet, and takes in
    other blocks, the nearest first. Without work left, it takes in none. ``out_key``, ``out_mask``:
    room for as many entries as the route has blocks.
    """
    key, mask, left = blocks.key, blocks.mask, scratch.left
    many = blocks.start[route + 1] - blocks.start[route]
    for i in range(many):
        left[i] = blocks.start[route] + i
    size = 0
    while many:
        k = key[left[0]]
        m = mask[left[0]]
        gone = (
            _widened(k, m, place, blocks, scratch, many)
            if many > 1 and scratch.work[0] > 0
            else np.uint32(0)
        )
        out_key[size] = k & ~gone
        out_mask[size] = m & ~gone
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
    """Return the bits that an entry drops to match as many blocks of ``left[:many]`` as it may.

    The entry begins as the first of them.
    """
    bars, free, left = scratch.bars, scratch.free, scratch.left
    for i in range(1, many):
        free[i] = m & ((k ^ blocks.key[left[i]]) | ~blocks.mask[left[i]])
    gone = np.uint32(0)
    barred = 0
    tried = 1
    while tried < many:
        best = tried
        fewest = 33
        for i in range(tried, many):
            new = ones(free[i] & ~gone)
            if new < fewest:
                best = i
                fewest = new
        free[best], free[tried], left[best], left[tried] = (
            free[tried],
            free[best],
            left[tried],
            left[best],
        )
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
    """Return a block below the place with a packet that this entry matches, or -1."""
    for i in range(blocks.key.size):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0 and blocks.place[i] > place:
            work[0] -= i
            return i
    work[0] -= blocks.key.size
    return -1


@compiled
def allowed(gone: int, bars: Words, barred: int) -> bool:
    """Return True if every set of ``bars`` keeps a bit."""
    for j in range(barred):  # noqa: SIM110 - a generator is not compiled
        if bars[j] & ~gone == 0:
            return False
    return True


@compiled
def ones(word: int) -> int:
    """Return the number of bits that are 1 (Warren, "Hacker's Delight", 2012, figure 5-2)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24
