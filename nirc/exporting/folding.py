"""Operators of a projection for files that know no Scale, and pools of some kinds only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

import numpy as np

from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse
from nirc.nirfile.operators import Primitives, is_primitive_pool


def folded(
    ops: Sequence[LinearOp], gain: Float | None, shape: Shape, primitives: Primitives
) -> list[LinearOp]:
    """Return ``ops`` on a signal of ``shape`` and then ``gain`` (n,), without scales.

    Factors go into weights (values kept). A pool that no primitive does becomes a convolution.
    """
    folding: list[LinearOp] = []
    factor = 1.0
    waiting: Float | None = None  # a scale with no operator before it
    for op in [*ops, *([] if gain is None else [Diagonal(gain)])]:
        if isinstance(op, Diagonal) and (op.scale == op.scale[0]).all():
            factor *= float(op.scale[0])
        elif isinstance(op, Diagonal):
            if folding:
                folding[-1] = _scaled(folding[-1], op.scale, out=True)
            else:
                waiting = op.scale if waiting is None else waiting * op.scale
        else:
            if isinstance(op, Pool) and not is_primitive_pool(op, primitives):
                factor *= op.factor
                op = replace(op, factor=1.0)  # noqa: PLW2901 - its factor waits for a matrix
            folding.append(op if waiting is None else _scaled(op, waiting, out=False))
            waiting = None
    if waiting is not None:
        folding = [Diagonal(waiting)]
    folding = _times(folding, factor, size(shape))
    as_maps = primitives.has("Conv2d")
    return [_as_convolution(op, shape, primitives) if as_maps else op for op in folding]


def _times(ops: list[LinearOp], factor: float, n: int) -> list[LinearOp]:
    """Put ``factor`` on the first operator that has weights."""
    if factor == 1.0:
        return ops
    at = next((i for i, op in enumerate(ops) if not isinstance(op, Pool)), None)
    if at is None and ops:
        at = len(ops) - 1
    if at is None:
        return [Diagonal(np.full(n, factor))]
    op = ops[at]
    match op:
        case Dense() | Conv():
            scaled: LinearOp = replace(op, weight=op.weight * factor)
        case Diagonal():
            scaled = Diagonal(op.scale * factor)
        case Pool():
            scaled = replace(op, factor=op.factor * factor)
        case Sparse():
            scaled = replace(op, value=op.value * factor)
        case _:
            assert_never(op)
    return [*ops[:at], scaled, *ops[at + 1 :]]


def _scaled(op: LinearOp, scale: Float, *, out: bool) -> LinearOp:
    """Return ``op`` with each output times ``scale`` (n_out,), or each input (n_in,)."""
    match op:
        case Dense():
            return Dense(op.weight * (scale[:, None] if out else scale[None, :]))
        case Diagonal():
            return Diagonal(op.scale * scale)
        case Conv() if (
            op.groups == 1
            and (each := _of_channels(scale, op.shape_out if out else op.shape_in)) is not None
        ):
            axes = (1,) * (op.weight.ndim - 2)
            return replace(
                op, weight=op.weight * each.reshape((-1, 1, *axes) if out else (1, -1, *axes))
            )
        case Pool() if (
            each := _of_channels(scale, op.shape_in if not out else op.shape_out)
        ) is not None:
            return _pool_as_convolution(op, each)
        case Conv() | Pool() | Sparse():
            target, source, value = op.coo()
            return Sparse(
                target, source, value * (scale[target] if out else scale[source]), op.n_in, op.n_out
            )
        case _:
            assert_never(op)


def _of_channels(scale: Float, shape: Shape) -> Float | None:
    """Return (C,) the factor of each channel, None if it differs within one."""
    maps = scale.reshape(shape[0], -1)
    return maps[:, 0] if bool((maps == maps[:, :1]).all()) else None


def _as_convolution(op: LinearOp, shape: Shape, primitives: Primitives) -> LinearOp:
    """Return a pool that no primitive does, or a scale by channels, as a convolution."""
    if isinstance(op, Pool) and len(op.kernel) == 2 and not is_primitive_pool(op, primitives):
        return _pool_as_convolution(op, np.ones(op.shape_in[0]))
    if (
        isinstance(op, Diagonal)
        and len(shape) == 3
        and (each := _of_channels(op.scale, shape)) is not None
    ):
        weight = np.diag(each).reshape(len(each), len(each), 1, 1)
        return Conv(weight, shape, shape, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    return op


def _pool_as_convolution(op: Pool, each: Float) -> Conv:
    """Return sums times the pool's factor and that of each channel (C,)."""
    channels = len(each)
    weight = np.zeros((channels, channels, *op.kernel))
    weight[np.arange(channels), np.arange(channels)] = (op.factor * each).reshape(
        -1, *(1,) * len(op.kernel)
    )
    return Conv(weight, op.shape_in, op.shape_out, op.stride, op.padding, (1,) * len(op.kernel), 1)
