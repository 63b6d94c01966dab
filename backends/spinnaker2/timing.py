"""Delays and relays that keep all paths in time. Every synapse takes a step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nirc.analysis.retiming import Edge, retime
from nirc.backends.spinnaker2.drives import Drive, is_filtered, merged
from nirc.backends.spinnaker2.findings import RelaysAdded
from nirc.backends.spinnaker2.limits import DELAY, SCRIPTS
from nirc.diagnostics.dynamics import LoopTakesLonger
from nirc.diagnostics.log import Log
from nirc.ir.linear import Sparse
from nirc.ir.populations import (
    Discrete,
    Population,
    Projection,
    Role,
    Sink,
    Source,
    populations_of,
)
from nirc.ir.program import Program
from nirc.passes.legality import relay


@dataclass(frozen=True)
class Timed:
    """Populations with added relays, their drives, and each node's latency."""

    populations: dict[str, Population[Discrete]]
    drives: list[Drive]
    latency_steps: dict[str, int]


def timed(program: Program, found: list[Drive], log: Log, *, relays: bool) -> Timed:
    """Give ``found`` delays, and relays where a synapse has no such delay.

    Synapses of a convolution have no delays. ``relays``: no synapse has.
    """
    edges = [Edge(d.source, d.target, d.projection.lag) for d in found]
    edges += [
        Edge(s, t, p.lag, hop=0) for s, t, p in program.edges() if isinstance(program[t], Sink)
    ]
    # A node of the first step, for populations whose constants come from a clock.
    start = program.fresh_name("start")
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
        log.add(RelaysAdded(neurons=neurons, steps=max(d.extra for d in delayed)))
    return Timed(made.populations, merged([*kept, *made.drives]), made.latency_steps)


def needs_clock(name: str, population: Population[Discrete], program: Program) -> bool:
    """Return True if constants come by spikes: through a filter, or from a later step on."""
    filtered = is_filtered(population.dynamics)
    return any(
        any(bias.value.any() and (filtered or bias.onset_steps) for bias in projection.biases)
        for _, projection in program.into(name)
    )


class _Relays:
    """Relay populations, shared by all targets of a source."""

    def __init__(self, program: Program, latency_steps: dict[str, int]) -> None:
        self.program = program
        self.latency_steps = dict(latency_steps)
        self.populations = populations_of(program, Discrete)
        self.sources: dict[str, Population[Discrete] | Source] = {
            **program.nodes(Source),
            **self.populations,
        }
        # The name for a relay of a source: the same along a chain of relays.
        self.names = {
            name: name if p.role is Role.RELAY else f"{name}.relay"
            for name, p in self.populations.items()
        }
        self.drives: list[Drive] = []
        self.known: dict[tuple[str, int], str] = {}

    def around(self, drive: Drive, most: int) -> Drive:
        """Return ``drive`` with at most ``most`` extra steps, behind as few relays as can be."""
        source = drive.source
        left = drive.extra
        while left > most:
            steps = min(left, DELAY[1] + 1)
            source = self._relay(source, steps)
            left -= steps
        return replace(drive, source=source, extra=left)

    def _relay(self, source: str, steps: int) -> str:
        key = (source, steps)
        if key not in self.known:
            wish = self.names.get(source, f"{source}.relay")
            name = self.program.fresh_name(wish, self.sources)
            n, origins = self.sources[source].n, self.sources[source].origins
            self.known[key] = name
            self.names[name] = wish
            self.sources[name] = self.populations[name] = relay(n, origins)
            self.latency_steps[name] = self.latency_steps[source] + steps
            index = np.arange(n)
            one_to_one = Sparse(index, index, np.ones(n), n, n)
            self.drives.append(
                Drive(source, name, Projection(origins=origins), (one_to_one,), steps - 1)
            )
        return self.known[key]
