"""Grow the tree of a net branch by branch, in dimension order or by the cheapest route.

*Ordered routes* take all steps along x, then y, then z. On triangles the longest of the three axes
goes first, as in SpiNNaker's placers (Navaridas et al., "SpiNNaker: Enhanced multicast routing",
Parallel Computing 2015). Routes of a net with a common beginning share one branch of its tree. A
target with a broken ordered route gets the cheapest route from the tree (A*, Hart et al. 1968).
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing import Nets, Routes, UnreachableError
from nirc.mapping.routing.links import Floats, Ints, LinkGraph, Longs, hops_between, steps_between
from nirc.native.loops import in_c

CHUNK = 1 << 22  # links of trees in one piece of memory
GROUND = "iiiidxqnn" + "q*q*q*d*i*q*q*" + "d*dd"  # Grid, Scratch and Pressure, for C


NetArrays = tuple[Ints, Longs, Ints, Floats]  # source, first, target, weight of ``Nets``


class Grid(NamedTuple):
    """A link graph in the form that loops in C take."""

    target: Ints
    incoming: Ints
    before: Ints  # (routers, directions) router at the start of the incoming link
    island: Ints  # (routers,) number of the connected part, -1 for a faulty router
    cost: Floats
    least_cost: float  # of a link
    size: Longs
    wraps: bool
    triangular: bool


class Scratch(NamedTuple):
    """Marks of routers, by the number of the last net (``seen``) or search (``opened``...)."""

    seen: Longs  # the tree of this net contains the router
    opened: Longs  # in this search a route from the router to the target is known
    closed: Longs  # in this search no cheaper route exists
    route_price: Floats  # of the known route
    next_link: Ints  # of the known route
    search: Longs  # (1,) searches so far
    steps: Longs  # (1,) routers closed so far


class Pressure(NamedTuple):
    """The reasons to raise the price of a link above its cost, (links,) each."""

    loads: Floats
    goal: Floats  # the load at which the price doubles, inf: the price is the cost
    history: Floats  # rounds in which the link was too busy


def grid_of(links: LinkGraph) -> Grid:
    """Return ``links`` in the form that loops in C take."""
    island = np.where(links.works, 0, -1).astype(np.int32)
    if not links.works.all() or (links.outgoing < 0).any():
        _label(island, links.outgoing, links.incoming, links.source, links.target)
    return Grid(
        links.target,
        links.incoming,
        before=np.append(links.source, np.int32(-1))[links.incoming],
        island=island,
        cost=links.cost,
        least_cost=float(links.cost.min()) if links.cost.size else 0.0,
        size=np.array(links.size, np.int64),
        wraps=links.wraps,
        triangular=links.triangular,
    )


def scratch_for(routers: int) -> Scratch:
    """Return marks for ``routers`` routers, none set."""
    seen, opened, closed = np.full((3, routers), -1, np.int64)
    search, steps = np.zeros((2, 1), np.int64)
    route_price = np.zeros(routers)
    return Scratch(seen, opened, closed, route_price, np.zeros(routers, np.int32), search, steps)


def ordered_trees(nets: Nets, links: LinkGraph) -> Routes:
    """Return a tree for each net, see ``route``. Raises ``UnreachableError``."""
    grid = grid_of(links)
    scratch = scratch_for(links.routers)
    count = links.source.size
    pressure = Pressure(np.zeros(count), np.full(count, np.inf), np.zeros(count))
    arrays = (nets.source, nets.first, nets.target, nets.weight)
    first = np.zeros(nets.source.size + 1, np.int64)
    lost = np.zeros(nets.target.size, np.bool_)
    pieces: list[Ints] = []
    net = 0
    while net < nets.source.size:
        piece = np.empty(max(CHUNK, links.routers), np.int32)
        next_net = _grow(net, arrays, grid, scratch, pressure, lost, first, piece)
        pieces.append(piece[: first[next_net] - first[net]])
        net = next_net
    if lost.any():
        raise UnreachableError(nets, links, np.flatnonzero(lost))
    return Routes(first, _joined(pieces), pressure.loads)


def _joined(pieces: list[Ints]) -> Ints:
    """Concatenate the pieces and free each after its copy: together they are very large."""
    pieces.reverse()
    joined = np.empty(sum(p.size for p in pieces), np.int32)
    end = 0
    while pieces:
        piece = pieces.pop()
        joined[end : end + piece.size] = piece
        end += piece.size
    return joined


@in_c("label", "i*iiii")
def _label(island: Ints, outgoing: Ints, incoming: Ints, source: Ints, target: Ints) -> None:
    """Number the connected parts 1, 2, ... in place. Links count in both directions."""
    stack = np.empty(island.size, np.int32)
    number = 0
    for start in range(island.size):
        if island[start] != 0:
            continue
        number += 1
        island[start] = number
        stack[0] = start
        top = 1
        while top:
            top -= 1
            router = stack[top]
            for d in range(outgoing.shape[1]):
                for link, end in ((outgoing[router, d], target), (incoming[router, d], source)):
                    if link >= 0 and island[end[link]] == 0:
                        island[end[link]] = number
                        stack[top] = end[link]
                        top += 1


@in_c("trees", "niqid" + GROUND + "?*q*i*")
def _grow(
    net: int,
    nets: NetArrays,
    grid: Grid,
    scratch: Scratch,
    pressure: Pressure,
    lost: npt.NDArray[np.bool_],
    tree_first: Longs,
    out: Ints,
) -> int:
    """Grow trees from ``net`` on, until ``out`` might not hold the next. Return the next net."""
    source, first, target, weight = nets
    routers = scratch.seen.size
    end = 0
    while net < source.size and end + routers <= out.size:
        begin = end
        scratch.seen[source[net]] = net
        broken = 0
        island = grid.island[source[net]]
        for pair in range(first[net], first[net + 1]):
            if island < 0 or grid.island[target[pair]] != island:
                lost[pair] = True
                continue
            branch_end = _ordered_branch(source[net], target[pair], net, grid, scratch, out, end)
            broken += branch_end < 0
            end = max(end, branch_end)
        if broken:
            for pair in range(first[net], first[net + 1]):
                if lost[pair] or scratch.seen[target[pair]] == net:
                    continue
                branch_end = cheapest_branch(
                    source[net], target[pair], net, weight[net], grid, scratch, pressure, out, end
                )
                lost[pair] = branch_end < 0
                end = max(end, branch_end)
        for i in range(begin, end):
            pressure.loads[out[i]] += weight[net]
        tree_first[net + 1] = tree_first[net] + end - begin
        net += 1
    return net


def _ordered_branch(
    source: int, target: int, net: int, grid: Grid, scratch: Scratch, out: Ints, begin: int
) -> int:
    """Walk the ordered route from the target to the tree. Return the end of ``out``, -1: broken."""
    axes = grid.incoming.shape[1] // 2
    steps = steps_between(source, target, grid.size, grid.wraps, grid.triangular)
    order = _longest_last(steps) if grid.triangular else (2, 1, 0)
    router = target
    end = begin
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
        low += 1
        high -= 1
    return end


def _longest_last(steps: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sort the axes by number of steps, rising. Of equal axes the later axis comes first."""
    a, b, c = 2, 1, 0
    if abs(steps[b]) < abs(steps[a]):
        a, b = b, a
    if abs(steps[c]) < abs(steps[b]):
        b, c = c, b
    if abs(steps[b]) < abs(steps[a]):
        a, b = b, a
    return a, b, c


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
    """Search back from the target to the nearest router of the net's tree.

    The least possible price from the source guides the search. So the branch never costs more than
    the cheapest route from the source. Return the new end of ``out``, or -1 if there is no route.
    """
    scratch.search[0] += 1
    search = scratch.search[0]
    scratch.route_price[target] = 0.0
    scratch.opened[target] = search
    axes = grid.incoming.shape[1] // 2
    # Of equal routers, the nearest to the source comes first, then the router of the last axis.
    heap = [(0.0, 0, target)]
    while heap:
        _, _, router = heapq.heappop(heap)
        if scratch.closed[router] == search:
            continue
        scratch.closed[router] = search
        scratch.steps[0] += 1
        if scratch.seen[router] == net:
            return _add_branch(router, target, net, grid, scratch, out, begin)
        for direction in range(grid.incoming.shape[1]):
            link = grid.incoming[router, direction]
            if link < 0:
                continue
            before = grid.before[router, direction]
            total = scratch.route_price[router] + price(link, weight, grid, pressure)
            if scratch.opened[before] == search and total >= scratch.route_price[before]:
                continue
            scratch.opened[before] = search
            scratch.route_price[before] = total
            scratch.next_link[before] = link
            hops = hops_between(source, before, grid.size, grid.wraps, grid.triangular)
            rank = hops * axes - direction % axes
            heapq.heappush(heap, (total + grid.least_cost * hops, rank, before))
    return -1


def price(link: int, weight: float, grid: Grid, pressure: Pressure) -> float:
    """Return the price of the link for one more net of this weight, at least its cost."""
    full = (pressure.loads[link] + weight) / pressure.goal[link]
    price: float = grid.cost[link] * (1.0 + pressure.history[link])
    price *= 1.0 + full * full * full * full
    return price


def _add_branch(
    router: int, target: int, net: int, grid: Grid, scratch: Scratch, out: Ints, end: int
) -> int:
    """Write the links from the router to the target. Return the new end of ``out``."""
    while router != target:
        link = scratch.next_link[router]
        router = grid.target[link]
        scratch.seen[router] = net
        out[end] = link
        end += 1
    return end
