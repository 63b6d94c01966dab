"""The fewest cores: lower bounds for any parts, and exact solutions of small problems.

Three facts give bounds. Cuts save nothing, so the cost of uncut populations is a bound for each
resource. A part must fit a core, which limits the neurons of a part. No neuron is cheaper than in
the cheapest part that fits. The product with the number of neurons is a better bound, for each
resource and for sums of resources. Parts above half a core never share a core.

CP-SAT finds parts on fewer cores, or proves that none exist. A flat population has ranges of equal
cost at any position. Its variable is the number of neurons on each core. Ranges on one core may be
joined, since cuts save nothing. Any other population is an exact cover by its boxes, if there are
not too many. Prescribed parts are boxes without a choice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from nirc.mapping.effort import Effort
from nirc.mapping.partition.boxes import (
    AXES,
    Boxes,
    Ints,
    Shape3,
    flat_grid,
    full_box,
    neurons_of,
    volume,
)
from nirc.mapping.partition.problem import Floats
from nirc.mapping.partition.tiling import Subject

if TYPE_CHECKING:
    from nirc.mapping.cp_sat import CpModel
    from nirc.mapping.solver import Solution

ROUNDS = 200  # of branching
MOST_OPEN = 1 << 15  # sets of lengths in one round
MOST_LENGTHS = 1 << 12  # up to this number, all lengths of a part are tried
MOST_SEARCHES = 500  # over lengths. Beyond, the bound gets weaker.
ENOUGH = 1e-4  # relative precision of the bound
TINY = 1e-9
MOST_CORES = 20  # of the exact solution, as all that follow
MOST_BOXES = 150  # for a population that is covered by boxes
MOST_NEURONS = 4096  # for a population with a number of neurons on each core
MOST_VARIABLES = 4000
WORK: dict[Effort, float] = {"normal": 0.5, "thorough": 4.0}  # for each number of cores

Answer = tuple[dict[int, Boxes], dict[int, Ints]]  # boxes and cores of the parts, by population


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
    needs = [_need(s, alone[s.number], s.number in pinned) for s in subjects]
    total = sum(need.taken for need in needs)
    bound = max(_cores_for(total / np.maximum(capacity, 1)), *(need.cores for need in needs), 1)
    for r in range(capacity.size):
        above_half = [need.cores for need in needs if 2 * need.least[r] > capacity[r]]
        bound = max(bound, sum(above_half))
    if usage is None:
        return bound
    weights = _measures(capacity)
    used = weights @ usage.sum(axis=0)
    searches = 0
    for m in np.argsort(-used, kind="stable").tolist():
        if _cores_for(used[m]) <= bound or bound >= len(usage):
            break
        measure = 0.0
        for s, need in zip(subjects, needs, strict=True):
            uncut = float(weights[m] @ need.taken)
            measure += uncut
            if s.alike and s.number not in pinned and searches < MOST_SEARCHES:
                searches += 1
                cheapest = _search(s, weights[m]) * _neurons(s)
                measure += max(cheapest - uncut, 0.0)
        bound = max(bound, _cores_for(measure))
    return bound


@dataclass(frozen=True, eq=False)
class _Need:
    """The resources that a population takes at least."""

    taken: Ints  # (resources,) of all parts together
    least: Ints  # (resources,) of each part
    cores: int  # if the population had all cores


def _need(subject: Subject, parts: Boxes, pinned: bool) -> _Need:
    if not pinned:
        taken = subject.cost(full_box(subject.shape))[0]
        return _Need(taken, _cheapest_neuron(subject), fewest_alone(subject, len(parts)))
    cost = subject.cost(parts)
    taken = cost.sum(axis=0)
    cores = max(_cores_for(taken / np.maximum(subject.cores.capacity, 1)), 1)
    return _Need(taken, cost.min(axis=0), cores)


def _cores_for(share: float | Floats) -> int:
    """Return the cores for a share of a core, of the scarcest resource if there are several."""
    return int(np.ceil(np.max(share) - TINY))


def _neurons(subject: Subject) -> float:
    return float(volume(full_box(subject.shape))[0])


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
    uncut = subject.cost(full_box(subject.shape))[0]
    least = max(_cores_for(uncut / np.maximum(subject.cores.capacity, 1)), 1)
    if least >= parts:
        return least
    if not subject.alike:
        return parts if subject.flat else least
    most = max(-_search(subject, None), 1.0)
    return max(least, _cores_for(_neurons(subject) / most))


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
    low = np.ones((1, AXES), np.int64)
    high = np.array([subject.shape])
    if _neurons(subject) <= MOST_LENGTHS:
        low = np.indices(subject.shape).reshape(AXES, -1).T + 1
        high = low
    best = np.inf
    for _ in range(ROUNDS):
        taken = _at_least(subject, low)
        fitting = np.any(np.all(taken <= subject.cores.capacity, axis=2), axis=1)
        low = low[fitting]
        high = high[fitting]
        most = high.prod(axis=1).astype(float)
        fewest = low.prod(axis=1).astype(float)
        # ``bound``: of all parts from low to high. ``value``: of the part of the lengths low.
        if weights is None:
            bound = -most
            value = -fewest
        else:
            measure = (taken[fitting] @ weights).min(axis=1)
            bound = measure / most
            value = measure / fewest
        best = min(best, float(value.min(initial=np.inf)))
        better = bound < best - abs(best) * ENOUGH
        if not better.any():
            return best - abs(best) * ENOUGH * bool(np.any(high > low))
        low = low[better]
        high = high[better]
        bound = bound[better]
        if len(low) > MOST_OPEN:
            break
        low, high = _branch(low, high)
    return float(bound.min())


@dataclass(frozen=True, eq=False)
class _Ranges:
    """A flat population: a number of neurons for each core."""

    number: int
    neurons: int
    table: Ints  # (most on a core + 1, resources) the cost of n neurons


@dataclass(frozen=True, eq=False)
class _Cover:
    """A population that is covered by boxes."""

    number: int
    boxes: Boxes  # those that fit a core
    cost: Ints  # (boxes, resources)
    over: list[list[int]]  # the boxes over each neuron. Of prescribed parts, each box alone


def fewer_cores(
    subjects: list[Subject],
    pinned: Mapping[int, Boxes],
    count: int,
    bound: int,
    *,
    work: float,
    seed: int,
) -> tuple[Answer | None, int]:
    """Return parts on fewer than ``count`` cores, or None, and the best lower bound.

    Returns (None, ``bound``) if the problem is too large.
    """
    if not subjects or count > MOST_CORES:
        return None, bound
    choices = [_choice(s, pinned.get(s.number)) for s in subjects]
    known = [choice for choice in choices if choice is not None]
    sizes = [1 if isinstance(choice, _Ranges) else len(choice.boxes) for choice in known]
    if len(known) < len(choices) or sum(sizes) * count > MOST_VARIABLES:
        return None, bound
    best: Answer | None = None
    capacity = subjects[0].cores.capacity
    for cores in range(count - 1, bound - 1, -1):
        solution, variables = _solve(known, capacity, cores, work, seed)
        if solution.status == "infeasible":
            return best, cores + 1
        if not solution.found:
            return best, bound
        best = _read(known, solution, variables)
    return best, bound


def _choice(subject: Subject, pinned: Boxes | None) -> _Ranges | _Cover | None:
    """Return the choice of parts of a population. None if it is too large."""
    if pinned is not None:
        alone = [[k] for k in range(len(pinned))]
        return _Cover(subject.number, pinned, subject.cost(pinned), alone)
    n = subject.shape[0]
    table = subject.by_length
    if table is not None and n <= MOST_NEURONS:
        return _Ranges(subject.number, n, table[(table <= subject.cores.capacity).all(axis=1)])
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
    choices: list[_Ranges | _Cover], capacity: Ints, cores: int, work: float, seed: int
) -> tuple[Solution, list[list[list[Any]]]]:
    """Return the solution and the variables of each choice on each core.

    The variables are the number of neurons, or a literal for each box.
    """
    from nirc.mapping.cp_sat import CpModel
    from nirc.mapping.solver import solve

    model = CpModel()
    taken: list[list[list[Any]]] = [[[] for _ in capacity] for _ in range(cores)]
    variables = []
    for choice in choices:
        if isinstance(choice, _Cover):
            on_cores = [_add_literals(model, choice, taken[k]) for k in range(cores)]
            for boxes in choice.over:
                model.add_exactly_one([on[b] for on, b in product(on_cores, boxes)])
        else:
            on_cores = [[_add_number(model, choice, taken[k])] for k in range(cores)]
            model.add(sum(on[0] for on in on_cores) == choice.neurons)
        variables.append(on_cores)
    for k in range(cores):
        for r, most in enumerate(capacity.tolist()):
            model.add(sum(taken[k][r]) <= most)
    numbers = [v for v, choice in zip(variables, choices, strict=True) if type(choice) is _Ranges]
    for a, b in pairwise(numbers[0] if numbers else []):  # excludes permutations of equal cores
        model.add(a[0] >= b[0])
    return solve(model, seed=seed, work=work), variables


def _add_number(model: CpModel, ranges: _Ranges, taken: list[list[Any]]) -> Any:
    """Add the number of neurons on a core, and its costs to ``taken``."""
    n = model.new_int_var(0, len(ranges.table) - 1, f"neurons of {ranges.number}")
    for r in range(ranges.table.shape[1]):
        column = ranges.table[:, r]
        steps = np.diff(column[1:])
        if column.size > 1 and (steps == steps[:1]).all():  # linear from the first neuron on
            slope = int(steps[0]) if steps.size else 0
            any_neuron = model.new_bool_var("")
            model.add(n >= 1).only_enforce_if(any_neuron)
            model.add(n == 0).only_enforce_if(~any_neuron)
            taken[r].append(slope * n + (int(column[1]) - slope) * any_neuron)
            continue
        amount = model.new_int_var(0, int(column.max(initial=0)), "")
        model.add_element(n, column.tolist(), amount)
        taken[r].append(amount)
    return n


def _add_literals(model: CpModel, cover: _Cover, taken: list[list[Any]]) -> list[Any]:
    """Add a literal for each box on a core, and the costs of the boxes to ``taken``."""
    on = [model.new_bool_var(f"box {k} of {cover.number}") for k in range(len(cover.boxes))]
    for r in range(cover.cost.shape[1]):
        taken[r] += [int(c) * here for c, here in zip(cover.cost[:, r], on, strict=True) if c]
    return on


def _read(
    choices: list[_Ranges | _Cover], solution: Solution, variables: list[list[list[Any]]]
) -> Answer:
    boxes: dict[int, Boxes] = {}
    core: dict[int, Ints] = {}
    for choice, on_cores in zip(choices, variables, strict=True):
        values = np.array([[solution.value(variable) for variable in on] for on in on_cores])
        if isinstance(choice, _Ranges):
            used = np.flatnonzero(values)
            boxes[choice.number] = flat_grid(np.append(0, np.cumsum(values[used, 0])))
            core[choice.number] = used
        else:
            box, core[choice.number] = np.nonzero(values.T)
            boxes[choice.number] = choice.boxes[box]
    return boxes, core
