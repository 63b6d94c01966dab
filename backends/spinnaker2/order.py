"""An order of neurons in which slices send to few others.

The vendor's tools cut a population into consecutive slices. A packet goes to every slice with a
synapse of any neuron of its slice. So neurons that belong together should follow one another. The
order is free where all synapses of a population are in lists. ``network.npz`` holds the neurons in
their new order, ``manifest.json`` the place of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nirc.backends.spinnaker2.limits import RATE
from nirc.backends.spinnaker2.slices import Int, Memory, Split, split
from nirc.backends.spinnaker2.tables import Input, Population, Projection, Tables
from nirc.diagnostics.log import Log
from nirc.mapping.distinct import distinct
from nirc.mapping.effort import Effort
from nirc.mapping.partition.band import band_order
from nirc.mapping.partition.hypergraph import hypergraph
from nirc.mapping.partition.lines import best_line
from nirc.mapping.partition.regroup import regroup

# Synapses of a network, above which neurons keep their order.
MOST_SYNAPSES: dict[Effort, int] = {"normal": 1 << 22, "thorough": 1 << 26}
# Beyond these no groups are tried: populations, and neurons times slices.
MOST_GROUPED = 4
MOST_GAINS = 1 << 22  # nor a line beyond as many pairs of slices
# No order is tried if the best order would keep this share of the packets. A matrix without a few
# of its synapses has no better order (benchmarks/profile_stages.py dense 1000).
WORTHWHILE = 0.95
MOST_LINED = 1 << 21  # synapses, above which no order along a line is tried
GROUPING: dict[Effort, Effort] = {"normal": "quick", "thorough": "normal"}
Order = dict[str, Int]  # by population: (n,) the neuron at each place
_Ends = tuple[dict[str, int], Int, Int]  # sizes of populations, the two ends of their synapses


def regrouped(
    memory: Memory, parts: Split, asked: Mapping[str, int], effort: Effort, seed: int
) -> tuple[Tables, Split, Order]:
    """Return tables, slices and order with the fewest PEs, and then the least traffic.

    The order is empty if the model's order is best.
    """
    best: tuple[Tables, Split, Order] = memory.tables, parts, {}

    def better(orders: Iterator[Order]) -> tuple[Tables, Split, Order]:
        found = best
        for order in orders:
            tables = in_order(memory.tables, order)
            other = split(Memory(tables, memory.prices, memory.steps), asked, Log())
            if other is not None and _rank(other) < _rank(found[1]):
                found = tables, other, order
        return found

    best = better(_orders(memory.tables, parts, effort, seed))
    if best[1].count < parts.count:  # fewer slices ask for other groups
        ends = _free_synapses(memory.tables, best[1], effort)
        best = better(_groups(ends, best[1], effort, seed))
    return best


def traffic(parts: Split) -> float:
    """Return packets a step times the other PEs that each reaches."""
    away = parts.pair_source != parts.pair_target
    return RATE * float((parts.end - parts.begin)[parts.pair_source[away]].sum())


def _rank(parts: Split) -> tuple[int, float]:
    return parts.count, traffic(parts)


def in_order(tables: Tables, order: Order) -> Tables:
    """Return the same network with the neurons of some populations in another order."""
    place = {name: np.argsort(neurons) for name, neurons in order.items()}
    return replace(
        tables,
        inputs=tuple(
            replace(i, channels=i.channels[order[i.name]]) if i.name in order else i
            for i in tables.inputs
        ),
        populations=tuple(_population(p, order.get(p.name)) for p in tables.populations),
        projections=tuple(_projection(p, place) for p in tables.projections),
        outputs=tuple(
            replace(o, neurons=place[o.population][o.neurons]) if o.population in place else o
            for o in tables.outputs
        ),
    )


def _population(population: Population, neurons: Int | None) -> Population:
    if neurons is None:
        return population
    values: dict[str, Any] = {
        name: value[neurons]
        for name, value in population.parameters().items()
        if len(value) == population.n
    }
    return replace(population, **values)


def _projection(p: Projection, place: Mapping[str, Int]) -> Projection:
    """Return the synapses between the neurons in their new places, sorted."""
    if p.source not in place and p.target not in place:
        return p
    pre = place[p.source][p.pre] if p.source in place else p.pre
    post = place[p.target][p.post] if p.target in place else p.post
    by = np.lexsort((p.delay, post, pre))
    return replace(
        p,
        pre=pre[by].astype(p.pre.dtype),
        post=post[by].astype(p.post.dtype),
        weight=p.weight[by],
        delay=p.delay[by],
    )


def _orders(tables: Tables, parts: Split, effort: Effort, seed: int) -> Iterator[Order]:
    """Yield orders of the populations whose order is free."""
    ends = _free_synapses(tables, parts, effort)
    if ends is None:
        return
    sizes, one, other = ends
    nodes = sum(sizes.values())
    yield _by_rank(band_order(nodes, one, other), sizes)
    count = sum(-(-n // parts.atoms[name]) for name, n in sizes.items())
    if len(one) <= MOST_LINED and count * count <= MOST_GAINS:
        price = partial(_pairs, sizes=sizes, atoms=parts.atoms, one=one, other=other)
        weight, size = np.ones(nodes, np.int64), np.ones((nodes, 1), np.int64)
        line = best_line(hypergraph(one, other, weight, size), price, seed=seed)
        if line is not None:
            yield _by_rank(line, sizes)
    yield from _groups(ends, parts, effort, seed)


def _groups(ends: _Ends | None, parts: Split, effort: Effort, seed: int) -> Iterator[Order]:
    """Yield the order of groups, as many as the most slices of a population."""
    if ends is None:
        return
    sizes, one, other = ends
    nodes = sum(sizes.values())
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    slices = dict(zip(parts.names, np.bincount(parts.owner).tolist(), strict=True))
    blocks = max(slices[name] for name in sizes)
    if len(sizes) > MOST_GROUPED or nodes * blocks > MOST_GAINS:
        return
    population = np.repeat(np.arange(len(sizes)), [*sizes.values()])
    size = (population[:, None] == np.arange(len(sizes))).astype(np.int64)
    graph = hypergraph(one, other, np.ones(nodes, np.int64), size)
    room = -(-size.sum(axis=0) // blocks)
    block = regroup(graph, blocks, room, effort=GROUPING[effort], seed=seed)
    if block is not None:
        yield {
            name: _cut_where_groups_end(block[first[name] :][:n], parts.atoms[name])
            for name, n in sizes.items()
        }


def _packets(joining: list[Projection], parts: Split) -> int:
    """Return packets of ``joining`` projections, if all neurons fire: each to a slice once."""
    total = 0
    for source, target in _ends(joining):
        between = [p for p in joining if (p.source, p.target) == (source, target)]
        last = max(int(p.post.max(initial=0)) for p in between) // parts.atoms[target] + 1
        slices = [(p.pre // parts.atoms[source], p.post // parts.atoms[target]) for p in between]
        keys = np.concatenate([one.astype(np.int64) * last + other for one, other in slices])
        total += parts.atoms[source] * distinct(keys, int(keys.max(initial=-1)) + 1).size
    return total


def _least_packets(joining: list[Projection], parts: Split) -> int:
    """Return a number of packets that no order of neurons undercuts.

    A neuron with n targets reaches n / (neurons of a slice) slices or more.
    """
    total = 0
    for source, target in _ends(joining):
        between = [p for p in joining if (p.source, p.target) == (source, target)]
        reached = [int((-(-np.bincount(p.pre) // parts.atoms[target])).sum()) for p in between]
        total += max(reached)  # the same targets may be excited and inhibited
    return total


def _ends(joining: list[Projection]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((p.source, p.target) for p in joining))


def _free_synapses(tables: Tables, parts: Split, effort: Effort) -> _Ends | None:
    """Return the sizes of free populations and the ends of their synapses.

    None if no other order is worth a search.
    """
    sizes = _free(tables, parts)
    joining = [p for p in tables.projections if _joins(p, sizes)]
    if effort == "quick" or not joining or sum(len(p.pre) for p in joining) > MOST_SYNAPSES[effort]:
        return None
    if _least_packets(joining, parts) >= WORTHWHILE * _packets(joining, parts):
        return None
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    one = np.concatenate([p.pre.astype(np.int64) + first[p.source] for p in joining])
    other = np.concatenate([p.post.astype(np.int64) + first[p.target] for p in joining])
    return sizes, one, other


def _pairs(
    nodes: Int, *, sizes: Mapping[str, int], atoms: Mapping[str, int], one: Int, other: Int
) -> int:
    """Return the number of pairs of slices that send, with ``nodes`` in order."""
    slice_of = np.empty(len(nodes), np.int64)
    count = first = 0
    for name, n in sizes.items():
        inside = nodes[(nodes >= first) & (nodes < first + n)]
        slice_of[inside] = count + np.arange(n) // atoms[name]
        count += -(-n // atoms[name])
        first += n
    return int(np.count_nonzero(np.bincount(slice_of[one] * count + slice_of[other])))


def _cut_where_groups_end(group: Int, atoms: int) -> Int:
    """Return the order of neurons group by group, (n,). ``group`` (n,): of each.

    If there are as many groups as slices, a slice is a group. The smallest group is the last, and
    fills what the others lack.
    """
    _, group, count = np.unique(group, return_inverse=True, return_counts=True)
    if count.max() > atoms or len(count) != -(-len(group) // atoms):
        return np.argsort(group, kind="stable")
    last = int(count.argmin())
    spare = np.flatnonzero(group == last)
    pieces = []
    for other in range(len(count)):
        if other != last:
            lacks = atoms - count[other]
            pieces += [np.flatnonzero(group == other), spare[:lacks]]
            spare = spare[lacks:]
    return np.concatenate([*pieces, spare])


def _by_rank(nodes: Int, sizes: Mapping[str, int]) -> Order:
    """Return the order of each population's neurons among all ``nodes`` in order."""
    order = {}
    first = 0
    for name, n in sizes.items():
        order[name] = nodes[(nodes >= first) & (nodes < first + n)] - first
        first += n
    return order


def _free(tables: Tables, parts: Split) -> dict[str, int]:
    """Return sizes of populations with several slices and all synapses in lists, by name."""
    slices = dict(zip(parts.names, np.bincount(parts.owner).tolist(), strict=True))
    kernels: set[str] = set()
    for c in tables.convolutions:
        kernels |= {c.source, c.target}
    blocks: tuple[Input | Population, ...] = (*tables.inputs, *tables.populations)
    return {b.name: b.n for b in blocks if slices[b.name] > 1 and b.name not in kernels}


def _joins(p: Projection, sizes: Mapping[str, int]) -> bool:
    """Return True if some order of these neurons may be better: not all send to all."""
    ends = p.source in sizes and p.target in sizes
    return ends and len(p.pre) < sizes[p.source] * sizes[p.target]
