"""Partition: the fewest cores, then the least traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from nirc.mapping.partition.boxes import Boxes, Ints, Shape3, full_cuts, grid, whole
from nirc.mapping.partition.packing import pack
from nirc.mapping.partition.problem import (
    Atoms,
    Cores,
    Floats,
    Oversized,
    OversizedError,
    Problem,
    TooManyCoresError,
)
from nirc.mapping.partition.result import Partition
from nirc.mapping.partition.tiling import fewest_parts

Effort = Literal["quick", "normal"]
Progress = Callable[[str], None]
CHUNK = 1 << 18  # boxes that are measured at a time


def partition(
    problem: Problem,
    cores: Cores,
    *,
    pinned: Mapping[str, Atoms] | None = None,
    effort: Effort = "normal",
    seed: int = 0,
    progress: Progress | None = None,
) -> Partition:
    """Parts of all populations that are on cores, and a core for each part.

    ``pinned``: for a population, by name, how many neurons a part has: consecutive in C order, or lengths along the
    axes; the last parts may be smaller. ``effort`` "quick" leaves out what is searched for beyond the first good
    answer. ``seed``: 0 or more. ``progress`` is told in a line what is being done.
    Raises ``OversizedError`` for neurons, or prescribed parts, that no core holds, ``TooManyCoresError`` if there are
    not enough cores, ``ValueError`` for a pinned population that does not exist or parts that are no boxes.
    """
    pins = _checked(problem, pinned or {})
    boxes = {i: _parts(problem, cores, i, pins) for i, p in enumerate(problem.populations) if p.on_core}
    oversized = [o for found in boxes.values() if isinstance(found, list) for o in found]
    if oversized:
        raise OversizedError(oversized, pinned=any(i in pins for i, found in boxes.items() if isinstance(found, list)))
    arrays = {i: found for i, found in boxes.items() if not isinstance(found, list)}
    population = np.repeat(np.array([*arrays], dtype=np.int64), [len(found) for found in arrays.values()])
    every = np.concatenate([np.zeros((0, 3, 2), dtype=np.int64), *arrays.values()])
    taken = np.concatenate(
        [np.zeros((0, len(cores.resources)), np.int64), *(cores.cost(i, found) for i, found in arrays.items())]
    )
    core = pack(taken, cores.capacity) if cores.shared else np.arange(len(every))
    core = _renumbered(core)
    count = int(core.max(initial=-1)) + 1
    usage = np.zeros((count, len(cores.resources)), dtype=np.int64)
    np.add.at(usage, core, taken)
    bound = _bound(problem, cores)
    if count > cores.count:
        raise TooManyCoresError(count, cores.count, bound)
    return Partition(problem, cores, population, every, core, usage, bound)


def _checked(problem: Problem, pinned: Mapping[str, Atoms]) -> dict[int, Boxes]:
    names = {p.name: i for i, p in enumerate(problem.populations) if p.on_core}
    unknown = [name for name in pinned if name not in names]
    if unknown:
        raise ValueError(f"parts are prescribed for {', '.join(unknown)}, which is no population on cores")
    return {names[name]: pinned_parts(problem.populations[names[name]].box, atoms) for name, atoms in pinned.items()}


def pinned_parts(shape: Shape3, atoms: Atoms) -> Boxes:
    """Parts of ``atoms`` neurons in C order, or of these lengths. Raises ``ValueError`` if that gives no boxes."""
    lengths = [atoms] if isinstance(atoms, int) else list(atoms)
    if not lengths or min(lengths) < 1 or len(lengths) > len(shape):
        raise ValueError(f"a part has at least one neuron along each of at most three axes, not {atoms}")
    if isinstance(atoms, int):
        lengths = _sides(shape, atoms)
    lengths += [shape[axis] for axis in range(len(lengths), len(shape))]
    return grid([full_cuts(n, min(length, n)) for n, length in zip(shape, lengths, strict=True)])


def _sides(shape: Shape3, atoms: int) -> list[int]:
    """The box that ``atoms`` consecutive neurons are, over and over."""
    c, h, w = shape
    if atoms >= c * h * w:
        return [c, h, w]
    for plane, sides in ((h * w, [atoms // (h * w), h, w]), (w, [1, atoms // w, w]), (1, [1, 1, atoms])):
        whole_rows = atoms % plane == 0 and atoms >= plane
        divides = {h * w: True, w: h % max(atoms // w, 1) == 0, 1: w % atoms == 0}[plane]
        if whole_rows and divides:
            return sides
    raise ValueError(f"{atoms} consecutive neurons of {c} x {h} x {w} are not always a box: take a multiple of {h * w}")


def _parts(problem: Problem, cores: Cores, i: int, pins: Mapping[int, Boxes]) -> Boxes | list[Oversized]:
    population = problem.populations[i]
    if i in pins:
        return pins[i] if cores.fits(i, pins[i]).all() else oversized_in(problem, cores, i, pins[i])
    rates = [float(np.mean(problem.populations[p.source].rate)) for p in problem.into[i]]

    def spikes_in(boxes: Boxes) -> Floats:
        total: Floats = np.zeros(len(boxes))
        for projection, rate in zip(problem.into[i], rates, strict=True):
            total += rate * projection.reach.axons(boxes)
        return total

    found = fewest_parts(population.box, lambda boxes: cores.fits(i, boxes), spikes_in)
    if found is not None:
        return found
    return oversized_in(problem, cores, i, None)


def oversized_in(problem: Problem, cores: Cores, i: int, boxes: Boxes | None) -> list[Oversized]:
    """For each resource the worst of these boxes, or of all single neurons."""
    population = problem.populations[i]
    worst: dict[int, tuple[int, Boxes]] = {}
    total = population.neurons if boxes is None else len(boxes)
    for begin in range(0, total, CHUNK):
        some = _single(population.box, begin, min(begin + CHUNK, total)) if boxes is None else boxes[begin:][:CHUNK]
        need = cores.cost(i, some)
        for r in np.flatnonzero((need > cores.capacity).any(axis=0)).tolist():
            at = int(need[:, r].argmax())
            if r not in worst or need[at, r] > worst[r][0]:
                worst[r] = int(need[at, r]), some[at]
    return [
        Oversized(
            population.name,
            int(np.ravel_multi_index(tuple(box[:, 0]), population.box)),
            cores.resources[r],
            need_r,
            tuple((int(a), int(b)) for a, b in box),
        )
        for r, (need_r, box) in sorted(worst.items())
    ]


def _single(shape: Shape3, begin: int, end: int) -> Boxes:
    at = np.stack(np.unravel_index(np.arange(begin, end), shape), axis=-1)
    return np.stack([at, at + 1], axis=-1)


def _renumbered(core: Ints) -> Ints:
    """Cores in the order of their first parts."""
    _, first, of = np.unique(core, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[of.ravel()]


def _bound(problem: Problem, cores: Cores) -> int:
    """What all populations take of each resource, over its capacity."""
    on = [i for i, p in enumerate(problem.populations) if p.on_core]
    if not on:
        return 0
    total = sum(cores.cost(i, whole(problem.populations[i].box))[0] for i in on)
    return max(int((-(-total // np.maximum(cores.capacity, 1))).max()), 1)
