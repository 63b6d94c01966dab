"""Settings of neurons without slopes, such as Speck's lower bound: a search before the learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nirc.chip.training import Training
from nirc.finetuning.learning import Grade, examined
from nirc.finetuning.lessons import Exam
from nirc.ir.populations import Population
from nirc.ir.program import Program

PASSES = 2  # over all populations
GAIN = 0.98  # of the loss: a setting that is kept has less


def with_best_settings(start: Program, training: Training, exam: Exam) -> Program:
    """Return ``start`` with the settings that come nearest to the model, ``start`` if it does.

    First all populations change together, then one after the other. A setting of one layer alone
    may look worse than it is, because the layers before it still fire too much.
    """
    best = start
    least = _loss(examined(start, exam))
    for nodes in _together(start, training):
        best, least = _better(best, least, training.changed(start.mapped(nodes), {}), exam)
    for _ in range(PASSES):
        before = least
        for name in start.nodes(Population):
            for other in training.settings(best[name]):
                tried = training.changed(best.mapped({name: other}), {})
                best, least = _better(best, least, tried, exam)
        if least == before:
            break
    return best


def _together(start: Program, training: Training) -> Iterator[dict[str, Population[Any]]]:
    """Yield the populations with their first settings, with their second, and so on."""
    settings = {n: training.settings(p) for n, p in start.nodes(Population).items()}
    for number in range(max((len(each) for each in settings.values()), default=0)):
        yield {n: each[number] for n, each in settings.items() if number < len(each)}


def _better(best: Program, least: float, tried: Program, exam: Exam) -> tuple[Program, float]:
    """Return the nearer of two programs, and its loss."""
    loss = _loss(examined(tried, exam))
    return (tried, loss) if loss < GAIN * least else (best, least)


def _loss(grade: Grade) -> float:
    """Return what is to be small. Large distances count by their logarithm."""
    return float(np.log1p(grade.distance).mean() + grade.wrong.mean())
