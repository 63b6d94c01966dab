"""Neurons that belong together get consecutive places, where that means fewer messages.

Parts on cores are ranges of a process's neurons. The order of the neurons in a process is free
where all its synapses are in lists or matrices. Everything that the compiler writes about a neuron
follows ``Piece.index``, so the order changes there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from nirc.backends.loihi2.lower import Lowered, lower
from nirc.chip.backend import Search
from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import NeuronsRegrouped
from nirc.ir.program import Program
from nirc.mapping.partition import Cores, Partition, PartitionError, Problem, partition
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.order import Order, in_order, orders

ROUNDS = 4  # of fewer cores and new groups
Problems = Callable[[Lowered], tuple[Problem, Cores]]


@dataclass(frozen=True)
class Ordered:
    """A network in an order, and its parts.

    ``order``: the model's number of each neuron, by process. Without an entry the order is the
    model's.
    """

    order: dict[str, Ints]
    lowered: Lowered
    partition: Partition


def regrouped(
    program: Program,
    lowered: Lowered,
    found: Partition,
    problems: Problems,
    search: Search,
    log: Log,
) -> tuple[Lowered, Partition]:
    """Return the network in the order with the fewest cores, and then the least traffic.

    Report a new order (P323).
    """
    best = _with_less_traffic(program, Ordered({}, lowered, found), problems, search)
    for _ in range(ROUNDS):
        packed = _on_fewer_cores(best, problems, search)
        if packed is None:
            break
        best = _with_less_traffic(program, packed, problems, search)  # fewer cores, other groups
    if best.order:
        names = [name for name in lowered.pieces if _moved(name, lowered, best.lowered)]
        log.add(
            NeuronsRegrouped(
                populations=names,
                before=found.traffic,
                after=best.partition.traffic,
                cores_before=found.count,
                cores=best.partition.count,
            )
        )
    return best.lowered, best.partition


def _with_less_traffic(
    program: Program, known: Ordered, problems: Problems, search: Search
) -> Ordered:
    """Return the first order with less traffic on no more cores than ``known``, or ``known``."""
    best = known
    for changed in orders(known.partition, effort=search.effort, seed=search.seed):
        order = dict(known.order)
        for i, new in changed.items():
            name = known.partition.problem.populations[i].name
            order[name] = order[name][new.neurons] if name in order else new.neurons
        other = lower(program, order)
        for answer in _answers(known.partition, *problems(other), changed, search):
            if answer.count <= best.partition.count and answer.traffic < best.partition.traffic:
                best = Ordered(order, other, answer)
        if best is not known:
            break
    return best


def _on_fewer_cores(known: Ordered, problems: Problems, search: Search) -> Ordered | None:
    """Return the same order on fewer cores, or None.

    Neurons that share their inputs need less memory together, so that cores may have room left.
    """
    found = known.partition
    if not known.order:
        return None
    needed = -(-found.usage.sum(axis=0) // np.maximum(found.cores.capacity, 1))
    if int(needed.max(initial=0)) >= found.count:
        return None
    problem, cores = problems(known.lowered)
    try:
        packed = partition(problem, cores, effort=search.effort, seed=search.seed)
    except PartitionError:
        return None
    return replace(known, partition=packed) if packed.count < found.count else None


def _moved(population: str, lowered: Lowered, other: Lowered) -> bool:
    """Return True if neurons of the population have other places in ``other``."""
    pieces = zip(lowered.pieces[population], other.pieces[population], strict=True)
    return any(
        (piece.index != new.index).any() or (piece.places != new.places).any()
        for piece, new in pieces
    )


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
