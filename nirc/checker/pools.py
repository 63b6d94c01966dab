"""The pools of network.nir, for chips whose networks have some."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.kernels import conv2d
from nirc.checker.network import OPERATORS
from nirc.checker.values import Array

# fmt: off


def sum_pool2d(name: str, before: Any, shape: Any, kernel_size: Array, stride: Array,
               padding: Array) -> Any:
    """Return the synapses of windows that add up, and the shape behind them."""
    weight = np.eye(shape[0])[:, :, None, None] * np.ones(kernel_size.tolist())
    plain = np.zeros(shape[0]), stride, padding, np.ones(2, int), np.ones(1), np.array(shape[1:])
    return conv2d(name, before, shape, weight, *plain)


def pooled_conv2d(name: str, before: Any, shape: Any, **node: Array) -> Any:
    """Return the synapses of a convolution, which may stand behind a pool, and the shape."""
    synapses, behind = conv2d(name, None, shape, **node)
    return composed(before, synapses), behind


OPERATORS.update(Conv2d=pooled_conv2d, SumPool2d=sum_pool2d)


def composed(first: Any, second: Any) -> Any:
    """Return the synapses of two operators, one behind the other. The first may be none."""
    if first is None:
        return second
    (target, source, weight), (to, middle, factor) = first, second
    order = np.argsort(target, kind="stable")
    start = np.searchsorted(target[order], middle)
    count = np.searchsorted(target[order], middle, "right") - start
    row = np.repeat(np.arange(len(to)), count)  # of the second, once for each of the first
    at = order[np.arange(len(row)) + np.repeat(start - np.cumsum(count) + count, count)]
    return to[row], source[at], factor[row] * weight[at]
