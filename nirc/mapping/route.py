"""Trees of links for multicast nets: dimension-ordered, around faults, and spread where links are too busy.

*Ordered*: all steps along x, then y, then z; on triangles the longest of the three axes first, which SpiNNaker's
placers do as well (Navaridas et al., "SpiNNaker: Enhanced multicast routing", Parallel Computing 2015). Ways of a net
that share a beginning are one branch of its tree. *Detours*: a target whose ordered way is broken gets the cheapest
way from the tree (A*, Hart et al. 1968). *Congestion-aware*: nets over the busiest links are routed again with prices
that rise with load and with every round of trouble (McMurchie and Ebeling, "PathFinder", FPGA 1995).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.links import Floats, Ints, LinkGraph, Longs, hops_between, steps_between

Progress = Callable[[str, float], None]  # stage, share that is done
CHUNK = 1 << 22  # links of trees in one piece of memory
GOAL = 0.9  # of the highest load: what the next round aims at when capacities are unknown
SHOWN = 5  # unreachable targets listed in a message


@dataclass(frozen=True, eq=False)
class Nets:
    """What is routed: each net sends from one router to some. Targets of a net may repeat and include its source.

    The targets of net i are ``target[first[i]:first[i + 1]]``. Raises ``ValueError`` for arrays that do not fit.
    """

    source: Ints  # (nets,) router
    first: Longs  # (nets + 1,)
    target: Ints  # (pairs,) router
    weight: Floats  # (nets,) load on each link of the net's tree, at least 0

    def __post_init__(self) -> None:
        kinds = {"source": np.int32, "first": np.int64, "target": np.int32, "weight": np.float64}
        for name, kind in kinds.items():
            array = np.ascontiguousarray(getattr(self, name), kind)
            object.__setattr__(self, name, array)
            if array.ndim != 1:
                raise ValueError(f"{name} must have one axis, not {array.ndim}")
        if not self.source.size == self.weight.size == self.first.size - 1:
            raise ValueError(f"{self.source.size} sources, {self.weight.size} weights, {self.first.size} firsts (+1)")
        if self.first[0] != 0 or self.first[-1] != self.target.size or (np.diff(self.first) < 0).any():
            raise ValueError(f"first must rise from 0 to the number of targets, {self.target.size}")
        if not (self.weight >= 0).all() or not np.isfinite(self.weight).all():
            raise ValueError("weights must be finite and at least 0")

    @classmethod
    def unicast(cls, source: npt.ArrayLike, target: npt.ArrayLike, weight: npt.ArrayLike = 1.0) -> Nets:
        """One net for each pair of routers; ``weight``: one number or (pairs,)."""
        sources = np.asarray(source, np.int32)
        weights = np.broadcast_to(np.asarray(weight, np.float64), sources.shape)
        return cls(sources, np.arange(sources.size + 1), np.asarray(target, np.int32), weights)


@dataclass(frozen=True, eq=False)
class Routes:
    """A tree for each net: the links ``link[first[i]:first[i + 1]]``, each after the link that leads to it."""

    first: Longs  # (nets + 1,)
    link: Ints  # (links of all trees,)
    loads: Floats  # (links,) sum of the weights of the nets that use the link

    @property
    def hops(self) -> Longs:
        """(nets,) links that each net uses."""
        return np.diff(self.first)

    @property
    def max_load(self) -> float:
        """The load of the busiest link."""
        return float(self.loads.max(initial=0.0))

    def cost(self, links: LinkGraph) -> float:
        """Sum over links of load times cost."""
        return float(_weighed(self.loads, links.cost))


class UnreachableError(ValueError):
    """Faults cut targets off. ``nets``, ``targets``: (n,) net and router of each target without a way."""

    def __init__(self, nets: Nets, links: LinkGraph, pairs: Longs) -> None:
        self.nets = (np.searchsorted(nets.first, pairs, side="right") - 1).astype(np.int64)
        self.targets = nets.target[pairs]
        at, works = links.coordinates, links.works
        lines = []
        for net, target in list(zip(self.nets.tolist(), self.targets.tolist(), strict=True))[:SHOWN]:
            source = int(nets.source[net])
            broken = [f"router {r} is faulty" for r in sorted({source, target}) if not works[r]]
            why = " and ".join(broken) or "no way of working links is left"
            lines.append(f"net {net}: router {source} {_point(at[source])} -> {target} {_point(at[target])}, {why}")
        if pairs.size > SHOWN:
            lines.append(f"and {pairs.size - SHOWN} more")
        count = np.unique(self.nets).size
        super().__init__(f"{pairs.size} targets of {count} nets are cut off: {'; '.join(lines)}")


def _point(xyz: Ints) -> str:
    return f"({', '.join(str(c) for c in xyz.tolist())})"


def route(
    nets: Nets,
    links: LinkGraph,
    *,
    congestion_aware: bool = False,
    seed: int = 0,
    rounds: int = 20,
    work: int = 20_000_000,
    progress: Progress | None = None,
) -> Routes:
    """A tree of working links from the source of each net to all its targets.

    If nothing is in the way each target is as few links from its source as possible. With faults, and links of
    equal cost, a tree has no more links than the shortest ways to its targets one by one.
    ``congestion_aware``: lower the largest load (where capacities are finite: the largest load / capacity, until it
    is at most 1) in at most ``rounds`` rounds and about ``work`` steps of search; ``seed`` orders the nets in a
    round. Ways may get longer, the largest load never higher than without. The answer depends on nothing else.
    ``progress``: called now and then with the stage and the share of it that is done.
    Raises ``UnreachableError`` naming all targets that faults cut off, ``ValueError`` for unknown routers.
    """
    for name, ids in (("source", nets.source), ("target", nets.target)):
        if ids.size and (ids.min() < 0 or ids.max() >= links.routers):
            raise ValueError(f"{name} names routers {ids.min()} to {ids.max()}; there are 0 to {links.routers - 1}")
    routes = _ordered(nets, links, progress)
    if congestion_aware:
        routes = _negotiated(nets, links, routes, seed, rounds, work, progress)
    return routes


def walk(nets: Nets, links: LinkGraph, routes: Routes) -> Ints:
    """Check the trees by following them; (pairs,) int32: the links from the source to each target.

    Raises ``ValueError`` if a tree uses a link that nothing leads to, enters a router twice, or misses a target.
    """
    hops = np.zeros(nets.target.size, np.int32)
    net, code = _walk(
        nets.source, nets.first, nets.target, routes.first, routes.link, links.source, links.target, links.routers, hops
    )
    if code:
        faults = ("", "uses a link that nothing leads to", "enters a router twice", "misses a target")
        raise ValueError(f"the tree of net {net} {faults[code]}")
    return hops


class _Grid(NamedTuple):
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


class _Scratch(NamedTuple):
    """Per router, valid where it holds the number of the current net (``seen``) or search (others)."""

    seen: Longs  # the tree of this net contains the router
    opened: Longs  # a way from the router to the target is known: its cost and its first link
    closed: Longs  # and no cheaper one exists
    best: Floats
    came: Ints
    search: Longs  # (1,) searches so far
    steps: Longs  # (1,) routers closed so far


class _Pressure(NamedTuple):
    """Per link, what makes it dearer than its cost."""

    loads: Floats
    goal: Floats  # the load where the price doubles; inf: cost alone counts
    history: Floats  # rounds that it was too busy in


def _grid(links: LinkGraph) -> _Grid:
    island = np.where(links.works, 0, -1).astype(np.int32)
    if not links.works.all() or (links.outgoing < 0).any():
        _label(island, links.outgoing, links.incoming, links.source, links.target)
    return _Grid(
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


def _scratch(routers: int) -> _Scratch:
    return _Scratch(
        seen=np.full(routers, -1, np.int64),
        opened=np.full(routers, -1, np.int64),
        closed=np.full(routers, -1, np.int64),
        best=np.zeros(routers),
        came=np.zeros(routers, np.int32),
        search=np.zeros(1, np.int64),
        steps=np.zeros(1, np.int64),
    )


def _ordered(nets: Nets, links: LinkGraph, progress: Progress | None) -> Routes:
    grid, scratch, many = _grid(links), _scratch(links.routers), links.source.size
    pressure = _Pressure(np.zeros(many), np.full(many, np.inf), np.zeros(many))
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
    grid: _Grid,
    scratch: _Scratch,
    pressure: _Pressure,
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
                found = _cheapest_branch(source[net], target[pair], net, weight[net], grid, scratch, pressure, out, end)
                lost[pair] = found < 0
                end = max(end, found)
        for i in range(begin, end):
            pressure.loads[out[i]] += weight[net]
        tree_first[net + 1] = tree_first[net] + end - begin
        net += 1
    return net


@compiled
def _ordered_branch(source: int, target: int, net: int, grid: _Grid, scratch: _Scratch, out: Ints, begin: int) -> int:
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
def _cheapest_branch(
    source: int,
    target: int,
    net: int,
    weight: float,
    grid: _Grid,
    scratch: _Scratch,
    pressure: _Pressure,
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
            known = scratch.best[router] + _price(link, weight, grid, pressure)
            if scratch.opened[before] == search and known >= scratch.best[before]:
                continue
            scratch.opened[before], scratch.best[before], scratch.came[before] = search, known, link
            ahead = hops_between(source, before, grid.size, grid.wraps, grid.triangular)
            heapq.heappush(heap, (known + grid.floor * ahead, ahead * axes - direction % axes, before))
    return -1


@compiled
def _price(link: int, weight: float, grid: _Grid, pressure: _Pressure) -> float:
    """The cost of the link for one more net of this weight; never below its plain cost."""
    full = (pressure.loads[link] + weight) / pressure.goal[link]
    price: float = grid.cost[link] * (1.0 + pressure.history[link]) * (1.0 + full * full * full * full)
    return price


@compiled
def _traced(router: int, target: int, net: int, grid: _Grid, scratch: _Scratch, out: Ints, end: int) -> int:
    while router != target:
        link = scratch.came[router]
        router = grid.target[link]
        scratch.seen[router] = net
        out[end] = link
        end += 1
    return end


def _negotiated(
    nets: Nets, links: LinkGraph, routes: Routes, seed: int, rounds: int, work: int, progress: Progress | None
) -> Routes:
    """Rip up and reroute the nets over the busiest links, round by round; the best state seen."""
    bounded = np.isfinite(links.capacity)
    known = bool(bounded.any())  # else aim ever lower, with the same unknown capacity everywhere
    limit = np.where(bounded, links.capacity, np.inf) if known else np.ones(links.source.size)
    grid, scratch, turn = _grid(links), _scratch(links.routers), _turns(nets.source.size, seed)
    begin, end = routes.first[:-1].copy(), routes.first[1:].copy()
    pool, filled = routes.link, routes.link.size
    loads, history = routes.loads, np.zeros(links.source.size)
    best, kept = (_peak(loads, limit), _weighed(loads, links.cost)), (begin.copy(), end.copy(), loads)
    for done in range(rounds):
        goal = limit * (1.0 if known else GOAL * best[0])
        busy = loads > goal
        if not busy.any() or scratch.steps[0] >= work:
            break
        history[busy] += 1.0
        pressure = _Pressure(loads.copy(), goal, history)
        todo = np.flatnonzero(_uses(begin, end, pool, busy))
        todo = todo[np.argsort(turn[todo], kind="stable")]
        at = 0
        while at < todo.size and scratch.steps[0] < work:
            if pool.size - filled < links.routers:
                pool = np.concatenate([pool[:filled], np.empty(max(CHUNK, links.routers), np.int32)])
            at, filled = _reroute(
                todo, at, nets.source, nets.first, nets.target, nets.weight, grid, scratch, pressure,
                begin, end, pool, filled, work,
            )  # fmt: skip
        loads = _counted(begin, end, pool, nets.weight, links.source.size)
        now = (_peak(loads, limit), _weighed(loads, links.cost))
        if now < best:
            best, kept = now, (begin.copy(), end.copy(), loads)
        if progress:
            progress("spread load", (done + 1) / rounds)
    return _compacted(*kept, pool)


def _compacted(begin: Longs, end: Longs, loads: Floats, pool: Ints) -> Routes:
    first = np.concatenate([[0], np.cumsum(end - begin)])
    link = np.empty(first[-1], np.int32)
    _copy(begin, end, pool, link)
    return Routes(first, link, loads)


def _peak(loads: Floats, limit: Floats) -> float:
    return float((loads / limit).max(initial=0.0))


def _turns(nets: int, seed: int) -> npt.NDArray[np.uint64]:
    """(nets,) the order in which nets move: a hash of net and seed (splitmix64, Steele et al., OOPSLA 2014)."""
    x = np.arange(nets, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def _copy(begin: Longs, end: Longs, pool: Ints, link: Ints) -> None:
    at = 0
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            link[at] = pool[i]
            at += 1


@compiled
def _counted(begin: Longs, end: Longs, pool: Ints, weight: Floats, links: int) -> Floats:
    """Loads from scratch: adding and taking off again drifts."""
    loads = np.zeros(links)
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            loads[pool[i]] += weight[net]
    return loads


@compiled
def _weighed(loads: Floats, cost: Floats) -> float:
    """Their product, added up in order: BLAS orders it as the machine likes."""
    total = 0.0
    for link in range(loads.size):
        total += loads[link] * cost[link]
    return total


@compiled
def _uses(begin: Longs, end: Longs, link: Ints, marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(nets,) whether the tree has a marked link."""
    uses = np.zeros(begin.size, np.bool_)
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            uses[net] |= marked[link[i]]
    return uses


