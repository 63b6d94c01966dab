"""fold-synapses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import LinearOp
from nirc.ir.populations import Discrete, Population, Projection, populations_of
from nirc.ir.program import Program

Filter = tuple[float, float]  # decay and gain per step
Arc = tuple[str, str, Projection]


@dataclass(frozen=True)
class FoldSynapses:
    """Turn a leaky integrator in front of neurons into their synaptic filter (values unchanged).

    A filter that is equal for all its channels commutes with the linear operators behind. So LI ->
    W -> LIF is W -> LIF with a synapse. A constant that W adds behind the filter goes into the
    neurons' leak, v_leak + r * bias. A neuron has at most two different filters. Other integrators
    stay.
    """

    name: ClassVar[str] = "fold-synapses"

    def run(self, program: Program, log: Log) -> Program:
        """Fold all filters that fit. Never fails."""
        populations = populations_of(program, Discrete)
        possible = {n: _filter(program, n, p) for n, p in populations.items()}
        filters = {n: each for n, each in possible.items() if each is not None}
        wanted = {n: _receptors(program, n, filters) for n in populations if n not in filters}
        crowded = {n for n, receptors in wanted.items() if receptors is None}
        unfit = {s for s, t, _ in program.edges() if t in crowded}
        filters = {n: f for n, f in filters.items() if n not in unfit}
        if not filters:
            return program
        nodes = {n: p for n, p in program.graph.nodes(data="payload") if n not in filters}
        edges: list[Arc] = []
        constants: dict[str, Float] = {}
        for source, target, projection in program.edges():
            if source in filters:
                for bias in projection.biases:
                    so_far = constants.get(target, np.zeros(program[target].n))
                    constants[target] = so_far + bias.value
                receptor = (wanted[target] or []).index(filters[source])
                before = program.into(source)
                edges += [(s, target, _joined(p, projection, receptor)) for s, p in before]
            elif target not in filters:
                receptors = wanted.get(target)
                synapse = receptors.index(None) if receptors else 0
                edges.append((source, target, replace(projection, synapse=synapse)))
        for name, receptors in wanted.items():
            if receptors and any(f is not None for f in receptors):
                nodes[name] = _with_receptors(program[name], receptors, constants.get(name))
        return program.rebuilt(nodes, edges)


def _filter(program: Program, name: str, population: Population[Discrete]) -> Filter | None:
    """Return the filter of a non-spiking population, None if the filter cannot be folded.

    All outputs must lead to spiking neurons without a synapse.
    """
    d = population.dynamics
    is_uniform = (d.decay_mem == d.decay_mem[0]).all() and (d.gain_mem == d.gain_mem[0]).all()
    if d.fires or d.decay_syn is not None or d.drift.any() or not is_uniform:
        return None
    targets = program.out_of(name)
    if not targets or not all(_takes_filter(program[target], p) for target, p in targets):
        return None
    return float(d.decay_mem[0]), float(d.gain_mem[0])


def _takes_filter(target: object, projection: Projection) -> bool:
    """Return True for spiking neurons without a synapse, and biases from the first step on."""
    return (
        isinstance(target, Population)
        and target.dynamics.fires
        and target.dynamics.decay_syn is None
        and not any(b.onset_steps for b in projection.biases)
    )


def _receptors(
    program: Program, name: str, filters: dict[str, Filter]
) -> list[Filter | None] | None:
    """Return the distinct filters of the inputs of ``name``, unfiltered first. None: over two."""
    distinct = {filters.get(source) for source, _ in program.into(name)}
    ordered = sorted(distinct, key=lambda f: (f is not None, f or ()))
    return ordered if len(ordered) <= 2 else None


def _joined(before: Projection, after: Projection, receptor: int) -> Projection:
    """Join ``before`` the filter and ``after`` the filter. Biases pass the filter with the rest."""
    biases = tuple(
        replace(b, value=_through(b.value, after.ops), onset_steps=b.onset_steps + after.lag)
        for b in before.biases
    )
    both = before.feedback and after.feedback
    return replace(
        before,
        ops=before.ops + after.ops,
        delay_s=before.delay_s + after.delay_s,
        delay_steps=before.delay_steps + after.delay_steps + int(both),
        feedback=before.feedback or after.feedback,
        synapse=receptor,
        biases=biases,
        origins=before.origins + after.origins,
    )


def _through(value: Float, ops: tuple[LinearOp, ...]) -> Float:
    row = value[None, :]
    for op in ops:
        row = op.apply(row)
    return frozen(row[0])


def _with_receptors(
    population: Population[Discrete], receptors: list[Filter | None], constant: Float | None
) -> Population[Discrete]:
    """Return neurons with these filters, and ``constant`` (n,) in their membrane at every step."""
    d = population.dynamics

    def full(number: int, part: int) -> Float | None:
        chosen = receptors[number] if number < len(receptors) else None
        return None if chosen is None else frozen(np.full(population.n, chosen[part]))

    drift = d.drift if constant is None else frozen(d.drift + d.gain_mem * constant)
    dynamics = replace(
        d,
        drift=drift,
        decay_syn=full(0, 0),
        gain_syn=full(0, 1),
        decay_syn_2=full(1, 0),
        gain_syn_2=full(1, 1),
        rule=d.rule.with_synapse(),
    )
    return replace(population, dynamics=dynamics)
