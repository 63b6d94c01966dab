"""Fill cores along the spikes, one after the other: the best packing of a chain of layers.

Annealing moves one part at a time and leaves a chain in pieces. The order of the spikes, depth
first, has a chain's neighbours side by side. A bound shows if the result is an optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.mapping.distinct import distinct
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.result import Hyperedges

MOST_PAIRS = 200_000  # of parts that are followed one by one


@dataclass(frozen=True, eq=False)
class Followed:
    """Parts in the order of their spikes, depth first.

    ``parts``: parts that no other part sends to come first. ``starts``: the number of parts that
    were reached from no part before them.
    """

    parts: list[int]
    starts: int


def followed(edges: Hyperedges, parts: int) -> Followed | None:
    """Return the order of ``parts``, or None if too many are joined."""
    source = edges.source[edges.edge_of]
    inner = source >= 0
    pairs = distinct(source[inner] * parts + edges.target[inner], parts * parts)
    if pairs.size > MOST_PAIRS:
        return None
    sender, receiver = np.divmod(pairs, parts)
    rows = np.split(receiver, np.cumsum(np.bincount(sender, minlength=parts))[:-1])
    reached = np.bincount(receiver[sender != receiver], minlength=parts) > 0
    seen = [False] * parts
    order: list[int] = []
    starts = 0
    for first in np.argsort(reached, kind="stable").tolist():
        starts += not seen[first]
        waiting = [first]
        while waiting:
            part = waiting.pop()
            if not seen[part]:
                seen[part] = True
                order.append(part)
                waiting += rows[part][::-1].tolist()
    return Followed(order, starts)


def filled(order: list[int], taken: Ints, capacity: Ints, most: int) -> Ints | None:
    """Return (parts,) cores, filled one after the other, or None if ``most`` are not enough.

    ``taken`` (parts, resources): the cost of each part.
    """
    core = np.empty(len(order), dtype=np.int64)
    needs = taken.tolist()
    full = capacity.tolist()
    left = full
    number = 0
    for part in order:
        if any(need > room for need, room in zip(needs[part], left, strict=True)):
            number += 1
            left = full
        left = [room - need for need, room in zip(needs[part], left, strict=True)]
        core[part] = number
    return core if number < most else None


def least_traffic(edges: Hyperedges, cores: int, starts: int, *, local_is_free: bool) -> float:
    """Return a bound: no assignment to ``cores`` cores, all in use, has less traffic.

    Every external spike reaches a core. If local spikes are not free, so does every other spike. If
    they are free, parts in ``starts`` or fewer connected pieces join all cores but as many, and
    each pair of cores takes the least weight or more.
    """
    inner = edges.source >= 0
    if not local_is_free or not inner.any():
        return float(edges.weight.sum())
    pairs = max(cores - starts, 0)
    return float(edges.weight[~inner].sum() + pairs * edges.weight[inner].min())
