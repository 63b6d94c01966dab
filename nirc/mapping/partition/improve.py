"""Improve a packing: less traffic on the same cores, fewer parts.

Traffic is the cut of a hypergraph. A hyperedge costs its spikes for each distinct core of its
targets. The source's core is excluded if local spikes are free. Parts move to another core, or
change places with other parts. Small partitions take the best move or exchange. Others
are annealed, with moves to the core of a neighbour in a hyperedge of the part. Work is counted in
targets that are examined. Weights are integers, so the answer is the same on every machine.

Parts of a population that touch on one core are joined. Cuts save nothing, and fewer parts are
simpler.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from nirc.mapping.chance import UPHILL, below, first_state, following
from nirc.mapping.partition.boxes import AXES, Boxes, Ints
from nirc.mapping.partition.result import Hyperedges, core_pairs
from nirc.native.loops import in_c

MOST_PARTS = 24  # of the descent
MOST_TARGETS = 20_000  # of the descent
SWEEPS = 8
STAGES = 60  # of annealing
COLDEST = 1e-3  # of the first temperature
WEIGHT_UNITS = 2.0**40  # all weights together


def small(edges: Hyperedges, parts: int) -> bool:
    """Return True if the descent is quick."""
    return parts <= MOST_PARTS and edges.target.size <= MOST_TARGETS


def descended(
    edges: Hyperedges, core: Ints, taken: Ints, capacity: Ints, *, local_is_free: bool
) -> Ints:
    """Return (parts,) cores with at most as much traffic. No core is added or overfilled."""
    cores = int(core.max(initial=-1)) + 1
    best = core
    least = traffic(edges, core, local_is_free=local_is_free)
    for _ in range(SWEEPS):
        start = best
        for other in _neighbours(start, cores):
            if not _holds(other, taken, capacity, cores):
                continue
            total = traffic(edges, other, local_is_free=local_is_free)
            if total < least - 1e-9:
                best = other
                least = total
        if best is start:
            break
    return best


def _neighbours(core: Ints, cores: int) -> list[Ints]:
    """Return all assignments that differ by one part's core or by an exchange of two parts."""
    neighbours = []
    for part in range(core.size):
        for c in range(cores):
            if c != core[part]:
                neighbours.append(core.copy())
                neighbours[-1][part] = c
    for a, b in combinations(range(core.size), 2):
        if core[a] != core[b]:
            neighbours.append(core.copy())
            neighbours[-1][[a, b]] = core[[b, a]]
    return neighbours


def _holds(core: Ints, taken: Ints, capacity: Ints, cores: int) -> bool:
    usage = np.zeros((cores, capacity.size), dtype=np.int64)
    np.add.at(usage, core, taken)
    return bool((usage <= capacity).all())


def traffic(edges: Hyperedges, core: Ints, *, local_is_free: bool) -> float:
    """Return spikes per step, each times its distinct target cores. ``core`` (parts,)."""
    source, target, spikes = core_pairs(edges, core, int(core.max(initial=-1)) + 1)
    return float(spikes[source != target].sum() if local_is_free else spikes.sum())


def annealed(
    edges: Hyperedges,
    core: Ints,
    taken: Ints,
    capacity: Ints,
    *,
    local_is_free: bool,
    work: int,
    seed: int = 0,
) -> Ints:
    """Return (parts,) cores with at most as much traffic. No core is added or overfilled.

    ``taken`` (parts, resources): the cost of each part.
    """
    cores = int(core.max(initial=-1)) + 1
    if cores < 2 or not edges.target.size or core.size <= cores:
        return core
    unit = WEIGHT_UNITS / max(float(edges.weight.sum()), 1e-300)
    weight = np.round(edges.weight * unit).astype(np.int64)
    left = np.tile(capacity, (cores, 1))
    np.subtract.at(left, core, taken)
    graph = (edges.first, edges.target, weight, edges.source, *_edges_of_parts(edges, core.size))
    start = core.astype(np.int64)
    best = start.copy()
    falling = np.array([COLDEST ** (stage / (STAGES - 1)) for stage in range(STAGES)])
    _anneal(graph, start, taken, left, local_is_free, UPHILL, falling, work, seed, best)
    return best


def _edges_of_parts(edges: Hyperedges, parts: int) -> tuple[Ints, Ints, Ints]:
    """Return the hyperedges of each part as compressed rows: first, edge, role.

    Role 1: the part is a target. 2: the source. 3: both.
    """
    sends = np.flatnonzero(edges.source >= 0)
    part = np.concatenate([edges.target, edges.source[sends]])
    edge = np.concatenate([edges.edge_of, sends])
    role = np.repeat([1, 2], [edges.target.size, sends.size])
    key, of = np.unique(part * edges.source.size + edge, return_inverse=True)
    roles = np.bincount(of.ravel(), weights=role, minlength=key.size).astype(np.int64)
    part, edge = np.divmod(key, edges.source.size)
    return np.append(0, np.cumsum(np.bincount(part, minlength=parts))), edge, roles


def _change(
    first: Any,
    target: Any,
    weight: Any,
    source: Any,
    part_first: Any,
    part_edge: Any,
    role: Any,
    core: Any,
    part: Any,
    there: Any,
    free: Any,
) -> Any:
    """Return the change in traffic if ``part`` goes to ``there``, and the examined targets."""
    here = core[part]
    total = np.int64(0)
    seen = np.int64(0)
    for j in range(part_first[part], part_first[part + 1]):
        e = part_edge[j]
        is_target, is_source = role[j] & 1, role[j] & 2
        on_here, on_there = False, False  # another target is on this core
        for t in range(first[e], first[e + 1]):
            other = target[t]
            if other != part:
                at = core[other]
                on_here |= at == here
                on_there |= at == there
        seen += first[e + 1] - first[e] + 1
        before = after = -1
        if free and source[e] >= 0:
            before = after = core[source[e]]
            if is_source:
                after = there
        cut = np.int64(0)
        cut -= (on_here or is_target != 0) and before != here
        cut -= on_there and before != there
        cut += on_here and after != here
        cut += (on_there or is_target != 0) and after != there
        total += cut * weight[e]
    return total, seen


