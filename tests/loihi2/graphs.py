"""Random NIR graphs that use what NIR has: every neuron, maps, branches, loops, delays, several
outputs.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from tests.models import DT, graph

Shape = tuple[int, ...]


class Growing:
    """A graph that grows by a layer at a time; signals that carry spikes are kept by name."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.spikes: dict[str, Shape] = {}

    def add(self, name: str, node: Any, *sources: str) -> str:
        """A node behind others."""
        name = f"{name}{len(self.nodes)}"
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def positive(self, shape: Shape, low: float, high: float) -> np.ndarray:
        """The same for all, for a channel, or for each neuron."""
        values = self.rng.uniform(low, high, shape)
        kind = self.rng.integers(3)
        if kind == 0:
            values[...] = values.flat[0]
        elif kind == 1 and len(shape) == 3:
            values[...] = values[:, :1, :1]
        return values

    def neuron(self, shape: Shape, *, fires: bool) -> Any:
        """Any kind of neuron."""
        rng = self.rng
        one = np.ones(shape)
        tau, tau_syn = (self.positive(shape, 1.0, 30.0) * DT for _ in range(2))
        leak = one * rng.choice([0.0, 0.0, rng.normal(0, 0.5)])
        r, w_in = tau / DT, tau_syn / DT
        if not fires:
            kinds = [nir.I(r=one / DT), nir.LI(tau=tau, r=r, v_leak=leak)]
            kinds.append(nir.CubaLI(tau_syn=tau_syn, tau_mem=tau, r=r, w_in=w_in, v_leak=leak))
            return kinds[rng.integers(len(kinds))]
        threshold = self.positive(shape, 0.3, 2.0)
        reset = one * rng.choice([0.0, 0.0, rng.normal(-0.3, 0.2)])
        each = {"v_threshold": threshold, "v_reset": reset}
        kinds = [
            nir.IF(r=one / DT, **each),
            nir.LIF(tau=tau, r=r, v_leak=leak, **each),
            nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, w_in=w_in, v_leak=leak, **each),
            nir.Threshold(threshold=threshold),
        ]
        return kinds[rng.choice(4, p=[0.25, 0.3, 0.35, 0.1])]

    def delayed(self, source: str, shape: Shape) -> str:
        if not self.chance(0.15):
            return source
        steps = int(self.rng.choice([1, 3, 63, 64, 150], p=[0.4, 0.3, 0.1, 0.1, 0.1]))
        return self.add("delay", nir.Delay(delay=np.full(shape, steps * DT)), source)

    def dense(self, source: str, n_in: int, n_out: int) -> str:
        weight = self.rng.normal(0.3, 1.0, (n_out, n_in)) * self.rng.choice([0.1, 0.5, 1.0])
        if self.chance(0.2):
            weight = np.abs(weight) * self.rng.choice([-1, 1])
        if self.chance(0.3):
            weight *= self.rng.random(weight.shape) < 0.3
        if self.chance(0.3):
            return self.add(
                "affine", nir.Affine(weight=weight, bias=self.rng.normal(0, 0.2, n_out)), source
            )
        return self.add("linear", nir.Linear(weight=weight), source)

    def map_(self, source: str, shape: Shape) -> tuple[str, Shape]:
        """A convolution, perhaps behind a pool."""
        rng = self.rng
        c, h, w = shape
        if self.chance(0.4) and min(h, w) >= 4:
            pool = rng.choice([nir.SumPool2d, nir.AvgPool2d])
            k, s = np.array([2, 2]), np.array([2, int(rng.integers(1, 3))])
            source = self.add(
                "pool", pool(kernel_size=k, stride=s, padding=np.array([0, 0])), source
            )
            h, w = (h - 2) // int(s[0]) + 1, (w - 2) // int(s[1]) + 1
        if self.chance(0.2):
            return source, (c, h, w)
        groups = c if self.chance(0.2) else 1
        features = groups * int(rng.integers(1, 4))
        k, pad, stride = (
            int(rng.integers(1, min(3, h, w) + 1)),
            int(rng.integers(0, 2)),
            int(rng.integers(1, 3)),
        )
        weight = rng.normal(0.2, 0.6, (features, c // groups, k, k))
        bias = rng.normal(0, 0.2, features) * self.chance(0.5)
        conv = nir.Conv2d((h, w), weight, stride, pad, 1, groups, bias)
        out = tuple((n + 2 * pad - k) // stride + 1 for n in (h, w))
        return self.add("conv", conv, source), (features, *out)

    def flat(self, source: str, shape: Shape) -> tuple[str, int]:
        n = int(np.prod(shape))
        if len(shape) == 1:
            return source, n
        node = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
        return self.add("flatten", node, source), n

    def layer(self, *, fires: bool) -> tuple[str, Shape]:
        """A population fed by one signal or two, perhaps by itself."""
        names = list(self.spikes)
        source = names[-1] if self.chance(0.7) else str(self.rng.choice(names))
        shape = self.spikes[source]
        here = self.delayed(source, shape)
        ways = []
        if len(shape) == 3 and self.chance(0.7):
            way, shape = self.map_(here, shape)
            ways.append(way)
        else:
            way, n_in = self.flat(here, shape)
            shape = (int(self.rng.integers(1, 7)),)
            ways.append(self.dense(way, n_in, shape[0]))
        if len(shape) == 1 and self.chance(0.3):  # a second way
            other = str(self.rng.choice(names))
            way, n_in = self.flat(self.delayed(other, self.spikes[other]), self.spikes[other])
            ways.append(self.dense(way, n_in, shape[0]))
        neuron = self.add("pop", self.neuron(shape, fires=fires), *ways)
        if fires and len(shape) == 1 and self.chance(0.4):
            back = self.dense(self.delayed(neuron, shape), shape[0], shape[0])
            self.edges.append((back, neuron))
        if fires:
            self.spikes[neuron] = shape
        return neuron, shape


def random_graph(seed: int) -> nir.NIRGraph:
    """One to four layers, one or two outputs."""
    rng = np.random.default_rng(seed)
    g = Growing(rng)
    shape: Shape = (int(rng.integers(1, 6)),)
    if g.chance(0.4):
        shape = (int(rng.integers(1, 3)), int(rng.integers(3, 8)), int(rng.integers(3, 8)))
    g.spikes[g.add("in", nir.Input(np.array(shape)))] = shape
    for _ in range(rng.integers(0, 4)):
        g.layer(fires=True)
    last, shape = g.layer(fires=g.chance(0.7))
    g.add("out", nir.Output(np.array(shape)), last)
    spiking = [name for name in g.spikes if name != "in0"]
    if spiking and g.chance(0.3):
        other = str(rng.choice(spiking))
        shape = g.spikes[other]
        if g.chance(0.5):
            other, n = g.flat(other, shape)
            other, shape = g.dense(other, n, 3), (3,)
        g.add("out", nir.Output(np.array(shape)), other)
    if spiking and g.chance(0.2):  # a loop through two populations
        a, b = str(rng.choice(spiking)), str(rng.choice(spiking))
        if len(g.spikes[a]) == len(g.spikes[b]) == 1:
            g.edges.append((g.dense(a, g.spikes[a][0], g.spikes[b][0]), b))
    return graph(g.nodes, g.edges)
