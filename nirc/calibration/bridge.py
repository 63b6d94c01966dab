"""The bridge: gains, decays and brakes of every population, found in the order of execution (``gains``).

A *brake* is a synapse of a neuron to itself that stands in for a reset to zero on a chip that subtracts. All of them
are there, with weight 0, while the search goes on; those that stay at 0 are taken away again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.calibration import gains
from nirc.calibration.adjoint import numbers, with_numbers
from nirc.calibration.chip import Knobs
from nirc.calibration.unrolled import Unrolled
from nirc.ir.arrays import Float, Int, frozen
from nirc.ir.linear import Sparse
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program

Taught = dict[str, NDArray[Any]]  # what each population of the model sends: (samples, steps, n)


@dataclass(frozen=True)
class Bridged:
    """``program`` at the settings ``found``; ``brakes``: the number of the edge that brakes a population."""

    program: Program
    found: dict[str, gains.Found]
    brakes: dict[str, int]


def bridge(
    program: Program,
    knobs: dict[str, Knobs],
    inputs: Int,
    taught: Taught,
    rng: np.random.Generator,
    tell: Callable[[float], None],
) -> Bridged:
    """The settings of ``program`` nearest to ``taught`` on ``inputs``. ``tell``: the share that is done."""
    program, brakes = _with_brakes(program, knobs)
    found: dict[str, gains.Found] = {}
    order = Unrolled(program).components
    signal: dict[str, Float] = {}
    to_do = sum(name in knobs for component in order for name in component)
    for component in order:
        for name in component:
            if name in knobs:
                others = {n: taught[n].astype(np.float64) for n in component}
                itself = frozenset(i for i, (s, t, _) in enumerate(program.edges()) if s == t)
                u = Unrolled(program, others, itself)
                u.feed(inputs)
                u.signal |= signal
                search = gains.Search(u, name, knobs[name], taught[name], brakes.get(name), rng)
                found[name] = search.best(_part(tell, len(found), to_do))
                program = _set(program, name, knobs[name], found[name].setting, brakes.get(name))
        u = Unrolled(program)
        u.feed(inputs)
        u.signal |= signal
        u.run(component)
        signal |= {n: u.signal[n] for n in component}
    return Bridged(*_without_idle_brakes(program, brakes, found))


def _part(tell: Callable[[float], None], number: int, of: int) -> Callable[[float], None]:
    """Tells the share of the whole, from that of its part ``number``."""
    return lambda share: tell((number + share) / of)


def _with_brakes(program: Program, knobs: dict[str, Knobs]) -> tuple[Program, dict[str, int]]:
    """With a synapse of weight 0 from each neuron that may have a brake to itself; the numbers of these edges."""
    edges = list(program.edges())
    brakes: dict[str, int] = {}
    for name, knob in knobs.items():
        if knob.brake:
            index = np.arange(program[name].n)
            op = Sparse(index, index, frozen(np.zeros(index.size)), index.size, index.size)
            brakes[name] = len(edges)
            edges.append((name, name, Projection(ops=(op,), feedback=True, origins=program[name].origins)))
    made = program.rebuilt(dict(program.graph.nodes(data="payload")), edges)
    # The graph lists edges by source: their numbers are not those of the list.
    zero = {id(edges[number][2]): name for name, number in brakes.items()}
    return made, {zero[id(p)]: number for number, (_, _, p) in enumerate(made.edges()) if id(p) in zero}


def _without_idle_brakes(
    program: Program, brakes: dict[str, int], found: dict[str, gains.Found]
) -> tuple[Program, dict[str, gains.Found], dict[str, int]]:
    edges = list(program.edges())
    idle = {number for number in brakes.values() if not edges[number][2].ops[0].value.any()}
    made = program.rebuilt(dict(program.graph.nodes(data="payload")), [e for i, e in enumerate(edges) if i not in idle])
    moved = {number: number - sum(i < number for i in idle) for number in brakes.values() if number not in idle}
    return made, found, {name: moved[number] for name, number in brakes.items() if number in moved}


def _set(program: Program, name: str, knobs: Knobs, setting: gains.Setting, brake: int | None) -> Program:
    """``program`` with one population at ``setting``."""
    population: Population = program[name]
    d = population.dynamics
    assert isinstance(d, Discrete)
    edges, into = [], 0
    for number, (s, t, p) in enumerate(program.edges()):
        if t == name and number == brake:
            p = replace(p, ops=(with_numbers(p.ops[0], gains.brake_weights(d, setting)),))  # noqa: PLW2901
        elif t == name:
            p = _scaled(p, gains.factor(setting.gains[into]))  # noqa: PLW2901
            into += 1
        edges.append((s, t, p))
    nodes = dict(program.graph.nodes(data="payload"))
    nodes[name] = replace(population, dynamics=gains.changed(d, knobs, setting))
    return program.rebuilt(nodes, edges)


def _scaled(p: Projection, factor: float) -> Projection:
    """``p`` times ``factor``, on the last operator that has numbers."""
    if factor == 1.0:
        return p
    last = max(k for k, op in enumerate(p.ops) if numbers(op) is not None)
    value = numbers(p.ops[last])
    assert value is not None
    ops = tuple(with_numbers(op, value * factor) if k == last else op for k, op in enumerate(p.ops))
    return replace(p, ops=ops, biases=tuple(replace(b, value=frozen(b.value * factor)) for b in p.biases))
