"""Exact solution of small problems. CP-SAT finds parts on fewer cores, or proves that none exist.

A flat population has ranges of equal cost at any position. Its variable is the number of neurons on
each core. Ranges on one core may be joined, since cuts save nothing. Any other population is an
exact cover by its boxes, if there are not too many. Prescribed parts are boxes without a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from nirc.mapping.partition.boxes import AXES, Boxes, Ints, Shape3, neurons_of
from nirc.mapping.partition.tiling import Subject

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel

    from nirc.mapping.solver import Solution

MOST_CORES = 20
MOST_BOXES = 150  # for a population that is covered by boxes
MOST_NEURONS = 4096  # for a population with a number of neurons on each core
MOST_VARIABLES = 4000
WORK = 4.0  # for each number of cores

Answer = tuple[dict[int, Boxes], dict[int, Ints]]  # boxes and cores of the parts, by population


@dataclass(frozen=True, eq=False)
class _Sizes:
    """A flat population. ``table`` (most on a core + 1, resources): the cost of n neurons."""

    number: int
    neurons: int
    table: Ints


@dataclass(frozen=True, eq=False)
class _Cover:
    """Boxes that fit and their costs. ``over``: the boxes over each neuron, or each box once."""

    number: int
    boxes: Boxes
    cost: Ints
    over: list[list[int]]


def fewer_cores(
    subjects: list[Subject], pinned: Mapping[int, Boxes], count: int, bound: int, *, seed: int
) -> tuple[Answer | None, int]:
    """Return parts on fewer than ``count`` cores, or None, and the best lower bound.

    Returns (None, ``bound``) if the problem is too large.
    """
    if not subjects or count > MOST_CORES:
        return None, bound
    shapes = [_shape(s, pinned.get(s.number)) for s in subjects]
    known = [shape for shape in shapes if shape is not None]
    sizes = [1 if isinstance(shape, _Sizes) else len(shape.boxes) for shape in known]
    if len(known) < len(shapes) or sum(sizes) * count > MOST_VARIABLES:
        return None, bound
    best: Answer | None = None
    capacity = subjects[0].cores.capacity
    for cores in range(count - 1, bound - 1, -1):
        solution, variables = _solve(known, capacity, cores, seed)
        if solution.status == "infeasible":
            return best, cores + 1
        if not solution.found:
            return best, bound
        best = _read(known, solution, variables)
    return best, bound


def _shape(subject: Subject, pinned: Boxes | None) -> _Sizes | _Cover | None:
    if pinned is not None:
        return _Cover(
            subject.number, pinned, subject.cost(pinned), [[k] for k in range(len(pinned))]
        )
    n = subject.shape[0]
    table = subject.by_length
    if table is not None and n <= MOST_NEURONS:
        return _Sizes(subject.number, n, table[(table <= subject.cores.capacity).all(axis=1)])
    boxes = _all_boxes(subject.shape)
    if boxes is None:
        return None
    boxes = boxes[subject.fits(boxes)]
    over: list[list[int]] = [[] for _ in range(int(np.prod(subject.shape)))]
    for k, box in enumerate(boxes):
        for neuron in neurons_of(subject.shape, box).tolist():
            over[neuron].append(k)
    return _Cover(subject.number, boxes, subject.cost(boxes), over)


def _all_boxes(shape: Shape3) -> Boxes | None:
    """Return (k, 3, 2) all boxes in the shape, None if there are too many."""
    if int(np.prod([n * (n + 1) // 2 for n in shape])) > MOST_BOXES:
        return None
    ranges = [list(combinations(range(n + 1), 2)) for n in shape]
    return np.array(list(product(*ranges)), dtype=np.int64).reshape(-1, AXES, 2)


def _solve(
    shapes: list[_Sizes | _Cover], capacity: Ints, cores: int, seed: int
) -> tuple[Solution, list[list[list[Any]]]]:
    """Return the solution and its variables by shape and core: a number, or a literal a box."""
    from ortools.sat.python.cp_model import CpModel

    from nirc.mapping.solver import solve

    model = CpModel()
    taken: list[list[list[Any]]] = [[[] for _ in capacity] for _ in range(cores)]
    variables = []
    for shape in shapes:
        on = [
            _numbers(model, shape, taken[k])
            if isinstance(shape, _Sizes)
            else _literals(model, shape, taken[k])
            for k in range(cores)
        ]
        variables.append(on)
        if isinstance(shape, _Sizes):
            model.add(sum(row[0] for row in on) == shape.neurons)
            continue
        for boxes in shape.over:
            model.add_exactly_one([row[b] for row, b in product(on, boxes)])
    for k in range(cores):
        for r, most in enumerate(capacity.tolist()):
            model.add(sum(taken[k][r]) <= most)
    # Cores are alike. So order them by their neurons of the first population with a number on each
    # core.
    for on in [v for v, shape in zip(variables, shapes, strict=True) if isinstance(shape, _Sizes)][
        :1
    ]:
        for a, b in pairwise(on):
            model.add(a[0] >= b[0])
    return solve(model, seed=seed, work=WORK), variables


def _numbers(model: CpModel, shape: _Sizes, taken: list[list[Any]]) -> list[Any]:
    n = model.new_int_var(0, len(shape.table) - 1, f"neurons of {shape.number}")
    for r in range(shape.table.shape[1]):
        column = shape.table[:, r]
        steps = np.diff(column[1:])
        if (
            column.size > 1 and (steps == steps[:1]).all()
        ):  # a constant cost, and a cost for each neuron
            slope = int(steps[0]) if steps.size else 0
            there = model.new_bool_var("")
            model.add(n >= 1).only_enforce_if(there)
            model.add(n == 0).only_enforce_if(~there)
            taken[r].append(slope * n + (int(column[1]) - slope) * there)
            continue
        amount = model.new_int_var(0, int(column.max(initial=0)), "")
        model.add_element(n, column.tolist(), amount)
        taken[r].append(amount)
    return [n]


def _literals(model: CpModel, shape: _Cover, taken: list[list[Any]]) -> list[Any]:
    on = [model.new_bool_var(f"box {k} of {shape.number}") for k in range(len(shape.boxes))]
    for r in range(shape.cost.shape[1]):
        taken[r] += [int(c) * there for c, there in zip(shape.cost[:, r], on, strict=True) if c]
    return on


def _read(
    shapes: list[_Sizes | _Cover], solution: Solution, variables: list[list[list[Any]]]
) -> Answer:
    boxes: dict[int, Boxes] = {}
    core: dict[int, Ints] = {}
    for shape, on in zip(shapes, variables, strict=True):
        if isinstance(shape, _Sizes):
            numbers = np.array([solution.value(row[0]) for row in on])
            used = np.flatnonzero(numbers)
            ends = np.cumsum(numbers[used])
            ranges = [
                [(int(b - n), int(b)), (0, 1), (0, 1)]
                for b, n in zip(ends, numbers[used], strict=True)
            ]
            boxes[shape.number] = np.array(ranges)
            core[shape.number] = used
            continue
        chosen = sorted(
            (b, k)
            for k, b in product(range(len(on)), range(len(shape.boxes)))
            if solution.value(on[k][b])
        )
        boxes[shape.number] = shape.boxes[[b for b, _ in chosen]]
        core[shape.number] = np.array([k for _, k in chosen])
    return boxes, core
