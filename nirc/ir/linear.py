"""Linear operators on flat vectors (C order), executable and unrollable.

``apply`` maps (batch, n_in) to (batch, n_out). ``coo`` gives target, source and value of every
stored entry, sorted by target, then source. The structural zeros of a kernel are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nirc.ir.arrays import Float, Int, Shape, describe, frozen, size
from nirc.ir.layers import Pads

Coo = tuple[Int, Int, Float]  # target, source, value
DENSE_BELOW = 1 << 20  # elements up to which a full matrix is faster than its entries


@dataclass(frozen=True)
class Dense:
    """``W x``. Weight (n_out, n_in)."""

    weight: Float

    @property
    def n_in(self) -> int:
        """Return the length of the vector that goes in."""
        return int(self.weight.shape[1])

    @property
    def n_out(self) -> int:
        """Return the length of the vector that comes out."""
        return int(self.weight.shape[0])

    @property
    def entries(self) -> int:
        """Return an upper bound of the stored entries."""
        return int(np.count_nonzero(self.weight))

    def apply(self, x: Float) -> Float:
        """Map (batch, n_in) to (batch, n_out)."""
        return x @ self.weight.T

    def coo(self) -> Coo:
        """Return the entries of the matrix that are not zero."""
        if self.entries < self.weight.size:
            target, source = np.nonzero(self.weight)
            return target, source, self.weight[target, source]
        target = np.repeat(np.arange(self.n_out), self.n_in)
        return target, np.tile(np.arange(self.n_in), self.n_out), self.weight.ravel()

    def text(self) -> str:
        """Return one line for `inspect`."""
        return f"dense {describe(self.weight)}"


@dataclass(frozen=True)
class Diagonal:
    """``s * x``. Scale (n,)."""

    scale: Float

    @property
    def n_in(self) -> int:
        """Return the length of the vector that goes in."""
        return int(self.scale.shape[0])

    n_out = n_in

    @property
    def entries(self) -> int:
        """Return an upper bound of the stored entries."""
        return int(np.count_nonzero(self.scale))

    def apply(self, x: Float) -> Float:
        """Map (batch, n) to (batch, n)."""
        return x * self.scale

    def coo(self) -> Coo:
        """Return the diagonal's entries that are not zero."""
        index = np.flatnonzero(self.scale)
        return index, index, self.scale[index]

    def text(self) -> str:
        """Return one line for `inspect`."""
        return f"scale {describe(self.scale)}"


class _OnMaps:
    """The lengths of vectors that are maps (channels, *spatial)."""

    shape_in: Shape
    shape_out: Shape

    @property
    def n_in(self) -> int:
        """Return the length of the vector that goes in."""
        return size(self.shape_in)

    @property
    def n_out(self) -> int:
        """Return the length of the vector that comes out."""
        return size(self.shape_out)


