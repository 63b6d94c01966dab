"""Grow the tree of a net branch by branch: dimension-ordered where that way works, else the cheapest way.

*Ordered*: all steps along x, then y, then z; on triangles the longest of the three axes first, which SpiNNaker's
placers do as well (Navaridas et al., "SpiNNaker: Enhanced multicast routing", Parallel Computing 2015). Ways of a net
that share a beginning are one branch of its tree. *Detours*: a target whose ordered way is broken gets the cheapest
way from the tree (A*, Hart et al. 1968).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.links import Floats, Ints, LinkGraph, Longs, hops_between, steps_between
from nirc.mapping.nets import Nets, Routes, UnreachableError

Progress = Callable[[str, float], None]  # stage, share that is done
CHUNK = 1 << 22  # links of trees in one piece of memory


class Grid(NamedTuple):
    """A link graph as compiled code takes it."""

    source: Ints
    target: Ints
    outgoing: Ints
    incoming: Ints
    before: Ints  # (routers, directions) where the incoming link starts: one look-up less on a long way
    island: Ints  # (routers,) number of the connected part, -1 for a faulty router
    cost: Floats
    floor: float  # the least cost of a link: times hops, never more than the cost of a way
    size: Longs
    wraps: bool
    triangular: bool


class Scratch(NamedTuple):
    """Per router, valid where it holds the number of the current net (``seen``) or search (others)."""

    seen: Longs  # the tree of this net contains the router
    opened: Longs  # a way from the router to the target is known: its cost and its first link
    closed: Longs  # and no cheaper one exists
    best: Floats
    came: Ints
    search: Longs  # (1,) searches so far
    steps: Longs  # (1,) routers closed so far


class Pressure(NamedTuple):
    """Per link, what makes it dearer than its cost."""

    loads: Floats
    goal: Floats  # the load where the price doubles; inf: cost alone counts
    history: Floats  # rounds that it was too busy in


def grid_of(links: LinkGraph) -> Grid:
    """``links`` as compiled code takes them."""
    island = np.where(links.works, 0, -1).astype(np.int32)
    if not links.works.all() or (links.outgoing < 0).any():
        _label(island, links.outgoing, links.incoming, links.source, links.target)
    return Grid(
        links.source,
        links.target,
        links.outgoing,
        links.incoming,
        np.append(links.source, np.int32(-1))[links.incoming],
        island,
        links.cost,
        float(links.cost.min()) if links.cost.size else 0.0,
        np.array(links.size, np.int64),
        links.wraps,
        links.triangular,
    )


def scratch_for(routers: int) -> Scratch:
    """Marks for so many routers, none set."""
    return Scratch(
        seen=np.full(routers, -1, np.int64),
        opened=np.full(routers, -1, np.int64),
        closed=np.full(routers, -1, np.int64),
        best=np.zeros(routers),
        came=np.zeros(routers, np.int32),
        search=np.zeros(1, np.int64),
        steps=np.zeros(1, np.int64),
    )


def ordered_trees(nets: Nets, links: LinkGraph, progress: Progress | None) -> Routes:
    """A tree for each net; see ``route``. Raises ``UnreachableError``."""
    grid, scratch, many = grid_of(links), scratch_for(links.routers), links.source.size
    pressure = Pressure(np.zeros(many), np.full(many, np.inf), np.zeros(many))
    first = np.zeros(nets.source.size + 1, np.int64)
    lost = np.zeros(nets.target.size, np.bool_)
    pieces: list[Ints] = []
    net = 0
    while net < nets.source.size:
        piece = np.empty(max(CHUNK, links.routers), np.int32)
        reached = _grow(
            net, nets.source, nets.first, nets.target, nets.weight, grid, scratch, pressure, lost, first, piece
        )
        pieces.append(piece[: first[reached] - first[net]])
        net = reached
        if progress:
            progress("route", net / nets.source.size)
    if lost.any():
        raise UnreachableError(nets, links, np.flatnonzero(lost))
    return Routes(first, _joined(pieces), pressure.loads)


def _joined(pieces: list[Ints]) -> Ints:
    """Concatenate, and let go of each piece when it is copied: all trees together are the largest array here."""
    pieces.reverse()
    whole = np.empty(sum(p.size for p in pieces), np.int32)
    end = 0
    while pieces:
        piece = pieces.pop()
        whole[end : end + piece.size] = piece
        end += piece.size
    return whole


@compiled
def _label(island: Ints, outgoing: Ints, incoming: Ints, source: Ints, target: Ints) -> None:
    """Number the connected parts 1, 2, ... in place; the direction of links does not count. Faulty: -1."""
    stack = np.empty(island.size, np.int32)
    number = 0
    for start in range(island.size):
        if island[start] != 0:
            continue
        number += 1
        island[start] = number
        stack[0], top = start, 1
        while top:
            top -= 1
            router = stack[top]
            for d in range(outgoing.shape[1]):
                for link, end in ((outgoing[router, d], target), (incoming[router, d], source)):
                    if link >= 0 and island[end[link]] == 0:
                        island[end[link]] = number
                        stack[top] = end[link]
                        top += 1


@compiled
def _grow(
    net: int,
    source: Ints,
    first: Longs,
    target: Ints,
    weight: Floats,
    grid: Grid,
    scratch: Scratch,
    pressure: Pressure,
    lost: npt.NDArray[np.bool_],
    tree_first: Longs,
    out: Ints,
) -> int:
    """Trees of the nets from ``net`` on, until ``out`` might not hold the next; returns that net."""
    routers, end = scratch.seen.size, 0
    while net < source.size and end + routers <= out.size:
        begin = end
        scratch.seen[source[net]] = net
        broken = 0
        for pair in range(first[net], first[net + 1]):
            if grid.island[source[net]] < 0 or grid.island[target[pair]] != grid.island[source[net]]:
                lost[pair] = True
                continue
            found = _ordered_branch(source[net], target[pair], net, grid, scratch, out, end)
            broken += found < 0
            end = max(end, found)
        if broken:
            for pair in range(first[net], first[net + 1]):
                if lost[pair] or scratch.seen[target[pair]] == net:
                    continue
                found = cheapest_branch(source[net], target[pair], net, weight[net], grid, scratch, pressure, out, end)
                lost[pair] = found < 0
                end = max(end, found)
        for i in range(begin, end):
            pressure.loads[out[i]] += weight[net]
        tree_first[net + 1] = tree_first[net] + end - begin
        net += 1
    return net


@compiled
def _ordered_branch(source: int, target: int, net: int, grid: Grid, scratch: Scratch, out: Ints, begin: int) -> int:
    """Walk the ordered way back from the target to the net's tree; returns the new end of ``out``, -1 if broken."""
    axes = grid.incoming.shape[1] // 2
    steps = steps_between(source, target, grid.size, grid.wraps, grid.triangular)
    order = _longest_last(steps) if grid.triangular else (2, 1, 0)
    router, end = target, begin
    for axis in order:
        count = steps[axis]
        direction = axis if count > 0 else axis + axes
        for _ in range(abs(count)):
            if scratch.seen[router] == net:
                break
            before = grid.before[router, direction]
            if before < 0:
                for i in range(begin, end):
                    scratch.seen[grid.target[out[i]]] = -1
                return -1
            scratch.seen[router] = net
            out[end] = grid.incoming[router, direction]
            end += 1
            router = before
    low, high = begin, end - 1
    while low < high:
        out[low], out[high] = out[high], out[low]
        low, high = low + 1, high - 1
    return end


