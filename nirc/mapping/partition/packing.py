"""Pack populations onto the fewest cores: fill in several orders, then remove some and fill
again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from nirc.mapping.partition.boxes import Boxes
from nirc.mapping.partition.filling import Filling, add
from nirc.mapping.partition.reach import Explicit
from nirc.mapping.partition.tiling import Subject

WORK = 2_000_000  # of all rounds: populations times cores, and synapses without a structure
ROUNDS = 200  # of removing and filling again
PROVEN_ROUNDS = 20  # once fewer cores are impossible
APART = 4  # at most so many populations are removed besides those of the emptiest core


def pack(
    subjects: Sequence[Subject],
    alone: Mapping[int, Boxes],
    pinned: Mapping[int, Boxes],
    *,
    enough: int,
    slack: float,
    thorough: bool,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> Filling:
    """Return all populations on cores. No filling has fewer than ``enough`` cores.

    ``thorough`` false: try one order only. ``slack``: extra cores that may be used for fewer spikes
    into the parts, as a share of the fewest.
    """
    by_number = {s.number: s for s in subjects}
    orders = _orders(subjects, alone)[: None if thorough else 1]
    empty = Filling.empty(subjects[0].cores.capacity)
    tried = [
        _filled(empty.copy(), [by_number[i] for i in order], alone, pinned) for order in orders
    ]
    tried.append(_filled(empty.copy(), [by_number[i] for i in orders[0]], alone, alone))
    most = int(min(filling.count for filling in tried) * (1 + slack))
    best = min(tried, key=lambda filling: _rank(filling, by_number, most))
    if not thorough:
        return best
    if progress:
        progress(f"{best.count} cores, at least {enough}; trying others")
    rng = np.random.default_rng(seed)
    least = sum(s.spikes_into(alone[s.number]) for s in subjects)
    entries = 0
    for s in subjects:
        entries += sum(
            p.reach.source.size for p in s.problem.into[s.number] if isinstance(p.reach, Explicit)
        )
    rounds = min(ROUNDS, WORK // (best.count * len(subjects) + entries))
    now = best
    proven = 0
    for k in range(rounds):
        proven += best.count <= enough
        if proven and (proven > PROVEN_ROUNDS or _rank(best, by_number, most)[1] <= least):
            break
        roams = (
            2 * k < rounds and best.count > enough
        )  # at first look for fewer cores only, whatever the spikes
        now = now if roams else best
        other = _again(now, by_number, alone, pinned, rng)
        now = other if other.count <= now.count else now
        most = min(most, int(other.count * (1 + slack)))
        best = min(best, other, key=lambda filling: _rank(filling, by_number, most))
    return best


def _rank(filling: Filling, subjects: Mapping[int, Subject], most: int) -> tuple[int, float, int]:
    """Return cores above ``most``, spikes into the parts as if no part shared a core, and cores."""
    spikes = sum(subjects[i].spikes_into(boxes) for i, boxes in filling.boxes.items())
    return max(filling.count - most, 0), spikes, filling.count


def _filled(
    filling: Filling,
    subjects: Sequence[Subject],
    alone: Mapping[int, Boxes],
    fixed: Collection[int],
) -> Filling:
    for s in subjects:
        add(filling, s, alone[s.number], fixed=s.number in fixed)
    return filling


def _orders(subjects: Sequence[Subject], alone: Mapping[int, Boxes]) -> list[list[int]]:
    """Return orders of the populations.

    Three orders are by falling share of a core: of a neuron, of all parts, of the largest part. The
    last is the given order.
    """
    capacity = np.maximum(subjects[0].cores.capacity, 1)
    one: dict[int, float] = {}
    part: dict[int, float] = {}
    all_: dict[int, float] = {}
    for s in subjects:
        cost = s.cost(alone[s.number])
        single = s.cost(np.array([[(0, 1)] * 3]))[0]
        one[s.number] = float((single / capacity).max())
        part[s.number] = float((cost / capacity).max())
        all_[s.number] = float((cost.sum(axis=0) / capacity).max())
    numbers = [s.number for s in subjects]
    keys: list[Callable[[int], tuple[float, ...]]] = [
        lambda i: (-one[i], -all_[i], i),
        lambda i: (-all_[i], i),
        lambda i: (-part[i], -all_[i], i),
        lambda i: (float(i),),
    ]
    return [sorted(numbers, key=key) for key in keys]


def _again(
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
        emptiest = np.argsort(
            -(filling.left / np.maximum(filling.capacity, 1)).min(axis=1), kind="stable"
        )
        core = int(emptiest[_near_first(rng, emptiest.size)])
        out = [i for i in filling.boxes if (filling.core[i] == core).any()][: APART * 2]
    else:
        more = {
            i: subjects[i].spikes_into(b) - subjects[i].spikes_into(alone[i])
            for i, b in filling.boxes.items()
        }
        out = [sorted(more, key=lambda i: (-more[i], i))[_near_first(rng, len(more))]]
    others = [i for i in filling.boxes if i not in out]
    out += rng.permutation(np.array(others, dtype=np.int64))[
        : int(rng.integers(0, APART + 1))
    ].tolist()
    cost = {i: subjects[i].cost(filling.boxes[i]) for i in out}
    order = rng.permutation(np.array(out)).tolist()
    return _filled(filling.without(out, cost), [subjects[i] for i in order], alone, pinned)


def _near_first(rng: np.random.Generator, n: int) -> int:
    """Return a random number of 0..n-1. Small numbers are more frequent."""
    return min(int(rng.exponential(2.0)), n - 1)
