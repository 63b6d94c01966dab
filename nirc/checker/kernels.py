"""The kernels of network.nir, for chips whose networks have some."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirc.checker.network import OPERATORS
from nirc.checker.values import Array

# fmt: off


def conv2d(shape: Any, weight: Array, bias: Array, stride: Array, padding: Array, dilation: Array,
           groups: Array, input_shape: Array) -> Any:
    """Take a convolution."""
    steps, pads, gaps = (pair.tolist() for pair in (stride, padding, dilation))
    fits = groups == 1 and not bias.any() and (*input_shape,) == shape[1:]
    fits = fits and weight.ndim == 4 and weight.shape[:2] == (*bias.shape, shape[0])
    fits = fits and len(steps) == len(pads) == len(gaps) == 2 and min(pads) >= 0
    if not fits or min(*steps, *gaps, *weight.shape[2:]) < 1:
        return False, shape, ...
    behind, target, source, tap = windows(weight != 0, shape, steps, pads * 2, gaps)
    return True, behind, source, target, weight[weight != 0][tap]


def windows(there: Array, before: Any, stride: Any, pads: Any, dilation: Any) -> Any:
    """Return the shape behind a kernel, and target, source and tap of each of its synapses.

    ``there`` (out, in, y, x): True for each tap that has synapses. These have numbers in C order.
    ``before``: channels, y, x. ``pads``: above, left, below, right.
    """
    ends = zip(before[1:], there.shape[2:], stride, pads, pads[2:], dilation)
    sides = [max((n + a + b - d * (k - 1) - 1) // s + 1, 0) for n, k, s, a, b, d in ends]
    tap = np.flatnonzero(there)
    out, into, tap_y, tap_x = (each[:, None, None] for each in np.unravel_index(tap, there.shape))
    y = np.arange(sides[0])[:, None] * stride[0] - pads[0] + tap_y * dilation[0]  # (taps, rows, 1)
    x = np.arange(sides[1]) * stride[1] - pads[1] + tap_x * dilation[1]
    inside = (y >= 0) & (y < before[1]) & (x >= 0) & (x < before[2])
    source = (into * before[1] + y) * before[2] + x
    target = out * math.prod(sides) + np.arange(math.prod(sides)).reshape(sides)
    number = np.repeat(np.arange(len(tap)), inside.sum((1, 2)))
    return (len(there), *sides), target[inside], source[inside], number


OPERATORS["Conv2d"] = conv2d
