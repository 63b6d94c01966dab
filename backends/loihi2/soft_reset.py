"""Subtractive reset by stock neurons: what they cannot do to v, a synapse of each neuron to itself does to u.

A spike sets v to 0 and leaves u alone (lava-nc 0.10.0, ``proc/lif/models.py``). So u becomes the membrane: it decays as
the membrane does, and v, which forgets all in every step (dv 4096), equals it. A synapse takes one step: what a neuron
sends itself arrives before its next comparison with the threshold, when the membrane has decayed once. It is therefore
``-decay * threshold``. Constants reach u from the neuron that always fires.

u goes round where v would stay at its largest value, and an integrator's u keeps what it gets for 4096 steps. A
population whose weights would be left with too few bits keeps the reset to zero (``plan.ROOMS``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from nirc.backends.loihi2.clock import Clock, is_clock
from nirc.backends.loihi2.kernels import identity
from nirc.backends.loihi2.plan import ROOMS, Plan
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Program


def subtracting(program: Program) -> Program:
    """``program``, each projection of which is one operator, with brakes wherever a threshold is to be subtracted."""
    if program.reset != "subtract":
        return program
    fitting = [name for name in program.nodes(Population) if not why_not(program, name)]
    return braked(program, fitting)


def braked(program: Program, names: Collection[str]) -> Program:
    """The same network: u of the populations ``names`` is their membrane, and they have brakes."""
    nodes, edges, clock = dict(program.graph.nodes(data="payload")), list(program.edges()), Clock(program)
    for name in names:
        population: Population = program[name]
        d = population.dynamics
        assert isinstance(d, Discrete)
        if d.drift.any():
            edges.append(clock.edge(name, d.drift, 0, population.origins))
        nodes[name] = replace(population, dynamics=_in_u(d))
        edges.append((name, name, _brake(population, d.decay_mem, d)))
    return program.rebuilt({**clock.nodes, **nodes}, edges)


def unbraked(program: Program) -> tuple[Program, list[str]]:
    """The same network with membranes in v and without brakes; which populations had them."""
    names = [name for name in program.nodes(Population) if has_brake(program, name)]
    nodes = dict(program.graph.nodes(data="payload"))
    for name in names:
        d = nodes[name].dynamics
        memory = replace(d, decay_mem=d.decay_syn, decay_syn=None, gain_syn=None)
        nodes[name] = replace(nodes[name], dynamics=memory)
    brakes = [program.into(name)[_number(program, name)][1] for name in names]
    edges = [(s, t, p) for s, t, p in program.edges() if not any(p is brake for brake in brakes)]
    return program.rebuilt(nodes, edges), names


def rebraked(program: Program, names: Collection[str]) -> Program:
    """Brakes whose weights were changed, as they were: of what ``names`` send themselves, the likest to one."""
    edges = list(program.edges())
    for name in names:
        d = program[name].dynamics
        exact = -(d.decay_syn * d.threshold)
        own = [i for i, (s, t, p) in enumerate(edges) if s == t == name and not p.delay_steps]
        far = {i: np.abs(full - exact).max() for i in own if (full := _to_itself(edges[i][2], exact.size)) is not None}
        number = min(far, key=lambda i: far[i])
        edges[number] = (name, name, _brake(program[name], d.decay_syn, d))
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)


def has_brake(program: Program, name: str) -> bool:
    """Whether the threshold of ``name`` is subtracted by a synapse to itself."""
    return any(s == name and is_brake(program[name], p) for s, p in program.into(name))


def is_brake(population: Population, p: Projection) -> bool:
    """Whether ``p``, of a population to itself, takes away what is left of its threshold after a step."""
    d = population.dynamics
    if not isinstance(d, Discrete) or d.threshold is None or d.decay_syn is None or d.decay_mem.any():
        return False
    full = None if p.delay_steps or not p.feedback else _to_itself(p, population.n)
    return full is not None and bool((full == -(d.decay_syn * d.threshold)).all())


def _to_itself(p: Projection, n: int) -> Float | None:
    """(n,) what each neuron sends itself, None if it sends something to another."""
    if len(p.ops) != 1 or isinstance(p.ops[0], Conv) or p.ops[0].entries > n:
        return None
    target, source, value = p.ops[0].coo()
    full = np.zeros(n)
    full[target] = value
    return full if (target == source).all() else None


def reset_to_zero(program: Program, name: str) -> bool:
    """Whether ``name`` loses what is above its threshold, of a legal program in which it would be kept."""
    d = program[name].dynamics
    return program.reset == "subtract" and d.fires and bool(d.decay_mem.any())


def why_not(program: Program, name: str) -> str:
    """Why a population whose threshold is to be subtracted gets no brake; empty if it does."""
    population: Population = program[name]
    d = population.dynamics
    assert isinstance(d, Discrete)
    if d.threshold is None or not d.decay_mem.any() or is_clock(program, name):
        return "there is nothing to subtract"
    if d.decay_syn is not None:
        return "u is its synaptic filter and cannot be its membrane as well"
    if not ((d.threshold > 0) & (d.decay_mem >= 0) & (d.decay_mem <= 1)).all():
        return "its thresholds are not above 0"
    made = braked(program, [name])
    ops = [p.ops[0] for _, p in made.into(name)]
    plan = Plan(made[name], ops, program.reset, 0, brake=_number(made, name))
    if plan.has_room:
        return ""
    steps, levels = ROOMS[-1]
    return f"with room in u for {steps:g} steps of full input its largest weight has less than {levels} steps"


def brake_of(program: Program, name: str) -> int | None:
    """The number of the brake among the projections into ``name``; None if it has none."""
    return _number(program, name) if has_brake(program, name) else None


def _number(program: Program, name: str) -> int:
    return next(i for i, (s, p) in enumerate(program.into(name)) if s == name and is_brake(program[name], p))


def _in_u(d: Discrete) -> Discrete:
    """The neuron with its membrane in u. Gains are in the weights already."""
    zeros, ones = frozen(np.zeros(d.decay_mem.size)), frozen(np.ones(d.decay_mem.size))
    return replace(d, decay_mem=zeros, decay_syn=d.decay_mem, gain_syn=ones, drift=zeros)


def _brake(population: Population, decay: Float, d: Discrete) -> Projection:
    assert d.threshold is not None
    op = replace(identity(population.n), value=frozen(-(decay * d.threshold)))
    return Projection(ops=(op,), feedback=True, origins=population.origins)
