"""Every synapse takes a step: delays and relays that keep all paths in time with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.analysis.retiming import Edge, retime
from nirc.backends.spinnaker2.drives import Drive, merged
from nirc.backends.spinnaker2.limits import DELAY, SCRIPTS
from nirc.backends.spinnaker2.receptors import is_filtered
from nirc.diagnostics.dynamics import LoopTakesLonger
from nirc.diagnostics.log import Log
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Program
from nirc.passes.legality import relay


@dataclass(frozen=True)
class Timed:
    """Populations with the relays that were added, what drives them, and by how many steps each
    node is late.
    """

    populations: dict[str, Population[Discrete]]
    drives: list[Drive]
    late: dict[str, int]


def timed(program: Program, found: list[Drive], log: Log, *, relays: bool) -> Timed:
    """Delays of ``found``, relays for what delays cannot do: convolutions, or with ``relays`` all
    of them.
    """
    edges = [Edge(d.source, d.target, d.projection.lag) for d in found]
    edges += [
        Edge(s, t, p.lag, hop=0) for s, t, p in program.edges() if isinstance(program[t], Sink)
    ]
    start = program.fresh_name(
        "start"
    )  # a node of the first step, for populations whose constants a clock brings
    populations = populations_of(program, Discrete)
    edges += [
        Edge(start, name, 0) for name, p in populations.items() if needs_clock(name, p, program)
    ]
    timing = retime([start, *program.graph], edges)
    for edge, steps in zip(edges, timing.slow, strict=True):
        if steps:
            slow = LoopTakesLonger(
                where=program[edge.target].origins[0],
                source=edge.source,
                target=edge.target,
                steps=steps,
                rule=f"every synapse takes a step; {SCRIPTS}",
            )
            log.add(slow)
    delayed = [replace(d, extra=extra) for d, extra in zip(found, timing.delays, strict=False)]
    made = _Relays(program, timing.latency_steps)
    kept = [made.around(d, DELAY[1] if not relays and d.kernel is None else 0) for d in delayed]
    if made.drives:
        neurons = sum(made.populations[d.target].n for d in made.drives)
        steps = max(d.extra for d in delayed)
        log.note(
            "N912",
            f"{neurons} relay neurons were added for delays of up to {steps} step(s)",
            found=neurons,
        )
    return Timed(made.populations, merged([*kept, *made.drives]), made.late)


def needs_clock(name: str, population: Population[Discrete], program: Program) -> bool:
    """Whether constants have to come by spikes: through a synaptic filter, or from a later step
    on.
    """
    d = population.dynamics
    biases = [b for _, p in program.into(name) for b in p.biases if b.value.any()]
    return any(is_filtered(d) or b.onset_steps for b in biases)


class _Relays:
    """Relay populations, shared by all targets of a source."""

    def __init__(self, program: Program, late: dict[str, int]) -> None:
        self.program, self.late = program, dict(late)
        self.populations = populations_of(program, Discrete)
        self.ends: dict[str, Population[Discrete] | Source] = {
            **program.nodes(Source),
            **self.populations,
        }
        self.drives: list[Drive] = []
        self.known: dict[tuple[str, int], str] = {}

    def around(self, drive: Drive, most: int) -> Drive:
        """``drive`` with at most ``most`` extra steps of its own, behind relays that take the
        others.
        """
        if drive.extra <= most:
            return drive
        # As few relays as can be; the projection itself takes what they leave.
        left = drive.extra
        source = drive.source
        while left > most:
            steps = min(left, DELAY[1] + 1)
            source, left = self._relay(source, steps), left - steps
        return replace(drive, source=source, extra=left)

    def _relay(self, source: str, steps: int) -> str:
        key = (source, steps)
        if key not in self.known:
            name = self.program.fresh_name(f"{source}.relay", self.ends)
            n, origins = self.ends[source].n, self.ends[source].origins
            self.known[key] = name
            self.ends[name] = self.populations[name] = relay(n, origins)
            self.late[name] = self.late[source] + steps
            index = np.arange(n)
            one_to_one = Sparse(index, index, np.ones(n), n, n)
            self.drives.append(
                Drive(source, name, Projection(origins=origins), (one_to_one,), steps - 1)
            )
        return self.known[key]
