"""Multicast routing tables: the tables of all routers in one value, built from trees and keys.

An entry is a key, a mask and a route. A packet with key p matches where ``p & mask == key``. Of the
matching entries of a router, the first counts. So their order is part of the table. A route is a
set of links and local cores. Every router of a tree gets an explicit entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing import Nets, Routes
from nirc.mapping.routing.links import LinkGraph
from nirc.native.loops import in_c

if TYPE_CHECKING:
    from nirc.mapping.tables.keys import Keys

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tables:
    """The entries of router r, in order: ``first[r]`` to ``first[r + 1]``. Arrays are read-only.

    ``routes`` holds each distinct route once. Bit d of its words (64 to a word, lowest first) is
    the link in direction d. Bit ``directions + c`` is the local core c. Without any bit the packet
    is dropped.
    Raises ``ValueError`` for arrays that do not fit and for an entry that cannot match (key bit 1
    where the mask is 0).
    """

    first: Longs  # (routers + 1,)
    key: Words  # (entries,)
    mask: Words  # (entries,)
    route: Ints  # (entries,) row of routes
    routes: Bits  # (different routes, words)
    directions: int

    def __post_init__(self) -> None:
        kinds = {
            "first": np.int64,
            "key": np.uint32,
            "mask": np.uint32,
            "route": np.int32,
            "routes": np.uint64,
        }
        for name, kind in kinds.items():
            array = np.ascontiguousarray(getattr(self, name), kind)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        entries = self.key.size
        shapes = {self.key.shape, self.mask.shape, self.route.shape}
        if shapes != {(entries,)} or self.routes.ndim != 2:
            raise ValueError(
                "key, mask and route must have one axis of the same length, routes two axes"
            )
        if self.first[0] != 0 or self.first[-1] != entries or (np.diff(self.first) < 0).any():
            raise ValueError(f"first must rise from 0 to the number of entries, {entries}")
        if entries and not 0 <= self.route.min() <= self.route.max() < len(self.routes):
            rows = f"{self.route.min()} to {self.route.max()}"
            raise ValueError(f"route names rows {rows} of {len(self.routes)}")
        never = np.flatnonzero(self.key & ~self.mask)
        if never.size:
            entry = int(never[0])
            raise ValueError(
                f"entry {entry} of router {self.router_of(entry)} never matches: "
                f"key {self.key[entry]:#010x} has bits outside of mask {self.mask[entry]:#010x}"
            )

    @property
    def routers(self) -> int:
        """The number of routers, those with an empty table included."""
        return self.first.size - 1

    @property
    def sizes(self) -> Longs:
        """(routers,) entries of each router."""
        return np.diff(self.first)

    @property
    def fewest(self) -> Longs:
        """(routers,) distinct routes in each table. No equivalent table has fewer entries."""
        router = np.repeat(np.arange(self.routers), self.sizes)
        routes = max(len(self.routes), 1)
        distinct = np.unique(router * routes + self.route)
        return np.bincount(distinct // routes, minlength=self.routers)

    def router_of(self, entry: int) -> int:
        """Return the router of the entry."""
        return int(np.searchsorted(self.first, entry, side="right")) - 1

    def links_and_cores(self, route: int) -> tuple[list[int], list[int]]:
        """Return the directions and the local cores of a row of ``routes``, rising."""
        words = self.routes[route].astype("<u8").view(np.uint8)
        bits = np.flatnonzero(np.unpackbits(words, bitorder="little"))
        cores = bits[bits >= self.directions] - self.directions
        return bits[bits < self.directions].tolist(), cores.tolist()


def tables_for(
    nets: Nets, routes: Routes, links: LinkGraph, keys: Keys, local_cores: npt.ArrayLike
) -> Tables:
    """Return the tables that take the packets of every net along its tree to its target cores.

    Net i sends the keys of slice i. ``local_cores`` (pairs,): the core, from 0, at each router of
    ``nets.target``. Cores may repeat. The entries of a router are in the order of their keys, and
    no two match the same packet. A net without targets has one entry at its source, without a
    route. Its packets end there.
    Raises ``ValueError`` for arrays that do not fit and trees that do not reach the targets.
    """
    cores = np.ascontiguousarray(local_cores, np.int64)
    count = nets.source.size
    if cores.shape != nets.target.shape or keys.key.size != count or routes.first.size != count + 1:
        raise ValueError(
            f"{count} nets with {nets.target.size} targets, but {routes.first.size - 1} trees, "
            f"{keys.key.size} keys and {cores.size} cores"
        )
    if cores.size and cores.min() < 0:
        raise ValueError(f"cores are numbered from 0, not {cores.min()}")
    directions = links.outgoing.shape[1]
    words = (directions + int(cores.max(initial=-1))) // 64 + 1
    # Entry i is net i at its source. Entry count + j is at the end of link j of all trees.
    router = np.concatenate([nets.source, links.target[routes.link]])
    net = np.concatenate([np.arange(count), np.repeat(np.arange(count), routes.hops)])
    bits = np.zeros((router.size, words), np.uint64)
    bit = directions + cores
    broken = -1
    if links.routers == 1:
        owner = np.repeat(np.arange(count), np.diff(nets.first))
        np.bitwise_or.at(bits, (owner, bit >> 6), np.uint64(1) << (bit & 63).astype(np.uint64))
    else:
        pairs = (nets.source, nets.first, nets.target, bit)
        ends = (links.source, links.target, links.direction)
        broken = _fill(pairs, (routes.first, routes.link), ends, links.routers, bits)
    if broken >= 0:
        raise ValueError(f"the tree of net {broken} is broken, or misses a target")
    route, examples = _distinct(bits)
    order = np.argsort(router.astype(np.int64) << 32 | keys.key[net], kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(router, minlength=links.routers))])
    net = net[order]
    return Tables(first, keys.key[net], keys.mask[net], route[order], bits[examples], directions)


@in_c("fill", "iqiqqiiiinQ*")
def _fill(
    nets: tuple[Ints, Longs, Ints, Longs],
    trees: tuple[Longs, Ints],
    ends: tuple[Ints, Ints, Ints],
    routers: int,
    bits: Bits,
) -> int:
    """Set the bits of the route of every entry. Return a net with a broken tree, or -1."""
    source, first, target, bit = nets  # bit (pairs,): of the local core
    tree_first, link = trees
    link_source, link_target, direction = ends
    seen = np.full(routers, -1, np.int64)  # the last net at the router
    entry = np.full(routers, -1, np.int64)  # the entry of this net
    for net in range(source.size):
        seen[source[net]] = net
        entry[source[net]] = net
        for i in range(tree_first[net], tree_first[net + 1]):
            here = link_source[link[i]]
            there = link_target[link[i]]
            if seen[here] != net or seen[there] == net:
                return net
            _set(bits, entry[here], direction[link[i]])
            seen[there] = net
            entry[there] = source.size + i
        for pair in range(first[net], first[net + 1]):
            if seen[target[pair]] != net:
                return net
            _set(bits, entry[target[pair]], bit[pair])
    return -1


def _set(bits: Bits, row: int, bit: int) -> None:
    bits[row, bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


def _distinct(bits: Bits) -> tuple[Ints, Longs]:
    """Return (rows,) the number of each row among the distinct rows, and their first indices.

    The numbers are in the order of first occurrence.
    """
    number = np.empty(len(bits), np.int32)
    examples = np.empty(len(bits), np.int64)
    slots = np.full(1 << (2 * len(bits) - 1).bit_length(), -1, np.int64)
    distinct = _fill_hash_table(bits, slots, number, examples)
    return number, examples[:distinct].copy()


@in_c("distinct", "Qq*i*q*")
def _fill_hash_table(bits: Bits, slots: Longs, number: Ints, examples: Longs) -> int:
    """Number the rows by a hash table. Return the number of distinct rows.

    ``slots``: the table, as many as a power of two above the number of rows.
    """
    distinct = 0
    for row in range(len(bits)):
        mixed = np.uint64(0)
        for word in range(bits.shape[1]):
            mixed = (mixed ^ bits[row, word]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(slots.size - 1))
        while True:
            if slots[slot] < 0:
                slots[slot] = distinct
                examples[distinct] = row
                distinct += 1
                break
            same = True
            for word in range(bits.shape[1]):
                same &= bits[row, word] == bits[examples[slots[slot]], word]
            if same:
                break
            slot = (slot + 1) & (slots.size - 1)
        number[row] = slots[slot]
    return distinct
