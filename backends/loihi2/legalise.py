"""loihi2-legalise: what stock LIF neurons and their synapses can do, as far as that is exact.

Afterwards every projection is one operator with its gains folded in and leads to the one synaptic
filter that its target has; every output is a plain wire from a population; constants are drifts, or
come from a neuron that always fires; no lag is longer than a synapse's delay; and where a threshold
is subtracted, a synapse does it, if it can.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.retiming import retimed
from nirc.backends.loihi2.clock import Arc, Clock, memoryless
from nirc.backends.loihi2.dynamics import one_filter, start_up_fails
from nirc.backends.loihi2.findings import DelayTooLong
from nirc.backends.loihi2.kernels import MAX_ENTRIES, one_operator
from nirc.backends.loihi2.limits import DELAY
from nirc.backends.loihi2.soft_reset import subtracting
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import frozen
from nirc.ir.linear import Diagonal
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, populations_of
from nirc.ir.program import Program
from nirc.passes.legality import refuse_membranes, refuse_without_neurons

ADVICE = "convolutions and poolings alone are not listed; a chip holds some 120 million synapses"


@dataclass(frozen=True)
class LoihiLegalise:
    """Fold gains, filters, constants and long delays into what stock neurons and synapses can do.

    ``exact``: subtraction by synapses, wherever they can do it.
    """

    exact: bool = True
    name: ClassVar[str] = "loihi2-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P307, P311)."""
        refuse_without_neurons(program, log)
        refuse_membranes(program, "Lava's LIF has a spike output only", log, by_wire=True)
        log.raise_if_errors()
        program = _read_outs(program)
        program = _one_operator_each(_one_filter_each(program, log), log)
        return subtracted(program, log, None if self.exact else ())


def subtracted(program: Program, log: Log, names: Collection[str] | None = None) -> Program:
    """Subtraction by synapses, wherever they can do it or in the populations ``names``, and what is
    left to do then.

    Of a program with one filter a population and one operator a projection, or of a legal one
    without subtraction.
    """
    program = _short_waits(_constants(subtracting(program, log, names)), log)
    return _one_operator_each(program, log)


def _read_outs(program: Program) -> Program:
    """Outputs come from one population by a wire: what else leads to one is added up by a readout
    without memory.
    """
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    readers: dict[str, str] = {}
    for source, target, p in program.edges():
        if not isinstance(nodes[target], Sink) or _is_wire(program, source, target, p):
            edges.append((source, target, p))
            continue
        if target not in readers:
            readers[target] = reader = program.fresh_name(f"{target}.sum", nodes)
            nodes[reader] = memoryless(nodes[target].n, nodes[target].origins, None)
            edges.append((reader, target, Projection(origins=nodes[target].origins)))
        edges.append((source, readers[target], p))
    return _copied(program.rebuilt(nodes, edges))


def _is_wire(program: Program, source: str, target: str, p: Projection) -> bool:
    alone = len(program.into(target)) == 1 and isinstance(program[source], Population)
    return alone and p.is_wire


def _copied(program: Program) -> Program:
    """A readout of its own for each output: it is read in one place."""
    nodes, edges = dict(program.graph.nodes(data="payload")), list(program.edges())
    for name, population in populations_of(program, Discrete).items():
        sinks = [t for t, _ in program.out_of(name)]
        if population.dynamics.fires or len(sinks) < 2:
            continue
        for number, sink in enumerate(sinks[1:], start=2):
            copy = program.fresh_name(f"{name}.copy{number}", nodes)
            nodes[copy] = population
            edges = [(copy if (s, t) == (name, sink) else s, t, p) for s, t, p in edges]
            edges += [(s, copy, p) for s, t, p in edges if t == name]
    return program.rebuilt(nodes, edges)


