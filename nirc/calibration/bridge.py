"""The bridge: gains, decays and self-inhibition of all populations, in the order of execution.

*Self-inhibition* is a synapse of a neuron to itself. On a chip that subtracts, it replaces a reset
to zero. All these synapses exist with weight 0 during the search. Those that stay at 0 are removed
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration import gains
from nirc.calibration.chip import Parameters
from nirc.calibration.unrolled import Unrolled
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse, Weighted, weights_of, with_weights
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program

Reference = dict[str, NDArray[Any]]  # signals of each population of the model: (samples, steps, n)


@dataclass(frozen=True)
class Bridged:
    """``program`` at the best ``settings``. ``self_inhibition``: edge number by population."""

    program: Program
    settings: dict[str, gains.SearchResult]
    self_inhibition: dict[str, int]


def bridge(
    program: Program,
    parameters: dict[str, Parameters],
    inputs: Int,
    reference: Reference,
    rng: np.random.Generator,
    progress: Callable[[float], None],
) -> Bridged:
    """Search settings nearest to ``reference`` on ``inputs``. ``progress`` gets the share done."""
    program, self_inhibition = _with_self_inhibition(program, parameters)
    settings: dict[str, gains.SearchResult] = {}
    order = Unrolled(program).components
    signal: dict[str, Float] = {}
    to_do = sum(name in parameters for name in chain.from_iterable(order))
    for component in order:
        for name in component:
            if name in parameters:
                others = {n: reference[n].astype(np.float64) for n in component}
                itself = frozenset(i for i, (s, t, _) in enumerate(program.edges()) if s == t)
                u = Unrolled(program, others, itself)
                u.feed(inputs)
                u.signal |= signal
                search = gains.Search(
                    u, name, parameters[name], reference[name], self_inhibition.get(name), rng
                )
                settings[name] = search.best(_part(progress, len(settings), to_do))
                program = _set(
                    program,
                    name,
                    parameters[name],
                    settings[name].setting,
                    self_inhibition.get(name),
                )
        u = Unrolled(program)
        u.feed(inputs)
        u.signal |= signal
        u.run(component)
        signal |= {n: u.signal[n] for n in component}
    program, self_inhibition = _without_idle(program, self_inhibition)
    return Bridged(program, settings, self_inhibition)


def _part(progress: Callable[[float], None], number: int, of: int) -> Callable[[float], None]:
    """Return a callback that turns the share of part ``number`` into the share of all parts."""
    return lambda share: progress((number + share) / of)


def _with_self_inhibition(
    program: Program, parameters: dict[str, Parameters]
) -> tuple[Program, dict[str, int]]:
    """Add a synapse of weight 0 from each neuron to itself, if allowed. Return edge numbers."""
    edges = list(program.edges())
    self_inhibition: dict[str, int] = {}
    for name, p in parameters.items():
        if p.self_inhibition:
            index = np.arange(program[name].n)
            op = Sparse(index, index, frozen(np.zeros(index.size)), index.size, index.size)
            self_inhibition[name] = len(edges)
            edges.append(
                (name, name, Projection(ops=(op,), feedback=True, origins=program[name].origins))
            )
    rebuilt = program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
    # The graph lists edges by source. So edge numbers differ from those of the list.
    zero = {id(edges[number][2]): name for name, number in self_inhibition.items()}
    return rebuilt, {
        zero[id(p)]: number for number, (_, _, p) in enumerate(rebuilt.edges()) if id(p) in zero
    }


def _without_idle(
    program: Program, self_inhibition: dict[str, int]
) -> tuple[Program, dict[str, int]]:
    """Remove self-inhibition of weight 0. Return the new edge numbers of the rest."""
    edges = list(program.edges())
    idle = {
        number for number in self_inhibition.values() if not edges[number][2].ops[0].value.any()
    }
    kept = [e for i, e in enumerate(edges) if i not in idle]
    moved = {
        number: number - sum(i < number for i in idle)
        for number in self_inhibition.values()
        if number not in idle
    }
    rebuilt = program.rebuilt(dict(program.graph.nodes(data="payload")), kept)
    return rebuilt, {
        name: moved[number] for name, number in self_inhibition.items() if number in moved
    }


def _set(
    program: Program,
    name: str,
    parameters: Parameters,
    setting: gains.Setting,
    self_inhibition: int | None,
) -> Program:
    """Return ``program`` with one population at ``setting``."""
    population: Population[Discrete] = program[name]
    d = population.dynamics
    edges = []
    into = 0
    for number, (s, t, p) in enumerate(program.edges()):
        if t == name and number == self_inhibition:
            p = replace(p, ops=(with_weights(p.ops[0], gains.self_inhibition_weights(d, setting)),))  # noqa: PLW2901
        elif t == name:
            p = _scaled(p, gains.factor(setting.gains[into]))  # noqa: PLW2901
            into += 1
        edges.append((s, t, p))
    nodes = dict(program.graph.nodes(data="payload"))
    nodes[name] = replace(population, dynamics=gains.changed(d, parameters, setting))
    return program.rebuilt(nodes, edges)


def _scaled(p: Projection, factor: float) -> Projection:
    """Multiply ``p`` by ``factor``, in the last operator that has weights."""
    if factor == 1.0:
        return p
    ops = list(p.ops)
    last, op = [(k, op) for k, op in enumerate(ops) if isinstance(op, Weighted)][-1]
    ops[last] = with_weights(op, weights_of(op) * factor)
    return replace(
        p,
        ops=tuple(ops),
        biases=tuple(replace(b, value=frozen(b.value * factor)) for b in p.biases),
    )
