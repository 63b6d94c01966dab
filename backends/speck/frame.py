"""One square kernel, stride and padding for all convolutions into a population, which share its
core.

A smaller kernel is set into a larger one with zeros around it; where it stands makes up for another
padding, and a map declared larger than it is (zeros to the right and below, where no event ever
comes from) for a one-sided one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nirc.backends.speck.geometry import Pair, bits, output_size
from nirc.backends.speck.limits import KERNEL, PADDING, STRIDES
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv

SLACK = 8  # how far padding, kernel and map may grow beyond the largest of what is given


@dataclass(frozen=True)
class Frame:
    """Kernel size (one number), stride, padding and input size (y, x)."""

    kernel: int
    stride: Pair
    padding: Pair
    size_in: Pair

    @property
    def faults(self) -> int:
        """How many of the chip's limits it breaks."""
        return (
            (self.kernel > KERNEL[1])
            + sum(s not in STRIDES for s in self.stride)
            + sum(p > PADDING[1] for p in self.padding)
        )


def frame(convs: Sequence[Conv]) -> Frame | None:
    """The cheapest common frame, one that breaks a limit only if all do; None if strides or outputs
    differ.
    """
    if len({c.shape_out for c in convs}) != 1:
        return None
    rows, columns = (_choices(convs, axis) for axis in (0, 1))
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
    """``conv`` with the frame's kernel, stride and padding; what the map lacks to ``size_in`` is
    padding too.
    """
    weight = np.zeros((*conv.weight.shape[:2], f.kernel, f.kernel))
    top, left = (f.padding[axis] - conv.padding[axis][0] for axis in (0, 1))
    weight[:, :, top : top + conv.weight.shape[2], left : left + conv.weight.shape[3]] = conv.weight
    beyond = [f.size_in[axis] - conv.shape_in[1 + axis] for axis in (0, 1)]
    pads = tuple((f.padding[axis], f.padding[axis] + beyond[axis]) for axis in (0, 1))
    return replace(conv, weight=frozen(weight), stride=f.stride, padding=pads)


@dataclass(frozen=True, order=True)
class _Choice:
    """Of one axis, the better the smaller."""

    faults: int
    n: int
    padding: int
    stride: int


def _choices(convs: Sequence[Conv], axis: int) -> dict[int, _Choice]:
    """The best choice for every kernel size that one axis can have."""
    best: dict[int, _Choice] = {}
    for kernel, choice in _possible(convs, axis):
        if kernel not in best or choice < best[kernel]:
            best[kernel] = choice
    return best


def _possible(convs: Sequence[Conv], axis: int) -> Iterator[tuple[int, _Choice]]:
    out = convs[0].shape_out[1 + axis]
    given = {c.stride[axis] for c in convs}
    # With a single output nothing is ever moved by the stride.
    strides = given if out > 1 else {*STRIDES}
    if len(given) > 1 and out > 1:
        return
    most_n = max(c.shape_in[1 + axis] for c in convs)
    most_pad = max(c.padding[axis][0] for c in convs)
    for stride in strides:
        for n in range(most_n, most_n + SLACK + 1):
            for padding in range(most_pad, most_pad + SLACK + 1):
                least = max(padding - c.padding[axis][0] + c.weight.shape[2 + axis] for c in convs)
                for kernel in range(least, least + 2 * SLACK + 1):
                    if kernel <= n + 2 * padding and output_size(n, kernel, stride, padding) == out:
                        faults = (stride not in STRIDES) + (padding > PADDING[1])
                        yield kernel, _Choice(faults, n, padding, stride)
