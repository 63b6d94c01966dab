"""Cut a single population into the fewest parts that fit a core, with few spikes into the parts.

Flat populations are cut into ranges. Maps are cut into grids, searched over the lengths of a part
along the axes. Maps are also cut into slabs across one axis, each with a grid of its own. Dynamic
programming finds the ends of the slabs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Shape3, even_cuts, full_box, grid
from nirc.mapping.partition.problem import Cores, Floats, Problem
from nirc.mapping.partition.reach import Product
from nirc.mapping.partition.relations import Blocks, Every

MOST_TRIED = 8  # grids with few more parts than the fewest that are checked completely
MOST_SLAB_PARTS = 256  # with more parts, maps are not cut into slabs of channels
LONGEST_SLABS = 1024  # a longer axis is not cut into slabs
LONGEST_TABLE = 1 << 18  # neurons of a population with a table of range costs
IMPOSSIBLE = 1 << 50  # parts


@dataclass(frozen=True, eq=False)
class Subject:
    """A population to cut, with the costs of its boxes and the spikes that reach them."""

    problem: Problem
    cores: Cores
    number: int

    @property
    def shape(self) -> Shape3:
        """The shape with three axes."""
        return self.problem.populations[self.number].box

    @property
    def flat(self) -> bool:
        """True if there is one axis only."""
        return self.shape[1] * self.shape[2] == 1

    @property
    def alike(self) -> bool:
        """True if no box costs more than a box of its size in the middle (structured
        projections).
        """
        return all(isinstance(p.reach, Product) for p in self.problem.into[self.number])

    @cached_property
    def by_length(self) -> Ints | None:
        """(neurons + 1, resources) the cost of a range of n neurons.

        None if the population is not flat, or if the cost depends on the range's position.
        """
        n = self.shape[0]
        if not self.flat or not self.alike or n > LONGEST_TABLE:
            return None
        relations = [
            p.reach.axes[0] for p in self.problem.into[self.number] if isinstance(p.reach, Product)
        ]
        if not all(
            isinstance(r, Every) or (isinstance(r, Blocks) and r.groups == r.n_out)
            for r in relations
        ):
            return None
        ends = np.arange(1, n + 1)
        boxes = np.tile(np.array([(0, 1)] * AXES), (n, 1, 1))
        boxes[:, 0, 1] = ends
        return np.concatenate(
            [np.zeros((1, len(self.cores.resources)), np.int64), self.cost(boxes)]
        )

    def cost(self, boxes: Boxes) -> Ints:
        """Return (k, resources) the cost of each box."""
        return self.cores.cost(self.number, boxes)

    def fits(self, boxes: Boxes, left: Ints | None = None) -> npt.NDArray[np.bool_]:
        """Return (k,) bool: a core with so much left (None: an empty core) holds the box."""
        capacity = self.cores.capacity if left is None else left
        fitting: npt.NDArray[np.bool_] = np.all(self.cost(boxes) <= capacity, axis=1)
        return fitting

    def spikes_into_each(self, boxes: Boxes) -> Floats:
        """Return (k,) spikes per step into each box, once for every projection, at mean rates."""
        total = np.zeros(len(boxes))
        for p in self.problem.into[self.number]:
            total += float(np.mean(self.problem.populations[p.source].rate)) * p.reach.axons(boxes)
        return total

    def spikes_into(self, boxes: Boxes) -> float:
        """Return the spikes per step into all these boxes."""
        return float(self.spikes_into_each(boxes).sum())


def fewest_parts(subject: Subject, slack: float = 0.0) -> Boxes | None:
    """Return (k, 3, 2) the parts. None if a single neuron does not fit a core.

    ``slack``: extra parts that may be cut for fewer spikes into the parts, as a share of the
    fewest.
    """
    if subject.fits(full_box(subject.shape))[0]:
        return full_box(subject.shape)
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
    """Return (k, 3) lengths of a part that fits a core with so much left, fewest parts first.

    For every choice on two axes, the longest length on the longest axis. A part in the middle
    decides, since windows see most there.
    """
    shape = subject.shape
    long = int(np.argmax(shape))
    a, b = (axis for axis in range(AXES) if axis != long)
    low = np.zeros((_lengths(shape[a]).size * _lengths(shape[b]).size, AXES), dtype=np.int64)
    choice = np.meshgrid(_lengths(shape[a]), _lengths(shape[b]), indexing="ij")
    low[:, a] = choice[0].ravel()
    low[:, b] = choice[1].ravel()
    low = _longest(subject, low, long, left)
    parts = np.prod(-(-np.array(shape) // low), axis=1)
    return low[np.argsort(parts, kind="stable")]


def middle(shape: Shape3, sizes: Ints) -> Boxes:
    """Return boxes of these lengths (k, 3) in the middle."""
    start = (np.array(shape) - sizes) // 2
    return np.stack([start, start + sizes], axis=-1)


def _longest(subject: Subject, sizes: Ints, axis: int, left: Ints | None) -> Ints:
    """Return ``sizes`` (k, 3) with the longest fitting length along ``axis``, those that fit."""
    low = sizes.copy()
    high = sizes.copy()
    low[:, axis] = 0
    high[:, axis] = subject.shape[axis]
    while (low[:, axis] < high[:, axis]).any():
        tried = low.copy()
        tried[:, axis] = (low[:, axis] + high[:, axis] + 1) // 2
        fitting = subject.fits(middle(subject.shape, tried), left)
        low[fitting, axis] = tried[fitting, axis]
        high[~fitting, axis] = tried[~fitting, axis] - 1
    return low[low[:, axis] > 0]


def _lengths(n: int) -> Ints:
    """Return the longest part for each number of parts, each length once, falling."""
    return np.unique(-(-n // np.arange(1, n + 1)))[::-1]


def _ranges(subject: Subject) -> Boxes | None:
    """Cut a flat population into even ranges if no cut has fewer, else into the longest ranges."""
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
    """Make each range as long as fits. No cut has fewer ranges, since costs grow with the range."""
    n = subject.shape[0]
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(reaches(subject, cuts[-1], None))
    return cuts


def reaches(subject: Subject, start: int, left: Ints | None) -> int:
    """Return the end of the longest range from ``start`` that a core with so much left holds."""
    low = start
    step = 1
    n = subject.shape[0]
    if subject.by_length is not None:
        return min(
            start
            + int(longest(subject.by_length, subject.cores.capacity if left is None else left)),
            n,
        )
    while low < n:
        ends = np.minimum(low + step * np.array([1, 2, 4, 8]), n)
        fitting = subject.fits(
            np.array([[(start, int(end)), (0, 1), (0, 1)] for end in ends]), left
        )
        good = int(np.argmin(fitting)) if not fitting.all() else fitting.size
        if good == 0:
            if step == 1:
                break
            step = max(step // 8, 1)
            continue
        low = int(ends[good - 1])
        step = step * 8 if good == fitting.size else max(step * 2 ** (good - 1) // 8, 1)
    return low


def longest(by_length: Ints, left: Ints) -> Ints:
    """Return (rooms,) the longest range for each room, (rooms, resources) or (resources,)."""
    ends = [
        np.searchsorted(by_length[:, r], left[..., r], side="right") - 1
        for r in range(by_length.shape[1])
    ]
    shortest: Ints = np.min(ends, axis=0)
    return shortest


def _grids(subject: Subject, sizes: Ints, slack: float) -> Iterator[Boxes]:
    """Yield even grids with parts of at most these lengths.

    The first grid has the fewest parts. The others have few more parts, and the fewest spikes.
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
    """Return the even grid with so many ranges along each axis."""
    return grid([even_cuts(n, parts) for n, parts in zip(subject.shape, row, strict=True)])


