"""Settings of neurons without slopes, such as Speck's lower bound: a search by the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nirc.ir.populations import Population
from nirc.ir.program import Program

Others = Callable[[str, Population[Any]], Sequence[Population[Any]]]  # of a population by name
Loss = Callable[[Program], float]  # what is to be small

PASSES = 2  # over all populations
GAIN = 0.98  # of the loss: a setting that is kept has less
NEAR = 0.1  # loss of a chip that needs no other settings


def with_best_settings(start: Program, others: Others, loss: Loss, tries: int) -> Program:
    """Return ``start`` with the settings of least loss, ``start`` itself if it has it.

    First all populations change together, then one after the other. A setting of one layer alone
    may look worse than it is, because the layers before it still fire too much. ``tries``: the
    most settings whose loss is looked at.
    """
    if not any(others(name, p) for name, p in start.nodes(Population).items()):
        return start
    search = _Search(start, others, loss, tries)
    if search.least > NEAR:
        for nodes in search.together():
            search.try_(nodes)
        for _ in range(PASSES):
            search.one_by_one()
    return search.best


class _Search:
    """The best program so far, its loss, and the tries that are left."""

    def __init__(self, start: Program, others: Others, loss: Loss, tries: int) -> None:
        self.others = others
        self.loss = loss
        self.names = list(start.nodes(Population))
        self.best = start
        self.least = loss(start)
        self.left = tries

    def together(self) -> Iterator[dict[str, Population[Any]]]:
        """Yield all populations with their first settings, with their second, and so on."""
        settings = {name: self.others(name, self.best[name]) for name in self.names}
        for number in range(max(len(each) for each in settings.values())):
            yield {n: each[number] for n, each in settings.items() if number < len(each)}

    def one_by_one(self) -> None:
        """Try the settings of each population."""
        for name in self.names:
            for other in self.others(name, self.best[name]):
                self.try_({name: other})

    def try_(self, nodes: dict[str, Population[Any]]) -> None:
        """Keep other populations if they are nearer to the model."""
        if self.left <= 0:
            return
        self.left -= 1
        tried = self.best.mapped(nodes)
        loss = self.loss(tried)
        if loss < GAIN * self.least:
            self.best, self.least = tried, loss
