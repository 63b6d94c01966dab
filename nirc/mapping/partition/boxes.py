"""Boxes of neurons: a range along each axis of a population.

Every population has three axes: (C, H, W), (n, 1, 1) for (n,), (C, L, 1) for (C, L). Boxes are an
array (k, 3, 2) int64: for each box and axis the first coordinate and the coordinate after the last.
Neurons are numbered in C order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Boxes = npt.NDArray[np.int64]
Shape3 = tuple[int, int, int]

AXES = 3
MOST_NEURONS = 1 << 40


def three_axes(shape: Sequence[int]) -> Shape3:
    """Append axes of length 1 to ``shape``.

    Raises ``ValueError`` for no axes, too many axes or an empty axis.
    """
    sizes = tuple(int(n) for n in shape)
    if not 0 < len(sizes) <= AXES or min(sizes) < 1 or math.prod(sizes) > MOST_NEURONS:
        raise ValueError(
            f"a shape has one to three axes of at least 1 and at most 2^40 neurons, not {sizes}"
        )
    c, h, w = (*sizes, *(1,) * (AXES - len(sizes)))
    return c, h, w


def full_box(shape: Shape3) -> Boxes:
    """Return (1, 3, 2) the box of the full shape."""
    return np.array([[(0, n) for n in shape]], dtype=np.int64)


def lengths(boxes: Boxes) -> Ints:
    """Return (k, 3) the lengths along each axis."""
    sides: Ints = boxes[..., 1] - boxes[..., 0]
    return sides


def volume(boxes: Boxes) -> Ints:
    """Return (k,) the neurons in each box."""
    neurons: Ints = lengths(boxes).prod(axis=-1)
    return neurons


def even_cuts(n: int, ranges: int) -> Ints:
    """Return (ranges + 1,) borders of ranges of 0..n, equal or longer by 1, longer ranges first."""
    short, longer = divmod(n, ranges)
    return np.arange(ranges + 1) * short + np.minimum(np.arange(ranges + 1), longer)


def full_cuts(n: int, length: int) -> Ints:
    """Return borders of ranges of ``length``. The last range may be shorter."""
    return np.append(np.arange(0, n, length), n)


def grid(cuts: Sequence[Ints]) -> Boxes:
    """Return the products of the ranges between ``cuts`` of each axis, in C order."""
    ranges = [np.stack([c[:-1], c[1:]], axis=-1) for c in cuts]
    index = np.indices([len(r) for r in ranges]).reshape(AXES, -1)
    return np.stack([r[i] for r, i in zip(ranges, index, strict=True)], axis=1)


def even_grid(shape: Shape3, ranges: Sequence[int]) -> Boxes:
    """Return the grid with this number of even ranges along each axis."""
    return grid([even_cuts(n, count) for n, count in zip(shape, ranges, strict=True)])


def flat_grid(cuts: Ints) -> Boxes:
    """Return the ranges between ``cuts`` of a flat population."""
    one = np.array([0, 1])
    return grid([cuts, one, one])


def neurons_of(shape: Shape3, box: Boxes) -> Ints:
    """Return (neurons,) the numbers of the neurons in one box (3, 2), rising."""
    c, h, w = (np.arange(a, b) for a, b in box.tolist())
    numbers: Ints = ((c[:, None, None] * shape[1] + h[:, None]) * shape[2] + w).ravel()
    return numbers


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Boxes that cover a population, each neuron once, on the grid of all their borders.

    ``cuts``: per axis (fields + 1,) rising. ``box`` (fields of axis 0, 1, 2): the box of each
    field.
    """

    cuts: tuple[Ints, Ints, Ints]
    box: Ints

    @classmethod
    def of(cls, shape: Shape3, boxes: Boxes) -> Mosaic:
        """Raises ``ValueError`` if the boxes leave neurons out, overlap, or reach outside."""
        c, h, w = (
            np.unique(np.append(boxes[:, axis].ravel(), (0, n))) for axis, n in enumerate(shape)
        )
        cuts = c, h, w
        if any(line[0] < 0 or line[-1] > n for line, n in zip(cuts, shape, strict=True)):
            raise ValueError(f"a part reaches outside of {shape}")
        fields = [np.searchsorted(line, boxes[:, axis]) for axis, line in enumerate(cuts)]
        box = np.full([line.size - 1 for line in cuts], -1, dtype=np.int64)
        if len(boxes) == box.size:  # a plain grid: one field each
            box[tuple(f[:, 0] for f in fields)] = np.arange(len(boxes))
        else:
            for i, ((a, b), (c0, c1), (d0, d1)) in enumerate(
                zip(*(f.tolist() for f in fields), strict=True)
            ):
                box[a:b, c0:c1, d0:d1] = i
        if (box < 0).any() or volume(boxes).sum() != math.prod(shape) or (lengths(boxes) < 1).any():
            raise ValueError(f"the parts do not cover {shape}, each neuron once")
        return cls(cuts, box)

    def of_neurons(self, shape: Shape3, neurons: Ints) -> Ints:
        """Return (k,) the box of each of these neurons."""
        at = np.unravel_index(neurons, shape)
        fields = tuple(
            np.searchsorted(cut, x, side="right") - 1 for cut, x in zip(self.cuts, at, strict=True)
        )
        boxes: Ints = self.box[fields]
        return boxes
