"""Clear inputs: for every output, some inputs with this output as the clear winner.

Random inputs are bred. The clearest inputs of each winner are kept and recombined with others of
the same winner. Inputs with a clear answer are nearer to the training data of the network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nirc.calibration.random_inputs import (
    HALF,
    Rng,
    mixtures,
    one_after_another,
    random_inputs,
    some_channels,
)
from nirc.ir.arrays import Float, Int

Answers = Callable[[Int], Float]  # inputs (samples, steps, channels) -> (samples, outputs)

GENERATIONS = 3
POOL = 3  # random inputs to begin with, for each wanted input (and one mixture)
MOSTLY = 0.8  # share of channels that stay in a cross of two winners
SMALL_COUNT = 4.0  # spikes: a lead of one spike over fewer is not clear


def clear(given: Int, rng: Rng, count: int, answers: Answers) -> Int:
    """Return (count, steps, channels), equally many for each output if possible."""
    if not count:
        return given[:0]
    pool = np.concatenate([random_inputs(given, rng, POOL * count), mixtures(given, rng, count)])
    pool, sums = _best(pool, answers(pool), count)
    for _ in range(GENERATIONS):
        children = _children(pool, sums.argmax(axis=1), rng)
        pool, sums = _best(
            np.concatenate([pool, children]), np.concatenate([sums, answers(children)]), count
        )
    return pool


def _children(pool: Int, winner: Int, rng: Rng) -> Int:
    """Return a child for each input.

    The child is a cross with another input of the same winner, by channels or in time, or a cross
    with some channels of any input.
    """
    children = np.empty_like(pool)
    for k, one in enumerate(pool):
        kin = pool[rng.choice(np.flatnonzero(winner == winner[k]))]
        kind = rng.integers(3)
        if kind == 0:
            children[k] = some_channels(one, kin, rng, HALF)
        elif kind == 1:
            children[k] = some_channels(one, pool[rng.integers(len(pool))], rng, MOSTLY)
        else:
            children[k] = one_after_another(one, kin, rng)
    return children


def _best(pool: Int, sums: Float, count: int) -> tuple[Int, Float]:
    """Return the clearest inputs of each winner, equally many for each if possible."""
    kept = clearest(sums, count)
    return pool[kept], sums[kept]


def clearest(sums: Float, count: int) -> Int:
    """Return the places of ``count`` rows of ``sums`` (samples, outputs), in their order."""
    ordered = np.sort(sums, axis=1)
    lead = (
        ordered[:, -1]
        if sums.shape[1] == 1
        else (ordered[:, -1] - ordered[:, -2]) / (np.abs(ordered[:, -1]) + SMALL_COUNT)
    )
    order = np.argsort(-lead, kind="stable")
    winner = sums.argmax(axis=1)
    place = np.empty(len(sums), np.int64)  # among those of the same winner
    for w in np.unique(winner):
        rows = order[winner[order] == w]
        place[rows] = np.arange(len(rows))
    return np.sort(np.argsort(place, kind="stable")[:count])
