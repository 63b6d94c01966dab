"""Inputs for calibration: three quarters of the given inputs, and mixed, random and clear inputs.

The model answers any input. So inputs need no labels and may be generated. Given samples are often
few, or of one class. A chip that agrees with the model on inputs of every rate, and on inputs that
every output wins clearly (``clear``), also agrees on the missing classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float, Int

Rng = np.random.Generator
Answers = Callable[[Int], Float]  # inputs (samples, steps, channels) -> (samples, outputs)

MOST_GIVEN = 256  # given samples that are used
WORTH = 64  # given samples with the same weight as all generated samples

# Mixtures, bursts and waves.
HALF = 0.5
RATES = (0.02, 0.6)  # spikes per channel and step in bursts, as mean over the channels
SPREAD = 0.5  # of the logarithm of a channel's rate, and of its change over time
LONGEST_BURST = 30  # steps for which a rate stays
MOST_RATE = 0.98
FACTORS = 3  # at most, waves that the channels share
PERIODS = (5.6, 2.0)  # of a wave: shortest in steps, longest in lengths of a sample
TOPS = (0.2, 1.0)  # rate of a channel at the top of its waves

# Clear inputs.
GENERATIONS = 3
POOL = 3  # random inputs to begin with, for each wanted input (and one mixture)
MOSTLY = 0.8  # share of channels that stay in a cross of two winners
SMALL_COUNT = 4.0  # spikes: a lead of one spike over fewer is not clear


@dataclass(frozen=True)
class Counts:
    """Numbers of generated samples for fitting, and for judging."""

    mixed: int
    random: int
    clear: int


@dataclass(frozen=True)
class Samples:
    """(samples, steps, channels) each: first the given samples, last ``clear`` clear samples."""

    fit: Int
    judge: Int
    fit_given: int
    judge_given: int
    clear: int


def given_share(given: int) -> float:
    """Return the weight of given samples against generated samples.

    Given samples are those that the network is for, but they may be few.
    """
    return given / (given + WORTH)


def samples(inputs: NDArray[np.generic], rng: Rng, counts: Counts, answers: Answers) -> Samples:
    """Return three quarters of ``inputs`` to fit, the others to judge, each with generated samples.

    At most ``MOST_GIVEN`` given samples are used, evenly chosen. ``answers``: the model's summed
    outputs.
    """
    index = np.unique(
        np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_GIVEN)).round().astype(np.int64)
    )
    given = inputs[index].astype(np.int64)
    seen = np.arange(len(given)) % 4 == 1
    halves = (given[~seen], given[seen]) if seen.any() else (given, given)
    fit, judge = (np.concatenate([h, *_generated(h, rng, counts, answers)]) for h in halves)
    return Samples(fit, judge, len(halves[0]), len(halves[1]), counts.clear)


def _generated(given: Int, rng: Rng, counts: Counts, answers: Answers) -> tuple[Int, Int, Int]:
    mixed = mixtures(given, rng, counts.mixed)
    random = random_inputs(given, rng, counts.random)
    return mixed, random, clear(given, rng, counts.clear, answers)


def mixtures(given: Int, rng: Rng, count: int) -> Int:
    """Return (count, steps, channels) mixtures of four kinds in turn.

    Channels are permuted, half of the channels come from another sample, one sample follows
    another, or spikes are lost.
    """
    samples, steps, channels = given.shape
    mixed = np.zeros((count, steps, channels), np.int64)
    for k in range(count):
        one = given[rng.integers(samples)]
        two = given[rng.integers(samples)]
        if k % 4 == 0:
            mixed[k] = one[:, rng.permutation(channels)]
        elif k % 4 == 1:
            mixed[k] = some_channels(one, two, rng, HALF)
        elif k % 4 == 2:
            mixed[k] = one_after_another(one, two, rng)
        else:
            mixed[k] = one * (rng.random((steps, channels)) < rng.uniform(HALF, 1.0))
    return mixed


def some_channels(one: Int, two: Int, rng: Rng, share: float) -> Int:
    """Take a ``share`` of the channels from ``one`` and the rest from ``two``."""
    return np.where(rng.random(one.shape[1]) < share, one, two)


def one_after_another(one: Int, two: Int, rng: Rng) -> Int:
    """Return the end of ``one``, then the beginning of ``two``."""
    cut = int(rng.integers(one.shape[0]))
    return np.concatenate([one[cut:], two[:cut]])


def random_inputs(given: Int, rng: Rng, count: int) -> Int:
    """Return (count, steps, channels) bursts and waves, with counts up to the largest given."""
    _, steps, channels = given.shape
    largest = max(1, int(given.max(initial=0)))
    inputs = np.zeros((count, steps, channels), np.int64)
    for k in range(count):
        chance = (_bursts if k % 2 else _waves)(steps, channels, rng)
        inputs[k] = rng.random((steps, channels)) < chance
        if largest > 1:
            inputs[k] *= rng.integers(1, largest + 1, (steps, channels))
    return inputs


def _bursts(steps: int, channels: int, rng: Rng) -> Float:
    """Return rates (steps, channels), separate for each channel and new with each burst."""
    low = np.log2(RATES[0])
    high = np.log2(RATES[1])
    rate = 2.0 ** (rng.uniform(low, high) + SPREAD * 1.5 * rng.standard_normal(channels))
    length = int(rng.integers(5, LONGEST_BURST))
    bursts = -(-steps // length)
    change = 2.0 ** (SPREAD * 3.0 * rng.random() * rng.standard_normal((bursts, channels)))
    return np.minimum(rate * np.repeat(change, length, axis=0)[:steps], MOST_RATE)


def _waves(steps: int, channels: int, rng: Rng) -> Float:
    """Return rates (steps, channels) that rise and fall with shared waves, in phase or against."""
    factors = int(rng.integers(1, FACTORS + 1))
    period = 2.0 ** rng.uniform(
        np.log2(PERIODS[0]), np.log2(max(PERIODS[0], PERIODS[1] * steps)), factors
    )
    wave = np.sin(2 * np.pi * (np.arange(steps)[:, None] / period + rng.random(factors)))
    mix = rng.standard_normal((factors, channels)) * 2.0 ** rng.uniform(-1.0, 1.5)
    base = rng.normal(-1.0, 1.0) + rng.standard_normal(channels) * rng.uniform(0.0, 2.0)
    chance: Float = rng.uniform(*TOPS) / (1.0 + np.exp(-(base + wave @ mix)))
    return chance


def clear(given: Int, rng: Rng, count: int, answers: Answers) -> Int:
    """Return (count, steps, channels), with each output as the clear winner equally often.

    Random inputs are bred. The clearest inputs of each winner are kept and recombined with others
    of the same winner. Such inputs are nearer to the training data of the network.
    """
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
    """Return a cross of each input with one of the same winner, or with channels of any input."""
    children = np.empty_like(pool)
    for k, one in enumerate(pool):
        relative = pool[rng.choice(np.flatnonzero(winner == winner[k]))]
        kind = rng.integers(3)
        if kind == 0:
            children[k] = some_channels(one, relative, rng, HALF)
        elif kind == 1:
            children[k] = some_channels(one, pool[rng.integers(len(pool))], rng, MOSTLY)
        else:
            children[k] = one_after_another(one, relative, rng)
    return children


def _best(pool: Int, sums: Float, count: int) -> tuple[Int, Float]:
    """Return the clearest inputs of each winner, equally many for each if possible."""
    kept = clearest(sums, count)
    return pool[kept], sums[kept]


def clearest(sums: Float, count: int) -> Int:
    """Return the places of ``count`` rows of ``sums`` (samples, outputs), in their order."""
    ordered = np.sort(sums, axis=1)
    lead = ordered[:, -1]
    if sums.shape[1] > 1:
        lead = (lead - ordered[:, -2]) / (np.abs(lead) + SMALL_COUNT)
    order = np.argsort(-lead, kind="stable")
    winner = sums.argmax(axis=1)
    place = np.empty(len(sums), np.int64)  # among those of the same winner
    for w in np.unique(winner):
        rows = order[winner[order] == w]
        place[rows] = np.arange(len(rows))
    return np.sort(np.argsort(place, kind="stable")[:count])
