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
WORTH = 16  # given samples that count as much as all made-up ones
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


def samples(inputs: NDArray[np.generic], rng: Rng, *, mixed: int, random: int) -> Samples:
    """Three quarters of the given ``inputs`` to fit with, the others to judge by, each with made-up ones.

    ``mixed``: recombinations; ``random``: random samples. At most ``MOST_GIVEN`` of the given ones, evenly chosen.
    """
    index = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_GIVEN)).round().astype(np.int64))
    given = inputs[index].astype(np.int64)
    seen = np.arange(len(given)) % 4 == 1
    halves = (given[~seen], given[seen]) if seen.any() else (given, given)
    made = [
        np.concatenate([h, mixtures(h, rng, times * mixed), random_rates(h, rng, times * random)])
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
