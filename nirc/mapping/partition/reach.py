"""The structure of a projection: the source neurons with a synapse into a box of target neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Shape3, neurons_of, three_axes
from nirc.mapping.partition.relations import Blocks, Every, Relation, Window

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

    def sources(self, box: Boxes) -> Ints:
        """Return (n,) the source neurons with a synapse into one box (3, 2), rising."""
        a, b, c = (r.sources(*box[i].tolist()) for i, r in enumerate(self.axes))
        shape = self.source_shape
        numbers: Ints = ((a[:, None, None] * shape[1] + b[:, None]) * shape[2] + c).ravel()
        return numbers


@dataclass(frozen=True, eq=False)
class Explicit:
    """Synapses by index:

    ``source`` and ``target`` (synapses,) neurons, in any order, none twice.
    """

    source: Ints
    target: Ints
    source_shape: Shape3
    target_shape: Shape3
    kind: str = "sparse"

    def __post_init__(self) -> None:
        for name, shape in (("source", self.source_shape), ("target", self.target_shape)):
            numbers = np.asarray(getattr(self, name))
            if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
                raise ValueError(
                    f"{name} must be a list of whole numbers, not {numbers.dtype} of "
                    f"{numbers.shape}"
                )
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < math.prod(shape):
                raise ValueError(
                    f"{name} names neurons {numbers.min()} to {numbers.max()} of {math.prod(shape)}"
                )
            object.__setattr__(self, name, numbers.astype(np.int64))
        if self.source.size != self.target.size:
            raise ValueError(
                f"source and target differ in length: {self.source.size}, {self.target.size}"
            )

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
        return np.concatenate(
            [source[first[n] : first[n + 1]] for n in neurons.tolist()] or [source[:0]]
        )

    def axons(self, boxes: Boxes) -> Ints:
        """Return (k,) source neurons with a synapse into each box, each counted once."""
        return np.array([self.fans(box).size for box in boxes], dtype=np.int64)

    def synapses(self, boxes: Boxes) -> Ints:
        """Return (k,) synapses into each box."""
        return np.array([self._into(box).size for box in boxes], dtype=np.int64)

    def sources(self, box: Boxes) -> Ints:
        """Return (n,) the source neurons with a synapse into one box (3, 2), rising."""
        return np.unique(self._into(box))

    def fans(self, box: Boxes) -> Ints:
        """Return (n,) the number of synapses of each of the ``sources`` into one box."""
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


__all__ = ["AXES", "Explicit", "Product", "Reach", "dense", "one_to_one", "sparse", "window"]
