"""A discrete program through all steps of a batch, forwards and backwards.

Populations without a way back to themselves go layer by layer, with one product for all steps; only the neurons of a
loop go step by step together. Products are exact (``exact``), so the answer is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.analysis.exact import on_grid
from nirc.calibration import neuron
from nirc.calibration.adjoint import Operator, numbers
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population, Projection, Source
from nirc.ir.program import Program

Key = tuple[int, int]  # number of the edge in program order, number of its operator


@dataclass(frozen=True)
class Edge:
    """One projection into a population. ``live``: what it carries is known only while the steps go on."""

    number: int
    source: str
    target: str
    projection: Projection
    ops: tuple[Operator, ...]
    live: bool

    def through(self, x: Float) -> Float:
        """(batch, n of the source) -> (batch, n of the target)."""
        for op in self.ops:
            x = op.apply(x)
        return x

    def back(self, delta: Float) -> Float:
        """The transpose of ``through``."""
        for op in reversed(self.ops):
            delta = op.to_input(on_grid(delta))
        return delta


@dataclass
class Gradients:
    """Of the loss by the numbers of each operator, and by the constant current of each population."""

    weights: dict[Key, Float] = field(default_factory=dict)
    drift: dict[str, Float] = field(default_factory=dict)


class Unrolled:
    """``program`` over a batch: ``forward``, then ``backward`` with the loss's slopes by the signals.

    ``forced``: signals (samples, steps, n) that populations of loops are taken to send within their loop, whatever they
    send; each neuron then answers to what the model would tell it. Edges of ``own`` numbers are never forced.
    """

    def __init__(
        self, program: Program, forced: Mapping[str, Float] | None = None, own: frozenset[int] = frozenset()
    ) -> None:
        self.program, self.forced = program, forced
        self.populations = {n: p for n, p in program.nodes(Population).items() if isinstance(p.dynamics, Discrete)}
        self.components = components(program)
        loop = {name: number for number, c in enumerate(self.components) for name in c}
        self.edges: list[Edge] = []
        self.teaching: set[int] = set()  # numbers of the edges that are forced
        for number, (s, t, p) in enumerate(program.edges()):
            if t not in self.populations:
                continue
            inside = loop.get(s) == loop[t]
            if inside and forced is not None and number not in own:
                self.teaching.add(number)
                inside = False
            self.edges.append(Edge(number, s, t, p, tuple(Operator(op) for op in p.ops), inside))
        if forced is not None:
            self.components = [[n] for c in self.components for n in c]
        self.signal: dict[str, Float] = {}
        self.before: dict[str, Float] = {}  # membranes before the reset

    def forward(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Signals (samples, steps, n) of every node for inputs (samples, steps, channels)."""
        self.feed(inputs)
        for component in self.components:
            self.run(component)
        return self.signal

    def feed(self, inputs: NDArray[np.generic]) -> None:
        """Forget all signals but the inputs."""
        self.signal, self.before = {}, {}
        first = 0
        for name, source in self.program.nodes(Source).items():
            self.signal[name] = inputs[:, :, first : first + source.n].astype(np.float64)
            first += source.n

    def run(self, component: list[str]) -> None:
        """Signals of one of ``components``; all that feed it are known."""
        drive = {name: self.drive(name) for name in component}
        samples, steps, _ = drive[component[0]][0].shape
        states = {}
        for name in component:
            n = self.populations[name].n
            states[name] = neuron.Forward(_dynamics(self.populations[name]), (samples, n))
            self.signal[name], self.before[name] = np.zeros((samples, steps, n)), np.zeros((samples, steps, n))
        live = {name: [e for e in self.edges if e.live and e.target == name] for name in component}
        for t in range(steps):
            for name in component:
                first, second = drive[name][0][:, t], drive[name][1]
                later = None if second is None else second[:, t]
                for e in live[name]:
                    if t >= e.projection.lag:
                        x = e.through(self.signal[e.source][:, t - e.projection.lag])
                        if e.projection.synapse:
                            later = x if later is None else later + x
                        else:
                            first = first + x
                self.signal[name][:, t] = states[name].step(first, later)
                self.before[name][:, t] = states[name].before

    def drive(self, name: str) -> tuple[Float, Float | None]:
        """(samples, steps, n) of both receptors, from all that is no live edge, and from biases."""
        samples, steps, _ = next(iter(self.signal.values())).shape
        n = self.populations[name].n
        total: list[Float | None] = [np.zeros((samples, steps, n)), None]
        for e in self.edges:
            if e.target != name:
                continue
            k = e.projection.synapse
            parts = [] if e.live else [self.arriving(e)]
            for bias in e.projection.biases:
                on = (np.arange(steps) >= bias.onset_steps)[None, :, None]
                parts.append(np.broadcast_to(on * bias.value, (samples, steps, n)))
            for x in parts:
                before = total[k]
                total[k] = x if before is None else before + x
        assert total[0] is not None
        return total[0], total[1]

    def arriving(self, e: Edge) -> Float:
        """(samples, steps, n) what ``e`` delivers in every step."""
        signal = self._sent(e)
        return e.through(signal.reshape(-1, signal.shape[2])).reshape(*signal.shape[:2], -1)

    def _sent(self, e: Edge) -> Float:
        """(samples, steps, n of the source): delayed."""
        signal = (
            self.forced[e.source] if self.forced is not None and e.number in self.teaching else self.signal[e.source]
        )
        return _later(signal, e.projection.lag)

    def backward(self, slopes: Mapping[str, Float]) -> Gradients:
        """``slopes`` (samples, steps, n): the loss's derivative by the signal of a population."""
        found = Gradients()
        self.slope = {n: s.copy() for n, s in slopes.items()}
        for component in reversed(self.components):
            self._back(component, found)
        return found

    def _back(self, component: list[str], found: Gradients) -> None:
        steps = self.signal[component[0]].shape[1]
        slope = {n: self.slope.get(n, np.zeros_like(self.signal[n])) for n in component}
        states = {n: neuron.Backward(_dynamics(self.populations[n])) for n in component}
        current = {n: (np.zeros_like(self.signal[n]), np.zeros_like(self.signal[n])) for n in component}
        leaving = {n: [e for e in self.edges if e.live and e.source == n] for n in component}
        for name in component:
            found.drift[name] = np.zeros(self.populations[name].n)
        for t in reversed(range(steps)):
            for name in reversed(component):
                for e in leaving[name]:
                    if t + e.projection.lag < steps:
                        slope[name][:, t] += e.back(current[e.target][e.projection.synapse][:, t + e.projection.lag])
                first, second, drift = states[name].step(slope[name][:, t], self.before[name][:, t])
                current[name][0][:, t], current[name][1][:, t] = first, second
                found.drift[name] += on_grid(drift).sum(axis=0)
        for e in self.edges:
            if e.target in current:
                self._collect(e, current[e.target][e.projection.synapse], found)

    def _collect(self, e: Edge, current: Float, found: Gradients) -> None:
        """Gradients of one projection's numbers; what its source must learn, if that lies before."""
        samples, steps, _ = current.shape
        onward = not e.live and e.source in self.populations and e.number not in self.teaching
        delta = on_grid(current.reshape(samples * steps, -1))
        passed = [self._sent(e).reshape(samples * steps, -1)]
        for op in e.ops[:-1]:
            passed.append(op.apply(passed[-1]))
        for k in reversed(range(len(e.ops))):
            if numbers(e.ops[k].op) is not None:
                found.weights[e.number, k] = e.ops[k].to_numbers(on_grid(passed[k]), delta)
            if k or onward:
                delta = on_grid(e.ops[k].to_input(delta))
        if onward:
            earlier = _earlier(delta.reshape(samples, steps, -1), e.projection.lag)
            known = self.slope.get(e.source)
            self.slope[e.source] = earlier if known is None else known + earlier


