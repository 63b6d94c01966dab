"""Sinabs' networks on Speck: its own quantised DynapcnnNetwork and nirc's bundle, both beside the
float network.

    python benchmarks/vendor_speck.py [--networks NAME ...] [--samples N] [--steps N]
                                      [--seeds N] [--keep DIR]

Each network is made in Sinabs with seeded weights, scaled until every layer fires, and exported by
Sinabs' exporter. DynapcnnNetwork runs on the CPU, without samna. nirc reads the file with ``--from
sinabs`` and its bundle runs in the synchronous emulator. All three get the same raster. Counts are
output spikes of all samples. `apart` is the difference of nirc's count from DynapcnnNetwork's.
`error` is the sum of the outputs' count differences over the float network's count. `steps`: the
share of entries (sample, step, output) with equal spikes. `agree`: the share of samples with the
float network's arg-max.

Needs torch, nirtorch and matplotlib, and sinabs 3.1.3 installed without its dependencies.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from vendor_measures import Array, Fidelity, apart, compiled, fidelity, only_simulators, table

from nirc.backends.speck.config import read_config
from nirc.backends.speck.configuration import Configuration

with only_simulators():
    import nir
    import torch
    from sinabs import layers
    from sinabs.activation import MultiSpike
    from sinabs.backend.dynapcnn import DynapcnnNetwork
    from sinabs.nir import to_nir
    from torch import nn

RATE = 0.1  # spikes a neuron and step that weights are scaled to
HALVINGS = 30  # of the interval of the factor


@dataclass(frozen=True)
class Kind:
    """A network to compare.

    ``floor``: min_v_mem, None for none. ``bias``: standard deviation of biases, 0 for none.
    """

    make: Callable[[Kind], nn.Sequential]
    shape: tuple[int, int, int]
    floor: float | None = -1.0
    threshold: float = 1.0
    bias: float = 0.0

    def neurons(self) -> nn.Module:
        """Integrate and fire, several spikes a step, subtraction."""
        return layers.IAFSqueeze(  # type: ignore[no-any-return]
            batch_size=1, spike_threshold=self.threshold, min_v_mem=self.floor, spike_fn=MultiSpike
        )

    def conv(self, into: int, out: int, kernel: int, **options: int) -> list[nn.Module]:
        """A convolution with neurons."""
        return [nn.Conv2d(into, out, kernel, bias=self.bias > 0, **options), self.neurons()]

    def linear(self, into: int, out: int) -> list[nn.Module]:
        """A linear layer with neurons."""
        return [nn.Linear(into, out, bias=self.bias > 0), self.neurons()]


def gesture(kind: Kind) -> nn.Sequential:
    """Five convolutions with pooling and two linear layers: the size of a DVS gesture network."""
    return nn.Sequential(
        *kind.conv(2, 8, 2, stride=2),
        layers.SumPool2d(2),
        *kind.conv(8, 16, 3, padding=1),
        layers.SumPool2d(2),
        *kind.conv(16, 32, 3, padding=1),
        layers.SumPool2d(2),
        *kind.conv(32, 32, 3, padding=1),
        layers.SumPool2d(2),
        *kind.conv(32, 64, 3, padding=1),
        layers.SumPool2d(2),
        nn.Flatten(),
        *kind.linear(256, 128),
        *kind.linear(128, 11),
    )


def conv(kind: Kind) -> nn.Sequential:
    """Two convolutions and a linear layer."""
    return nn.Sequential(
        *kind.conv(2, 6, 3, padding=1),
        layers.SumPool2d(2),
        *kind.conv(6, 8, 3, padding=1),
        layers.SumPool2d(2),
        nn.Flatten(),
        *kind.linear(8 * 4 * 4, 5),
    )


def linear(kind: Kind) -> nn.Sequential:
    """Three linear layers."""
    return nn.Sequential(
        nn.Flatten(), *kind.linear(64, 40), *kind.linear(40, 20), *kind.linear(20, 5)
    )


NETWORKS = {
    "gesture": Kind(gesture, (2, 128, 128)),
    "gesture, biases": Kind(gesture, (2, 128, 128), bias=0.02),
    "gesture, min_v_mem -20": Kind(gesture, (2, 128, 128), floor=-20.0),
    "gesture, no min_v_mem": Kind(gesture, (2, 128, 128), floor=None),
    "conv": Kind(conv, (2, 16, 16)),
    "conv, biases": Kind(conv, (2, 16, 16), bias=0.05),
    "conv, large biases": Kind(conv, (2, 16, 16), bias=1.0),
    "conv, min_v_mem -0.3": Kind(conv, (2, 16, 16), floor=-0.3),
    "conv, min_v_mem -20": Kind(conv, (2, 16, 16), floor=-20.0),
    "conv, no min_v_mem": Kind(conv, (2, 16, 16), floor=None),
    "linear": Kind(linear, (1, 8, 8)),
    "linear, threshold 2.5": Kind(linear, (1, 8, 8), threshold=2.5, floor=-2.5),
    "linear, biases": Kind(linear, (1, 8, 8), bias=0.05),
    "linear, no min_v_mem": Kind(linear, (1, 8, 8), floor=None),
}


@dataclass(frozen=True)
class Case:
    """A network with its raster (samples, steps, channels, y, x) and the float network's spikes."""

    kind: Kind
    weights: dict[str, torch.Tensor]
    raster: Array
    outputs: Array


