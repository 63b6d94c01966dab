"""Chains of linear operators as one operator: a convolution over two axes, or sparse entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import frozen, size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, compose, composed, sparse
from nirc.ir.populations import Projection

Map = tuple[int, int, int]  # channels, y, x
MAX_ENTRIES = 1 << 24  # far above any core, and small enough for a laptop
FULL = 2  # a list with more than one entry in so many places is stored as a matrix


def identity(n: int) -> Sparse:
    """Return the operator that connects one to one."""
    index = np.arange(n)
    return Sparse(index, index, np.ones(n), n, n)


def as_kernel(ops: Sequence[LinearOp]) -> Conv | None:
    """Return the chain as one convolution over two axes, None if it is none.

    A pool alone becomes a convolution of each channel. A longer chain becomes one convolution with
    a larger kernel and stride, without groups or dilation.
    """
    first = ops[0]
    if not isinstance(first, Conv | Pool) or len(first.shape_in) not in (2, 3):
        return None
    if len(ops) > 1:
        return one_convolution(tuple(ops), planar_shape(first.shape_in))
    if isinstance(first, Pool):
        return _pool_as_kernel(planar(first))
    if first.weight.ndim == 4:
        return first
    shapes = planar_shape(first.shape_in), planar_shape(first.shape_out)
    stride, padding, dilation = (1, *first.stride), ((0, 0), *first.padding), (1, *first.dilation)
    return Conv(first.weight[:, :, None, :], *shapes, stride, padding, dilation, first.groups)


def _pool_as_kernel(pool: Pool) -> Conv:
    channels = pool.shape_in[0]
    kernel = frozen(np.full((channels, 1, *pool.kernel), pool.factor))
    return Conv(kernel, pool.shape_in, pool.shape_out, pool.stride, pool.padding, (1, 1), channels)


def as_matrix(ops: Sequence[LinearOp]) -> Dense | Sparse | None:
    """Return the chain synapse by synapse, None if there are more than ``MAX_ENTRIES``.

    The result is a matrix if the list is nearly full.
    """
    if any(op.entries > MAX_ENTRIES for op in ops):
        return None
    product = composed(ops, max_entries=MAX_ENTRIES)
    if product is None:
        return None
    op = (
        product
        if isinstance(product, Sparse)
        else sparse(*product.coo(), product.n_in, product.n_out)
    )
    if FULL * op.entries < op.n_in * op.n_out:
        return op
    matrix = np.zeros((op.n_out, op.n_in))
    matrix[op.target, op.source] = op.value
    return Dense(frozen(matrix))


def one_convolution(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    """Return the chain as one convolution with the same map, or None."""
    conv: Conv | None = None
    for op in ops:
        here = shape if conv is None else as_map(conv.shape_out)
        each = _as_convolution(op, here)
        if each is None:
            return None
        conv = each if conv is None else _composed(conv, each)
        if conv is None:
            return None
    return conv or _as_convolution(Diagonal(np.ones(size(shape))), shape)


def _as_convolution(op: LinearOp, shape: Map) -> Conv | None:
    """Return an operator on a map as a dense, undilated convolution of two axes, or None."""
    match op:
        case Conv() if planar_shape(op.shape_in) == shape:
            return densified(op)
        case Pool() if planar_shape(op.shape_in) == shape:
            op = planar(op)
            kernel = np.full((shape[0], 1, *op.kernel), op.factor)
            return densified(
                Conv(kernel, op.shape_in, op.shape_out, op.stride, op.padding, (1, 1), shape[0])
            )
        case Diagonal():
            channels = op.scale.reshape(shape[0], -1)
            if not (channels == channels[:, :1]).all():
                return None
            weight = np.diag(channels[:, 0])[:, :, None, None]
            return Conv(frozen(weight), shape, shape, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
        case Conv() | Pool() | Dense() | Sparse():
            return None
        case _:
            assert_never(op)


def _composed(first: Conv, second: Conv) -> Conv | None:
    """Return ``second(first(x))`` as one convolution. None if the border of the map would differ.

    The composition computes values where ``second`` pads with zeros. They are equal only if
    ``first`` gives zero there.
    """
    c, h, w = as_map(first.shape_in)
    f, oh, ow = as_map(second.shape_out)
    pads = []
    for axis, n in enumerate((h, w)):
        before, after = second.padding[axis]
        k = first.weight.shape[2 + axis]
        s = first.stride[axis]
        n_mid = first.shape_out[1 + axis]
        apart = first.padding[axis] == (0, 0) and k <= s and n <= n_mid * s
        if (before or after) and not apart:
            return None
        pads.append((first.padding[axis][0] + before * s, first.padding[axis][1] + after * s))
    ky, kx = (
        first.weight.shape[2 + a] + (second.weight.shape[2 + a] - 1) * first.stride[a]
        for a in (0, 1)
    )
    weight = np.zeros((f, c, ky, kx))
    for y in range(second.weight.shape[2]):
        for x in range(second.weight.shape[3]):
            top = y * first.stride[0]
            left = x * first.stride[1]
            part = np.tensordot(second.weight[:, :, y, x], first.weight, axes=1)
            weight[:, :, top : top + part.shape[2], left : left + part.shape[3]] += part
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    return Conv(frozen(weight), (c, h, w), (f, oh, ow), stride, tuple(pads), (1, 1), 1)


def densified(op: Conv) -> Conv:
    """Return ``op`` with two axes, and zeros in the kernel instead of groups or dilation."""
    weight = op.weight
    stride = op.stride
    padding = op.padding
    dilation = op.dilation
    if weight.ndim == 3:  # Conv1d: a map of one row
        weight = weight[:, :, None, :]
        stride = (1, *stride)
        padding = ((0, 0), *padding)
        dilation = (1, *dilation)
    f, per_group, *kernel = weight.shape
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    full = np.zeros((f, per_group * op.groups, *span))
    for group in range(op.groups):
        out = slice(group * (f // op.groups), (group + 1) * (f // op.groups))
        into = slice(group * per_group, (group + 1) * per_group)
        full[out, into, :: dilation[0], :: dilation[1]] = weight[out]
    shapes = planar_shape(op.shape_in), planar_shape(op.shape_out)
    return Conv(frozen(full), *shapes, stride, padding, (1, 1), 1)


def planar(pool: Pool) -> Pool:
    """Return the pool with two axes."""
    if len(pool.kernel) == 2:
        return pool
    shapes = planar_shape(pool.shape_in), planar_shape(pool.shape_out)
    return Pool(*shapes, (1, *pool.kernel), (1, *pool.stride), ((0, 0), *pool.padding), pool.factor)


def planar_shape(shape: tuple[int, ...]) -> Map:
    """Return (channels, y, x) for a map of one or two axes."""
    c, *rest = shape
    return (c, 1, *rest) if len(rest) == 1 else (c, *rest)  # type: ignore[return-value]


def as_map(shape: tuple[int, ...]) -> Map:
    """Return a shape of three axes as a Map."""
    c, y, x = shape
    return c, y, x


def unrolled(projection: Projection, n_in: int, log: Log) -> Sparse:
    """Return all operators of ``projection`` as one, an empty one with P307 if too large."""
    if not projection.ops:
        index = np.arange(n_in)
        return Sparse(index, index, np.ones(n_in), n_in, n_in)
    result: Sparse | None = _sparse(projection.ops[0])
    for op in projection.ops[1:]:
        if result is None or op.entries > MAX_ENTRIES:
            break
        result = compose(result, op, max_entries=MAX_ENTRIES)
    if result is not None and all(op.entries <= MAX_ENTRIES for op in projection.ops):
        return result
    too_many = TooManyEntries(
        where="/".join(projection.origins[:1]),
        most=MAX_ENTRIES,
        advice="pool or convolve instead of connecting all with all, or make the layers smaller",
    )
    log.add(too_many)
    empty = np.zeros(0, dtype=np.int64)
    return Sparse(empty, empty, np.zeros(0), n_in, projection.ops[-1].n_out)


def _sparse(op: LinearOp) -> Sparse | None:
    if op.entries > MAX_ENTRIES:
        return None
    return op if isinstance(op, Sparse) else Sparse(*op.coo(), op.n_in, op.n_out)
