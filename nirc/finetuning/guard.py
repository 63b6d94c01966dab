"""The guard of `nirc fit`: does one chip show on samples held aside that it is the better one?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nirc.analysis.judging import chance, lost_answers
from nirc.finetuning.learning import Grade
from nirc.finetuning.lessons import Exam
from nirc.ir.arrays import Float

NOISE = 1.0  # standard errors that a difference may have by chance
# The chance of a gain that is none. A chip that is as good as the calibrated one is written no more
# often. Nearer spikes alone are not better: jv_ff on Speck came from distance .14 to .09, and its
# answers to other samples did not gain (benchmarks/fit.py).
CHANCE = 0.01
# Candidates that are judged. The best few differ by the noise of the samples to stop by.
TRIES = 3


def better(after: Grade, before: Grade, exam: Exam) -> bool:
    """Return True if ``after`` shows that it is better than ``before``, and is nowhere worse.

    Either answers are won beyond chance. Or the spikes come nearer beyond chance, and more answers
    are won than lost. In both cases each part and all are answered no worse, as ``nirc verify``
    judges: the given samples, these with the inputs near them, and the clear inputs. Where samples
    do not decide, mistakes grow by no more than their noise. With more mistakes on the given
    samples, these have to be nearer.
    """
    given, clear = exam.given, exam.clear
    won = before.wrong - after.wrong
    nearer = before.distance - after.distance
    error = float(nearer.std()) / math.sqrt(max(1, nearer.size))
    first = len(won) - clear
    parts = (won[:given], won[:first], won[first:])
    kept = all(lost_answers(-part).passes(NOISE) for part in (*parts, won))
    as_near = float(won[:given].sum()) >= 0 or float(nearer[:given].mean()) > 0
    if not kept or not as_near:
        return False
    if gain_by_chance(won, nearer, exam) <= CHANCE / TRIES:
        return float(nearer.mean()) > NOISE * error or is_gain(won)
    return float(won.sum()) > 0 and nearer_by_chance(nearer, exam) <= CHANCE / TRIES


def may_gain(before: Grade, exam: Exam) -> bool:
    """Return True if there are answers to win, or with one output spikes that may come nearer.

    Otherwise learning is work for nothing.
    """
    return bool((before.wrong if exam.expected.shape[2] > 1 else before.distance).any())


def gain_by_chance(won: Float, nearer: Float, exam: Exam) -> float:
    """Return the chance of answers ``won`` if neither chip is better.

    That is of two tests, near the given samples and on the clear inputs. Inputs near one
    sample are many and count as one, so together with them the clear ones would not count. A model
    with one output has no answers. There the spikes count.
    """
    if exam.expected.shape[2] == 1:
        return nearer_by_chance(nearer, exam)
    return _by_chance([chance(won[part], exam.unit[part]) for part in _parts(exam)])


def nearer_by_chance(nearer: Float, exam: Exam) -> float:
    """Return the chance that as many units come ``nearer`` if neither chip is.

    It is of two tests, as in ``gain_by_chance``. A unit comes nearer or does not.
    """
    chances = []
    for part in _parts(exam):
        each, number = np.unique(exam.unit[part], return_inverse=True)
        chances.append(chance(np.sign(np.bincount(number.ravel(), nearer[part])), each))
    return _by_chance(chances)


def _parts(exam: Exam) -> list[slice]:
    """Return what is near the given samples, with these, and the clear inputs if there are any."""
    first = len(exam.inputs) - exam.clear
    return [slice(first), slice(first, None)] if exam.clear else [slice(first)]


def _by_chance(chances: Sequence[float]) -> float:
    """Return the chance that any of several tests shows as little chance as the least of them.

    Source: C. E. Bonferroni's inequality.
    """
    return min(1.0, len(chances) * min(chances))


def is_gain(won: Float) -> bool:
    """Return True if the confidence sequence shows that answers are won."""
    return lost_answers(-won).interval[1] < 0
