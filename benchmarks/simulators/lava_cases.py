"""Networks of Lava-DL's slayer, written by a converter of ours that follows the published one, and
recorded.

    python benchmarks/simulators/lava_cases.py OUTDIR [--seed N] [--kind K]...

Lava-DL has no exporter in its package. The converter in NIR's documentation reads slayer's own HDF5
export, which has the chip's integers: decays k of 4096, thresholds and weights of 64ths. It writes
tau = 1e-4 * 4096 / k, r = tau_mem / 1e-4 and w_in = tau_syn / 1e-4. ``written`` does the same. The
older converter in lava-dl's repository writes the integers as they are, tau = 1 / k and r = 1,
without Input and Output: ``old``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import h5py
import nir
import numpy as np
import torch
from blank_modules import install
from recorded_kinds import Array, Kinds, Recording, Rng, normal, spikes
from torch_chain import tensor

install("lava.lib.dl.slayer.object_detection")  # wants OpenCV and torchvision

from lava.lib.dl import slayer  # noqa: E402

kinds = Kinds("lava", torch.manual_seed)
kind = kinds.kind
READ = "lava"
DT = 1e-4
NEURON = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.1}
Block = Callable[..., Any]


def weighted(block: Any, rng: Rng, *, scale: float = 1.2, mean: float = 0.8) -> Any:
    """Give the block's synapse weights (out, in, y, x, 1) of ours, before slayer quantises them."""
    weight = block.synapse.weight
    block.synapse.weight.data = tensor(normal(rng, *weight.shape, scale=scale, mean=mean)).reshape(
        weight.shape
    )
    return block


def dense(rng: Rng, before: int, after: int, *, delay_shift: bool = True, **neuron: Any) -> Any:
    block = slayer.block.cuba.Dense({**NEURON, **neuron}, before, after, delay_shift=delay_shift)
    return weighted(block, rng)


def conv(
    rng: Rng, before: int, after: int, *, neuron: dict[str, Any] | None = None, **options: Any
) -> Any:
    block = slayer.block.cuba.Conv({**NEURON, **(neuron or {})}, before, after, 3, **options)
    return weighted(block, rng)


def run(blocks: list[Any], inputs: Array) -> Array:
    """Slayer has time last: (samples, ..., steps)."""
    x = tensor(np.moveaxis(inputs, 1, -1))
    with torch.no_grad():
        for block in blocks:
            x = block(x)
    return np.ascontiguousarray(np.moveaxis(x.numpy(), -1, 1)).astype(np.float32)


def exported(blocks: list[Any]) -> list[dict[str, Any]]:
    """What slayer's ``export_hdf5`` says of each block."""
    layers = []
    for block in blocks:
        with h5py.File(io.BytesIO(), "w") as file:
            block.export_hdf5(file)
            layer: dict[str, Any] = {
                key: value[()] for key, value in file.items() if isinstance(value, h5py.Dataset)
            }
            layer["neuron"] = {key: value[()] for key, value in file.get("neuron", {}).items()}
            layers.append(layer)
    return layers


def neurons(layer: dict[str, Any], shape: tuple[int, ...]) -> Any:
    """CubaLIF in the units of the converter; a decay for each channel is one for each neuron."""

    def tau(decay: Any) -> Any:
        each = np.asarray(decay, float).reshape(-1, *[1] * (len(shape) - 1))
        return np.broadcast_to(
            np.where(each > 0, DT * 4096 / np.maximum(each, 1e-9), np.inf), shape
        ).copy()

    tau_mem, tau_syn = tau(layer["neuron"]["vDecay"]), tau(layer["neuron"]["iDecay"])
    return nir.CubaLIF(
        tau_syn=tau_syn,
        tau_mem=tau_mem,
        r=tau_mem / DT,
        v_leak=np.zeros(shape),
        v_threshold=np.full(shape, layer["neuron"]["vThMant"] / 64),
        w_in=tau_syn / DT,
        v_reset=np.zeros(shape),
    )


def written(blocks: list[Any], inputs: Array, outputs: Array, *, numbers: bool = False) -> Any:
    """The graph of a chain, with names as words or, as the published converter has them, running
    numbers.
    """
    nodes: dict[str, Any] = {"input": nir.Input(np.array(inputs.shape[2:]))}
    edges = []
    here, shape = "input", inputs.shape[2:]

    def add(word: str, node: Any) -> None:
        nonlocal here
        name = str(len(nodes) - 1) if numbers else word
        nodes[name] = node
        edges.append((here, name))
        here = name

    for at, layer in enumerate(exported(blocks)):
        match layer["type"][0]:
            case b"dense":
                add(f"w{at}", nir.Linear(layer["weight"] / np.float32(64)))
                shape = (len(layer["weight"]),)
                add(f"n{at}", neurons(layer, shape))
            case b"conv":
                pair = {
                    key: tuple(int(n) for n in layer[key])
                    for key in ("stride", "padding", "dilation")
                }
                weight = layer["weight"] / np.float32(64)
                bias = np.zeros(len(weight), np.float32)
                node = nir.Conv2d(
                    input_shape=shape[1:],
                    weight=weight,
                    groups=int(layer["groups"]),
                    bias=bias,
                    **pair,
                )
                add(f"w{at}", node)
                shape = tuple(int(n) for n in node.output_type["output"])
                add(f"n{at}", neurons(layer, shape))
            case b"flatten":
                add(
                    f"f{at}",
                    nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1),
                )
                shape = (int(np.prod(shape)),)
    nodes["output"] = nir.Output(np.array(outputs.shape[2:]))
    return nir.NIRGraph(nodes=nodes, edges=[*edges, (here, "output")])


