"""Read-only arrays, so that a program before and after a pass stays comparable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Shape = tuple[int, ...]

GRID_BITS = 20


def frozen(values: ArrayLike) -> Float:
    """Return a read-only float64 copy, or the array itself if it is read-only float64."""
    array = np.asarray(values, dtype=np.float64)
    if array.flags.writeable:
        converted = isinstance(values, np.ndarray) and values.dtype != np.float64
        array = array if converted else array.copy()
        array.setflags(write=False)
    return array


def frozen_result(array: Float) -> Float:
    """Return a new array itself, read-only. Nothing else may hold the array or its memory."""
    array.setflags(write=False)
    return array


def frozen_integers(values: ArrayLike) -> Int:
    """Return a read-only int64 copy."""
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def unrepeated(*keys: NDArray[Any]) -> Iterator[Int]:
    """Yield the indices of all entries in parts in which no entry has the keys of another.

    ``keys``: arrays (n,). Each part is sorted by the first key, then the second, and so on. Of
    entries with equal keys the first is in the first part.
    """
    order = np.lexsort(keys[::-1])
    while order.size:
        equal = [key[order][1:] == key[order][:-1] for key in keys]
        again = np.append(False, np.logical_and.reduce(equal))
        yield order[~again]
        order = order[again]


def size(shape: Shape) -> int:
    """Return the number of elements of ``shape`` (1 for a scalar)."""
    total = 1
    for n in shape:
        total *= n
    return total


def describe(array: NDArray[np.generic]) -> str:
    """Return ``f64[78,64] -0.31..0.92 #9f3a``. A constant array shows one value."""
    kind = f"{array.dtype.kind}{array.dtype.itemsize * 8}"
    dims = ",".join(map(str, array.shape))
    if array.size == 0:
        return f"{kind}[{dims}]"
    low = array.min()
    high = array.max()
    if low == high:
        return f"{kind}[{dims}] {low:g}"
    return f"{kind}[{dims}] {low:.4g}..{high:.4g} #{digest(array)[:4]}"


def digest(array: NDArray[np.generic]) -> str:
    """Return the SHA-256 of type, shape and bytes."""
    h = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    h.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # no copy
    return h.hexdigest()


def on_grid(x: Float, bits: int = GRID_BITS) -> Float:
    """Round ``x`` to multiples of 2^-bits of the power of two above its largest magnitude.

    Sums of products of rounded factors are equal on every machine, in any order: every partial sum
    is a float64 without rounding. 20 bits times 20 bits leaves room for 2^12 summands. If one
    factor is a small integer, as spike counts are, there is room for more.
    """
    largest = float(np.max(np.abs(x), initial=0.0))
    if not (0.0 < largest < np.inf):
        return x
    step = 2.0 ** (int(np.frexp(largest)[1]) - bits)
    rounded: Float = np.rint(x / step) * step
    return rounded
