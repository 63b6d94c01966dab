"""Subtractive reset by stock neurons: each neuron inhibits itself through a synapse.

A spike sets v to 0 and leaves u alone (lava-nc 0.10.0, ``proc/lif/models.py``). So u becomes the
membrane. It decays as the membrane does. v forgets everything in each step (dv 4096) and equals u.
The synapse of a neuron to itself takes one step. What it brings arrives before the next comparison
with the threshold, when the membrane has decayed once. So its weight is ``-decay * threshold``.
Constants reach u from the neuron that always fires.

u can no longer be the synaptic filter. The filter becomes synapses with delays. After k steps it
passes ``decay_syn ** k`` of a spike, which arrives by a synapse that takes k steps more. The last
synapse brings all the rest.

u wraps around where v would stay at its largest value, and an integrator's u keeps its input for
4096 steps. A population whose weights would keep too few bits resets to zero (``plan.ROOMS``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from nirc.analysis import rule_differences
from nirc.analysis.operators import identity
from nirc.backends.loihi2.kernels import one_operator
from nirc.backends.loihi2.limits import DELAY, LIF_MODELS
from nirc.backends.loihi2.plan import ROOMS, Plan
from nirc.diagnostics.log import Log
from nirc.diagnostics.numbers import FilterByDelays
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Sparse
from nirc.ir.populations import Discrete, Population, Projection, Role
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Rule
from nirc.passes.legality import relay

Arc = tuple[str, str, Projection]

MOST_TAPS = DELAY[1] + 1  # synapses with different delays that may replace one
# Share of a filter's output that its last synapse may bring at once, though it is of later steps.
REST = 2.0**-8
# Synapses into a population that a filter may be made of: some seven cores (?: a choice).
MOST_SYNAPSES = 1 << 18


def chip_rule(name: str, d: Discrete) -> Rule:
    """Return NIR's letter, the rule of a stock neuron.

    Where neurons inhibit themselves, v forgets everything and its reset makes no difference.
    """
    return LETTER if d.rule.fires is not None else d.rule


def with_subtraction(program: Program, log: Log, names: Collection[str] | None = None) -> Program:
    """Give self-inhibition to the populations ``names``, or to all that subtract and can have it.

    Each projection of ``program`` is one operator.
    """
    if names is None:
        names = [name for name in program.nodes(Population) if not why_not(program, name)]
    for name in names:
        taps = _taps(program, name)
        if taps > 1:
            where, synapses = program[name].origins[0], _synapses(program, name)
            log.add(FilterByDelays(where=where, population=name, delays=taps, synapses=synapses))
        rule_differences.report_replaced(program, name, chip_rule, LIF_MODELS, log)
    return _with_self_inhibition(program, list(names)) if names else program


def _with_self_inhibition(program: Program, names: Sequence[str]) -> Program:
    """Return the same network with the membranes of ``names`` in u, and with self-inhibition."""
    nodes = dict(program.graph.nodes(data="payload"))
    edges = _without_filters(program, names)
    clock = Clock(program)
    for name in names:
        population: Population[Discrete] = program[name]
        d = population.dynamics
        assert d.threshold is not None
        if d.drift.any():
            edges.append(clock.edge(name, d.drift, 0, population.origins))
        zeros = frozen(np.zeros(population.n))
        unfiltered = d.rule if d.decay_syn is None else d.rule.without_synapse()
        in_u = replace(
            d,
            decay_mem=zeros,
            decay_syn=d.decay_mem,
            gain_syn=frozen(np.ones(population.n)),
            drift=zeros,
            rule=unfiltered.at_once("none").with_synapse(),  # v forgets everything in each step
            v_least=None,
        )
        nodes[name] = replace(population, dynamics=in_u)
        taken = d.threshold if unfiltered.reset_is_delayed else d.decay_mem * d.threshold
        op = replace(identity(population.n), value=frozen(-taken))
        edges.append((name, name, Projection(ops=(op,), feedback=True, origins=population.origins)))
    return program.rebuilt({**clock.nodes, **nodes}, edges)


def _without_filters(program: Program, names: Sequence[str]) -> list[Arc]:
    """Return the projections, with synapses of several delays for the filters of ``names``."""
    shares = {name: _shares(program, name) for name in names}
    edges: list[Arc] = []
    for source, target, p in program.edges():
        if not shares.get(target):
            edges.append((source, target, p))
            continue
        for k, share in enumerate(shares[target]):
            op = one_operator((*p.ops, Diagonal(frozen(share))), program[source].n)
            assert op is not None  # they are not so many
            edges.append((source, target, replace(p, ops=(op,), delay_steps=p.delay_steps + k)))
    return edges


def _shares(program: Program, name: str) -> list[Float]:
    """Return what a spike brings in each step behind the synaptic filter, [] without a filter."""
    decay = program[name].dynamics.decay_syn
    if decay is None:
        return []
    shares = [decay**k for k in range(_taps(program, name))]
    shares[-1] = shares[-1] / (1 - decay)
    return shares


def _taps(program: Program, name: str) -> int:
    """Return the synapses that replace one. Above ``MOST_TAPS``: those were not enough."""
    decay = program[name].dynamics.decay_syn
    slowest = 0.0 if decay is None else float(decay.max())
    if slowest >= REST ** (1 / MOST_TAPS):
        return MOST_TAPS + 1
    return max(1, int(np.ceil(np.log(REST) / np.log(slowest)))) if slowest else 1


def _synapses(program: Program, name: str) -> int:
    return sum(p.ops[0].entries for _, p in program.into(name))


# Populations that have self-inhibition, and the reasons of the others.


def self_inhibition_of(program: Program, name: str) -> int | None:
    """Return the number of the self-inhibition among the projections into ``name``, or None."""
    into = enumerate(program.into(name))
    return next((i for i, (s, p) in into if s == name and _subtracts(program[name], p)), None)


def inhibits_itself(program: Program, name: str) -> bool:
    """Return True if the neurons of ``name`` subtract their threshold by self-inhibition."""
    return self_inhibition_of(program, name) is not None


def _subtracts(population: Population[Discrete], p: Projection) -> bool:
    """Return True if ``p``, of a population to itself, subtracts the threshold after one step."""
    d = population.dynamics
    if d.threshold is None or d.decay_syn is None or d.decay_mem.any():
        return False
    weights = None if p.delay_steps or not p.feedback else _to_itself(p, population.n)
    return weights is not None and any(
        bool((weights == -taken).all()) for taken in (d.decay_syn * d.threshold, d.threshold)
    )


def _to_itself(p: Projection, n: int) -> Float | None:
    """Return each neuron's weight to itself (n,), or None if a neuron reaches another."""
    if len(p.ops) != 1 or isinstance(p.ops[0], Conv) or p.ops[0].entries > n:
        return None
    target, source, value = p.ops[0].coo()
    weights = np.zeros(n)
    weights[target] = value
    return weights if (target == source).all() else None