def _one_filter_each(program: Program, log: Log) -> Program:
    """Gains go into the weights; a second receptor becomes several synapses of different delays
    (``dynamics``).
    """
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    clock = Clock(program)
    for name, population in populations_of(program, Discrete).items():
        plan = one_filter(name, population, log)
        drift = np.array(plan.dynamics.drift)
        for source, p in program.into(name):
            taps = plan.taps[p.synapse]
            for bias in p.biases:
                current = bias.value * plan.gain[p.synapse]
                if plan.unfiltered[p.synapse] and not bias.onset_steps:
                    drift = drift + current
                else:
                    edges += _spread(clock.edge(name, current, bias.onset_steps, p.origins), taps)
            ops = (*p.ops, Diagonal(frozen(plan.gain[p.synapse])))
            edges += _spread((source, name, replace(p, ops=ops, biases=(), synapse=0)), taps)
        nodes[name] = replace(population, dynamics=replace(plan.dynamics, drift=frozen(drift)))
    edges += [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
    return program.rebuilt({**nodes, **clock.nodes}, edges)


def _spread(arc: Arc, taps: tuple[float, ...]) -> list[Arc]:
    """The projection once for each step in which a spike acts, with its share."""
    source, target, p = arc
    n = p.ops[-1].n_out
    return [
        (
            source,
            target,
            replace(
                p, ops=(*p.ops, Diagonal(frozen(np.full(n, share)))), delay_steps=p.delay_steps + k
            ),
        )
        for k, share in enumerate(taps)
        if share
    ]


def _constants(program: Program) -> Program:
    """A drift that would set a neuron off before its first step comes from the clock instead.

    The chip's neurons of a deep layer run for some steps before the first spike can reach them. A
    start value makes up for that, unless it would be out of range.
    """
    nodes, edges = dict(program.graph.nodes(data="payload")), list(program.edges())
    clock, late = Clock(program), retimed(program).latency_steps
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        if population.role is Role.CLOCK or not start_up_fails(d, late[name]):
            continue
        shift = np.zeros(population.n)
        if d.resets_to is not None:
            shift = np.where(d.decay_mem < 1, (1 - d.decay_mem) * d.resets_to, 0.0)
        direct = (1.0,) if d.decay_syn is None else (1.0, -float(d.decay_syn[0]))
        edges += _spread(clock.edge(name, d.drift - shift, 0, population.origins), direct)
        nodes[name] = replace(population, dynamics=replace(d, drift=frozen(shift)))
    return program.rebuilt({**clock.nodes, **nodes}, edges)


def _short_waits(program: Program, log: Log) -> Program:
    """Spikes that wait for longer than a synapse can hold them are relayed by neurons of their own,
    exactly.
    """
    found = retimed(program)
    late = dict(found.latency_steps)
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    relays: dict[
        tuple[str, int, int], str
    ] = {}  # by source, lag that is behind and relays on the way
    for (source, target, p), wait in zip(program.edges(), found.delays, strict=True):
        name, lag, here, hops = source, p.lag, wait, 0
        while here > DELAY[1]:
            part, hops = min(lag, DELAY[1]), hops + 1
            key = (source, p.lag - lag + part, hops)
            if key not in relays:
                relays[key] = relay = program.fresh_name(f"{source}.delayed{key[1]}.{hops}", nodes)
                late[relay] = max(0, late[name] + 1 - part)
                n, origins = nodes[source].n, nodes[source].origins
                nodes[relay] = memoryless(n, origins, 0.5, role=Role.RELAY)
                edges.append(
                    (name, relay, Projection(delay_steps=part, origins=p.origins or origins))
                )
            relay = relays[key]
            here -= late[relay] - late[name] + part  # what the way to the relay takes
            name, lag = relay, lag - part
        if name != source:
            _say_relays(source, target, wait, hops * nodes[source].n, p, program, log)
            p = replace(p, delay_steps=lag, feedback=False)  # noqa: PLW2901 - the rest of the way
        edges.append((name, target, p))
    return program.rebuilt(nodes, edges)


def _say_relays(
    source: str, target: str, wait: int, relays: int, p: Projection, program: Program, log: Log
) -> None:
    log.add(
        DelayTooLong(
            where="/".join(p.origins[:1]) or program[target].origins[0],
            sender=source,
            receiver=target,
            relays=relays,
            steps=wait,
            most=DELAY[1],
        )
    )


def _one_operator_each(program: Program, log: Log) -> Program:
    edges: list[Arc] = []
    for source, target, p in program.edges():
        if isinstance(program[target], Sink):
            edges.append((source, target, p))
            continue
        op = one_operator(p.ops, program[source].n)
        if op is None:
            where = "/".join(p.origins[:1]) or program[target].origins[0]
            log.add(TooManyEntries(where=where, most=MAX_ENTRIES, advice=ADVICE))
        else:
            edges.append((source, target, replace(p, ops=(op,))))
    log.raise_if_errors()
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
