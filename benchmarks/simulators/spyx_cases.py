"""Networks of Spyx, exported by ``spyx.nir`` and recorded.

    python benchmarks/simulators/spyx_cases.py OUTDIR [--seed N] [--kind K]...

Spyx runs maps as (height, width, channel). ``inputs`` and ``outputs`` are written as the graph
declares them, with the channel first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from recorded_kinds import Array, Kinds, Recording, Rng, between, counts, normal, spikes
from spyx import nn as spyx
from spyx.nir import to_nir

kinds = Kinds("spyx")
kind = kinds.kind
READ = "spyx"
RNGS = nnx.Rngs(0)  # every number that it draws is replaced


def linear(
    rng: Rng, before: int, after: int, *, bias: bool = True, scale: float = 2.5, mean: float = 1.0
) -> nnx.Linear:
    layer = nnx.Linear(before, after, use_bias=bias, rngs=RNGS)
    layer.kernel[...] = jnp.array(normal(rng, after, before, scale=scale, mean=mean).T)
    if bias:
        layer.bias[...] = jnp.array(between(rng, -0.1, 0.2, after))
    return layer


def conv(
    rng: Rng, before: int, after: int, *, kernel: tuple[int, int] = (3, 3), **options: Any
) -> nnx.Conv:
    """A convolution with an (out, in, y, x) kernel of ours; Spyx keeps it as (y, x, in, out)."""
    layer = nnx.Conv(before, after, kernel, rngs=RNGS, **{"padding": "VALID", **options})
    y, x, inner, outer = layer.kernel.shape
    layer.kernel[...] = jnp.array(
        normal(rng, outer, inner, y, x, scale=2.5, mean=1.0).transpose(2, 3, 1, 0)
    )
    if layer.bias is not None:
        layer.bias[...] = jnp.array(between(rng, -0.1, 0.2, after))
    return layer


def decays(layer: Any, rng: Rng | None, **ranges: tuple[float, float]) -> Any:
    """Give the layer's decays numbers of each neuron, where the layer has them."""
    for name, (low, high) in ranges.items():
        value = getattr(layer, name, None)
        if rng is not None and value is not None and value[...].ndim:
            value[...] = jnp.array(between(rng, low, high, *value[...].shape))
    return layer


def lif(rng: Rng, *shape: int, beta: Any = None, threshold: Any = 1.0) -> Any:
    return decays(spyx.LIF(shape, beta=beta, threshold=threshold, rngs=RNGS), rng, beta=(0.4, 0.95))


def cuba(rng: Rng, *shape: int, alpha: Any = None, beta: Any = None, threshold: Any = 1.5) -> Any:
    layer = spyx.CuBaLIF(shape, alpha=alpha, beta=beta, threshold=threshold, rngs=RNGS)
    return decays(layer, rng, alpha=(0.3, 0.8), beta=(0.4, 0.9))


def fire(rng: Rng, *shape: int, threshold: Any = 1.0) -> Any:
    return spyx.IF(shape, threshold=threshold)


def psu(rng: Rng, *shape: int, beta: Any = None, threshold: Any = 1.0) -> Any:
    return decays(
        spyx.PSU_LIF(shape, beta=beta, threshold=threshold, rngs=RNGS), rng, beta=(0.4, 0.9)
    )


def recurrent(cell: Any, rng: Rng, n: int, **options: Any) -> Any:
    layer = decays(cell((n,), rngs=RNGS, **options), rng, alpha=(0.3, 0.8), beta=(0.4, 0.9))
    layer.recurrent_w[...] = jnp.array(normal(rng, n, n, scale=1.0))
    return layer


def rif(rng: Rng, n: int, **options: Any) -> Any:
    return recurrent(spyx.RIF, rng, n, **options)


def rlif(rng: Rng, n: int, **options: Any) -> Any:
    return recurrent(spyx.RLIF, rng, n, **options)


def rcuba(rng: Rng, n: int, **options: Any) -> Any:
    return recurrent(spyx.RCuBaLIF, rng, n, **{"threshold": 1.5, **options})


def channels_last(array: Array) -> Array:
    return np.moveaxis(array, -3, -1) if array.ndim == 5 else array