@in_c("anneal_parts", "qqqqqqqq*qq*nddnnq*")
def _anneal(  # noqa: PLR0915
    graph: Any,
    core: Any,
    taken: Any,
    left: Any,
    free: Any,
    uphill: Any,
    falling: Any,
    work: Any,
    seed: Any,
    best: Any,
) -> Any:
    """Write (parts,) the best cores. ``left`` (cores, resources): the room on each core."""
    first, target, weight, source, part_first, part_edge, role = graph
    parts, cores, resources = core.size, left.shape[0], left.shape[1]
    room = 4 * np.bincount(core).max() + 8
    member = np.full((cores, room), -1, np.int64)  # the parts of each core
    count = np.zeros(cores, np.int64)
    slot = np.empty(parts, np.int64)  # member[core[p], slot[p]] is p
    for p in range(parts):
        slot[p] = count[core[p]]
        member[core[p], slot[p]] = p
        count[core[p]] += 1
    half = np.uint64(32)
    state = first_state(seed)
    best[:] = core
    total = least = np.int64(0)  # change in traffic since the start
    hottest = 0.0
    spent = np.int64(0)
    for stage in range(-1, STAGES):  # stage -1 measures the typical change
        tries = 0
        sum_of_changes = 0.0
        temperature = 0.0 if stage < 0 else hottest * falling[stage]
        until = work * (stage + 2) // (STAGES + 1)
        while spent < until:
            spent += 2
            state = following(state)
            p = below(state >> half, parts)
            degree = part_first[p + 1] - part_first[p]
            if degree == 0:
                continue
            state = following(state)
            e = part_edge[part_first[p] + below(state >> half, degree)]
            state = following(state)
            k = below(state >> half, first[e + 1] - first[e] + 1)
            other = source[e] if k == 0 else target[first[e] + k - 1]
            if other < 0 or core[other] == core[p]:
                continue
            a, b = core[p], core[other]
            luck = uphill[np.int64(state & np.uint64(4095))]
            fits = count[b] < room
            for r in range(resources):
                fits &= left[b, r] >= taken[p, r]
            q = np.int64(-1)  # the part that goes from b to a
            if not fits:
                state = following(state)
                q = member[b, below(state >> half, count[b])]
                fits = True
                for r in range(resources):
                    fits &= left[b, r] + taken[q, r] >= taken[p, r]
                    fits &= left[a, r] + taken[p, r] >= taken[q, r]
                if not fits:
                    continue
            delta, seen = _change(
                first, target, weight, source, part_first, part_edge, role, core, p, b, free
            )
            spent += seen
            if q >= 0:
                core[p] = b
                back, seen = _change(
                    first, target, weight, source, part_first, part_edge, role, core, q, a, free
                )
                core[p] = a
                delta += back
                spent += seen
            tries += 1
            if stage < 0:
                sum_of_changes += abs(delta)
                continue
            if delta > 0 and delta > temperature * luck:
                continue
            total += delta
            core[p] = b
            for r in range(resources):
                change = taken[p, r] - (taken[q, r] if q >= 0 else 0)
                left[b, r] -= change
                left[a, r] += change
            if q >= 0:
                core[q] = a
                member[a, slot[p]], member[b, slot[q]] = q, p
                slot[p], slot[q] = slot[q], slot[p]
            else:
                count[a] -= 1
                last = member[a, count[a]]
                member[a, slot[p]] = last
                slot[last] = slot[p]
                member[b, count[b]] = p
                slot[p] = count[b]
                count[b] += 1
            if total < least:
                least = total
                best[:] = core
        if stage < 0:
            hottest = 0.5 * sum_of_changes / max(tries, 1)
            if tries == 0:
                break


def joined(population: Ints, boxes: Boxes, core: Ints, kept: Ints) -> tuple[Ints, Boxes, Ints]:
    """Return population, box and core of each part, sorted by population and first neuron.

    Populations in ``kept`` stay cut. Boxes that touch along an axis, with equal ranges along the
    others, are joined. This repeats for each axis until nothing changes.
    """
    before = len(boxes) + 1
    while len(boxes) < before:
        before = len(boxes)
        for axis in range(AXES):
            population, boxes, core = _join_along(axis, population, boxes, core, kept)
    order = np.lexsort((*boxes[:, ::-1, 0].T, population))
    return population[order], boxes[order], core[order]


def _join_along(
    axis: int, population: Ints, boxes: Boxes, core: Ints, kept: Ints
) -> tuple[Ints, Boxes, Ints]:
    a, b = (other for other in range(AXES) if other != axis)
    row = np.stack([population, core, *boxes[:, a].T, *boxes[:, b].T], axis=1)
    order = np.lexsort((boxes[:, axis, 0], *row.T))
    row = row[order]
    low = boxes[order, axis, 0]
    high = boxes[order, axis, 1]
    touches = (row[1:] == row[:-1]).all(axis=1) & (low[1:] == high[:-1])
    touches &= ~np.isin(row[1:, 0], kept)
    first = np.flatnonzero(np.append(True, ~touches))
    last = np.append(first[1:], len(order)) - 1
    boxes = boxes[order[first]]
    boxes[:, axis, 1] = high[last]
    return population[order[first]], boxes, core[order[first]]
