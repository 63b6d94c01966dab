"""Inputs for calibration: three quarters of the given inputs, and mixed, random and clear inputs.

The model answers any input. So inputs need no labels and may be generated. Given samples are often
few, or of one class. A chip that agrees with the model on inputs of every rate, and on inputs that
every output wins clearly (``clear``), also agrees on the missing classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.calibration.clear import Answers, clear
from nirc.calibration.random_inputs import Rng, mixtures, random_inputs
from nirc.ir.arrays import Int

MOST_GIVEN = 256  # given samples that are used
WORTH = 64  # given samples with the same weight as all generated samples


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
    both = [np.concatenate([h, *_made_up(h, rng, counts, answers)]) for h in halves]
    return Samples(both[0], both[1], len(halves[0]), len(halves[1]), counts.clear)


def _made_up(given: Int, rng: Rng, counts: Counts, answers: Answers) -> tuple[Int, Int, Int]:
    mixed = mixtures(given, rng, counts.mixed)
    random = random_inputs(given, rng, counts.random)
    return mixed, random, clear(given, rng, counts.clear, answers)