def channels_first(array: Array) -> Array:
    return np.moveaxis(array, -1, -3) if array.ndim == 5 else array


def recorded(inputs: Array, *layers: Any, dt: float = 1.0) -> Recording:
    """Export a Sequential of ``layers`` and run it."""
    net = spyx.Sequential(*layers)
    out, _ = spyx.run(net, jnp.array(channels_last(inputs)), batch_major=True)
    outputs = np.ascontiguousarray(channels_first(np.asarray(out, np.float32)))
    shapes = {"input": np.array(inputs.shape[2:])}, {"output": np.array(outputs.shape[2:])}
    return Recording(to_nir(net, *shapes, dt=dt), inputs, outputs)


Layer = Callable[..., Any]


def chain(
    layer: Layer,
    *sizes: int,
    inputs: Callable[..., Array] = spikes,
    bias: bool = True,
    dt: float = 1.0,
    scale: float = 2.5,
    **options: Any,
) -> Callable[[Rng], Recording]:
    """A kind that is a chain of Linear layers and ``layer`` with ``options``."""

    def make(rng: Rng) -> Recording:
        layers: list[Any] = []
        at = sizes or (12, 10, 5)
        for before, after in pairwise(at):
            layers += [
                linear(rng, before, after, bias=bias, scale=scale),
                layer(rng, after, **options),
            ]
        return recorded(inputs(rng, at[0]), *layers, dt=dt)

    return make


kind("lif", "LIF, a beta for each neuron", READ)(chain(lif))
kind("lif_beta", "LIF, one beta", READ)(chain(lif, beta=0.8))
kind("lif_dt1e-3", "exported with dt=1e-3", READ)(chain(lif, dt=1e-3))
kind("lif_dt1e-4", "exported with dt=1e-4", READ)(chain(lif, dt=1e-4))
kind("lif_nobias", "Linear without bias", READ)(chain(lif, bias=False))
kind("lif_thr", "threshold 1.6", READ)(chain(lif, threshold=1.6))
kind("lif_deep", "five layers: each adds a step", READ)(chain(lif, 12, 16, 14, 12, 8, 5))
kind("lif_one_layer", "one layer", READ)(chain(lif, 12, 7))
kind("lif_counts", "inputs are spike counts", READ)(chain(lif, inputs=counts, threshold=2.0))
kind("lif_threshold_int", "threshold=1, an integer, as the default of IF", READ)(
    chain(lif, threshold=1)
)
kind("cubalif", "CuBaLIF", READ)(chain(cuba))
kind("cubalif_scalar", "CuBaLIF with one alpha and one beta", READ)(
    chain(cuba, alpha=0.6, beta=0.8)
)
kind("cubalif_dt1e-3", "CuBaLIF, exported with dt=1e-3", READ)(chain(cuba, dt=1e-3))
kind("cubalif_one_layer", "one CuBaLIF layer", READ)(chain(cuba, 12, 7))
kind("if", "IF", READ)(chain(fire))
kind("if_thr", "IF, threshold 0.7", READ)(chain(fire, threshold=0.7))
kind("if_deep", "IF, four layers", READ)(chain(fire, 12, 14, 10, 8, 5))
kind("psu_lif", "PSU_LIF: LI and Threshold", READ)(chain(psu))
kind("psu_lif_dt1e-3", "PSU_LIF, exported with dt=1e-3: no other neuron tells it", READ, lost="dt")(
    chain(psu, dt=1e-3)
)
kind("associative_lif", "AssociativeLIF is a PSU_LIF", READ)(
    chain(lambda rng, n: decays(spyx.AssociativeLIF((n,), rngs=RNGS), rng, beta=(0.4, 0.9)))
)
kind("rif", "RIF: a subgraph with an IF", READ)(chain(rif))
kind("rlif", "RLIF: a subgraph", READ)(chain(rlif))
kind("rlif_dt1e-3", "RLIF, exported with dt=1e-3", READ)(chain(rlif, dt=1e-3))
kind("rlif_scalar_beta", "RLIF with one beta", READ)(chain(rlif, beta=0.8))
kind("rlif_one_layer", "one recurrent layer", READ)(chain(rlif, 12, 8))
kind("rcubalif", "RCuBaLIF: a subgraph", READ)(chain(rcuba))
kind("rcubalif_one_layer", "one recurrent layer", READ)(chain(rcuba, 12, 8))


