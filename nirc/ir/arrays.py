"""Arrays inside the IR are read-only, so that a program before and after a pass stays
comparable.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Shape = tuple[int, ...]


def frozen(values: ArrayLike) -> Float:
    """A read-only float64 copy (or the array itself if it is one already)."""
    array = np.asarray(values, dtype=np.float64)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def size(shape: Shape) -> int:
    """Number of elements of ``shape`` (1 for a scalar)."""
    total = 1
    for n in shape:
        total *= n
    return total


def describe(array: NDArray[np.generic]) -> str:
    """``f64[78,64] -0.31..0.92 #9f3a``; a constant array shows its one value."""
    kind = f"{array.dtype.kind}{array.dtype.itemsize * 8}"
    dims = ",".join(map(str, array.shape))
    if array.size == 0:
        return f"{kind}[{dims}]"
    low, high = array.min(), array.max()
    if low == high:
        return f"{kind}[{dims}] {low:g}"
    return f"{kind}[{dims}] {low:.4g}..{high:.4g} #{digest(array)[:4]}"


def digest(array: NDArray[np.generic]) -> str:
    """SHA-256 of type, shape and bytes."""
    h = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    h.update(np.ascontiguousarray(array).tobytes())
    return h.hexdigest()
