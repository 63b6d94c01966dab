"""Networks of Rockpool's torch modules, exported by ``rockpool.nn.modules.torch.nir`` and recorded.

    python benchmarks/simulators/rockpool_cases.py OUTDIR [--seed N] [--kind K]...

Input has the shape (1, n) and Output (1, 1, m): batch, steps and channels of the exporter's own
sample.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from blank_modules import install
from recorded_kinds import Array, Kinds, Recording, Rng, between, counts, normal, spikes
from torch_chain import tensor

install("samna")

from rockpool.nn.combinators import Residual, Sequential  # noqa: E402
from rockpool.nn.modules.torch import (  # noqa: E402
    ExpSynTorch,
    LIFBitshiftTorch,
    LIFNeuronTorch,
    LIFTorch,
    LinearTorch,
    aLIFTorch,
)
from rockpool.nn.modules.torch.nir import to_nir  # noqa: E402

kinds = Kinds("rockpool", torch.manual_seed)
kind = kinds.kind
READ = "rockpool"
ONE = {"max_spikes_per_dt": torch.tensor(1.0)}


def linear(
    rng: Rng, before: int, after: int, *, bias: bool = False, scale: float = 2.0, mean: float = 1.0
) -> Any:
    """LinearTorch keeps its weight as (in, out)."""
    given = {"bias": tensor(between(rng, -0.1, 0.2, after))} if bias else {}
    return LinearTorch(
        (before, after),
        weight=tensor(normal(rng, after, before, scale=scale, mean=mean).T),
        has_bias=bias,
        **given,
    )


def lif(
    n: int, *, tau: Any = 20e-3, tau_syn: Any = 10e-3, threshold: Any = 1.0, **options: Any
) -> Any:
    return LIFTorch(
        n,
        tau_mem=tensor(tau).expand(n).clone(),
        tau_syn=tensor(tau_syn).expand(n).clone()[:, None],
        threshold=tensor(threshold).expand(n).clone(),
        **options,
    )


def neuron(n: int, *, tau: Any = 20e-3, threshold: Any = 1.0, **options: Any) -> Any:
    return LIFNeuronTorch(
        n,
        tau_mem=tensor(tau).expand(n).clone(),
        threshold=tensor(threshold).expand(n).clone(),
        **options,
    )


def recorded(net: Any, inputs: Array, *, sample: torch.Tensor | None = None) -> Recording:
    """Export ``net`` and run it, each sample from empty states."""
    with torch.no_grad():
        net.reset_state()
        graph = to_nir(net, sample)
        outputs = []
        for one in inputs:
            net.reset_state()
            out, _, _ = net(tensor(one[None]))
            outputs.append(out[0])
    return Recording(graph, inputs, torch.stack(outputs).float().numpy())


Layer = Callable[..., Any]


def dense(
    rng: Rng,
    layer: Layer,
    *sizes: int,
    bias: bool = False,
    scale: float = 0.6,
    mean: float = 0.5,
    **options: Any,
) -> Any:
    """Linear layers with ``layer`` after each."""
    modules: list[Any] = []
    for before, after in pairwise(sizes):
        modules += [
            linear(rng, before, after, bias=bias, scale=scale, mean=mean),
            layer(after, **options),
        ]
    return Sequential(*modules)


def chain(
    layer: Layer,
    *sizes: int,
    inputs: Callable[..., Array] = spikes,
    sample: torch.Tensor | None = None,
    **options: Any,
) -> Callable[[Rng], Recording]:
    """A kind that is a chain of Linear layers and ``layer`` with ``options``."""
    return lambda rng: recorded(
        dense(rng, layer, *(sizes or (12, 10, 5)), **options),
        inputs(rng, (sizes or (12,))[0]),
        sample=sample,
    )


NEURON = {"scale": 2.0, "mean": 1.0}

kind("lif_default", "LIFTorch: several spikes a step", READ)(chain(lif, scale=2.0, mean=1.0))
kind("lif_max1", "max_spikes_per_dt=1", f"{READ},spikes=1")(chain(lif, **ONE))
kind("lif_max3", "max_spikes_per_dt=3", f"{READ},spikes=3")(
    chain(lif, scale=2.0, mean=1.0, max_spikes_per_dt=torch.tensor(3.0))
)
kind("lif_max31", "max_spikes_per_dt=31, as Xylo", f"{READ},spikes=31")(
    chain(lif, scale=2.0, mean=1.0, max_spikes_per_dt=torch.tensor(31.0))
)
kind("lif_biaslinear", "LinearTorch(has_bias=True): Affine", f"{READ},spikes=1")(
    chain(lif, bias=True, **ONE)
)
kind("lif_biaslinear_default", "LinearTorch(has_bias=True), several spikes", READ)(
    chain(lif, bias=True)
)
kind("lif_thr", "threshold 1.7", READ)(chain(lif, threshold=1.7, scale=1.5, mean=1.0))
kind("lif_deep", "four layers", READ)(chain(lif, 12, 14, 10, 8, 5))
kind("lif_one_layer", "one layer", READ)(chain(lif, 12, 7))
kind("lif_dt1e-4", "dt=1e-4", READ)(chain(lif, dt=1e-4, tau=2e-3, tau_syn=1e-3))
kind("lif_dt1e-2_max1", "dt=1e-2: tau of two steps", f"{READ},spikes=1")(
    chain(lif, dt=1e-2, scale=1.5, mean=1.5, **ONE)
)
kind("lif_counts", "inputs are spike counts", READ)(chain(lif, inputs=counts))
kind("lif_time_sample", "exported with a sample of 40 steps: shapes (1, 40, n)", READ)(
    chain(lif, sample=torch.zeros(1, 40, 12))
)
kind("lif_decays", "leak_mode decays: tau follows from alpha and beta", READ)(
    chain(
        lambda n, **more: LIFTorch(
            n,
            leak_mode="decays",
            alpha=torch.full((n,), 0.92),
            beta=torch.full((n, 1), 0.85),
            **more,
        )
    )
)
kind("lif_bitshifts", "leak_mode bitshifts: dashes of 4 and 3, as Xylo", READ)(
    chain(
        lambda n, **more: LIFTorch(
            n,
            leak_mode="bitshifts",
            dash_mem=torch.full((n,), 4.0),
            dash_syn=torch.full((n, 1), 3.0),
            **more,
        )
    )
)
kind("lif_scalars", "tau_mem, tau_syn and threshold as numbers: the exporter makes vectors", READ)(
    chain(lambda n, **more: LIFTorch(n, tau_mem=0.02, tau_syn=0.01, threshold=0.9, **more))
)
kind("lifneuron_default", "LIFNeuronTorch: no synapse", READ)(chain(neuron, **NEURON))
kind("lifneuron_max1", "LIFNeuronTorch, max_spikes_per_dt=1", f"{READ},spikes=1")(
    chain(neuron, **NEURON, **ONE)
)
kind("lifneuron_dt1e-4", "LIFNeuronTorch, dt=1e-4", READ)(
    chain(neuron, dt=1e-4, tau=2e-3, **NEURON)
)
kind("lifneuron_biaslinear", "LIFNeuronTorch behind Affine", READ)(
    chain(neuron, bias=True, **NEURON)
)
kind("lifneuron_deep", "LIFNeuronTorch, four layers", READ)(
    chain(neuron, 12, 14, 10, 8, 5, **NEURON)
)
kind("lifneuron_one_layer", "one layer of LIFNeuronTorch", READ)(chain(neuron, 12, 7, **NEURON))


@kind("lif_bias", "a bias of the neurons", f"{READ},spikes=1", lost="the neurons' bias")
def _(rng: Rng) -> Recording:
    modules: list[Any] = []
    for before, after in ((12, 10), (10, 5)):
        own = tensor(between(rng, -0.1, 0.3, after))
        modules += [linear(rng, before, after, scale=0.6, mean=0.5), lif(after, bias=own, **ONE)]
    return recorded(Sequential(*modules), spikes(rng, 12))


@kind("lif_perneuron", "tau_mem, tau_syn and threshold for each neuron", READ)
def _(rng: Rng) -> Recording:
    return perneuron(rng)


@kind("lif_perneuron_max1", "tau_mem, tau_syn and threshold for each neuron", f"{READ},spikes=1")
def _(rng: Rng) -> Recording:
    return perneuron(rng, **ONE)


def perneuron(rng: Rng, **options: Any) -> Recording:
    modules: list[Any] = []
    for before, after in ((12, 10), (10, 5)):
        own = {
            "tau": between(rng, 5e-3, 5e-2, after),
            "tau_syn": between(rng, 3e-3, 3e-2, after),
            "threshold": between(rng, 0.5, 1.5, after),
        }
        modules += [linear(rng, before, after, scale=0.6, mean=0.5), lif(after, **own, **options)]
    return recorded(Sequential(*modules), spikes(rng, 12))


@kind("lifneuron_perneuron", "tau and threshold for each neuron, no synapse", READ)
def _(rng: Rng) -> Recording:
    modules: list[Any] = []
    for before, after in ((12, 10), (10, 5)):
        own = {"tau": between(rng, 5e-3, 5e-2, after), "threshold": between(rng, 0.5, 1.5, after)}
        modules += [linear(rng, before, after), neuron(after, **own)]
    return recorded(Sequential(*modules), spikes(rng, 12))


@kind("lif_mixed", "LIFTorch, then LIFNeuronTorch", READ)
def _(rng: Rng) -> Recording:
    net = Sequential(
        linear(rng, 12, 10, scale=0.6, mean=0.5), lif(10), linear(rng, 10, 5), neuron(5)
    )
    return recorded(net, spikes(rng, 12))


@kind("lif_last_linear", "the last layer is LinearTorch: outputs are real numbers", READ)
def _(rng: Rng) -> Recording:
    net = Sequential(
        linear(rng, 12, 10, scale=0.6, mean=0.5), lif(10), linear(rng, 10, 5, bias=True)
    )
    return recorded(net, spikes(rng, 12))


@kind("lif_recurrent", "LIFTorch(has_rec=True)", READ, lost="w_rec")
def _(rng: Rng) -> Recording:
    cell = lif(10, has_rec=True, w_rec=tensor(normal(rng, 10, 10, scale=0.5)))
    net = Sequential(
        linear(rng, 12, 10, scale=0.6, mean=0.5),
        cell,
        linear(rng, 10, 5, scale=0.6, mean=0.5),
        lif(5),
    )
    return recorded(net, spikes(rng, 12))


@kind(
    "lif_residual",
    "Residual: two edges go to output, and what follows has no input",
    READ,
    lost="the sum",
)
def _(rng: Rng) -> Recording:
    inner = Residual(linear(rng, 10, 10, scale=0.6, mean=0.5), lif(10))
    net = Sequential(
        linear(rng, 12, 10, scale=0.6, mean=0.5),
        lif(10),
        inner,
        linear(rng, 10, 5, scale=0.6, mean=0.5),
        lif(5),
    )
    return recorded(net, spikes(rng, 12))


@kind("lif_only", "one module, no weights: its node is called rockpool", READ)
def _(rng: Rng) -> Recording:
    return recorded(lif(12, threshold=2.0), spikes(rng, 12))


@kind("lif_li", "ExpSynTorch at the end, its tau without gradient: outputs are currents", READ)
def _(rng: Rng) -> Recording:
    last = ExpSynTorch(5, tau=tensor(between(rng, 5e-3, 3e-2, 5)))
    last.tau.requires_grad_(False)
    net = Sequential(
        linear(rng, 12, 10, scale=0.6, mean=0.5),
        lif(10),
        linear(rng, 10, 5, scale=0.6, mean=0.5),
        last,
    )
    return recorded(net, spikes(rng, 12))


# ---- what the exporter refuses ----
def refused(
    name: str, special: str
) -> Callable[[Callable[[Rng], Recording]], Callable[[Rng], Recording]]:
    return kind(name, special, READ, refuses=True)


refused(
    "exp_syn",
    "ExpSynTorch as it is: its tau wants a gradient, nir.write raises and leaves half a file",
)(
    lambda rng: recorded(
        Sequential(linear(rng, 12, 10), lif(10), linear(rng, 10, 5), ExpSynTorch(5)),
        spikes(rng, 12),
    )
)
refused("two_synapses", "LIFTorch of two synapses a neuron")(
    lambda rng: recorded(Sequential(linear(rng, 12, 20), LIFTorch((20, 10))), spikes(rng, 12))
)
refused("alif", "aLIFTorch is not known to the exporter")(
    lambda rng: recorded(Sequential(linear(rng, 12, 10), aLIFTorch(10)), spikes(rng, 12))
)
refused("lif_bitshift_torch", "LIFBitshiftTorch is not known to the exporter")(
    lambda rng: recorded(Sequential(linear(rng, 12, 10), LIFBitshiftTorch(10)), spikes(rng, 12))
)


if __name__ == "__main__":
    kinds.command()
