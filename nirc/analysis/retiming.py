"""Delays that keep all paths in time on a chip where every synapse takes a step.

In a model, spikes cross a feed-forward network in one step. On a chip with one step per synapse,
each node has a latency of some steps. An edge with model lag g keeps its meaning if latency[target]
- latency[source] = hop - g + slack, with slack >= 0. The edge's extra delay is the slack. These are
difference constraints. The smallest latencies are longest paths (Leiserson and Saxe, "Retiming
synchronous circuitry", Algorithmica 6, 1991). A loop with fewer steps in the model than synapses
takes more steps on the chip.

The edges that close a cycle are those that act one step later in the model (``feedback_edges``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nirc.ir.arrays import Int
from nirc.ir.populations import Population, Role, Sink
from nirc.ir.program import Program

Key = TypeVar("Key", bound=Hashable)
AT_ONCE = 256  # loops whose lengths are found together (benchmarks/scale.py all-to-all-300)
UNREACHED = np.int64(-(1 << 40))  # steps to a node that no path leads to


@dataclass(frozen=True)
class Edge:
    """``target`` receives a spike after ``lag`` steps. The chip needs ``hop`` at least."""

    source: str
    target: str
    lag: int
    hop: int = 1


@dataclass(frozen=True)
class Timing:
    """``latency_steps``: delay of each node against the model. The others: for each edge in order.

    ``delays``: steps of the edge in addition to its hop. ``slow``: steps by which the edge is
    slower than in the model. They are above 0 only if a loop has fewer steps than synapses.
    """

    latency_steps: dict[str, int]
    delays: tuple[int, ...]
    slow: tuple[int, ...]


def retime(nodes: Iterable[str], edges: Sequence[Edge]) -> Timing:
    """Return the smallest latencies, from 0 on, that keep all edges.

    If a loop is too short, its last edge with a lag is slow.
    """
    names = list(nodes)
    rank = _ranks(names, edges)
    slow = _slow_edges(edges, rank)
    kept = [i for i in range(len(edges)) if i not in slow]
    while True:
        # In the order of ranks most programs need two rounds. A loop is looked for as it is listed.
        ordered = sorted(kept, key=lambda i: rank.get(edges[i].source, 0))
        latency_steps, cycle = _longest(names, edges, ordered)
        if not cycle:
            break
        _, cycle = _longest(names, edges, kept)
        lagging = [i for i in cycle if edges[i].lag] or cycle
        kept.remove(max(lagging))
    slack = [latency_steps[e.target] - latency_steps[e.source] - e.hop + e.lag for e in edges]
    return Timing(latency_steps, tuple(max(0, s) for s in slack), tuple(max(0, -s) for s in slack))


def retimed(program: Program, held: int) -> Timing:
    """Return the timing of a program with a step per projection, and none per wire to an output.

    ``held``: steps that a synapse can hold a spike. A relay is as late as that allows, if its
    spikes had to wait for longer behind it. So few relays make a long delay.
    """
    edges = [
        Edge(s, t, p.lag, hop=int(not isinstance(program[t], Sink))) for s, t, p in program.edges()
    ]
    timing = retime(program.graph, edges)
    roles = {name: p.role for name, p in program.nodes(Population).items()}
    inputs = Counter(e.target for e in edges if roles.get(e.target) is Role.RELAY)
    relays = {name for name, number in inputs.items() if number == 1}
    if not relays or max(timing.delays) <= held:
        return timing
    steps = _with_late_relays(relays, edges, timing, held)
    slack = [steps[e.target] - steps[e.source] - e.hop + e.lag for e in edges]
    return Timing(steps, tuple(max(0, s) for s in slack), timing.slow)


def _with_late_relays(
    relays: set[str], edges: Sequence[Edge], timing: Timing, held: int
) -> dict[str, int]:
    """Return latencies with relays as late as ``retimed`` says. Each has one input."""
    steps = dict(timing.latency_steps)
    into = {e.target: e for e in edges if e.target in relays}
    behind: dict[str, list[Edge]] = {name: [] for name in relays}
    for e in edges:
        if e.source in relays:
            behind[e.source].append(e)
    order = _by_depth({name: e.source for name, e in into.items()})
    waits, latest = dict.fromkeys(relays, 0), dict(steps)
    for name in reversed(order):
        for e in behind[name]:
            slack = steps[e.target] - steps[name] - e.hop + e.lag
            waits[name] = max(waits[name], slack + waits.get(e.target, 0))
        latest[name] = min((latest[e.target] - e.hop + e.lag for e in behind[name]), default=0)
    for name in order:
        e = into[name]
        first = steps[e.source] + e.hop - e.lag
        wanted = first + held if waits[name] > held else first
        steps[name] = max(steps[name], min(latest[name], wanted))
    return steps


def _by_depth(source: Mapping[str, str]) -> list[str]:
    """Return relays by their distance from a population. ``source``: of each relay."""
    depth: dict[str, int] = {}
    for name in source:
        way, at = [], name
        while at in source and at not in depth:
            way.append(at)
            at = source[at]
        for i, each in enumerate(reversed(way)):
            depth[each] = depth.get(at, 0) + 1 + i
    return sorted(depth, key=lambda name: (depth[name], name))


def _ranks(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return places in an order in which edges without a lag lead forward, {} if there is none."""
    behind: dict[str, list[str]] = {name: [] for name in names}
    missing = dict.fromkeys(names, 0)
    for e in edges:
        if not e.lag:
            behind[e.source].append(e.target)
            missing[e.target] += 1
    ready = [name for name in names if not missing[name]]
    for name in ready:  # grows
        for target in behind[name]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return {name: i for i, name in enumerate(ready)} if len(ready) == len(missing) else {}


