"""toychip-quantise: weights to 8 bits at one scale a population; decays stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Dense
from nirc.ir.populations import Discrete, Population, Projection
from nirc.ir.program import Form, Program
from nirc.ir.rules import Rule, plain
from nirc.semantics.neuron import Stepper
from toychip.limits import WEIGHT


@dataclass(frozen=True)
class ToyNeuron:
    """i = decay_syn*i + x; v = decay*v + i; fires at v > threshold, subtracts it. All (n,)."""

    decay: Float
    decay_syn: Float
    threshold: Float

    def stepper(self, batch: int) -> Stepper:
        """Fresh state."""
        return ToyStepper(self, batch)


class ToyStepper:
    """The chip's neurons: a step takes the summed weights of the spikes that arrive, and returns
    spikes.
    """

    def __init__(self, neuron: ToyNeuron, batch: int) -> None:
        self.neuron = neuron
        self.i = self.v = np.zeros((batch, neuron.threshold.size))

    def step(self, x: Float, second: Float | None = None) -> Float:
        """One step."""
        self.i = self.neuron.decay_syn * self.i + x
        v = self.neuron.decay * self.v + self.i
        spikes = (v > self.neuron.threshold).astype(np.float64)
        self.v = v - spikes * self.neuron.threshold
        return spikes


def chip_rule(name: str, d: Discrete) -> Rule:
    """The rule of ``ToyStepper``, in nirc's words.

    ``fit`` reports where the model's is another one.
    """
    return plain("subtract", synapse=d.rule.has_synapse)


@dataclass(frozen=True)
class ToyQuantise:
    """Round weights to 8 bits."""

    name: ClassVar[str] = "toychip-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """The scale of a population is the one at which its largest weight is 127."""
        nodes, edges = dict(program.graph.nodes(data="payload")), []
        for name, p in program.nodes(Population).items():
            weights = {
                s: _matrix(q, program[s].n) * _gain(p)[:, None] for s, q in program.into(name)
            }
            scale = WEIGHT[1] / max([1e-9, *(np.abs(w).max() for w in weights.values())])
            for source, q in program.into(name):
                rounded = frozen(np.rint(weights[source] * scale))
                edges.append((source, name, replace(q, ops=(Dense(rounded),))))
            d = p.dynamics
            slow = np.zeros(p.n) if d.decay_syn is None else d.decay_syn
            nodes[name] = replace(
                p, dynamics=ToyNeuron(d.decay_mem, frozen(slow), frozen(d.threshold * scale))
            )
        edges += [(s, t, q) for s, t, q in program.edges() if not isinstance(nodes[t], Population)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def in_volts(integer: Program, discrete: Program) -> Program:
    """``discrete`` with the weights that the chip stores."""
    edges = []
    for source, target, q in integer.edges():
        if isinstance(integer[target], Population):
            unit = (
                discrete[target].dynamics.threshold
                / integer[target].dynamics.threshold
                / _gain(discrete[target])
            )
            q = replace(q, ops=(Dense(frozen(q.ops[0].weight * unit[:, None])),))  # noqa: PLW2901
        edges.append((source, target, q))
    return discrete.rebuilt(dict(discrete.graph.nodes(data="payload")), edges)


def _gain(p: Population) -> Float:
    return p.dynamics.gain_mem * (1.0 if p.dynamics.gain_syn is None else p.dynamics.gain_syn)


def _matrix(projection: Projection, n_in: int) -> Float:
    """All operators as one matrix, by feeding the unit vectors."""
    rows = np.eye(n_in)
    for op in projection.ops:
        rows = op.apply(rows)
    return rows.T
