"""loihi2-legalise: what stock LIF neurons and their synapses can do, as far as that is exact.

Afterwards every projection is one operator that contains its gains and leads to the one synaptic
filter of its target. Every output is a plain wire from a population. Constants are drifts, or come
from a neuron that always fires. No lag is longer than a synapse's delay. Where a threshold is
subtracted, self-inhibition does it if it can.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.operators import MAX_ENTRIES
from nirc.analysis.retiming import retimed
from nirc.backends.loihi2.findings import DelayTooLong, TwoSynapticFilters
from nirc.backends.loihi2.kernels import one_operator
from nirc.backends.loihi2.limits import DELAY
from nirc.backends.loihi2.neuron import start_up_fails
from nirc.backends.loihi2.soft_reset import MOST_TAPS, Arc, Clock, with_subtraction
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import TooManyEntries
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Diagonal, Weighted
from nirc.ir.populations import Discrete, Population, Projection, Role, Sink, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import MEMBRANE
from nirc.passes.legality import refuse_membranes, refuse_without_neurons, relay

LEAST_TAP = 2.0**-14  # of the first. What is left out adds up over the slow filter.
ADVICE = "convolutions and poolings alone are not listed; a chip holds some 120 million synapses"


@dataclass(frozen=True)
class LoihiLegalise:
    """Fold gains, filters, constants and long delays into what stock neurons and synapses can do.

    ``exact``: subtraction by self-inhibition where it is possible.
    """

    exact: bool = True
    name: ClassVar[str] = "loihi2-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P307, P311)."""
        refuse_without_neurons(program, log)
        refuse_membranes(program, "Lava's LIF has a spike output only", log, by_wire=True)
        log.raise_if_errors()
        program = _copied(_summed_outputs(program))
        program = _one_operator_each(_one_filter_each(program, log), log)
        return subtracted(program, log, None if self.exact else ())


def subtracted(program: Program, log: Log, names: Collection[str] | None = None) -> Program:
    """Add self-inhibition to the populations ``names``, or where possible, and finish the rest.

    ``program`` has one filter a population and one operator a projection, or is a legal one without
    self-inhibition.
    """
    program = _short_delays(_constants(with_subtraction(program, log, names)), log)
    return _one_operator_each(program, log)


def _summed_outputs(program: Program) -> Program:
    """Let each output read one population by a wire, or a readout that adds up its inputs."""
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    readers: dict[str, str] = {}
    for source, target, p in program.edges():
        if not isinstance(nodes[target], Sink) or _is_wire(program, source, target, p):
            edges.append((source, target, p))
            continue
        if target not in readers:
            n, origins = nodes[target].n, nodes[target].origins
            zeros = frozen(np.zeros(n))
            sums = Discrete(zeros, frozen(np.ones(n)), zeros, v_reset=zeros, rule=MEMBRANE)
            readers[target] = reader = program.fresh_name(f"{target}.sum", nodes)
            nodes[reader] = Population((n,), sums, origins)
            edges.append((reader, target, Projection(origins=origins)))
        edges.append((source, readers[target], p))
    return program.rebuilt(nodes, edges) if readers else program


def _is_wire(program: Program, source: str, target: str, p: Projection) -> bool:
    alone = len(program.into(target)) == 1 and isinstance(program[source], Population)
    return alone and p.is_wire


def _copied(program: Program) -> Program:
    """Give each output a readout of its own, since a readout is read in one place."""
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
    return program.rebuilt(nodes, edges) if len(nodes) > len(program.graph) else program


