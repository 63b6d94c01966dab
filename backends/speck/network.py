"""A legal program as the chip's layers, with all that reaches a population merged into one kernel.

Sources with the same kernel share input channels: their spikes add up on arrival. Other sources
stand side by side, each moved up by a feature shift. The sum of two projections is exact in both
cases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.convolve import pair, parts_of
from nirc.backends.speck.geometry import Map, Pair
from nirc.backends.speck.legalise import sources_first
from nirc.backends.speck.limits import READOUT_SPREAD
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.ir.populations import Population, Sink, Source, populations_of
from nirc.ir.program import Program


@dataclass(frozen=True)
class Arrow:
    """The route of spikes from ``source`` (an input or a layer) into a layer.

    ``shape``: the source's map before pooling. ``pooling`` (y, x). ``feature_shift``: the layer's
    input channel of the source's channel 0.
    """

    source: str
    shape: Map
    pooling: Pair
    feature_shift: int


@dataclass(frozen=True)
class Layer:
    """One population with all that reaches it. ``kernel`` (out, in, y, x), ``bias`` (out,) a step.

    ``events``: events that arrive in a step of one sample, as calibration measured them or as
    assumed.
    """

    name: str
    origin: str
    shape_in: Map
    shape_out: Map
    kernel: NDArray[Any]
    stride: Pair
    padding: Pair
    bias: NDArray[Any]
    arrows: tuple[Arrow, ...]
    events: float

    @property
    def kernel_size(self) -> Pair:
        """Kernel (y, x)."""
        return int(self.kernel.shape[2]), int(self.kernel.shape[3])

    @property
    def has_bias(self) -> bool:
        """True if bias memory is needed."""
        return bool(self.bias.any())

    @property
    def synaptic_operations(self) -> float:
        """Updates in a step. An event updates each output channel at k^2 / stride^2 positions.

        Source: sinabs docs, tips.
        """
        taps = self.kernel_size[0] * self.kernel_size[1] / (self.stride[0] * self.stride[1])
        return self.events * self.shape_out[0] * taps


@dataclass(frozen=True)
class Network:
    """All layers, sources first.

    ``inputs``: the channels of the model's inputs by name. ``watched``: layers that are read out.
    """

    inputs: dict[str, int]
    layers: tuple[Layer, ...]
    watched: tuple[str, ...]

    def layer(self, name: str) -> Layer:
        """Return the layer called ``name``."""
        return next(layer for layer in self.layers if layer.name == name)

    def leaving(self, source: str) -> list[tuple[Layer, Arrow]]:
        """Return the layers behind ``source`` with their arrows."""
        leaving: list[tuple[Layer, Arrow]] = []
        for layer in self.layers:
            leaving += [(layer, arrow) for arrow in layer.arrows if arrow.source == source]
        return leaving


def lower(program: Program, *, readout: bool = False) -> Network:
    """Return the layers of a program in the integer form.

    ``readout``: spread the last layer, as the readout layer needs it.
    """
    watched = tuple(dict.fromkeys(program.into(sink)[0][0] for sink in program.nodes(Sink)))
    populations = populations_of(program, SpeckNeuron)
    layers = [
        _layer(name, populations[name], program)
        for name in sources_first(program)
        if name in populations
    ]
    if readout:
        layers = [_spread(layer) if layer.name in watched else layer for layer in layers]
    inputs = {name: source.n for name, source in program.nodes(Source).items()}
    return Network(inputs, tuple(layers), watched)


@dataclass
class _Block:
    """Input channels ``shift`` to ``shift + width`` of a layer."""

    shift: int
    kernel: NDArray[np.float64]


def _layer(name: str, population: Population[SpeckNeuron], program: Program) -> Layer:
    neuron = population.dynamics
    blocks: list[_Block] = []
    arrows = []
    into = program.into(name)
    _, first = parts_of(into[0][1])
    for source, projection in into:
        pool, conv = parts_of(projection)
        block = next((b for b in blocks if np.array_equal(b.kernel, conv.weight)), None)
        if block is None:
            block = _Block(sum(b.kernel.shape[1] for b in blocks), conv.weight)
            blocks.append(block)
        c, y, x = conv.shape_in if pool is None else pool.shape_in
        pooling = (1, 1) if pool is None else pair(pool.kernel)
        arrows.append(Arrow(source, (c, y, x), pooling, block.shift))
    kernel = np.concatenate([b.kernel for b in blocks], axis=1).astype(np.int64)
    size_in = [first.shape_in[1 + a] + first.padding[a][1] - first.padding[a][0] for a in (0, 1)]
    return Layer(
        name=name,
        origin=population.origins[0],
        shape_in=(kernel.shape[1], size_in[0], size_in[1]),
        shape_out=neuron.shape,
        kernel=kernel,
        stride=pair(first.stride),
        padding=(first.padding[0][0], first.padding[1][0]),
        bias=neuron.bias.reshape(neuron.shape[0], -1)[:, 0],
        arrows=tuple(arrows),
        events=neuron.events,
    )


def _spread(layer: Layer) -> Layer:
    """Move every channel to four times its number.

    The readout layer sees channels 0, 4, 8, ... only.
    """
    f, y, x = layer.shape_out
    wide = READOUT_SPREAD * (f - 1) + 1
    kernel = np.zeros((wide, *layer.kernel.shape[1:]), dtype=layer.kernel.dtype)
    bias = np.zeros(wide, dtype=layer.bias.dtype)
    kernel[::READOUT_SPREAD], bias[::READOUT_SPREAD] = layer.kernel, layer.bias
    return replace(layer, kernel=kernel, bias=bias, shape_out=(wide, y, x))
