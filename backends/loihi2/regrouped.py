"""Neurons that belong together get consecutive places, where that means fewer messages.

Parts on cores are ranges of a process's neurons. The order of the neurons in a process is free
where all its synapses are in lists or matrices. Everything that the compiler writes about a neuron
follows ``Piece.index``, so the order changes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nirc.backends.loihi2.lower import Lowered, lower
from nirc.chip.backend import Search
from nirc.ir.program import Program
from nirc.mapping.partition import Cores, Partition, PartitionError, Problem, partition
from nirc.mapping.partition.order import Order, in_order, orders

Problems = Callable[[Lowered], tuple[Problem, Cores]]


def regrouped(
    program: Program,
    lowered: Lowered,
    found: Partition,
    problems: Problems,
    search: Search,
) -> tuple[Lowered, Partition]:
    """Return the network in the order with the least traffic on no more cores than ``found``."""
    best = lowered, found
    for changed in orders(found, effort=search.effort, seed=search.seed):
        names = {found.problem.populations[i].name: order.neurons for i, order in changed.items()}
        other = lower(program, names)
        for answer in _answers(found, *problems(other), changed, search):
            if answer.count <= best[1].count and answer.traffic < best[1].traffic:
                best = other, answer
        if best[0] is other:
            break
    return best


def _answers(
    found: Partition,
    problem: Problem,
    cores: Cores,
    changed: dict[int, Order],
    search: Search,
) -> Iterator[Partition]:
    """Yield the groups as they are if they fit, otherwise what the engine makes of their order."""
    direct = in_order(found, problem, cores, changed)
    if direct is not None:
        yield direct
        return
    names = {problem.populations[i].name: order.parts for i, order in changed.items()}
    for pinned in (names, {}):
        try:
            yield partition(problem, cores, pinned=pinned, effort=search.effort, seed=search.seed)
        except PartitionError:  # these groups do not fit
            continue
