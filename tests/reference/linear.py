"""Convolution and pooling as sums over indices: slow, and obviously what PyTorch documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pads = Sequence[tuple[int, int]]


def out_size(n: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> int:
    """Positions of a window of ``kernel`` taps, ``dilation`` apart, on a padded axis."""
    span = dilation * (kernel - 1) + 1
    return len(range(0, n + sum(pads) - span + 1, stride))


def convolve(
    x: Array, weight: Array, stride: Sequence[int], pads: Pads, dilation: Sequence[int], groups: int
) -> Array:
    """y[o, p] = sum over i, k of weight[o, i, k] * x[group(o) + i, p * stride - pad + k *
    dilation]; zero outside.
    """
    spatial, kernel = x.shape[1:], weight.shape[2:]
    axes = range(len(spatial))
    sizes = [out_size(spatial[a], kernel[a], stride[a], tuple(pads[a]), dilation[a]) for a in axes]  # type: ignore[arg-type]
    y = np.zeros((len(weight), *sizes))
    per_group = len(weight) // groups
    for o, i in product(range(len(weight)), range(weight.shape[1])):
        channel = o // per_group * weight.shape[1] + i
        for p in product(*map(range, sizes)):
            for k in product(*map(range, kernel)):
                at = tuple(p[a] * stride[a] - pads[a][0] + k[a] * dilation[a] for a in axes)
                if all(0 <= at[a] < spatial[a] for a in axes):
                    y[(o, *p)] += weight[(o, i, *k)] * x[(channel, *at)]
    return y


def pool(
    x: Array, kernel: Sequence[int], stride: Sequence[int], pads: Pads, *, average: bool
) -> Array:
    """Sum over each window and channel; the average divides by the kernel's size, padding
    included.
    """
    channels, taps = len(x), int(np.prod(kernel))
    total = convolve(x, np.ones((channels, 1, *kernel)), stride, pads, [1] * len(kernel), channels)
    return total / taps if average else total
