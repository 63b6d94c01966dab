"""A kernel that is shared over space: shapes, strides and the like, in NIR's and PyTorch's order of
axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nirc.backends.loihi2.checks import output_side

Map = tuple[int, int, int]  # channels, y, x
Pair = tuple[int, int]  # y, x


@dataclass(frozen=True)
class Geometry:
    """A cross-correlation: output (f, y, x) looks at the input from (y, x) * stride - padding on.

    Signals are flat in C order of (channels, y, x). Padding is the same on both sides, as Lava has
    it.
    """

    shape_in: Map
    shape_out: Map
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def n_in(self) -> int:
        """Lines that it looks at."""
        return math.prod(self.shape_in)

    @property
    def n_out(self) -> int:
        """Neurons that it reaches."""
        return math.prod(self.shape_out)

    @property
    def positions(self) -> int:
        """Places of an output map."""
        return self.shape_out[1] * self.shape_out[2]

    def covers(self, kernel: Pair) -> Pair:
        """Outputs (y, x) that a kernel of this size gives; below 1 if it does not fit into the
        padded map.
        """
        axes = zip(self.shape_in[1:], kernel, self.stride, self.padding, self.dilation, strict=True)
        y, x = (output_side(*axis) for axis in axes)
        return y, x

    def looks_at(self, kernel: Pair) -> int:
        """Values of the padded map, or of all windows of it, whatever is more."""
        channels, *map_ = self.shape_in
        padded = channels * math.prod(
            n + 2 * pad for n, pad in zip(map_, self.padding, strict=True)
        )
        return max(padded, channels * self.positions * math.prod(kernel))

    def kernel_shape(self, kernel: Pair) -> tuple[int, int, int, int]:
        """(C_out, C_in / groups, y, x) of the weights."""
        return self.shape_out[0], self.shape_in[0] // self.groups, *kernel


def windows(spikes: NDArray[np.bool_], geometry: Geometry, kernel: Pair) -> NDArray[np.bool_]:
    """(samples, n_in) -> (samples, groups, positions, taps): what each output sees; taps as in a
    kernel, flat.
    """
    g, (pad_y, pad_x) = geometry, geometry.padding
    maps = np.pad(spikes.reshape(-1, *g.shape_in), ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    span = tuple(d * (k - 1) + 1 for d, k in zip(g.dilation, kernel, strict=True))
    seen = sliding_window_view(maps, span, axis=(2, 3))[
        :, :, :: g.stride[0], :: g.stride[1], :: g.dilation[0], :: g.dilation[1]
    ]
    samples, channels, *rest = seen.shape
    grouped = seen.reshape(samples, g.groups, channels // g.groups, *rest)
    return grouped.transpose(0, 1, 3, 4, 2, 5, 6).reshape(samples, g.groups, g.positions, -1)