def _one_filter_each(program: Program, log: Log) -> Program:
    """Fold gains into the weights. A second receptor becomes synapses of different delays."""
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    clock = Clock(program)
    for name, population in populations_of(program, Discrete).items():
        dynamics, receptors = _one_filter(name, population, log)
        gains = [Diagonal(frozen(receptor.gain)) for receptor in receptors]
        drift = np.array(dynamics.drift)
        for source, p in program.into(name):
            receptor = receptors[p.synapse]
            for bias in p.biases:
                current = bias.value * receptor.gain
                if receptor.unfiltered and not bias.onset_steps:
                    drift = drift + current
                else:
                    arc = clock.edge(name, current, bias.onset_steps, p.origins)
                    edges += _spread(arc, receptor.taps)
            folded = replace(p, ops=(*p.ops, gains[p.synapse]), biases=(), synapse=0)
            edges += _spread((source, name, folded), receptor.taps)
        nodes[name] = replace(population, dynamics=replace(dynamics, drift=frozen(drift)))
    edges += [(s, t, p) for s, t, p in program.edges() if isinstance(program[t], Sink)]
    return program.rebuilt({**nodes, **clock.nodes}, edges)


@dataclass(frozen=True)
class _Receptor:
    """The path from a receptor of the model to the chip's one filter.

    ``gain`` (n,) of its weights. ``unfiltered``: it has no memory. ``taps``: the share of a spike
    that reaches the chip's filter in its own step, in the next, and so on.
    """

    gain: Float
    unfiltered: bool
    taps: tuple[float, ...]


def _one_filter(
    name: str, population: Population[Discrete], log: Log
) -> tuple[Discrete, list[_Receptor]]:
    """Keep the slower filter. Make the other one of synapses with different delays.

    A spike that acts as ``b^k`` on a filter that decays by ``a`` arrives as 1, then as
    ``b^(k-1) (b - a)``. Report L812 if that takes more synapses than there are delays. The filters
    of a population must be uniform then.
    """
    d = population.dynamics
    zeros = np.zeros(population.n)
    ones = np.ones(population.n)
    decays = [zeros if x is None else x for x in (d.decay_syn, d.decay_syn_2)]
    gains = [ones if x is None else x for x in (d.gain_syn, d.gain_syn_2)]
    second = d.decay_syn_2 is not None
    main = int(second and float(decays[1].mean()) > float(decays[0].mean()))
    taps: list[tuple[float, ...]] = [(1.0,), (1.0,)]
    reason = ""
    if second and (decays[0] != decays[1]).any():
        if any((x != x[0]).any() for x in decays):
            reason = "which differ from neuron to neuron"
        else:
            taps[1 - main] = _taps(float(decays[main][0]), float(decays[1 - main][0]))
            if len(taps[1 - main]) >= MOST_TAPS:
                reason = "the faster of which is too slow"
    if reason:
        log.add(TwoSynapticFilters(where=population.origins[0], population=name, reason=reason))
        log.raise_if_errors()
    filtered = decays[main].any() or not (d.decay_syn is None or second)
    dynamics = replace(
        d,
        decay_syn=frozen(decays[main]) if filtered else None,
        gain_syn=frozen(ones) if filtered else None,
        decay_syn_2=None,
        gain_syn_2=None,
        gain_mem=frozen(ones),
        rule=d.rule.with_synapse() if filtered else d.rule.without_synapse(),
    )
    receptors = [_Receptor(d.gain_mem * gains[i], not decays[i].any(), taps[i]) for i in (0, 1)]
    return dynamics, receptors


def _taps(slow: float, fast: float) -> tuple[float, ...]:
    taps = [1.0]
    while len(taps) < MOST_TAPS:
        share = fast ** (len(taps) - 1) * (fast - slow)
        if abs(share) < LEAST_TAP:
            break
        taps.append(share)
    return tuple(taps)


def _spread(arc: Arc, taps: tuple[float, ...]) -> list[Arc]:
    """Return the projection once for each step in which a spike acts, with its share."""
    if taps == (1.0,):
        return [arc]
    source, target, p = arc
    n = p.ops[-1].n_out
    arcs = []
    for k, share in enumerate(taps):
        if share:
            ops = (*p.ops, Diagonal(frozen(np.full(n, share))))
            arcs.append((source, target, replace(p, ops=ops, delay_steps=p.delay_steps + k)))
    return arcs


