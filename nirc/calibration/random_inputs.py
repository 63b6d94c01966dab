"""Generated inputs: recombinations of given inputs, and random inputs with changing rates."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float, Int

Rng = np.random.Generator

HALF = 0.5
RATES = (0.02, 0.6)  # spikes per channel and step in bursts, as mean over the channels
SPREAD = 0.5  # of the logarithm of a channel's rate, and of its change over time
LONGEST_BURST = 30  # steps for which a rate stays
MOST_RATE = 0.98
FACTORS = 3  # at most, waves that the channels share
PERIODS = (5.6, 2.0)  # of a wave: shortest in steps, longest in lengths of a sample
TOPS = (0.2, 1.0)  # rate of a channel at the top of its waves


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
