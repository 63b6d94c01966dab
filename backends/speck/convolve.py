"""Any chain of linear operators as what a core computes: one dense kernel over the (pooled) map of
its source.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.convolution import Map, as_map, one_convolution, planar, planar_shape
from nirc.backends.speck.geometry import Pair
from nirc.backends.speck.limits import CORES, POOLINGS
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, Dense, LinearOp, Pool, pooled_kernel
from nirc.ir.populations import Projection

MOST_WEIGHTS = sum(
    core.kernel for core in CORES
)  # more than the whole chip holds: not worth unrolling
ROWS = 256  # inputs that are unrolled at a time


def convolved(
    ops: tuple[LinearOp, ...], shape: Map, *, host: bool
) -> tuple[Pool | None, Conv] | None:
    """A pooling that the source's core (or the host) does on its way out, then one convolution;
    None if too large.

    ``shape``: the source's map. A chain without such a form becomes a kernel as large as the map,
    with 1 x 1 outputs.
    """
    if (
        ops
        and isinstance(ops[0], Pool)
        and _can_be_pooled(pool := planar(ops[0]), shape, host=host)
    ):
        inner = one_convolution(ops[1:], as_map(pool.shape_out)) or whole_map(
            ops[1:], as_map(pool.shape_out)
        )
        if inner is not None:
            return replace(pool, factor=1.0), _scaled(inner, pool.factor)
    conv = one_convolution(ops, shape) or whole_map(ops, shape)
    return None if conv is None else (None, conv)


def whole_map(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    """The chain as a kernel as large as the map, one output channel for each target; None if too
    large to unroll.
    """
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


def _can_be_pooled(pool: Pool, shape: Map, *, host: bool) -> bool:
    """Whether dividing coordinates does it: windows side by side; on the chip square, of 1, 2 or
    4.
    """
    plain = (
        pool.kernel == pool.stride and pool.padding == ((0, 0), (0, 0)) and pool.shape_in == shape
    )
    return plain and (host or (pool.kernel[0] == pool.kernel[1] and pool.kernel[0] in POOLINGS))


def reaches_remainder(pool: Pool, conv: Conv) -> bool:
    """Whether rows that the pool leaves out would, pooled as well, fall on the kernel's reach
    beyond the map.
    """
    for axis in (0, 1):
        inside, p = pool.shape_out[1 + axis], pool.kernel[axis]
        rows = -(-pool.shape_in[1 + axis] // p)  # pooled rows with the remainder
        last = (
            (conv.shape_out[1 + axis] - 1) * conv.stride[axis]
            - conv.padding[axis][0]
            + conv.weight.shape[2 + axis]
        )
        if inside < rows and last > inside:
            return True
    return False


def _scaled(conv: Conv, factor: float) -> Conv:
    return conv if factor == 1 else replace(conv, weight=frozen(conv.weight * factor))


def planes(shape: tuple[int, ...]) -> Map:
    """The natural map of a signal: (c, y, x) as it is, (c, x) in one row, anything else as 1 x 1
    channels.
    """
    if len(shape) == 3:
        return as_map(shape)
    return planar_shape(shape) if len(shape) == 2 else (size(shape), 1, 1)


def parts_of(projection: Projection) -> tuple[Pool | None, Conv]:
    """The pooling and the kernel of a legal projection."""
    parts = pooled_kernel(projection.ops)
    assert parts is not None
    return parts


def flat(shape: Map) -> Map:
    """Every position as a channel of its own."""
    return (size(shape), 1, 1)


def pair(values: tuple[int, ...]) -> Pair:
    """Two numbers (y, x)."""
    y, x = values
    return y, x
