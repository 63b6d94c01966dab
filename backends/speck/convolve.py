"""Any chain of linear operators as what a core computes: one dense kernel over the (pooled) map of its source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.backends.speck.geometry import Map, Pair
from nirc.backends.speck.limits import CORES, POOLINGS
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool
from nirc.ir.populations import Projection

MOST_WEIGHTS = sum(core.kernel for core in CORES)  # more than the whole chip holds: not worth unrolling
ROWS = 256  # inputs that are unrolled at a time


def convolved(ops: tuple[LinearOp, ...], shape: Map, *, host: bool) -> tuple[Pool | None, Conv] | None:
    """A pooling that the source's core (or the host) does on its way out, then one convolution; None if too large.

    ``shape``: the source's map. A chain without such a form becomes a kernel as large as the map, with 1 x 1 outputs.
    """
    if ops and isinstance(ops[0], Pool) and _can_be_pooled(pool := _planar(ops[0]), shape, host=host):
        inner = _one_convolution(ops[1:], _map(pool.shape_out)) or whole_map(ops[1:], _map(pool.shape_out))
        if inner is not None:
            return replace(pool, factor=1.0), _scaled(inner, pool.factor)
    conv = _one_convolution(ops, shape) or whole_map(ops, shape)
    return None if conv is None else (None, conv)


def whole_map(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    """The chain as a kernel as large as the map, one output channel for each target; None if too large to unroll."""
    n_in, n_out = size(shape), ops[-1].n_out if ops else size(shape)
    if len(ops) == 1 and isinstance(ops[0], Dense):
        matrix = ops[0].weight
    elif n_in * n_out > MOST_WEIGHTS:
        return None
    else:
        matrix = _unrolled(ops, n_in, n_out)
    weight = frozen(matrix.reshape(n_out, *shape))
    return Conv(weight, shape, (n_out, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def _unrolled(ops: tuple[LinearOp, ...], n_in: int, n_out: int) -> Float:
    matrix = np.zeros((n_out, n_in))
    for start in range(0, n_in, ROWS):
        x = np.eye(min(ROWS, n_in - start), n_in, start)
        for op in ops:
            x = op.apply(x)
        matrix[:, start : start + ROWS] = x.T
    return matrix


def _one_convolution(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    """The chain as one convolution that keeps the map, None if there is none."""
    conv: Conv | None = None
    for op in ops:
        here = shape if conv is None else _map(conv.shape_out)
        each = _as_convolution(op, here)
        if each is None:
            return None
        conv = each if conv is None else composed(conv, each)
        if conv is None:
            return None
    return conv or _as_convolution(Diagonal(np.ones(size(shape))), shape)


def _as_convolution(op: LinearOp, shape: Map) -> Conv | None:
    """One operator on a map as a dense, undilated convolution of two axes."""
    match op:
        case Conv() if _planar_shape(op.shape_in) == shape:
            return _dense(op)
        case Pool() if _planar_shape(op.shape_in) == shape:
            op = _planar(op)
            kernel = np.full((shape[0], 1, *op.kernel), op.factor)
            return _dense(Conv(kernel, op.shape_in, op.shape_out, op.stride, op.padding, (1, 1), shape[0]))
        case Diagonal():
            channels = op.scale.reshape(shape[0], -1)
            if (channels == channels[:, :1]).all():
                weight = np.diag(channels[:, 0])[:, :, None, None]
                return Conv(frozen(weight), shape, shape, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    return None


def composed(first: Conv, second: Conv) -> Conv | None:
    """``second(first(x))`` as one convolution; None if the border of the map would come out differently.

    What ``second`` pads with zeros, the composition computes: the same only if ``first`` gives zero there.
    """
    (c, h, w), (f, oh, ow) = _map(first.shape_in), _map(second.shape_out)
    pads = []
    for axis, n in enumerate((h, w)):
        before, after = second.padding[axis]
        k, s, n_mid = first.weight.shape[2 + axis], first.stride[axis], first.shape_out[1 + axis]
        apart = first.padding[axis] == (0, 0) and k <= s and n <= n_mid * s
        if (before or after) and not apart:
            return None
        pads.append((first.padding[axis][0] + before * s, first.padding[axis][1] + after * s))
    ky, kx = (first.weight.shape[2 + a] + (second.weight.shape[2 + a] - 1) * first.stride[a] for a in (0, 1))
    weight = np.zeros((f, c, ky, kx))
    for y in range(second.weight.shape[2]):
        for x in range(second.weight.shape[3]):
            top, left = y * first.stride[0], x * first.stride[1]
            part = np.tensordot(second.weight[:, :, y, x], first.weight, axes=1)
            weight[:, :, top : top + part.shape[2], left : left + part.shape[3]] += part
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    return Conv(frozen(weight), (c, h, w), (f, oh, ow), stride, tuple(pads), (1, 1), 1)


def _dense(op: Conv) -> Conv:
    """Two axes, no groups, no dilation: what is missing becomes zeros of a larger kernel."""
    weight, stride, padding, dilation = op.weight, op.stride, op.padding, op.dilation
    if weight.ndim == 3:  # Conv1d: a map of one row
        weight = weight[:, :, None, :]
        stride, padding, dilation = (1, *stride), ((0, 0), *padding), (1, *dilation)
    f, per_group, *kernel = weight.shape
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    full = np.zeros((f, per_group * op.groups, *span))
    for group in range(op.groups):
        out = slice(group * (f // op.groups), (group + 1) * (f // op.groups))
        into = slice(group * per_group, (group + 1) * per_group)
        full[out, into, :: dilation[0], :: dilation[1]] = weight[out]
    shapes = _planar_shape(op.shape_in), _planar_shape(op.shape_out)
    return Conv(frozen(full), *shapes, stride, padding, (1, 1), 1)


def _planar(pool: Pool) -> Pool:
    """A pool of two axes."""
    if len(pool.kernel) == 2:
        return pool
    shapes = _planar_shape(pool.shape_in), _planar_shape(pool.shape_out)
    return Pool(*shapes, (1, *pool.kernel), (1, *pool.stride), ((0, 0), *pool.padding), pool.factor)


def _can_be_pooled(pool: Pool, shape: Map, *, host: bool) -> bool:
    """Whether dividing coordinates does it: windows side by side; on the chip square, of 1, 2 or 4."""
    plain = pool.kernel == pool.stride and pool.padding == ((0, 0), (0, 0)) and pool.shape_in == shape
    return plain and (host or (pool.kernel[0] == pool.kernel[1] and pool.kernel[0] in POOLINGS))


def reaches_remainder(pool: Pool, conv: Conv) -> bool:
    """Whether rows that the pool leaves out would, pooled as well, fall on the kernel's reach beyond the map."""
    for axis in (0, 1):
        inside, p = pool.shape_out[1 + axis], pool.kernel[axis]
        rows = -(-pool.shape_in[1 + axis] // p)  # pooled rows with the remainder
        last = (conv.shape_out[1 + axis] - 1) * conv.stride[axis] - conv.padding[axis][0] + conv.weight.shape[2 + axis]
        if inside < rows and last > inside:
            return True
    return False


def _scaled(conv: Conv, factor: float) -> Conv:
    return conv if factor == 1 else replace(conv, weight=frozen(conv.weight * factor))


def _planar_shape(shape: tuple[int, ...]) -> Map:
    """(channels, y, x) of a map of one or two axes."""
    c, *rest = shape
    return (c, 1, *rest) if len(rest) == 1 else (c, *rest)  # type: ignore[return-value]


def _map(shape: tuple[int, ...]) -> Map:
    c, y, x = shape
    return c, y, x


def planes(shape: tuple[int, ...]) -> Map:
    """The natural map of a signal: (c, y, x) as it is, (c, x) in one row, anything else as 1 x 1 channels."""
    if len(shape) == 3:
        return _map(shape)
    return _planar_shape(shape) if len(shape) == 2 else (size(shape), 1, 1)


def parts_of(projection: Projection) -> tuple[Pool | None, Conv]:
    """The pooling and the kernel of a legal projection."""
    *before, conv = projection.ops
    pool = before[0] if before else None
    assert isinstance(conv, Conv) and (pool is None or isinstance(pool, Pool))
    return pool, conv


def flat(shape: Map) -> Map:
    """Every position as a channel of its own."""
    return (size(shape), 1, 1)


def pair(values: tuple[int, ...]) -> Pair:
    """Two numbers (y, x)."""
    y, x = values
    return y, x
