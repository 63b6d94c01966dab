"""Inputs to calibrate with: half of the given ones, mixtures of them, and random ones of every rate.

The model answers to any input, so inputs need no labels and may be made up. Given samples are often few, or of one
class; a chip that answers as the model did to random inputs of every rate does so on the classes that were missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Int

Rng = np.random.Generator

MOST_GIVEN = 256  # samples looked at
RATES = (0.02, 0.6)  # spikes of a channel and step in a random sample, on average over its channels
HALF = 0.5
JUDGED_MORE = 2  # times as many made-up samples to judge by: to run them is cheap
import os

WORTH = float(os.environ.get("WORTH", 16))  # given samples that count as much as all made-up ones
SPREAD = 0.5  # of the logarithm of a channel's rate, and of its change over time
LONGEST_BURST = 30  # steps for which a rate stays


@dataclass(frozen=True)
class Samples:
    """(samples, steps, channels) each; the first ``given`` of each are as they were given."""

    fit: Int
    judge: Int
    fit_given: int
    judge_given: int


def given_share(given: int) -> float:
    """Weight of so many given samples against the made-up ones: they are what the network is for, but may be few."""
    return given / (given + WORTH)


DREAM = float(os.environ.get("DREAM", 0))
GENS = int(os.environ.get("GENS", 3))


def dreamed(given: Int, rng: Rng, count: int, answer) -> Int:
    """Random inputs of which each output wins some, clearly."""
    pool = np.concatenate([random_rates(given, rng, 3 * count), mixtures(given, rng, count)])
    scores = answer(pool)
    keep = _clearest(scores, count)
    pool, scores = pool[keep], scores[keep]
    for _ in range(GENS):
        winner = scores.argmax(axis=1)
        kids = np.empty_like(pool)
        for i in range(count):
            same = np.flatnonzero(winner == winner[i])
            one, two = pool[i], pool[rng.choice(same)]
            kind = rng.integers(3)
            if kind == 0:
                kids[i] = np.where(rng.random(one.shape[1]) < HALF, one, two)
            elif kind == 1:
                other = pool[rng.integers(count)]
                kids[i] = np.where(rng.random(one.shape[1]) < 0.8, one, other)
            else:
                cut = int(rng.integers(one.shape[0]))
                kids[i] = np.concatenate([one[cut:], two[:cut]])
        both, told = np.concatenate([pool, kids]), np.concatenate([scores, answer(kids)])
        keep = _clearest(told, count)
        pool, scores = both[keep], told[keep]
    return pool


def _clearest(scores, count: int):
    """Places of ``count`` rows: of each winner the same number, as far as there are, the clearest first."""
    ordered = np.sort(scores, axis=1)
    margin = (ordered[:, -1] - ordered[:, -2]) / (ordered[:, -1] + 4.0) if scores.shape[1] > 1 else ordered[:, -1]
    winner = scores.argmax(axis=1)
    rank = np.zeros(len(scores), np.int64)
    order = np.argsort(-margin, kind="stable")
    seen = np.zeros(scores.shape[1], np.int64)
    for i in order:
        rank[i] = seen[winner[i]]
        seen[winner[i]] += 1
    return np.sort(np.argsort(rank, kind="stable")[:count])


def samples(inputs: NDArray[np.generic], rng: Rng, *, mixed: int, random: int, answer=None) -> Samples:
    """Three quarters of the given ``inputs`` to fit with, the others to judge by, each with made-up ones.

    ``mixed``: recombinations; ``random``: random samples. At most ``MOST_GIVEN`` of the given ones, evenly chosen.
    """
    index = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_GIVEN)).round().astype(np.int64))
    given = inputs[index].astype(np.int64)
    seen = np.arange(len(given)) % 4 == 1
    halves = (given[~seen], given[seen]) if seen.any() else (given, given)
    made = [
        np.concatenate([h, mixtures(h, rng, times * mixed), random_rates(h, rng, int(times * random * (1 - DREAM)))]
            + ([dreamed(h, rng, int(times * random * DREAM), answer)] if DREAM else []))
        for h, times in zip(halves, (1, JUDGED_MORE), strict=True)
    ]
    return Samples(made[0], made[1], len(halves[0]), len(halves[1]))


def mixtures(given: Int, rng: Rng, count: int) -> Int:
    """In turn: channels permuted; half of the channels from another sample; one sample after another; spikes lost."""
    samples, steps, channels = given.shape
    made = np.zeros((count, steps, channels), np.int64)
    for k in range(count):
        one, two = given[rng.integers(samples)], given[rng.integers(samples)]
        if k % 4 == 0:
            made[k] = one[:, rng.permutation(channels)]
        elif k % 4 == 1:
            made[k] = np.where(rng.random(channels) < HALF, one, two)
        elif k % 4 == 2:
            cut = int(rng.integers(steps))
            made[k] = np.concatenate([one[cut:], two[:cut]])
        else:
            made[k] = one * (rng.random((steps, channels)) < rng.uniform(HALF, 1.0))
    return made


def random_rates(given: Int, rng: Rng, count: int) -> Int:
    """Each channel with a rate of its own that changes from burst to burst; counts up to the largest given one."""
    import os

    if os.environ.get("LATENT"):
        k = int(count * float(os.environ["LATENT"]))
        return np.concatenate([latent(given, rng, k), random_rates_(given, rng, count - k)])
    return random_rates_(given, rng, count)


def latent(given: Int, rng: Rng, count: int) -> Int:
    _, steps, channels = given.shape
    largest = max(1, int(given.max(initial=0)))
    made = np.zeros((count, steps, channels), np.int64)
    time = np.arange(steps)
    for k in range(count):
        factors = int(rng.integers(1, 4))
        z = np.zeros((factors, steps))
        for f in range(factors):
            period = 2.0 ** rng.uniform(2.5, np.log2(2 * steps))
            z[f] = np.sin(2 * np.pi * (time / period + rng.random()))
        mix = rng.standard_normal((channels, factors)) * 2.0 ** rng.uniform(-1, 1.5)
        base = rng.normal(-1.0, 1.0) + rng.standard_normal(channels) * rng.uniform(0, 2.0)
        top = rng.uniform(0.2, 1.0)
        chance = top / (1 + np.exp(-(base[:, None] + mix @ z)))
        made[k] = rng.random((steps, channels)) < chance.T
        if largest > 1:
            made[k] *= rng.integers(1, largest + 1, (steps, channels))
    return made


def random_rates_(given: Int, rng: Rng, count: int) -> Int:
    _, steps, channels = given.shape
    largest = max(1, int(given.max(initial=0)))
    low, high = np.log2(RATES[0]), np.log2(RATES[1])
    made = np.zeros((count, steps, channels), np.int64)
    for k in range(count):
        rate = 2.0 ** (rng.uniform(low, high) + SPREAD * 1.5 * rng.standard_normal(channels))
        length = int(rng.integers(5, LONGEST_BURST))
        bursts = -(-steps // length)
        change = 2.0 ** (SPREAD * 3.0 * rng.random() * rng.standard_normal((bursts, channels)))
        chance = np.minimum(rate * np.repeat(change, length, axis=0)[:steps], 0.98)
        made[k] = rng.random((steps, channels)) < chance
        if largest > 1:
            made[k] *= rng.integers(1, largest + 1, (steps, channels))
    return made
