"""Chains of linear operators as the kernels of a core: one dense, square kernel on a pooled map.

All convolutions into a population share its core, and so one kernel size, stride and padding: a
``Frame``. A smaller kernel is set into a larger one with zeros around it. Its place there makes up
for another padding. A map that is declared larger than it is makes up for a one-sided padding: no
event ever comes from the rows to the right and below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from nirc.analysis.operators import Map, as_map, one_convolution, planar, planar_shape
from nirc.backends.speck.geometry import Pair, bits, output_size
from nirc.backends.speck.limits import CORES, KERNEL, PADDING, POOLINGS, STRIDES
from nirc.ir.arrays import Float, frozen, size
from nirc.ir.linear import Conv, Dense, LinearOp, Pool, pooled_kernel
from nirc.ir.populations import Projection

# More weights than the whole chip holds are not worth unrolling.
MOST_WEIGHTS = sum(core.kernel for core in CORES)
ROWS = 256  # inputs that are unrolled at a time
SLACK = 8  # how far padding, kernel and map may grow beyond the largest of those given


def convolved(
    ops: tuple[LinearOp, ...], shape: Map, *, host: bool
) -> tuple[Pool | None, Conv] | None:
    """Return a pooling of the source's core (or of the host), then one convolution.

    ``shape``: the source's map. A chain without such a form becomes a kernel as large as the map,
    with 1 x 1 outputs. None if that is too large.
    """
    if ops and isinstance(ops[0], Pool):
        pool = planar(ops[0])
        if _can_be_pooled(pool, shape, host=host):
            conv = _convolution(ops[1:], as_map(pool.shape_out))
            if conv is not None:
                if pool.factor != 1:
                    conv = replace(conv, weight=frozen(conv.weight * pool.factor))
                return replace(pool, factor=1.0), conv
    conv = _convolution(ops, shape)
    return None if conv is None else (None, conv)


def _convolution(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    return one_convolution(ops, shape) or whole_map(ops, shape)


def whole_map(ops: tuple[LinearOp, ...], shape: Map) -> Conv | None:
    """Return the chain as a kernel as large as the map, with one output channel for each target.

    None if it is too large to unroll.
    """
    n_in = size(shape)
    n_out = ops[-1].n_out if ops else n_in
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
    """Return True if a division of coordinates does it: windows stand side by side.

    On the chip they are also square, of 1, 2 or 4.
    """
    plain = (
        pool.kernel == pool.stride and pool.padding == ((0, 0), (0, 0)) and pool.shape_in == shape
    )
    return plain and (host or (pool.kernel[0] == pool.kernel[1] and pool.kernel[0] in POOLINGS))


def reaches_remainder(pool: Pool, conv: Conv) -> bool:
    """Return True if rows that ``pool`` leaves out would reach the kernel's padding."""
    for axis in (0, 1):
        inside = pool.shape_out[1 + axis]
        rows = -(-pool.shape_in[1 + axis] // pool.kernel[axis])  # pooled rows with the remainder
        last_window = (conv.shape_out[1 + axis] - 1) * conv.stride[axis] - conv.padding[axis][0]
        if inside < rows and last_window + conv.weight.shape[2 + axis] > inside:
            return True
    return False


def planes(shape: tuple[int, ...]) -> Map:
    """Return the natural map of a signal: (c, y, x), (c, x) as one row, others as 1 x 1 maps."""
    if len(shape) == 3:
        return as_map(shape)
    return planar_shape(shape) if len(shape) == 2 else (size(shape), 1, 1)


def parts_of(projection: Projection) -> tuple[Pool | None, Conv]:
    """Return the pooling and the kernel of a legal projection."""
    parts = pooled_kernel(projection.ops)
    assert parts is not None
    return parts


def bias_of(into: Sequence[tuple[str, Projection]], n: int) -> Float:
    """Return (n,) the sum of all biases of projections into a population."""
    total = np.zeros(n)
    for _, projection in into:
        for bias in projection.biases:
            total = total + bias.value
    return total


def pair(values: tuple[int, ...]) -> Pair:
    """Return two numbers (y, x)."""
    y, x = values
    return y, x


@dataclass(frozen=True)
class Frame:
    """Kernel size (one number), stride, padding and input size (y, x)."""

    kernel: int
    stride: Pair
    padding: Pair
    size_in: Pair

    @property
    def faults(self) -> int:
        """The number of the chip's limits that it breaks."""
        return (
            (self.kernel > KERNEL[1])
            + sum(s not in STRIDES for s in self.stride)
            + sum(p > PADDING[1] for p in self.padding)
        )


def frame(convs: Sequence[Conv]) -> Frame | None:
    """Return the cheapest common frame. It breaks a limit only if all frames do.

    None if strides or outputs differ.
    """
    if len({c.shape_out for c in convs}) != 1:
        return None
    rows, columns = (_choices(frozenset(_Along.of(c, axis) for c in convs)) for axis in (0, 1))
    common = [
        Frame(
            k,
            (rows[k].stride, columns[k].stride),
            (rows[k].padding, columns[k].padding),
            (rows[k].n, columns[k].n),
        )
        for k in rows.keys() & columns.keys()
    ]
    return min(common, key=lambda f: (f.faults, bits(f.kernel**2), f.kernel), default=None)


def framed(conv: Conv, f: Frame) -> Conv:
    """Return ``conv`` with the kernel, stride and padding of a frame.

    Rows and columns that the map lacks to ``size_in`` are padding, too.
    """
    weight = np.zeros((*conv.weight.shape[:2], f.kernel, f.kernel))
    top, left = (f.padding[axis] - conv.padding[axis][0] for axis in (0, 1))
    weight[:, :, top : top + conv.weight.shape[2], left : left + conv.weight.shape[3]] = conv.weight
    beyond = [f.size_in[axis] - conv.shape_in[1 + axis] for axis in (0, 1)]
    pads = tuple((f.padding[axis], f.padding[axis] + beyond[axis]) for axis in (0, 1))
    return replace(conv, weight=frozen(weight), stride=f.stride, padding=pads)


@dataclass(frozen=True)
class _Along:
    """A convolution along one axis."""

    n_in: int
    n_out: int
    kernel: int
    stride: int
    padding: int

    @classmethod
    def of(cls, conv: Conv, axis: int) -> _Along:
        """Return ``conv`` along ``axis``."""
        n_in, n_out = conv.shape_in[1 + axis], conv.shape_out[1 + axis]
        padding = conv.padding[axis][0]
        return cls(n_in, n_out, conv.weight.shape[2 + axis], conv.stride[axis], padding)


@dataclass(frozen=True, order=True)
class _Choice:
    """A frame along one axis. The better is the smaller."""

    faults: int
    n: int
    padding: int
    stride: int


@lru_cache(maxsize=256)  # a network has few geometries
def _choices(along: frozenset[_Along]) -> Mapping[int, _Choice]:
    """Return the best choice for every kernel size that one axis can have."""
    best: dict[int, _Choice] = {}
    for kernel, choice in _possible(along):
        if kernel not in best or choice < best[kernel]:
            best[kernel] = choice
    return best


def _possible(along: Collection[_Along]) -> Iterator[tuple[int, _Choice]]:
    (out,) = {c.n_out for c in along}
    given = {c.stride for c in along}
    # With a single output nothing is ever moved by the stride.
    strides = given if out > 1 else {*STRIDES}
    if len(given) > 1 and out > 1:
        return
    most_n = max(c.n_in for c in along)
    most_pad = max(c.padding for c in along)
    for stride in strides:
        for n in range(most_n, most_n + SLACK + 1):
            for padding in range(most_pad, most_pad + SLACK + 1):
                least = max(padding - c.padding + c.kernel for c in along)
                for kernel in range(least, least + 2 * SLACK + 1):
                    if kernel <= n + 2 * padding and output_size(n, kernel, stride, padding) == out:
                        faults = (stride not in STRIDES) + (padding > PADDING[1])
                        yield kernel, _Choice(faults, n, padding, stride)
