"""Networks of Nengo, written by a converter of ours that follows NIR's published example, and
recorded.

    python benchmarks/simulators/nengo_cases.py OUTDIR [--seed N] [--kind K]...

Nengo has no exporter. The example in NIR's documentation writes an ensemble as Affine (scaled
encoders and bias) and LIF (r = threshold = 1, tau_ref = 0), a decoder or transform as Affine with a
bias of zeros, and a synapse as LI. Nengo's spikes are pulses of 1/dt. ``pulses=False`` writes
weights behind neurons for spikes of 1, that is divided by dt. ``pulses=True`` writes them as they
are, as the example does: such a file means spikes of unit area.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nengo
import nir
import numpy as np
from nengo.dists import Choice, Uniform
from recorded_kinds import Array, Kinds, Recording, Rng, between, spikes

kinds = Kinds("nengo")
kind = kinds.kind
READ = "nengo"
SAMPLES, STEPS, DT = 2, 200, 1e-3
Here = tuple[Any, str]  # what nengo connects from, and the node of the graph that stands for it


class Both:
    """A network of nengo and, node by node, what the converter writes for it."""

    def __init__(
        self, rng: Rng, *, dt: float = DT, pulses: bool = False, numbers: bool = False
    ) -> None:
        self.rng = rng
        self.dt = dt
        self.per_spike = 1.0 if pulses else 1 / dt
        self.numbers = numbers
        self.net = nengo.Network(seed=1)
        self.now: Array = np.zeros(1, np.float32)
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def add(self, word: str, node: Any, *before: str) -> str:
        """Put a node into the graph.

        Its name is the word or, as a list of nodes has it, the running number.
        """
        given = isinstance(node, nir.Input | nir.Output) or not self.numbers
        name = word if given else str(len(self.nodes))
        self.nodes[name] = node
        self.edges += [(source, name) for source in before]
        return name

    def input(self, n: int) -> Here:
        """The node that plays the recorded spikes."""
        self.now = np.zeros(n, np.float32)
        with self.net:
            node = nengo.Node(lambda _: self.now, size_out=n)
        return node, self.add("input", nir.Input(np.array([n])))

    def ensemble(
        self, n: int, tau: float = 0.02, bias: Any = None, start: Any = None, **neuron: Any
    ) -> Any:
        """Neurons with gain one, in nengo only."""
        bias = (
            self.rng.uniform(0, 0.4, n) if bias is None else np.broadcast_to(bias, n).astype(float)
        )
        start = {"voltage": Choice([0]) if start is None else start}
        cells = nengo.LIF(**{"tau_rc": tau, "tau_ref": 0, "initial_state": start, **neuron})
        with self.net:
            return nengo.Ensemble(n, 1, neuron_type=cells, gain=np.ones(n), bias=bias).neurons

    def layer(
        self,
        source: Here,
        n: int,
        *,
        tau: float = 0.02,
        synapse: float | None = None,
        scale: float = 1.5,
        **more: Any,
    ) -> Here:
        """Neurons behind a transform of ``source``, filtered by ``synapse`` where there is one."""
        pre, name = source
        cells = self.ensemble(n, tau, **more)
        spiking = isinstance(pre, nengo.ensemble.Neurons)
        weight = self.rng.normal(0.3, scale, (n, pre.size_out)) / np.sqrt(pre.size_out / 3)
        transform = weight * ((60.0 if synapse else 30.0) * self.dt if spiking else 1.0)
        with self.net:
            nengo.Connection(pre, cells, transform=transform, synapse=synapse)
        written = transform * (self.per_spike if spiking else 1.0)
        at = len(self.nodes)
        if synapse is not None:
            filtering = nir.LI(
                np.full(pre.size_out, synapse), np.ones(pre.size_out), np.zeros(pre.size_out)
            )
            name = self.add(f"syn{at}", filtering, name)
        name = self.add(f"w{at}", nir.Affine(written, np.asarray(cells.ensemble.bias)), name)
        return cells, self.add(f"lif{at}", neurons_node(n, tau), name)

    def loop(self, source: Here, synapse: float, *, bias: bool) -> None:
        """Feed the neurons back to themselves through a synapse."""
        cells, name = source
        n = cells.size_out
        written = self.rng.normal(0, 20.0, (n, n)) / np.sqrt(n)
        with self.net:
            nengo.Connection(cells, cells, transform=written / self.per_spike, synapse=synapse)
        back = self.add("syn_back", nir.LI(np.full(n, synapse), np.ones(n), np.zeros(n)), name)
        node = nir.Affine(written, np.zeros(n)) if bias else nir.Linear(written)
        self.edges.append((self.add("w_back", node, back), name))

    def recorded(self, target: Here, *, rate: float = 0.3, decoded: bool = False) -> Recording:
        """Run the network on spikes and record ``target``."""
        with self.net:
            probe = nengo.Probe(target[0], synapse=None)
        self.add("output", nir.Output(np.array([target[0].size_out])), target[1])
        inputs = spikes(self.rng, len(self.now), rate=rate, steps=STEPS, samples=SAMPLES)
        outputs = []
        with nengo.Simulator(self.net, dt=self.dt, progress_bar=False) as simulator:
            for sample in inputs:
                simulator.reset()
                for row in sample:
                    self.now = row
                    simulator.step()
                outputs.append(np.array(simulator.data[probe][-STEPS:]))
        recorded = np.stack(outputs) * (1 if decoded else self.dt)
        graph = nir.NIRGraph(nodes=self.nodes, edges=self.edges, type_check=False)
        return Recording(graph, inputs, recorded.astype(np.float32))


def neurons_node(n: int, tau: float) -> Any:
    return nir.LIF(tau=np.full(n, tau), r=np.ones(n), v_leak=np.zeros(n), v_threshold=np.ones(n))


def chain(
    *sizes: int, both: dict[str, Any] | None = None, **options: Any
) -> Callable[[Rng], Recording]:
    """A kind that is a chain of ensembles."""

    def make(rng: Rng) -> Recording:
        net = Both(rng, **(both or {}))
        here = net.input(sizes[0])
        for n in sizes[1:]:
            here = net.layer(here, n, **options)
        return net.recorded(here)

    return make


kind("lif_exact", "one ensemble", READ)(chain(12, 10, scale=2.0))
kind("lif_two", "two ensembles, spikes of 1", READ)(chain(12, 10, 5))
kind("lif_three", "three ensembles, spikes of 1", READ)(chain(12, 10, 8, 5))
kind("lif_nobias", "biases of zero", READ)(chain(12, 10, bias=0.0, scale=3.0))
kind("lif_tau", "tau_rc 5 ms", READ)(chain(12, 10, tau=0.005))
kind("lif_dt1e-4", "dt 1e-4", f"{READ},dt=1e-4")(
    chain(12, 10, both={"dt": 1e-4}, tau=0.002, scale=3.0)
)
kind("lif_dt5e-3", "dt 5e-3: several input steps a time constant only", f"{READ},dt=5e-3")(
    chain(12, 10, both={"dt": 5e-3})
)
kind("lif_numbers", "names are running numbers, as from the example's list of nodes", READ)(
    chain(12, 10, 5, both={"numbers": True})
)
kind(
    "lif_two_pulses",
    "two ensembles, weights for pulses of 1/dt, as in the example",
    READ,
    lost="the unit of a spike",
)(chain(12, 10, 5, both={"pulses": True}))
kind("lif_start", "membranes start at random, the default of Nengo", READ, lost="the start values")(
    chain(12, 10, start=Uniform(0, 1), scale=2.0)
)
kind(
    "lif_refractory",
    "tau_ref 2 ms, the default of Nengo, which the example's converter refuses",
    READ,
    lost="tau_ref",
)(chain(12, 10, tau_ref=0.002, scale=3.0))
kind("lif_min_voltage", "min_voltage -1", READ, lost="min_voltage")(
    chain(12, 10, min_voltage=-1.0, scale=3.0)
)
kind("lif_loop", "an ensemble that feeds back through a synapse, Linear", READ)(
    lambda rng: looped(rng, bias=False)
)
kind("lif_loop_bias", "the same with an Affine of zeros, as the example writes", READ)(
    lambda rng: looped(rng, bias=True)
)


@kind("lif_synapse", "two ensembles, a synapse between (LI)", READ)
def _(rng: Rng) -> Recording:
    net = Both(rng)
    return net.recorded(net.layer(net.layer(net.input(12), 10), 5, synapse=0.005))


def looped(rng: Rng, *, bias: bool) -> Recording:
    net = Both(rng)
    here = net.layer(net.input(12), 10)
    net.loop(here, 0.005, bias=bias)
    return net.recorded(here)


@kind("lif_decoded", "a decoder behind the ensemble: the output is a filtered value", READ)
def _(rng: Rng) -> Recording:
    net = Both(rng)
    cells, name = net.layer(net.input(12), 10)
    weight = rng.normal(0, 1, (3, 10))
    with net.net:
        value = nengo.Node(size_in=3)
        nengo.Connection(cells, value, transform=weight / net.per_spike, synapse=0.02)
    name = net.add("syn_out", nir.LI(np.full(10, 0.02), np.ones(10), np.zeros(10)), name)
    name = net.add("decoder", nir.Affine(weight, np.zeros(3)), name)
    return net.recorded((value, name), decoded=True)


@kind("lif_bias_large", "biases above threshold: neurons fire without input", READ)
def _(rng: Rng) -> Recording:
    net = Both(rng)
    return net.recorded(net.layer(net.input(12), 10, bias=between(rng, 1.1, 2.0, 10), scale=0.3))


if __name__ == "__main__":
    kinds.command()
