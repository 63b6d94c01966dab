"""Tables and keys by their rules: which arrays are refused, how fields lie, what is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirc.mapping.routing import Nets, Routes
from nirc.mapping.routing.links import mesh
from nirc.mapping.tables import Tables, _fill, tables_for
from nirc.mapping.tables.keys import (
    Keys,
    KeysError,
    _bits,
    _bits_for,
    _blocks,
    _groups,
    _masks,
    allocate,
    spread,
)

# Keys.

GOOD = Keys(
    *([0, 4], [0xFFFFFFFC, 0xFFFFFFFE], [4, 1], [0, 4], [0xFFFFFFFC, 0xFFFFFFFE]),  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"atoms": [4]}, "same length"),
        ({"mask": [0xFFFFFFFC]}, "same length"),
        ({"mask": [0xFFFFFFFC, 0xFFFFFFFD]}, "aligned block"),
        ({"key": [0, 5]}, "aligned block"),
        ({"atoms": [4, 0]}, "at least 1 atom"),
        ({"atoms": [5, 1]}, "at most the keys"),
        ({"atoms": [4, 3]}, "at most the keys"),
        ({"key": [4, 4]}, "slices 0 and 1 overlap"),
        ({"key": [0, 2]}, "slices 0 and 1 overlap"),
    ],
)
def test_keys_that_are_no_blocks_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(GOOD, **fields)


def test_keys_in_any_order_may_lie_side_by_side_up_to_the_last() -> None:
    turned = replace(GOOD, key=[0xFFFFFFFC, 0xFFFFFFFA])
    assert turned.key.tolist() == [0xFFFFFFFC, 0xFFFFFFFA]
    assert replace(GOOD, atoms=[1, 2]).atoms.tolist() == [1, 2]
    kinds = {name: getattr(GOOD, name).dtype for name in ("key", "mask", "atoms")}
    assert kinds == {"key": np.uint32, "mask": np.uint32, "atoms": np.int64}
    with pytest.raises(ValueError, match="read-only"):
        GOOD.population_key[0] = 1


def test_the_slices_that_overlap_are_named_by_their_own_numbers() -> None:
    with pytest.raises(ValueError, match="slices 2 and 0 overlap"):
        Keys([6, 8, 4], _masks(np.array([1, 1, 2])), [1, 1, 1], [0], [0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)]
)
def test_bits_number_so_many_things(count: int, bits: int) -> None:
    assert _bits(np.array([count])).tolist() == [bits] and _bits_for(count) == bits
    assert _bits_for(0) == 0


def test_a_mask_has_zeros_for_the_bits_below_a_field() -> None:
    assert [hex(m) for m in _masks(np.array([0, 1, 8, 31, 32]))] == [
        *("0xffffffff", "0xfffffffe", "0xffffff00", "0x80000000", "0x0")
    ]


@pytest.mark.parametrize(
    ("slices", "atoms", "first", "below", "atom"),
    [
        # 2 bits of population, 3 of slice, 4 of atom, the same in all keys
        ([3, 0, 1], [0, 4, 2], [0, 128, 256], [7, 7, 7], [4, 4, 4]),
        # 30 bits are too many for common fields, beside 3 populations. 16 are not.
        ([15, 0, 1], [0, 16, 2], [0, 1 << 16, 2 << 16], [16, 16, 16], [0, 16, 2]),
        # A block of 31 bits leaves one bit: blocks of their own sizes, the largest first.
        ([0, 1, 31], [2, 0, 0], [(1 << 31), (1 << 31) + 4, 0], [2, 1, 31], [2, 0, 0]),
    ],
)
def test_fields_are_common_if_32_bits_are_enough(
    slices: list[int], atoms: list[int], first: list[int], below: list[int], atom: list[int]
) -> None:
    found = _blocks(np.array(slices), np.array(atoms))
    assert [each.tolist() for each in found] == [first, below, atom]


@pytest.mark.parametrize(
    ("slices", "atoms", "below", "atom"),
    [
        ([15, 0], [16, 0], 31, [16, 16]),
        ([15, 0], [0, 17], 17, [0, 17]),
        ([31, 0], [0, 1], 31, [0, 1]),
    ],
)
def test_the_last_bit_may_be_used(
    slices: list[int], atoms: list[int], below: int, atom: list[int]
) -> None:
    """One bit of population: 31 bits are left for the slice and the atom."""
    first, bits, found = _blocks(np.array(slices), np.array(atoms))
    assert first.tolist() == [0, 1 << below] and bits.tolist() == [below, below]
    assert found.tolist() == atom


def test_too_many_keys_are_told_with_the_bits_that_they_need() -> None:
    with pytest.raises(
        KeysError, match=r"3 populations, in blocks of up to 2\^31 keys, need 33"
    ) as e:
        _blocks(np.array([31, 31, 0]), np.array([0, 0, 0]))
    assert e.value.bits == 33


def test_slices_of_a_population_need_not_be_neighbours() -> None:
    keys = allocate([1, 0, 1, 0, 1], [2, 1, 1, 1, 2])
    assert keys.key.tolist() == [8, 0, 10, 2, 12]
    assert keys.atoms.tolist() == [2, 1, 1, 1, 2] and keys.population_key.tolist() == [0, 8]


def test_a_few_populations_or_blocks_of_several_sizes_are_not_spread() -> None:
    tables = Tables([0, 0], [], [], [], np.zeros((0, 1)), 4)  # type: ignore[arg-type]
    two = allocate([0, 1], [1, 1])
    assert spread(two, [0, 1], tables) is two
    several = allocate(np.arange(33), [1 << 31, *(1 << b for b in range(30, -1, -1)), 1])
    assert spread(several, np.arange(33), tables) is several


def test_populations_with_one_route_at_a_router_are_a_group() -> None:
    """Router 0 sends populations 0 and 1 along route 0, and 2 along route 1. Router 1 sees 2."""
    keys = allocate([0, 0, 1, 2], [1, 1, 1, 1])
    entry = [0, 1, 2, 3, 3]
    tables = Tables(
        *(np.array([0, 4, 5]), keys.key[entry], keys.mask[entry], np.array([0, 0, 0, 1, 0])),
        *(np.array([[1], [2]]), 4),
    )  # fmt: skip
    found = _groups(keys, np.array([0, 0, 1, 2]), tables)
    assert found.first.tolist() == [0, 2, 3, 4] and found.member.tolist() == [0, 1, 2, 2]
    assert found.others.tolist() == [1, 2, 0]
    assert found.of_first.tolist() == [0, 1, 2, 4] and found.of.tolist() == [0, 0, 1, 2]


# Tables.

TABLES = Tables(
    np.array([0, 2, 2, 3]),
    *(np.array([4, 8, 0]), np.array([0xFFFFFFFC, 0xFFFFFFF8, 0xFFFFFFFF])),
    *(np.array([1, 0, 1]), np.array([[1 << 2, 1], [(1 << 63) | 1, 2]], np.uint64), 4),
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask": [0]}, "one axis of the same length"),
        ({"route": [0, 0]}, "one axis of the same length"),
        ({"routes": np.zeros(2)}, "one axis of the same length, routes two axes"),
        ({"first": [1, 2, 2, 3]}, "rise from 0 to the number of entries, 3"),
        ({"first": [0, 2, 2, 4]}, "rise from 0 to the number of entries, 3"),
        ({"first": [0, 2, 1, 3]}, "rise from 0 to the number of entries, 3"),
        ({"route": [-1, 0, 1]}, "route names rows -1 to 1 of 2"),
        ({"route": [0, 0, 2]}, "route names rows 0 to 2 of 2"),
        (
            {"key": [4, 12, 1], "mask": [0xFFFFFFFC, 0xFFFFFFF8, 0xFFFFFFFE]},
            "entry 1 of router 0 never matches: key 0x0000000c has bits outside of mask 0xfffffff8",
        ),
        (
            {"key": [4, 8, 1], "mask": [0xFFFFFFFC, 0xFFFFFFF8, 0xFFFFFFFE]},
            "entry 2 of router 2 never matches: key 0x00000001",
        ),
    ],
)
def test_arrays_that_are_no_tables_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TABLES, **fields)


def test_entries_and_routes_are_counted_by_router() -> None:
    assert (TABLES.routers, TABLES.sizes.tolist()) == (3, [2, 0, 1])
    assert [TABLES.router_of(entry) for entry in range(3)] == [0, 0, 2]
    assert TABLES.fewest.tolist() == [2, 0, 1]
    assert replace(TABLES, route=[1, 1, 1]).fewest.tolist() == [1, 0, 1]
    assert TABLES.links_and_cores(0) == ([2], [60])
    assert TABLES.links_and_cores(1) == ([0], [59, 61])
    empty = Tables([0, 0, 0], [], [], [], np.zeros((0, 1)), 4)  # type: ignore[arg-type]
    assert empty.fewest.tolist() == [0, 0]


LINE = mesh(3, 1)  # routers 0 - 1 - 2
BETWEEN = {(int(LINE.source[i]), int(LINE.target[i])): i for i in range(LINE.source.size)}


def line(*hops: tuple[int, int], targets: list[int], cores: list[int]) -> Tables:
    """The tables of one net from router 0, along these hops."""
    keys = allocate([0], [2])
    nets = Nets(np.array([0], np.int32), np.array([0, len(targets)]),
                np.array(targets, np.int32), np.ones(1))  # fmt: skip
    link = np.array([BETWEEN[hop] for hop in hops], np.int32)
    routes = replace_links(link)
    return tables_for(nets, routes, LINE, keys, cores)


def replace_links(link: Any) -> Routes:
    loads = np.zeros(LINE.source.size)
    return Routes(np.array([0, link.size]), link, loads)


def test_each_router_of_a_tree_has_an_entry_with_its_links_and_cores() -> None:
    made = line((0, 1), (1, 2), targets=[2, 1, 2], cores=[3, 70, 0])
    assert made.sizes.tolist() == [1, 1, 1]
    found = [made.links_and_cores(int(r)) for r in made.route]
    east = int(LINE.direction[BETWEEN[0, 1]])
    assert found == [([east], []), ([east], [70]), ([], [0, 3])]
    assert made.directions == LINE.outgoing.shape[1] and made.routes.shape[1] == 2


@pytest.mark.parametrize(
    ("hops", "targets"),
    [
        ([(0, 1)], [2]),  # the target is not on the tree
        ([(1, 2), (0, 1)], [2]),  # a link before the tree has reached its source
        ([(0, 1), (1, 0)], [1]),  # back to a router of the tree
    ],
)
def test_a_tree_that_is_broken_or_misses_a_target_is_refused(
    hops: list[tuple[int, int]], targets: list[int]
) -> None:
    with pytest.raises(ValueError, match="tree of net 0 is broken, or misses a target"):
        line(*hops, targets=targets, cores=[0])


def test_targets_cores_keys_and_trees_are_as_many() -> None:
    with pytest.raises(ValueError, match=r"1 nets with 1 targets, but 1 trees, 1 keys and 2 cores"):
        line((0, 1), targets=[1], cores=[0, 1])
    with pytest.raises(ValueError, match="cores are numbered from 0, not -1"):
        line((0, 1), targets=[1], cores=[-1])


def test_the_second_of_two_nets_is_named_if_its_tree_is_broken() -> None:
    nets = (np.array([0, 1], np.int32), np.array([0, 1, 2]), np.array([1, 2], np.int32),
            np.array([4, 5]))  # fmt: skip
    trees = (np.array([0, 1, 1]), np.array([BETWEEN[0, 1]], np.int32))
    bits = np.zeros((3, 1), np.uint64)
    ends = (LINE.source, LINE.target, LINE.direction)
    assert _fill(nets, trees, ends, 3, bits) == 1
    assert bits[:, 0].tolist() == [1 << int(LINE.direction[BETWEEN[0, 1]]), 0, 1 << 4]
