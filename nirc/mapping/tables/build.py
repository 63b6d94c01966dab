"""Build routing tables from trees and keys, with an explicit entry at every router of a tree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.keys import Keys
from nirc.mapping.links import LinkGraph
from nirc.mapping.nets import Nets, Routes
from nirc.mapping.tables.entries import Bits, Ints, Longs, Tables

MOST_ROWS_PLAIN = 1000  # rows that are compared without compiled code


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
            f"{keys.key.size} keys "
            f"and {cores.size} cores"
        )
    if cores.size and cores.min() < 0:
        raise ValueError(f"cores are numbered from 0, not {cores.min()}")
    directions = links.outgoing.shape[1]
    words = (directions + int(cores.max(initial=-1))) // 64 + 1
    # Entry i is net i at its source. Entry count + j is at the end of link j of all trees.
    router = np.concatenate([nets.source, links.target[routes.link]])
    net = np.concatenate([np.arange(count), np.repeat(np.arange(count), routes.hops)])
    bits = np.zeros((router.size, words), np.uint64)
    if links.routers == 1:
        lost = -1
        pair = np.repeat(np.arange(count), np.diff(nets.first))
        np.bitwise_or.at(
            bits,
            (pair, (directions + cores) >> 6),
            np.uint64(1) << ((directions + cores) & 63).astype(np.uint64),
        )
    else:
        lost = _fill(
            nets.source, nets.first, nets.target, directions + cores, routes.first, routes.link,
            links.source,
            links.target, links.direction, np.full(links.routers, -1, np.int64),
            np.full(links.routers, -1, np.int64),
            bits,
        )  # fmt: skip
    if lost >= 0:
        raise ValueError(f"the tree of net {lost} is broken, or misses a target")
    route, examples = _interned(bits)
    order = np.argsort(router.astype(np.int64) << 32 | keys.key[net], kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(router, minlength=links.routers))])
    net = net[order]
    return Tables(first, keys.key[net], keys.mask[net], route[order], bits[examples], directions)


@compiled
def _fill(
    source: Ints,
    first: Longs,
    target: Ints,
    bit: Longs,
    tree_first: Longs,
    link: Ints,
    link_source: Ints,
    link_target: Ints,
    direction: Ints,
    seen: Longs,
    entry: Longs,
    bits: Bits,
) -> int:
    """Set the bits of the route of every entry. Return a net with a broken tree, or -1.

    ``bit`` (pairs,): of the local core. ``seen`` (routers,): the last net that passed. ``entry``
    (routers,): the entry of this net.
    """
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


@compiled
def _set(bits: Bits, row: int, bit: int) -> None:
    bits[row, bit >> 6] |= np.uint64(1) << np.uint64(bit & 63)


def _interned(bits: Bits) -> tuple[Ints, Longs]:
    """Return (rows,) the number of each row among the distinct rows, and their first indices.

    The numbers are in the order of first occurrence.
    """
    if len(bits) <= MOST_ROWS_PLAIN:
        rows: dict[bytes, int] = {}
        of = np.array([rows.setdefault(row.tobytes(), len(rows)) for row in bits], np.int32)
        return of, np.unique(of, return_index=True)[1]
    number = np.empty(len(bits), np.int32)
    examples = np.empty(len(bits), np.int64)
    room = 1 << max(2 * len(bits) - 1, 1).bit_length()
    distinct = _intern(bits, np.full(room, -1, np.int64), number, examples)
    return number, examples[:distinct].copy()


@compiled
def _intern(bits: Bits, slots: Longs, number: Ints, examples: Longs) -> int:
    """Fill a hash table (``slots``: a power of two, above rows).

    Return the distinct rows' number.
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
