"""Add populations one after the other to the room left on cores, so that few new cores are opened.

Each population has two candidate cuts, and the better is used. The first is the cut for the
population alone. The second depends on the shape. A flat population is cut into ranges that fill
the room exactly. Others are cut into even grids with parts small enough for the room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from nirc.mapping.partition.boxes import Boxes, Ints, even_cuts, grid
from nirc.mapping.partition.tiling import Subject, candidates, longest, middle, reaches

ROOMS = 6  # rooms to try as the size of a part
MOST_GRIDS = 4096  # grids to compare


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

    def copy(self) -> Filling:
        """Return a copy that can be filled without changing this filling."""
        return Filling(self.capacity, self.left.copy(), dict(self.boxes), dict(self.core))

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
    boxes: Boxes
    cost: Ints
    core: Ints
    new: int

    def rank(self, subject: Subject) -> tuple[int, float, int]:
        return self.new, subject.spikes_into(self.boxes), len(self.boxes)


def add(filling: Filling, subject: Subject, alone: Boxes, *, fixed: bool = False) -> None:
    """Add a population: the fewest new cores, then the fewest spikes into its parts.

    ``alone``: its parts if it had all cores. ``fixed``: use these parts in any case.
    """
    plans = [_packed(filling, subject, alone)]
    if not fixed and plans[0].new:
        room = _room(filling, subject)
        if room.size:
            other = (
                _filled(filling, subject, room)
                if subject.flat
                else _gridded(filling, subject, room)
            )
            plans += [other] if other else []
    best = plans[0] if len(plans) == 1 else min(plans, key=lambda plan: plan.rank(subject))
    filling.put(subject.number, best.boxes, best.cost, best.core)


def _room(filling: Filling, subject: Subject) -> Ints:
    """Return the cores with room for the cheapest neuron (of those at the ends and in the
    middle).
    """
    shape = np.array(subject.shape)
    starts = np.unique([np.zeros(3, np.int64), shape // 2, shape - 1], axis=0)
    least = subject.cost(np.stack([starts, starts + 1], axis=-1)).min(axis=0)
    return np.flatnonzero((filling.left >= least).all(axis=1))


def slots(left: Ints, cost: Ints) -> Ints:
    """Return (rooms, costs) how often each cost (k, resources) fits each room (m, resources)."""
    often = np.full((len(left), len(cost)), np.iinfo(np.int64).max)
    for r in range(left.shape[1]):
        taken = cost[:, r]
        with np.errstate(divide="ignore"):
            fit = np.where(
                taken > 0, left[:, r, None] // np.maximum(taken, 1), np.iinfo(np.int64).max
            )
        np.minimum(often, fit, out=often)
    return often


def _packed(filling: Filling, subject: Subject, boxes: Boxes, room: Ints | None = None) -> _Plan:
    """Put parts into the tightest rooms that take the costliest part. Others open new cores."""
    cost = subject.cost(boxes)
    worst = cost.max(axis=0, keepdims=True)
    room = np.flatnonzero((filling.left >= cost.min(axis=0)).all(axis=1)) if room is None else room
    core = np.full(len(boxes), -1, dtype=np.int64)
    if room.size:
        often = slots(filling.left[room], worst)[:, 0]
        rest = ((filling.left[room] - worst) / np.maximum(filling.capacity, 1)).min(axis=1)
        order = np.lexsort((rest, -np.minimum(often, len(boxes))))
        taken = np.repeat(room[order], np.minimum(often[order], len(boxes)))[: len(boxes)]
        core[: taken.size] = taken
        core = _squeezed(filling, cost, core, room)
    open_ = np.flatnonzero(core < 0)
    per = max(int(slots(filling.capacity[None], worst)[0, 0]), 1)
    core[open_] = filling.count + np.arange(open_.size) // per
    return _Plan(boxes, cost, core, -(-open_.size // per))


def _squeezed(filling: Filling, cost: Ints, core: Ints, room: Ints) -> Ints:
    """Put each part without a core into its tightest room, if parts and rooms are not too many."""
    out = np.flatnonzero(core < 0)
    if not out.size or out.size * room.size > 1 << 22:
        return core
    left = filling.left[room].copy()
    inside = np.flatnonzero(core >= 0)
    np.subtract.at(left, np.searchsorted(room, core[inside]), cost[inside])
    for part in out.tolist():
        fits = np.flatnonzero((left >= cost[part]).all(axis=1))
        if fits.size:
            tight = fits[np.argmin((left[fits] / np.maximum(filling.capacity, 1)).sum(axis=1))]
            left[tight] -= cost[part]
            core[part] = room[tight]
    return core


def _gridded(filling: Filling, subject: Subject, room: Ints) -> _Plan | None:
    """Return the even grid that opens the fewest new cores."""
    kinds, often = np.unique(filling.left[room], axis=0, return_counts=True)
    wide = np.argsort(-(kinds / np.maximum(filling.capacity, 1)).min(axis=1), kind="stable")[:ROOMS]
    sizes = [candidates(subject), *(candidates(subject, left) for left in kinds[wide])]
    every = np.unique(np.concatenate(sizes), axis=0)
    parts = np.prod(-(-np.array(subject.shape) // every), axis=1)
    every = every[np.argsort(parts, kind="stable")[:MOST_GRIDS]]
    rows = np.unique(-(-np.array(subject.shape) // every), axis=0)
    every = -(-np.array(subject.shape) // rows)
    cost = subject.cost(middle(subject.shape, every))
    parts = rows.prod(axis=1)
    inside = (np.minimum(slots(kinds, cost), parts) * often[:, None]).sum(axis=0)
    per = slots(filling.capacity[None], cost)[0]
    new = -(-np.maximum(parts - inside, 0) // np.maximum(per, 1))
    new[per == 0] = np.iinfo(np.int64).max
    for choice in np.lexsort((parts, new))[:4]:
        cuts = [even_cuts(n, m) for n, m in zip(subject.shape, rows[choice].tolist(), strict=True)]
        boxes = grid(cuts)
        if subject.alike or subject.fits(boxes).all():
            return _packed(filling, subject, boxes, room)
    return None


def _filled(filling: Filling, subject: Subject, room: Ints) -> _Plan | None:
    """Cut a flat population into long ranges, in the fewest rooms that save the most cores."""
    n = subject.shape[0]
    kinds, of = np.unique(filling.left[room], axis=0, return_inverse=True)
    if subject.by_length is None:
        holds = np.array([reaches(subject, 0, left) for left in kinds])[of.ravel()]
    else:
        holds = np.minimum(longest(subject.by_length, kinds), n)[of.ravel()]
    new_holds = reaches(subject, 0, None)
    new = max(-(-(n - int(holds.sum())) // new_holds), 0)
    rest = n - new * new_holds
    order = np.lexsort((room, -holds))
    needed = int(np.searchsorted(np.cumsum(holds[order]), max(rest, 0))) + 1 if rest > 0 else 0
    chosen = order[:needed]
    if needed == 1:  # the smallest room that does
        enough = np.flatnonzero(holds >= rest)
        chosen = enough[[np.argmin(holds[enough])]] if enough.size else chosen
    cuts = [0]
    cores: list[int] = []
    spare = order[needed:].tolist()
    waiting = chosen.tolist()
    fresh = filling.count
    while cuts[-1] < n:
        if not waiting and fresh - filling.count >= new and spare:
            waiting.append(
                spare.pop(0)
            )  # later ranges cost more than the first: use the other rooms
        if waiting:
            k = waiting.pop(0)
            left = filling.left[room[k]]
            core = int(room[k])
        else:
            left = filling.capacity
            core = fresh
            fresh += 1
        end = reaches(subject, cuts[-1], left)
        if end > cuts[-1]:
            cuts.append(end)
            cores.append(core)
        elif core >= filling.count:
            return None
    one = np.array([0, 1])
    boxes = grid([np.array(cuts), one, one])
    return _Plan(boxes, subject.cost(boxes), np.array(cores), fresh - filling.count)
