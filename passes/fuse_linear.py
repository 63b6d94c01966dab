"""fuse-linear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen_result
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, sparse
from nirc.ir.populations import Projection
from nirc.ir.program import Program

Arc = tuple[str, str, Projection]


@dataclass(frozen=True)
class FuseLinear:
    """Multiply neighbouring operators, and add up parallel projections (values unchanged)."""

    name: ClassVar[str] = "fuse-linear"

    def run(self, program: Program, log: Log) -> Program:
        """Fuse. Never fails: operators that would grow stay a chain."""
        if not any(p.ops for _, _, p in program.edges()):
            return program
        fused = [(s, t, _fused(p)) for s, t, p in program.edges()]
        return program.rebuilt(dict(program.graph.nodes(data="payload")), _parallel(fused))


def _fused(p: Projection) -> Projection:
    return replace(p, ops=fuse(p.ops)) if p.ops else p


def fuse(ops: tuple[LinearOp, ...]) -> tuple[LinearOp, ...]:
    """Return the shortest equivalent chain by two rules: absorb scales, multiply matrices."""
    done: list[LinearOp] = []
    for op in ops:
        done.append(op)
        while len(done) > 1 and (both := _pair(done[-2], done[-1])) is not None:
            done[-2:] = [both]
    return tuple(op for op in done if not _is_identity(op))


def _is_identity(op: LinearOp) -> bool:
    match op:
        case Diagonal():
            return bool((op.scale == 1).all())
        case Dense():
            square = op.n_in == op.n_out == np.count_nonzero(op.weight)
            return square and bool((op.weight.diagonal() == 1).all())
        case Sparse():
            places = op.target == op.source
            once = op.n_in == op.n_out == op.value.size == np.unique(op.source).size
            return once and bool(places.all() and (op.value == 1).all())
        case Conv() | Pool():
            alone = op.shape_in == op.shape_out and set(op.stride) == {1}
            return alone and _copies(op)
        case _:
            assert_never(op)


def _copies(op: Conv | Pool) -> bool:
    """Return True for a kernel of one tap that takes each channel as it is."""
    if isinstance(op, Pool):
        return set(op.kernel) == {1} and op.factor == 1
    channels, own, *taps = op.weight.shape
    if set(taps) != {1}:
        return False
    matrix = op.weight.reshape(op.groups, channels // op.groups, own)
    return channels == op.groups * own and bool((matrix == np.eye(own)).all())


def _pair(first: LinearOp, second: LinearOp) -> LinearOp | None:
    """Return ``second(first(x))`` as one operator, None if this needs more entries."""
    match first, second:
        case _ if _is_identity(first):
            return second
        case _, Diagonal() if _is_identity(second):
            return first
        case Diagonal(), _:
            return _scaled(second, first.scale, output=False)
        case _, Diagonal():
            return _scaled(first, second.scale, output=True)
        case Dense(), Dense():
            grows = first.n_in * second.n_out > first.weight.size + second.weight.size
            return None if grows else Dense(frozen_result(second.weight @ first.weight))
    return None


def _scaled(op: LinearOp, scale: Float, *, output: bool) -> LinearOp | None:
    """Return ``scale * op(x)`` (``output``) or ``op(scale * x)`` as one operator, else None."""
    match op:
        case Dense():
            return Dense(frozen_result(op.weight * (scale[:, None] if output else scale)))
        case Sparse():
            factor = scale[op.target if output else op.source]
            return sparse(op.target, op.source, op.value * factor, op.n_in, op.n_out)
        case Conv():
            factors = _per_weight(op, scale, output=output)
            if factors is None:
                return None
            return replace(op, weight=frozen_result(op.weight * factors))
        case Pool():
            is_uniform = bool((scale == scale[0]).all())
            return replace(op, factor=op.factor * float(scale[0])) if is_uniform else None
        case Diagonal():
            return Diagonal(frozen_result(op.scale * scale))
        case _:
            assert_never(op)


def _per_weight(op: Conv, scale: Float, *, output: bool) -> Float | None:
    """Return the factors of a kernel's weights, None if ``scale`` differs within a channel."""
    rows = scale.reshape((op.shape_out if output else op.shape_in)[0], -1)
    if not (rows == rows[:, :1]).all():
        return None
    taps = (1,) * (op.weight.ndim - 2)
    if output:
        return rows[:, 0].reshape(-1, 1, *taps)
    by_group = rows[:, 0].reshape(op.groups, -1)
    factors = np.repeat(by_group, op.weight.shape[0] // op.groups, axis=0)
    return factors.reshape(*factors.shape, *taps)  # (C_out, C_in / groups, 1, ...)


def _parallel(arcs: list[Arc]) -> list[Arc]:
    """Add up projections between the same two nodes, with the same timing and one matrix each."""
    merged: dict[object, Arc] = {}
    for number, (source, target, p) in enumerate(arcs):
        is_matrix = len(p.ops) == 1 and isinstance(p.ops[0], Dense)
        timing = (source, target, p.delay_s, p.delay_steps, p.feedback)
        key: object = timing if is_matrix else number
        if key in merged:
            p = _sum(merged[key][2], p)  # noqa: PLW2901 - the sum stands for both
        merged[key] = (source, target, p)
    return list(merged.values())


def _sum(first: Projection, second: Projection) -> Projection:
    """Add up two projections of one matrix each."""
    weights = [op.weight for op in (*first.ops, *second.ops) if isinstance(op, Dense)]
    return replace(
        first,
        ops=(Dense(frozen_result(weights[0] + weights[1])),),
        biases=first.biases + second.biases,
        origins=first.origins + second.origins,
    )
