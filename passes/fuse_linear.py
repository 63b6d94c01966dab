"""fuse-linear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, sparse
from nirc.ir.populations import Projection
from nirc.ir.program import Program


@dataclass(frozen=True)
class FuseLinear:
    """Multiply neighbouring operators of a projection, and add parallel projections (same
    values).
    """

    name: ClassVar[str] = "fuse-linear"

    def run(self, program: Program, log: Log) -> Program:
        """Fuse. Never fails: operators that would grow stay a chain."""
        fused = [(s, t, replace(p, ops=fuse(p.ops))) for s, t, p in program.edges()]
        return program.rebuilt(dict(program.graph.nodes(data="payload")), _parallel(fused))


def fuse(ops: tuple[LinearOp, ...]) -> tuple[LinearOp, ...]:
    """Return the shortest equivalent chain by two rules: absorb scales, multiply matrices."""
    done: list[LinearOp] = []
    for op in ops:
        done.append(op)
        while len(done) > 1 and (both := _pair(done[-2], done[-1])) is not None:
            done[-2:] = [both]
    return tuple(op for op in done if not _is_identity(op))


def _is_identity(op: LinearOp) -> bool:
    if isinstance(op, Pool):
        return (
            set(op.kernel) == {1}
            and op.factor == 1
            and op.shape_in == op.shape_out
            and set(op.stride) == {1}
        )
    return isinstance(op, Diagonal) and bool((op.scale == 1).all())


def _pair(first: LinearOp, second: LinearOp) -> LinearOp | None:
    """Return ``second(first(x))`` as one operator, None if this needs more entries."""
    match first, second:
        case _ if _is_identity(first):
            return second
        case Diagonal(), _:
            return _scaled_input(second, first.scale)
        case _, Diagonal():
            return _scaled_output(first, second.scale)
        case Dense(), Dense():
            grows = first.n_in * second.n_out > first.weight.size + second.weight.size
            return None if grows else Dense(frozen(second.weight @ first.weight))
    return None


def _scaled_input(op: LinearOp, scale: Float) -> LinearOp | None:
    """Return ``op(scale * x)`` as one operator."""
    match op:
        case Dense():
            return Dense(frozen(op.weight * scale))
        case Sparse():
            return sparse(op.target, op.source, op.value * scale[op.source], op.n_in, op.n_out)
        case Conv():
            channel = _per_channel(scale, op.shape_in[0])
            if channel is None:
                return None
            per_group = op.weight.shape[0] // op.groups
            factors = np.repeat(
                channel.reshape(op.groups, -1), per_group, axis=0
            )  # (C_out, C_in / groups)
            kernel = factors.reshape(*factors.shape, *(1,) * (op.weight.ndim - 2))
            return replace(op, weight=frozen(op.weight * kernel))
        case Pool():
            return _scaled_pool(op, scale)
        case Diagonal():
            return Diagonal(frozen(op.scale * scale))
        case _:
            assert_never(op)


def _scaled_output(op: LinearOp, scale: Float) -> LinearOp | None:
    """Return ``scale * op(x)`` as one operator."""
    match op:
        case Dense():
            return Dense(frozen(op.weight * scale[:, None]))
        case Sparse():
            return sparse(op.target, op.source, op.value * scale[op.target], op.n_in, op.n_out)
        case Conv():
            channel = _per_channel(scale, op.shape_out[0])
            if channel is None:
                return None
            return replace(
                op, weight=frozen(op.weight * channel.reshape(-1, *(1,) * (op.weight.ndim - 1)))
            )
        case Pool():
            return _scaled_pool(op, scale)
        case Diagonal():
            return Diagonal(frozen(op.scale * scale))
        case _:
            assert_never(op)


def _scaled_pool(op: Pool, scale: Float) -> Pool | None:
    return replace(op, factor=op.factor * float(scale[0])) if (scale == scale[0]).all() else None


def _per_channel(scale: Float, channels: int) -> Float | None:
    rows = scale.reshape(channels, -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


def _parallel(arcs: list[tuple[str, str, Projection]]) -> list[tuple[str, str, Projection]]:
    """Merge projections between the same two nodes, with the same timing and one matrix each."""
    merged: dict[object, tuple[str, str, Projection]] = {}
    for number, (source, target, p) in enumerate(arcs):
        mergeable = len(p.ops) == 1 and isinstance(p.ops[0], Dense)
        key: object = (
            (source, target, p.delay_s, p.delay_steps, p.feedback) if mergeable else number
        )
        if key in merged:
            other = merged[key][2]
            ops = (Dense(frozen(other.ops[0].weight + p.ops[0].weight)),)  # type: ignore[union-attr]
            both = replace(
                other, ops=ops, biases=other.biases + p.biases, origins=other.origins + p.origins
            )
            merged[key] = (source, target, both)
        else:
            merged[key] = (source, target, p)
    return list(merged.values())
