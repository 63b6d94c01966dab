"""When does a population's signal appear on the chip, counted from the model's step?

An input reaches hidden neurons in its own step; a spike of a hidden neuron takes one step to any
other neuron (targets sheet, section 2). The model lets spikes cross a feed-forward network at once,
so every layer is one step later than its source. Where paths disagree, or a loop has several
populations, no shift makes up for it.
"""

from __future__ import annotations

import networkx as nx

from nirc.diagnostics.dynamics import LoopTakesLonger, PathsOfDifferentLength
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program


def latencies(program: Program) -> dict[str, int]:
    """Steps by which each node's signal is later on the chip: the longest path decides, delays pay
    for hops.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(program.graph)
    graph.add_edges_from((s, t) for s, t, p in program.edges() if p.lag == 0)
    late: dict[str, int] = {}
    for name in nx.lexicographical_topological_sort(graph):
        arrivals = [
            late[s] + hop(program, s, name) - p.delay_steps
            for s, p in program.into(name)
            if s in late and not p.feedback
        ]
        late[name] = max([0, *arrivals])
    return late


def earliest(program: Program) -> dict[str, int]:
    """Steps after an input's in which each node's signal can appear on the chip at all: over the
    shortest path.
    """
    reached = {
        target
        for source in program.nodes(Source)
        for target in nx.descendants(program.graph, source)
    }
    at = {name: len(reached) if name in reached else 0 for name in program.graph}
    for _ in at:
        for source, target, _ in program.edges():
            at[target] = min(at[target], at[source] + hop(program, source, target))
    return at


def hop(program: Program, source: str, target: str) -> int:
    """Steps that the chip needs from ``source`` to ``target``."""
    return int(isinstance(program[source], Population) and not isinstance(program[target], Sink))


def report(program: Program, late: dict[str, int], log: Log) -> None:
    """Say where the chip's timing is not a mere shift of the model's (D406, D407)."""
    for source, target, projection in program.edges():
        extra = late[source] + hop(program, source, target) - late[target] - projection.lag
        if extra == 0 or (
            isinstance(program[source], Source) and isinstance(program[target], Sink)
        ):
            continue
        where = "/".join(projection.origins[:1]) or program[target].origins[0]
        if extra > 0:
            rule = "one step for every hop between hidden neurons"
            slow = LoopTakesLonger(source=source, target=target, steps=extra, rule=rule)
            log.add(slow.placed(where))
        else:
            early = PathsOfDifferentLength(
                source=source,
                target=target,
                steps=-extra,
                by_delay=bool(projection.delay_steps),
            )
            log.add(early.placed(where))
