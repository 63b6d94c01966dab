"""Find a tree of links for every multicast net, and spread the load over the links.

Congestion-aware routing removes and reroutes the nets over the busiest links in rounds. The price
of a link rises with its load and with every round in which it was too busy (McMurchie and Ebeling,
"PathFinder", FPGA 1995).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.mapping.routing import Nets, Routes, weighed
from nirc.mapping.routing.links import Floats, Ints, LinkGraph, Longs, hops_between
from nirc.mapping.routing.trees import (
    CHUNK,
    GROUND,
    Grid,
    NetArrays,
    Pressure,
    Scratch,
    cheapest_branch,
    grid_of,
    ordered_trees,
    price,
    scratch_for,
)
from nirc.native.loops import in_c

Bools = npt.NDArray[np.bool_]


def route(
    nets: Nets,
    links: LinkGraph,
    *,
    congestion_aware: bool = False,
    seed: int = 0,
    rounds: int = 20,
    work: int = 20_000_000,
) -> Routes:
    """Return a tree of working links from the source of each net to all its targets.

    Without faults, each target is as few links from its source as possible. With faults and links
    of equal cost, a tree has no more links than the shortest routes to its targets together.
    ``congestion_aware``: lower the largest load. With finite capacities this means the largest load
    / capacity, until the ratio is at most 1. This takes at most ``rounds`` rounds and about
    ``work`` steps of search. ``seed`` orders the nets in a round. Routes may get longer. The
    largest load never rises. The answer depends on nothing else.
    Raises ``UnreachableError`` naming all targets that faults cut off, ``ValueError`` for unknown
    routers.
    """
    for name, ids in (("source", nets.source), ("target", nets.target)):
        if ids.size and (ids.min() < 0 or ids.max() >= links.routers):
            last = links.routers - 1
            raise ValueError(
                f"{name} names routers {ids.min()} to {ids.max()}; there are 0 to {last}"
            )
    if links.routers == 1:
        return Routes(np.zeros(nets.source.size + 1, np.int64), np.zeros(0, np.int32), np.zeros(0))
    # A broken route is searched among all links.
    routes = ordered_trees(nets, links)
    if congestion_aware:
        routes = spread_load(nets, links, routes, seed, rounds, work)
    return routes


GOAL = 0.9  # of the highest load: the aim of the next round if capacities are unknown


def spread_load(
    nets: Nets,
    links: LinkGraph,
    routes: Routes,
    seed: int,
    rounds: int,
    work: int,
) -> Routes:
    """Remove and reroute the nets over the busiest links in rounds. Return the best routes.

    Tree i is ``pool[begin[i]:end[i]]``. New trees are appended to the pool.
    """
    # Without capacities all links have the same unknown capacity, and the goal falls every round.
    known = bool(np.isfinite(links.capacity).any())
    limit = links.capacity if known else np.ones(links.source.size)
    grid = grid_of(links)
    scratch = scratch_for(links.routers)
    arrays = (nets.source, nets.first, nets.target, nets.weight)
    priority = _priorities(nets.source.size, seed)
    begin = routes.first[:-1].copy()
    end = routes.first[1:].copy()
    pool = routes.link
    filled = pool.size
    loads = routes.loads
    history = np.zeros(links.source.size)
    best_rank = _rank(loads, limit, links.cost)
    best = (begin.copy(), end.copy(), loads)
    for _ in range(rounds):
        goal = limit * (1.0 if known else GOAL * best_rank[0])
        busy = loads > goal
        if not busy.any() or scratch.steps[0] >= work:
            break
        history[busy] += 1.0
        pressure = Pressure(loads.copy(), goal, history)
        uses = np.zeros(begin.size, np.bool_)
        _uses(begin, end, pool, busy, uses)
        todo = np.flatnonzero(uses)
        todo = todo[np.argsort(priority[todo], kind="stable")]
        while todo.size and scratch.steps[0] < work:
            if pool.size - filled < links.routers:
                room = np.empty(max(CHUNK, links.routers), np.int32)
                pool = np.concatenate([pool[:filled], room])
            trees = (begin, end, pool)
            end_of_pool = np.array([filled], np.int64)
            ground = grid, scratch, pressure
            todo = todo[_reroute(todo, arrays, *ground, trees, end_of_pool, work) :]
            filled = int(end_of_pool[0])
        loads = np.zeros(links.source.size)
        _count_loads(begin, end, pool, nets.weight, loads)
        rank = _rank(loads, limit, links.cost)
        if rank < best_rank:
            best_rank = rank
            best = (begin.copy(), end.copy(), loads)
    begin, end, loads = best
    first = np.concatenate([[0], np.cumsum(end - begin)])
    link = np.empty(first[-1], np.int32)
    _copy(begin, end, pool, link)
    return Routes(first, link, loads)


def _rank(loads: Floats, limit: Floats, cost: Floats) -> tuple[float, float]:
    """Return the largest load as a share of the limit, and the cost of all routes."""
    return float((loads / limit).max(initial=0.0)), float(weighed(loads, cost))


def _priorities(nets: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return (nets,) a hash of net and seed. Nets are rerouted by rising priority.

    The hash is splitmix64 (Steele et al., OOPSLA 2014).
    """
    x = np.arange(nets, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@in_c("copy", "qqii*")
def _copy(begin: Longs, end: Longs, pool: Ints, link: Ints) -> None:
    at = 0
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            link[at] = pool[i]
            at += 1


@in_c("loads", "qqidd*")
def _count_loads(begin: Longs, end: Longs, pool: Ints, weight: Floats, loads: Floats) -> None:
    """Add up (links,) the loads. Loads that are changed in place gather rounding errors."""
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            loads[pool[i]] += weight[net]


@in_c("uses", "qqi??*")
def _uses(begin: Longs, end: Longs, link: Ints, marked: Bools, uses: Bools) -> None:
    """Write (nets,) bool: the tree of the net has a marked link."""
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            uses[net] |= marked[link[i]]


@in_c("reroute", "qiqid" + GROUND + "q*q*i*q*n")
def _reroute(
    todo: Longs,
    nets: NetArrays,
    grid: Grid,
    scratch: Scratch,
    pressure: Pressure,
    trees: tuple[Longs, Longs, Ints],
    end_of_pool: Longs,
    work: int,
) -> int:
    """Give the nets ``todo`` cheaper trees, until the pool is full or the work is done.

    ``trees``: begin, end, pool. ``end_of_pool`` (1,): moves on. Return the number of nets that
    are done.
    """
    source, first, target, weight = nets
    begin, end, pool = trees
    loads = pressure.loads
    filled = end_of_pool[0]
    done = 0
    while done < todo.size and filled + scratch.seen.size <= pool.size and scratch.steps[0] < work:
        net = todo[done]
        done += 1
        before = 0.0
        for i in range(begin[net], end[net]):
            loads[pool[i]] -= weight[net]
        for i in range(begin[net], end[net]):
            before += price(pool[i], weight[net], grid, pressure)
        # The mark is new for each tree, since a net may be rerouted several times.
        mark = scratch.search[0] + 1
        scratch.search[0] = mark
        scratch.seen[source[net]] = mark
        targets = target[first[net] : first[net + 1]]
        hops = np.empty(targets.size, np.int64)
        for i in range(targets.size):
            hops[i] = hops_between(source[net], targets[i], grid.size, grid.wraps, grid.triangular)
        stop = filled
        for i in np.argsort(hops, kind="mergesort"):
            if scratch.seen[targets[i]] != mark:
                stop = cheapest_branch(
                    source[net], targets[i], mark, weight[net], grid, scratch, pressure, pool, stop
                )
        after = 0.0
        for i in range(filled, stop):
            after += price(pool[i], weight[net], grid, pressure)
        if after < before * (1 - 1e-9):
            begin[net] = filled
            end[net] = stop
            filled = stop
        for i in range(begin[net], end[net]):
            loads[pool[i]] += weight[net]
    end_of_pool[0] = filled
    return done
