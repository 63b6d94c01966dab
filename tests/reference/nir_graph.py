"""What a NIR graph computes, node by node and step by step: slow, and close to the words of the specification.

Takes canonical layers (shapes known, one parameter for each neuron) and nothing of what the compiler makes of them.
Signals are told apart by their origin, the neurons or Input that sent them, so that a loop can be given its step:
an edge between populations that closes a cycle acts one step later, unless a Delay lies on the way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir import layers as nir
from nirc.ir.program import Program
from tests.reference.linear import convolve, pool

Array = NDArray[Any]
Origin = tuple[str, bool]  # who sent it, and whether it went through a Delay
BIAS: Origin = ("", False)


def evaluate(program: Program, inputs: Array, *, dt_s: float, reset: str = "model") -> Array:
    """(steps, channels) -> (steps, outputs): all Inputs flat in order, all Outputs flat in order."""
    graph = _Graph(program, dt_s, reset, inputs)
    return np.array([graph.outputs(t) for t in range(len(inputs))])


class _Graph:
    def __init__(self, program: Program, dt_s: float, reset: str, inputs: Array) -> None:
        self.dt_s, self.reset = dt_s, reset
        self.nodes = {n: p for n, p in program.nodes(nir.LayerNode).items()}
        self.before = {n: [s for s, _ in program.into(n)] for n in self.nodes}
        self.after = {n: [t for t, _ in program.out_of(n)] for n in self.nodes}
        self.inputs = self._split(inputs)
        self.senders = [n for n in self.nodes if self._sends(n)]
        self.sinks = [n for n, p in self.nodes.items() if isinstance(p.layer, nir.Output) and not self.after[n]]
        self.late = self._edges_that_close_cycles()
        self.states: dict[str, list[tuple[Array, Array]]] = {n: [] for n in self.senders}  # (i, v) after each step
        self.part = cache(self._part)
        self.signal = cache(self._signal)

    def _split(self, inputs: Array) -> dict[str, Array]:
        found, first = {}, 0
        for name, payload in self.nodes.items():
            if isinstance(payload.layer, nir.Input) and not self.before[name]:
                n = self._size(name)
                found[name] = inputs[:, first : first + n].astype(float)
                first += n
        assert first == inputs.shape[1]
        return found

    def _size(self, name: str) -> int:
        return int(np.prod(self.nodes[name].shape_out or (1,)))

    def _sends(self, name: str) -> bool:
        return name in self.inputs or isinstance(self.nodes[name].layer, nir.Neuron)

    def _edges_that_close_cycles(self) -> set[tuple[str, str]]:
        """Depth first from the Inputs, neighbours by name: an edge to a population that is still being visited."""
        late: set[tuple[str, str]] = set()
        active: list[str] = []
        done: set[str] = set()

        def visit(name: str) -> None:
            active.append(name)
            for target in sorted(self._reached_at_once(name)):
                if target in active:
                    late.add((name, target))
                elif target not in done:
                    visit(target)
            active.remove(name)
            done.add(name)

        for root in [*sorted(self.inputs), *sorted(self.senders)]:
            if root not in done:
                visit(root)
        return late

    def _reached_at_once(self, name: str) -> set[str]:
        """Populations behind ``name``, through linear nodes that let something pass without delay."""
        found: set[str] = set()
        for target in self.after[name]:
            layer = self.nodes[target].layer
            if self._sends(target):
                found.add(target)
            elif not isinstance(layer, nir.Delay) or (layer.delay_s == 0).any():
                found |= self._reached_at_once(target)
        return found

    def outputs(self, t: int) -> Array:
        for name in self.senders:
            self.signal(name, t)
        return np.concatenate([self._arriving(name, t) for name in self.sinks])

    def _signal(self, name: str, t: int) -> Array:
        """What an Input or a population sends at step ``t``."""
        if t < 0:
            return np.zeros(self._size(name))
        if name in self.inputs:
            return self.inputs[name][t]
        layer = self.nodes[name].layer
        assert isinstance(layer, nir.Neuron)
        if t and len(self.states[name]) < t:
            self.signal(name, t - 1)
        zero = np.zeros(self._size(name))
        i, v = self.states[name][t - 1] if t else (zero, zero)
        i, v, sent = self._step(layer, i, v, self._arriving(name, t))
        self.states[name].append((i, v))
        return sent

    def _arriving(self, name: str, t: int) -> Array:
        total = np.zeros(self._size(name))
        for source in self.before[name]:
            total += self.part(source, BIAS, t)
            for sender in self.senders:
                lag = 1 if (sender, name) in self.late else 0
                total += self.part(source, (sender, False), t - lag) + self.part(source, (sender, True), t)
        return total

    def _part(self, name: str, origin: Origin, t: int) -> Array:
        """What leaves ``name`` at step ``t``, as far as it comes from ``origin``."""
        zero = np.zeros(self._size(name))
        if t < 0:
            return zero
        if self._sends(name):
            return self.signal(name, t) if origin == (name, False) else zero
        payload = self.nodes[name]
        if isinstance(payload.layer, nir.Delay):
            return self._delayed(name, payload.layer, origin, t)
        x = sum((self.part(source, origin, t) for source in self.before[name]), np.zeros(()))
        x = np.broadcast_to(x, int(np.prod(payload.shape_in or (1,))))
        return zero + linear(payload.layer, x.reshape(payload.shape_in or (1,)), bias=origin == BIAS).ravel()

    def _delayed(self, name: str, layer: nir.Delay, origin: Origin, t: int) -> Array:
        made = np.zeros(self._size(name))
        sender, was_delayed = origin
        for k, seconds in enumerate(layer.delay_s):
            steps = max(1, round(seconds / self.dt_s)) if seconds else 0
            takes = [origin]
            if steps and origin != BIAS:
                takes = [(sender, False), (sender, True)] if was_delayed else []
            made[k] = sum(self.part(s, o, t - steps)[k] for s in self.before[name] for o in takes)
        return made

    def _step(self, n: nir.Neuron, i: Array, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Current, membrane, threshold, reset: the new i and v, and what is sent."""
        i = x
        if n.kind == "Threshold":
            return i, x, (x > n.v_threshold).astype(float)
        raise NotImplementedError