def case(kind: Kind, seed: int, samples: int, steps: int) -> Case:
    """A seeded network whose layers all fire."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    raster = np.stack([moving(rng, steps, kind.shape) for _ in range(samples)])
    network = kind.make(kind)
    for parameter in network.parameters():
        if parameter.dim() == 1 and kind.bias:
            parameter.data = torch.tensor(rng.normal(0, kind.bias, parameter.shape)).float()
    scale(network, raster[0])
    weights = {
        k: v.clone() for k, v in network.state_dict().items() if k.endswith(("weight", "bias"))
    }
    return Case(kind, weights, raster, run(fresh(kind, weights), raster))


def fresh(kind: Kind, weights: dict[str, torch.Tensor]) -> nn.Sequential:
    """The same network without any state: a membrane left over would enter Sinabs' scale and its
    integers.
    """
    network = kind.make(kind)
    network.load_state_dict(weights, strict=False)
    return network


def moving(rng: np.random.Generator, steps: int, shape: tuple[int, int, int]) -> Array:
    """Events (steps, channels, y, x) of two blobs on a circle, with noise."""
    channels, height, width = shape
    size = min(height, width)
    y, x = np.mgrid[:height, :width]
    start, speed, radius = (
        rng.uniform(0, 2 * np.pi),
        rng.uniform(-0.4, 0.4),
        size * rng.uniform(0.15, 0.35),
    )
    made = np.zeros((steps, *shape))
    for step in range(steps):
        for blob in range(2):
            angle = start + speed * step + np.pi * blob
            across, down = width / 2 + radius * np.cos(angle), height / 2 + radius * np.sin(angle)
            near = np.exp(-((y - down) ** 2 + (x - across) ** 2) / (2 * (0.06 * size) ** 2))
            made[step, blob % channels] += rng.poisson(0.8 * near + 0.002)
    return made.astype(np.int64)


def scale(network: nn.Sequential, sample: Array) -> None:
    """Multiply each layer's weights until its neurons fire ``RATE`` times a step on ``sample``."""
    signal = torch.tensor(sample).float()
    into = weighted = None
    with torch.no_grad():
        for module in network:
            if isinstance(module, nn.Conv2d | nn.Linear):
                weighted, into = module, signal
            if isinstance(module, layers.IAFSqueeze):
                assert weighted is not None and into is not None
                signal = _scaled(weighted, module, into)
            signal = module(signal)
            if isinstance(module, layers.IAFSqueeze):
                module.reset_states()


def _scaled(weighted: nn.Module, neurons: nn.Module, into: torch.Tensor) -> torch.Tensor:
    """Scale the weights of one layer; what it sends its neurons then."""
    weight, (low, high) = weighted.weight.data.clone(), (1e-3, 1e3)
    for _ in range(HALVINGS):
        factor = (low * high) ** 0.5
        weighted.weight.data = weight * factor
        neurons.reset_states()
        busy = neurons(weighted(into)).mean().item() > RATE
        low, high = (low, factor) if busy else (factor, high)
    neurons.reset_states()
    driven: torch.Tensor = weighted(into)
    return driven


def run(network: nn.Module, raster: Array) -> Array:
    """Output spikes (samples, steps, outputs), every sample from zero membranes."""
    spikes = []
    with torch.no_grad():
        for sample in raster:
            for module in network.modules():
                if isinstance(module, layers.IAFSqueeze):
                    module.reset_states()
            spikes.append(network(torch.tensor(sample).float()).reshape(len(sample), -1).numpy())
    return np.stack(spikes)


