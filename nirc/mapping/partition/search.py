"""Partition: the fewest cores first, then the least traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from nirc.mapping.partition.bounds import fewest_alone, fewest_cores
from nirc.mapping.partition.boxes import Boxes, Ints, Shape3
from nirc.mapping.partition.descent import descended, small
from nirc.mapping.partition.exact import fewer_cores
from nirc.mapping.partition.hyperedges import hyperedges
from nirc.mapping.partition.joining import joined
from nirc.mapping.partition.merging import merged
from nirc.mapping.partition.packing import pack
from nirc.mapping.partition.pinned import pinned_parts
from nirc.mapping.partition.problem import (
    Atoms,
    Cores,
    Oversized,
    OversizedError,
    Problem,
    TooManyCoresError,
)
from nirc.mapping.partition.result import Partition
from nirc.mapping.partition.tiling import Subject, fewest_parts

Effort = Literal["quick", "normal"]
Progress = Callable[[str], None]
CHUNK = 1 << 18  # boxes that are measured at a time
WORK = 200_000_000  # at most, in targets that are examined for less traffic
WORK_PER_PART = 100_000
SLACK = 0.02


def partition(
    problem: Problem,
    cores: Cores,
    *,
    pinned: Mapping[str, Atoms] | None = None,
    effort: Effort = "normal",
    slack: float = SLACK,
    seed: int = 0,
    progress: Progress | None = None,
) -> Partition:
    """Return parts of all populations on cores, and a core for each part.

    ``pinned``: for a population, by name, the neurons of a part: a number in C order, or lengths
    along the axes. The last parts may be smaller. ``slack``: extra cores that may be used for less
    traffic, as a share of the fewest. 0.02 changes nothing below fifty cores. Beyond, saving the
    last cores costs much traffic. ``effort`` "quick" stops at the first good answer. ``seed``: 0 or
    more. ``progress`` gets a line for each stage.
    Raises ``OversizedError`` for neurons or prescribed parts that no core holds,
    ``TooManyCoresError`` if there are not enough cores, ``ValueError`` for an unknown pinned
    population or parts that are no boxes.
    """
    pins = pinned_parts(problem, pinned or {})
    subjects = [Subject(problem, cores, i) for i, p in enumerate(problem.populations) if p.on_core]
    alone = _alone(subjects, pins, slack, progress)
    thorough = effort == "normal"
    if not subjects:
        none = np.zeros(0, dtype=np.int64)
        return Partition(
            problem, cores, none, np.zeros((0, 3, 2), np.int64), none, none.reshape(0, 1), 0
        )
    if cores.shared:
        boxes, core, bound = _shared(subjects, alone, pins, slack, thorough, seed, progress)
    else:
        boxes, core, bound = _separate(subjects, alone, pins)
    population = np.repeat(
        np.array([*boxes], dtype=np.int64), [len(parts) for parts in boxes.values()]
    )
    every = np.concatenate([*boxes.values()])
    at = np.concatenate([*core.values()])
    kept = np.array([*pins], dtype=np.int64)
    if cores.shared:
        population, every, at = joined(population, every, at, kept)
    if cores.merged is not None and cores.shared:
        bound = 1  # other bounds add up resources that parts might share
        edges = hyperedges(problem, population, every)
        at = _renumbered(merged(cores.merged, cores.capacity, population, every, at, edges))
    elif thorough and cores.shared and at.size > at.max() + 1 > 1:
        at = _renumbered(_less_traffic(cores, problem, population, every, at, seed, progress))
        population, every, at = joined(population, every, at, kept)
    at = _renumbered(at)
    count = int(at.max()) + 1
    if count > cores.count:
        raise TooManyCoresError(count, cores.count, bound)
    return Partition(
        problem, cores, population, every, at, _usage(cores, population, every, at), bound
    )


def _alone(
    subjects: list[Subject], pins: Mapping[int, Boxes], slack: float, progress: Progress | None
) -> dict[int, Boxes]:
    """Return the parts of each population as if it had all cores. Raises ``OversizedError``."""
    if progress:
        progress(f"cutting {len(subjects)} populations")
    alone: dict[int, Boxes] = {}
    oversized: list[Oversized] = []
    for s in subjects:
        parts = pins.get(s.number)
        if parts is None:
            parts = fewest_parts(s, slack)
            oversized += oversized_in(s, None) if parts is None else []
        else:
            oversized += oversized_in(s, parts)
        if parts is not None:
            alone[s.number] = parts
    if oversized:
        raise OversizedError(oversized)
    return alone


Parts = tuple[dict[int, Boxes], dict[int, Ints], int]  # parts, their cores, and the bound


def _separate(
    subjects: list[Subject], alone: Mapping[int, Boxes], pins: Mapping[int, Boxes]
) -> Parts:
    core: dict[int, Ints] = {}
    first = 0
    for s in subjects:
        core[s.number] = first + np.arange(len(alone[s.number]))
        first += len(alone[s.number])
    least = [
        len(alone[s.number]) if s.number in pins else fewest_alone(s, len(alone[s.number]))
        for s in subjects
    ]
    return dict(alone), core, sum(least)


def _shared(
    subjects: list[Subject],
    alone: Mapping[int, Boxes],
    pins: Mapping[int, Boxes],
    slack: float,
    thorough: bool,
    seed: int,
    progress: Progress | None,
) -> Parts:
    capacity = subjects[0].cores.capacity
    enough = fewest_cores(subjects, alone, pins)
    filling = pack(
        subjects,
        alone,
        pins,
        enough=enough,
        slack=slack,
        thorough=thorough,
        seed=seed,
        progress=progress,
    )
    boxes = {s.number: filling.boxes[s.number] for s in subjects}
    core = {s.number: filling.core[s.number] for s in subjects}
    count = filling.count
    usage = capacity - filling.left
    bound = fewest_cores(subjects, alone, pins, usage=usage)
    if thorough and bound < count and int(bound * (1 + slack)) < count:
        better, bound = fewer_cores(subjects, pins, count, bound, seed=seed)
        if better is not None:
            boxes, core = better
    return boxes, core, bound


def _less_traffic(
    cores: Cores,
    problem: Problem,
    population: Ints,
    boxes: Boxes,
    core: Ints,
    seed: int,
    progress: Progress | None,
) -> Ints:
    edges = hyperedges(problem, population, boxes)
    taken = _taken(cores, population, boxes)
    if small(edges, core.size):
        return descended(edges, core, taken, cores.capacity, local_is_free=cores.local_is_free)
    from nirc.mapping.partition.moves import annealed

    if progress:
        progress(f"moving {core.size} parts between {int(core.max()) + 1} cores")
    work = min(WORK, WORK_PER_PART * core.size)
    return annealed(
        edges, core, taken, cores.capacity, local_is_free=cores.local_is_free, work=work, seed=seed
    )


def _taken(cores: Cores, population: Ints, boxes: Boxes) -> Ints:
    """Return (parts, resources) the cost of each part. The parts are sorted by population."""
    numbers, first = np.unique(population, return_index=True)
    pieces = np.split(boxes, first[1:])
    return np.concatenate(
        [cores.cost(int(i), piece) for i, piece in zip(numbers, pieces, strict=True)]
    )


def _usage(cores: Cores, population: Ints, boxes: Boxes, core: Ints) -> Ints:
    count = int(core.max()) + 1
    usage = np.zeros((count, len(cores.resources)), dtype=np.int64)
    if cores.merged is None:
        np.add.at(usage, core, _taken(cores, population, boxes))
        return usage
    order = np.argsort(core, kind="stable")
    for c, parts in enumerate(np.split(order, np.cumsum(np.bincount(core))[:-1])):
        usage[c] = cores.merged(population[parts], boxes[parts])
    return usage


def oversized_in(subject: Subject, boxes: Boxes | None) -> list[Oversized]:
    """Return the worst box for each exceeded resource, among ``boxes`` or all single neurons."""
    population = subject.problem.populations[subject.number]
    capacity = subject.cores.capacity
    worst: dict[int, tuple[int, Boxes]] = {}
    total = population.neurons if boxes is None else len(boxes)
    for begin in range(0, total, CHUNK):
        some = (
            _single(population.box, begin, min(begin + CHUNK, total))
            if boxes is None
            else boxes[begin:][:CHUNK]
        )
        need = subject.cost(some)
        for r in np.flatnonzero((need > capacity).any(axis=0)).tolist():
            at = int(need[:, r].argmax())
            if r not in worst or need[at, r] > worst[r][0]:
                worst[r] = int(need[at, r]), some[at]
    return [
        Oversized(
            population.name,
            int(np.ravel_multi_index(tuple(box[:, 0]), population.box)),
            subject.cores.resources[r],
            need_r,
            tuple((int(a), int(b)) for a, b in box),
            pinned=boxes is not None,
        )
        for r, (need_r, box) in sorted(worst.items())
    ]


def _single(shape: Shape3, begin: int, end: int) -> Boxes:
    at = np.stack(np.unravel_index(np.arange(begin, end), shape), axis=-1)
    return np.stack([at, at + 1], axis=-1)


def _renumbered(core: Ints) -> Ints:
    """Number the cores in the order of their first parts."""
    _, first, of = np.unique(core, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[of.ravel()]