def components(program: Program) -> list[list[str]]:
    """Discrete populations in order of execution, those of a loop together."""
    ours = {n for n, p in program.nodes(Population).items() if isinstance(p.dynamics, Discrete)}
    position = {n: i for i, n in enumerate(program.graph)}
    at_once: nx.DiGraph[str] = nx.DiGraph()
    at_once.add_nodes_from(program.graph)
    at_once.add_edges_from((s, t) for s, t, p in program.edges() if p.lag == 0)
    order = {n: i for i, n in enumerate(nx.lexicographical_topological_sort(at_once, key=position.__getitem__))}
    condensed = nx.condensation(nx.DiGraph(program.graph))
    members = {c: sorted(condensed.nodes[c]["members"], key=order.__getitem__) for c in condensed}
    first = {c: position[names[0]] for c, names in members.items()}
    found = []
    for c in nx.lexicographical_topological_sort(condensed, key=first.__getitem__):
        names = [n for n in members[c] if n in ours]
        if names:
            found.append(names)
    return found


def _dynamics(population: Population) -> Discrete:
    assert isinstance(population.dynamics, Discrete)
    return population.dynamics


def _later(x: Float, lag: int) -> Float:
    return x if lag == 0 else np.concatenate([np.zeros_like(x[:, :lag]), x], axis=1)[:, : x.shape[1]]


def _earlier(x: Float, lag: int) -> Float:
    return x if lag == 0 else np.concatenate([x, np.zeros_like(x[:, :lag])], axis=1)[:, lag:]
