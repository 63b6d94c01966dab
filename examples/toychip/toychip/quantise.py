"""toychip-quantise: weights to 8 bits at one scale a population. Decays stay as they are."""

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
    """``i = decay_syn * i + x``, ``v = decay * v + i``. Spikes subtract the threshold. All (n,)."""

    decay: Float
    decay_syn: Float
    threshold: Float

    def stepper(self, batch: int) -> Stepper:
        """Return fresh states."""
        return ToyStepper(self, batch)


class ToyStepper:
    """The states of neurons. A step takes the summed weights of arriving spikes."""

    def __init__(self, neuron: ToyNeuron, batch: int) -> None:
        self.neuron = neuron
        self.i = self.v = np.zeros((batch, neuron.threshold.size))

    def step(self, x: Float, second: Float | None = None) -> Float:
        """Return the spikes of a step."""
        self.i = self.neuron.decay_syn * self.i + x
        v = self.neuron.decay * self.v + self.i
        spikes = (v > self.neuron.threshold).astype(np.float64)
        self.v = v - spikes * self.neuron.threshold
        return spikes


def chip_rule(name: str, d: Discrete) -> Rule:
    """Return the rule of ``ToyStepper``. ``fit`` reports differences from the model's rule."""
    return plain("subtract", synapse=d.rule.has_synapse)


@dataclass(frozen=True)
class ToyQuantise:
    """Round weights to 8 bits."""

    name: ClassVar[str] = "toychip-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Scale each population so that its largest weight is 127."""
        nodes = dict(program.graph.nodes(data="payload"))
        edges = []
        for name, p in program.nodes(Population).items():
            weights = {
                s: _matrix(q, program[s].n) * _gain(p)[:, None] for s, q in program.into(name)
            }
            scale = WEIGHT[1] / max([1e-9, *(np.abs(w).max() for w in weights.values())])
            for source, q in program.into(name):
                rounded = frozen(np.rint(weights[source] * scale))
                edges.append((source, name, replace(q, ops=(Dense(rounded),))))
            d = p.dynamics
            decay_syn = np.zeros(p.n) if d.decay_syn is None else d.decay_syn
            neuron = ToyNeuron(d.decay_mem, frozen(decay_syn), frozen(d.threshold * scale))
            nodes[name] = replace(p, dynamics=neuron)
        edges += [(s, t, q) for s, t, q in program.edges() if not isinstance(nodes[t], Population)]
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def in_volts(integer: Program, discrete: Program) -> Program:
    """Return ``discrete`` with the weights that the chip stores."""
    edges = []
    for source, target, q in integer.edges():
        if isinstance(integer[target], Population):
            volts = discrete[target].dynamics.threshold / integer[target].dynamics.threshold
            unit = volts / _gain(discrete[target])
            q = replace(q, ops=(Dense(frozen(q.ops[0].weight * unit[:, None])),))  # noqa: PLW2901
        edges.append((source, target, q))
    return discrete.rebuilt(dict(discrete.graph.nodes(data="payload")), edges)


def _gain(p: Population) -> Float:
    return p.dynamics.gain_mem * (1.0 if p.dynamics.gain_syn is None else p.dynamics.gain_syn)


def _matrix(projection: Projection, n_in: int) -> Float:
    """Return all operators as one matrix: the images of the unit vectors."""
    rows = np.eye(n_in)
    for op in projection.ops:
        rows = op.apply(rows)
    return rows.T
