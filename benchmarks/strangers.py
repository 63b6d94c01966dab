"""Train the networks beside the zoo that fidelity is measured on: DIR/NAME.nir, with its samples in
DIR/NAME.npz.

    pip install torch nir && pip install --no-deps aeon scikit-learn
    python benchmarks/strangers.py DIR [NAME ...]
    python benchmarks/fidelity.py DIR/*.nir

Eleven networks, each from seeds of its own name: the same files for the same torch on the same
machine, nearly the same accuracy elsewhere. About two minutes of one core.

Each .npz holds ``inputs`` (spikes, (samples, steps, ...)), ``labels``, ``dt`` (s) and
``outputs``, the spikes of the trained network in torch. Those with ``_if_`` in their name
subtract the threshold, which NIR cannot say. Where the data come from, and their licences:
``strangers_data.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from strangers_data import Array, Samples, basic_motions, digits, japanese_vowels

try:
    import nir
    import torch
except ImportError as missing:
    raise SystemExit(f"{missing.name} is missing: pip install torch nir") from None

from strangers_torch import Layer, Network, Population

DT = 1e-4  # s


@dataclass(frozen=True)
class Task:
    """Data, the shape of a step, and how often to go through them."""

    samples: Callable[[np.random.Generator], Samples]
    shape: tuple[int, ...]
    epochs: int


VOWELS = Task(japanese_vowels, (12,), 14)
MOTIONS = Task(basic_motions, (12,), 60)
DIGITS = Task(lambda rng: digits(rng, 24), (64,), 10)
IMAGES = Task(lambda rng: digits(rng, 12), (1, 8, 8), 12)


def spiking_cnn(*channels: int) -> tuple[Layer, ...]:
    """Convolutions and ten outputs of IF neurons; pooling before the last convolution and before
    the outputs.
    """
    *first, last = (Layer(n, 1.0, conv=True) for n in channels)
    return (*first, replace(last, pool=True), Layer(10, 1.0, pool=True))


NETWORKS: dict[str, tuple[Task, tuple[Layer, ...]]] = {
    "jv_ff": (VOWELS, (Layer(96, bias=True), Layer(8, 0.95, bias=True))),
    "jv_deep": (VOWELS, (Layer(64), Layer(64), Layer(32), Layer(8, 0.95))),
    "jv_rec": (VOWELS, (Layer(100, loop=True), Layer(8, 0.95))),
    "jv_cuba": (VOWELS, (Layer(64, current=0.7), Layer(8, 0.95, 0.7))),
    "jv_cubarec": (VOWELS, (Layer(64, current=0.6, loop=True), Layer(8, 0.95, 0.7))),
    "bm_deep": (MOTIONS, (Layer(64), Layer(48), Layer(32), Layer(4, 0.95))),
    "bm_rec": (MOTIONS, (Layer(64, loop=True), Layer(4, 0.95))),
    "dg_mlp": (DIGITS, (Layer(100), Layer(10))),
    "dg_wide": (DIGITS, (Layer(512, bias=True), Layer(256, bias=True), Layer(10, bias=True))),
    "dg_if_cnn2": (IMAGES, spiking_cnn(6, 12)),
    "dg_if_cnn3": (IMAGES, spiking_cnn(8, 16, 32)),
}


class Graph:
    """A NIR graph in the making: a chain with loops."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.last = shape, "input"
        self.nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array(shape))}
        self.edges: list[tuple[str, str]] = []

    def chain(self, name: str, node: nir.NIRNode) -> None:
        """A node behind the last."""
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last = name

    def population(self, index: int, population: Population) -> None:
        """A layer's synapses, its neurons, and its loop."""
        for i, module in enumerate(population.synapses):
            node, self.shape = synapses_of(module, self.shape)
            self.chain(f"{index}_{i}", node)
        self.chain(neurons := f"{index}_n", neurons_of(population.layer, self.shape))
        if population.loop is not None:
            self.nodes[f"{index}_rec"] = synapses_of(population.loop, self.shape)[0]
            self.edges += [(neurons, f"{index}_rec"), (f"{index}_rec", neurons)]

    def write(self, path: Path) -> None:
        """The file."""
        self.chain("output", nir.Output(np.array(self.shape)))
        nir.write(path, nir.NIRGraph(self.nodes, self.edges))


