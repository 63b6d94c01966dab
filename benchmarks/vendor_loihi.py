"""Lava-DL slayer's CUBA networks on Loihi 2: slayer's own fixed-point simulation, and nirc's
bundle.

    python benchmarks/vendor_loihi.py [--networks NAME ...] [--samples N] [--steps N]
                                      [--seeds N] [--keep DIR]

Each network is made of slayer's CUBA blocks with seeded weights, scaled until every layer fires.
Slayer runs it with the weights of 8 bits and the states of integers that it trains with. A
converter of ours writes it as NIR: decays as time constants of 1e-4 s * 4096 / k, weights as whole
64ths. nirc reads the file with ``--from lava`` and its bundle runs in the emulator. Both get the
same raster.

`steps` is the share of entries (sample, step, output) with equal spikes. `apart` is the difference
of the total counts. `agree` is the share of samples with slayer's arg-max. `unit` is slayer's unit
of voltage over nirc's. `late` is the latency of the bundle: a block of slayer delays its spikes by
a step, as a hop on the chip does.

Needs torch and matplotlib, and lava-nc 0.10.0 and lava-dl 0.6.0 installed without their
dependencies.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
from vendor_measures import Array, apart, compiled, fidelity, only_simulators, table

with only_simulators():
    import torch
    from lava.lib.dl import slayer
    from torch import nn

DT = 1e-4
UNITY = 4096  # of a decay
WEIGHT_UNIT = 64
RATE = 0.08  # spikes a neuron and step that weights are scaled to
HALVINGS = 16  # of the interval of the factor
INPUT_RATE = 0.1


@dataclass(frozen=True)
class Kind:
    """Blocks to make, and the neurons' parameters as slayer takes them: shares of a step."""

    make: Callable[[dict[str, Any]], nn.Sequential]
    shape: tuple[int, ...]
    current_decay: float = 0.25
    voltage_decay: float = 0.03
    threshold: float = 1.25

    @property
    def neuron(self) -> dict[str, Any]:
        """For slayer's blocks."""
        return {
            "threshold": self.threshold,
            "current_decay": self.current_decay,
            "voltage_decay": self.voltage_decay,
        }


def dense(*sizes: int) -> Callable[[dict[str, Any]], nn.Sequential]:
    """Dense blocks."""

    def make(neuron: dict[str, Any]) -> nn.Sequential:
        pairs = itertools.pairwise(sizes)
        return nn.Sequential(*(slayer.block.cuba.Dense(neuron, a, b) for a, b in pairs))

    return make


def convolutions(neuron: dict[str, Any]) -> nn.Sequential:
    """Two convolutions and two dense blocks on a map of 2 x 12 x 12."""
    cuba = slayer.block.cuba
    return nn.Sequential(
        cuba.Conv(neuron, 2, 6, 3, stride=2, padding=1),
        cuba.Conv(neuron, 6, 8, 3, stride=2, padding=1),
        cuba.Flatten(),
        cuba.Dense(neuron, 8 * 3 * 3, 24),
        cuba.Dense(neuron, 24, 5),
    )


NETWORKS = {
    "dense 12-10-5": Kind(dense(12, 10, 5), (12,)),
    "dense 40-100-60-10": Kind(dense(40, 100, 60, 10), (40,)),
    "dense, slow decays": Kind(dense(40, 100, 10), (40,), current_decay=0.05, voltage_decay=0.005),
    "dense, fast decays": Kind(dense(40, 100, 10), (40,), current_decay=0.9, voltage_decay=0.5),
    "dense, no current": Kind(dense(40, 100, 10), (40,), current_decay=1.0, voltage_decay=0.1),
    "dense, integrators": Kind(dense(40, 100, 10), (40,), current_decay=1.0, voltage_decay=0.0),
    "dense, threshold 10": Kind(dense(40, 100, 10), (40,), threshold=10.0),
    "conv": Kind(convolutions, (2, 12, 12)),
}


@dataclass(frozen=True)
class Case:
    """A network, its raster (samples, steps, ...) and slayer's spikes (samples, steps, outputs)."""

    kind: Kind
    network: nn.Sequential
    raster: Array
    outputs: Array


def case(kind: Kind, seed: int, samples: int, steps: int) -> Case:
    """A seeded network whose layers all fire."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rate = INPUT_RATE * rng.uniform(0.2, 2, (samples, 1, *kind.shape))
    raster = (rng.random((samples, steps, *kind.shape)) < rate).astype(np.int64)
    network = kind.make(kind.neuron)
    with torch.no_grad():
        scale(network, _signal(raster))
        outputs = _spikes(network(_signal(raster)))
    return Case(kind, network, raster, outputs)


def _signal(raster: Array) -> torch.Tensor:
    """Slayer's order: (samples, ..., steps), maps as (channels, x, y)."""
    signal = np.moveaxis(raster, 1, -1)
    if signal.ndim == 5:
        signal = signal.swapaxes(2, 3)
    return torch.tensor(signal.copy()).float()


def _spikes(signal: torch.Tensor) -> Array:
    return np.moveaxis(signal.numpy().reshape(len(signal), -1, signal.shape[-1]), -1, 1)


