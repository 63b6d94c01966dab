"""How many cores there must be at least, whatever the parts.

*Cuts save nothing*, so what populations take whole is a bound for each resource. *A part must fit a core*: then it has
at most so many neurons, and no neuron is cheaper than in the cheapest part that fits; times the neurons, that is a
better bound for each resource and for sums of them. *Parts that take more than half a core* never share one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, lengths, volume, whole
from nirc.mapping.partition.problem import Floats
from nirc.mapping.partition.tiling import Subject

ROUNDS = 200  # of branching
MOST_OPEN = 1 << 15  # sets of lengths that are looked at in one round
MOST_LENGTHS = 1 << 12  # all lengths of a part are looked at if there are no more
MOST_SEARCHES = 500  # over lengths; what is left out then makes the bound weaker
ENOUGH = 1e-4  # relative: the bound need not be closer
TINY = 1e-9


def fewest_cores(
    subjects: Sequence[Subject], alone: Mapping[int, Boxes], pinned: Collection[int], *, usage: Ints | None = None
) -> int:
    """No partition has fewer cores, if they are shared.

    ``alone``: for each population the fewest parts known (of all if it is flat and not ``Subject.alike``), or those
    that it must have, ``pinned``. ``usage`` (cores, resources) of a partition tells what can help; None: little effort.
    """
    if not subjects:
        return 0
    capacity = subjects[0].cores.capacity
    fixed = [s.number in pinned for s in subjects]
    parts = [s.cost(alone[s.number] if f else whole(s.shape)) for s, f in zip(subjects, fixed, strict=True)]
    taken = [cost.sum(axis=0) for cost in parts]
    each = [
        max(_up(t / np.maximum(capacity, 1)), 1) if f else fewest_alone(s, len(alone[s.number]))
        for s, t, f in zip(subjects, taken, fixed, strict=True)
    ]
    bound = max(_up(sum(taken) / np.maximum(capacity, 1)), *each, 1)
    single = [cost.min(axis=0) if f else _cheapest_neuron(s) for s, cost, f in zip(subjects, parts, fixed, strict=True)]
    for r in range(capacity.size):
        bound = max(bound, sum(n for n, least in zip(each, single, strict=True) if 2 * least[r] > capacity[r]))
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
                cheapest = _search(s, weights[m]) * float(volume(whole(s.shape))[0])
                total += max(cheapest - float(weights[m] @ t), 0.0)
        bound = max(bound, _up(total))
    return bound


def _up(share: float | Floats) -> int:
    return int(np.ceil(np.max(share) - TINY))


def _measures(capacity: Ints) -> Floats:
    """(measures, resources) weights of a sum of resources of which a core has 1: each alone, pairs, all."""
    usable = np.flatnonzero(capacity > 0).tolist()
    one = np.diag(1 / np.maximum(capacity, 1))
    pairs = [(one[a] + one[b]) / 2 for a in usable for b in usable if b < a]
    return np.array([*one[usable], *pairs, one[usable].mean(axis=0)]).reshape(-1, capacity.size)


def fewest_alone(subject: Subject, parts: int) -> int:
    """Cores that a population needs at least if it has them for itself. ``parts``: see ``alone``."""
    least = max(_up(subject.cost(whole(subject.shape))[0] / np.maximum(subject.cores.capacity, 1)), 1)
    if least >= parts:
        return least
    if not subject.alike:
        return parts if subject.flat else least
    most = max(-_search(subject, None), 1.0)
    return max(least, _up(float(volume(whole(subject.shape))[0]) / most))


def _cheapest_neuron(subject: Subject) -> Ints:
    """(resources,) what any part takes at least."""
    if not subject.alike:
        return np.zeros(len(subject.cores.resources), dtype=np.int64)
    least: Ints = _at_least(subject, np.ones((1, AXES), np.int64))[0].min(axis=0)
    return least


def _corners(shape: Ints, sizes: Ints) -> Boxes:
    """(k, 8, 3, 2) boxes of these lengths at all corners, where windows see least."""
    high = np.array([[i >> axis & 1 for axis in range(AXES)] for i in range(8)])
    start = (shape - sizes)[:, None, :] * high
    return np.stack([start, start + sizes[:, None, :]], axis=-1)


def _at_least(subject: Subject, sizes: Ints) -> Ints:
    """(k, 8, resources) what boxes of these lengths take at the corners."""
    boxes = _corners(np.array(subject.shape), sizes)
    return subject.cost(boxes.reshape(-1, AXES, 2)).reshape(len(sizes), 8, -1)


def _branch(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Each set of lengths, from ``low`` to ``high`` (k, 3), halved along the axis where it is widest."""
    axis = np.argmax(high / low, axis=1)
    row = np.arange(len(low))
    half = (low[row, axis] + high[row, axis]) // 2
    lower, upper = high.copy(), low.copy()
    lower[row, axis], upper[row, axis] = half, half + 1
    return np.concatenate([low, upper]), np.concatenate([lower, high])


def _search(subject: Subject, weights: Floats | None) -> float:
    """The least of measure / neurons (None: of -neurons) over the lengths of parts that fit, not overestimated."""
    if volume(whole(subject.shape))[0] <= MOST_LENGTHS:
        low = np.stack(np.unravel_index(np.arange(volume(whole(subject.shape))[0]), subject.shape), axis=-1) + 1
        high = low
    else:
        low, high = np.ones((1, AXES), np.int64), lengths(whole(subject.shape))
    best = np.inf
    for _ in range(ROUNDS):
        taken = _at_least(subject, low)
        held = np.any(np.all(taken <= subject.cores.capacity, axis=2), axis=1)
        low, high, taken = low[held], high[held], taken[held]
        most, fewest = high.prod(axis=1).astype(float), low.prod(axis=1).astype(float)
        if weights is None:
            under, here = -most, -fewest
        else:  # no part of these lengths undercuts ``under``
            under, here = ((taken @ weights).min(axis=1) / n for n in (most, fewest))
        best = min(best, float(here.min(initial=np.inf)))
        better = under < best - abs(best) * ENOUGH
        if not better.any():
            return best - abs(best) * ENOUGH * bool(np.any(high > low))
        low, high, under = low[better], high[better], under[better]
        if len(low) > MOST_OPEN:
            break
        low, high = _branch(low, high)
    return float(under.min())
