"""A chain of linear operators as one operator: dense, sparse or a shared kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nirc.analysis.operators import as_map, densified, one_convolution, planar, planar_shape
from nirc.backends.loihi2.limits import CONV_MAP, CONV_PADDING, CONV_STEP
from nirc.backends.loihi2.tables import Geometry
from nirc.diagnostics.finding import Words
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, Weighted, composed, sparse
from nirc.passes.fuse_linear import fuse

MAX_ENTRIES = 1 << 24  # of a list of synapses: below what would hurt a laptop
FULL = 2  # a list with more than one entry in so many places is stored as a matrix


class KernelCannotBeShared(TooManyEntries):
    """A convolution that cannot stay a kernel, and is too large for a list."""

    population: str
    synapses: int

    def words(self) -> Words:
        """Return the words of this finding."""
        return Words(
            f"the convolution into `{self.population}` cannot stay shared and has too many "
            "synapses to list",
            found=f"{self.synapses} synapses",
            limit=self.most,
            help="one time constant for the maps on both sides, one threshold a channel, no "
            "delays beside it",
        )


def one_operator(ops: tuple[LinearOp, ...], n_in: int) -> Weighted | None:
    """Return the chain as one operator, or None if it is too large to list.

    It is a shared kernel if possible. A pool becomes part of the next convolution: summing and then
    convolving is a convolution with a larger kernel and stride.
    """
    ops = fuse(ops)
    if not ops:
        return identity(n_in)
    conv = _kernel(ops)
    if conv is not None:
        return conv
    if len(ops) == 1 and isinstance(ops[0], Dense):
        return ops[0]
    return unrolled(ops)


def identity(n: int) -> Sparse:
    """Return the operator that connects one to one."""
    index = np.arange(n)
    return Sparse(index, index, np.ones(n), n, n)


def unrolled(ops: tuple[LinearOp, ...]) -> Dense | Sparse | None:
    """Return the chain synapse by synapse, or None if there are too many.

    It is a matrix if the list is nearly full.
    """
    if any(op.entries > MAX_ENTRIES for op in ops):
        return None
    product = composed(ops, max_entries=MAX_ENTRIES)
    if product is None:
        return None
    op = _listed(product)
    if FULL * op.entries < op.n_in * op.n_out:
        return op
    matrix = np.zeros((op.n_out, op.n_in))
    matrix[op.target, op.source] = op.value
    return Dense(frozen(matrix))


def geometry_of(conv: Conv) -> Geometry | None:
    """Return the geometry, if the chip's convolution takes it."""
    paddings = [pad for pad, _ in conv.padding]
    steps = [*conv.weight.shape[2:], *conv.stride, *conv.dilation, conv.groups]
    maps = [*conv.shape_in[1:], *conv.shape_out[1:]]
    sound = (
        all(before == after for before, after in conv.padding)
        and CONV_STEP[0] <= min(steps) <= max(steps) <= CONV_STEP[1]
        and CONV_PADDING[0] <= min(paddings) <= max(paddings) <= CONV_PADDING[1]
        and CONV_MAP[0] <= min(maps) <= max(maps) <= CONV_MAP[1]
    )
    if not sound:
        return None
    (sy, sx), (py, px), (dy, dx) = conv.stride, paddings, conv.dilation
    geometry = Geometry(
        as_map(conv.shape_in), as_map(conv.shape_out), (sy, sx), (py, px), (dy, dx), conv.groups
    )
    ky, kx = conv.weight.shape[2:]
    return geometry if geometry.covers((ky, kx)) == geometry.shape_out[1:] else None


def _kernel(ops: tuple[LinearOp, ...]) -> Conv | None:
    """Return the chain as a convolution that the chip takes."""
    first = ops[0]
    conv: Conv | None = None
    if len(ops) == 1 and isinstance(first, Conv):
        conv = _planar(first)
    elif len(ops) == 1 and isinstance(first, Pool):
        pool = planar(first)
        channels = pool.shape_in[0]
        kernel = frozen(np.full((channels, 1, *pool.kernel), pool.factor))
        conv = Conv(
            kernel, pool.shape_in, pool.shape_out, pool.stride, pool.padding, (1, 1), channels
        )
    elif isinstance(first, Conv | Pool) and len(first.shape_in) in (2, 3):
        conv = one_convolution(ops, planar_shape(first.shape_in))
    if conv is None:
        return None
    conv = _evenly_padded(conv)
    return conv if geometry_of(conv) is not None else None


def _planar(conv: Conv) -> Conv:
    """Return a convolution over one axis as one over maps of one row."""
    if conv.weight.ndim == 4:
        return conv
    shapes = planar_shape(conv.shape_in), planar_shape(conv.shape_out)
    weight = conv.weight[:, :, None, :]
    stride, padding, dilation = (1, *conv.stride), ((0, 0), *conv.padding), (1, *conv.dilation)
    return Conv(weight, *shapes, stride, padding, dilation, conv.groups)


def _evenly_padded(conv: Conv) -> Conv:
    """Pad both sides alike, as Lava does. Zeros of the kernel read the added padding."""
    if all(before == after for before, after in conv.padding):
        return conv
    if max(conv.dilation) > 1:
        conv = densified(conv)
    most = [max(pads) for pads in conv.padding]
    grown = [(m - before, m - after) for m, (before, after) in zip(most, conv.padding, strict=True)]
    weight = np.pad(conv.weight, ((0, 0), (0, 0), *grown))
    return replace(conv, weight=frozen(weight), padding=tuple((m, m) for m in most))


def _listed(op: LinearOp) -> Sparse:
    if isinstance(op, Diagonal):
        index = np.flatnonzero(op.scale)
        return Sparse(index, index, op.scale[index], op.n_in, op.n_out)
    return op if isinstance(op, Sparse) else sparse(*op.coo(), op.n_in, op.n_out)
