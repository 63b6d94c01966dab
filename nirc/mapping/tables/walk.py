"""A proof of the tables: follow every packet of every source, link by link.

Packets of a net that match the same entries go together, at first all keys of the net. If an entry
matches only some of them, the two halves restart separately at the source. So the walk covers each
of 2^32 keys, and its time is about the size of the trees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing import Nets
from nirc.mapping.routing.links import LinkGraph
from nirc.mapping.tables import Bits, Ints, Longs, Tables, Words
from nirc.mapping.tables.keys import Keys
from nirc.native.loops import in_c

NONE, MISSED, STRAY, LOOP, DEAD_LINK, NO_ENTRY = range(6)
FAULT_TEXT = {
    MISSED: "does not arrive",
    STRAY: "is delivered to a core that is no target",
    LOOP: "comes to the router a second time",
    DEAD_LINK: "leaves over a link that does not work",
    NO_ENTRY: "matches no entry",
}


TableArrays = tuple[
    Longs, Words, Words, Ints, Bits
]  # first, key, mask, route, routes of ``Tables``


@dataclass(frozen=True)
class Fault:
    """The first error with the packets of a net."""

    kind: int  # a key of FAULT_TEXT
    net: int
    atom: int  # of the slice
    key: int
    router: int
    entry: int  # of all entries of the tables, -1: none
    core: int  # local core, the direction for DEAD_LINK, -1: none

    def __str__(self) -> str:
        entry = f", entry {self.entry}" if self.entry >= 0 else ""
        exit_kind = "direction" if self.kind == DEAD_LINK else "core"
        core = f", {exit_kind} {self.core}" if self.core >= 0 else ""
        where = f"router {self.router}{entry}{core}"
        packet = f"net {self.net}, atom {self.atom}, key {self.key:#010x}"
        return f"{packet}: {FAULT_TEXT[self.kind]} ({where})"


def walk(
    tables: Tables,
    nets: Nets,
    links: LinkGraph,
    keys: Keys,
    local_cores: npt.ArrayLike,
    *,
    most: int = 20,
) -> list[Fault]:
    """Follow every packet from its source. Return no fault if exactly its targets get it, once.

    ``local_cores`` (pairs,): the core at each router of ``nets.target``. There is at most one fault
    for each net, and ``most`` in all. The keys of a block beyond the atoms of its slice follow the
    same rules. Raises ``ValueError`` for arrays that do not fit.
    """
    cores = np.ascontiguousarray(local_cores, np.int64)
    known = cores.shape == nets.target.shape and keys.key.size == nets.source.size
    if not known or tables.routers != links.routers:
        raise ValueError("nets, keys, cores and tables differ in number")
    if links.routers == 1 and _one_entry_delivers(tables, nets, keys, cores):
        return []
    directions = tables.directions
    bits = max(64 * tables.routes.shape[1], int(cores.max(initial=-1)) + directions + 1)
    pairs = (nets.source, nets.first, nets.target, cores + directions, keys.key, keys.mask)
    arrays = (tables.first, tables.key, tables.mask, tables.route, tables.routes)
    wanted = np.full((links.routers, bits), -1, np.int64)
    return _faults(nets, links, pairs, arrays, wanted, most)


def _faults(
    nets: Nets,
    links: LinkGraph,
    pairs: tuple[Ints, Longs, Ints, Longs, Words, Words],
    arrays: TableArrays,
    wanted: Longs,
    most: int,
) -> list[Fault]:
    """Return the first faults, see ``walk``. ``pairs``, ``wanted``: see ``_follow``."""
    directions = links.outgoing.shape[1]
    net_key = pairs[4]
    faults: list[Fault] = []
    net = 0
    while net < nets.source.size and len(faults) < most:
        fault = np.full(6, -1, np.int64)
        net = _follow(net, pairs, (links.outgoing, links.target), arrays, wanted, fault)
        if fault[0] > 0:
            kind, router, entry, bit, key, bad = (int(v) for v in fault)
            core = bit if kind == DEAD_LINK or bit < 0 else bit - directions
            faults.append(Fault(kind, bad, key - int(net_key[bad]), key, router, entry, core))
    return faults


def _one_entry_delivers(tables: Tables, nets: Nets, keys: Keys, cores: Longs) -> bool:
    """Check, on one router, that one entry for each net takes all its packets to all its targets.

    If not, the tables may still be right.
    """
    entry = np.full(nets.source.size, -1, np.int64)
    for net, (key, mask) in enumerate(zip(keys.key, keys.mask, strict=True)):
        matching = np.flatnonzero(((tables.key ^ key) & tables.mask & mask) == 0)
        if not matching.size or tables.mask[matching[0]] & ~mask:
            return False
        entry[net] = matching[0]
    wanted = np.zeros((nets.source.size, 64 * tables.routes.shape[1]), np.bool_)
    if cores.size and int(cores.max()) + tables.directions >= wanted.shape[1]:
        return False
    owner = np.repeat(np.arange(nets.source.size), np.diff(nets.first))
    wanted[owner, cores + tables.directions] = True
    words = tables.routes[tables.route[entry]].astype("<u8").view(np.uint8)
    return bool((np.unpackbits(words, axis=1, bitorder="little").astype(np.bool_) == wanted).all())


def differences(tables: Tables, reference: Tables, *, most: int = 20) -> list[str]:
    """Describe packets of ``reference`` with another route in ``tables``. Empty: no difference.

    The entries of each router of ``reference`` must not overlap. Raises ``ValueError`` if the
    routers differ in number.
    """
    if tables.routers != reference.routers:
        raise ValueError(f"{tables.routers} routers, the reference has {reference.routers}")
    same = _same_routes(tables, reference)
    changed = np.full(most, -1, np.int64)
    old = (reference.first, reference.key, reference.mask, reference.route)
    _compare((tables.first, tables.key, tables.mask, tables.route), old, same, changed)
    return [
        f"router {reference.router_of(entry)}: packets {reference.key[entry]:#010x} with mask "
        f"{reference.mask[entry]:#010x} get another route"
        for entry in changed[changed >= 0].tolist()
    ]


def _same_routes(tables: Tables, reference: Tables) -> Longs:
    """Return (routes of tables,) the row of the same route in the reference, -1: none."""
    rows = {reference.routes[r].tobytes().rstrip(b"\0"): r for r in range(len(reference.routes))}
    return np.array([rows.get(r.tobytes().rstrip(b"\0"), -1) for r in tables.routes], np.int64)


def first_match(key: int, mask: int, begin: int, end: int, keys: Words, masks: Words) -> int:
    """Return the first entry of ``begin`` to ``end`` that matches a packet of a block, or -1."""
    for entry in range(begin, end):
        if (key ^ keys[entry]) & mask & masks[entry] == 0:
            return entry
    return -1


@in_c("compare", "qIIiqIIiqq*")
def _compare(
    tables: tuple[Longs, Words, Words, Ints],
    reference: tuple[Longs, Words, Words, Ints],
    same: Longs,
    changed: Longs,
) -> None:
    """Put the entries of the reference that are not kept into ``changed``, until it is full."""
    first, key, mask, route = tables
    ref_first, ref_key, ref_mask, ref_route = reference
    count = 0
    halves_key = np.empty(40, np.uint32)
    halves_mask = np.empty(40, np.uint32)
    for router in range(first.size - 1):
        for entry in range(ref_first[router], ref_first[router + 1]):
            halves_key[0], halves_mask[0], top = ref_key[entry], ref_mask[entry], 1
            while top:
                top -= 1
                k, m = halves_key[top], halves_mask[top]
                at = first_match(k, m, first[router], first[router + 1], key, mask)
                rest = int(mask[at] & ~m) if at >= 0 else 0
                if at < 0 or (rest == 0 and same[route[at]] != ref_route[entry]):
                    if count == changed.size:
                        return
                    changed[count] = entry
                    count += 1
                    break
                if rest:
                    top = _split(k, m, rest, halves_key, halves_mask, top)


def _split(key: int, mask: int, rest: int, keys: Words, masks: Words, top: int) -> int:
    """Push the two halves of these packets, which differ in the lowest bit of ``rest``."""
    bit = rest & -rest
    keys[top], masks[top] = key | bit, mask | bit
    keys[top + 1], masks[top + 1] = key, mask | bit
    return top + 2


@in_c("follow", "niqiqIIiiqIIiQq*q*")
def _follow(
    net: int,
    nets: tuple[Ints, Longs, Ints, Longs, Words, Words],
    links: tuple[Ints, Ints],
    tables: TableArrays,
    wanted: Longs,
    fault: Longs,
) -> int:
    """Follow the nets from ``net`` on, to the first fault. Return the next net.

    ``wanted`` (routers, bits): the number of the last walk that must still deliver there.
    ``fault``: kind, router, entry, bit, key, net.
    """
    source, first, target, bit, net_key, net_mask = nets
    halves_key = np.empty(40, np.uint32)
    halves_mask = np.empty(40, np.uint32)
    seen = np.full(wanted.shape[0], -1, np.int64)  # the number of the last walk at the router
    queue = np.empty(wanted.shape[0], np.int32)
    walks = net << 32
    while net < source.size:
        halves_key[0], halves_mask[0], top = net_key[net], net_mask[net], 1
        while top:
            top -= 1
            k, m = halves_key[top], halves_mask[top]
            walks += 1
            left = 0
            for pair in range(first[net], first[net + 1]):
                if wanted[target[pair], bit[pair]] != walks:
                    wanted[target[pair], bit[pair]] = walks
                    left += 1
            marks = (wanted, seen, queue)
            rest = _one_walk((walks, k, m), source[net], left, links, tables, marks, fault)
            if rest:
                top = _split(k, m, rest, halves_key, halves_mask, top)
            elif fault[0] > 0:
                if fault[0] == MISSED:
                    for pair in range(first[net + 1] - 1, first[net] - 1, -1):
                        if wanted[target[pair], bit[pair]] == walks:
                            fault[1], fault[3] = target[pair], bit[pair]
                fault[4], fault[5] = k, net
                return net + 1
        net += 1
    return net


def _one_walk(
    packets: tuple[int, int, int],
    source: int,
    left: int,
    links: tuple[Ints, Ints],
    tables: TableArrays,
    marks: tuple[Longs, Longs, Ints],
    fault: Longs,
) -> int:
    """Walk with packets that go together. Return bits that separate them, or 0 and ``fault``.

    ``packets``: number of the walk, key, mask. ``left``: targets. ``marks``: see ``_follow``.
    """
    number, key, mask = packets
    wanted, seen, queue = marks
    outgoing, link_target = links
    table_first, keys, masks, route, routes = tables
    directions = outgoing.shape[1]
    queue[0] = source
    head = 0
    tail = 1
    seen[source] = number
    while head < tail:
        router = queue[head]
        head += 1
        entry = first_match(key, mask, table_first[router], table_first[router + 1], keys, masks)
        fault[1], fault[2], fault[3] = router, entry, -1
        if entry < 0:
            fault[0] = NO_ENTRY
            return 0
        apart = np.int64(masks[entry] & ~mask)
        if apart:
            return int(apart)
        for word in range(routes.shape[1]):
            bits = routes[route[entry], word]
            at = 64 * word
            while bits:
                if bits & np.uint64(1):
                    fault[3] = at
                    if at >= directions:
                        if wanted[router, at] != number:
                            fault[0] = STRAY
                            return 0
                        wanted[router, at] = -1
                        left -= 1
                    elif outgoing[router, at] < 0:
                        fault[0] = DEAD_LINK
                        return 0
                    else:
                        there = link_target[outgoing[router, at]]
                        if seen[there] == number:
                            fault[0], fault[1], fault[3] = LOOP, there, -1
                            return 0
                        seen[there] = number
                        queue[tail] = there
                        tail += 1
                bits >>= np.uint64(1)
                at += 1
    fault[0], fault[2], fault[3] = MISSED if left else NONE, -1, -1
    return 0
