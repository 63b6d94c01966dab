"""Cut a single population into the fewest parts that fit a core, with few spikes into the parts.

Flat populations are cut into ranges. Maps are cut into grids, searched over the lengths of a part
along the axes. Maps are also cut into slabs across one axis, each with a grid of its own. Dynamic
programming finds the ends of the slabs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.partition.boxes import (
    AXES,
    Boxes,
    Ints,
    Shape3,
    even_cuts,
    even_grid,
    flat_grid,
    full_box,
    grid,
)
from nirc.mapping.partition.problem import Cores, Floats, Problem
from nirc.mapping.partition.reach import Blocks, Every, Product

MOST_TRIED = 8  # grids with few more parts than the fewest that are checked completely
MOST_SLAB_PARTS = 256  # with more parts, maps are not cut into slabs of channels
LONGEST_SLABS = 1024  # a longer axis is not cut into slabs
LONGEST_TABLE = 1 << 18  # neurons of a population with a table of range costs
IMPOSSIBLE = 1 << 50  # parts
FEW = 4  # boxes whose costs are kept (benchmarks/scale.py chain-4000)
MOST_KEPT = 16  # answers of a population


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
        """True if no box costs more than a box of its size in the middle.

        This holds if all projections are structured.
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
        for projection in self.problem.into[self.number]:
            along = projection.reach.axes[0] if isinstance(projection.reach, Product) else None
            one_to_one = isinstance(along, Blocks) and along.groups == along.n_out
            if not isinstance(along, Every) and not one_to_one:
                return None
        boxes = np.tile(np.array([(0, 1)] * AXES), (n, 1, 1))
        boxes[:, 0, 1] = np.arange(1, n + 1)
        nothing = np.zeros((1, len(self.cores.resources)), np.int64)
        return np.concatenate([nothing, self.cost(boxes)])

    @cached_property
    def _known(self) -> dict[tuple[str, bytes], Any]:
        """Answers for a few boxes. Small populations are asked again and again."""
        return {}

    def _kept(self, name: str, boxes: Boxes, measure: Callable[[Boxes], Any]) -> Any:
        if len(boxes) > FEW:
            return measure(boxes)
        key = name, boxes.tobytes()
        if key not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = measure(boxes)
        return self._known[key]

    def cost(self, boxes: Boxes) -> Ints:
        """Return (k, resources) the cost of each box."""
        cost: Ints = self._kept("cost", boxes, lambda b: self.cores.cost(self.number, b))
        return cost

    def fits(self, boxes: Boxes, left: Ints | None = None) -> npt.NDArray[np.bool_]:
        """Return (k,) bool: a core with ``left`` (None: an empty core) holds the box."""
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
        return float(self._kept("spikes", boxes, lambda b: self.spikes_into_each(b).sum()))


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
    """Return (k, 3) lengths of a part that fits a core with ``left``, fewest parts first.

    These are the longest length on the longest axis, for every choice on the two other axes. The
    cost of a part in the middle counts, since windows see most there.
    """
    shape = subject.shape
    long = int(np.argmax(shape))
    a, b = (axis for axis in range(AXES) if axis != long)
    along_a, along_b = np.meshgrid(_lengths(shape[a]), _lengths(shape[b]), indexing="ij")
    sizes = np.zeros((along_a.size, AXES), dtype=np.int64)
    sizes[:, a] = along_a.ravel()
    sizes[:, b] = along_b.ravel()
    sizes = _longest(subject, sizes, long, left)
    parts = np.prod(-(-np.array(shape) // sizes), axis=1)
    return sizes[np.argsort(parts, kind="stable")]


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
        if subject.fits(flat_grid(even_cuts(n, parts))).all():
            high = parts
        else:
            low = parts + 1
    even = flat_grid(even_cuts(n, low))
    if not subject.fits(even).all():
        return None
    if subject.alike:
        return even
    # The longest ranges are the fewest, since costs grow with the range.
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(reaches(subject, cuts[-1], None))
    longest_ranges = flat_grid(np.array(cuts))
    return even if len(even) <= len(longest_ranges) else longest_ranges


def reaches(subject: Subject, start: int, left: Ints | None) -> int:
    """Return the end of the longest range from ``start`` that a core with ``left`` holds."""
    low = start
    step = 1
    n = subject.shape[0]
    if subject.by_length is not None:
        room = subject.cores.capacity if left is None else left
        return min(start + int(longest(subject.by_length, room)), n)
    while low < n:
        ends = np.minimum(low + step * np.array([1, 2, 4, 8]), n)
        boxes = np.array([[(start, int(end)), (0, 1), (0, 1)] for end in ends])
        fitting = subject.fits(boxes, left)
        count = fitting.size if fitting.all() else int(np.argmin(fitting))
        if count == 0 and step == 1:
            break
        if count == 0:
            step = max(step // 8, 1)
            continue
        low = int(ends[count - 1])
        step = step * 8 if count == fitting.size else max(step * 2 ** (count - 1) // 8, 1)
    return low


def longest(by_length: Ints, left: Ints) -> Ints:
    """Return (rooms,) the longest range for each room, (rooms, resources) or (resources,)."""
    resources = zip(by_length.T, np.moveaxis(left, -1, 0), strict=True)
    ends = [np.searchsorted(cost, room, side="right") - 1 for cost, room in resources]
    shortest: Ints = np.min(ends, axis=0)
    return shortest


def _grids(subject: Subject, sizes: Ints, slack: float) -> Iterator[Boxes]:
    """Yield even grids with parts of at most these lengths.

    The first grid has the fewest parts. The others have slightly more parts, and fewer spikes.
    """
    rows = np.unique(-(-np.array(subject.shape) // sizes), axis=0)
    parts = rows.prod(axis=1)
    rows, parts = (x[np.argsort(parts, kind="stable")] for x in (rows, parts))
    fewest = None
    for row in rows.tolist():
        boxes = even_grid(subject.shape, row)
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
        boxes = even_grid(subject.shape, row)
        if subject.fits(boxes).all():
            yield boxes


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
    thicknesses = []
    end = n
    while end:
        thicknesses.append(int(last[end]))
        end -= thicknesses[-1]
    boxes = _slab_boxes(subject.shape, axis, sorted(thicknesses, reverse=True), sizes)
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
    most_spikes = n * float((spikes[chosen] / thickness).max(initial=0.0))
    fraction = 0.4 / max(most_spikes, 1e-300)  # all spikes together count less than a part
    value = np.full(n + 1, IMPOSSIBLE, dtype=np.float64)
    best = np.zeros((n + 1, AXES), dtype=np.int64)
    value[thickness] = parts[chosen] + fraction * spikes[chosen]
    best[thickness] = sizes[chosen]
    return value, best


def _slab_boxes(shape: Shape3, axis: int, thicknesses: list[int], sizes: Ints) -> Boxes:
    """Return the parts of slabs of these thicknesses. ``sizes``: the part for each thickness."""
    slabs = []
    start = 0
    for thickness in thicknesses:
        size = sizes[thickness].tolist()
        cuts = [even_cuts(n, -(-n // length)) for n, length in zip(shape, size, strict=True)]
        cuts[axis] = np.array([start, start + thickness])
        start += thickness
        slabs.append(grid(cuts))
    return np.concatenate(slabs)
