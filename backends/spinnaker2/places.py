"""Places of slices: a chip of the board, and a processing element (PE) of the chip.

On a chip every packet passes the event router in the middle. So the slices with the most packets
get the nearest PEs, and no other order of the slices of a chip costs less. Between chips a packet
takes one tree of links to all chips with targets. So slices are grouped by the other chips that
their packets reach, and groups that send to each other get chips near one another. A quick search
fills the chips along a snake.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from nirc.backends.spinnaker2.limits import LINK_HOPS, RATE
from nirc.backends.spinnaker2.slices import Int, Split
from nirc.backends.spinnaker2.system import BOARD_SIDE, System, distance, hops_to_router
from nirc.ir.arrays import Float
from nirc.mapping.effort import Effort

# Efforts of the engine. Its normal effort proves placements of ten chips or fewer, at length.
ENGINE: dict[Effort, Effort] = {"normal": "quick", "thorough": "normal"}
EVEN = 1.05  # packets of a group, to the mean
SLACK = 1.03  # PEs of the chips in use, to the slices, so that slices can change places


def chips_of(parts: Split, system: System, effort: Effort, seed: int) -> Iterator[Int]:
    """Yield (slices,) chips: along a snake, then with few packets between chips.

    On twice as many chips packets take fewer hops on each and more links.
    """
    snake = _along_a_snake(parts, system)
    yield snake
    if effort != "quick" and len(np.unique(snake)) > 1:
        chips, room = _even_chips(parts.count, system)
        groups = min(len(chips), int(np.ceil(SLACK * parts.count / room)))
        packed = _groups(parts, groups, room, effort, seed, evenly=False)
        if packed is not None:
            yield _on_board(parts, packed, system, effort, seed)
        while groups <= len(chips):
            even = _groups(parts, groups, room, effort, seed, evenly=True)
            if even is not None:
                yield _on_board(parts, even, system, effort, seed)
            groups *= 2


def cores_of(parts: Split, system: System, chip: Int) -> tuple[Int, float]:
    """Return (slices,) PEs on their chips, and packets times hops to and from the routers."""
    packets = _packets(parts)
    core = np.zeros(parts.count, np.int64)
    cost = 0.0
    for number in np.unique(chip).tolist():
        here = np.flatnonzero(chip == number)
        busiest = here[np.argsort(-packets[here], kind="stable")]
        core[busiest] = system.cores(number)[: len(here)]
        cost += float((packets[busiest] * hops_to_router(core[busiest])).sum())
    return core, cost


def lower_bound(parts: Split, system: System) -> float:
    """Return a cost that no placement undercuts.

    The slices with the most packets are on the nearest PEs of all chips. A packet to more slices
    than a chip holds takes a link for each further chip.
    """
    cores = [system.cores(chip) for chip in system.chips]
    hops = np.sort(hops_to_router(np.concatenate(cores)))[: parts.count]
    on_chips = float((np.sort(_packets(parts))[::-1] * hops).sum())
    reached = np.bincount(parts.pair_source, minlength=parts.count)
    to_itself = parts.pair_source[parts.pair_source == parts.pair_target]
    own = np.bincount(to_itself, minlength=parts.count)
    chips = -(-(reached + 1 - own) // max(map(len, cores)))
    return on_chips + LINK_HOPS * float((_sent(parts) * (chips - 1)).sum())


def _sent(parts: Split) -> Float:
    sent: Float = RATE * (parts.end - parts.begin).astype(np.float64)
    return sent


def _packets(parts: Split) -> Float:
    """Return (slices,) packets that a slice sends and receives in a step."""
    sent = _sent(parts)
    received = np.bincount(parts.pair_target, sent[parts.pair_source], minlength=parts.count)
    return sent + received


def _along_a_snake(parts: Split, system: System) -> Int:
    """Return (slices,) chips, filled one after the other, populations along the network."""
    order = np.lexsort((parts.begin, _along_the_network(parts)[parts.owner]))
    room = [len(system.cores(chip)) for chip in system.chips]
    chip = np.zeros(parts.count, np.int64)
    chip[order] = np.repeat(system.chips, room)[: parts.count]
    return chip


def _along_the_network(parts: Split) -> Int:
    """Return (populations,) ranks, breadth first. Populations without inputs come first."""
    count = len(parts.names)
    ends = np.unique(parts.owner[parts.pair_source] * count + parts.owner[parts.pair_target])
    source, target = ends // count, ends % count
    fed = np.isin(np.arange(count), target[source != target])
    rank = np.full(count, -1, np.int64)
    reached = 0
    for root in [*np.flatnonzero(~fed).tolist(), *range(count)]:
        waiting = deque([root] if rank[root] < 0 else [])
        while waiting:
            here = waiting.popleft()
            if rank[here] < 0:
                rank[here], reached = reached, reached + 1
                waiting.extend(target[source == here].tolist())
    return rank


def _groups(
    parts: Split, groups: int, room: int, effort: Effort, seed: int, *, evenly: bool
) -> Int | None:
    """Return (slices,) groups of at most ``room`` slices, or None if there are none.

    ``evenly``: with about as many packets in each group, so that busy slices get near PEs.
    """
    from nirc.mapping.partition.hypergraph import hypergraph
    from nirc.mapping.partition.regroup import regroup

    weight = parts.end - parts.begin
    size = np.ones((parts.count, 1), np.int64)
    most = np.array([room])
    if evenly:
        packets = np.ceil(_packets(parts)).astype(np.int64)
        size = np.stack([size[:, 0], packets], axis=1)
        most = np.append(most, int(EVEN * packets.sum() / groups))
    graph = hypergraph(parts.pair_source, parts.pair_target, weight, size)
    return regroup(graph, groups, most, effort=ENGINE[effort], seed=seed)


def _even_chips(slices: int, system: System) -> tuple[list[int], int]:
    """Return chips, and the PEs that each of them has at least.

    These are the chips with the most PEs if the slices fit on these, otherwise all chips.
    """
    room = {chip: len(system.cores(chip)) for chip in system.chips}
    most = max(room.values())
    full = [chip for chip in system.chips if room[chip] == most]
    if slices <= len(full) * most:
        return full, most
    return system.chips, min(room.values())


def _on_board(parts: Split, group: Int, system: System, effort: Effort, seed: int) -> Int:
    """Return (slices,) chips: groups near the groups that they send to."""
    from nirc.mapping.placement import Cells, Traffic
    from nirc.mapping.placement.place import place_on

    chips, _ = _even_chips(parts.count, system)
    groups = int(group.max()) + 1
    pairs = np.unique(parts.pair_source * groups + group[parts.pair_target])
    source, target = pairs // groups, pairs % groups
    weight = (parts.end - parts.begin)[source]
    traffic = Traffic.from_edges(groups, group[source], target, weight)
    others = set(range(BOARD_SIDE**2)) - set(chips)
    cells = Cells.mesh(BOARD_SIDE, BOARD_SIDE, excluded=sorted(others))
    at = place_on(traffic, cells, effort=ENGINE[effort], seed=seed).cell_of_node
    matrix = np.zeros((groups, groups))
    low, high, weights = traffic.edges()
    matrix[low, high] = matrix[high, low] = weights
    return _swapped(matrix, at, np.array(chips))[group]


def _swapped(traffic: Float, at: Int, chips: Int) -> Int:
    """Return (groups,) chips after all exchanges that lower traffic times links.

    The engine's mesh has four links a router, the board six. ``at`` (groups,): chips to begin with.
    """
    between = distance(np.arange(BOARD_SIDE**2)[:, None], np.arange(BOARD_SIDE**2))
    free = np.setdiff1d(chips, at)
    at = np.append(at, free)
    padded = np.pad(traffic, (0, len(free)))
    while True:
        apart = between[np.ix_(at, at)]
        here = (padded * apart).sum(axis=1)
        there = padded @ apart  # [a, b]: what a would cost at the place of b
        gain = here[:, None] + here - there - there.T - 2 * padded * apart
        one, other = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[one, other] <= 1e-9:
            return at[: len(traffic)]
        at[[one, other]] = at[[other, one]]
