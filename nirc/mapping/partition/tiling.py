"""A population cut into the fewest parts that each fit a core, in a grid; of such grids the one with least input."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import (
    AXES,
    Boxes,
    Ints,
    Shape3,
    even_cuts,
    grid,
)

Fits = Callable[[Boxes], npt.NDArray[np.bool_]]
Input = Callable[[Boxes], npt.NDArray[np.float64]]

MOST_TRIED = 64  # grids with few parts that are looked at whole


def fewest_parts(shape: Shape3, fits: Fits, spikes_in: Input) -> Boxes | None:
    """(k, 3, 2) the parts of a grid; None if even parts of one neuron do not all fit.

    ``spikes_in(boxes)``: (k,) what reaches each box in a step, the measure of grids with equally many parts.
    """
    if shape[1] * shape[2] == 1:
        return _greedy(shape, fits)
    best: tuple[int, float] | None = None
    found = None
    for tried, sizes in enumerate(_candidates(shape, fits)):
        cuts = [even_cuts(n, -(-n // s)) for n, s in zip(shape, sizes, strict=True)]
        count = math.prod(c.size - 1 for c in cuts)
        if best is not None and (count > best[0] or tried > MOST_TRIED):
            break
        boxes = grid(cuts)
        if fits(boxes).all():
            measure = (count, float(spikes_in(boxes).sum()))
            if best is None or measure < best:
                best, found = measure, boxes
    if found is None:
        single = grid([np.arange(n + 1) for n in shape])
        return single if fits(single).all() else None
    return found


def _candidates(shape: Shape3, fits: Fits) -> list[tuple[int, int, int]]:
    """Lengths of a part along each axis, fewest parts first: for every choice on two axes the most on the longest."""
    long = int(np.argmax(shape))
    others = [a for a in range(AXES) if a != long]
    a, b = (_lengths(shape[i]) for i in others)
    low = np.zeros((a.size * b.size, AXES), dtype=np.int64)
    low[:, others[0]], low[:, others[1]] = (x.ravel() for x in np.meshgrid(a, b, indexing="ij"))
    high = low.copy()
    high[:, long] = shape[long]
    while (low[:, long] < high[:, long]).any():
        middle = low.copy()
        middle[:, long] = (low[:, long] + high[:, long] + 1) // 2
        held = fits(_middle(shape, middle))
        low[held, long] = middle[held, long]
        high[~held, long] = middle[~held, long] - 1
    low = low[low[:, long] > 0]
    parts = np.prod(-(-np.array(shape) // low), axis=1)
    return [tuple(row) for row in low[np.argsort(parts, kind="stable")].tolist()]


def _lengths(n: int) -> Ints:
    """The longest part for each number of parts, each length once, falling."""
    return np.unique(-(-n // np.arange(1, n + 1)))[::-1]


def _middle(shape: Shape3, sizes: Ints) -> Boxes:
    """Boxes of these lengths (k, 3) in the middle, where windows see most."""
    start = (np.array(shape) - sizes) // 2
    return np.stack([start, start + sizes], axis=-1)


def _greedy(shape: Shape3, fits: Fits) -> Boxes | None:
    """Ranges of a flat population, each as long as fits: no cut into ranges has fewer, as costs grow with a range."""
    n, start, ranges = shape[0], 0, []
    while start < n:
        low, high = start, n
        while low < high:
            middle = (low + high + 1) // 2
            if fits(np.array([[(start, middle), (0, 1), (0, 1)]]))[0]:
                low = middle
            else:
                high = middle - 1
        if low == start:
            return None
        ranges.append([(start, low), (0, 1), (0, 1)])
        start = low
    return np.array(ranges, dtype=np.int64)