def old(blocks: list[Any]) -> Any:
    """The older converter: integers as they are, scalars for a population, neither Input nor
    Output.
    """
    nodes: dict[str, Any] = {}
    for layer in exported(blocks):
        tau_mem, tau_syn = (1 / float(layer["neuron"][key]) for key in ("vDecay", "iDecay"))
        nodes[str(len(nodes))] = nir.Linear(layer["weight"])
        nodes[str(len(nodes))] = nir.CubaLIF(
            tau_syn=np.array([tau_syn]),
            tau_mem=np.array([tau_mem]),
            r=np.array([1.0]),
            v_leak=np.array([0.0]),
            v_threshold=np.array([float(layer["neuron"]["vThMant"])]),
            w_in=np.array([tau_syn]),
        )
    names = list(nodes)
    return nir.NIRGraph(nodes=nodes, edges=list(pairwise(names)), type_check=False)


def recorded(blocks: list[Any], inputs: Array, **options: Any) -> Recording:
    outputs = run(blocks, inputs)
    return Recording(written(blocks, inputs, outputs, **options), inputs, outputs)


def chain(*sizes: int, numbers: bool = False, **options: Any) -> Callable[[Rng], Recording]:
    """A kind that is a chain of dense blocks."""

    def make(rng: Rng) -> Recording:
        blocks = [dense(rng, before, after, **options) for before, after in pairwise(sizes)]
        return recorded(blocks, spikes(rng, sizes[0]), numbers=numbers)

    return make


kind("cuba_dense", "two dense blocks: each delays by a step", READ)(chain(12, 10, 5))
kind("cuba_one_layer", "one dense block", READ)(chain(12, 7))
kind("cuba_deep", "four dense blocks", READ)(chain(12, 14, 10, 8, 5))
kind("cuba_nodelay", "delay_shift=False: no delay between blocks", READ, lost="delay_shift")(
    chain(12, 10, 5, delay_shift=False)
)
kind("cuba_fast", "current_decay 1: no synapse; tau_syn = 1e-4", READ)(
    chain(12, 10, 5, current_decay=1.0, threshold=0.6)
)
kind("cuba_if", "voltage_decay 0: tau_mem is inf", READ)(
    chain(12, 10, 5, voltage_decay=0.0, threshold=3.0)
)
kind("cuba_slow", "decays of a few 4096ths: rounding towards zero shows", READ)(
    chain(12, 10, 5, current_decay=0.01, voltage_decay=0.004, threshold=30.0)
)
kind("cuba_thr", "threshold 0.7, which slayer takes for 44/64", READ)(
    chain(12, 10, 5, threshold=0.7)
)
kind("cuba_numbers", "names are running numbers, as the published converter writes them", READ)(
    chain(12, 10, 5, numbers=True)
)
kind("cuba_perneuron", "shared_param=False: decays differ from neuron to neuron", READ)(
    chain(12, 10, 5, shared_param=False, current_decay=(0.1, 0.5), voltage_decay=(0.03, 0.3))
)


@kind(
    "cuba_graded",
    "graded_spike=True: outputs are membranes where they spike",
    READ,
    lost="graded_spike",
)
def _(rng: Rng) -> Recording:
    blocks = [dense(rng, 12, 10), dense(rng, 10, 5, graded_spike=True)]
    return recorded(blocks, spikes(rng, 12))


@kind(
    "cuba_old_converter",
    "the older converter: tau = 1 / k, r = 1, integers, no Input",
    READ,
    lost="dt, shapes",
)
def _(rng: Rng) -> Recording:
    blocks = [dense(rng, 12, 10), dense(rng, 10, 5)]
    inputs = spikes(rng, 12)
    outputs = run(blocks, inputs)
    return Recording(old(blocks), inputs, outputs)


@kind(
    "cuba_conv",
    "two convolutions, Flatten, dense; the biases of zeros are ours, nir.write wants some",
    READ,
)
def _(rng: Rng) -> Recording:
    blocks = [
        conv(rng, 2, 4, padding=1),
        conv(rng, 4, 4, stride=2),
        slayer.block.cuba.Flatten(),
        dense(rng, 36, 5),
    ]
    return recorded(blocks, spikes(rng, 2, 8, 8))


@kind("cuba_conv_map", "one convolution: the output is a map", READ)
def _(rng: Rng) -> Recording:
    return recorded([conv(rng, 2, 4, stride=2)], spikes(rng, 2, 8, 8))


if __name__ == "__main__":
    kinds.command()
