"""Groups of neurons that share a core, whatever their numbers: the fewest messages between cores.

Multilevel partitioning of a hypergraph. Neighbours are joined until few nodes are left, these are
bisected again and again, and on the way back single nodes move between all blocks. From the best
answer it is done again, now joining only within blocks (a V-cycle). Where neurons have no structure
to find, the first answer is kept. Sources: Karypis and Kumar 1999 (multilevel k-way hypergraph
partitioning), Fiduccia and Mattheyses 1982.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.mapping.chance import below, following
from nirc.mapping.effort import Effort
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import Hypergraph, Level, coarsened, shuffled
from nirc.mapping.partition.refine import refined
from nirc.mapping.partition.sectors import Floats, fine_sectors, sectors, smoothest
from nirc.native.loops import in_c

STARTS = 6  # the best answer is kept, while work is left
# Pins that are looked at.
WORK: dict[Effort, int] = {"quick": 10_000_000, "normal": 35_000_000, "thorough": 250_000_000}
WORK_PER_PIN: dict[Effort, int] = {"quick": 20, "normal": 450, "thorough": 1500}  # if this is more
MOST_CLUSTERS = 4000  # of which pairs are made
CYCLES = 6  # V-cycles at most; they end after FAILURES without success
FAILURES = 2
# Clusters for each block of the coarsest hypergraph, one start after the other. 0: bisection.
PER_BLOCK = (20, 40, 0)
CYCLED_PER_BLOCK = 20
ANGLES = 6  # of the cuts by sectors, within a right angle
PROJECTED = 2  # of the first blocks, those that are refined down to the neurons
BISECTED = 200  # nodes of a hypergraph that is bisected at once
COARSE_PASSES = (1, 3)  # of blocks of clusters
SCATTERED_PASSES = 3  # from a random start
SCATTERED_PER_PIN = 200  # work for each pin, below which there is no random start
CLUSTERED_PER_PIN = 300  # less work is spent on the random start alone if it is ahead
MOST_PASSES = 20
LITTLE = 0.01  # of the cost of neurons that are dealt out: what gains less, finds no structure
TRIES = 15  # first bisections, of which the best is kept

MOST_PAIRS = 50_000_000  # of the pins of nets
MOST_PAIRED = 40  # pairs of a node
PAIR_UNITS = 1 << 10  # weights of pairs are integers


def regroup(
    graph: Hypergraph,
    blocks: int,
    capacity: Ints,
    *,
    effort: Effort = "normal",
    seed: int = 0,
) -> Ints | None:
    """Return (nodes,) a block of each node, or None if a block is above ``capacity`` (resources,).

    ``blocks``: their number.
    """
    limits = np.tile(capacity, (blocks, 1))
    if (graph.size > capacity).any() or (graph.size.sum(axis=0) > blocks * capacity).any():
        return None
    work = np.int64(max(WORK[effort], WORK_PER_PIN[effort] * graph.pin.size))
    best: tuple[int, Ints] | None = None
    least_gain = (1 - LITTLE) * graph.cost(np.arange(len(graph.size)) % blocks)
    for start in range(STARTS):
        state = np.array([_first_state(seed * STARTS + start), work], np.int64)
        clusters = PER_BLOCK[start % len(PER_BLOCK)] * blocks
        if clusters and clusters <= MOST_CLUSTERS:
            block, random = _by_clusters(graph, clusters, limits, state)
        else:
            block, random = _by_bisection(graph, blocks, capacity, state), False
        fits = bool((graph.loads(block, blocks) <= capacity).all())
        random = fits and (random or graph.cost(block) > least_gain)
        if not random:
            block = _cycled(graph, block, limits, state)
        work = state[1]
        if (graph.loads(block, blocks) <= capacity).all():
            cost = graph.cost(block)
            if best is None or cost < best[0]:
                best = cost, block
        if work < 0 or random:
            break
    return None if best is None else best[1]


def _first_state(number: int) -> int:
    return (number * 2654435761 + 88172645463325252) % (1 << 62) | 1


def _cycled(graph: Hypergraph, block: Ints, limits: Ints, state: Ints) -> Ints:
    rank, failures = _rank(graph, block, limits), 0
    for _ in range(CYCLES):
        if state[1] < 0 or failures == FAILURES:
            break
        few = CYCLED_PER_BLOCK * len(limits)
        levels, coarse, first = coarsened(graph, few, limits[0] // 8, state, block)
        other = _projected(levels, coarse, first, limits, state)
        here = _rank(graph, other, limits)
        if here < rank:
            rank, block, failures = here, other, 0
        else:
            failures += 1
    return block


def _projected(
    levels: list[Level], coarse: Hypergraph, block: Ints, limits: Ints, state: Ints
) -> Ints:
    """Return the blocks of the finest nodes, refined at every level."""
    nodes = len(coarse.size)
    refined(coarse, block, limits, passes=10, patience=max(300, nodes // 4), state=state)
    for level in reversed(levels):
        block = block[level.cluster]
        patience = max(300, len(level.cluster) // 8)
        refined(level.fine, block, limits, passes=6, patience=patience, state=state)
    return block


def _by_bisection(
    graph: Hypergraph, blocks: int, capacity: Ints, state: Ints, side: Ints | None = None
) -> Ints:
    """Return blocks by bisection of all neurons, halves again and again.

    ``side`` (nodes,): the first halves, if they are known.
    """
    block = np.zeros(len(graph.size), np.int64)
    if blocks > 1 and len(block):
        half = blocks // 2
        counts = (half, blocks - half)
        side = _halved(graph, blocks, capacity, state) if side is None else side
        for number, first in enumerate((0, half)):
            nodes = np.flatnonzero(side == number)
            block[nodes] = first + _by_bisection(graph.of(nodes), counts[number], capacity, state)
    return block


def _halved(graph: Hypergraph, blocks: int, capacity: Ints, state: Ints) -> Ints:
    """Return (nodes,) 0 or 1: the first is for half of the ``blocks``, rounded down."""
    half = blocks // 2
    counts = np.array([half, blocks - half])
    return _bisected(graph, counts[:, None] * capacity, half / blocks, state)


def _by_clusters(graph: Hypergraph, clusters: int, limits: Ints, state: Ints) -> tuple[Ints, bool]:
    """Return the best blocks by bisection and by sectors of few clusters or of all neurons.

    Every net counts as pairs of its nodes. Bisection counts a net that crosses only once, however
    much of it does. Pairs see modules. A random start with less cost than all blocks of clusters
    shows that the clusters mean nothing. Without pairs, halves that gain little show the same. The
    second value is True then.
    """
    blocks = len(limits)
    best = _scattered(graph, limits, state)
    levels, coarse, _ = coarsened(graph, clusters, limits[0] // 8, state)
    pairs = as_pairs(coarse, MOST_PAIRED)
    if pairs is None:
        side = _halved(graph, blocks, limits[0], state)
        dealt = graph.cost(np.arange(len(side)) % 2)
        if best and graph.cost(side) > (1 - LITTLE) * dealt:
            _refined_finely(graph, best[0], limits, MOST_PASSES, state)
            return best[0], True
        best.append(_by_bisection(graph, blocks, limits[0], state, side))
        return min(best, key=lambda block: _rank(graph, block, limits)), False
    smooth = smoothest(pairs)
    found = sorted(sectors(smooth, coarse.size, blocks, ANGLES), key=coarse.cost)[:PROJECTED]
    found.append(_by_bisection(pairs, blocks, limits[0], state))
    patience = max(300, len(coarse.size) // 4)
    for passes in COARSE_PASSES:
        for block in found:
            refined(coarse, block, limits, passes=passes, patience=patience, state=state)
        found.sort(key=lambda block: _rank(coarse, block, limits))
        for block in best:
            misled = _rank(graph, block, limits) < _rank(coarse, found[0], limits)
            if misled and state[1] < CLUSTERED_PER_PIN * graph.pin.size:
                _refined_finely(graph, block, limits, MOST_PASSES, state)
                return block, True
    best += [_projected(levels, coarse, block, limits, state) for block in found[:PROJECTED]]
    for level in reversed(levels):
        smooth = smooth[:, level.cluster]
    best.append(fine_sectors(graph, smooth, blocks, state))
    _refined_finely(graph, best[-1], limits, 6, state)
    return min(best, key=lambda block: _rank(graph, block, limits)), False


def _scattered(graph: Hypergraph, limits: Ints, state: Ints) -> list[Ints]:
    """Return blocks by moves from a random start, or none if there is little work left."""
    if state[1] < SCATTERED_PER_PIN * graph.pin.size:
        return []
    block = shuffled(len(graph.size), state) % len(limits)
    _refined_finely(graph, block, limits, SCATTERED_PASSES, state)
    return [block]


def _refined_finely(graph: Hypergraph, block: Ints, limits: Ints, passes: int, state: Ints) -> None:
    patience = max(300, len(graph.size) // 8)
    refined(graph, block, limits, passes=passes, patience=patience, state=state)


def as_pairs(graph: Hypergraph, most: int) -> Hypergraph | None:
    """Return every net as pairs of its nodes. A node keeps its ``most`` heaviest pairs.

    None if there are more than ``MOST_CLUSTERS`` nodes or ``MOST_PAIRS`` pairs.
    """
    nodes = len(graph.size)
    pins = np.diff(graph.begin)
    if nodes > MOST_CLUSTERS or int((pins * pins).sum()) > MOST_PAIRS:
        return None
    share = graph.weight / np.maximum(pins - 1, 1)
    begin, net = graph.incidence
    ends: list[Ints] = [np.zeros((0, 2), np.int64)]
    heavy: list[Floats] = [np.zeros(0)]
    for node in range(nodes):
        nets = net[begin[node] : begin[node + 1]]
        beside = graph.pin[_ranges(graph.begin[nets], pins[nets])]
        every = np.repeat(share[nets], pins[nets])
        together = np.bincount(beside, every, minlength=nodes).astype(np.float64)
        together[node] = 0
        others = np.argsort(-together, kind="stable")[:most]
        others = others[together[others] > 0]
        ends.append(np.stack([np.minimum(others, node), np.maximum(others, node)], axis=1))
        heavy.append(together[others])
    pairs, first = np.unique(np.concatenate(ends), axis=0, return_index=True)
    weights = np.concatenate(heavy)[first]
    weights = np.ceil(weights * (PAIR_UNITS / max(weights.max(initial=0), 1e-300)))
    every_second = np.arange(0, pairs.size + 1, 2)
    return Hypergraph(every_second, pairs.ravel(), weights.astype(np.int64), graph.size)


def _ranges(begin: Ints, count: Ints) -> Ints:
    """Return begin[0], begin[0] + 1, ... of ``count[0]`` numbers, then those of the others."""
    first = np.cumsum(count) - count
    return np.repeat(begin - first, count) + np.arange(int(count.sum()))


def _bisected(graph: Hypergraph, limits: Ints, share: float, state: Ints) -> Ints:
    """Return (nodes,) 0 or 1. ``limits`` (2, resources). ``share``: of the first side."""
    total = graph.size.sum(axis=0)
    largest = np.maximum(np.minimum(total * 2 // BISECTED, (limits.sum(axis=0) - total) // 2), 1)
    levels, coarse, _ = coarsened(graph, BISECTED, largest, state)
    best: tuple[float, int] | None = None
    side = np.zeros(len(coarse.size), np.int64)
    for _ in range(TRIES):
        grown = _grown(coarse, share, state)
        refined(coarse, grown, limits, passes=8, patience=len(coarse.size), state=state)
        rank = _rank(coarse, grown, limits)
        if best is None or rank < best:
            best, side = rank, grown
        if state[1] < 0:
            break
    for level in reversed(levels):
        side = side[level.cluster]
        patience = max(200, len(side) // 10)
        refined(level.fine, side, limits, passes=8, patience=patience, state=state)
    return side


def _rank(graph: Hypergraph, side: Ints, limits: Ints) -> tuple[float, int]:
    over = np.maximum(graph.loads(side, len(limits)) - limits, 0) / np.maximum(limits, 1)
    return float(over.sum()), graph.cost(side)


def _grown(graph: Hypergraph, share: float, state: Ints) -> Ints:
    total = np.maximum(graph.size.sum(axis=0), 1)
    bulk = (graph.size / total).mean(axis=1)
    nets = graph.begin, graph.pin, graph.weight, *graph.incidence
    side = np.ones(len(graph.size), np.int64)
    _grow(*nets, bulk, share, state, side)
    return side


@in_c("grow", "qqqqqdxq*q*")
def _grow(
    begin: Any,
    pin: Any,
    weight: Any,
    of_begin: Any,
    of_net: Any,
    bulk: Any,
    share: Any,
    state: Any,
    side: Any,
) -> Any:
    """Change sides, all 1: 0 grows from a random node, by the node with most weight towards it."""
    nodes = bulk.size
    score = np.zeros(nodes)
    now = following(np.uint64(state[0]))
    state[0] = np.int64(now)
    node = below(now >> np.uint64(32), nodes)
    reached = 0.0
    while node >= 0:
        side[node] = 0
        reached += bulk[node]
        if reached >= share:
            break
        for i in range(of_begin[node], of_begin[node + 1]):
            net = of_net[i]
            pins = begin[net + 1] - begin[net]
            for j in range(begin[net], begin[net + 1]):
                score[pin[j]] += weight[net] / max(1, pins - 1)
        node = -1
        best = -1.0
        for other in range(nodes):
            if side[other] == 1 and reached + bulk[other] <= share * 1.02 + 1e-9:
                value = score[other] / max(bulk[other], 1e-12)
                if value > best:
                    best = value
                    node = other
