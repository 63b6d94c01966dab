"""Assign keys that make routing tables short: all spare bits go to the population field.

Two packets share an entry if no foreign key lies between theirs. With populations numbered 0, 1, 2,
... the keys are so close that a foreign key nearly always does. So each bit of the wide field cuts
the populations into two halves. Populations with the same route at some router stay on one side.
The bit then stays fixed in their common entry, and excludes half of the others. Each group weighs
as many foreign populations as earlier bits have left inside of its entry. A cut is a local search
on the hypergraph of the groups (after Fiduccia and Mattheyses, "A linear-time heuristic for
improving network partitions", DAC 1982). The first state is random, so cuts differ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.keys import KEY_BITS, Keys
from nirc.mapping.tables.entries import Floats, Longs, Tables

SWEEPS = 10
SLACK = 0.04  # of the populations: how far from the middle a cut may be


def spread(keys: Keys, population: npt.ArrayLike, tables: Tables, *, seed: int = 0) -> Keys:
    """Return the same slices and atoms under other population fields.

    Rebuild the tables after this. ``population`` (slices,): as given to ``allocate``. ``tables``:
    built with ``keys``, not minimised. All slices of a population keep one mask. The keys stay if
    the populations have blocks of different sizes, or if no bit is spare.
    """
    owner = np.asarray(population, np.int64)
    populations = keys.population_key.size
    if populations < 3 or np.ptp(keys.population_mask.astype(np.int64)):
        return keys
    below = int(~keys.population_mask[0]).bit_length()
    code, width = _codes(_groups(keys, owner, tables), populations, KEY_BITS - below, seed)
    if width <= _bits(populations):
        return keys
    first = (code << below).astype(np.uint32)
    inside = keys.key - keys.population_key[owner]
    return Keys(first[owner] + inside, keys.mask, keys.atoms, first, keys.population_mask)


class _Groups(NamedTuple):
    """Populations with the same route at a router, as compressed rows in both directions."""

    first: Longs  # (groups + 1,)
    member: Longs  # (pins,) population
    others: Floats  # (groups,) populations of the router that are not in the group
    of_first: Longs  # (populations + 1,)
    of: Longs  # (pins,) group


def _groups(keys: Keys, owner: Longs, tables: Tables) -> _Groups:
    order = np.argsort(keys.key, kind="stable")
    member = owner[order][np.searchsorted(keys.key[order], tables.key)]
    router = np.repeat(np.arange(tables.routers), tables.sizes)
    populations = keys.population_key.size
    pins = np.unique((router * len(tables.routes) + tables.route) * populations + member)
    label, member = np.divmod(pins, populations)
    label, group, sizes = np.unique(label, return_inverse=True, return_counts=True)
    at = label // max(len(tables.routes), 1)
    passing = np.bincount(at, sizes, minlength=tables.routers)
    back = np.argsort(member, kind="stable")
    return _Groups(
        np.concatenate([[0], np.cumsum(sizes)]),
        member,
        passing[at] - sizes,
        np.concatenate([[0], np.cumsum(np.bincount(member, minlength=populations))]),
        group[back],
    )


def _codes(groups: _Groups, populations: int, room: int, seed: int) -> tuple[Longs, int]:
    """Return (populations,) different codes of at most ``room`` bits, and their number of bits.

    The lowest bits number the populations that no cut separates. There are as many cuts as leave
    room for these bits.
    """
    best = np.arange(populations)
    width = _bits(populations)
    code = np.zeros(populations, np.int64)
    fixed = np.zeros(groups.first.size - 1, np.int64)
    state = np.full(1, seed, np.uint64)
    for cuts in range(1, room):
        side = _cut(groups, fixed, state)
        code = code << 1 | side
        order = np.argsort(code, kind="stable")
        same = np.concatenate([[0], np.cumsum(np.diff(code[order]) != 0)])
        number = np.arange(populations) - np.searchsorted(same, same)
        low = _bits(int(number.max()) + 1)
        if cuts + low > room:
            break
        if cuts + low >= width:
            width = cuts + low
            best = np.empty(populations, np.int64)
            best[order] = code[order] << low | number
    return best, width


def _bits(count: int) -> int:
    return max(count - 1, 0).bit_length()


@compiled
def _cut(groups: _Groups, fixed: Longs, state: npt.NDArray[np.uint64]) -> Longs:
    """Return (populations,) 0 or 1. ``fixed`` (groups,), updated: cuts that keep a group whole."""
    first, member, others, of_first, of = groups
    populations = of_first.size - 1
    many = first.size - 1
    side = np.empty(populations, np.int64)
    for p in range(populations):
        state[0] = state[0] * np.uint64(6364136223846793005) + np.uint64(
            1442695040888963407
        )  # Knuth's MMIX
        side[p] = np.int64(state[0] >> np.uint64(63))
    ones = np.zeros(many, np.int64)
    weight = np.zeros(many)
    most = 1
    for g in range(many):
        size = first[g + 1] - first[g]
        most = max(most, size)
        for i in range(first[g], first[g + 1]):
            ones[g] += side[member[i]]
        if size > 1:
            weight[g] = others[g] * 0.5 ** fixed[g] / size
    torn = np.sqrt(np.arange(most + 1))  # the cost of n members on the smaller side
    total = side.sum()
    for _ in range(SWEEPS):
        moved = False
        for p in range(populations):
            step = 1 - 2 * side[p]
            skew = abs(2 * (total + step) - populations)
            if skew > 2 * SLACK * populations + 1 and skew > abs(2 * total - populations):
                continue
            gain = 0.0
            for i in range(of_first[p], of_first[p + 1]):
                g = of[i]
                size = first[g + 1] - first[g]
                after = ones[g] + step
                gain += weight[g] * (
                    torn[min(ones[g], size - ones[g])] - torn[min(after, size - after)]
                )
            if gain > 1e-9:
                moved = True
                side[p] += step
                total += step
                for i in range(of_first[p], of_first[p + 1]):
                    ones[of[i]] += step
        if not moved:
            break
    for g in range(many):
        fixed[g] += ones[g] == 0 or ones[g] == first[g + 1] - first[g]
    return side