def export(made: Case, file: Path) -> None:
    """Write the network by Sinabs' exporter, and beside it what it computed."""
    graph = to_nir(fresh(made.kind, made.weights), torch.tensor(made.raster[0, :1]).float())
    # some releases of nirtorch leave the shapes of convolutions open, which cannot be written
    graph.infer_types()
    nir.write(file, graph)
    np.savez_compressed(file.with_suffix(".npz"), inputs=made.raster, outputs=made.outputs)


def quantised(made: Case) -> DynapcnnNetwork:
    """Sinabs' own integers."""
    with torch.no_grad():
        return DynapcnnNetwork(
            fresh(made.kind, made.weights), input_shape=made.kind.shape, dvs_input=False
        )


def same_integers(theirs: DynapcnnNetwork, ours: Configuration) -> bool:
    """Whether weights, biases and thresholds of all layers are equal."""
    left = sorted(_integers_of_sinabs(theirs))
    return left == sorted(_integers_of_nirc(ours))


def _integers_of_sinabs(network: DynapcnnNetwork) -> Iterator[tuple[object, ...]]:
    for layer in network.dynapcnn_layers.values():
        conv, neurons = layer.conv_layer, layer.spk_layer
        weight = conv.weight.detach().numpy().astype(np.int64)
        bias = (
            np.zeros(len(weight), np.int64)
            if conv.bias is None
            else conv.bias.detach().numpy().astype(np.int64)
        )
        yield weight.tobytes(), bias.tobytes(), int(neurons.spike_threshold), int(neurons.min_v_mem)


def _integers_of_nirc(configuration: Configuration) -> Iterator[tuple[object, ...]]:
    for layer in configuration.layers:
        kernel, bias = layer.kernel.astype(np.int64), layer.bias.astype(np.int64)
        yield kernel.tobytes(), bias.tobytes(), int(layer.threshold_high), int(layer.threshold_low)


@dataclass(frozen=True)
class Result:
    """One network, compared."""

    float_spikes: int
    theirs: Fidelity
    ours: Fidelity
    apart: float  # nirc's count from DynapcnnNetwork's
    same: bool  # integers
    equal: bool  # spikes of DynapcnnNetwork and nirc


def compare(made: Case, file: Path) -> Result:
    """All three on one raster."""
    export(made, file)
    floor = "none" if made.kind.floor is None else f"{made.kind.floor:g}"
    bundle = compiled(file, "speck", f"sinabs,spikes=many,reset=subtract,floor={floor}").bundle
    network = quantised(made)
    theirs, ours = run(network, made.raster), bundle.run(made.raster).outputs
    return Result(
        float_spikes=int(made.outputs.sum()),
        theirs=fidelity(theirs, made.outputs),
        ours=fidelity(ours, made.outputs),
        apart=apart(ours, theirs),
        same=same_integers(network, read_config(bundle.files["config.json"])),
        equal=bool((theirs == ours).all()),
    )


HEADS = (
    "network", "seed", "float", "Dynapcnn", "nirc", "apart", "integers", "spikes",
    "error D", "error n", "steps D", "steps n", "agree D", "agree n",
)  # fmt: skip


def row(name: str, seed: int, result: Result) -> list[str]:
    """Of the table."""
    a, b = result.theirs, result.ours
    return [
        name,
        str(seed),
        str(result.float_spikes),
        str(a.spikes),
        str(b.spikes),
        f"{result.apart:.2%}" if a.spikes else "-",
        "equal" if result.same else "differ",
        "equal" if result.equal else "differ",
        *(f"{x:.3f}" for pair in _pairs(a, b) for x in pair),
    ]


def _pairs(a: Fidelity, b: Fidelity) -> list[tuple[float, float]]:
    return [
        (a.count_error, b.count_error),
        (a.equal_steps, b.equal_steps),
        (a.agreement, b.agreement),
    ]


def main() -> int:
    """Print the table. Status 1 where equal integers give unequal spikes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME"
    )
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from 0 on")
    parser.add_argument(
        "--keep", type=Path, help="folder for the NIR files and rasters with Sinabs' outputs"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, results = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.networks:
            for seed in range(arguments.seeds):
                made = case(NETWORKS[name], seed, arguments.samples, arguments.steps)
                result = compare(
                    made, folder / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}.nir"
                )
                results.append(result)
                rows.append(row(name, seed, result))
    print(
        f"{arguments.samples} samples of {arguments.steps} steps; D: DynapcnnNetwork, n: nirc, "
        "both against float\n"
    )
    print(table(HEADS, rows))
    return 0 if all(result.equal for result in results if result.same) else 1


if __name__ == "__main__":
    sys.exit(main())
