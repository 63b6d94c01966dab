"""Entries that match all packets of one route, and no packet of the routes below in the table.

An entry is widened like an implicant of two-level logic (Brayton et al., "Logic Minimization
Algorithms for VLSI Synthesis", 1984, EXPAND). The entry drops bits to match more, while every
foreign packet differs in a remaining bit. A foreign block that an attempt matched is stored as the
bits that exclude it. So most attempts need not read the table again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nirc.mapping.tables import Longs, Words


class Blocks(NamedTuple):
    """A table before minimisation, sorted by route, and the order of routes in the new table."""

    key: Words  # (blocks,) no two overlap
    mask: Words
    start: Longs  # (routes + 1,) the blocks of route r are start[r] to start[r + 1]
    place: Longs  # (blocks,) place of the block's route, from the top of the table
    hull_key: Words  # (routes,) the narrowest entry that matches all of a route
    hull_mask: Words


class Scratch(NamedTuple):
    """Memory of ``cover``, (blocks,) each."""

    bars: Words  # sets of bits, of which an entry must keep one each
    dropped: Words  # the bits to drop for a block of ``left``
    left: Longs  # blocks of the route that no entry matches yet
    work: Longs  # (1,) the blocks that may still be examined


def scratch_for(blocks: int, work: int) -> Scratch:
    """Return scratch for a table of so many blocks."""
    words = np.empty((2, blocks), np.uint32)
    return Scratch(words[0], words[1], np.empty(blocks, np.int64), np.full(1, work, np.int64))


def cover(
    route: int, place: int, blocks: Blocks, scratch: Scratch, out_key: Words, out_mask: Words
) -> int:
    """Write entries that match all blocks of the route and none below ``place``.

    Return their number. Each entry begins as the first block that is not matched yet, and takes in
    other blocks, the nearest first. Without work left, it takes in none. ``out_key``, ``out_mask``:
    room for as many entries as the route has blocks.
    """
    key, mask, left = blocks.key, blocks.mask, scratch.left
    count = blocks.start[route + 1] - blocks.start[route]
    for i in range(count):
        left[i] = blocks.start[route] + i
    size = 0
    while count:
        k = key[left[0]]
        m = mask[left[0]]
        dropped = np.uint32(0)
        if count > 1 and scratch.work[0] > 0:
            dropped = np.uint32(_bits_to_drop(k, m, place, blocks, scratch, count))
        out_key[size] = k & ~dropped
        out_mask[size] = m & ~dropped
        size += 1
        kept = 0
        for i in range(1, count):
            if ((k ^ key[left[i]]) & m | m & ~mask[left[i]]) & ~dropped:
                left[kept] = left[i]
                kept += 1
        count = kept
    return size


def _bits_to_drop(k: int, m: int, place: int, blocks: Blocks, scratch: Scratch, count: int) -> int:
    """Return the bits that an entry drops to match many blocks of ``left[:count]``.

    The entry begins as the first block. The nearest block is tried first.
    """
    bars, to_drop, left = scratch.bars, scratch.dropped, scratch.left
    for i in range(1, count):
        to_drop[i] = m & ((k ^ blocks.key[left[i]]) | ~blocks.mask[left[i]])
    dropped = np.uint32(0)
    bar_count = 0
    tried = 1
    while tried < count:
        best = tried
        fewest = 33
        for i in range(tried, count):
            more = ones(to_drop[i] & ~dropped)
            if more < fewest:
                best = i
                fewest = more
        to_drop[best], to_drop[tried] = to_drop[tried], to_drop[best]
        left[best], left[tried] = left[tried], left[best]
        wider = dropped | to_drop[tried]
        tried += 1
        scratch.work[0] -= count - tried
        if not allowed(wider, bars, bar_count):
            continue
        foreign = _foreign_block(k & ~wider, m & ~wider, place, blocks, scratch.work)
        if foreign < 0:
            dropped = wider
        else:
            bars[bar_count] = (k ^ blocks.key[foreign]) & m & blocks.mask[foreign]
            bar_count += 1
    return int(dropped)


def _foreign_block(k: int, m: int, place: int, blocks: Blocks, work: Longs) -> int:
    """Return a block below the place with a packet that this entry matches, or -1."""
    for i in range(blocks.key.size):
        if (k ^ blocks.key[i]) & m & blocks.mask[i] == 0 and blocks.place[i] > place:
            work[0] -= i
            return i
    work[0] -= blocks.key.size
    return -1


def allowed(dropped: int, bars: Words, count: int) -> bool:
    """Return True if every one of the first ``count`` sets of bits keeps a bit."""
    return bool((bars[:count] & ~dropped).all())


def ones(word: int) -> int:
    """Return the number of bits that are 1 (Warren, "Hacker's Delight", 2012, figure 5-2)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24