def _slabs(subject: Subject, channels_too: bool) -> Iterator[Boxes]:
    """Yield for each axis the fewest parts in slabs of any thickness, evenly cut.

    ``channels_too`` false: cut along the axes of space only. Slabs of channels have too many
    borders if there are many parts.
    """
    for axis, n in enumerate(subject.shape):
        if not 1 < n <= LONGEST_SLABS or (axis == 0 and not channels_too):
            continue
        for deep in (False, True) if axis else (False,):
            yield from _slabs_across(subject, axis, deep)


def _slabs_across(subject: Subject, axis: int, deep: bool) -> Iterator[Boxes]:
    """Yield at most one cut. ``deep``: all channels in a part (more parts, fewer spikes)."""
    n = subject.shape[axis]
    value, sizes = _parts_of_slabs(subject, axis, deep)
    total = np.full(n + 1, IMPOSSIBLE, dtype=np.float64)
    last = np.zeros(n + 1, dtype=np.int64)
    total[0] = 0
    for end in range(1, n + 1):
        sums = total[end - 1 :: -1] + value[1 : end + 1]
        last[end] = 1 + int(np.argmin(sums))
        total[end] = sums[last[end] - 1]
    if total[n] >= IMPOSSIBLE:
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
    """Return (n + 1,) the fewest parts of a slab of each thickness, and (n + 1, 3) their lengths.

    Among equals, take the parts with the fewest spikes. A small fraction of the spikes is added to
    the parts.
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
    fraction = 0.4 / max(
        n * float((spikes[chosen] / thickness).max(initial=0.0)), 1e-300
    )  # less than a part in all
    value = np.full(n + 1, IMPOSSIBLE, dtype=np.float64)
    best = np.zeros((n + 1, AXES), dtype=np.int64)
    value[thickness] = parts[chosen] + fraction * spikes[chosen]
    best[thickness] = sizes[chosen]
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
