"""normalise-rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import frozen
from nirc.ir.populations import Discrete, Population, Projection, Sink
from nirc.ir.program import Program
from nirc.ir.rules import BOUND, EMIT, SUBTRACT, Add, Decay, Fire, Operation, Rule


@dataclass(frozen=True)
class NormaliseRules:
    """Write update rules that mean the same in one way (spikes unchanged).

    Spikes leave after the update. Those of the membrane before it leave a step later, by delays behind it, and outputs
    show them a step later. The synaptic current decays before the input is added. Where it decays afterwards, its gain
    has the decay.
    """

    name: ClassVar[str] = "normalise-rules"

    def run(self, program: Program, log: Log) -> Program:
        """Never fails."""
        nodes = dict(program.graph.nodes(data="payload"))
        late = set()
        for name, population in program.nodes(Population).items():
            d = population.dynamics
            assert isinstance(d, Discrete)
            last = _emitting_last(d)
            made = _decayed_first(last)
            if made is not d:
                nodes[name] = replace(population, dynamics=made)
            if last is not d:
                late.add(name)
        shown = {n for n in program.nodes(Sink) if _shows_later(program.into(n), late)}
        for name in shown:
            nodes[name] = replace(program[name], delay_steps=program[name].delay_steps + 1)
        edges = [(s, t, _a_step_later(p) if s in late and t not in shown else p) for s, t, p in program.edges()]
        return program.rebuilt(nodes, edges)


def _shows_later(into: list[tuple[str, Projection]], late: set[str]) -> bool:
    """Whether all that an output shows is late. A bias is not."""
    return bool(into) and all(s in late and not p.biases for s, p in into)


def _a_step_later(p: Projection) -> Projection:
    """The spikes of the step before leave now, so that a cycle needs no further step."""
    return replace(p, delay_steps=p.delay_steps + 1, feedback=False)


def _emitting_last(d: Discrete) -> Discrete:
    """``emit`` at the end: the comparison comes again, with a reset at once if nothing is between.

    ``d`` itself where spikes do not leave late, or where the first ones leave before any input.
    """
    ops = d.rule.operations
    if not d.rule.emits_late:
        return d
    at = ops.index(EMIT)
    rest, fires = list(ops[at + 1 :]), [op for op in ops[:at] if isinstance(op, Fire)]
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
    """Whether a subtraction is the only thing that spikes do, before the membrane changes otherwise."""
    others = [op for op in rest if not isinstance(op, Decay | Add) and op not in (SUBTRACT, BOUND)]
    first = next(i for i, op in enumerate(rest) if op in (Decay("v"), Add("x", "v"), Add("i", "v"), BOUND))
    return not others and rest.count(SUBTRACT) == 1 and SUBTRACT in rest[:first]


def _fires_at_start(d: Discrete) -> bool:
    """Whether a neuron is past its threshold before the first step."""
    start = np.zeros(d.decay_mem.size) if d.v_start is None else d.v_start
    return d.threshold is not None and bool((start >= d.threshold).any())


def _decayed_first(d: Discrete) -> Discrete:
    """The decay of the current before its input, unless the membrane takes the current before both."""
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
    gain = (zero if d.decay_syn is None else d.decay_syn) * (1.0 if d.gain_syn is None else d.gain_syn)
    made = replace(d, rule=rule, gain_syn=frozen(gain))
    if d.decay_syn_2 is not None and d.gain_syn_2 is not None:
        made = replace(made, gain_syn_2=frozen(d.decay_syn_2 * d.gain_syn_2))
    return made
