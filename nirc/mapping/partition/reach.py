"""The structure of a projection: the source neurons with a synapse into a box of target neurons.

Dense layers, one-to-one connections and convolutions are products of relations along the axes. A
relation says which source coordinates reach a target coordinate. All answers have a closed form in
the ends of a range. So no projection is unrolled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import Boxes, Ints, Shape3, neurons_of, three_axes

SORTED = 8  # fewer synapses than sources / 8 are sorted, more are counted


@dataclass(frozen=True)
class Product:
    """A projection that is a product of axes: dense layers, one to one, convolutions, pools.

    A neuron reaches another if it does so along each axis.
    """

    axes: tuple[Relation, Relation, Relation]
    kind: str  # "dense", "one-to-one" or "window": a chip may store these in different formats

    @property
    def source_shape(self) -> Shape3:
        """The shape of the source population."""
        a, b, c = (axis.n_in for axis in self.axes)
        return a, b, c

    @property
    def target_shape(self) -> Shape3:
        """The shape of the target population."""
        a, b, c = (axis.n_out for axis in self.axes)
        return a, b, c

    def axons(self, boxes: Boxes) -> Ints:
        """Return (k,) source neurons with a synapse into each box, each counted once."""
        a, b, c = (r.count(boxes[:, i, 0], boxes[:, i, 1]) for i, r in enumerate(self.axes))
        return a * b * c

    def synapses(self, boxes: Boxes) -> Ints:
        """Return (k,) synapses into each box (of a kernel: taps that see a source)."""
        a, b, c = (r.pairs(boxes[:, i, 0], boxes[:, i, 1]) for i, r in enumerate(self.axes))
        return a * b * c


@dataclass(frozen=True, eq=False)
class Explicit:
    """Synapses by index, in any order, none twice."""

    source: Ints  # (synapses,) neuron
    target: Ints  # (synapses,) neuron
    source_shape: Shape3
    target_shape: Shape3
    kind: str = "sparse"

    def __post_init__(self) -> None:
        for name, shape in (("source", self.source_shape), ("target", self.target_shape)):
            numbers = np.asarray(getattr(self, name))
            if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
                found = f"{numbers.dtype} of {numbers.shape}"
                raise ValueError(f"{name} must be a list of integers, not {found}")
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < math.prod(shape):
                ends = f"{numbers.min()} to {numbers.max()}"
                raise ValueError(f"{name} names neurons {ends} of {math.prod(shape)}")
            object.__setattr__(self, name, numbers.astype(np.int64))
        if self.source.size != self.target.size:
            sizes = f"{self.source.size}, {self.target.size}"
            raise ValueError(f"source and target differ in length: {sizes}")

    @cached_property
    def _rows(self) -> tuple[Ints, Ints]:
        """(targets + 1,) the first synapse of each target, and (synapses,) the sources."""
        counts = np.bincount(self.target, minlength=math.prod(self.target_shape))
        return np.append(0, np.cumsum(counts)), self.source[np.argsort(self.target, kind="stable")]

    def _into(self, box: Boxes) -> Ints:
        """Return the source of each synapse into one box."""
        first, source = self._rows
        _, h, w = self.target_shape
        (a, b), *rest = box.tolist()
        if rest == [[0, h], [0, w]]:  # one piece
            return source[first[a * h * w] : first[b * h * w]]
        neurons = neurons_of(self.target_shape, box)
        return source[rows_at(first[neurons], first[neurons + 1] - first[neurons])[1]]

    def axons(self, boxes: Boxes) -> Ints:
        """Return (k,) source neurons with a synapse into each box, each counted once."""
        return np.array([self.fans(box).size for box in boxes], dtype=np.int64)

    def synapses(self, boxes: Boxes) -> Ints:
        """Return (k,) synapses into each box."""
        return np.array([self._into(box).size for box in boxes], dtype=np.int64)

    def fans(self, box: Boxes) -> Ints:
        """Return (n,) the number of synapses into one box of each source that has any."""
        source = self._into(box)
        if source.size * SORTED < math.prod(self.source_shape):
            return np.unique(source, return_counts=True)[1]
        counts = np.bincount(source)
        return counts[counts > 0]


Reach = Product | Explicit


def dense(source: Sequence[int], target: Sequence[int]) -> Product:
    """Connect every neuron of shape ``source`` to every neuron of shape ``target``."""
    pairs = zip(three_axes(source), three_axes(target), strict=True)
    a, b, c = (Every(n_in, n_out) for n_in, n_out in pairs)
    return Product((a, b, c), "dense")


def one_to_one(shape: Sequence[int]) -> Product:
    """Connect neuron n to neuron n, in populations of one shape."""
    a, b, c = (Blocks(n, n, n) for n in three_axes(shape))
    return Product((a, b, c), "one-to-one")


def window(
    source: Sequence[int],
    target: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Product:
    """Return a convolution or a pool, (C_in, H, W) to (C_out, H', W') or (C_in, L) to (C_out, L').

    ``padding``: before the first row and column. A pool has as many ``groups`` as channels. Zeros
    in a kernel count as synapses. Raises ``ValueError`` for numbers that make no window.
    """
    n_in = three_axes(source)
    n_out = three_axes(target)
    space = len(kernel)
    if not space <= min(len(stride), len(padding), len(dilation)) or space not in (1, 2):
        raise ValueError("a kernel has one or two axes, and stride, padding and dilation as many")
    spatial: list[Relation] = [
        Window(n_in[1 + i], n_out[1 + i], kernel[i], stride[i], padding[i], dilation[i])
        for i in range(space)
    ]
    spatial += [Blocks(n, n, n) for n in n_in[1 + space :]]
    return Product((Blocks(n_in[0], n_out[0], groups), spatial[0], spatial[1]), "window")


def sparse(
    source: Sequence[int], target: Sequence[int], pre: npt.ArrayLike, post: npt.ArrayLike
) -> Explicit:
    """Return synapses from neuron ``pre[i]`` of the source to neuron ``post[i]`` of the target."""
    return Explicit(np.asarray(pre), np.asarray(post), three_axes(source), three_axes(target))


class Hits(NamedTuple):
    """Classes of source coordinates that reach the same ranges of a target axis.

    Class c reaches the ranges ``ids[first[c]:first[c + 1]]``, rising.
    """

    of: Ints  # (n_in,) the class of each coordinate
    first: Ints
    ids: Ints


def rows_at(start: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """Return compressed rows: their first elements, and the old index of each element.

    Row i takes ``sizes[i]`` elements from the old index ``start[i]`` on.
    """
    first = np.append(0, np.cumsum(sizes))
    return first, np.arange(first[-1]) + np.repeat(start - first[:-1], sizes)


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

    def hits(self, cuts: Ints) -> Hits:
        """Return the classes of source coordinates, for the ranges between ``cuts``."""
        ...


@dataclass(frozen=True)
class Every:
    """Every coordinate reaches every other (a dense layer)."""

    n_in: int
    n_out: int

    def count(self, start: Ints, stop: Ints) -> Ints:
        """Return the number of all sources."""
        return np.where(stop > start, self.n_in, 0)

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """Return the number of all sources times the length."""
        return self.n_in * (stop - start)

    def hits(self, cuts: Ints) -> Hits:
        """Return one class."""
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
            channels = f"{self.n_in} and {self.n_out} channels"
            raise ValueError(f"{self.groups} groups do not divide {channels}")

    @property
    def _sends(self) -> int:
        """The source coordinates of a block."""
        return self.n_in // self.groups

    @property
    def _receives(self) -> int:
        """The target coordinates of a block."""
        return self.n_out // self.groups

    def count(self, start: Ints, stop: Ints) -> Ints:
        """Return the number of sources in all blocks that the range touches."""
        blocks = -(-stop // self._receives) - start // self._receives
        return np.where(stop > start, blocks * self._sends, 0)

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """Return a block of sources for each target."""
        return (stop - start) * self._sends

    def hits(self, cuts: Ints) -> Hits:
        """Return a class for all blocks within one range, and a class for each cut block."""
        block = np.arange(self.groups) * self._receives
        low = np.searchsorted(cuts, block, side="right") - 1
        high = np.searchsorted(cuts, block + self._receives, side="left")
        changes = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
        of = np.repeat(np.cumsum(changes) - 1, self._sends)
        return Hits(of, *rows_at(low[changes], (high - low)[changes]))


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
            numbers = "sizes, kernel, stride and dilation"
            raise ValueError(f"{numbers} of a window are at least 1: {self}")

    @cached_property
    def _sums(self) -> tuple[Ints, Ints]:
        """Sums over targets, from 0 on: existing sources, and those that an earlier target sees.

        The earlier target is ``_shared_distance`` before.
        """
        at = self._sources_of_targets
        exists = (at >= 0) & (at < self.n_in)
        shared = max(self.kernel - self.stride // math.gcd(self.stride, self.dilation), 0)
        counts = exists.sum(axis=1), exists[:, :shared].sum(axis=1)
        return np.append(0, np.cumsum(counts[0])), np.append(0, np.cumsum(counts[1]))

    @property
    def _sources_of_targets(self) -> Ints:
        """(n_out, kernel) the source of each target and tap."""
        o, t = np.arange(self.n_out)[:, None], np.arange(self.kernel)
        return o * self.stride - self.padding + self.dilation * t

    @property
    def _shared_distance(self) -> int:
        """The distance of the nearest targets that share sources."""
        return self.dilation // math.gcd(self.stride, self.dilation)

    def count(self, start: Ints, stop: Ints) -> Ints:
        """Return the existing sources, less those that an earlier target of the range sees."""
        exists, again = self._sums
        later = np.minimum(start + self._shared_distance, stop)
        counted: Ints = exists[stop] - exists[start] - (again[stop] - again[later])
        return counted

    def pairs(self, start: Ints, stop: Ints) -> Ints:
        """Return the number of taps that see a source."""
        exists, _ = self._sums
        counted: Ints = exists[stop] - exists[start]
        return counted

    def hits(self, cuts: Ints) -> Hits:
        """Return a class for each list of ranges."""
        at = self._sources_of_targets
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
    class_first, at = rows_at(first[example], count[example])
    return Hits(of.ravel(), class_first, ids[at])
