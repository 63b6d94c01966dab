"""Delays that keep all paths in time on a chip where every synapse takes a step.

A model lets spikes cross a feed-forward network in one step. On a chip that takes one step a synapse, each node is
``late`` by some steps; an edge with model lag g keeps its meaning if its delay makes up late[target] - late[source] =
least - g + slack, slack >= 0. These are difference constraints, and the smallest lates are longest paths (Leiserson
and Saxe, "Retiming synchronous circuitry", Algorithmica 6, 1991). A loop that has fewer steps in the model than
synapses cannot be kept: it takes more steps on the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nirc.diagnostics.log import Log
from nirc.ir.populations import Sink
from nirc.ir.program import Program


@dataclass(frozen=True)
class Edge:
    """``target`` sees what ``source`` sends ``lag`` steps later in the model; the chip needs ``hop`` at least."""

    source: str
    target: str
    lag: int
    hop: int = 1


@dataclass(frozen=True)
class Timing:
    """``late``: steps by which each node is later than in the model. ``delays`` and ``slow``: for each edge in order.

    ``delays``: steps that the edge has to take on top of its hop. ``slow``: steps by which it is slower than in the
    model all the same, above 0 only where a loop has fewer steps than synapses.
    """

    late: dict[str, int]
    delays: tuple[int, ...]
    slow: tuple[int, ...]


def retime(nodes: Iterable[str], edges: Sequence[Edge]) -> Timing:
    """The smallest lates, from 0 on, that keep all edges; of a loop that is too short, its last lagging edge gives."""
    names = list(nodes)
    kept = list(range(len(edges)))
    while True:
        late, cycle = _longest(names, edges, kept)
        if not cycle:
            break
        lagging = [i for i in cycle if edges[i].lag] or cycle
        kept.remove(max(lagging))
    slack = [late[e.target] - late[e.source] - e.hop + e.lag for e in edges]
    return Timing(late, tuple(max(0, s) for s in slack), tuple(max(0, -s) for s in slack))


def retimed(program: Program) -> Timing:
    """The timing of a program whose projections take a step each, and its wires to outputs none."""
    edges = [Edge(s, t, p.lag, hop=int(not isinstance(program[t], Sink))) for s, t, p in program.edges()]
    return retime(program.graph, edges)


def report_slow(source: str, target: str, steps: int, where: str, rule: str, log: Log, *, delay_helps: bool) -> None:
    """Report a loop whose way back takes ``steps`` more than in the model (D406), and why by ``rule``."""
    more = ", or give it a delay of that many steps" if delay_helps else ""
    log.differs(
        "D406",
        f"the way back from `{source}` to `{target}` takes {steps} step(s) more on the chip than in the model",
        where=where,
        found=f"{steps} extra step(s)",
        source=rule,
        help=f"make the loop one population with a recurrent weight{more}",
    )


def _longest(names: list[str], edges: Sequence[Edge], kept: list[int]) -> tuple[dict[str, int], list[int]]:
    """Bellman and Ford's longest paths; the edges of a loop that has no longest path, if there is one."""
    late = dict.fromkeys(names, 0)
    by: dict[str, int] = {}
    for _ in range(len(names) + 1):
        last = None
        for i in kept:
            e = edges[i]
            if late[e.source] + e.hop - e.lag > late[e.target]:
                late[e.target] = late[e.source] + e.hop - e.lag
                by[e.target], last = i, e.target
        if last is None:
            return late, []
    assert last is not None
    for _ in names:  # some way back along the chain, so as to stand on the loop for sure
        last = edges[by[last]].source
    loop: list[int] = []
    at = last
    while not loop or at != last:
        loop.append(by[at])
        at = edges[by[at]].source
    return late, loop
