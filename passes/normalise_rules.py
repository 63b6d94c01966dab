"""normalise-rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Projection, Sink, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import BOUND, EMIT, SUBTRACT, Add, Decay, Fire, Operation, Rule


@dataclass(frozen=True)
class NormaliseRules:
    """Write equivalent update rules in one form (spikes unchanged).

    Spikes leave after the update. Spikes of the membrane before the update leave a step later.
    Delays behind the population do this, and outputs show the spikes a step later. The synaptic
    current decays before the input is added. If the current decays afterwards, its gain includes
    the decay.
    """

    name: ClassVar[str] = "normalise-rules"

    def run(self, program: Program, log: Log) -> Program:
        """Normalise all rules. Never fails."""
        nodes = dict(program.graph.nodes(data="payload"))
        delayed = set()
        for name, population in populations_of(program, Discrete).items():
            d = population.dynamics
            last = _emitting_last(d)
            normalised = _decayed_first(last)
            if normalised is not d:
                nodes[name] = replace(population, dynamics=normalised)
            if last is not d:
                delayed.add(name)
        if not delayed:
            return program.mapped(nodes)
        shown = {n for n in program.nodes(Sink) if _shows_later(program.into(n), delayed)}
        for name in shown:
            nodes[name] = replace(program[name], delay_steps=program[name].delay_steps + 1)
        edges = [
            (s, t, _a_step_later(p) if s in delayed and t not in shown else p)
            for s, t, p in program.edges()
        ]
        return program.rebuilt(nodes, edges)


def _shows_later(into: list[tuple[str, Projection]], delayed: set[str]) -> bool:
    """Return True if all inputs of an output are late. A bias is not."""
    return bool(into) and all(s in delayed and not p.biases for s, p in into)


def _a_step_later(p: Projection) -> Projection:
    """Send the spikes of the last step now. So a cycle needs no further step."""
    return replace(p, delay_steps=p.delay_steps + 1, feedback=False)


def _emitting_last(d: Discrete) -> Discrete:
    """Move ``emit`` to the end: repeat the comparison, with an immediate reset if possible.

    Returns ``d`` if spikes do not leave late, or if the first spikes leave before any input.
    """
    ops = d.rule.operations
    if not d.rule.emission_is_delayed:
        return d
    at = ops.index(EMIT)
    rest = list(ops[at + 1 :])
    fires = [op for op in ops[:at] if isinstance(op, Fire)]
    if not fires and at == 0:  # the spikes, or the membrane, of the step before
        if not d.fires and d.v_start is not None:
            return d
        return replace(d, rule=Rule((*rest, EMIT) if d.fires else tuple(rest)))
    if not fires or len(fires) < at or _fires_at_start(d):
        return d
    fire = fires[-1]
    if _resets_at_once(rest):
        rest.remove(SUBTRACT)
        return replace(d, rule=Rule((*rest, fire, SUBTRACT, EMIT)))
    return replace(d, rule=Rule((*fires, *rest, fire, EMIT)))


def _resets_at_once(rest: list[Operation]) -> bool:
    """Return True if spikes only cause a subtraction, before other changes of the membrane."""
    others = [op for op in rest if not isinstance(op, Decay | Add) and op not in (SUBTRACT, BOUND)]
    first = next(
        i for i, op in enumerate(rest) if op in (Decay("v"), Add("x", "v"), Add("i", "v"), BOUND)
    )
    return not others and rest.count(SUBTRACT) == 1 and SUBTRACT in rest[:first]


def _fires_at_start(d: Discrete) -> bool:
    """Return True if a neuron is at its threshold before the first step."""
    start = np.zeros(d.decay_mem.size) if d.v_start is None else d.v_start
    return d.threshold is not None and bool((start >= d.threshold).any())


def _decayed_first(d: Discrete) -> Discrete:
    """Decay the current before its input, unless the membrane takes the current before both."""
    ops = d.rule.operations
    add, decay, use = Add("x", "i"), Decay("i"), Add("i", "v")
    if add not in ops or ops.index(decay) < ops.index(add) or ops.index(use) < ops.index(add):
        return d
    others: list[Operation] = [op for op in ops if op not in (add, decay)]
    at = min(i for i, op in enumerate(others) if isinstance(op, Decay | Add))
    rule = Rule((*others[:at], decay, add, *others[at:]))
    if ops.index(use) < ops.index(decay):  # the membrane takes the current before its decay
        return replace(d, rule=rule)
    if d.grain is not None:  # the decay cuts the sum, not its parts
        return d
    zero = np.zeros(d.decay_mem.size)
    gain = (zero if d.decay_syn is None else d.decay_syn) * (
        1.0 if d.gain_syn is None else d.gain_syn
    )
    decayed_first = replace(d, rule=rule, gain_syn=frozen(gain))
    if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
        decayed_first = replace(decayed_first, gain_syn_2=frozen(d.decay_syn_2 * d.gain_syn_2))
    return decayed_first