@kind("lif_perneuron_threshold", "a threshold for each neuron", READ)
def _(rng: Rng) -> Recording:
    layers: list[Any] = []
    for before, after in ((12, 10), (10, 5)):
        layers += [
            linear(rng, before, after),
            lif(rng, after, threshold=jnp.array(between(rng, 0.5, 2, after))),
        ]
    return recorded(spikes(rng, 12), *layers)


@kind(
    "lif_beta_clipped",
    "learnt betas beyond 0 and 1, clipped at every step: r is beyond 0 and 1 too",
    READ,
)
def _(rng: Rng) -> Recording:
    layers: list[Any] = []
    for before, after in ((12, 10), (10, 5)):
        layer = decays(spyx.LIF((after,), threshold=2.0, rngs=RNGS), rng, beta=(-0.3, 1.3))
        layers += [linear(rng, before, after), layer]
    return recorded(spikes(rng, 12), *layers)


@kind("lif_last_linear", "the last layer is Linear: outputs are real numbers", READ)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 12), linear(rng, 12, 10), lif(rng, 10), linear(rng, 10, 5))


@kind(
    "lif_li",
    "LI at the end, which the exporter leaves out with a printed warning",
    READ,
    lost="the LI layer",
)
def _(rng: Rng) -> Recording:
    last = spyx.LI((5,), beta=0.9, rngs=RNGS)
    return recorded(spikes(rng, 12), linear(rng, 12, 10), lif(rng, 10), linear(rng, 10, 5), last)


@kind(
    "lif_alif", "ALIF in the middle, left out with a printed warning", READ, lost="the ALIF layer"
)
def _(rng: Rng) -> Recording:
    middle = decays(spyx.ALIF((10,), rngs=RNGS), rng, beta=(0.4, 0.9), gamma=(0.4, 0.9))
    return recorded(spikes(rng, 12), linear(rng, 12, 10), middle, linear(rng, 10, 5), lif(rng, 5))


@kind("lif_dropout", "Dropout (off) in the middle, left out: node names have a gap", READ)
def _(rng: Rng) -> Recording:
    off = nnx.Dropout(0.2, deterministic=True, rngs=RNGS)
    return recorded(
        spikes(rng, 12), linear(rng, 12, 10), lif(rng, 10), off, linear(rng, 10, 5), lif(rng, 5)
    )


@kind("rlif_then_lif", "a recurrent layer, then a feedforward one", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        spikes(rng, 12), linear(rng, 12, 10), rlif(rng, 10), linear(rng, 10, 5), lif(rng, 5)
    )


@kind("rlif_last_linear", "a recurrent layer, then Linear", READ)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 12), linear(rng, 12, 10), rlif(rng, 10), linear(rng, 10, 5))


@kind("psu_lif_then_lif", "PSU_LIF, then LIF, exported with dt=1e-3: the LIF tells dt", READ)
def _(rng: Rng) -> Recording:
    layers = linear(rng, 12, 10), psu(rng, 10), linear(rng, 10, 5), lif(rng, 5)
    return recorded(spikes(rng, 12), *layers, dt=1e-3)


@kind("cubalif_then_if", "CuBaLIF, then IF", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        spikes(rng, 12), linear(rng, 12, 10), cuba(rng, 10), linear(rng, 10, 5), fire(rng, 5)
    )


@kind("lif_only", "a Sequential of one LIF, no weights", READ)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 12), lif(rng, 12, threshold=1.3))


# ---- convolutions ----
def pool(size: int = 2, padding: str = "VALID") -> Any:
    return spyx.SumPool(size, size, padding)


