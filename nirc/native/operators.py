"""Linear operators on spikes and on gradients, by the library in C, for calibration.

A matrix is a convolution of maps with one pixel. Zeros of the input cost nothing. All sums are
exact, so their order does not matter: the answers equal those of the operators in ``nirc.ir``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import GRID_BITS, Float, size
from nirc.ir.arrays import on_grid as _definition
from nirc.ir.linear import Conv, Pool
from nirc.native.library import library

Pair = tuple[int, int]
EXACT = 2.0**53  # float64 holds all integers up to here
MOST_COUNT = 2.0**31  # spikes of a step
SMALLEST_STEP = 2.0**-1000  # of a grid: the inverse is a float64, too
TILE = 8  # as in operators.c


class _Axis(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("first", "out", "tap", "by_tap"))


class _Conv(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("groups", "in", "out", "in_y", "in_x")),
        *((name, ctypes.c_int64) for name in ("out_y", "out_x", "taps_y", "taps_x", "stride_x")),
        *((name, _Axis) for name in ("y", "x")),
    )


@dataclass(frozen=True)
class Maps:
    """Sizes of a convolution. ``n_in``, ``n_out``: channels of a group. Pairs are (y, x)."""

    groups: int
    n_in: int
    n_out: int
    shape_in: Pair = (1, 1)
    shape_out: Pair = (1, 1)
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)  # before the first row and column

    @staticmethod
    def of(op: Conv | Pool) -> Maps:
        """Return the sizes of ``op``. A map with one axis is one row."""
        kernel = op.kernel if isinstance(op, Pool) else op.weight.shape[2:]
        groups = op.shape_in[0] if isinstance(op, Pool) else op.groups
        return Maps(
            groups,
            op.shape_in[0] // groups,
            op.shape_out[0] // groups,
            _pair(op.shape_in[1:], 1),
            _pair(op.shape_out[1:], 1),
            _pair(kernel, 1),
            _pair(op.stride, 1),
            (1, 1) if isinstance(op, Pool) else _pair(op.dilation, 1),
            _pair([before for before, _ in op.padding], 0),
        )

    def one_matrix(self) -> Maps:
        """Return the sizes of the equal matrix if one window covers the whole map."""
        plain = (self.groups, self.kernel, self.padding) == (1, self.shape_in, (0, 0))
        whole = plain and self.shape_out == (1, 1) and self.dilation == (1, 1)
        return Maps(1, self.n_in * size(self.kernel), self.n_out) if whole else self

    @property
    def inputs(self) -> int:
        """Return the length of the vector that goes in."""
        return self.groups * self.n_in * size(self.shape_in)

    @property
    def outputs(self) -> int:
        """Return the length of the vector that comes out."""
        return self.groups * self.n_out * size(self.shape_out)


def _pair(values: Sequence[int], one: int) -> Pair:
    y, x = (one, *values)[-2:]
    return y, x


class _Tables:
    """The structure that the library reads, and its arrays."""

    def __init__(self, maps: Maps) -> None:
        self.kept: list[NDArray[Any]] = []
        axes = [self._axis(maps, axis) for axis in (0, 1)]
        self.structure = _Conv(
            *(maps.groups, maps.n_in, maps.n_out),
            *(*maps.shape_in, *maps.shape_out, *maps.kernel, maps.stride[1]),
            *axes,
        )

    def _axis(self, maps: Maps, axis: int) -> _Axis:
        at, tap = np.indices((maps.shape_in[axis], maps.kernel[axis]))
        out = at + maps.padding[axis] - tap * maps.dilation[axis]
        reached = (out >= 0) & (out % maps.stride[axis] == 0)
        out //= maps.stride[axis]
        reached &= out < maps.shape_out[axis]
        first = np.concatenate([[0], np.cumsum(reached.sum(axis=1))])
        tables = (first, out[reached], tap[reached], np.where(reached, out, -1))
        arrays = [np.ascontiguousarray(table, np.int32) for table in tables]
        self.kept += arrays
        return _Axis(*(array.ctypes.data for array in arrays))


@lru_cache(maxsize=64)
def _tables(maps: Maps) -> _Tables:
    return _Tables(maps)


class Kernel:
    """A convolution, or a matrix, with ``weight`` (groups * n_out, n_in, taps)."""

    def __init__(self, lib: ctypes.CDLL, maps: Maps, weight: Float) -> None:
        self.lib = lib
        self.maps = maps = maps.one_matrix()
        self.tables = _tables(maps)
        # (groups, out, in, taps)
        self.weight = weight.reshape(maps.groups, maps.n_out, maps.n_in, size(maps.kernel))
        self.memory = np.empty(maps.n_out * (size(maps.shape_out) + 1))
        self.most = min(MOST_COUNT, _largest_count(self.weight))

    def apply(self, x: Float, y: Float) -> bool:
        """Map spikes ``x`` (rows, inputs) to ``y`` (rows, outputs), if all sums are exact."""
        x = np.ascontiguousarray(x)
        weight = np.ascontiguousarray(self.weight.transpose(0, 3, 2, 1))
        most = ctypes.c_double(self.most)
        rows = ctypes.c_int64(len(x))
        return bool(self._call("conv_forward", weight, x, rows, most, y, self.memory))

    def to_input(self, delta: Float, slope: Float) -> None:
        """Map ``delta`` (rows, outputs) on a grid to ``slope`` (rows, inputs) by the transpose."""
        delta = np.ascontiguousarray(delta)
        groups, outs, ins, taps = self.weight.shape
        tiles = np.zeros((groups, outs, -(-ins // TILE) * TILE, taps))
        tiles[:, :, :ins] = self.weight
        tiles = tiles.reshape(groups, outs, -1, TILE, taps).transpose(0, 2, 4, 1, 3)
        name = "matrix_to_input" if self.maps == Maps(1, ins, outs) else "conv_to_input"
        rows = ctypes.c_int64(len(delta))
        self._call(name, np.ascontiguousarray(tiles), delta, rows, slope, self.memory)

    def to_numbers(self, x: Float, delta: Float) -> Float:
        """Return the gradient (groups * n_out, n_in, taps) for ``x`` (rows, inputs) on a grid.

        ``delta`` (rows, outputs), on a grid.
        """
        x, delta = np.ascontiguousarray(x), np.ascontiguousarray(delta)
        groups, outs, ins, taps = self.weight.shape
        gradient = np.zeros((groups, taps, ins, outs))
        rows = ctypes.c_int64(len(x))
        self._call("conv_to_weight", x, delta, rows, gradient, self.memory)
        return np.ascontiguousarray(gradient.transpose(0, 3, 2, 1)).reshape(-1, ins, taps)

    def _call(self, name: str, *arguments: Any) -> int:
        return _call(self.lib, name, self.tables, arguments)


class Windows:
    """A pool."""

    def __init__(self, lib: ctypes.CDLL, op: Pool) -> None:
        self.lib = lib
        self.op = op
        self.tables = _tables(Maps.of(op))

    def apply(self, x: Float, y: Float) -> bool:
        """Map ``x`` (rows, inputs) to ``y`` (rows, outputs), if ``x`` are spikes."""
        most = ctypes.c_double(MOST_COUNT)
        return bool(self._call("pool_forward", np.ascontiguousarray(x), len(x), most, y))

    def to_input(self, delta: Float, slope: Float) -> None:
        """Map ``delta`` (rows, outputs) to ``slope`` (rows, inputs) by the transpose."""
        self._call("pool_to_input", np.ascontiguousarray(delta), len(delta), slope)

    def _call(self, name: str, x: Float, rows: int, *more: Any) -> int:
        maps = ctypes.c_int64(rows * self.op.shape_in[0])
        factor = ctypes.c_double(self.op.factor)
        return _call(self.lib, name, self.tables, (factor, x, maps, *more))


def _call(lib: ctypes.CDLL, name: str, tables: _Tables, arguments: Sequence[Any]) -> int:
    function = getattr(lib, name)
    function.restype = ctypes.c_int64
    given = (ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments)
    return int(function(ctypes.byref(tables.structure), *given))


def _largest_count(weight: Float) -> float:
    """Return the largest input for which sums of ``weight`` (groups, out, in, taps) are exact."""
    fraction, exponent = np.frexp(weight[weight != 0])
    if not fraction.size or not np.isfinite(fraction).all():
        return MOST_COUNT if not fraction.size else 0.0
    integer = (fraction * EXACT).astype(np.int64)
    lowest = (integer & -integer).astype(np.float64) / EXACT
    unit = float(np.ldexp(lowest, exponent).min())  # all weights are multiples of it
    total = float(np.abs(weight).sum(axis=(2, 3)).max())
    return EXACT / 4 * unit / total


def on_grid(x: Float, out: Float | None = None) -> Float:
    """Round ``x`` as ``nirc.ir.arrays.on_grid`` does, to ``out``, which may be ``x`` itself.

    Small integers stay as they are. Then and for zeros ``x`` is returned.
    """
    lib = library()
    if lib is None or not x.flags.c_contiguous:
        return _definition(x)
    lib.largest_of.restype = ctypes.c_double
    integers = ctypes.c_int64()
    n = ctypes.c_int64(x.size)
    largest = lib.largest_of(ctypes.c_void_p(x.ctypes.data), n, ctypes.byref(integers))
    if not (0.0 < largest < np.inf) or (integers.value and largest < 2.0 ** (GRID_BITS - 1)):
        return x
    step = 2.0 ** (int(np.frexp(largest)[1]) - GRID_BITS)
    if not SMALLEST_STEP < step < 1 / SMALLEST_STEP:
        return _definition(x)
    out = np.empty_like(x) if out is None else out
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (x, out))
    lib.round_to(*pointers, ctypes.c_double(step), n)
    return out
