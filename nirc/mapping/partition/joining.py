"""Join touching parts of a population on one core. Cuts save nothing: fewer parts are simpler."""

from __future__ import annotations

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints


def joined(population: Ints, boxes: Boxes, core: Ints, kept: Ints) -> tuple[Ints, Boxes, Ints]:
    """Return population, box and core of each part, sorted by population and first neuron.

    Populations in ``kept`` stay cut. Boxes that touch along an axis, with equal ranges along the
    others, are joined. This repeats for each axis until nothing changes.
    """
    before = len(boxes) + 1
    while len(boxes) < before:
        before = len(boxes)
        for axis in range(AXES):
            population, boxes, core = _along(axis, population, boxes, core, kept)
    order = np.lexsort((*boxes[:, ::-1, 0].T, population))
    return population[order], boxes[order], core[order]


def _along(
    axis: int, population: Ints, boxes: Boxes, core: Ints, kept: Ints
) -> tuple[Ints, Boxes, Ints]:
    a, b = (other for other in range(AXES) if other != axis)
    same = np.stack([population, core, *boxes[:, a].T, *boxes[:, b].T], axis=1)
    order = np.lexsort((boxes[:, axis, 0], *same.T))
    same = same[order]
    low = boxes[order, axis, 0]
    high = boxes[order, axis, 1]
    touches = (
        (same[1:] == same[:-1]).all(axis=1) & (low[1:] == high[:-1]) & ~np.isin(same[1:, 0], kept)
    )
    first = np.flatnonzero(np.append(True, ~touches))
    last = np.append(first[1:], len(order)) - 1
    merged = boxes[order[first]].copy()
    merged[:, axis, 1] = high[last]
    return population[order[first]], merged, core[order[first]]