def _constants(program: Program) -> Program:
    """Let the clock bring a drift that would fire a neuron before its first step.

    The chip's neurons of a deep layer run for some steps before the first spike can reach them. A
    start value makes up for that, unless it would be out of range.
    """
    nodes, edges = dict(program.graph.nodes(data="payload")), list(program.edges())
    clock, latency_steps = Clock(program), retimed(program, DELAY[1]).latency_steps
    for name, population in populations_of(program, Discrete).items():
        d = population.dynamics
        if population.role is Role.CLOCK or not start_up_fails(d, latency_steps[name]):
            continue
        shift = np.zeros(population.n)
        if d.resets_to is not None:
            shift = np.where(d.decay_mem < 1, (1 - d.decay_mem) * d.resets_to, 0.0)
        direct = (1.0,) if d.decay_syn is None else (1.0, -float(d.decay_syn[0]))
        edges += _spread(clock.edge(name, d.drift - shift, 0, population.origins), direct)
        nodes[name] = replace(population, dynamics=replace(d, drift=frozen(shift)))
    if not clock.nodes:
        return program
    return program.rebuilt({**clock.nodes, **nodes}, edges)


def _short_delays(program: Program, log: Log) -> Program:
    """Relay spikes that wait for longer than a synapse can hold them, exactly."""
    timing = retimed(program, DELAY[1])
    nodes, edges = dict(program.graph.nodes(data="payload")), []
    # by source, lag that is behind and number of relays so far
    relays: dict[tuple[str, int, int], str] = {}
    notes: list[DelayTooLong] = []
    for (source, target, p), delay in zip(program.edges(), timing.delays, strict=True):
        origins = p.origins or nodes[source].origins
        name, lag, left, hops = source, p.lag, delay, 0
        while left > DELAY[1]:
            part, hops = min(lag, DELAY[1]), hops + 1
            behind = p.lag - lag + part
            key = (source, behind, hops)
            if key not in relays:
                relays[key] = new = program.fresh_name(f"{source}.delayed{behind}.{hops}", nodes)
                nodes[new] = relay(nodes[source].n, nodes[source].origins)
                edges.append((name, new, Projection(delay_steps=part, origins=origins)))
            left -= DELAY[1] + 1  # the relay is so much later, see ``retimed``
            name, lag = relays[key], lag - part
        rest = p
        if hops:
            rest = replace(p, delay_steps=lag, feedback=False)
            notes.append(
                DelayTooLong(
                    where="/".join(p.origins[:1]) or program[target].origins[0],
                    sender=source,
                    receiver=target,
                    relays=hops * nodes[source].n,
                    steps=delay,
                    most=DELAY[1],
                )
            )
        edges.append((name, target, rest))
    log.add_all(DelayTooLong.some(notes))
    return program.rebuilt(nodes, edges) if relays else program


def _one_operator_each(program: Program, log: Log) -> Program:
    """Compose the operators of each projection. Equal chains of the same operators share one."""
    edges: list[Arc] = []
    known: dict[tuple[int, ...], Weighted | None] = {}
    for source, target, p in program.edges():
        if isinstance(program[target], Sink):
            edges.append((source, target, p))
            continue
        chain = (program[source].n, *map(id, p.ops))
        if chain not in known:
            known[chain] = one_operator(p.ops, program[source].n)
        op = known[chain]
        if len(p.ops) == 1 and p.ops[0] is op:
            edges.append((source, target, p))
        elif op is None:
            where = "/".join(p.origins[:1]) or program[target].origins[0]
            log.add(TooManyEntries(where=where, most=MAX_ENTRIES, advice=ADVICE))
        else:
            edges.append((source, target, replace(p, ops=(op,))))
    log.raise_if_errors()
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
