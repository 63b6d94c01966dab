"""Runs a program in torch, with the meaning of ``nirc.semantics.run``.

Signals are (steps, samples, n). Populations outside loops run all steps at once, those of a loop
step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nirc.calibration.unrolled import components
from nirc.chip.training import Place, Training
from nirc.ir.arrays import Float
from nirc.ir.computation import X_2, Computation, Receive, X
from nirc.ir.linear import Sparse
from nirc.ir.populations import Population, Projection, Sink, Source
from nirc.ir.program import Form, Program
from nirc.native.saturated import Fans, add
from nirc.semantics.run import source_order
from nirc.torch.neurons import Seen, run_steps
from nirc.torch.operators import Operator

RECEPTORS = (X, X_2)
LARGEST = 2.0**53  # float64 holds integers up to here


class BeyondFloat64Error(Exception):
    """The sum into a population is too large for exact integers."""

    def __init__(self, population: str, most: float) -> None:
        super().__init__(population)
        self.population = population
        self.most = most


@dataclass(frozen=True)
class Numbers:
    """The numbers of a program that replace its own, in the chip's units."""

    values: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    weights: Mapping[Place, Tensor] = field(default_factory=dict)
    biases: Mapping[Place, Tensor] = field(default_factory=dict)

    @property
    def tensors(self) -> list[Tensor]:
        """All numbers, in order."""
        values = chain.from_iterable(held.values() for held in self.values.values())
        return [*values, *self.weights.values(), *self.biases.values()]

    def with_tensors(self, tensors: Iterable[Tensor]) -> Numbers:
        """Return other numbers, in the order of ``tensors``."""
        left = iter(tensors)
        return Numbers(
            {name: dict(zip(held, left, strict=False)) for name, held in self.values.items()},
            dict(zip(self.weights, left, strict=False)),
            dict(zip(self.biases, left, strict=False)),
        )


@dataclass(frozen=True)
class _Edge:
    """A projection with the numbers for its operators."""

    number: int
    source: str
    projection: Projection
    ops: tuple[Operator, ...]
    ready: tuple[Tensor | None, ...]
    live: bool

    def through(self, x: Tensor) -> Tensor:
        """Map (batch, n of the source) to (batch, n of the target)."""
        for op, ready in zip(self.ops, self.ready, strict=True):
            x = op.apply(x, ready)
        return x

    def fans(self, weights: Tensor | None) -> Fans:
        """Return the integer synapses of a list, with other ``weights``."""
        (op,) = self.projection.ops
        assert isinstance(op, Sparse)
        return Fans.of(op if weights is None else replace(op, value=_integers(weights)))

    def reach(self) -> Tensor:
        """Return the largest sum of magnitudes of weights into a neuron."""
        x = torch.ones((1, self.ops[0].op.n_in), dtype=torch.float64) if self.ops else None
        if x is None:
            return torch.ones(())
        for op, ready in zip(self.ops, self.ready, strict=True):
            size = None if ready is None else ready.detach().to("cpu")
            x = op.apply(x, None if size is None else abs(size))
        return x.max() if x.numel() else torch.zeros(())


class _Arrivals:
    """The signals (steps, samples, n) that reach a population, in order, with their synapses."""

    def __init__(self, parts: Iterable[tuple[int, Fans, Tensor]]) -> None:
        self.parts = [(synapse, fans, signal.detach().cpu()) for synapse, fans, signal in parts]

    def received(self, t: int, receptor: str, state: Tensor) -> Tensor:
        """Return the synaptic state (samples, n) once all sources of step ``t`` are added."""
        total = np.array(state.detach().cpu().numpy(), np.int32, order="C")
        for synapse, fans, signal in self.parts:
            if RECEPTORS[synapse] == receptor:
                add(total, signal[t].numpy(), fans)
        return torch.from_numpy(total).to(state.device, torch.float64)


