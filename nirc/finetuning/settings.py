"""Settings of neurons without slopes, such as Speck's lower bound: a search before the learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nirc.chip.training import Training
from nirc.finetuning.learning import WORK, cost_of, examined
from nirc.finetuning.lessons import Exam
from nirc.ir.populations import Population
from nirc.ir.program import Program

PASSES = 2  # over all populations
GAIN = 0.98  # of the loss: a setting that is kept has less
NEAR = 0.1  # loss of a chip that needs no other settings


def with_best_settings(start: Program, training: Training, exam: Exam) -> Program:
    """Return ``start`` with the settings that come nearest to the model, ``start`` if it does.

    First all populations change together, then one after the other. A setting of one layer alone
    may look worse than it is, because the layers before it still fire too much.
    """
    search = _Search(start, training, exam)
    if search.least > NEAR:
        for nodes in search.together():
            search.try_(nodes)
        for _ in range(PASSES):
            search.one_by_one()
    return search.best


class _Search:
    """The best program so far, its loss, and the examinations that the work still allows."""

    def __init__(self, start: Program, training: Training, exam: Exam) -> None:
        self.training = training
        self.exam = exam
        self.names = list(start.nodes(Population))
        self.best = start
        self.least = self._loss(start)
        cost = len(exam.inputs) * cost_of(start, exam.inputs.shape[1])
        self.left = max(1, int(WORK // cost))

    def together(self) -> Iterator[dict[str, Population[Any]]]:
        """Yield all populations with their first settings, with their second, and so on."""
        settings = {name: self.training.settings(self.best[name]) for name in self.names}
        for number in range(max((len(each) for each in settings.values()), default=0)):
            yield {n: each[number] for n, each in settings.items() if number < len(each)}

    def one_by_one(self) -> None:
        """Try the settings of each population."""
        for name in self.names:
            for other in self.training.settings(self.best[name]):
                self.try_({name: other})

    def try_(self, nodes: dict[str, Population[Any]]) -> None:
        """Keep other populations if they are nearer to the model."""
        if self.left <= 0:
            return
        self.left -= 1
        tried = self.training.changed(self.best.mapped(nodes), {})
        loss = self._loss(tried)
        if loss < GAIN * self.least:
            self.best, self.least = tried, loss

    def _loss(self, program: Program) -> float:
        """Return what is to be small. Large distances count by their logarithm."""
        grade = examined(program, self.exam)
        return float(np.log1p(grade.distance).mean() + grade.wrong.mean())