@compiled
def _reroute(
    todo: Longs,
    at: int,
    source: Ints,
    first: Longs,
    target: Ints,
    weight: Floats,
    grid: _Grid,
    scratch: _Scratch,
    pressure: _Pressure,
    begin: Longs,
    end: Longs,
    pool: Ints,
    filled: int,
    work: int,
) -> tuple[int, int]:
    """Give the nets ``todo[at:]`` cheaper trees where there are any, until the pool is full or the work done.

    New trees are appended to the pool. Returns the next net to do and the new end of the pool.
    """
    loads = pressure.loads
    while at < todo.size and filled + scratch.seen.size <= pool.size and scratch.steps[0] < work:
        net = todo[at]
        at += 1
        before = 0.0
        for i in range(begin[net], end[net]):
            loads[pool[i]] -= weight[net]
        for i in range(begin[net], end[net]):
            before += _price(pool[i], weight[net], grid, pressure)
        # The number marks this tree alone: nets come by several times.
        mark = scratch.search[0] + 1
        scratch.search[0] = mark
        scratch.seen[source[net]] = mark
        targets = target[first[net] : first[net + 1]]
        far = np.empty(targets.size, np.int64)
        for i in range(targets.size):
            far[i] = hops_between(source[net], targets[i], grid.size, grid.wraps, grid.triangular)
        stop = filled
        for i in np.argsort(far, kind="mergesort"):
            if scratch.seen[targets[i]] != mark:
                stop = _cheapest_branch(source[net], targets[i], mark, weight[net], grid, scratch, pressure, pool, stop)
        after = 0.0
        for i in range(filled, stop):
            after += _price(pool[i], weight[net], grid, pressure)
        if after < before * (1 - 1e-9):
            begin[net], end[net], filled = filled, stop, stop
        for i in range(begin[net], end[net]):
            loads[pool[i]] += weight[net]
    return at, filled


@compiled
def _walk(
    source: Ints,
    first: Longs,
    target: Ints,
    tree_first: Longs,
    link: Ints,
    link_source: Ints,
    link_target: Ints,
    routers: int,
    hops: Ints,
) -> tuple[int, int]:
    """Fill in ``hops``; (net, fault), fault 0 if every tree is right."""
    seen, depth = np.full(routers, -1, np.int64), np.zeros(routers, np.int32)
    for net in range(source.size):
        seen[source[net]], depth[source[net]] = net, 0
        for i in range(tree_first[net], tree_first[net + 1]):
            here, there = link_source[link[i]], link_target[link[i]]
            if seen[here] != net:
                return net, 1
            if seen[there] == net:
                return net, 2
            seen[there], depth[there] = net, depth[here] + 1
        for pair in range(first[net], first[net + 1]):
            if seen[target[pair]] != net:
                return net, 3
            hops[pair] = depth[target[pair]]
    return -1, 0
