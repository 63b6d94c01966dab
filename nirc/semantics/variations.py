"""Programs with one change, for what-if studies: the cost of one approximation alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Sparse, Weighted
from nirc.ir.populations import Discrete, Population, Projection, Role, Source, populations_of
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Fire, Rule
from nirc.semantics.neuron import NeuronStepper, Stepper

Alter = Callable[[str, Discrete], object]
Decayed = Callable[[Float, Float, Float], Float]  # (state, kept share, unit) -> decayed state
Range = tuple[Float, Float]  # lowest and highest, (n,) each


def altered(program: Program, alter: Alter, names: Collection[str] | None = None) -> Program:
    """Return ``program`` with dynamics ``alter(name, dynamics)`` in its discrete populations."""
    return program.mapped(
        {
            name: p.with_dynamics(alter(name, p.dynamics))
            for name, p in populations_of(program, Discrete).items()
            if names is None or name in names
        }
    )


def ruled(
    program: Program, change: Callable[[Rule], Rule], names: Collection[str] | None = None
) -> Program:
    """Return ``program`` with other update rules in populations that fire, or in ``names``."""

    def alter(_: str, d: Discrete) -> Discrete:
        return replace(d, rule=change(d.rule)) if d.fires else d

    return altered(program, alter, names)


def with_chip_rule(
    program: Program,
    chip: Callable[[str, Discrete], Rule],
    *,
    reset: bool = False,
    spikes: bool = False,
) -> Program:
    """Return ``program`` with parts of a chip's update rule in populations that fire.

    ``reset``: a spike acts as on the chip, at once. ``spikes``: a population fires as often in a
    step as on the chip. Populations with thresholds of 0 or less do not fire several times, because
    such a threshold has no number of spikes.
    """

    def alter(name: str, d: Discrete) -> Discrete:
        rule = d.rule
        fires = rule.fires
        other = chip(name, d)
        if fires is None or other.fires is None or d.threshold is None:
            return d
        if reset:
            rule = rule.at_once(other.reset)
        if spikes and (other.fires.most == 1 or (d.threshold > 0).all()):
            rule = rule.with_fire(Fire(fires.at, other.fires.most))
        return replace(d, rule=rule)

    return altered(program, alter)


def capped_inputs(program: Program, most: int) -> Program:
    """Return ``program`` with at most ``most`` spikes per channel and step."""
    nodes = dict(program.graph.nodes(data="payload"))
    edges: list[tuple[str, str, Projection]] = []
    sent = {name: name for name in program.graph}  # inputs by the node that limits their counts
    for name, source in program.nodes(Source).items():
        zeros = frozen(np.zeros(source.n))
        ones = frozen(np.ones(source.n))
        rule = LETTER.with_fire(Fire(">=", most))
        cap = Discrete(zeros, ones, zeros, threshold=ones, v_reset=zeros, rule=rule)
        sent[name] = program.fresh_name(f"{name}.capped", nodes)
        nodes[sent[name]] = Population(source.shape, cap, source.origins, Role.RELAY)
        edges.append((name, sent[name], Projection(origins=source.origins)))
    edges += [(sent[s], t, p) for s, t, p in program.edges()]
    return program.rebuilt(nodes, edges)


def later(program: Program, steps: Mapping[int, int]) -> Program:
    """Delay edges by ``steps``, by edge number in the program's order, default 0."""
    edges = [
        (s, t, replace(p, delay_steps=p.delay_steps + steps.get(i, 0)))
        for i, (s, t, p) in enumerate(program.edges())
    ]
    return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)


def times(op: Weighted, factor: Float) -> Weighted:
    """Multiply every output of an operator by ``factor`` (n_out,), one number a map of a kernel."""
    match op:
        case Dense():
            return replace(op, weight=op.weight * factor[:, None])
        case Sparse():
            return replace(op, value=op.value * factor[op.target])
        case Conv():
            channel = factor.reshape(op.shape_out[0], -1)[:, 0]
            return replace(op, weight=op.weight * channel.reshape(-1, *[1] * (op.weight.ndim - 1)))
        case _:
            assert_never(op)


def inverse(x: Float) -> Float:
    """Return 1 / x, or 0 where x is 0."""
    return np.where(x != 0, 1 / np.where(x != 0, x, 1.0), 0.0)


def exactly(state: Float, kept: Float, unit: Float) -> Float:
    """Decay without rounding."""
    return kept * state


@dataclass(frozen=True)
class FixedPoint:
    """``neuron`` with the number format of a chip for its states.

    ``decayed`` rounds a state after its decay to multiples of ``unit`` (n,). It is a function of a
    module, whose name stands for it in the program's digest. Units are volts of the membrane,
    counted from ``zero`` (n,), None: from 0. ``v``, ``current``: the ranges, in volts, in
    which the membrane and the current of a step saturate. None: unlimited.
    """

    neuron: Discrete
    unit: Float
    decayed: Decayed = exactly
    zero: Float | None = None
    v: Range | None = None
    current: Range | None = None

    def stepper(self, batch: int) -> Stepper:
        """Return a fresh state for ``batch`` samples."""
        return _FixedPointStepper(self, batch)

    def as_discrete(self) -> Discrete:
        """Return the neuron without the number format."""
        return self.neuron


class _FixedPointStepper(NeuronStepper):
    """The stepper. Synaptic currents are in volts of the membrane, both gains included."""

    def __init__(self, fixed: FixedPoint, batch: int) -> None:
        super().__init__(fixed.neuron, (batch, fixed.neuron.decay_mem.size))
        self.fixed = fixed

    def decay_current(self) -> None:
        """Decay with the chip's rounding."""
        d = self.d
        fixed = self.fixed
        kept = np.zeros_like(d.decay_mem) if d.decay_syn is None else d.decay_syn
        self.i = fixed.decayed(self.i, kept, fixed.unit)
        if self.i_2 is not None and d.decay_syn_2 is not None:
            self.i_2 = fixed.decayed(self.i_2, d.decay_syn_2, fixed.unit)

    def add_to_current(self) -> None:
        """Add and saturate."""
        d = self.d
        gain = d.gain_mem if d.gain_syn is None else d.gain_mem * d.gain_syn
        self.i = _within(self.i + gain * self.x, self.fixed.current)
        if self.i_2 is not None and self.second is not None and d.gain_syn_2 is not None:
            self.i_2 = _within(
                self.i_2 + d.gain_mem * d.gain_syn_2 * self.second, self.fixed.current
            )

    def decay_membrane(self) -> None:
        """Decay with the chip's rounding, counted from the chip's zero."""
        d = self.d
        fixed = self.fixed
        zero = 0.0 if fixed.zero is None else fixed.zero
        self.v = fixed.decayed(self.v - zero, d.decay_mem, fixed.unit) + d.decay_mem * zero

    def add_current(self) -> None:
        """Add and saturate."""
        self._reach(self.i if self.i_2 is None else self.i + self.i_2)

    def add_input(self) -> None:
        """Add and saturate."""
        self._reach(self.d.gain_mem * self.x)

    def _reach(self, x: Float) -> None:
        self.v = _within(self.v + _within(x, self.fixed.current) + self.d.drift, self.fixed.v)


def _within(x: Float, between: Range | None) -> Float:
    return x if between is None else np.clip(x, *between)