@compiled
def _longest_last(steps: tuple[int, int, int]) -> tuple[int, int, int]:
    """Axes by number of steps, rising; of equal ones the later axis first, as it is taken last."""
    a, b, c = 2, 1, 0
    if abs(steps[b]) < abs(steps[a]):
        a, b = b, a
    if abs(steps[c]) < abs(steps[b]):
        b, c = c, b
    if abs(steps[b]) < abs(steps[a]):
        a, b = b, a
    return a, b, c


@compiled
def cheapest_branch(
    source: int,
    target: int,
    net: int,
    weight: float,
    grid: Grid,
    scratch: Scratch,
    pressure: Pressure,
    out: Ints,
    begin: int,
) -> int:
    """Search back from the target to the nearest router of the net's tree; returns the new end of ``out``, or -1.

    Guided by the least possible price from the source, so never dearer than the cheapest way from there.
    """
    scratch.search[0] += 1
    search = scratch.search[0]
    scratch.best[target], scratch.opened[target] = 0.0, search
    axes = grid.incoming.shape[1] // 2
    # Of equally good routers the nearest to the source, then dimension order: backwards the last axis goes first.
    heap = [(0.0, 0, target)]
    while heap:
        _, _, router = heapq.heappop(heap)
        if scratch.closed[router] == search:
            continue
        scratch.closed[router] = search
        scratch.steps[0] += 1
        if scratch.seen[router] == net:
            return _traced(router, target, net, grid, scratch, out, begin)  # type: ignore[no-any-return]
        for direction in range(grid.incoming.shape[1]):
            link = grid.incoming[router, direction]
            if link < 0:
                continue
            before = grid.before[router, direction]
            known = scratch.best[router] + price(link, weight, grid, pressure)
            if scratch.opened[before] == search and known >= scratch.best[before]:
                continue
            scratch.opened[before], scratch.best[before], scratch.came[before] = search, known, link
            ahead = hops_between(source, before, grid.size, grid.wraps, grid.triangular)
            heapq.heappush(heap, (known + grid.floor * ahead, ahead * axes - direction % axes, before))
    return -1


@compiled
def price(link: int, weight: float, grid: Grid, pressure: Pressure) -> float:
    """The cost of the link for one more net of this weight; never below its plain cost."""
    full = (pressure.loads[link] + weight) / pressure.goal[link]
    price: float = grid.cost[link] * (1.0 + pressure.history[link]) * (1.0 + full * full * full * full)
    return price


@compiled
def _traced(router: int, target: int, net: int, grid: Grid, scratch: Scratch, out: Ints, end: int) -> int:
    while router != target:
        link = scratch.came[router]
        router = grid.target[link]
        scratch.seen[router] = net
        out[end] = link
        end += 1
    return end
