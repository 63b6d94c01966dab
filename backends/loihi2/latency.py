"""When does a population's signal appear on the chip, counted from the model's step, and which delays align it?

On the chip every synapse takes one step and may take up to 63 more; the model lets a spike cross a feed-forward
network at once. So population X is ``late[X]`` steps later than in the model, and a projection from S to T that has
a lag in the model gets the delay late[T] - late[S] + lag - 1. The least such numbers are the longest ways over edges
of length 1 - lag (difference constraints). A loop of one population is exact: one step in the model, one on the
chip. A loop through more populations than it has lag cannot be aligned: its way back takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx

from nirc.diagnostics.log import Log
from nirc.ir.populations import Sink
from nirc.ir.program import Program

Arc = tuple[str, str, int]  # source, target, lag in the model


@dataclass(frozen=True)
class Timing:
    """``late``: steps that a node's signal is later than in the model. For each edge of the program, in order:
    ``delays``: steps of its synapses on top of the one that each takes; ``extra``: steps that it is too late."""

    late: dict[str, int]
    delays: tuple[int, ...]
    extra: tuple[int, ...]


def timing(program: Program) -> Timing:
    """Of a legal program. Wires to outputs cost nothing."""
    edges = list(program.edges())
    arcs = [(s, t, p.lag) for s, t, p in edges if not isinstance(program[t], Sink)]
    late = _late(list(program.graph), _without_tight_loops(arcs, program))
    if late is None:
        raise AssertionError("what is left has no endless loop")
    delays, extra = [], []
    for source, target, p in edges:
        if isinstance(program[target], Sink):
            late[target] = late[source]
            delays.append(0)
            extra.append(0)
            continue
        delay = late[target] - late[source] + p.lag - 1
        delays.append(max(0, delay))
        extra.append(max(0, -delay))
    return Timing(late, tuple(delays), tuple(extra))


def _without_tight_loops(arcs: Sequence[Arc], program: Program) -> list[Arc]:
    """``arcs`` without those that come later, in loops that have less lag than populations. The rest has no loop."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(program.graph)
    graph.add_edges_from((s, t) for s, t, _ in arcs)
    number = {name: i for i, part in enumerate(nx.strongly_connected_components(graph)) for name in part}
    inside: dict[int, list[Arc]] = {}
    for arc in arcs:
        if number[arc[0]] == number[arc[1]]:
            inside.setdefault(number[arc[0]], []).append(arc)
    tight = {i for i, own in inside.items() if _late(sorted({name for s, t, _ in own for name in (s, t)}), own) is None}
    return [(s, t, lag) for s, t, lag in arcs if number[s] != number[t] or number[s] not in tight or not lag]


def _late(names: Sequence[str], arcs: Sequence[Arc]) -> dict[str, int] | None:
    """The longest ways, None if a loop makes them endless (Bellman and Ford)."""
    late = dict.fromkeys(names, 0)
    for _ in range(len(late) + 1):
        changed = False
        for source, target, lag in arcs:
            if late[source] + 1 - lag > late[target]:
                late[target] = late[source] + 1 - lag
                changed = True
        if not changed:
            return late
    return None


def report(program: Program, found: Timing, log: Log) -> None:
    """D406 for loops that take longer on the chip."""
    for (source, target, p), extra in zip(program.edges(), found.extra, strict=True):
        where = "/".join(p.origins[:1]) or program[target].origins[0]
        if extra:
            log.differs(
                "D406",
                f"the way back from `{source}` to `{target}` takes {extra} step(s) more on the chip than in the model",
                where=where,
                found=f"{extra} extra step(s)",
                source="one step for every synapse",
                help="make the loop one population with a recurrent weight, or give it a delay of that many steps",
            )
