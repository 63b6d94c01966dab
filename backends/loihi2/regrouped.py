"""Neurons that belong together get consecutive places, where that means fewer messages.

Parts on cores are ranges of a process's neurons. The order of the neurons in a process is free
where all its synapses are in lists or matrices. Everything that the compiler writes about a neuron
follows ``Piece.index``, so the order changes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from nirc.backends.loihi2.lower import Lowered, lower
from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import NeuronsRegrouped
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
    log: Log,
) -> tuple[Lowered, Partition]:
    """Return the network in the order with the least traffic on no more cores than ``found``.

    Report a new order (P323).
    """
    best = lowered, found
    for changed in orders(found, effort=search.effort, seed=search.seed):
        order = {found.problem.populations[i].name: new.neurons for i, new in changed.items()}
        other = lower(program, order)
        for answer in _answers(found, *problems(other), changed, search):
            if answer.count <= best[1].count and answer.traffic < best[1].traffic:
                best = other, answer
        if best[0] is other:
            names = [name for name in lowered.pieces if _moved(name, lowered, other)]
            after = best[1].traffic
            log.add(NeuronsRegrouped(populations=names, before=found.traffic, after=after))
            break
    return best


def _moved(population: str, lowered: Lowered, other: Lowered) -> bool:
    """Return True if neurons of the population have other places in ``other``."""
    pieces = zip(lowered.pieces[population], other.pieces[population], strict=True)
    return any((piece.index != new.index).any() for piece, new in pieces)


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
