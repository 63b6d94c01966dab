"""Frame by frame, bit for bit as sinabs' quantised DynapcnnNetwork: the spikes of a step are summed
up, then counted.

Layer by layer: what all steps of a block bring to a core is one convolution, and only the neuron
goes step by step. All numbers are whole and far below 2^53, so that float64 is exact. Source:
sinabs 3.1.3, ``DynapcnnLayer``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.configuration import Configuration, CoreLayer, InputRoute
from nirc.backends.speck.geometry import Map, Pair
from nirc.backends.speck.rule import fire
from nirc.ir.arrays import Float, Int, size
from nirc.ir.linear import Conv, Pool

BLOCK_BYTES = (
    1 << 25
)  # of the arrays for all steps of a block; larger ones leave the cache and take twice the time
Recorded = dict[int, NDArray[np.number]]  # by core: (samples, steps, neurons)


class Synchronous:
    """The cores' membranes for a batch of samples; ``order``: layers, each after those that feed
    it.
    """

    max_samples = 64  # more do not make the loop over steps cheaper

    def __init__(
        self, configuration: Configuration, order: Sequence[CoreLayer], samples: int
    ) -> None:
        self.inputs = configuration.inputs
        self.order = order
        self.v: dict[int, Float] = {
            layer.core: np.tile(layer.initial.reshape(1, -1).astype(np.float64), (samples, 1))
            for layer in order
        }

    @staticmethod
    def rows(configuration: Configuration, raster: NDArray[np.generic]) -> int:
        """Steps, of all samples together, that fit into a block."""
        kept = sum(layer.neurons for layer in configuration.layers) + configuration.input_channels
        working = max(_working_values(layer) for layer in configuration.layers)
        return max(1, BLOCK_BYTES // (8 * (2 * kept + working)))

    def run(self, raster: Int, watched: set[int], record: bool) -> tuple[Recorded, Recorded]:
        """Go on with ``raster`` (samples, steps, channels): spikes of the ``watched`` cores and, to
        record, membranes.

        Each (samples, steps, neurons), by core.
        """
        samples, steps, _ = raster.shape
        counts = raster.astype(np.float64).reshape(samples * steps, -1)
        sent: dict[int, Float] = {}
        membranes: Recorded = {}
        for layer in self.order:
            arrivals = self._arrivals(layer, counts, sent)
            x = _conv(layer).apply(arrivals).reshape(samples, steps, layer.neurons)
            spikes = self._fire(layer, x)
            sent[layer.core] = spikes.reshape(samples * steps, -1)
            if record:
                membranes[layer.core] = x
        shape = (samples, steps, -1)
        return {core: sent[core].reshape(shape) for core in watched}, membranes

    def _arrivals(self, layer: CoreLayer, raster: Float, sent: dict[int, Float]) -> Float:
        """The core's input map at every step, flat: the sum of all that comes in."""
        total = np.zeros((len(raster), *layer.shape_in))
        for route in self.inputs:
            if route.layer == layer.core:
                _place(
                    total, _routed(raster, route), route.shape, route.pooling, route.feature_shift
                )
        for source in self.order:
            for d in source.destinations:
                if d.layer == layer.core:
                    _place(
                        total,
                        sent[source.core],
                        source.shape_out,
                        (d.pooling, d.pooling),
                        d.feature_shift,
                    )
        return total.reshape(len(raster), -1)

    def _fire(self, layer: CoreLayer, x: Float) -> Float:
        """Spikes at every step. Leaves in ``x``, the input, the membranes after spiking."""
        bias = np.repeat(layer.bias, layer.neurons // layer.shape_out[0])
        v, spikes = self.v[layer.core], np.empty_like(x)
        for step in range(x.shape[1]):
            v = v + x[:, step] + bias
            spikes[:, step], v = fire(
                v, layer.threshold_high, layer.threshold_low, layer.return_to_zero
            )
            x[:, step] = v
        self.v[layer.core] = v
        return spikes


def _working_values(layer: CoreLayer) -> int:
    """Numbers held for one step while a layer is computed: its input padded, windows unrolled, its
    output twice.
    """
    _, _, *kernel = layer.kernel.shape
    windows = layer.shape_in[0] * size(tuple(kernel)) * size(layer.shape_out[1:])
    return 4 * size(layer.shape_in) + windows + 2 * layer.neurons


def _conv(layer: CoreLayer) -> Conv:
    (y, x), weight = layer.padding, layer.kernel.astype(np.float64)
    return Conv(weight, layer.shape_in, layer.shape_out, layer.stride, ((y, y), (x, x)), (1, 1), 1)


def _routed(raster: Float, route: InputRoute) -> Float:
    return raster[:, route.first : route.first + size(route.shape)]


def _place(total: Float, spikes: Float, shape: Map, pooling: Pair, feature_shift: int) -> None:
    """Add ``spikes``, flat, pooled to ``total`` (rows, channels, y, x); what lies outside is
    lost.
    """
    channels = shape[0]
    y, x = (n // p for n, p in zip(shape[1:], pooling, strict=True))
    if y == 0 or x == 0:
        return
    whole = (channels, y * pooling[0], x * pooling[1])
    pool = Pool(whole, (channels, y, x), pooling, pooling, ((0, 0), (0, 0)))
    pooled = pool.apply(spikes.reshape(-1, *shape)[:, :, : whole[1], : whole[2]]).reshape(
        -1, channels, y, x
    )
    into = total[:, feature_shift : feature_shift + channels, :y, :x]
    into += pooled[:, : into.shape[1], : into.shape[2], : into.shape[3]]
