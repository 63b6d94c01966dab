"""Pack populations onto the fewest cores.

Populations are added one after the other to the room left on cores, in several orders. Then some
are removed and added again. Each population has two candidate cuts, and the better is used. The
first is the cut for the population alone. The second depends on the shape. A flat population is
cut into ranges that fill the room exactly. A map is cut into an even grid with parts small enough
for the room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nirc.mapping.effort import Effort
from nirc.mapping.partition.boxes import Boxes, Ints, even_grid, flat_grid
from nirc.mapping.partition.reach import Explicit
from nirc.mapping.partition.tiling import Subject, candidates, longest, middle, reaches

WORK = 2_000_000  # of all rounds: populations times cores, and synapses without a structure
ROUNDS: dict[Effort, int] = {"quick": 0, "normal": 60, "thorough": 200}  # of removing and adding
PROVEN_ROUNDS = 20  # once fewer cores are impossible
MOST_OTHERS = 4  # populations that are removed beside those of one core
MOST_ROOMS = 6  # rooms to try as the size of a part
MOST_GRIDS = 4096  # grids to compare


def pack(
    subjects: Sequence[Subject],
    alone: Mapping[int, Boxes],
    pinned: Mapping[int, Boxes],
    *,
    enough: int,
    slack: float,
    effort: Effort,
    seed: int,
) -> Filling:
    """Return all populations on cores. No filling has fewer than ``enough`` cores.

    ``effort`` "quick": try one order only. ``slack``: extra cores that may be used for fewer spikes
    into the parts, as a share of the fewest.
    """
    by_number = {s.number: s for s in subjects}
    orders = _orders(subjects, alone)[: 1 if effort == "quick" else None]
    capacity = subjects[0].cores.capacity
    fillings = [_add_all(Filling.empty(capacity), order, alone, pinned) for order in orders]
    fillings.append(_add_all(Filling.empty(capacity), orders[0], alone, alone))
    most = int(min(filling.count for filling in fillings) * (1 + slack))
    best = min(fillings, key=lambda filling: _rank(filling, by_number, most))
    rng = np.random.default_rng(seed)
    fewest_spikes = sum(s.spikes_into(alone[s.number]) for s in subjects)
    rounds = min(
        ROUNDS[effort], WORK // (best.count * len(subjects) + sum(map(_entries, subjects)))
    )
    current = best
    proven = 0
    for k in range(rounds):
        proven += best.count <= enough
        if proven and (proven > PROVEN_ROUNDS or _rank(best, by_number, most)[1] <= fewest_spikes):
            break
        # The first half of the rounds looks for fewer cores only, and ignores the spikes.
        ignores_spikes = 2 * k < rounds and best.count > enough
        current = current if ignores_spikes else best
        other = _remove_and_add(current, by_number, alone, pinned, rng)
        current = other if other.count <= current.count else current
        most = min(most, int(other.count * (1 + slack)))
        best = min(best, other, key=lambda filling: _rank(filling, by_number, most))
    return best


def _entries(subject: Subject) -> int:
    """Return the number of synapses without a structure."""
    reaches = [p.reach for p in subject.problem.into[subject.number]]
    return sum(reach.source.size for reach in reaches if isinstance(reach, Explicit))


def _rank(filling: Filling, subjects: Mapping[int, Subject], most: int) -> tuple[int, float, int]:
    """Return cores above ``most``, spikes into the parts as if no part shared a core, and cores."""
    spikes = sum(subjects[i].spikes_into(boxes) for i, boxes in filling.boxes.items())
    return max(filling.count - most, 0), spikes, filling.count


def _add_all(
    filling: Filling,
    subjects: Sequence[Subject],
    alone: Mapping[int, Boxes],
    fixed: Collection[int],
) -> Filling:
    for s in subjects:
        _add(filling, s, alone[s.number], fixed=s.number in fixed)
    return filling


def _orders(subjects: Sequence[Subject], alone: Mapping[int, Boxes]) -> list[list[Subject]]:
    """Return orders of the populations.

    Three orders are by falling share of a core: of a neuron, of all parts, of the largest part. The
    last is the order of numbers.
    """
    capacity = np.maximum(subjects[0].cores.capacity, 1)
    neuron: dict[Subject, float] = {}
    part: dict[Subject, float] = {}
    total: dict[Subject, float] = {}
    for s in subjects:
        cost = s.cost(alone[s.number])
        neuron[s] = float((s.cost(np.array([[(0, 1)] * 3]))[0] / capacity).max())
        part[s] = float((cost / capacity).max())
        total[s] = float((cost.sum(axis=0) / capacity).max())
    return [
        sorted(subjects, key=lambda s: (-neuron[s], -total[s], s.number)),
        sorted(subjects, key=lambda s: (-total[s], s.number)),
        sorted(subjects, key=lambda s: (-part[s], -total[s], s.number)),
        sorted(subjects, key=lambda s: s.number),
    ]


def _remove_and_add(
    filling: Filling,
    subjects: Mapping[int, Subject],
    alone: Mapping[int, Boxes],
    pinned: Mapping[int, Boxes],
    rng: np.random.Generator,
) -> Filling:
    """Remove some populations, then add them again in another order.

    The removed populations are either those of one of the emptier cores, which may become free, or
    one that receives more spikes than it would alone. Some others are removed as well.
    """
    if rng.random() < 0.5:
        room = (filling.left / np.maximum(filling.capacity, 1)).min(axis=1)
        emptiest = np.argsort(-room, kind="stable")
        core = int(emptiest[_near_first(rng, emptiest.size)])
        removed = [i for i in filling.boxes if (filling.core[i] == core).any()][: MOST_OTHERS * 2]
    else:
        excess = {
            i: subjects[i].spikes_into(boxes) - subjects[i].spikes_into(alone[i])
            for i, boxes in filling.boxes.items()
        }
        removed = [sorted(excess, key=lambda i: (-excess[i], i))[_near_first(rng, len(excess))]]
    others = np.array([i for i in filling.boxes if i not in removed], dtype=np.int64)
    shuffled = rng.permutation(others)
    removed += shuffled[: int(rng.integers(0, MOST_OTHERS + 1))].tolist()
    cost = {i: subjects[i].cost(filling.boxes[i]) for i in removed}
    order = [subjects[i] for i in rng.permutation(np.array(removed)).tolist()]
    return _add_all(filling.without(removed, cost), order, alone, pinned)


def _near_first(rng: np.random.Generator, n: int) -> int:
    """Return a random number of 0..n-1. Small numbers are more frequent."""
    return min(int(rng.exponential(2.0)), n - 1)


@dataclass(eq=False)
class Filling:
    """Cores during packing. ``left`` (cores, resources). Boxes and cores of parts by population."""

    capacity: Ints
    left: Ints
    boxes: dict[int, Boxes] = field(default_factory=dict)
    core: dict[int, Ints] = field(default_factory=dict)

    @classmethod
    def empty(cls, capacity: Ints) -> Filling:
        """Return a filling without cores in use."""
        return cls(capacity, np.zeros((0, capacity.size), dtype=np.int64))

    @property
    def count(self) -> int:
        """The number of cores in use."""
        return len(self.left)

    def put(self, number: int, boxes: Boxes, cost: Ints, core: Ints) -> None:
        """Put parts of a population on cores. Core numbers above ``count`` open new cores."""
        new = int(core.max(initial=-1)) + 1 - self.count
        if new > 0:
            self.left = np.concatenate([self.left, np.tile(self.capacity, (new, 1))])
        np.subtract.at(self.left, core, cost)
        self.boxes[number] = boxes
        self.core[number] = core

    def without(self, numbers: Collection[int], cost: Mapping[int, Ints]) -> Filling:
        """Return the filling without some populations, and without the cores that become empty.

        ``cost``: of the parts of each population.
        """
        left = self.left.copy()
        for i in numbers:
            np.add.at(left, self.core[i], cost[i])
        kept = [i for i in self.boxes if i not in numbers]
        used = np.unique(np.concatenate([np.zeros(0, np.int64), *(self.core[i] for i in kept)]))
        return Filling(
            self.capacity,
            left[used],
            {i: self.boxes[i] for i in kept},
            {i: np.searchsorted(used, self.core[i]) for i in kept},
        )


@dataclass(frozen=True, eq=False)
class _Plan:
    """Parts of a population and their cores, ``new`` of which are not in use yet."""

    boxes: Boxes
    cost: Ints
    core: Ints
    new: int

    def rank(self, subject: Subject) -> tuple[int, float, int]:
        return self.new, subject.spikes_into(self.boxes), len(self.boxes)


def _add(filling: Filling, subject: Subject, alone: Boxes, *, fixed: bool) -> None:
    """Add a population: the fewest new cores, then the fewest spikes into its parts.

    ``alone``: its parts if it had all cores. ``fixed``: use these parts in any case.
    """
    plan = _plan(filling, subject, alone)
    if not fixed and plan.new:
        room = _room(filling, subject)
        if room.size:
            cut = _plan_ranges if subject.flat else _plan_grid
            other = cut(filling, subject, room)
            plan = min(plan, other, key=lambda p: p.rank(subject)) if other else plan
    filling.put(subject.number, plan.boxes, plan.cost, plan.core)


def _room(filling: Filling, subject: Subject) -> Ints:
    """Return the cores with room for the cheapest of three neurons: first, middle and last."""
    shape = np.array(subject.shape)
    starts = np.unique([np.zeros(3, np.int64), shape // 2, shape - 1], axis=0)
    least = subject.cost(np.stack([starts, starts + 1], axis=-1)).min(axis=0)
    return np.flatnonzero((filling.left >= least).all(axis=1))


def _copies(left: Ints, cost: Ints) -> Ints:
    """Return (rooms, costs): as many copies of a cost (k, resources) fit a room (m, resources)."""
    most = np.iinfo(np.int64).max
    if len(cost) == 1:  # all resources at once
        needed = np.flatnonzero(cost[0] > 0)
        fitting = left[:, needed] // cost[0, needed]
        fewest: Ints = fitting.min(axis=1, keepdims=True, initial=most)
        return fewest
    copies = np.full((len(left), len(cost)), most)
    for r in range(left.shape[1]):
        taken = cost[:, r]
        fitting = np.where(taken > 0, left[:, r, None] // np.maximum(taken, 1), most)
        np.minimum(copies, fitting, out=copies)
    return copies


def _plan(filling: Filling, subject: Subject, boxes: Boxes, room: Ints | None = None) -> _Plan:
    """Put parts into the tightest rooms that take the costliest part. Others open new cores."""
    cost = subject.cost(boxes)
    worst = cost.max(axis=0, keepdims=True)
    room = np.flatnonzero((filling.left >= cost.min(axis=0)).all(axis=1)) if room is None else room
    core = np.full(len(boxes), -1, dtype=np.int64)
    if room.size:
        copies = np.minimum(_copies(filling.left[room], worst)[:, 0], len(boxes))
        rest = ((filling.left[room] - worst) / np.maximum(filling.capacity, 1)).min(axis=1)
        order = np.lexsort((rest, -copies))
        taken = np.repeat(room[order], copies[order])[: len(boxes)]
        core[: taken.size] = taken
        _place_rest(filling, cost, core, room)
    without = np.flatnonzero(core < 0)
    per_core = max(int(_copies(filling.capacity[None], worst)[0, 0]), 1)
    core[without] = filling.count + np.arange(without.size) // per_core
    return _Plan(boxes, cost, core, -(-without.size // per_core))


def _place_rest(filling: Filling, cost: Ints, core: Ints, room: Ints) -> None:
    """Put each part without a core into its tightest room, in place.

    Leave ``core`` as is if parts and rooms are too many.
    """
    without = np.flatnonzero(core < 0)
    if not without.size or without.size * room.size > 1 << 22:
        return
    left = filling.left[room].copy()
    inside = np.flatnonzero(core >= 0)
    np.subtract.at(left, np.searchsorted(room, core[inside]), cost[inside])
    for part in without.tolist():
        fits = np.flatnonzero((left >= cost[part]).all(axis=1))
        if fits.size:
            tight = fits[np.argmin((left[fits] / np.maximum(filling.capacity, 1)).sum(axis=1))]
            left[tight] -= cost[part]
            core[part] = room[tight]


def _plan_grid(filling: Filling, subject: Subject, room: Ints) -> _Plan | None:
    """Return the even grid that opens the fewest new cores, None if no grid fits."""
    shape = np.array(subject.shape)
    rooms, often = np.unique(filling.left[room], axis=0, return_counts=True)
    widest = np.argsort(-(rooms / np.maximum(filling.capacity, 1)).min(axis=1), kind="stable")
    sizes = [candidates(subject, left) for left in rooms[widest[:MOST_ROOMS]]]
    lengths = np.unique(np.concatenate([candidates(subject), *sizes]), axis=0)
    parts = np.prod(-(-shape // lengths), axis=1)
    lengths = lengths[np.argsort(parts, kind="stable")[:MOST_GRIDS]]
    ranges = np.unique(-(-shape // lengths), axis=0)  # (grids, 3) along each axis
    parts = ranges.prod(axis=1)
    cost = subject.cost(middle(subject.shape, -(-shape // ranges)))
    inside = (np.minimum(_copies(rooms, cost), parts) * often[:, None]).sum(axis=0)
    per_core = _copies(filling.capacity[None], cost)[0]
    new = -(-np.maximum(parts - inside, 0) // np.maximum(per_core, 1))
    new[per_core == 0] = np.iinfo(np.int64).max
    for choice in np.lexsort((parts, new))[:4]:
        boxes = even_grid(subject.shape, ranges[choice].tolist())
        if subject.alike or subject.fits(boxes).all():
            return _plan(filling, subject, boxes, room)
    return None


def _plan_ranges(filling: Filling, subject: Subject, room: Ints) -> _Plan | None:
    """Cut a flat population into long ranges, in the fewest rooms that save the most cores."""
    n = subject.shape[0]
    rooms, of = np.unique(filling.left[room], axis=0, return_inverse=True)
    if subject.by_length is None:
        holds = np.array([reaches(subject, 0, left) for left in rooms])[of.ravel()]
    else:
        holds = np.minimum(longest(subject.by_length, rooms), n)[of.ravel()]
    core_holds = reaches(subject, 0, None)
    new = max(-(-(n - int(holds.sum())) // core_holds), 0)
    rest = n - new * core_holds
    order = np.lexsort((room, -holds))
    needed = int(np.searchsorted(np.cumsum(holds[order]), max(rest, 0))) + 1 if rest > 0 else 0
    waiting = order[:needed].tolist()
    if needed == 1:  # the smallest room that is large enough
        enough = np.flatnonzero(holds >= rest)
        waiting = [int(enough[np.argmin(holds[enough])])] if enough.size else waiting
    spare = order[needed:].tolist()
    cuts = [0]
    cores: list[int] = []
    next_core = filling.count
    while cuts[-1] < n:
        # Later ranges may cost more than the first range. So the spare rooms may be needed.
        if not waiting and next_core - filling.count >= new and spare:
            waiting.append(spare.pop(0))
        if waiting:
            core = int(room[waiting.pop(0)])
            left = filling.left[core]
        else:
            core = next_core
            left = filling.capacity
            next_core += 1
        end = reaches(subject, cuts[-1], left)
        if end > cuts[-1]:
            cuts.append(end)
            cores.append(core)
        elif core >= filling.count:
            return None
    boxes = flat_grid(np.array(cuts))
    return _Plan(boxes, subject.cost(boxes), np.array(cores), next_core - filling.count)