def reset_to_zero(program: Program, name: str) -> bool:
    """Return True if ``name`` of a legal program loses what the model keeps above the threshold."""
    d = program[name].dynamics
    return d.fires and d.rule.reset == "subtract" and bool(d.decay_mem.any())


def why_not(program: Program, name: str) -> str:
    """Return the reason why a population gets no self-inhibition. It is empty if it gets one."""
    population: Population[Discrete] = program[name]
    d = population.dynamics
    subtracts = d.rule.reset == "subtract" and (d.decay_mem.any() or d.rule.reset_is_delayed)
    if d.threshold is None or not subtracts or population.role is Role.CLOCK:
        return "there is nothing to subtract"
    if not ((d.threshold > 0) & (d.decay_mem >= 0) & (d.decay_mem <= 1)).all():
        return "its thresholds are not above 0"
    taps = _taps(program, name)
    if d.decay_syn is not None and (taps > MOST_TAPS or (d.decay_syn < 0).any()):
        return f"its synaptic filter is too slow to be made of {MOST_TAPS} delays"
    if taps > 1 and (synapses := taps * _synapses(program, name)) > MOST_SYNAPSES:
        return f"its synaptic filter would take {synapses} synapses, more than {MOST_SYNAPSES}"
    into = [(source, name, p) for source, p in program.into(name)]
    alone = {each: program[each] for each in (*(source for source, _, _ in into), name)}
    tried = _with_self_inhibition(program.rebuilt(alone, into), [name])
    ops = [p.ops[0] for _, p in tried.into(name)]
    plan = Plan(tried[name], ops, 0, self_inhibition=self_inhibition_of(tried, name))
    if plan.has_room:
        return ""
    steps, levels = ROOMS[-1]
    return (
        f"with room in u for {steps:g} steps of full input its largest weight has less than "
        f"{levels} steps"
    )


def taps_of_a_filter(
    into: Sequence[tuple[str, Projection]], self_inhibition: int | None
) -> list[list[int]]:
    """Return the numbers of the projections into a population in groups.

    With self-inhibition, a group is one projection of the model with several delays.
    """
    groups = [[i] for i in range(len(into))]
    if self_inhibition is None:
        return groups
    for i, ((before, p), (source, q)) in enumerate(pairwise(into), start=1):
        same = source == before and q.lag == p.lag + 1 and self_inhibition not in (i - 1, i)
        if same and _same_places(p.ops[0], q.ops[0]):
            groups[i] = [*groups[i - 1], i]
            groups[i - 1] = []
    return [numbers for numbers in groups if numbers]


def _same_places(one: LinearOp, other: LinearOp) -> bool:
    if isinstance(one, Sparse) and isinstance(other, Sparse):
        return np.array_equal(one.target, other.target) and np.array_equal(one.source, other.source)
    if isinstance(one, Dense) and isinstance(other, Dense):
        return one.weight.shape == other.weight.shape
    return False


# Constants.


class Clock:
    """The neuron that fires in every step and so brings constants.

    It is created when the first edge needs it. ``nodes`` are to be added to the program.
    """

    def __init__(self, program: Program) -> None:
        clocks = (name for name, p in program.nodes(Population).items() if p.role is Role.CLOCK)
        self.name = next(clocks, None) or program.fresh_name("always")
        self.nodes: dict[str, Population[Discrete]] = {}

    def edge(self, target: str, value: Float, onset_steps: int, origins: tuple[str, ...]) -> Arc:
        """Return an edge that brings ``value`` (n,) in every step from ``onset_steps`` on."""
        origin = origins or (target,)
        fires = replace(relay(1, origin).dynamics, drift=frozen(np.ones(1)))
        self.nodes.setdefault(self.name, Population((1,), fires, origin, Role.CLOCK))
        op = Dense(frozen(value[:, None]))
        return self.name, target, Projection(ops=(op,), delay_steps=onset_steps, origins=origins)
