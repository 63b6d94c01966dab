"""Synapses of the model that rounding has removed. Learning may bring them back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float, frozen, frozen_integers
from nirc.ir.linear import Coo, LinearOp, Sparse, Weighted, weights_of
from nirc.ir.populations import Role
from nirc.ir.program import Program

Ends = tuple[str, str]
MOST_SYNAPSES = 1 << 22  # of a projection that is unrolled


def with_lost_synapses(integer: Program, model: Program) -> Program:
    """Return ``integer`` with the synapses of ``model`` that it lacks, with weights of 0.

    Only lists of synapses lack some. A list with weights of one sign gets synapses of this sign.
    """
    edges = list(integer.edges())
    places = _by_ends(integer)
    for ends, operators in _operators(model).items():
        numbers = places.get(ends, [])
        every = chain.from_iterable(edges[i][2].ops for i in numbers)
        lists = [op for op in every if isinstance(op, Sparse)]
        alone = all(len(edges[i][2].ops) == 1 for i in numbers)
        if len(operators) != 1 or not alone or not lists or len(lists) < len(numbers):
            continue
        if any((op.n_in, op.n_out) != (operators[0].n_in, operators[0].n_out) for op in lists):
            continue
        for number, op in zip(numbers, _completed(lists, operators[0].coo()), strict=True):
            source, target, p = edges[number]
            edges[number] = (source, target, replace(p, ops=(op,)))
    return integer.rebuilt(dict(integer.graph.nodes(data="payload")), edges)


def may_learn(op: Weighted, ends: Ends, model: Program) -> NDArray[np.bool_]:
    """Return True for the weights of ``op`` that are not 0, here or in the model."""
    value = weights_of(op)
    if isinstance(op, Sparse):
        return np.ones(value.shape, np.bool_)
    kept = value != 0
    for other in _operators(model).get(ends, []):
        if isinstance(other, Weighted) and weights_of(other).shape == value.shape:
            kept = kept | (weights_of(other) != 0)
    return np.asarray(kept)


def _by_ends(program: Program) -> dict[Ends, list[int]]:
    """Return the numbers of the projections between two nodes."""
    places: dict[Ends, list[int]] = defaultdict(list)
    for number, (source, target, _) in enumerate(program.edges()):
        places[origin_of(program, source), target].append(number)
    return places


def origin_of(program: Program, name: str) -> str:
    """Return the node whose signal ``name`` repeats, such as an input behind a relay."""
    into = program.into(name)
    while len(into) == 1 and not into[0][1].ops and program[name].role is Role.RELAY:
        name = into[0][0]
        into = program.into(name)
    return name


def _operators(model: Program) -> dict[Ends, list[LinearOp]]:
    """Return the last operator of each projection between two nodes, by these nodes."""
    found: dict[Ends, list[LinearOp]] = defaultdict(list)
    for source, target, p in model.edges():
        if p.ops and p.ops[-1].entries <= MOST_SYNAPSES:
            found[source, target].append(p.ops[-1])
    return found


def _completed(lists: Sequence[Sparse], entries: Coo) -> Iterator[Sparse]:
    """Yield the lists with the ``entries`` that no list has."""
    target, source, value = entries
    n_in = lists[0].n_in
    known = np.concatenate([op.target * n_in + op.source for op in lists])
    lost = ~np.isin(target * n_in + source, known)
    for op in lists:
        fits = lost & np.isin(np.sign(value), np.sign(op.value))
        lost = lost & ~fits
        yield _with(op, target[fits] * n_in + source[fits])


def _with(op: Sparse, places: NDArray[np.int64]) -> Sparse:
    """Return ``op`` with synapses of weight 0, in order of target and source."""
    place = np.concatenate([op.target * op.n_in + op.source, places])
    value: Float = np.concatenate([op.value, np.zeros(places.size)])
    order = np.argsort(place, kind="stable")
    place = place[order]
    target, source = (frozen_integers(each) for each in (place // op.n_in, place % op.n_in))
    return Sparse(target, source, frozen(value[order]), op.n_in, op.n_out)
