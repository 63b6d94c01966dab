"""Subtractive reset by stock neurons: what they cannot do to v, a synapse of each neuron to itself
does to u.

A spike sets v to 0 and leaves u alone (lava-nc 0.10.0, ``proc/lif/models.py``). So u becomes the
membrane: it decays as the membrane does, and v, which forgets all in every step (dv 4096), equals
it. A synapse takes one step: what a neuron sends itself arrives before its next comparison with the
threshold, when the membrane has decayed once. It is therefore ``-decay * threshold``. Constants
reach u from the neuron that always fires.

A synaptic filter, which u was for, is made of synapses with delays: what it lets through of a spike
after k steps, ``decay_syn ** k``, arrives by one that takes k steps more; the last one brings all
the rest.

u goes round where v would stay at its largest value, and an integrator's u keeps what it gets for
4096 steps. A population whose weights would be left with too few bits keeps the reset to zero
(``plan.ROOMS``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from nirc.analysis import rule_differences
from nirc.backends.loihi2.clock import Clock
from nirc.backends.loihi2.kernels import identity, one_operator
from nirc.backends.loihi2.limits import DELAY, LIF_MODELS
from nirc.backends.loihi2.plan import ROOMS, Plan
from nirc.diagnostics.dynamics import FilterByDelays
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Sparse
from nirc.ir.populations import Discrete, Population, Projection, Role
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Rule

REST = (
    2.0**-8
)  # of what comes through a filter: its last synapse has no more than that of later steps
MOST_TAPS = DELAY[1] + 1
MOST_SYNAPSES = (
    1 << 18
)  # into a population that a filter may be made of: some seven cores (?: a choice)


def chip_rule(name: str, d: Discrete) -> Rule:
    """NIR's letter.

    Where synapses subtract the threshold, v forgets all and its reset makes no difference.
    """
    return LETTER if d.rule.fires is not None else d.rule


def subtracting(program: Program, log: Log, names: Collection[str] | None = None) -> Program:
    """``program``, each projection of which is one operator, with brakes wherever a threshold is to
    be subtracted.

    ``names``: of the populations that get them; None: all that can have them.
    """
    for name in (
        [n for n in program.nodes(Population) if not why_not(program, n)]
        if names is None
        else names
    ):
        taps = _taps(program, name)
        if taps > 1:
            where, synapses = program[name].origins[0], _synapses(program, name)
            log.add(FilterByDelays(where=where, population=name, delays=taps, synapses=synapses))
        rule_differences.report_replaced(program, name, chip_rule, LIF_MODELS, log)
        program = braked(program, name)
    return program


def braked(program: Program, name: str) -> Program:
    """The same network: u of the population ``name`` is its membrane, and it has a brake."""
    program = _without_filter(program, name)
    nodes, edges, clock = (
        dict(program.graph.nodes(data="payload")),
        list(program.edges()),
        Clock(program),
    )
    population: Population[Discrete] = program[name]
    d = population.dynamics
    assert d.threshold is not None
    if d.drift.any():
        edges.append(clock.edge(name, d.drift, 0, population.origins))
    zeros, ones = frozen(np.zeros(population.n)), frozen(np.ones(population.n))
    rule = d.rule.at_once("none").with_synapse()  # v forgets all in every step
    in_u = replace(
        d,
        decay_mem=zeros,
        decay_syn=d.decay_mem,
        gain_syn=ones,
        drift=zeros,
        rule=rule,
        v_least=None,
    )
    nodes[name] = replace(population, dynamics=in_u)
    taken = d.threshold if d.rule.reset_is_delayed else d.decay_mem * d.threshold
    op = replace(identity(population.n), value=frozen(-taken))
    edges.append((name, name, Projection(ops=(op,), feedback=True, origins=population.origins)))
    return program.rebuilt({**clock.nodes, **nodes}, edges)


def _without_filter(program: Program, name: str) -> Program:
    """The synaptic filter as synapses with delays."""
    population: Population[Discrete] = program[name]
    d = population.dynamics
    if d.decay_syn is None:
        return program
    taps = _taps(program, name)
    shares = [d.decay_syn**k for k in range(taps)]
    shares[-1] = shares[-1] / (1 - d.decay_syn)
    edges = []
    for source, target, p in program.edges():
        if target != name:
            edges.append((source, target, p))
            continue
        for k, share in enumerate(shares):
            op = one_operator((*p.ops, Diagonal(frozen(share))), program[source].n)
            assert op is not None  # they are not so many
            edges.append((source, target, replace(p, ops=(op,), delay_steps=p.delay_steps + k)))
    nodes = dict(program.graph.nodes(data="payload"))
    nodes[name] = replace(
        population,
        dynamics=replace(d, decay_syn=None, gain_syn=None, rule=d.rule.without_synapse()),
    )
    return program.rebuilt(nodes, edges)


def _taps(program: Program, name: str) -> int:
    """How many synapses stand for one. More than ``MOST_TAPS`` if those were not enough."""
    decay = program[name].dynamics.decay_syn
    slowest = 0.0 if decay is None else float(decay.max())
    if slowest >= REST ** (1 / MOST_TAPS):
        return MOST_TAPS + 1
    return max(1, int(np.ceil(np.log(REST) / np.log(slowest)))) if slowest else 1


def _synapses(program: Program, name: str) -> int:
    return sum(p.ops[0].entries for _, p in program.into(name))


def has_brake(program: Program, name: str) -> bool:
    """Whether the threshold of ``name`` is subtracted by a synapse to itself."""
    return any(s == name and is_brake(program[name], p) for s, p in program.into(name))


def is_brake(population: Population[Discrete], p: Projection) -> bool:
    """Whether ``p``, of a population to itself, takes away what is left of its threshold after a
    step.
    """
    d = population.dynamics
    if d.threshold is None or d.decay_syn is None or d.decay_mem.any():
        return False
    full = None if p.delay_steps or not p.feedback else _to_itself(p, population.n)
    return full is not None and any(
        bool((full == -taken).all()) for taken in (d.decay_syn * d.threshold, d.threshold)
    )


def _to_itself(p: Projection, n: int) -> Float | None:
    """(n,) what each neuron sends itself, None if it sends something to another."""
    if len(p.ops) != 1 or isinstance(p.ops[0], Conv) or p.ops[0].entries > n:
        return None
    target, source, value = p.ops[0].coo()
    full = np.zeros(n)
    full[target] = value
    return full if (target == source).all() else None


def reset_to_zero(program: Program, name: str) -> bool:
    """Whether ``name`` loses what is above its threshold, of a legal program in which it would be
    kept.
    """
    d = program[name].dynamics
    return d.fires and d.rule.reset == "subtract" and bool(d.decay_mem.any())


def why_not(program: Program, name: str) -> str:
    """Why a population whose threshold is to be subtracted gets no brake; empty if it does."""
    population: Population[Discrete] = program[name]
    d = population.dynamics
    remembers = d.decay_mem.any() or d.rule.reset_is_delayed
    if (
        d.rule.reset != "subtract"
        or d.threshold is None
        or not remembers
        or population.role is Role.CLOCK
    ):
        return "there is nothing to subtract"
    if not ((d.threshold > 0) & (d.decay_mem >= 0) & (d.decay_mem <= 1)).all():
        return "its thresholds are not above 0"
    taps = _taps(program, name)
    if d.decay_syn is not None and (taps > MOST_TAPS or (d.decay_syn < 0).any()):
        return f"its synaptic filter is too slow to be made of {MOST_TAPS} delays"
    if taps > 1 and (synapses := taps * _synapses(program, name)) > MOST_SYNAPSES:
        return f"its synaptic filter would take {synapses} synapses, more than {MOST_SYNAPSES}"
    made = braked(program, name)
    plan = Plan(made[name], [p.ops[0] for _, p in made.into(name)], 0, brake=brake_of(made, name))
    if plan.has_room:
        return ""
    steps, levels = ROOMS[-1]
    return (
        f"with room in u for {steps:g} steps of full input its largest weight has less than "
        f"{levels} steps"
    )


def brake_of(program: Program, name: str) -> int | None:
    """The number of the brake among the projections into ``name``; None if it has none."""
    into = enumerate(program.into(name))
    return next((i for i, (s, p) in into if s == name and is_brake(program[name], p)), None)


def taps_of_a_filter(into: Sequence[tuple[str, Projection]], brake: int | None) -> list[list[int]]:
    """Numbers of projections into a population; with a brake, together those that are one with
    several delays.
    """
    found = [[i] for i in range(len(into))]
    if brake is None:
        return found
    for i, ((before, p), (source, q)) in enumerate(pairwise(into), start=1):
        same = source == before and q.lag == p.lag + 1 and brake not in (i - 1, i)
        if same and _same_places(p.ops[0], q.ops[0]):
            found[i] = [*found[i - 1], i]
            found[i - 1] = []
    return [numbers for numbers in found if numbers]


def _same_places(one: LinearOp, other: LinearOp) -> bool:
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        return np.array_equal(one.target, other.target) and np.array_equal(one.source, other.source)
    return (
        isinstance(one, Dense)
        and isinstance(other, Dense)
        and one.weight.shape == other.weight.shape
    )