@kind("conv", "Conv2d VALID, SumPool2d, Flatten (channels last), Linear, IF", READ)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 4),
        fire(rng, 6, 6, 4),
        pool(),
        spyx.Flatten(),
        linear(rng, 36, 5),
        fire(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("conv_lif", "the same with LIF, a beta for each neuron of the map", READ)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 4),
        lif(rng, 6, 6, 4),
        pool(),
        spyx.Flatten(),
        linear(rng, 36, 5),
        lif(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("conv_same_deep", "Conv2d SAME, SumPool2d, Conv2d VALID, Flatten, Linear", READ)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 4, padding="SAME"),
        lif(rng, 8, 8, 4, beta=0.8),
        pool(),
        conv(rng, 4, 4),
        lif(rng, 2, 2, 4, beta=0.8),
        spyx.Flatten(),
        linear(rng, 16, 5),
        lif(rng, 5, beta=0.8),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("conv_output_map", "ends in a convolution: the output is a map", READ)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 2, 8, 8), conv(rng, 2, 4, strides=2), fire(rng, 3, 3, 4))


@kind("conv_explicit_padding", "padding ((1, 1), (1, 1)), stride 2", READ)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 4, strides=2, padding=((1, 1), (1, 1))),
        lif(rng, 4, 4, 4),
        spyx.Flatten(),
        linear(rng, 64, 5),
        lif(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("conv_same_stride", "SAME with stride 2: nir infers 8 x 8 from 'same'", READ, refuses=True)
def _(rng: Rng) -> Recording:
    return recorded(
        spikes(rng, 2, 8, 8), conv(rng, 2, 4, strides=2, padding="SAME"), fire(rng, 4, 4, 4)
    )


@kind("conv_same_even", "SAME with a kernel of 2 x 2: padded below and right only", READ)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 3, kernel=(2, 2), padding="SAME"),
        lif(rng, 8, 8, 3, beta=0.8),
        spyx.Flatten(),
        linear(rng, 192, 5),
        lif(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind(
    "conv_pool_same",
    "SumPool SAME on 7 x 7: the padding of 1 in the file is the total, all of it below and right",
    READ,
)
def _(rng: Rng) -> Recording:
    layers = (
        conv(rng, 2, 4, kernel=(2, 2)),
        fire(rng, 7, 7, 4),
        pool(2, "SAME"),
        spyx.Flatten(),
        linear(rng, 64, 5),
        fire(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind(
    "conv_cubalif",
    "CuBaLIF behind a convolution does not run: its state has the wrong shape",
    READ,
    refuses=True,
)
def _(rng: Rng) -> Recording:
    layers = conv(rng, 2, 4), cuba(rng, 6, 6, 4), spyx.Flatten(), linear(rng, 144, 5), cuba(rng, 5)
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("pool_first", "SumPool2d before the first convolution", READ)
def _(rng: Rng) -> Recording:
    layers = (
        pool(),
        conv(rng, 2, 4),
        fire(rng, 2, 2, 4, threshold=2.0),
        spyx.Flatten(),
        linear(rng, 16, 5),
        fire(rng, 5),
    )
    return recorded(spikes(rng, 2, 8, 8), *layers)


@kind("flatten_first", "Flatten (channels last) before the first Linear", READ)
def _(rng: Rng) -> Recording:
    return recorded(
        spikes(rng, 2, 4, 4),
        spyx.Flatten(),
        linear(rng, 32, 10),
        lif(rng, 10),
        linear(rng, 10, 5),
        lif(rng, 5),
    )


# ---- what the exporter refuses ----
@kind(
    "conv_nobias",
    "a convolution without bias: nir.write raises and leaves half a file",
    READ,
    refuses=True,
)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 2, 8, 8), conv(rng, 2, 4, use_bias=False), fire(rng, 6, 6, 4))


@kind("conv_dilated", "a dilated kernel: the file says 1", READ, refuses=True)
def _(rng: Rng) -> Recording:
    return recorded(spikes(rng, 2, 8, 8), conv(rng, 2, 4, kernel_dilation=2), fire(rng, 4, 4, 4))


@kind("conv_groups", "feature_group_count=2: the file says 1", READ, refuses=True)
def _(rng: Rng) -> Recording:
    return recorded(
        spikes(rng, 2, 8, 8), conv(rng, 2, 4, feature_group_count=2), fire(rng, 6, 6, 4)
    )


if __name__ == "__main__":
    kinds.command()
