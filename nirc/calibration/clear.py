"""Inputs that the model is sure of: for every output some that it wins clearly, whatever classes were given.

Random inputs are bred: the clearest of each winner are kept and recombined with others of the same winner. What a
trained network is sure of is nearer to what it was trained on than what it is not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nirc.calibration.random_inputs import HALF, Rng, mixtures, one_after_another, random_inputs, some_channels
from nirc.ir.arrays import Float, Int

Answers = Callable[[Int], Float]  # inputs (samples, steps, channels) -> (samples, outputs)

GENERATIONS = 3
POOL = 3  # random inputs to begin with, for each that is wanted; and one mixture
MOSTLY = 0.8  # of the channels stay when strangers are crossed
FEW = 4.0  # spikes: a lead of one over less than this is no clear one


def clear(given: Int, rng: Rng, count: int, answers: Answers) -> Int:
    """(count, steps, channels), as many for each output as there are."""
    if not count:
        return given[:0]
    pool = np.concatenate([random_inputs(given, rng, POOL * count), mixtures(given, rng, count)])
    pool, sums = _best(pool, answers(pool), count)
    for _ in range(GENERATIONS):
        children = _children(pool, sums.argmax(axis=1), rng)
        pool, sums = _best(np.concatenate([pool, children]), np.concatenate([sums, answers(children)]), count)
    return pool


def _children(pool: Int, winner: Int, rng: Rng) -> Int:
    """One of each: crossed with another of the same winner by channels or in time, or a little with any other."""
    made = np.empty_like(pool)
    for k, one in enumerate(pool):
        kin = pool[rng.choice(np.flatnonzero(winner == winner[k]))]
        kind = rng.integers(3)
        if kind == 0:
            made[k] = some_channels(one, kin, rng, HALF)
        elif kind == 1:
            made[k] = some_channels(one, pool[rng.integers(len(pool))], rng, MOSTLY)
        else:
            made[k] = one_after_another(one, kin, rng)
    return made


def _best(pool: Int, sums: Float, count: int) -> tuple[Int, Float]:
    """Of each winner the clearest, the same number of each as far as there are."""
    kept = clearest(sums, count)
    return pool[kept], sums[kept]


def clearest(sums: Float, count: int) -> Int:
    """Places of ``count`` rows of ``sums`` (samples, outputs), in their order."""
    ordered = np.sort(sums, axis=1)
    lead = ordered[:, -1] if sums.shape[1] == 1 else (ordered[:, -1] - ordered[:, -2]) / (np.abs(ordered[:, -1]) + FEW)
    order, winner = np.argsort(-lead, kind="stable"), sums.argmax(axis=1)
    place = np.empty(len(sums), np.int64)  # among those of the same winner
    for w in np.unique(winner):
        mine = order[winner[order] == w]
        place[mine] = np.arange(len(mine))
    return np.sort(np.argsort(place, kind="stable")[:count])
