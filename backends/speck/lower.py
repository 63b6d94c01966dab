"""The integer form as the chip's layers: what comes into a population is merged into the input
channels of one core.

Sources with the same kernel share input channels (their spikes add up on arrival); others stand
side by side, each moved up by a feature shift. The sum of two projections is exact either way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.convolve import pair, parts_of
from nirc.backends.speck.legalise import sources_first
from nirc.backends.speck.limits import READOUT_SPREAD
from nirc.backends.speck.network import Arrow, Layer, Network
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.ir.populations import Population, Sink, Source, populations_of
from nirc.ir.program import Program


def lower(program: Program, *, readout: bool = False) -> Network:
    """Layers of a program in the integer form.

    ``readout``: spread the last layer for the readout layer's erratum.
    """
    watched = tuple(dict.fromkeys(s for sink in program.nodes(Sink) for s, _ in program.into(sink)))
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
    """Every channel at four times its number: the readout layer sees channels 0, 4, 8, ... only."""
    f, y, x = layer.shape_out
    wide = READOUT_SPREAD * (f - 1) + 1
    kernel = np.zeros((wide, *layer.kernel.shape[1:]), dtype=layer.kernel.dtype)
    bias = np.zeros(wide, dtype=layer.bias.dtype)
    kernel[::READOUT_SPREAD], bias[::READOUT_SPREAD] = layer.kernel, layer.bias
    return replace(layer, kernel=kernel, bias=bias, shape_out=(wide, y, x))
