"""Inputs to calibrate with: three quarters of the given ones, mixtures of them, random ones, and clear ones.

The model answers to any input, so inputs need no labels and may be made up. Given samples are often few, or of one
class; a chip that answers as the model did to inputs of every rate, and to such that every output wins clearly
(``clear``), does so on the classes that were missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.clear import Answers, clear
from nirc.calibration.random_inputs import Rng, mixtures, random_inputs
from nirc.ir.arrays import Int

MOST_GIVEN = 256  # samples looked at
WORTH = 64  # given samples that count as much as all made-up ones


@dataclass(frozen=True)
class Counts:
    """How many are made up for either part: recombinations, random ones, clear ones."""

    mixed: int
    random: int
    clear: int


@dataclass(frozen=True)
class Samples:
    """(samples, steps, channels) each; the first ``given`` of each are as they were given, the last ``clear`` clear."""

    fit: Int
    judge: Int
    fit_given: int
    judge_given: int
    clear: int


def given_share(given: int) -> float:
    """Weight of so many given samples against the made-up ones: they are what the network is for, but may be few."""
    return given / (given + WORTH)


def samples(inputs: NDArray[np.generic], rng: Rng, counts: Counts, answers: Answers) -> Samples:
    """Three quarters of the given ``inputs`` to fit with, the others to judge by, each with made-up ones.

    At most ``MOST_GIVEN`` of the given ones, evenly chosen. ``answers``: the model's sums of its outputs.
    """
    index = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), MOST_GIVEN)).round().astype(np.int64))
    given = inputs[index].astype(np.int64)
    seen = np.arange(len(given)) % 4 == 1
    halves = (given[~seen], given[seen]) if seen.any() else (given, given)
    made = [np.concatenate([h, *_made_up(h, rng, counts, answers)]) for h in halves]
    return Samples(made[0], made[1], len(halves[0]), len(halves[1]), counts.clear)


def _made_up(given: Int, rng: Rng, counts: Counts, answers: Answers) -> tuple[Int, Int, Int]:
    mixed, random = mixtures(given, rng, counts.mixed), random_inputs(given, rng, counts.random)
    return mixed, random, clear(given, rng, counts.clear, answers)
