"""Lower bounds on the number of cores, whatever the parts.

*Cuts save nothing.* So the cost of uncut populations is a bound for each resource. *A part must fit
a core.* This limits the neurons of a part. No neuron is cheaper than in the cheapest part that
fits. The product with the number of neurons is a better bound, for each resource and for sums of
resources. *Parts above half a core* never share a core.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, full_box, lengths, volume
from nirc.mapping.partition.problem import Floats
from nirc.mapping.partition.tiling import Subject

ROUNDS = 200  # of branching
MOST_OPEN = 1 << 15  # sets of lengths in one round
MOST_LENGTHS = 1 << 12  # up to this number, all lengths of a part are tried
MOST_SEARCHES = 500  # over lengths. Beyond, the bound gets weaker.
ENOUGH = 1e-4  # relative: the bound need not be closer
TINY = 1e-9


def fewest_cores(
    subjects: Sequence[Subject],
    alone: Mapping[int, Boxes],
    pinned: Collection[int],
    *,
    usage: Ints | None = None,
) -> int:
    """Return a number of cores that no partition with shared cores undercuts.

    ``alone``: for each population its fewest known parts (the fewest possible if flat and not
    ``Subject.alike``), or its ``pinned`` parts. ``usage`` (cores, resources) of a partition shows
    the useful bounds. None: little effort.
    """
    if not subjects:
        return 0
    capacity = subjects[0].cores.capacity
    fixed = [s.number in pinned for s in subjects]
    parts = [
        s.cost(alone[s.number] if f else full_box(s.shape))
        for s, f in zip(subjects, fixed, strict=True)
    ]
    taken = [cost.sum(axis=0) for cost in parts]
    each = [
        max(_up(t / np.maximum(capacity, 1)), 1) if f else fewest_alone(s, len(alone[s.number]))
        for s, t, f in zip(subjects, taken, fixed, strict=True)
    ]
    bound = max(_up(sum(taken) / np.maximum(capacity, 1)), *each, 1)
    single = [
        cost.min(axis=0) if f else _cheapest_neuron(s)
        for s, cost, f in zip(subjects, parts, fixed, strict=True)
    ]
    for r in range(capacity.size):
        bound = max(
            bound,
            sum(n for n, least in zip(each, single, strict=True) if 2 * least[r] > capacity[r]),
        )
    if usage is None:
        return bound
    weights = _measures(capacity)
    used = weights @ usage.sum(axis=0)
    searches = 0
    for m in np.argsort(-used, kind="stable").tolist():
        if _up(used[m]) <= bound or bound >= len(usage):
            break
        total = 0.0
        for s, t, f in zip(subjects, taken, fixed, strict=True):
            total += float(weights[m] @ t)
            if s.alike and not f and searches < MOST_SEARCHES:
                searches += 1
                cheapest = _search(s, weights[m]) * float(volume(full_box(s.shape))[0])
                total += max(cheapest - float(weights[m] @ t), 0.0)
        bound = max(bound, _up(total))
    return bound


def _up(share: float | Floats) -> int:
    return int(np.ceil(np.max(share) - TINY))


def _measures(capacity: Ints) -> Floats:
    """Return (measures, resources) weights of resources. A core has 1 of each measure.

    The measures are each resource, pairs, and all.
    """
    usable = np.flatnonzero(capacity > 0).tolist()
    one = np.diag(1 / np.maximum(capacity, 1))
    pairs = [(one[a] + one[b]) / 2 for a, b in product(usable, usable) if b < a]
    return np.array([*one[usable], *pairs, one[usable].mean(axis=0)]).reshape(-1, capacity.size)


def fewest_alone(subject: Subject, parts: int) -> int:
    """Return the fewest cores of a population that has all cores. ``parts``: see ``alone``."""
    least = max(
        _up(subject.cost(full_box(subject.shape))[0] / np.maximum(subject.cores.capacity, 1)), 1
    )
    if least >= parts:
        return least
    if not subject.alike:
        return parts if subject.flat else least
    most = max(-_search(subject, None), 1.0)
    return max(least, _up(float(volume(full_box(subject.shape))[0]) / most))


def _cheapest_neuron(subject: Subject) -> Ints:
    """Return (resources,) the least cost of any part."""
    if not subject.alike:
        return np.zeros(len(subject.cores.resources), dtype=np.int64)
    least: Ints = _at_least(subject, np.ones((1, AXES), np.int64))[0].min(axis=0)
    return least


def _corners(shape: Ints, sizes: Ints) -> Boxes:
    """Return (k, 8, 3, 2) boxes of these lengths at all corners, where windows see least."""
    high = np.array([[i >> axis & 1 for axis in range(AXES)] for i in range(8)])
    start = (shape - sizes)[:, None, :] * high
    return np.stack([start, start + sizes[:, None, :]], axis=-1)


def _at_least(subject: Subject, sizes: Ints) -> Ints:
    """Return (k, 8, resources) the cost of boxes of these lengths at the corners."""
    boxes = _corners(np.array(subject.shape), sizes)
    return subject.cost(boxes.reshape(-1, AXES, 2)).reshape(len(sizes), 8, -1)


def _branch(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Halve each set of lengths, from ``low`` to ``high`` (k, 3), along its widest axis."""
    axis = np.argmax(high / low, axis=1)
    row = np.arange(len(low))
    half = (low[row, axis] + high[row, axis]) // 2
    lower = high.copy()
    upper = low.copy()
    lower[row, axis] = half
    upper[row, axis] = half + 1
    return np.concatenate([low, upper]), np.concatenate([lower, high])


def _search(subject: Subject, weights: Floats | None) -> float:
    """Return a lower bound of measure / neurons over the lengths of parts that fit.

    ``weights`` (resources,): the measure. None: minimise -neurons instead.
    """
    if volume(full_box(subject.shape))[0] <= MOST_LENGTHS:
        low = (
            np.stack(
                np.unravel_index(np.arange(volume(full_box(subject.shape))[0]), subject.shape),
                axis=-1,
            )
            + 1
        )
        high = low
    else:
        low = np.ones((1, AXES), np.int64)
        high = lengths(full_box(subject.shape))
    best = np.inf
    for _ in range(ROUNDS):
        taken = _at_least(subject, low)
        fitting = np.any(np.all(taken <= subject.cores.capacity, axis=2), axis=1)
        low = low[fitting]
        high = high[fitting]
        taken = taken[fitting]
        most = high.prod(axis=1).astype(float)
        fewest = low.prod(axis=1).astype(float)
        # No part of these lengths undercuts ``under``.
        if weights is None:
            under = -most
            here = -fewest
        else:
            measure = (taken @ weights).min(axis=1)
            under = measure / most
            here = measure / fewest
        best = min(best, float(here.min(initial=np.inf)))
        better = under < best - abs(best) * ENOUGH
        if not better.any():
            return best - abs(best) * ENOUGH * bool(np.any(high > low))
        low = low[better]
        high = high[better]
        under = under[better]
        if len(low) > MOST_OPEN:
            break
        low, high = _branch(low, high)
    return float(under.min())
