"""What comes into each population: synapses one by one, or a convolution that the chip has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from nirc.analysis.unroll import unrolled
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, size
from nirc.ir.linear import Conv, LinearOp, Pool, Sparse, pooled_kernel, sparse
from nirc.ir.populations import Discrete, Projection, populations_of
from nirc.ir.program import Program


@dataclass(frozen=True)
class Drive:
    """A projection into a population. ``ops``: one ``Sparse``, or a convolution after at most one
    pooling.

    ``extra``: steps that it takes on the chip on top of the one of every synapse; set by
    ``timing``.
    """

    source: str
    target: str
    projection: Projection
    ops: tuple[LinearOp, ...]
    extra: int = 0

    @property
    def kernel(self) -> tuple[Pool | None, Conv] | None:
        """The pooling (or None) and the convolution of the chip's neurons.

        None for a list of synapses.
        """
        return pooled_kernel(self.ops)

    @property
    def entries(self) -> Sparse:
        """The synapses, where it does not convolve."""
        match self.ops:
            case (Sparse() as op,):
                return op
        raise TypeError(f"no list of synapses: {self.ops}")


def drives(program: Program, log: Log, *, unroll: Collection[str] = ()) -> list[Drive]:
    """All projections into populations that have entries at all. Notes P307 for one that is too
    large to unroll.

    ``unroll``: populations into which even convolutions are listed synapse by synapse.
    """
    found = []
    for name, population in populations_of(program, Discrete).items():
        mine = [(s, p) for s, p in program.into(name) if all(_any(op) for op in p.ops)]
        convolves = (
            name not in unroll
            and len(mine) == 1
            and _convolves(mine[0][1].ops, population.dynamics)
        )
        for source, projection in mine:
            op = None if convolves else unrolled(projection, program[source].n, log)
            if op is None or op.entries:
                found.append(
                    Drive(source, name, projection, projection.ops if op is None else (op,))
                )
    return found


def merged(found: list[Drive]) -> list[Drive]:
    """Synapses between the same neurons with the same delay and receptor are one, with the sum of
    their weights.
    """
    groups: dict[tuple[str, str, int, int], list[Drive]] = {}
    for drive in found:
        groups.setdefault(
            (drive.source, drive.target, drive.extra, drive.projection.synapse), []
        ).append(drive)
    return [_sum(group) for group in groups.values()]


def _sum(group: list[Drive]) -> Drive:
    first = group[0]
    if len(group) == 1:
        return first
    parts = [drive.entries for drive in group]
    target, source, value = (
        np.concatenate(two) for two in zip(*(op.coo() for op in parts), strict=True)
    )
    op = sparse(target, source, value, parts[0].n_in, parts[0].n_out)
    origins = tuple(dict.fromkeys(o for drive in group for o in drive.projection.origins))
    return replace(first, ops=(op,), projection=replace(first.projection, origins=origins))


def _any(op: LinearOp) -> bool:
    values = [
        value
        for value in vars(op).values()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    ]
    return all(value.any() for value in values) and not (isinstance(op, Pool) and op.factor == 0)


def _convolves(ops: tuple[LinearOp, ...], d: Discrete) -> bool:
    """Whether ``lif_conv2d`` does just this: square strides, since x and y of the vendor's are in
    doubt.
    """
    kernel = pooled_kernel(ops)
    if (
        kernel is None
        or kernel[1].weight.ndim != 4
        or d.decay_syn is not None
        or d.decay_syn_2 is not None
    ):
        return False
    pool, conv = kernel
    square = conv.stride[0] == conv.stride[1] and set(conv.dilation) == {1} and conv.groups == 1
    return (
        square
        and (pool is None or _pools(pool, conv))
        and per_channel(d.gain_mem, conv) is not None
    )


def _pools(pool: Pool, conv: Conv) -> bool:
    side = pool.kernel[0]
    whole = all(n % side == 0 for n in pool.shape_in[1:]) and pool.shape_out == conv.shape_in
    return (
        whole
        and {*pool.kernel, *pool.stride} == {side}
        and all(pad == (0, 0) for pad in pool.padding)
    )


def per_channel(values: Float, conv: Conv) -> Float | None:
    """One value for each output channel, None if neurons of a channel differ."""
    rows = values.reshape(conv.shape_out[0], size(conv.shape_out[1:]))
    return rows[:, 0] if (rows == rows[:, :1]).all() else None