def synapses_of(
    module: torch.nn.Module, shape: tuple[int, ...]
) -> tuple[nir.NIRNode, tuple[int, ...]]:
    """A module that keeps nothing as a node of NIR, and the shape behind it."""
    if isinstance(module, torch.nn.AvgPool2d):
        node = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
        return node, (shape[0], shape[1] // 2, shape[2] // 2)
    if isinstance(module, torch.nn.Flatten):
        return nir.Flatten({"input": np.array(shape)}, 0, -1), (prod(shape),)
    assert isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    weight = module.weight.detach().numpy()
    bias = (
        np.zeros(len(weight), np.float32) if module.bias is None else module.bias.detach().numpy()
    )
    if isinstance(module, torch.nn.Conv2d):
        return nir.Conv2d(shape[1:], weight, 1, 1, 1, 1, bias), (len(weight), *shape[1:])
    return nir.Linear(weight) if module.bias is None else nir.Affine(weight, bias), (len(weight),)


def neurons_of(layer: Layer, shape: tuple[int, ...]) -> nir.NIRNode:
    """Neurons of which a step of DT by Euler's rule is a step in torch: thresholds of 1,
    resistances of tau/dt.
    """

    def all_of(value: float) -> Array:
        return np.full(shape, value, np.float64)

    zero, one = all_of(0.0), all_of(1.0)
    if layer.keeps == 1:
        return nir.IF(one, one, v_reset=zero)
    tau = DT / (1 - layer.keeps)
    if layer.current is None:
        return nir.LIF(all_of(tau), all_of(tau / DT), zero, one, v_reset=zero)
    slow = DT / (1 - layer.current)
    return nir.CubaLIF(
        all_of(slow), all_of(tau), all_of(tau / DT), zero, one, zero, all_of(slow / DT)
    )


def made(name: str, folder: Path) -> str:
    """Train a network and write its two files; what to say of it."""
    task, layers = NETWORKS[name]
    begun, seed = time.process_time(), sum(map(ord, name))
    torch.manual_seed(seed)
    samples = task.samples(np.random.default_rng(seed)).shaped(task.shape)
    network = Network(layers, task.shape)
    network.learn(samples, task.epochs)
    output = network.spikes(samples.test)
    graph = Graph(task.shape)
    for index, population in enumerate(network.populations):
        graph.population(index, population)
    graph.write(folder / f"{name}.nir")
    np.savez_compressed(
        folder / f"{name}.npz",
        inputs=samples.test,
        labels=samples.test_labels,
        dt=DT,
        outputs=output,
    )
    train = accuracy(network.spikes(samples.train), samples.train_labels)
    test = accuracy(output, samples.test_labels)
    return (
        f"{name}: {train:.3f} of the training samples, {test:.3f} of the others, "
        f"{time.process_time() - begun:.0f} s"
    )


def accuracy(output: Array, labels: Array) -> float:
    """The share of samples whose class sends most spikes."""
    return float((output.sum(axis=1).argmax(axis=1) == labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help=f"of {', '.join(NETWORKS)}; default: all"
    )
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in NETWORKS]:
        parser.error(f"no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    torch.set_num_threads(1)  # the products are small, and the same sums in the same order
    asked.folder.mkdir(parents=True, exist_ok=True)
    names = asked.names or list(NETWORKS)
    for i, name in enumerate(names, 1):
        print(f"{i}/{len(names)} {made(name, asked.folder)}", flush=True)


if __name__ == "__main__":
    main()
