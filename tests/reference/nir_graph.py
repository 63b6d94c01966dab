"""What a NIR graph computes, one neuron and one step at a time, straight from the canonical layers.

Rules (NIR specification; docs/reference/semantics.md): forward Euler; current, membrane, threshold
(v > v_threshold), reset. Inputs of a node add up. A signal crosses the whole graph in its own step,
except that a population hears itself one step later, and through a Delay after so many steps (at
least one). A Delay gives zero until then.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.ir import layers as nir
from nirc.ir.layers import LayerNode
from nirc.ir.program import Program
from tests.reference.linear import convolve, pool

Array = NDArray[Any]


class Reference:
    """One sample: ``inputs`` (steps, channels), all Inputs flat in program order.

    ``late``: further (source, target) pairs of populations that are heard one step later, in larger
    loops.
    """

    def __init__(
        self,
        program: Program,
        inputs: Array,
        *,
        dt: float,
        reset: str = "model",
        late: Collection[Any] = (),
    ) -> None:
        self.program, self.inputs, self.dt, self.reset, self.late = program, inputs, dt, reset, late
        self.nodes: dict[str, LayerNode] = program.nodes(LayerNode)
        self.spikes: dict[tuple[str, int], Array] = {}
        self.v: dict[str, Array] = {}
        self.i: dict[str, Array] = {}

    def output(self) -> Array:
        """(steps, outputs), all Outputs flat in program order."""
        ends = [
            n
            for n, p in self.nodes.items()
            if isinstance(p.layer, nir.Output) and not self.program.out_of(n)
        ]
        return np.array(
            [
                np.concatenate([self.sum(n, t, None, False).ravel() for n in ends])
                for t in range(len(self.inputs))
            ]
        )

    def sum(self, node: str, t: int, listener: str | None, delayed: bool) -> Array:
        """All that arrives at ``node`` in step t on the way to the population ``listener``."""
        total = np.zeros(self.nodes[node].shape_in or (1,))
        for source, _ in self.program.into(node):
            total = total + self.signal(source, t, listener, delayed).reshape(total.shape)
        return total

    def signal(self, node: str, t: int, listener: str | None, delayed: bool) -> Array:
        """What ``node`` sends in step t; ``delayed``: a Delay lies between it and the listener."""
        layer, shape = self.nodes[node].layer, self.nodes[node].shape_out or (1,)
        if t < 0:
            return np.zeros(shape)
        if isinstance(layer, nir.Input) and not self.program.into(node):
            return self.channels(node, t).reshape(shape)
        if isinstance(layer, nir.Neuron):
            later = not delayed and (node == listener or (node, listener) in self.late)
            return self.fire(node, t - 1 if later else t).reshape(shape)
        if isinstance(layer, nir.Delay):
            waits = [max(1, round(d / self.dt)) if d > 0 else 0 for d in layer.delay_s]
            at = {
                w: self.sum(node, t - w, listener, delayed or w > 0).ravel()
                for w in waits
                if t >= w
            }
            return np.array([at[w][i] if w in at else 0.0 for i, w in enumerate(waits)]).reshape(
                shape
            )
        return linear(layer, self.sum(node, t, listener, delayed)).reshape(shape)

    def channels(self, node: str, t: int) -> Array:
        first = 0
        for name, p in self.nodes.items():
            if isinstance(p.layer, nir.Input) and not self.program.into(name):
                n = math.prod(p.shape_out or (1,))
                if name == node:
                    return self.inputs[t, first : first + n]
                first += n
        raise KeyError(node)

    def fire(self, node: str, t: int) -> Array:
        """Spikes (or membrane) of a population in step t; computes all steps before it."""
        if t < 0:
            return np.zeros(self.nodes[node].shape_out or (1,)).ravel()
        if (node, t) not in self.spikes:
            self.fire(node, t - 1)
            x = self.sum(node, t, node, False).ravel()
            layer = self.nodes[node].layer
            assert isinstance(layer, nir.Neuron)
            v, i = (
                self.v.setdefault(node, np.zeros(x.size)),
                self.i.setdefault(node, np.zeros(x.size)),
            )
            self.spikes[node, t] = np.array(
                [self.step(layer, n, v, i, x[n]) for n in range(x.size)]
            )
        return self.spikes[node, t]

    def step(self, layer: nir.Neuron, n: int, v: Array, i: Array, x: float) -> float:
        """One neuron, one step."""
        p = {name: float(value[n]) for name, value in layer.parameters().items()}
        if layer.kind == "Threshold":
            return float(x > p["v_threshold"])
        if "tau_syn_s" in p:
            i[n] = euler(i[n], 0.0, p["tau_syn_s"], p["w_in"], x, self.dt)
            x = i[n]
        if "tau_mem_s" in p:
            v[n] = euler(v[n], p["v_leak"], p["tau_mem_s"], p["r"], x, self.dt)
        else:
            v[n] += p["r"] * x if p["r"] < self.dt**-0.5 else p["r"] * self.dt * x
        if "v_threshold" not in p:
            return float(v[n])
        spike = v[n] > p["v_threshold"]
        if spike:
            v[n] = {"model": p["v_reset"], "zero": 0.0, "subtract": v[n] - p["v_threshold"]}[
                self.reset
            ]
        return float(spike)


def late(program: Program) -> set[tuple[str, str]]:
    """Pairs of populations that close a loop, so that the second hears the first a step later.

    Rule (docs/reference/semantics.md): depth-first from the Inputs, then from what is left,
    neighbours by name; an edge back to a node whose visit has not ended closes the loop.
    """
    nodes = program.nodes(LayerNode)
    kept = [n for n, p in nodes.items() if not _is_wire(program, n, p.layer)]
    heard = {n: [m for m in kept if m in _hearing(program, n, set(kept))] for n in kept}
    pairs: set[tuple[str, str]] = set()
    ended: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> None:
        for other in heard[node]:
            if other in path:
                pairs.add((node, other))
            elif other not in ended:
                visit(other, (*path, other))
        ended.add(node)

    inputs = [n for n in kept if isinstance(nodes[n].layer, nir.Input)]
    for root in [*inputs, *kept]:
        if root not in ended:
            visit(root, (root,))
    return pairs


def _is_wire(program: Program, node: str, layer: nir.Layer) -> bool:
    """True for a node between populations: linear, or the port of a nested graph."""
    if isinstance(layer, nir.Input):
        return bool(program.into(node))
    if isinstance(layer, nir.Output):
        return bool(program.out_of(node))
    return not isinstance(layer, nir.Neuron)


def _hearing(program: Program, node: str, kept: Collection[str]) -> set[str]:
    """Populations and Outputs that a signal of ``node`` reaches in its own step."""
    found: set[str] = set()
    for target, _ in program.out_of(node):
        layer = program[target].layer
        if target in kept:
            found.add(target)
        elif not isinstance(layer, nir.Delay) or (layer.delay_s == 0).any():
            found |= _hearing(program, target, kept)
    return found


def euler(v: float, leak: float, tau: float, gain: float, x: float, dt: float) -> float:
    """``tau v' = (leak - v) + gain x``; tau = inf integrates ``gain x`` once per step."""
    return v + gain * x if math.isinf(tau) else v + dt / tau * (leak - v) + gain * dt / tau * x


def linear(layer: nir.Layer, x: Array) -> Array:
    """One linear node."""
    match layer:
        case nir.Linear():
            rows = layer.weight.reshape(-1, layer.weight.shape[-1])
            return rows @ x.ravel() + (0.0 if layer.bias is None else layer.bias.ravel())
        case nir.Scale():
            return layer.scale * x.ravel()
        case nir.Conv():
            y = convolve(x, layer.weight, layer.stride, layer.padding, layer.dilation, layer.groups)
            return y if layer.bias is None else y + layer.bias.reshape(-1, *(1,) * (y.ndim - 1))
        case nir.Pool():
            return pool(
                x, layer.kernel, layer.stride, list(layer.padding), average=layer.kind == "avg"
            )
    return x  # Flatten, an inner Input or Output: the same values
