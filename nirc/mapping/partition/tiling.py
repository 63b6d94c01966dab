"""A population alone on cores: the fewest parts that each fit one; of those the ones that get the fewest spikes.

Flat populations are cut into ranges. Maps are cut into grids, searched over the lengths of a part along the axes, and
into slabs across one axis with a grid of its own in each, found by dynamic programming over where the slabs end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Shape3, even_cuts, grid, whole
from nirc.mapping.partition.problem import Cores, Floats, Problem
from nirc.mapping.partition.reach import Product
from nirc.mapping.partition.relations import Blocks, Every

MOST_TRIED = 8  # grids with hardly more parts than the fewest that are looked at whole
MOST_SLAB_PARTS = 256  # more of them are not cut into slabs of channels
LONGEST_SLABS = 1024  # an axis longer than this is not cut into slabs
LONGEST_TABLE = 1 << 18  # neurons of a population whose ranges are measured once and for all
NEVER = 1 << 50  # parts: not possible


@dataclass(frozen=True, eq=False)
class Subject:
    """A population as it is cut: what boxes of it take, and the spikes that reach them."""

    problem: Problem
    cores: Cores
    number: int

    @property
    def shape(self) -> Shape3:
        """Three axes."""
        return self.problem.populations[self.number].box

    @property
    def flat(self) -> bool:
        """Whether there is one axis only."""
        return self.shape[1] * self.shape[2] == 1

    @property
    def alike(self) -> bool:
        """Whether a box takes at most what one of its size in the middle takes, as with structured projections."""
        return all(isinstance(p.reach, Product) for p in self.problem.into[self.number])

    @cached_property
    def by_length(self) -> Ints | None:
        """(neurons + 1, resources) what a range of so many neurons takes, if the population is flat and it is the same
        wherever the range lies.
        """
        n = self.shape[0]
        if not self.flat or not self.alike or n > LONGEST_TABLE:
            return None
        relations = [p.reach.axes[0] for p in self.problem.into[self.number] if isinstance(p.reach, Product)]
        if not all(isinstance(r, Every) or (isinstance(r, Blocks) and r.groups == r.n_out) for r in relations):
            return None
        ends = np.arange(1, n + 1)
        boxes = np.tile(np.array([(0, 1)] * AXES), (n, 1, 1))
        boxes[:, 0, 1] = ends
        return np.concatenate([np.zeros((1, len(self.cores.resources)), np.int64), self.cost(boxes)])

    def cost(self, boxes: Boxes) -> Ints:
        """(k, resources)."""
        return self.cores.cost(self.number, boxes)

    def fits(self, boxes: Boxes, left: Ints | None = None) -> npt.NDArray[np.bool_]:
        """(k,) whether a core with so much left, or an empty one, holds the box."""
        capacity = self.cores.capacity if left is None else left
        held: npt.NDArray[np.bool_] = np.all(self.cost(boxes) <= capacity, axis=1)
        return held

    def spikes_into_each(self, boxes: Boxes) -> Floats:
        """(k,) spikes a step that reach each box, once for every projection; rates averaged."""
        total = np.zeros(len(boxes))
        for p in self.problem.into[self.number]:
            total += float(np.mean(self.problem.populations[p.source].rate)) * p.reach.axons(boxes)
        return total

    def spikes_into(self, boxes: Boxes) -> float:
        """Of all these boxes."""
        return float(self.spikes_into_each(boxes).sum())


def fewest_parts(subject: Subject, slack: float = 0.0) -> Boxes | None:
    """(k, 3, 2) a part each; None if a single neuron does not fit a core.

    ``slack``: so much more than the fewest parts, as a share of them, may be cut for fewer spikes into the parts.
    """
    if subject.fits(whole(subject.shape))[0]:
        return whole(subject.shape)
    if subject.flat:
        return _ranges(subject)
    sizes = candidates(subject)
    tilings = [*_grids(subject, sizes, slack)]
    if tilings:
        tilings += _slabs(subject, min(len(boxes) for boxes in tilings) <= MOST_SLAB_PARTS)
    if not tilings:
        single = grid([np.arange(n + 1) for n in subject.shape])
        return single if subject.fits(single).all() else None
    most = int(min(len(boxes) for boxes in tilings) * (1 + slack))
    return min((boxes for boxes in tilings if len(boxes) <= most), key=subject.spikes_into)


def candidates(subject: Subject, left: Ints | None = None) -> Ints:
    """(k, 3) lengths of a part that fits a core with so much left, fewest parts first.

    For every choice on two axes the most on the longest; judged by a part in the middle, where windows see most.
    """
    shape = subject.shape
    long = int(np.argmax(shape))
    a, b = (axis for axis in range(AXES) if axis != long)
    low = np.zeros((_lengths(shape[a]).size * _lengths(shape[b]).size, AXES), dtype=np.int64)
    low[:, a], low[:, b] = (x.ravel() for x in np.meshgrid(_lengths(shape[a]), _lengths(shape[b]), indexing="ij"))
    low = _longest(subject, low, long, left)
    parts = np.prod(-(-np.array(shape) // low), axis=1)
    return low[np.argsort(parts, kind="stable")]


def middle(shape: Shape3, sizes: Ints) -> Boxes:
    """Boxes of these lengths (k, 3) in the middle."""
    start = (np.array(shape) - sizes) // 2
    return np.stack([start, start + sizes], axis=-1)


def _longest(subject: Subject, sizes: Ints, axis: int, left: Ints | None) -> Ints:
    """Those of ``sizes`` (k, 3) that fit with some length along ``axis``, with the longest one."""
    low, high = sizes.copy(), sizes.copy()
    low[:, axis], high[:, axis] = 0, subject.shape[axis]
    while (low[:, axis] < high[:, axis]).any():
        tried = low.copy()
        tried[:, axis] = (low[:, axis] + high[:, axis] + 1) // 2
        held = subject.fits(middle(subject.shape, tried), left)
        low[held, axis] = tried[held, axis]
        high[~held, axis] = tried[~held, axis] - 1
    return low[low[:, axis] > 0]


def _lengths(n: int) -> Ints:
    """The longest part for each number of parts, each length once, falling."""
    return np.unique(-(-n // np.arange(1, n + 1)))[::-1]


def _ranges(subject: Subject) -> Boxes | None:
    """A flat population in even ranges if they are as few as can be, else in ranges as long as fits."""
    n = subject.shape[0]
    low, high = 1, n
    while low < high:
        parts = (low + high) // 2
        if subject.fits(_flat(even_cuts(n, parts))).all():
            high = parts
        else:
            low = parts + 1
    even = _flat(even_cuts(n, low))
    if not subject.fits(even).all():
        return None
    if subject.alike:
        return even
    greedy = _flat(np.array(_greedy_cuts(subject)))
    return even if len(even) <= len(greedy) else greedy


def _flat(cuts: Ints) -> Boxes:
    one = np.array([0, 1])
    return grid([cuts, one, one])


def _greedy_cuts(subject: Subject) -> list[int]:
    """Each range as long as fits: no cut into ranges has fewer of them, as what a range takes grows with it."""
    n, cuts = subject.shape[0], [0]
    while cuts[-1] < n:
        cuts.append(reaches(subject, cuts[-1], None))
    return cuts


def reaches(subject: Subject, start: int, left: Ints | None) -> int:
    """The end of the longest range of a flat population from ``start`` that a core with so much left holds."""
    low, step = start, 1
    n = subject.shape[0]
    if subject.by_length is not None:
        return min(start + int(longest(subject.by_length, subject.cores.capacity if left is None else left)), n)
    while low < n:
        ends = np.minimum(low + step * np.array([1, 2, 4, 8]), n)
        held = subject.fits(np.array([[(start, int(end)), (0, 1), (0, 1)] for end in ends]), left)
        good = int(np.argmin(held)) if not held.all() else held.size
        if good == 0:
            if step == 1:
                break
            step = max(step // 8, 1)
            continue
        low = int(ends[good - 1])
        step = step * 8 if good == held.size else max(step * 2 ** (good - 1) // 8, 1)
    return low


def longest(by_length: Ints, left: Ints) -> Ints:
    """(rooms,) the longest range that each room, (rooms, resources) or (resources,), has place for."""
    ends = [np.searchsorted(by_length[:, r], left[..., r], side="right") - 1 for r in range(by_length.shape[1])]
    shortest: Ints = np.min(ends, axis=0)
    return shortest


def _grids(subject: Subject, sizes: Ints, slack: float) -> Iterator[Boxes]:
    """Even grids with parts of at most these lengths: the first that fits, fewest parts first, and of those that have
    hardly more parts some that get the fewest spikes.
    """
    rows = np.unique(-(-np.array(subject.shape) // sizes), axis=0)
    parts = rows.prod(axis=1)
    rows, parts = (x[np.argsort(parts, kind="stable")] for x in (rows, parts))
    fewest = None
    for row in rows.tolist():
        boxes = _even(subject, row)
        if subject.fits(boxes).all():
            fewest = len(boxes)
            yield boxes
            break
    if fewest is None:
        return
    near = np.flatnonzero((parts >= fewest) & (parts <= int(fewest * (1 + slack))))
    inside = middle(subject.shape, -(-np.array(subject.shape) // rows[near]))
    spikes = subject.spikes_into_each(inside) * parts[near]
    for row in rows[near[np.argsort(spikes, kind="stable")[:MOST_TRIED]]].tolist():
        boxes = _even(subject, row)
        if subject.fits(boxes).all():
            yield boxes


def _even(subject: Subject, row: Sequence[int]) -> Boxes:
    """The even grid with so many ranges along each axis."""
    return grid([even_cuts(n, parts) for n, parts in zip(subject.shape, row, strict=True)])


def _slabs(subject: Subject, few: bool) -> Iterator[Boxes]:
    """For each axis the fewest parts if it is cut into slabs of any thickness, each slab evenly along the others.

    Many parts (not ``few``) are cut so along the axes of space only: slabs of channels make too many borders.
    """
    for axis, n in enumerate(subject.shape):
        if not 1 < n <= LONGEST_SLABS or (axis == 0 and not few):
            continue
        for deep in (False, True) if axis else (False,):
            yield from _slabs_across(subject, axis, deep)


def _slabs_across(subject: Subject, axis: int, deep: bool) -> Iterator[Boxes]:
    """At most one way. ``deep``: all channels in every part, which mostly makes more parts that hear less."""
    n = subject.shape[axis]
    value, sizes = _parts_of_slabs(subject, axis, deep)
    total = np.full(n + 1, NEVER, dtype=np.float64)
    last = np.zeros(n + 1, dtype=np.int64)
    total[0] = 0
    for end in range(1, n + 1):
        sums = total[end - 1 :: -1] + value[1 : end + 1]
        last[end] = 1 + int(np.argmin(sums))
        total[end] = sums[last[end] - 1]
    if total[n] >= NEVER:
        return
    thick = []
    end = n
    while end:
        thick.append(int(last[end]))
        end -= thick[-1]
    boxes = _slab_boxes(subject.shape, axis, sorted(thick, reverse=True), sizes)
    if subject.fits(boxes).all():
        yield boxes


def _parts_of_slabs(subject: Subject, axis: int, deep: bool) -> tuple[Floats, Ints]:
    """(n + 1,) for each thickness of a slab across ``axis`` its fewest parts, and (n + 1, 3) their lengths.

    Of equally few, those that get the fewest spikes; these are added to the parts as a small fraction.
    """
    n = subject.shape[axis]
    a, b = (other for other in range(AXES) if other != axis)
    if subject.shape[a] > subject.shape[b]:
        a, b = b, a
    lengths = _lengths(subject.shape[a])
    sizes = np.zeros((n * lengths.size, AXES), dtype=np.int64)
    sizes[:, axis] = np.repeat(np.arange(1, n + 1), lengths.size)
    sizes[:, a] = np.tile(lengths, n)
    sizes = _longest(subject, sizes, b, None)
    if deep:
        sizes = sizes[sizes[:, 0] == subject.shape[0]]
    others = np.array(subject.shape)[[a, b]]
    parts = np.prod(-(-others // sizes[:, [a, b]]), axis=1)
    spikes = subject.spikes_into_each(middle(subject.shape, sizes)) * parts
    order = np.lexsort((spikes, parts, sizes[:, axis]))
    thickness, first = np.unique(sizes[order, axis], return_index=True)
    chosen = order[first]
    fraction = 0.4 / max(n * float((spikes[chosen] / thickness).max(initial=0.0)), 1e-300)  # in all less than a part
    value = np.full(n + 1, NEVER, dtype=np.float64)
    best = np.zeros((n + 1, AXES), dtype=np.int64)
    value[thickness], best[thickness] = parts[chosen] + fraction * spikes[chosen], sizes[chosen]
    return value, best


def _slab_boxes(shape: Shape3, axis: int, thick: list[int], sizes: Ints) -> Boxes:
    pieces = []
    start = 0
    for t in thick:
        cuts = [even_cuts(n, -(-n // int(size))) for n, size in zip(shape, sizes[t], strict=True)]
        cuts[axis] = np.array([start, start + t])
        start += t
        pieces.append(grid(cuts))
    return np.concatenate(pieces)
