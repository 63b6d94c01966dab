"""Reduce traffic on the same cores by annealing: parts move, or change places with other parts.

Traffic is the cut of a hypergraph. A hyperedge costs its spikes for each distinct core of its
targets. The source's core is excluded if local spikes are free. A move goes to the core of a
neighbour in a hyperedge of the part. Work is counted in targets that are examined. Weights are
integers. Random numbers and logarithms are those of the annealing of placements. So the answer is
the same on every machine.
"""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled
from nirc.mapping.moves import UPHILL, below, following
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hyperedges import Hyperedges

STAGES = 60
COLDEST = 1e-3  # of the first temperature
WEIGHT_UNITS = 2.0**40  # all weights together


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
    weight = np.round(
        edges.weight * (WEIGHT_UNITS / max(float(edges.weight.sum()), 1e-300))
    ).astype(np.int64)
    first, edge, role = _incident(edges, core.size)
    left = np.tile(capacity, (cores, 1))
    np.subtract.at(left, core, taken)
    moved: Ints = _anneal(
        edges.first, edges.target, weight, edges.source, first, edge, role, core.astype(np.int64),
        taken, left,
        local_is_free, UPHILL, STAGES, COLDEST, work, seed,
    )  # fmt: skip
    return moved


def _incident(edges: Hyperedges, parts: int) -> tuple[Ints, Ints, Ints]:
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


@compiled
def _change(first, target, weight, source, pfirst, pedge, role, core, part, there, free):  # type: ignore[no-untyped-def]
    """Return the change in traffic if ``part`` goes to ``there``, and the examined targets."""
    here = core[part]
    total = np.int64(0)
    seen = np.int64(0)
    for j in range(pfirst[part], pfirst[part + 1]):
        e = pedge[j]
        is_target, is_source = role[j] & 1, role[j] & 2
        on_here, on_there = False, False
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


@compiled
def _anneal(  # type: ignore[no-untyped-def]  # noqa: PLR0915 - one loop, and numba inlines nothing across files
    first, target, weight, source, pfirst, pedge, role, core, taken, left, free, uphill, stages,
    coldest, work, seed,
):  # fmt: skip
    parts, cores, resources = core.size, left.shape[0], left.shape[1]
    room = 4 * np.bincount(core).max() + 8
    member = np.full((cores, room), -1, np.int64)
    count = np.zeros(cores, np.int64)
    for p in range(parts):
        member[core[p], count[core[p]]] = p
        count[core[p]] += 1
    slot = np.empty(parts, np.int64)
    for c in range(cores):
        for k in range(count[c]):
            slot[member[c, k]] = k
    state = np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)
    best = core.copy()
    now = least = np.int64(0)
    hottest = 0.0
    spent = np.int64(0)
    for stage in range(-1, stages):  # stage -1 measures the typical change
        tries = 0
        sum_up = 0.0
        temperature = 0.0 if stage < 0 else hottest * coldest ** (stage / max(stages - 1, 1))
        until = work * (stage + 2) // (stages + 1)
        while spent < until:
            spent += 2
            state = following(state)
            p = below(state >> np.uint64(32), parts)
            degree = pfirst[p + 1] - pfirst[p]
            if degree == 0:
                continue
            state = following(state)
            e = pedge[pfirst[p] + below(state >> np.uint64(32), degree)]
            state = following(state)
            k = below(state >> np.uint64(32), first[e + 1] - first[e] + 1)
            other = source[e] if k == 0 else target[first[e] + k - 1]
            if other < 0 or core[other] == core[p]:
                continue
            a, b = core[p], core[other]
            luck = uphill[np.int64(state & np.uint64(4095))]
            fits = count[b] < room
            for r in range(resources):
                fits &= left[b, r] >= taken[p, r]
            q = np.int64(-1)
            if not fits:
                state = following(state)
                q = member[b, below(state >> np.uint64(32), count[b])]
                fits = True
                for r in range(resources):
                    fits &= (
                        left[b, r] + taken[q, r] >= taken[p, r]
                        and left[a, r] + taken[p, r] >= taken[q, r]
                    )
                if not fits:
                    continue
            delta, seen = _change(
                first, target, weight, source, pfirst, pedge, role, core, p, b, free
            )
            spent += seen
            if q >= 0:
                core[p] = b
                back, seen = _change(
                    first, target, weight, source, pfirst, pedge, role, core, q, a, free
                )
                core[p] = a
                delta += back
                spent += seen
            tries += 1
            if stage < 0:
                sum_up += abs(delta)
                continue
            if delta > 0 and delta > temperature * luck:
                continue
            now += delta
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
            if now < least:
                least = now
                best[:] = core
        if stage < 0:
            hottest = 0.5 * sum_up / max(tries, 1)
            if tries == 0:
                break
    return best
