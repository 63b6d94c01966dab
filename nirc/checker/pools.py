"""The pools of network.nir, for chips whose networks have some."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirc.checker.network import OPERATORS
from nirc.checker.values import Array

# fmt: off


def sum_pool2d(shape: Any, kernel_size: Array, stride: Array, padding: Array) -> Any:
    """Take sums over windows side by side."""
    fits = len(shape) == 3 and kernel_size.tolist() == stride.tolist() and not padding.any()
    windows = pooled(np.arange(math.prod(shape)).reshape(shape), *kernel_size.tolist())
    return fits, windows.shape[:3], windows.reshape(-1, kernel_size.prod())


def pooled(maps: Array, y: int, x: int) -> Array:
    """Return the values of each window of y * x pixels, (channels, rows, columns, pixels)."""
    channels, rows, columns = len(maps), maps.shape[1] // y, maps.shape[2] // x
    whole = maps[:, :rows * y, :columns * x].reshape(channels, rows, y, columns, x)
    return whole.swapaxes(2, 3).reshape(channels, rows, columns, y * x)


OPERATORS["SumPool2d"] = sum_pool2d
