"""Relations along one axis: the source coordinates that reach a target coordinate.

Dense layers, one-to-one connections and convolutions are products of relations. So no projection is
unrolled. All answers have a closed form in the ends of a range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from nirc.mapping.partition.boxes import Ints


class Hits(NamedTuple):
    """Classes of source coordinates that reach the same ranges of a target axis.

    ``of`` (n_in,): the class of each coordinate. Class c reaches the ranges ``ids[first[c]:first[c
    + 1]]``, rising.
    """

    of: Ints
    first: Ints
    ids: Ints


class Relation(Protocol):
    """A relation of ``n_in`` source and ``n_out`` target coordinates. Ranges are (k,) arrays."""

    @property
    def n_in(self) -> int: ...  # noqa: D102
    @property
    def n_out(self) -> int: ...  # noqa: D102

    def count(self, start: Ints, stop: Ints) -> Ints:
        """Return (k,) source coordinates that reach the range, each counted once."""
        ...

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """Return (k,) pairs of a source coordinate and a target coordinate in the range."""
        ...

    def sources(self, start: int, stop: int) -> Ints:
        """Return (n,) the source coordinates that reach one range, rising."""
        ...

    def hits(self, cuts: Ints) -> Hits:
        """Return the classes of source coordinates, for the ranges between ``cuts``."""
        ...


@dataclass(frozen=True)
class Every:
    """Every coordinate reaches every other (a dense layer)."""

    n_in: int
    n_out: int

    def count(self, start: Ints, stop: Ints) -> Ints:
        """All sources."""
        return np.where(stop > start, self.n_in, 0)

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """All sources times the length."""
        return self.n_in * (stop - start)

    def sources(self, start: int, stop: int) -> Ints:
        """All sources."""
        return np.arange(self.n_in if stop > start else 0)

    def hits(self, cuts: Ints) -> Hits:
        """One class."""
        ranges = cuts.size - 1
        return Hits(np.zeros(self.n_in, dtype=np.int64), np.array([0, ranges]), np.arange(ranges))


@dataclass(frozen=True)
class Blocks:
    """Equal blocks of both axes, block to block: the channels of a convolution, or one to one."""

    n_in: int
    n_out: int
    groups: int

    def __post_init__(self) -> None:
        if self.groups < 1 or self.n_in % self.groups or self.n_out % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide {self.n_in} and {self.n_out} channels"
            )

    def _range(self, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
        per = self.n_out // self.groups
        return start // per, -(-stop // per)

    def count(self, start: Ints, stop: Ints) -> Ints:
        """The coordinates of all blocks that the range touches."""
        low, high = self._range(start, stop)
        return np.where(stop > start, (high - low) * (self.n_in // self.groups), 0)

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """A block of sources for each target."""
        return (stop - start) * (self.n_in // self.groups)

    def sources(self, start: int, stop: int) -> Ints:
        """The coordinates of all blocks that the range touches."""
        sends = self.n_in // self.groups
        receives = self.n_out // self.groups
        low = start // receives
        high = -(-stop // receives)
        return np.arange(low * sends, high * sends if stop > start else low * sends)

    def hits(self, cuts: Ints) -> Hits:
        """Blocks within the same range are one class. A block that is cut is a class by itself."""
        per = self.n_out // self.groups
        block = np.arange(self.groups)
        low = np.searchsorted(cuts, block * per, side="right") - 1
        high = np.searchsorted(cuts, (block + 1) * per, side="left")
        changes = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
        of = np.repeat(np.cumsum(changes) - 1, self.n_in // self.groups)
        low, high = low[changes], high[changes]
        first = np.append(0, np.cumsum(high - low))
        return Hits(of, first, np.arange(first[-1]) - np.repeat(first[:-1] - low, high - low))


@dataclass(frozen=True)
class Window:
    """Target o sees the sources ``o * stride - padding + dilation * t``, 0 <= t < kernel.

    Sources outside of the axis do not exist.
    """

    n_in: int
    n_out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        if min(self.n_in, self.n_out, self.kernel, self.stride, self.dilation) < 1:
            raise ValueError(
                f"sizes, kernel, stride and dilation of a window are at least 1: {self}"
            )

    @cached_property
    def _inside(self) -> tuple[Ints, Ints]:
        """Sums over targets, from 0: existing sources, and those already seen by an earlier target.

        The earlier target is ``_apart`` before.
        """
        at = self._places
        exists = (at >= 0) & (at < self.n_in)
        again = exists[
            :, : max(self.kernel - self.stride // math.gcd(self.stride, self.dilation), 0)
        ]
        return tuple(np.append(0, np.cumsum(seen.sum(axis=1))) for seen in (exists, again))  # type: ignore[return-value]

    @property
    def _places(self) -> Ints:
        o, t = np.arange(self.n_out)[:, None], np.arange(self.kernel)
        return o * self.stride - self.padding + self.dilation * t

    @property
    def _apart(self) -> int:
        """The distance of the nearest targets that share sources."""
        return self.dilation // math.gcd(self.stride, self.dilation)

    def count(self, start: Ints, stop: Ints) -> Ints:
        """Existing sources, less those that an earlier target of the range has seen."""
        exists, again = self._inside
        later = np.minimum(start + self._apart, stop)
        counted: Ints = exists[stop] - exists[start] - (again[stop] - again[later])
        return counted

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """Taps that see a source."""
        exists, _ = self._inside
        counted: Ints = exists[stop] - exists[start]
        return counted

    def sources(self, start: int, stop: int) -> Ints:
        """The existing sources."""
        at = np.unique(self._places[start:stop])
        return at[(at >= 0) & (at < self.n_in)]

    def hits(self, cuts: Ints) -> Hits:
        """Coordinates with equal lists of ranges are one class."""
        at = self._places
        ranges = cuts.size - 1
        of_target = np.repeat(np.arange(ranges), np.diff(cuts))
        exists = (at >= 0) & (at < self.n_in)
        key = np.unique((at * ranges + of_target[:, None])[exists])
        return _classes(key // ranges, key % ranges, self.n_in)


def _classes(coordinate: Ints, ids: Ints, n: int) -> Hits:
    """Turn pairs, sorted by coordinate and range, into classes of equal lists."""
    count = np.bincount(coordinate, minlength=n)
    first = np.append(0, np.cumsum(count))
    of = count.copy()  # refined by one element of the lists at a time
    padded = np.append(ids, 0)
    for t in range(int(count.max(initial=0))):
        element = np.where(t < count, padded[np.minimum(first[:-1] + t, ids.size)], -1)
        _, of = np.unique(of * (int(padded.max()) + 2) + element + 1, return_inverse=True)
    _, example, of = np.unique(of, return_index=True, return_inverse=True)
    sizes = count[example]
    starts = np.append(0, np.cumsum(sizes))
    picked = np.arange(starts[-1]) + np.repeat(first[example] - starts[:-1], sizes)
    return Hits(of.ravel(), starts, ids[picked])
