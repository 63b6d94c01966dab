"""Rockpool's networks on Xylo: its own mapper, quantisers and XyloSim, and nirc's bundle, beside
the float network.

    python benchmarks/vendor_xylo.py [--networks NAME ...] [--samples N] [--steps N]
                                     [--seeds N] [--keep DIR]

Each network is a stack of LinearTorch and LIFTorch with seeded weights, scaled until every layer
fires, and exported by Rockpool's exporter. Rockpool maps it for Xylo Audio 2, quantises it by
``global_quantize`` and by ``channel_quantize``, and runs it in XyloSim. nirc reads the file with
``--from rockpool`` and runs its bundle in the emulator. All get the same raster; outputs are
shifted back by the steps that hops between hidden neurons take.

`error` is the sum of the outputs' count differences over the float network's count. `steps` is the
share of entries (sample, step, output) with equal spikes: a path that hardly fires has many.
`agree` is the share of samples with the float network's arg-max.

Needs torch, nirtorch 2.6, xylosim 0.1.3, and rockpool 3.1.0 installed without its dependencies.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from vendor_measures import Array, Fidelity, compiled, fidelity, only_simulators, table

with only_simulators():
    import nir
    import torch
    from rockpool.devices.xylo.syns61201.xylo_mapper import mapper
    from rockpool.devices.xylo.syns61201.xylo_sim import XyloSim
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch, to_nir
    from rockpool.transform.quantize_methods import channel_quantize, global_quantize

DT = 1e-3
RATES = (0.15, 0.08)  # spikes a neuron and step that weights are scaled to: hidden, output
HALVINGS = 16  # of the interval of the factor
SCALED_ON = 8  # samples
INPUT_RATE = 0.1
Specification = dict[str, Any]
QUANTISERS: Mapping[str, Callable[..., Specification]] = {
    "global": global_quantize,
    "channel": channel_quantize,
}
KEPT_APART = ("mapped_graph", "dt")  # fields of a specification that are no parameters of XyloSim


@dataclass(frozen=True)
class Kind:
    """Layers of neurons, inputs first.

    ``mem``, ``syn``: time constants in steps, one or a range to draw from.
    """

    sizes: tuple[int, ...]
    mem: float | tuple[float, float]
    syn: float | tuple[float, float]

    @property
    def late(self) -> int:
        """Steps that hops between hidden neurons take."""
        return len(self.sizes) - 3


def decaying(factor: float) -> float:
    """The time constant in steps at which a state keeps ``factor`` of itself in each step."""
    return float(-1 / np.log(factor))


NETWORKS = {
    "decays of the chip": Kind((8, 40, 5), decaying(1 - 2**-3), decaying(1 - 2**-2)),
    "tau 8 and 4 steps": Kind((8, 40, 5), 8.0, 4.0),
    "tau 16 and 2 steps": Kind((8, 40, 5), 16.0, 2.0),
    "tau 20 and 20 steps": Kind((8, 40, 5), 20.0, 20.0),  # LIFTorch's defaults
    "tau 20 and 10 steps": Kind((8, 40, 5), 20.0, 10.0),
    "tau 11 and 3 steps": Kind((8, 40, 5), 11.0, 3.0),
    "tau 6 and 3 steps": Kind((8, 40, 5), 6.0, 3.0),
    "tau 5..40 and 2..10": Kind((8, 40, 5), (5.0, 40.0), (2.0, 10.0)),
    "tau 60 and 20 steps": Kind((8, 40, 5), 60.0, 20.0),
    "two hidden, decays of the chip": Kind(
        (8, 40, 30, 5), decaying(1 - 2**-3), decaying(1 - 2**-2)
    ),
    "two hidden, tau 11 and 3 steps": Kind((8, 40, 30, 5), 11.0, 3.0),
    "16-200-8, tau 5..40 and 2..10": Kind((16, 200, 8), (5.0, 40.0), (2.0, 10.0)),
}


@dataclass(frozen=True)
class Case:
    """A network, its raster (samples, steps, inputs) and the float network's spikes."""

    kind: Kind
    network: Any
    raster: Array
    outputs: Array