def scale(network: nn.Sequential, signal: torch.Tensor) -> None:
    """Multiply each block's weights until its neurons fire ``RATE`` times a step."""
    for block in network:
        if hasattr(block, "synapse"):
            weight, (low, high) = block.synapse.weight.data.clone(), (0.01, 100.0)
            weight = weight + 0.2 * weight.std()  # more excitation than inhibition
            for _ in range(HALVINGS):
                factor = (low * high) ** 0.5
                block.synapse.weight.data = weight * factor
                low, high = (low, factor) if block(signal).mean().item() > RATE else (factor, high)
        signal = block(signal)


def export(made: Case, file: Path) -> None:
    """As NIR, and beside it what slayer computed."""
    nodes: dict[str, Any] = {"input": nir.Input(np.array(made.kind.shape))}
    shape = made.kind.shape
    for number, block in enumerate(made.network):
        if isinstance(block, slayer.block.cuba.Flatten):
            nodes[f"flatten{number}"] = nir.Flatten({"input": np.array(shape)}, 0, -1)
            shape = (int(np.prod(shape)),)
            continue
        weight = block.neuron.quantize_8bit(block.synapse.weight).detach().numpy()[..., 0]
        if isinstance(block, slayer.block.cuba.Conv):
            synapses = _conv(block, weight.swapaxes(2, 3), shape)
            shape = _after(block, len(weight), shape)
        else:
            synapses = nir.Linear(_after_flatten(weight[:, :, 0, 0], made, number))
            shape = (len(weight),)
        nodes[f"w{number}"] = synapses
        nodes[f"n{number}"] = _neurons(block.neuron, shape)
    nodes["output"] = nir.Output(np.array(shape))
    names = list(nodes)
    nir.write(file, nir.NIRGraph(nodes, list(itertools.pairwise(names))))
    np.savez_compressed(file.with_suffix(".npz"), inputs=made.raster, outputs=made.outputs)


def _conv(block: Any, weight: Array, shape: tuple[int, ...]) -> nir.Conv2d:
    stride, padding = (
        tuple(int(n) for n in pair[:2]) for pair in (block.synapse.stride, block.synapse.padding)
    )
    return nir.Conv2d(shape[1:], weight, stride, padding, (1, 1), 1, np.zeros(len(weight)))


def _after(block: Any, channels: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    kernel, stride, padding = (
        tuple(int(n) for n in pair[:2])
        for pair in (block.synapse.kernel_size, block.synapse.stride, block.synapse.padding)
    )
    sides = (
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)
    )
    return channels, *sides


def _after_flatten(weight: Array, made: Case, number: int) -> Array:
    """Columns from slayer's (channel, x, y) to NIR's (channel, y, x), if a Flatten comes before."""
    if not number or not isinstance(made.network[number - 1], slayer.block.cuba.Flatten):
        return weight
    side = 3
    return weight.reshape(len(weight), -1, side, side).swapaxes(2, 3).reshape(len(weight), -1)


def _neurons(neuron: Any, shape: tuple[int, ...]) -> nir.CubaLIF:
    def tau(decay: int) -> float:
        return DT * UNITY / decay if decay else np.inf

    full = np.ones(shape)
    tau_syn, tau_mem = tau(int(neuron.cx_current_decay)), tau(int(neuron.cx_voltage_decay))
    return nir.CubaLIF(
        tau_syn=tau_syn * full,
        tau_mem=tau_mem * full,
        r=tau_mem / DT * full,
        v_leak=0 * full,
        v_threshold=float(neuron.threshold) * full,
        v_reset=0 * full,
        w_in=tau_syn / DT * full,
    )


HEADS = ("network", "seed", "slayer", "nirc", "apart", "steps", "agree", "unit", "late")


def compare(name: str, seed: int, made: Case, file: Path) -> list[str]:
    """A row of the table."""
    export(made, file)
    found = compiled(file, "loihi2", "lava,delay_shift=yes")
    spikes = found.bundle.run(made.raster).outputs
    near = fidelity(spikes, made.outputs)
    units = [
        max(block["scale"]) / (WEIGHT_UNIT * WEIGHT_UNIT)
        for block in found.bundle.manifest["populations"].values()
    ]
    return [
        name,
        str(seed),
        str(int(made.outputs.sum())),
        str(near.spikes),
        f"{apart(spikes, made.outputs):.2%}",
        f"{near.equal_steps:g}",
        f"{near.agreement:.3f}",
        f"{min(units):g}" if min(units) == max(units) else f"{min(units):.3g}..{max(units):.3g}",
        str(found.bundle.manifest["latency_steps"]),
    ]


def main() -> int:
    """Print the table. Status 1 where a spike differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME"
    )
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds, from 0 on")
    parser.add_argument(
        "--keep", type=Path, help="folder for the NIR files and rasters with slayer's outputs"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.networks:
            for seed in range(arguments.seeds):
                made = case(NETWORKS[name], seed, arguments.samples, arguments.steps)
                rows.append(
                    compare(
                        name,
                        seed,
                        made,
                        folder / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}.nir",
                    )
                )
    print(f"{arguments.samples} samples of {arguments.steps} steps\n")
    print(table(HEADS, rows))
    return int(any(float(row[HEADS.index("steps")]) < 1 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
