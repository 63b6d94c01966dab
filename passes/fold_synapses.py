"""fold-synapses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import LinearOp
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program

Filter = tuple[float, float]  # decay and gain per step
Arc = tuple[str, str, Projection]


@dataclass(frozen=True)
class FoldSynapses:
    """Turn a leaky integrator in front of neurons into their synaptic filter (values unchanged).

    A filter that is the same for all its channels commutes with the linear operators behind it, so LI -> W -> LIF
    is W -> LIF with a synapse. A constant that W adds behind the filter goes into the neurons' leak, v_leak + r * bias.
    A neuron takes two different filters at most. What does not fit stays as it is.
    """

    name: ClassVar[str] = "fold-synapses"

    def run(self, program: Program, log: Log) -> Program:
        """Never fails."""
        filters = {n: f for n, p in program.nodes(Population).items() if (f := _filter(program, n, p)) is not None}
        wanted = {n: _receptors(program, n, filters) for n in program.nodes(Population) if n not in filters}
        unfit = {s for n, found in wanted.items() if found is None for s, _ in program.into(n)}
        filters = {n: f for n, f in filters.items() if n not in unfit}
        if not filters:
            return program
        nodes = {n: p for n, p in program.graph.nodes(data="payload") if n not in filters}
        edges: list[Arc] = []
        constants: dict[str, Float] = {}
        for source, target, projection in program.edges():
            if source in filters:
                for bias in projection.biases:
                    constants[target] = constants.get(target, np.zeros(program[target].n)) + bias.value
                receptor = (wanted[target] or []).index(filters[source])
                edges += [(s, target, _joined(p, projection, receptor)) for s, p in program.into(source)]
            elif target not in filters:
                found = wanted.get(target)
                edges.append((source, target, replace(projection, synapse=found.index(None) if found else 0)))
        for name, found in wanted.items():
            if found and any(f is not None for f in found):
                nodes[name] = _with_receptors(program[name], found, constants.get(name))
        return program.rebuilt(nodes, edges)


def _filter(program: Program, name: str, population: Population) -> Filter | None:
    """The one filter of a non-spiking population whose outputs all lead to spiking neurons without a synapse."""
    d = population.dynamics
    assert isinstance(d, Discrete)
    uniform = (d.decay_mem == d.decay_mem[0]).all() and (d.gain_mem == d.gain_mem[0]).all()
    if d.fires or d.decay_syn is not None or d.drift.any() or not uniform or not program.out_of(name):
        return None
    for target, projection in program.out_of(name):
        payload = program[target]
        takes = isinstance(payload, Population) and isinstance(payload.dynamics, Discrete) and payload.dynamics.fires
        if not takes or payload.dynamics.decay_syn is not None or any(b.onset_steps for b in projection.biases):
            return None
    return float(d.decay_mem[0]), float(d.gain_mem[0])


def _receptors(program: Program, name: str, filters: dict[str, Filter]) -> list[Filter | None] | None:
    """The different filters among the inputs of ``name``, unfiltered first; None if there are more than two."""
    found = {filters.get(source) for source, _ in program.into(name)}
    ordered = sorted(found, key=lambda f: (f is not None, f or (0.0, 0.0)))
    return ordered if len(ordered) <= 2 else None


def _joined(before: Projection, after: Projection, receptor: int) -> Projection:
    """``before`` the filter and ``after`` it as one projection; its biases pass the filter with the rest."""
    biases = tuple(
        replace(b, value=_through(b.value, after.ops), onset_steps=b.onset_steps + after.lag) for b in before.biases
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


def _with_receptors(population: Population, found: list[Filter | None], constant: Float | None) -> Population:
    """Neurons with the filters ``found``, and ``constant`` (n,) in their membrane at every step."""
    d = population.dynamics
    assert isinstance(d, Discrete)

    def full(number: int, part: int) -> Float | None:
        chosen = found[number] if number < len(found) else None
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
