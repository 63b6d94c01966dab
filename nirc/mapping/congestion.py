"""Spread the load: reroute the nets over the busiest links in rounds.

Prices rise with load and with every round in which a link was too busy (McMurchie and Ebeling,
"PathFinder", FPGA 1995).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.mapping.compiled import compiled
from nirc.mapping.links import Floats, Ints, LinkGraph, Longs, hops_between
from nirc.mapping.nets import Nets, Routes, weighed
from nirc.mapping.trees import (
    CHUNK,
    Grid,
    Pressure,
    Progress,
    Scratch,
    cheapest_branch,
    grid_of,
    price,
    scratch_for,
)

GOAL = 0.9  # of the highest load: the aim of the next round if capacities are unknown


def spread_load(
    nets: Nets,
    links: LinkGraph,
    routes: Routes,
    seed: int,
    rounds: int,
    work: int,
    progress: Progress | None,
) -> Routes:
    """Remove and reroute the nets over the busiest links in rounds. Return the best state seen."""
    bounded = np.isfinite(links.capacity)
    known = bool(
        bounded.any()
    )  # else all links have the same unknown capacity, and the goal falls every round
    limit = np.where(bounded, links.capacity, np.inf) if known else np.ones(links.source.size)
    grid = grid_of(links)
    scratch = scratch_for(links.routers)
    turn = _turns(nets.source.size, seed)
    begin = routes.first[:-1].copy()
    end = routes.first[1:].copy()
    pool = routes.link
    filled = pool.size
    loads = routes.loads
    history = np.zeros(links.source.size)
    best = (_peak(loads, limit), weighed(loads, links.cost))
    best_state = (begin.copy(), end.copy(), loads)
    for done in range(rounds):
        goal = limit * (1.0 if known else GOAL * best[0])
        busy = loads > goal
        if not busy.any() or scratch.steps[0] >= work:
            break
        history[busy] += 1.0
        pressure = Pressure(loads.copy(), goal, history)
        todo = np.flatnonzero(_uses(begin, end, pool, busy))
        todo = todo[np.argsort(turn[todo], kind="stable")]
        at = 0
        while at < todo.size and scratch.steps[0] < work:
            if pool.size - filled < links.routers:
                pool = np.concatenate(
                    [pool[:filled], np.empty(max(CHUNK, links.routers), np.int32)]
                )
            at, filled = _reroute(
                todo, at, nets.source, nets.first, nets.target, nets.weight, grid, scratch,
                pressure,
                begin, end, pool, filled, work,
            )  # fmt: skip
        loads = _counted(begin, end, pool, nets.weight, links.source.size)
        now = (_peak(loads, limit), weighed(loads, links.cost))
        if now < best:
            best = now
            best_state = (begin.copy(), end.copy(), loads)
        if progress:
            progress("spread load", (done + 1) / rounds)
    return _compacted(*best_state, pool)


def _compacted(begin: Longs, end: Longs, loads: Floats, pool: Ints) -> Routes:
    first = np.concatenate([[0], np.cumsum(end - begin)])
    link = np.empty(first[-1], np.int32)
    _copy(begin, end, pool, link)
    return Routes(first, link, loads)


def _peak(loads: Floats, limit: Floats) -> float:
    return float((loads / limit).max(initial=0.0))


def _turns(nets: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return (nets,) the order in which nets are rerouted, by a hash of net and seed.

    The hash is splitmix64 (Steele et al., OOPSLA 2014).
    """
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
    """Count the loads anew. Adding and subtracting in place would drift."""
    loads = np.zeros(links)
    for net in range(begin.size):
        for i in range(begin[net], end[net]):
            loads[pool[i]] += weight[net]
    return loads


@compiled
def _uses(
    begin: Longs, end: Longs, link: Ints, marked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return (nets,) bool: the tree of the net has a marked link."""
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
    grid: Grid,
    scratch: Scratch,
    pressure: Pressure,
    begin: Longs,
    end: Longs,
    pool: Ints,
    filled: int,
    work: int,
) -> tuple[int, int]:
    """Give the nets ``todo[at:]`` cheaper trees, until the pool is full or the work is done.

    New trees are appended to the pool. Return the next net to do and the new end of the pool.
    """
    loads = pressure.loads
    while at < todo.size and filled + scratch.seen.size <= pool.size and scratch.steps[0] < work:
        net = todo[at]
        at += 1
        before = 0.0
        for i in range(begin[net], end[net]):
            loads[pool[i]] -= weight[net]
        for i in range(begin[net], end[net]):
            before += price(pool[i], weight[net], grid, pressure)
        # This number marks the current tree only. A net may be rerouted several times.
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
    return at, filled
