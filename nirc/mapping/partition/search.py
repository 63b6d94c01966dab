"""Partition: the fewest cores first, then the least traffic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nirc.mapping.effort import Effort
from nirc.mapping.partition.along import filled, followed, least_traffic
from nirc.mapping.partition.boxes import Boxes, Ints, Shape3, full_cuts, grid
from nirc.mapping.partition.fewest import WORK as WORK_FOR_FEWER
from nirc.mapping.partition.fewest import fewer_cores, fewest_cores
from nirc.mapping.partition.improve import annealed, descended, joined, small, traffic
from nirc.mapping.partition.packing import pack
from nirc.mapping.partition.problem import (
    Atoms,
    Cores,
    Oversized,
    OversizedError,
    Problem,
    TooManyCoresError,
)
from nirc.mapping.partition.result import Hyperedges, Partition, hyperedges, taken, usage
from nirc.mapping.partition.tiling import Subject, fewest_parts

CHUNK = 1 << 18  # boxes that are measured at a time
WORK = 200_000_000  # at most, in targets that are examined for less traffic
WORK_PER_PART = 100_000
SLACK = 0.02
SAME = 1 + 1e-9  # sums of traffic differ in their last digits


def partition(
    problem: Problem,
    cores: Cores,
    *,
    pinned: Mapping[str, Atoms | Boxes] | None = None,
    effort: Effort = "normal",
    slack: float = SLACK,
    seed: int = 0,
) -> Partition:
    """Return parts of all populations on cores, and a core for each part.

    ``pinned``: for a population, by name, the neurons of a part: a number in C order, or lengths
    along the axes. The last parts may be smaller. Or all its parts, as boxes (k, 3, 2).
    ``slack``: extra cores that may be used for less traffic, as a share of the fewest. 0.02 changes
    nothing below fifty cores. Beyond, saving the last cores costs much traffic. ``effort`` "quick"
    stops at the first good answer.
    Raises ``OversizedError`` for neurons or prescribed parts that no core holds,
    ``TooManyCoresError`` if there are not enough cores, ``ValueError`` for an unknown pinned
    population or parts that are no boxes.
    """
    pins = pinned_parts(problem, pinned or {})
    subjects = [Subject(problem, cores, i) for i, p in enumerate(problem.populations) if p.on_core]
    alone = _alone(subjects, pins, slack)
    if not subjects:
        none = np.zeros(0, dtype=np.int64)
        no_boxes = np.zeros((0, 3, 2), np.int64)
        return Partition(problem, cores, none, no_boxes, none, none.reshape(0, 1), 0)
    parts, core_of, bound = _packed(subjects, alone, pins, slack, effort, seed)
    counts = [len(boxes) for boxes in parts.values()]
    population = np.repeat(np.array([*parts], dtype=np.int64), counts)
    boxes = np.concatenate([*parts.values()])
    core = np.concatenate([*core_of.values()])
    kept = np.array([*pins], dtype=np.int64)
    population, boxes, core = joined(population, boxes, core, kept)
    known = None
    if effort != "quick" and core.size > core.max() + 1 > 1:
        edges = hyperedges(problem, population, boxes)
        core = _renumbered(_less_traffic(cores, edges, population, boxes, core, seed))
        parts_before = len(boxes)
        population, boxes, core = joined(population, boxes, core, kept)
        known = (
            (problem, edges) if len(boxes) == parts_before else None
        )  # joining makes parts fewer
    core = _renumbered(core)
    count = int(core.max()) + 1
    if count > cores.count:
        raise TooManyCoresError(count, cores.count, bound)
    used = usage(cores, population, boxes, core)
    return Partition(problem, cores, population, boxes, core, used, bound, known)


def _alone(subjects: list[Subject], pins: Mapping[int, Boxes], slack: float) -> dict[int, Boxes]:
    """Return the parts of each population as if it had all cores. Raises ``OversizedError``."""
    alone: dict[int, Boxes] = {}
    oversized: list[Oversized] = []
    for s in subjects:
        pinned = pins.get(s.number)
        parts = fewest_parts(s, slack) if pinned is None else pinned
        if pinned is not None or parts is None:
            oversized += oversized_in(s, pinned)
        if parts is not None:
            alone[s.number] = parts
    if oversized:
        raise OversizedError(oversized)
    return alone


Parts = tuple[dict[int, Boxes], dict[int, Ints], int]  # parts, their cores, and the bound


def _packed(
    subjects: list[Subject],
    alone: Mapping[int, Boxes],
    pins: Mapping[int, Boxes],
    slack: float,
    effort: Effort,
    seed: int,
) -> Parts:
    """Return the parts by population: packed, or solved exactly if the problem is small."""
    enough = fewest_cores(subjects, alone, pins)
    filling = pack(
        subjects,
        alone,
        pins,
        enough=enough,
        slack=slack,
        effort=effort,
        seed=seed,
    )
    boxes = {s.number: filling.boxes[s.number] for s in subjects}
    core = {s.number: filling.core[s.number] for s in subjects}
    count = filling.count
    bound = fewest_cores(subjects, alone, pins, usage=filling.capacity - filling.left)
    if effort != "quick" and bound < count and int(bound * (1 + slack)) < count:
        work = WORK_FOR_FEWER[effort]
        better, bound = fewer_cores(subjects, pins, count, bound, work=work, seed=seed)
        if better is not None:
            boxes, core = better
    return boxes, core, bound


def _less_traffic(
    cores: Cores,
    edges: Hyperedges,
    population: Ints,
    boxes: Boxes,
    core: Ints,
    seed: int,
) -> Ints:
    needs = taken(cores, population, boxes)
    free = cores.local_is_free
    if small(edges, core.size):
        return descended(edges, core, needs, cores.capacity, local_is_free=free)
    count = int(core.max()) + 1
    order = followed(edges, core.size)
    along = None if order is None else filled(order.parts, needs, cores.capacity, count)
    starts = core.size if order is None else order.starts
    enough = SAME * least_traffic(edges, count, starts, local_is_free=free)
    for known in (core, along):
        if known is not None and traffic(edges, known, local_is_free=free) <= enough:
            return known
    work = min(WORK, WORK_PER_PART * core.size)
    moved = annealed(edges, core, needs, cores.capacity, local_is_free=free, work=work, seed=seed)
    if along is None:
        return moved
    return min(moved, along, key=lambda core: traffic(edges, core, local_is_free=free))


def oversized_in(subject: Subject, boxes: Boxes | None) -> list[Oversized]:
    """Return the worst box for each exceeded resource, among ``boxes`` or all single neurons."""
    population = subject.problem.populations[subject.number]
    capacity = subject.cores.capacity
    worst: dict[int, tuple[int, Boxes]] = {}
    total = population.neurons if boxes is None else len(boxes)
    for begin in range(0, total, CHUNK):
        end = min(begin + CHUNK, total)
        measured = _single(population.box, begin, end) if boxes is None else boxes[begin:end]
        need = subject.cost(measured)
        for r in np.flatnonzero((need > capacity).any(axis=0)).tolist():
            at = int(need[:, r].argmax())
            if r not in worst or need[at, r] > worst[r][0]:
                worst[r] = int(need[at, r]), measured[at]
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


def pinned_parts(problem: Problem, pinned: Mapping[str, Atoms | Boxes]) -> dict[int, Boxes]:
    """Return the parts by population index. Raises ``ValueError`` for unknown populations."""
    number = {p.name: i for i, p in enumerate(problem.populations) if p.on_core}
    if unknown := [name for name in pinned if name not in number]:
        names = ", ".join(unknown)
        raise ValueError(f"parts are prescribed for {names}, which is no population on cores")
    shapes = {name: problem.populations[number[name]].box for name in pinned}
    return {number[name]: parts_of(shapes[name], atoms) for name, atoms in pinned.items()}


def parts_of(shape: Shape3, atoms: Atoms | Boxes) -> Boxes:
    """Return parts of ``atoms`` neurons in C order, or of these lengths along the axes.

    Boxes are returned as they are.

    The last part along an axis may be shorter. Raises ``ValueError`` if the parts are no boxes.
    """
    if isinstance(atoms, np.ndarray):
        return atoms
    lengths = [atoms] if isinstance(atoms, int) else [int(n) for n in atoms]
    if not lengths or min(lengths) < 1 or len(lengths) > len(shape):
        raise ValueError(
            f"a part has at least one neuron along each of at most three axes, not {atoms}"
        )
    if isinstance(atoms, int):
        lengths = _sides(shape, atoms)
    lengths += shape[len(lengths) :]
    return grid([full_cuts(n, min(length, n)) for n, length in zip(shape, lengths, strict=True)])


def _sides(shape: Shape3, atoms: int) -> list[int]:
    """Return the lengths of the box that ``atoms`` consecutive neurons always form."""
    c, h, w = shape
    if atoms % (h * w) == 0 or atoms >= c * h * w:
        return [-(-atoms // (h * w)), h, w]
    if atoms % w == 0 and h % (atoms // w) == 0:
        return [1, atoms // w, w]
    if w % atoms == 0:
        return [1, 1, atoms]
    neurons = f"{atoms} consecutive neurons of {c} x {h} x {w}"
    raise ValueError(f"{neurons} are not always a box: take a multiple of {h * w}")
