"""A discrete program through all steps of a batch, forwards and backwards.

Populations outside of loops run layer by layer, with one product for all steps. The populations of
a loop run together, step by step. Products are exact (``on_grid``). So the answer is the same on
every machine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.calibration.buffers import Buffers
from nirc.calibration.gradients import BackwardNeurons, Operator
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete, Population, Projection, Source, populations_of
from nirc.ir.program import Program
from nirc.native.floats import FastStepper
from nirc.native.operators import on_grid

Key = tuple[int, int]  # number of the edge in program order, number of its operator


@dataclass(frozen=True)
class Edge:
    """A projection into a population. ``live``: its signal is known only during the steps."""

    number: int
    source: str
    target: str
    projection: Projection
    ops: tuple[Operator, ...]
    live: bool

    def through(self, x: Float) -> Float:
        """Map (batch, n of the source) to (batch, n of the target)."""
        for op in self.ops:
            x = op.apply(x)
        return x

    def back(self, delta: Float) -> Float:
        """Apply the transpose of ``through``."""
        for op in reversed(self.ops):
            delta = op.to_input(on_grid(delta))
        return delta


@dataclass
class Gradients:
    """Gradients of the loss by the numbers of each operator, and by the constant currents."""

    weights: dict[Key, Float] = field(default_factory=dict)
    drift: dict[str, Float] = field(default_factory=dict)


class Unrolled:
    """``program`` over a batch: ``forward``, then ``backward`` from the loss's slopes.

    ``forced``: signals (samples, steps, n) that replace the populations' signals within their loop.
    So each neuron receives the model's spikes. Edges with numbers in ``self_edges`` are never
    forced.
    """

    def __init__(
        self,
        program: Program,
        forced: Mapping[str, Float] | None = None,
        self_edges: frozenset[int] = frozenset(),
        buffers: Buffers | None = None,
    ) -> None:
        self.buffers = Buffers() if buffers is None else buffers
        self.program = program
        self.forced = forced
        self.populations = populations_of(program, Discrete)
        self.components = components(program)
        loop: dict[str, int] = {}
        for number, component in enumerate(self.components):
            loop |= dict.fromkeys(component, number)
        self.edges: list[Edge] = []
        self.forced_edges: set[int] = set()
        for number, (s, t, p) in enumerate(program.edges()):
            if t not in self.populations:
                continue
            inside = loop.get(s) == loop[t]
            if inside and forced is not None and number not in self_edges:
                self.forced_edges.add(number)
                inside = False
            ops = tuple(Operator(op, self.buffers) for op in p.ops)
            self.edges.append(Edge(number, s, t, p, ops, inside))
        if forced is not None:
            self.components = [[n] for n in chain.from_iterable(self.components)]
        self.signal: dict[str, Float] = {}
        self.before: dict[str, Float] = {}  # membranes before the reset

    def forward(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Return the signals (samples, steps, n) of every node."""
        self.feed(inputs)
        for component in self.components:
            self.run(component)
        return self.signal

    def feed(self, inputs: NDArray[np.generic]) -> None:
        """Reset all signals, and set those of the inputs."""
        self.signal = {}
        self.before = {}
        first = 0
        for name, source in self.program.nodes(Source).items():
            part = inputs[:, :, first : first + source.n]
            self.signal[name] = self.buffers.empty(part.shape)
            self.signal[name][:] = part
            first += source.n

    def run(self, component: list[str]) -> None:
        """Compute the signals of one of ``components``. Its sources must be known."""
        drive = {name: self.drive(name) for name in component}
        samples, steps, _ = drive[component[0]][0].shape
        states = {}
        for name in component:
            n = self.populations[name].n
            states[name] = FastStepper(self.populations[name].dynamics, (samples, n))
            self.signal[name] = self.buffers.empty((samples, steps, n))
        live = {name: [e for e in self.edges if e.live and e.target == name] for name in component}
        name = component[0]
        if len(component) == 1 and states[name].library is not None and _to_itself(live[name]):
            self.before[name] = drive[name][0]
            states[name].run(*drive[name], _weights(live[name]), self.signal[name])
            return
        for name in component:
            self.before[name] = self.buffers.empty(self.signal[name].shape)
            self.signal[name][:] = 0
        for t in range(steps):
            for name in component:
                first = drive[name][0][:, t]
                second = drive[name][1]
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
        """Return (samples, steps, n) for both receptors, from non-live edges and from biases.

        The arrays are new.
        """
        samples, steps, _ = next(iter(self.signal.values())).shape
        shape = (samples, steps, self.populations[name].n)
        total: list[Float | None] = [None, None]
        for e in self.edges:
            if e.target != name:
                continue
            k = e.projection.synapse
            parts = [] if e.live else [self.arriving(e)]
            for bias in e.projection.biases:
                on = (np.arange(steps) >= bias.onset_steps)[None, :, None]
                parts.append(np.broadcast_to(on * bias.value, shape))
            for x in parts:
                total[k] = self._plus(total[k], x, new=bool(e.ops) and not e.live)
        first, second = total
        if first is None:
            first = self._plus(None, np.broadcast_to(0.0, shape))
        return first, second

    def _plus(self, total: Float | None, x: Float, *, new: bool = False) -> Float:
        """Return ``total`` plus ``x``, in the memory of ``total``, or of ``x`` if it is ``new``."""
        if total is not None:
            total += x
            return total
        if new and x.flags.c_contiguous and x.flags.writeable:
            return x
        copy = self.buffers.empty(x.shape)
        copy[:] = x
        return copy

    def arriving(self, e: Edge) -> Float:
        """Return (samples, steps, n) the input through ``e`` in every step."""
        signal = self._sent(e)
        rows = signal.reshape(-1, signal.shape[2])
        return e.through(rows).reshape(*signal.shape[:2], -1)

    def _sent(self, e: Edge) -> Float:
        """Return (samples, steps, n of the source) the delayed signal."""
        signal = (
            self.forced[e.source]
            if self.forced is not None and e.number in self.forced_edges
            else self.signal[e.source]
        )
        return delayed(signal, e.projection.lag)

    def backward(
        self, slopes: Mapping[str, Float], weights: Collection[Key], drift: Collection[str]
    ) -> Gradients:
        """Return the gradients of ``weights`` and of the populations in ``drift``.

        ``slopes`` (samples, steps, n): of the loss by populations' signals. They are overwritten.
        """
        gradients = Gradients()
        self.slope = dict(slopes)
        numbers = {number for number, _ in weights}
        learning = {e.target for e in self.edges if e.number in numbers} | set(drift)
        # The first component that learns. Earlier ones need no slopes.
        first = min((i for i, c in enumerate(self.components) if learning & set(c)), default=None)
        if first is None:
            return gradients
        for number in reversed(range(first, len(self.components))):
            self._back(number, first, gradients, weights, drift)
        return gradients

    def _back(
        self,
        number: int,
        first: int,
        gradients: Gradients,
        weights: Collection[Key],
        drift: Collection[str],
    ) -> None:
        component = self.components[number]
        slope: dict[str, Float] = {}
        for name in component:
            known = self.slope.pop(name, None)
            slope[name] = np.zeros_like(self.signal[name]) if known is None else known
        samples = len(self.signal[component[0]])
        states = {
            n: BackwardNeurons(self.populations[n].dynamics, samples, drift=n in drift)
            for n in component
        }
        second = {e.target for e in self.edges if e.projection.synapse}
        current = {
            n: (slope[n], self.buffers.empty(slope[n].shape) if n in second else None)
            for n in component
        }
        leaving = {n: [e for e in self.edges if e.live and e.source == n] for n in component}
        self._run_back(component, slope, states, current, leaving)
        gradients.drift |= {name: states[name].drift for name in component if name in drift}
        earlier = set(chain.from_iterable(self.components[first:number]))
        rounded: dict[tuple[str, int], Float] = {}
        for name, (by_first, by_second) in current.items():
            rounded[name, 0] = on_grid(by_first, by_first)
            if by_second is not None:
                rounded[name, 1] = on_grid(by_second, by_second)
        for e in self.edges:
            if e.target in current:
                into = rounded[e.target, e.projection.synapse]
                self._collect(e, into, gradients, weights, e.source in earlier)

    def _run_back(
        self,
        component: list[str],
        slope: dict[str, Float],
        states: dict[str, BackwardNeurons],
        current: dict[str, tuple[Float, Float | None]],
        leaving: dict[str, list[Edge]],
    ) -> None:
        """Go through all steps from the last. Fill ``current``, which may be ``slope`` itself."""
        name = component[0]
        fast = states[name].fast
        if len(component) == 1 and fast is not None and _to_itself(leaving[name]):
            fast.run(slope[name], self.before[name], *current[name], _weights(leaving[name]))
            return
        steps = self.signal[name].shape[1]
        for t in reversed(range(steps)):
            for name in reversed(component):
                for e in leaving[name]:
                    into = current[e.target][e.projection.synapse]
                    if t + e.projection.lag < steps and into is not None:
                        slope[name][:, t] += e.back(into[:, t + e.projection.lag])
                first, second = current[name]
                states[name].step(
                    slope[name][:, t],
                    self.before[name][:, t],
                    first[:, t],
                    None if second is None else second[:, t],
                )

    def _collect(
        self,
        e: Edge,
        current: Float,
        gradients: Gradients,
        weights: Collection[Key],
        earlier: bool,
    ) -> None:
        """Add the gradients of a projection's ``weights``, and the slope of an ``earlier`` source.

        ``current`` (samples, steps, n): the slope by the input, on a grid.
        """
        onward = earlier and not e.live and e.number not in self.forced_edges
        wanted = [k for k in range(len(e.ops)) if (e.number, k) in weights]
        if not wanted and not onward:
            return
        samples, steps, _ = current.shape
        delta = current.reshape(samples * steps, -1)
        passed = [self._sent(e).reshape(samples * steps, -1)] if wanted else []
        for op in e.ops[: max(wanted, default=0)]:
            passed.append(op.apply(passed[-1]))
        for k in reversed(range(len(e.ops))):
            if k in wanted:
                gradients.weights[e.number, k] = e.ops[k].to_numbers(on_grid(passed[k]), delta)
            if onward or (wanted and k > wanted[0]):
                slope = e.ops[k].to_input(delta)
                delta = on_grid(slope, slope)
        if onward:
            earlier_slope = advanced(delta.reshape(samples, steps, -1), e.projection.lag)
            known = self.slope.get(e.source)
            self.slope[e.source] = self._plus(known, earlier_slope, new=bool(e.ops))