def case(kind: Kind, seed: int, samples: int, steps: int) -> Case:
    """A seeded network whose layers all fire."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    raster = rng.random((samples, steps, kind.sizes[0])) < INPUT_RATE * rng.uniform(
        0.2, 2, (samples, 1, kind.sizes[0])
    )
    network = stack(kind, rng)
    scale(network, torch.tensor(raster[:SCALED_ON]).float())
    return Case(kind, network, raster.astype(np.int64), run(network, raster))


def stack(kind: Kind, rng: np.random.Generator) -> Any:
    """LinearTorch and LIFTorch in turns, with a readout that fires."""
    modules = []
    for into, out in zip(kind.sizes[:-1], kind.sizes[1:], strict=True):
        weight = torch.tensor(rng.normal(0.15, 1.0, (into, out)) / np.sqrt(into)).float()
        mem, syn = (_tau(tau, out, rng) for tau in (kind.mem, kind.syn))
        modules += [
            LinearTorch((into, out), weight=weight, has_bias=False),
            LIFTorch(
                out,
                tau_mem=mem,
                tau_syn=syn[:, None],
                threshold=torch.ones(out),
                bias=torch.zeros(out),
                dt=DT,
            ),
        ]
    return Sequential(*modules)


def _tau(steps: float | tuple[float, float], n: int, rng: np.random.Generator) -> torch.Tensor:
    low, high = steps if isinstance(steps, tuple) else (steps, steps)
    return torch.tensor(DT * np.exp(rng.uniform(np.log(low), np.log(high), n))).float()


def scale(network: Any, raster: torch.Tensor) -> None:
    """Multiply each layer's weights until its neurons fire as often as ``RATES`` says."""
    signal, modules = raster, list(network.modules().values())
    with torch.no_grad():
        for weighted, neurons in zip(modules[::2], modules[1::2], strict=True):
            wanted = RATES[neurons is modules[-1]]
            weight, (low, high) = weighted.weight.data.clone(), (0.05, 50.0)
            for _ in range(HALVINGS):
                factor = (low * high) ** 0.5
                weighted.weight.data = weight * factor
                busy = _spikes(neurons, _spikes(weighted, signal)).mean().item() > wanted
                low, high = (low, factor) if busy else (factor, high)
            signal = _spikes(neurons, _spikes(weighted, signal))


def _spikes(module: Any, signal: torch.Tensor) -> torch.Tensor:
    module.reset_state()
    out: torch.Tensor = module(signal)[0]
    return out


def run(network: Any, raster: Array) -> Array:
    """Output spikes (samples, steps, outputs) of the float network from zero states."""
    network.reset_state()
    with torch.no_grad():
        return np.asarray(network(torch.tensor(raster).float())[0].numpy())


def export(made: Case, file: Path) -> None:
    """Write the network by Rockpool's exporter, and beside it what it computed."""
    nir.write(file, to_nir(made.network))
    np.savez_compressed(file.with_suffix(".npz"), inputs=made.raster, outputs=made.outputs)


def through_rockpool(made: Case, quantise: Callable[..., Specification]) -> Array:
    """Spikes of XyloSim after Rockpool's mapper and ``quantise``; rows line up with the float
    network's.
    """
    found = mapper(
        made.network.as_graph(), weight_dtype="float", threshold_dtype="float", dash_dtype="float"
    )
    specification = {k: v for k, v in found.items() if k not in KEPT_APART}
    specification |= quantise(
        **{k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in specification.items()}
    )
    simulator = XyloSim.from_specification(**specification, dt=DT)
    late, spikes = made.kind.late, []
    for sample in made.raster:
        simulator.reset_state()
        padded = np.concatenate([sample, np.zeros((late, sample.shape[1]), np.int64)])
        spikes.append(simulator(padded)[0][late:])
    return np.stack(spikes)


HEADS = ("network", "path", "error", "steps", "agree")


def compare(made: Case, file: Path) -> dict[str, Fidelity]:
    """Fidelity to the float network by path."""
    export(made, file)
    found = {
        q: fidelity(through_rockpool(made, quantise), made.outputs)
        for q, quantise in QUANTISERS.items()
    }
    found["nirc"] = fidelity(
        compiled(file, "xylo", "rockpool,spikes=many").bundle.run(made.raster).outputs, made.outputs
    )
    return found


def main() -> int:
    """Print the table and the means over all networks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME"
    )
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds, from 0 on")
    parser.add_argument(
        "--keep", type=Path, help="folder for the NIR files and rasters with Rockpool's outputs"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, every = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.networks:
            found = []
            for seed in range(arguments.seeds):
                made = case(NETWORKS[name], seed, arguments.samples, arguments.steps)
                found.append(
                    compare(
                        made, folder / f"{name.replace(', ', '_').replace(' ', '_')}_{seed}.nir"
                    )
                )
            every += found
            rows += _rows(name, found)
    rows += _rows("mean", every)
    print(f"{arguments.seeds} seeds, {arguments.samples} samples of {arguments.steps} steps\n")
    print(table(HEADS, rows))
    return 0


def _rows(name: str, found: list[dict[str, Fidelity]]) -> list[list[str]]:
    """Means over ``found``, a row for each path."""
    rows = []
    for path in found[0]:
        each = [f[path] for f in found]
        means = (
            np.mean([getattr(f, m) for f in each])
            for m in ("count_error", "equal_steps", "agreement")
        )
        rows.append([name, path, *(f"{m:.3f}" for m in means)])
    return rows


if __name__ == "__main__":
    sys.exit(main())
