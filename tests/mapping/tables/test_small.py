"""Minimised tables are small: sizes that were seen stay, and the search stops at its work."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from nirc.mapping.tables import Tables
from nirc.mapping.tables.cover import Blocks
from nirc.mapping.tables.minimise import _first_order, _hulls, minimised

ONE_KEY = 0xFFFFFFFF


def random_table(seed: int, blocks: int, routes: int, run: int) -> Tables:
    """Blocks of 1 to 8 keys at multiples of 8, ``run`` at a time with the same random route."""
    rng = np.random.default_rng(seed)
    width = rng.integers(0, 4, blocks) if run == 1 else np.full(blocks, 3)
    key = np.sort(rng.choice(2 * blocks, blocks, replace=False)) * 8
    mask = ONE_KEY - (1 << width) + 1
    route = np.repeat(rng.integers(0, routes, blocks), run)[:blocks]
    bits = np.uint64(1) << np.arange(routes, dtype=np.uint64)[:, None]
    return Tables(np.array([0, blocks]), key, mask, route, bits, 0)


def digest(tables: Tables) -> int:
    columns = (tables.key, tables.mask, tables.route)
    return zlib.crc32(b"".join(c.astype("<u4").tobytes() for c in columns))


# Seed, blocks, routes and runs of a table; blocks that the search may examine; entries of the new
# table, and their digest. Where a better search changes a row, the entries must not become more.
SMALL = [
    ((0, 16, 2, 1), 100_000_000, 3, 0x7855E3DA),
    ((1, 40, 6, 1), 0, 40, 0x81AAB113),
    ((1, 40, 6, 1), 100, 39, 0x41C8C0BF),
    ((1, 40, 6, 1), 500, 34, 0x0598B1CF),
    ((1, 40, 6, 1), 1000, 22, 0xB744EADE),
    ((1, 40, 6, 1), 2000, 22, 0xF0E3EC83),
    ((1, 40, 6, 1), 3000, 22, 0x2E5A6EEF),
    ((1, 40, 6, 1), 5000, 22, 0x2C84A5BB),
    ((1, 40, 6, 1), 8000, 20, 0x342A99E4),
    ((1, 40, 6, 1), 100_000_000, 19, 0x63423F6F),
    ((2, 60, 4, 1), 0, 60, 0x5937EA4D),
    ((2, 60, 4, 1), 100, 59, 0x1F008A6C),
    ((2, 60, 4, 1), 500, 55, 0x54BB003F),
    ((2, 60, 4, 1), 1000, 51, 0x9F8E2944),
    ((2, 60, 4, 1), 2000, 45, 0xFAC7BCD7),
    ((2, 60, 4, 1), 3000, 23, 0x557DC8D3),
    ((2, 60, 4, 1), 8000, 23, 0xAAA23A8E),
    ((3, 24, 5, 1), 100_000_000, 11, 0x2FCEC20B),
    ((4, 60, 12, 1), 0, 60, 0xBEFDAF7E),
    ((4, 60, 12, 1), 100, 59, 0xCCC69E7D),
    ((4, 60, 12, 1), 500, 57, 0x4788FA22),
    ((4, 60, 12, 1), 1000, 52, 0x0FA92243),
    ((4, 60, 12, 1), 2000, 36, 0xA9DD905F),
    ((4, 60, 12, 1), 8000, 35, 0xB7170F11),
    ((4, 60, 12, 1), 100_000_000, 34, 0xA286D87A),
    ((5, 48, 3, 1), 100_000_000, 15, 0x4687B681),
    ((6, 32, 8, 4), 0, 27, 0xCC35957B),
    ((6, 32, 8, 4), 100, 25, 0x87C669AB),
    ((6, 32, 8, 4), 500, 13, 0xB8A2CDA7),
    ((6, 32, 8, 4), 1000, 13, 0xC4D3E5CD),
    ((6, 32, 8, 4), 2000, 13, 0x351ECBD2),
    ((6, 32, 8, 4), 3000, 13, 0xBAC715B0),
    ((6, 32, 8, 4), 5000, 12, 0xF2ACE4B3),
    ((6, 32, 8, 4), 8000, 12, 0x34B1F1FA),
    ((6, 32, 8, 4), 100_000_000, 12, 0x84D310B8),
    ((7, 60, 9, 3), 0, 49, 0x81B74201),
    ((7, 60, 9, 3), 100, 46, 0x0F78AB1C),
    ((7, 60, 9, 3), 500, 39, 0x67D32121),
    ((7, 60, 9, 3), 1000, 30, 0xC3A38D99),
    ((7, 60, 9, 3), 2000, 17, 0xF522DC10),
    ((7, 60, 9, 3), 5000, 17, 0xF1B2EC27),
    ((7, 60, 9, 3), 8000, 17, 0x65C81909),
    ((7, 60, 9, 3), 100_000_000, 17, 0x485C55FC),
    ((8, 60, 5, 5), 0, 49, 0x1A68549B),
    ((8, 60, 5, 5), 100, 47, 0x84B4A146),
    ((8, 60, 5, 5), 500, 42, 0xBAB98AA0),
    ((8, 60, 5, 5), 1000, 32, 0x63FACCAE),
    ((8, 60, 5, 5), 2000, 14, 0xA2144493),
    ((8, 60, 5, 5), 3000, 13, 0x8076CF63),
    ((8, 60, 5, 5), 5000, 12, 0x35D25BEA),
    ((8, 60, 5, 5), 8000, 12, 0x7D89921F),
    ((8, 60, 5, 5), 100_000_000, 12, 0x1EBBB9FD),
]


@pytest.mark.parametrize(("table", "work", "size", "entries"), SMALL)
def test_a_table_becomes_as_small_as_it_was_by_the_same_search(
    table: tuple[int, int, int, int], work: int, size: int, entries: int
) -> None:
    small = minimised(random_table(*table), work=work)
    assert small.key.size == size
    assert digest(small) == entries


def test_routes_of_one_entry_go_first_and_make_room_for_others() -> None:
    # Route 0 needs one entry once 1 and 2 are above it. Routes 3 and 4 lie within each other.
    routes = [[0, 3, 4], [1], [2], [8, 15], [9, 14]]
    key = np.array([k for keys in routes for k in keys], np.uint32)
    mask = np.full(key.size, ONE_KEY, np.uint32)
    start = np.cumsum([0, *map(len, routes)])
    hull_key, hull_mask, inside = _hulls(key, mask, start)
    assert hull_key.tolist() == [0, 1, 2, 8, 8]
    assert (~hull_mask).tolist() == [7, 0, 0, 7, 7]
    assert inside.tolist() == [2, 0, 0, 2, 2]
    blocks = Blocks(key, mask, start, np.zeros(key.size, np.int64), hull_key, hull_mask)
    assert _first_order(blocks, inside).tolist() == [1, 2, 0, 3, 4]


def test_entries_that_overlap_have_no_one_meaning_to_keep() -> None:
    routes = np.uint64(1) << np.arange(3, dtype=np.uint64)[:, None]
    masks = [ONE_KEY, ONE_KEY - 15, ONE_KEY]
    tables = Tables(np.array([0, 3]), [64, 0, 3], masks, [0, 1, 2], routes, 0)
    with pytest.raises(ValueError, match="entry 2 of router 0 overlaps"):
        minimised(tables)
