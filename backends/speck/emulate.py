"""Run a configuration: frame by frame as sinabs, or event by event as the chip (``events.py``).

Frame by frame it is bit for bit sinabs' quantised DynapcnnNetwork: the spikes of a step are summed,
then counted. Layer by layer, all steps of a block bring one convolution to a core, and only the
neuron goes step by step. All numbers are integers far below 2^53, so that float64 is exact. Source:
sinabs 3.1.3, ``DynapcnnLayer``. Both modes work through blocks of samples and steps, so that memory
stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.backends.speck.configuration import Configuration, CoreLayer, InputRoute
from nirc.backends.speck.events import EventByEvent, Recorded, tables
from nirc.backends.speck.geometry import Map, Pair
from nirc.backends.speck.neuron import fire
from nirc.ir.arrays import Float, Int, size
from nirc.ir.linear import Conv, Pool
from nirc.native.cores import Core
from nirc.native.library import library
from nirc.semantics.raster import Run, spike_counts
from nirc.semantics.threads import with_one_thread

# Bytes of all arrays of a block. Larger arrays leave the cache and take twice the time.
BLOCK_BYTES = 1 << 25


class Synchronous:
    """The cores' membranes for a batch of samples. ``order``: layers, each after its sources."""

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
        self.native: dict[int, Core] = {}

    @staticmethod
    def rows(configuration: Configuration, raster: NDArray[np.generic]) -> int:
        """Return the steps, of all samples together, that fit into a block."""
        kept = sum(layer.neurons for layer in configuration.layers) + configuration.input_channels
        working = max(_working_values(layer) for layer in configuration.layers)
        return max(1, BLOCK_BYTES // (8 * (2 * kept + working)))

    def run(self, raster: Int, watched: set[int], record: bool) -> tuple[Recorded, Recorded]:
        """Continue with ``raster`` (samples, steps, channels).

        Return spikes of the ``watched`` cores and, to record, membranes. Each is (samples, steps,
        neurons), by core.
        """
        samples, steps, _ = raster.shape
        counts = raster.astype(np.float64).reshape(samples * steps, -1)
        sent: dict[int, Float] = {}
        membranes: Recorded = {}
        for layer in self.order:
            arrivals = self._arrivals(layer, counts, sent)
            if library() is not None and _fits(layer, arrivals):
                spikes, v = self._frames(layer, arrivals.reshape(samples, steps, -1), record)
                sent[layer.core] = spikes.reshape(samples * steps, -1)
                if v is not None:
                    membranes[layer.core] = v
                continue
            x = _conv(layer).apply(arrivals).reshape(samples, steps, layer.neurons)
            spikes = self._fire(layer, x)
            sent[layer.core] = spikes.reshape(samples * steps, -1)
            if record:
                membranes[layer.core] = x
        shape = (samples, steps, -1)
        return {core: sent[core].reshape(shape) for core in watched}, membranes

    def _arrivals(self, layer: CoreLayer, raster: Float, sent: dict[int, Float]) -> Float:
        """Return the core's input map at every step, flat: the sum of all that comes in."""
        total = np.zeros((len(raster), *layer.shape_in))
        for route in self.inputs:
            if route.layer == layer.core:
                spikes = _routed(raster, route)
                _add(total, spikes, route.shape, route.pooling, route.feature_shift)
        for source in self.order:
            for d in source.destinations:
                if d.layer == layer.core:
                    pooling = (d.pooling, d.pooling)
                    spikes = sent[source.core]
                    _add(total, spikes, source.shape_out, pooling, d.feature_shift)
        return total.reshape(len(raster), -1)

    def _frames(
        self, layer: CoreLayer, arrivals: Float, record: bool
    ) -> tuple[Float, Float | None]:
        """Return spikes and membranes (samples, steps, neurons) from the library in C."""
        if layer.core not in self.native:
            self.native[layer.core] = tables(layer)
        core = self.native[layer.core]
        channels, positions = layer.shape_out[0], core.positions
        counts = np.ascontiguousarray(arrivals, np.int32)
        shape = (*counts.shape[:2], layer.neurons)
        spikes = np.empty(shape)
        v = np.empty(shape) if record else None
        for sample, membrane in enumerate(self.v[layer.core]):
            by_position = membrane.reshape(channels, positions).T
            state = np.ascontiguousarray(by_position, np.int32)
            frames = counts[sample].reshape(len(counts[sample]), layer.shape_in[0], -1)
            spikes[sample], kept = core.frames(frames, state, record=record)
            membrane[:] = state.T.ravel()
            if v is not None:
                v[sample] = kept
        return spikes, v

    def _fire(self, layer: CoreLayer, x: Float) -> Float:
        """Return the spikes at every step. ``x``, the input, becomes the membranes after them."""
        bias = np.repeat(layer.bias, layer.neurons // layer.shape_out[0])
        v = self.v[layer.core]
        spikes = np.empty_like(x)
        for step in range(x.shape[1]):
            v = v + x[:, step] + bias
            spikes[:, step], v = fire(
                v, layer.threshold_high, layer.threshold_low, layer.return_to_zero
            )
            x[:, step] = v
        self.v[layer.core] = v
        return spikes


def _fits(layer: CoreLayer, arrivals: Float) -> bool:
    """Return True if no sum of a step leaves 32 bits."""
    reach = np.abs(layer.kernel.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0)
    most = int(arrivals.max(initial=0)) * int(reach) + int(np.abs(layer.bias).max(initial=0))
    return most + layer.threshold_high - layer.threshold_low < 1 << 30


def _working_values(layer: CoreLayer) -> int:
    """Return the numbers in memory for one step of a layer.

    These are its padded input, unrolled windows, and its output twice.
    """
    _, _, *kernel = layer.kernel.shape
    windows = layer.shape_in[0] * size(tuple(kernel)) * size(layer.shape_out[1:])
    return 4 * size(layer.shape_in) + windows + 2 * layer.neurons


def _conv(layer: CoreLayer) -> Conv:
    (y, x), weight = layer.padding, layer.kernel.astype(np.float64)
    return Conv(weight, layer.shape_in, layer.shape_out, layer.stride, ((y, y), (x, x)), (1, 1), 1)


def _routed(raster: Float, route: InputRoute) -> Float:
    return raster[:, route.first : route.first + size(route.shape)]


def _add(total: Float, spikes: Float, shape: Map, pooling: Pair, feature_shift: int) -> None:
    """Add flat ``spikes``, pooled, to ``total`` (rows, channels, y, x). The rest is lost."""
    channels = shape[0]
    y, x = (n // p for n, p in zip(shape[1:], pooling, strict=True))
    if y == 0 or x == 0:
        return
    pooled = (channels, y, x)
    divisible = (channels, y * pooling[0], x * pooling[1])
    pool = Pool(divisible, pooled, pooling, pooling, ((0, 0), (0, 0)))
    inside = spikes.reshape(-1, *shape)[:, :, : divisible[1], : divisible[2]]
    arrivals = pool.apply(inside).reshape(-1, *pooled)
    into = total[:, feature_shift : feature_shift + channels, :y, :x]
    into += arrivals[:, : into.shape[1], : into.shape[2], : into.shape[3]]


MODES: dict[str, type[Synchronous] | type[EventByEvent]] = {
    "synchronous": Synchronous,
    "events": EventByEvent,
}


@with_one_thread
def emulate(
    configuration: Configuration,
    raster: ArrayLike,
    *,
    mode: str = "synchronous",
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run spike counts (samples, steps, channels), each sample from the initial membranes.

    ``Run.outputs`` (samples, steps, outputs) int64: spikes of the monitored cores by rising number,
    each map in C order. With ``record``: ``spikes["neurons"]`` and ``v["neurons"]`` int64, of all
    used cores in the same order. ``v`` is the membrane at the end of a step. ``progress`` gets the
    number of finished samples. Raises ``InputError`` (U604) if the raster does not fit,
    ``ValueError`` for a loop of cores or an unknown ``mode``.
    """
    if mode not in MODES:
        raise ValueError(f"mode `{mode}` is not one of {', '.join(MODES)}")
    inputs = spike_counts(raster, configuration.input_channels)
    order = in_order(configuration)
    samples, steps, _ = inputs.shape
    recorder = _Recorder(configuration, samples, steps, record)
    machine_of = MODES[mode]
    rows = machine_of.rows(configuration, inputs)
    at_once = max(1, min(samples, rows, machine_of.max_samples))
    block = max(1, rows // at_once)
    for first in range(0, samples, at_once):
        batch = slice(first, min(first + at_once, samples))
        machine = machine_of(configuration, order, batch.stop - first)
        for start in range(0, steps, block):
            times = slice(start, min(start + block, steps))
            counts = inputs[batch, times].astype(np.int64)
            recorder.write(batch, times, *machine.run(counts, recorder.watched, record))
            if progress is not None:
                progress(first + (batch.stop - first) * times.stop // steps)
    return recorder.run()


def in_order(configuration: Configuration) -> list[CoreLayer]:
    """Return layers, each after its sources. Raises ``ValueError`` for a loop."""
    cores = configuration.by_core()
    sources: dict[int, list[int]] = {core: [] for core in cores}
    for layer in configuration.layers:
        for destination in layer.destinations:
            if destination.layer in cores:  # the readout layer is none
                sources[destination.layer].append(layer.core)
    order = TopologicalSorter(sources).static_order()  # its CycleError is a ValueError
    return [cores[core] for core in order]


class _Recorder:
    """The recordings of a run, one column a neuron. ``watched``: cores whose spikes are kept."""

    def __init__(
        self, configuration: Configuration, samples: int, steps: int, record: bool
    ) -> None:
        kept = [layer for layer in configuration.layers if record or layer.monitor]
        self.watched = {layer.core for layer in kept}
        self.columns: dict[int, slice] = {}
        width = 0
        for layer in kept:
            self.columns[layer.core] = slice(width, width + layer.neurons)
            width += layer.neurons
        self.spikes: Int = np.zeros((samples, steps, width), np.int64)
        self.v: Int | None = np.zeros((samples, steps, width), np.int64) if record else None
        self.monitored = np.repeat(
            [layer.monitor for layer in kept], [layer.neurons for layer in kept]
        ).astype(bool)

    def write(self, samples: slice, steps: slice, spikes: Recorded, v: Recorded) -> None:
        """Write a block."""
        for core, columns in self.columns.items():
            self.spikes[samples, steps, columns] = spikes[core]
            if self.v is not None:
                self.v[samples, steps, columns] = v[core]

    def run(self) -> Run:
        """Return the recordings under their public names."""
        if self.v is None:
            return Run(self.spikes)
        return Run(self.spikes[:, :, self.monitored], {"neurons": self.spikes}, {"neurons": self.v})