class Network:
    """A program's structure, ready to run with any numbers."""

    def __init__(self, program: Program, training: Training, device: torch.device) -> None:
        self.program = program
        self.device = device
        self.exact = program.form is Form.INTEGER
        self.components = components(program)
        self.place = source_order(program)
        loop: dict[str, int] = {}
        for number, component in enumerate(self.components):
            loop |= dict.fromkeys(component, number)
        self.loop = loop
        self.ops = [tuple(Operator(op, device) for op in p.ops) for _, _, p in program.edges()]
        self.computations: dict[str, Computation] = {
            name: training.computation(p) for name, p in program.nodes(Population).items()
        }
        self.parameters = {
            name: {key: self._tensor(value) for key, value in c.parameters.items()}
            for name, c in self.computations.items()
        }

    def _tensor(self, values: object) -> Tensor:
        return torch.as_tensor(np.array(values, np.float64)).to(self.device)

    def run(
        self,
        inputs: Tensor,
        numbers: Numbers,
        states: Mapping[str, Mapping[str, Any]],
        seen: Mapping[str, Seen] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return outputs (samples, steps, outputs), and the signals (steps, samples, n) by node.

        ``states`` (n,): those of each population at the start. ``seen``: of populations outside
        loops, what they did.
        """
        return _Run(self, inputs, numbers, states, seen or {}).run()


class _Run:
    """One run of a batch."""

    def __init__(
        self,
        network: Network,
        inputs: Tensor,
        numbers: Numbers,
        states: Mapping[str, Mapping[str, Any]],
        seen: Mapping[str, Seen],
    ) -> None:
        self.network = network
        self.seen = seen
        self.program = network.program
        self.numbers = numbers
        self.states = states
        self.samples, self.steps, _ = inputs.shape
        self.signals: dict[str, Tensor] = {}
        first = 0
        by_step = inputs.transpose(0, 1)
        for name, source in self.program.nodes(Source).items():
            self.signals[name] = by_step[:, :, first : first + source.n].contiguous()
            first += source.n
        self.into: dict[str, list[_Edge]] = {name: [] for name in self.program.graph}
        loop = network.loop
        for number, (source_name, target, p) in enumerate(self.program.edges()):
            live = source_name in loop and loop.get(source_name) == loop.get(target)
            ops = network.ops[number]
            ready = tuple(op.ready(numbers.weights.get((number, k))) for k, op in enumerate(ops))
            edge = _Edge(number, source_name, p, ops, ready, live)
            self.into[target].append(edge)

    def run(self) -> tuple[Tensor, dict[str, Tensor]]:
        for component in self.network.components:
            if len(component) == 1 and not any(e.live for e in self.into[component[0]]):
                self._at_once(component[0])
            else:
                self._by_steps(component)
        outputs = []
        for name, sink in self.program.nodes(Sink).items():
            self.signals[name], _ = self._drive(name)
            outputs.append(_later(self.signals[name], sink.delay_steps))
        return torch.cat(outputs, 2).transpose(0, 1), self.signals

    def _parameters(self, name: str) -> dict[str, Tensor]:
        return {**self.network.parameters[name], **self.numbers.values.get(name, {})}

    def _start(self, name: str) -> list[Tensor]:
        n = self.program[name].n
        shape = (self.samples, n)
        return [
            self.network._tensor(np.broadcast_to(start, n)).expand(shape)
            for start in self.states[name].values()
        ]

    def _at_once(self, name: str) -> None:
        computation = self.network.computations[name]
        parameters = self._parameters(name)
        seen = self.seen.get(name)
        drive, start = self._drive(name), self._start(name)
        edges = self._ordered(name)
        parts = [(e, fans, _later(self.signals[e.source], e.projection.lag)) for e, fans in edges]
        arrivals = _arrivals(parts)
        out, _ = run_steps(computation, drive, start, parameters, seen, arrivals)
        self.signals[name] = out

    def _by_steps(self, component: list[str]) -> None:
        drives = {name: self._drive(name) for name in component}
        states = {name: self._start(name) for name in component}
        parameters = {name: self._parameters(name) for name in component}
        ordered = {name: self._ordered(name) for name in component}
        sent: dict[str, list[Tensor]] = {name: [] for name in component}
        for t in range(self.steps):
            for name in component:
                first, second = drives[name]
                now: list[Tensor | None] = [first[t], None if second is None else second[t]]
                for edge in self.into[name]:
                    if edge.live and t >= edge.projection.lag:
                        x = edge.through(sent[edge.source][t - edge.projection.lag])
                        known = now[edge.projection.synapse]
                        now[edge.projection.synapse] = x if known is None else known + x
                assert now[0] is not None
                x_2 = None if now[1] is None else now[1][None]
                known = [(e, fans, self._at(e, t, sent)) for e, fans in ordered[name]]
                arrivals = _arrivals((e, f, x[None]) for e, f, x in known if x is not None)
                out, states[name] = run_steps(
                    self.network.computations[name],
                    (now[0][None], x_2),
                    states[name],
                    parameters[name],
                    arrivals=arrivals,
                )
                sent[name].append(out[0])
        for name in component:
            n = self.program[name].n
            empty = torch.zeros((0, self.samples, n), dtype=torch.float64)
            self.signals[name] = torch.stack(sent[name]) if sent[name] else empty

    def _ordered(self, name: str) -> list[tuple[_Edge, Fans]]:
        """Return the edges into a population whose sources are added in order, else nothing."""
        if not any(isinstance(s, Receive) for s in self.network.computations[name].steps):
            return []
        edges = sorted(self.into[name], key=lambda edge: self.network.place[edge.source])
        return [(e, e.fans(self.numbers.weights.get((e.number, 0)))) for e in edges]

    def _at(self, edge: _Edge, t: int, sent: Mapping[str, list[Tensor]]) -> Tensor | None:
        """Return what a source of a loop sends into step ``t``, None before its first step."""
        t -= edge.projection.lag
        if t < 0:
            return None
        return sent[edge.source][t] if edge.live else self.signals[edge.source][t]

    def _drive(self, name: str) -> tuple[Tensor, Tensor | None]:
        """Return (steps, samples, n) of both receptors, from edges outside loops and biases."""
        total: list[Tensor | None] = [None, None]
        most = 0.0
        for edge in self.into[name]:
            synapse = edge.projection.synapse
            parts = [] if edge.live else [self._arriving(edge, self.program[name].n)]
            most += self._most(edge)
            for k, bias in enumerate(edge.projection.biases):
                value = self.numbers.biases.get((edge.number, k))
                value = self.network._tensor(bias.value) if value is None else value
                begun = torch.arange(self.steps, device=value.device) >= bias.onset_steps
                parts.append(begun[:, None, None] * value)
            for x in parts:
                known = total[synapse]
                total[synapse] = x if known is None else known + x
        if most >= LARGEST:
            raise BeyondFloat64Error(name, most)
        shape = (self.steps, self.samples, self.program[name].n)
        first, second = total
        if first is None:
            first = torch.zeros(shape, dtype=torch.float64, device=self.network.device)
        return first.expand(shape), None if second is None else second.expand(shape)

    def _most(self, edge: _Edge) -> float:
        """Return the largest magnitude that an exact edge can bring, 0 where none is needed."""
        if not self.network.exact or edge.live or not self.signals[edge.source].numel():
            return 0.0
        signal = float(self.signals[edge.source].detach().abs().max())
        return signal * float(edge.reach())

    def _arriving(self, edge: _Edge, n: int) -> Tensor:
        signal = _later(self.signals[edge.source], edge.projection.lag)
        rows = signal.reshape(self.steps * self.samples, signal.shape[2])
        return edge.through(rows).reshape(self.steps, self.samples, n)


def _arrivals(parts: Iterable[tuple[_Edge, Fans, Tensor]]) -> _Arrivals | None:
    found = _Arrivals((e.projection.synapse, fans, signal) for e, fans, signal in parts)
    return found if found.parts else None


def _integers(weights: Tensor) -> Float:
    return np.array(weights.detach().cpu().numpy(), np.float64)


def _later(signal: Tensor, lag: int) -> Tensor:
    """Return (steps, samples, n) delayed by ``lag`` steps."""
    if lag == 0:
        return signal
    empty = torch.zeros_like(signal[:lag])
    return torch.cat([empty, signal])[: len(signal)]