def _slow_edges(edges: Sequence[Edge], rank: Mapping[str, int]) -> set[int]:
    """Return edges with a lag that alone has to pay for a loop, and is too short for it."""
    forward: dict[int, dict[int, int]] = {}  # by rank: the hop of each target
    closing: dict[int, list[int]] = {}  # by the rank of their target
    for i, e in enumerate(edges if rank else ()):
        source, target = rank[e.source], rank[e.target]
        if not e.lag:
            hops = forward.setdefault(source, {})
            hops[target] = max(hops.get(target, 0), e.hop)
        elif target < source:
            closing.setdefault(target, []).append(i)
    ahead = {
        source: (np.array([*hops]), np.array([*hops.values()])[:, None])
        for source, hops in forward.items()
    }
    slow: set[int] = set()
    starts = sorted(closing)
    for first in range(0, len(starts), AT_ONCE):
        some = starts[first : first + AT_ONCE]
        last = max(max(rank[edges[i].source] for i in closing[start]) for start in some)
        steps = _steps_from(some, last, ahead, len(rank))
        for column, start in enumerate(some):
            for i in closing[start]:
                taken = steps[rank[edges[i].source], column]
                if taken >= 0 and taken + edges[i].hop > edges[i].lag:
                    slow.add(i)
    return slow


def _steps_from(
    starts: Sequence[int], last: int, ahead: Mapping[int, tuple[Int, Int]], nodes: int
) -> Int:
    """Return (nodes, starts) the steps of the longest path from each start, below 0 without one.

    Nodes are ranks. Those behind ``last`` may have too few steps. ``ahead``: targets and hops of
    the edges from each node.
    """
    steps = np.full((nodes, len(starts)), UNREACHED)
    steps[starts, np.arange(len(starts))] = 0
    for source in range(starts[0], last):
        if source in ahead and steps[source].max() >= 0:
            targets, hops = ahead[source]
            steps[targets] = np.maximum(steps[targets], steps[source] + hops)
    return steps


def _longest(
    names: list[str], edges: Sequence[Edge], kept: list[int]
) -> tuple[dict[str, int], list[int]]:
    """Return longest paths (Bellman and Ford), or the edges of a loop without longest path."""
    latency_steps = dict.fromkeys(names, 0)
    entered_by: dict[str, int] = {}  # the edge of the longest path, by node
    for _ in range(len(names) + 1):
        last = None
        for i in kept:
            e = edges[i]
            if latency_steps[e.source] + e.hop - e.lag > latency_steps[e.target]:
                latency_steps[e.target] = latency_steps[e.source] + e.hop - e.lag
                entered_by[e.target] = i
                last = e.target
        if last is None:
            return latency_steps, []
    assert last is not None
    for _ in names:  # go back along the chain: its end is on the loop
        last = edges[entered_by[last]].source
    loop: list[int] = []
    at = last
    while not loop or at != last:
        loop.append(entered_by[at])
        at = edges[entered_by[at]].source
    return latency_steps, loop


def feedback_edges(
    nodes: Iterable[str], inputs: Iterable[str], edges: Sequence[tuple[str, str, Key]]
) -> set[Key]:
    """Return keys of edges that close cycles. ``edges`` (source, target, key) have no delay.

    The search is depth-first from the inputs, in the order of nodes (the order of edges in a file
    has no meaning). An edge back to a node whose visit has not ended closes a cycle. Self-loops are
    the usual case. Source: all exporters let a recurrent spike of step t act at t + 1.
    """
    place = {name: i for i, name in enumerate(nodes)}
    successors: dict[str, list[tuple[str, Key]]] = {}
    for source, target, key in sorted(edges, key=lambda e: (place[e[0]], place[e[1]])):
        successors.setdefault(source, []).append((target, key))
    closing: set[Key] = set()
    done: set[str] = set()
    for root in [*sorted(inputs, key=place.__getitem__), *place]:
        if root not in done:
            _visit(root, successors, done, closing)
    return closing


def _visit(
    root: str, successors: dict[str, list[tuple[str, Key]]], done: set[str], closing: set[Key]
) -> None:
    """Visit all nodes behind ``root``, without recursion, since files may nest deeply."""
    path = {root}
    stack: list[tuple[str, Iterator[tuple[str, Key]]]] = [(root, iter(successors.get(root, ())))]
    while stack:
        node, rest = stack[-1]
        step = next(rest, None)
        if step is None:
            stack.pop()
            path.discard(node)
            done.add(node)
            continue
        target, key = step
        if target in path:
            closing.add(key)
        elif target not in done:
            path.add(target)
            stack.append((target, iter(successors.get(target, ()))))
