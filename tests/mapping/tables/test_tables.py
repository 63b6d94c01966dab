"""Routing tables say what the trees say, at every router, for every key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from nirc.mapping import tables as tables_module
from nirc.mapping.routing.links import mesh
from nirc.mapping.tables import Tables, _distinct, _fill_hash_table, tables_for
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import differences, walk
from tests.mapping.tables.networks import Network, network, networks

ROW = mesh(4, 1, triangular=True)  # E is direction 0, W 3


def table(*entries: tuple[int, int, int]) -> Tables:
    """The table of one router without links: (key, mask, core)."""
    key, mask, core = (np.array(column) for column in zip(*entries, strict=True))
    routes = np.uint64(1) << np.arange(64, dtype=np.uint64)[:, None]
    return Tables(np.array([0, len(entries)]), key, mask, core, routes, 0)


def slow_route(tables: Tables, router: int, packet: int) -> bytes | None:
    """First match wins: the definition."""
    for i in range(tables.first[router], tables.first[router + 1]):
        if packet & int(tables.mask[i]) == int(tables.key[i]):
            return tables.routes[tables.route[i]].tobytes()
    return None


def slow_deliveries(tables: Tables, made: Network, net: int, atom: int) -> list[tuple[int, int]]:
    """Where the packet of an atom arrives, (router, core), by the definition."""
    packet = int(made.keys.key[net]) + atom
    arrived, waiting = [], [int(made.nets.source[net])]
    while waiting:
        router = waiting.pop()
        match = next(
            i
            for i in range(tables.first[router], tables.first[router + 1])
            if packet & int(tables.mask[i]) == int(tables.key[i])
        )
        directions, cores = tables.links_and_cores(int(tables.route[match]))
        arrived += [(router, core) for core in cores]
        waiting += [int(made.links.target[made.links.outgoing[router, d]]) for d in directions]
        assert len(arrived) < 10_000
    return sorted(arrived)


# Built from trees


@pytest.mark.parametrize("words", [1, 3])
def test_equal_routes_have_one_number(words: int) -> None:
    bits = np.random.default_rng(words).integers(0, 200, (300, words)).astype(np.uint64)
    bits[150:] = bits[:150][::-1]
    seen = [row.tobytes() for row in bits]
    distinct = list(dict.fromkeys(seen))
    number, examples = _distinct(bits)
    assert number.tolist() == [distinct.index(row) for row in seen]
    assert examples.tolist() == [seen.index(row) for row in distinct]


@pytest.mark.parametrize("words", [1, 2])
def test_rows_lie_where_their_hash_or_the_next_free_slot_is(words: int) -> None:
    """A word at a time is multiplied by 2^64 over the golden ratio, and its high bits fall low."""
    rng = np.random.default_rng(words)
    bits = rng.integers(0, 1 << 63, (40, words), np.uint64)
    bits[20:] = bits[rng.integers(0, 20, 20)]
    slots, places = np.full(64, -1, np.int64), [-1] * 64
    distinct: dict[bytes, int] = {}
    for row in bits:
        if row.tobytes() in distinct:
            continue
        mixed = 0
        for word in row.tolist():
            mixed = (mixed ^ word) * 0x9E3779B97F4A7C15 % (1 << 64)
            mixed ^= mixed >> 29
        slot = mixed % 64
        while places[slot] >= 0:
            slot = (slot + 1) % 64
        places[slot] = distinct[row.tobytes()] = len(distinct)
    number, examples = np.empty(40, np.int32), np.empty(40, np.int64)
    assert _fill_hash_table(bits, slots, number, examples) == len(distinct)
    assert slots.tolist() == places


@pytest.mark.parametrize(("rows", "slots"), [(1, 2), (2, 4), (3, 8), (4, 8), (5, 16), (64, 128)])
def test_a_table_of_rows_is_at_most_half_full(
    monkeypatch: pytest.MonkeyPatch, rows: int, slots: int
) -> None:
    sizes = []
    fill = _fill_hash_table
    monkeypatch.setattr(
        tables_module, "_fill_hash_table", lambda *x: sizes.append(x[1].size) or fill(*x)
    )
    number, _ = _distinct(np.arange(rows, dtype=np.uint64)[:, None])
    assert sizes == [slots] and number.tolist() == list(range(rows))


def test_changed_packets_are_listed_up_to_a_number() -> None:
    reference = table(*((key, 0xFFFFFFFF, key) for key in range(4)))
    changed = table(*((key, 0xFFFFFFFF, core) for key, core in enumerate((0, 9, 2, 8))))
    lines = [
        f"router 0: packets {key:#010x} with mask 0xffffffff get another route" for key in (1, 3)
    ]
    assert differences(changed, reference) == lines
    assert differences(changed, reference, most=2) == lines
    assert differences(changed, reference, most=1) == lines[:1]


def test_every_router_that_a_tree_passes_has_an_entry_with_links_and_cores() -> None:
    made = network(ROW, [(0, [(2, 7), (2, 9), (3, 1)])])
    assert made.tables.sizes.tolist() == [1, 1, 1, 1]
    assert [made.tables.links_and_cores(r) for r in made.tables.route] == [
        ([0], []), ([0], []), ([0], [7, 9]), ([], [1]),
    ]  # fmt: skip


def test_packets_to_the_chip_they_come_from_need_no_link() -> None:
    made = network(ROW, [(1, [(1, 152)])])
    assert made.tables.sizes.tolist() == [0, 1, 0, 0]
    assert made.tables.links_and_cores(int(made.tables.route[0])) == ([], [152])


def test_a_source_without_targets_has_an_entry_that_drops_its_packets() -> None:
    made = network(ROW, [(1, []), (1, [(1, 3)])])
    assert [made.tables.links_and_cores(r) for r in made.tables.route] == [([], []), ([], [3])]
    assert walk(minimised(made.tables), made.nets, ROW, made.keys, made.cores) == []


def test_trees_that_miss_a_target_are_refused() -> None:
    made = network(ROW, [(0, [(2, 7)])])
    short = replace(made.routes, first=np.array([0, 1]), link=made.routes.link[:1])
    with pytest.raises(ValueError, match="tree of net 0"):
        tables_for(made.nets, short, ROW, made.keys, made.cores)


@pytest.mark.parametrize("cores", [[], [1, 2], [-1]])
def test_cores_that_do_not_fit_the_targets_are_refused(cores: list[int]) -> None:
    made = network(ROW, [(0, [(2, 7)])])
    with pytest.raises(ValueError, match="cores"):
        tables_for(made.nets, made.routes, ROW, made.keys, cores)


def test_a_key_bit_outside_of_the_mask_never_matches_and_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 1 of router 0 never matches: key 0x00000003"):
        table((0, 0xFFFFFFFF, 0), (3, 0xFFFFFFFE, 0))


# Made small


def test_two_halves_of_a_block_become_one_entry() -> None:
    small = minimised(table((0x10, 0xFFFFFFF0, 5), (0x00, 0xFFFFFFF0, 5)))
    assert (small.key.tolist(), small.mask.tolist(), small.route.tolist()) == (
        [0],
        [0xFFFFFFE0],
        [5],
    )


def test_an_exception_goes_above_the_rule() -> None:
    # Keys 0 to 7 to core 1 but 5 to core 2: no two of the seven need to stay apart once 5 is taken.
    small = minimised(table(*((k, 0xFFFFFFFF, 2 if k == 5 else 1) for k in range(8))))
    assert small.route.tolist() == [2, 1]
    assert (small.key[0], small.mask[0]) == (5, 0xFFFFFFFF)


def test_keys_that_nobody_sends_may_match_anything() -> None:
    small = minimised(table((0b000, 0xFFFFFFFF, 1), (0b011, 0xFFFFFFFF, 1), (0b100, 0xFFFFFFFF, 2)))
    assert sorted(zip(small.mask.tolist(), small.route.tolist(), strict=True)) == [
        (0xFFFFFFFC, 1),
        (0xFFFFFFFF, 2),
    ]


def test_an_empty_table_stays_empty() -> None:
    empty = Tables(np.zeros(4), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 1)), 6)
    assert minimised(empty).sizes.tolist() == [0, 0, 0]
    assert empty.fewest.tolist() == [0, 0, 0]


@given(networks())
def test_a_small_table_says_the_same_about_every_key_in_use(made: Network) -> None:
    small = minimised(made.tables)
    assert (small.sizes <= made.tables.sizes).all()
    assert (small.sizes >= made.tables.fewest).all()
    for router in range(made.tables.routers):
        for i in range(made.tables.first[router], made.tables.first[router + 1]):
            begin, width = int(made.tables.key[i]), int(~made.tables.mask[i]) + 1
            wanted = made.tables.routes[made.tables.route[i]].tobytes()
            assert all(
                slow_route(small, router, packet) == wanted
                for packet in range(begin, begin + width)
            )


# Walked


@given(networks())
def test_every_atom_reaches_its_targets_once(made: Network) -> None:
    small = minimised(made.tables)
    assert walk(made.tables, made.nets, made.links, made.keys, made.cores) == []
    assert walk(small, made.nets, made.links, made.keys, made.cores) == []
    for net in range(made.nets.source.size):
        begin, end = made.nets.first[net], made.nets.first[net + 1]
        pairs = list(
            zip(made.nets.target[begin:end].tolist(), made.cores[begin:end].tolist(), strict=True)
        )
        for atom in (0, int(made.keys.atoms[net]) - 1):
            assert slow_deliveries(small, made, net, atom) == sorted(set(pairs))


def test_differences_are_found_in_a_part_of_a_block() -> None:
    whole = table((0, 0xFFFFFFF0, 1))
    assert differences(table((4, 0xFFFFFFFC, 1), (0, 0xFFFFFFF0, 1)), whole) == []
    (line,) = differences(table((4, 0xFFFFFFFC, 2), (0, 0xFFFFFFF0, 1)), whole)
    assert line.startswith("router 0: packets 0x00000000")
    assert differences(table((4, 0xFFFFFFFC, 1)), whole)


@pytest.mark.parametrize(
    "fields",
    [
        {"key": np.zeros((2, 1))},
        {"mask": np.zeros(3)},
        {"route": np.zeros(1)},
        {"routes": np.zeros(64)},
    ],
)
def test_arrays_of_other_shapes_are_refused(fields: dict[str, np.ndarray]) -> None:
    good = table((0, 0xFFFFFFFF, 0), (1, 0xFFFFFFFF, 63))
    with pytest.raises(ValueError, match="must have one axis of the same length, routes two axes"):
        replace(good, **fields)


@pytest.mark.parametrize("first", [[1, 2], [0, 1], [0, 3], [0, 2, 1, 2]])
def test_tables_follow_one_another(first: list[int]) -> None:
    good = table((0, 0xFFFFFFFF, 0), (1, 0xFFFFFFFF, 63))
    with pytest.raises(ValueError, match="first must rise from 0 to the number of entries, 2"):
        replace(good, first=np.array(first))


@pytest.mark.parametrize("route", [[-1, 0], [0, 64]])
def test_entries_name_routes_that_exist(route: list[int]) -> None:
    good = table((0, 0xFFFFFFFF, 0), (1, 0xFFFFFFFF, 63))
    with pytest.raises(ValueError, match="rout"):
        replace(good, route=np.array(route))