@dataclass(frozen=True)
class Conv(_OnMaps):
    """Cross-correlation with groups, over 1 or 2 spatial axes.

    Weight (C_out, C_in / groups, *kernel).
    """

    weight: Float
    shape_in: Shape  # (C_in, *spatial)
    shape_out: Shape
    stride: Shape
    padding: Pads
    dilation: Shape
    groups: int

    @property
    def entries(self) -> int:
        """Return an upper bound of the stored entries: border windows count in full."""
        return int(np.count_nonzero(self.weight)) * size(self.shape_out[1:])

    def apply(self, x: Float) -> Float:
        """Map (batch, n_in) to (batch, n_out)."""
        windows = windows_of(
            x.reshape(len(x), *self.shape_in),
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
        )
        groups = self.groups
        batch, channels, *rest = windows.shape
        axes = len(self.shape_in) - 1
        windows = windows.reshape(batch, groups, channels // groups, *rest)
        kernels = self.weight.reshape(groups, -1, *self.weight.shape[1:])
        over = tuple(range(2 + axes, 2 + 2 * axes))  # the kernel's axes in one group's windows
        parts = [
            np.tensordot(windows[:, g], kernels[g], axes=((1, *over), tuple(range(1, 2 + axes))))
            for g in range(groups)
        ]
        y = np.stack(parts, axis=1)  # (batch, group, *spatial, C_out / groups)
        return np.moveaxis(y, -1, 2).reshape(batch, self.n_out)

    def coo(self) -> Coo:
        """Return the entries of the unrolled matrix."""
        return _unroll(self.weight, self)

    def text(self) -> str:
        """Return one line for `inspect`."""
        ones = (1,) * len(self.stride)
        fields = (
            ("stride", self.stride, ones),
            ("dilation", self.dilation, ones),
            ("groups", self.groups, 1),
        )
        extra = "".join(f" {name}={value}" for name, value, usual in fields if value != usual)
        return f"conv {describe(self.weight)} pad={self.padding}{extra}"


@dataclass(frozen=True)
class Pool(_OnMaps):
    """Sum over windows times ``factor`` (1 / kernel size for an average)."""

    shape_in: Shape
    shape_out: Shape
    kernel: Shape
    stride: Shape
    padding: Pads
    factor: float = 1.0

    @property
    def entries(self) -> int:
        """Return an upper bound of the stored entries."""
        return self.n_out * size(self.kernel)

    def apply(self, x: Float) -> Float:
        """Map (batch, n_in) to (batch, n_out)."""
        ones = (1,) * len(self.kernel)
        windows = windows_of(
            x.reshape(len(x), *self.shape_in), self.kernel, self.stride, self.padding, ones
        )
        over = tuple(range(-len(self.kernel), 0))
        total: Float = windows.sum(axis=over).reshape(len(x), self.n_out) * self.factor
        return total

    def coo(self) -> Coo:
        """Return the entries of the unrolled matrix."""
        channels = self.shape_in[0]
        kernel = np.full((channels, 1, *self.kernel), self.factor)
        ones = (1,) * len(self.kernel)
        return Conv(
            kernel, self.shape_in, self.shape_out, self.stride, self.padding, ones, channels
        ).coo()

    def text(self) -> str:
        """Return one line for `inspect`."""
        pad = f" pad={self.padding}" if any(p != (0, 0) for p in self.padding) else ""
        return f"pool kernel={self.kernel} stride={self.stride}{pad} factor={self.factor:g}"


@dataclass(frozen=True)
class Sparse:
    """Entries by index, for operators without a better structure."""

    target: Int
    source: Int
    value: Float
    n_in: int
    n_out: int

    @property
    def entries(self) -> int:
        """Return the number of stored entries."""
        return self.value.size

    @cached_property
    def _rows(self) -> tuple[Int, Int]:
        rows, starts = np.unique(self.target, return_index=True)
        return rows, starts

    @cached_property
    def _matrix(self) -> Float:
        matrix = np.zeros((self.n_in, self.n_out))
        matrix[self.source, self.target] = self.value
        return matrix

    def apply(self, x: Float) -> Float:
        """Map (batch, n_in) to (batch, n_out), by a full matrix if that is small."""
        if self.n_in * self.n_out <= DENSE_BELOW:
            return x @ self._matrix
        y = np.zeros((len(x), self.n_out))
        if self.entries:
            rows, starts = self._rows
            for i in np.flatnonzero(x.any(axis=1)):
                y[i, rows] = np.add.reduceat(x[i][self.source] * self.value, starts)
        return y

    def coo(self) -> Coo:
        """Return the entries."""
        return self.target, self.source, self.value

    def text(self) -> str:
        """Return one line for `inspect`."""
        return f"sparse [{self.n_out},{self.n_in}] {self.entries} entries {describe(self.value)}"


LinearOp = Dense | Diagonal | Conv | Pool | Sparse
Weighted = Dense | Sparse | Conv


def weights_of(op: Weighted) -> Float:
    """Return the weights of synapses, or those of a kernel."""
    return op.value if isinstance(op, Sparse) else op.weight


def with_weights(op: Weighted, weights: Float) -> Weighted:
    """Return ``op`` with other weights, read-only."""
    weights = frozen(weights)
    return replace(op, value=weights) if isinstance(op, Sparse) else replace(op, weight=weights)


def pooled_kernel(ops: Sequence[LinearOp]) -> tuple[Pool | None, Conv] | None:
    """Return the pooling (or None) and the convolution behind it, None for any other chain."""
    match tuple(ops):
        case (Conv() as conv,):
            return None, conv
        case (Pool() as pool, Conv() as conv):
            return pool, conv
    return None


def sparse(target: Int, source: Int, value: Float, n_in: int, n_out: int) -> Sparse:
    """Return a ``Sparse``: entries are sorted, duplicates are added up, zeros are dropped."""
    key = target * n_in + source
    unique, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse, weights=value, minlength=unique.size) if unique.size else value
    keep = total != 0
    unique = unique[keep]
    total = total[keep]
    return Sparse(unique // n_in, unique % n_in, total, n_in, n_out)


def compose(first: LinearOp, second: LinearOp, *, max_entries: int) -> Sparse | None:
    """Return ``second(first(x))`` as one sparse operator, None above ``max_entries`` products."""
    target1, source1, value1 = first.coo()
    target2, source2, value2 = second.coo()
    order = np.argsort(target1, kind="stable")
    target1 = target1[order]
    source1 = source1[order]
    value1 = value1[order]
    start = np.searchsorted(target1, source2, side="left")
    count = np.searchsorted(target1, source2, side="right") - start
    total = int(count.sum())
    if total > max_entries:
        return None
    # The entry of each operator in each product.
    behind = np.repeat(np.arange(source2.size), count)
    before = start[behind] + np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    value = value2[behind] * value1[before]
    return sparse(target2[behind], source1[before], value, first.n_in, second.n_out)


def composed(ops: Sequence[LinearOp], *, max_entries: int) -> LinearOp | None:
    """Return one or more operators in order as one, None if ``compose`` gives up."""
    product: LinearOp | None = ops[0]
    for op in ops[1:]:
        product = None if product is None else compose(product, op, max_entries=max_entries)
    return product


def windows_of(x: Float, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape) -> Float:
    """Map (batch, channels, *spatial) to (batch, channels, *out, *kernel)."""
    axes = len(kernel)
    if any(pad != (0, 0) for pad in padding):
        x = np.pad(x, ((0, 0), (0, 0), *padding))
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(x, span, axis=tuple(range(2, 2 + axes)))
    steps = (slice(None), slice(None), *(slice(None, None, s) for s in stride))
    return view[(*steps, *(slice(None, None, d) for d in dilation))]


def _unroll(weight: Float, conv: Conv) -> Coo:
    """Return the entries, from the kernel's non-zero taps at all output positions."""
    out_ch, tap_ch, *tap = np.nonzero(weight)
    value = weight[(out_ch, tap_ch, *tap)]
    per_group_out = weight.shape[0] // conv.groups
    in_ch = tap_ch + (out_ch // per_group_out) * weight.shape[1]
    axes = len(conv.shape_out) - 1
    spatial_out = np.indices(conv.shape_out[1:]).reshape(axes, -1)  # (axes, positions)
    inside = np.ones((value.size, spatial_out.shape[1]), dtype=bool)
    source = np.broadcast_to(in_ch[:, None], inside.shape).copy()
    for axis, n in enumerate(conv.shape_in[1:]):
        at = (
            spatial_out[axis][None, :] * conv.stride[axis]
            - conv.padding[axis][0]
            + (tap[axis] * conv.dilation[axis])[:, None]
        )
        inside &= (at >= 0) & (at < n)
        source = source * n + at
    size_out = spatial_out.shape[1]
    first = np.searchsorted(out_ch, np.arange(weight.shape[0] + 1))
    columns: list[Coo] = [(source[:0, 0], source[:0, 0], value[:0])]
    for channel in range(weight.shape[0]):  # the taps of a channel are in the order of sources
        taps = slice(first[channel], first[channel + 1])
        position, number = np.nonzero(inside[taps].T)
        target = channel * size_out + position
        columns.append((target, source[taps][number, position], value[taps][number]))
    target, source, values = map(np.concatenate, zip(*columns, strict=True))
    return target, source, values