def _to_itself(live: list[Edge]) -> bool:
    """Return True without live edges, or with one of each neuron to itself, a step later."""
    return not live or (
        len(live) == 1
        and [op.diagonal is not None for op in live[0].ops] == [True]
        and (live[0].projection.lag, live[0].projection.synapse) == (1, 0)
    )


def _weights(live: list[Edge]) -> Float | None:
    return np.ascontiguousarray(live[0].ops[0].diagonal) if live else None


def components(program: Program) -> list[list[str]]:
    """Return populations in order of execution, with those of a loop together."""
    position = {n: i for i, n in enumerate(program.graph)}
    at_once: nx.DiGraph[str] = nx.DiGraph()
    at_once.add_nodes_from(program.graph)
    at_once.add_edges_from((s, t) for s, t, p in program.edges() if p.lag == 0)
    order = {
        n: i
        for i, n in enumerate(
            nx.lexicographical_topological_sort(at_once, key=position.__getitem__)
        )
    }
    condensed = nx.condensation(nx.DiGraph(program.graph))
    members = {c: sorted(condensed.nodes[c]["members"], key=order.__getitem__) for c in condensed}
    first = {c: position[names[0]] for c, names in members.items()}
    order_of_components = []
    for c in nx.lexicographical_topological_sort(condensed, key=first.__getitem__):
        names = [n for n in members[c] if isinstance(program[n], Population)]
        if names:
            order_of_components.append(names)
    return order_of_components


def delayed(x: Float, lag: int) -> Float:
    """Return (samples, steps, n) ``lag`` steps later."""
    return (
        x if lag == 0 else np.concatenate([np.zeros_like(x[:, :lag]), x], axis=1)[:, : x.shape[1]]
    )


def advanced(x: Float, lag: int) -> Float:
    """Return (samples, steps, n) ``lag`` steps earlier."""
    return x if lag == 0 else np.concatenate([x, np.zeros_like(x[:, :lag])], axis=1)[:, lag:]
