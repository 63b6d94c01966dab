"""Routing tables as arrays: the tables of all routers in one value.

An entry is a key, a mask and a route. A packet with key p matches where ``p & mask == key``. Of the
matching entries of a router, the first counts. So their order is part of the table. A route is a
set of links and local cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        if (
            not self.key.shape == self.mask.shape == self.route.shape == (entries,)
            or self.routes.ndim != 2
        ):
            raise ValueError(
                "key, mask and route must have one axis of the same length, routes two axes"
            )
        if self.first[0] != 0 or self.first[-1] != entries or (np.diff(self.first) < 0).any():
            raise ValueError(f"first must rise from 0 to the number of entries, {entries}")
        if entries and not 0 <= self.route.min() <= self.route.max() < len(self.routes):
            raise ValueError(
                f"route names rows {self.route.min()} to {self.route.max()} of {len(self.routes)}"
            )
        never = np.flatnonzero(self.key & ~self.mask)
        if never.size:
            raise ValueError(
                f"entry {never[0]} of router {self.router_of(int(never[0]))} never matches: "
                f"key {self.key[never[0]]:#010x} has bits outside of mask "
                f"{self.mask[never[0]]:#010x}"
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
        different = np.unique(router * max(len(self.routes), 1) + self.route)
        return np.bincount(different // max(len(self.routes), 1), minlength=self.routers)

    def router_of(self, entry: int) -> int:
        """Return the router of the entry."""
        return int(np.searchsorted(self.first, entry, side="right")) - 1

    def links_and_cores(self, route: int) -> tuple[list[int], list[int]]:
        """Return the directions and the local cores of a row of ``routes``, rising."""
        words = self.routes[route].astype("<u8").view(np.uint8)
        bits = np.flatnonzero(np.unpackbits(words, bitorder="little"))
        return bits[bits < self.directions].tolist(), (
            bits[bits >= self.directions] - self.directions
        ).tolist()
