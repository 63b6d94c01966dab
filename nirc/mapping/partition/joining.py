"""Parts of a population that lie side by side on one core become one part: cuts save nothing, and fewer is simpler."""

from __future__ import annotations

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints


def joined(population: Ints, boxes: Boxes, core: Ints, kept: Ints) -> tuple[Ints, Boxes, Ints]:
    """Population, box and core of each part, by population and first neuron; populations in ``kept`` stay cut.

    Along each axis in turn, boxes that touch and have the same ranges along the others are joined, until none are.
    """
    before = len(boxes) + 1
    while len(boxes) < before:
        before = len(boxes)
        for axis in range(AXES):
            population, boxes, core = _along(axis, population, boxes, core, kept)
    order = np.lexsort((*boxes[:, ::-1, 0].T, population))
    return population[order], boxes[order], core[order]


def _along(axis: int, population: Ints, boxes: Boxes, core: Ints, kept: Ints) -> tuple[Ints, Boxes, Ints]:
    a, b = (other for other in range(AXES) if other != axis)
    same = np.stack([population, core, *boxes[:, a].T, *boxes[:, b].T], axis=1)
    order = np.lexsort((boxes[:, axis, 0], *same.T))
    same, low, high = same[order], boxes[order, axis, 0], boxes[order, axis, 1]
    touches = (same[1:] == same[:-1]).all(axis=1) & (low[1:] == high[:-1]) & ~np.isin(same[1:, 0], kept)
    first = np.flatnonzero(np.append(True, ~touches))
    last = np.append(first[1:], len(order)) - 1
    merged = boxes[order[first]].copy()
    merged[:, axis, 1] = high[last]
    return population[order[first]], merged, core[order[first]]
