"""Run a configuration event by event, as the chip does. An event makes a neuron fire once at most.

Rule of one update (targets sheet, section 2): ``v = clip(v + w, threshold_low, 32767)``. Then one
spike if ``v >= threshold_high``, which takes the threshold away or sets ``v`` to 0. An event
updates every neuron whose window holds its pixel. A tick of the slow clock, at the start of each
step, updates all neurons of a core by their bias. ``limits.py`` lists which of these rules are
chosen.

Order (chosen, as the chip's parallel units may break ties otherwise). Input events of a step come
by rising channel of the raster, each as often as its count. One event takes all its routes before
the next event. A spike belongs to the step of the input event or tick at its root. Within a step a
core gets its own tick first, then the spikes that other cores' ticks caused, then those that the
first input event caused, and so on. Spikes of one root from several sources come from the routes
first, then from the cores by rising number, each in the order in which that source sent them. A
spike with two routes into a core takes them in the order of the destinations. One update fires
neurons by (y, x, channel).

A core sees nothing but the order of its own input, so layer after layer is exact. In a core every
neuron sees only its own updates. So the r-th update of all positions of all samples is done at
once, from any events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nirc.backends.speck.configuration import Configuration, CoreLayer
from nirc.backends.speck.geometry import Map, Pair
from nirc.backends.speck.limits import (
    BIAS_TICK_FIRES,
    FIRES_AT_THRESHOLD,
    STATE,
    ZERO_WEIGHT_UPDATES,
)
from nirc.ir.arrays import Int, size
from nirc.native.cores import Core
from nirc.native.library import library

Recorded = dict[int, NDArray[np.number]]  # by core: (samples, steps, neurons)
BLOCK_EVENTS = 1 << 16  # input events before the next steps
BLOCK_VALUES = 1 << 25  # recorded numbers of a block
BLOCK_UPDATES = 1 << 20  # updates of positions (of all their channels) at a time
TICK = 0  # the root of all that a tick causes. Input events count from 1


@dataclass(frozen=True)
class Spikes:
    """Events in their order.

    ``neuron``: flat in the map of the source, or the channel of the raster. ``time``: (step *
    samples + sample) * roots + root.
    """

    time: Int
    neuron: Int


@dataclass(frozen=True)
class Clock:
    """The meaning of ``Spikes.time`` in a block."""

    samples: int
    steps: int
    roots: int

    def ticks(self) -> Int:
        """Return the time of the tick of each sample and step."""
        return np.arange(self.steps * self.samples) * self.roots + TICK


class EventByEvent:
    """The cores' membranes for a batch of samples. ``order``: layers, each after its sources."""

    max_samples = 64

    def __init__(
        self, configuration: Configuration, order: Sequence[CoreLayer], samples: int
    ) -> None:
        self.cores = [_Core(configuration, layer, samples) for layer in order]

    @staticmethod
    def rows(configuration: Configuration, raster: NDArray[np.generic]) -> int:
        """Return the steps, of all samples together, that fit into a block."""
        rows = max(1, raster.shape[0] * raster.shape[1])
        events: int = max(1, int(raster.sum()) // rows)
        neurons = sum(layer.neurons for layer in configuration.layers)
        values = neurons + configuration.input_channels
        return max(1, min(BLOCK_EVENTS // events, BLOCK_VALUES // max(1, values)))

    def run(self, raster: Int, watched: set[int], record: bool) -> tuple[Recorded, Recorded]:
        """Continue with ``raster`` (samples, steps, channels).

        Return spikes of the ``watched`` cores and, to record, membranes. Each is (samples, steps,
        neurons), by core.
        """
        clock, events = input_events(raster)
        sent = {-1: events}  # the raster as a source
        counts: Recorded = {}
        membranes: Recorded = {}
        for core in self.cores:
            number = core.layer.core
            arrivals = core.arrivals(sent, clock)
            if record:
                sent[number], membranes[number] = core.recorded(arrivals, clock)
            else:
                sent[number] = core.run(arrivals, clock)
            if number in watched:
                counts[number] = _counted(sent[number], core.layer.neurons, clock)
        return counts, membranes


def input_events(raster: Int) -> tuple[Clock, Spikes]:
    """Return events of ``raster`` (samples, steps, channels) in the order of the host."""
    samples, steps, _ = raster.shape
    by_step = raster.transpose(1, 0, 2)
    per_row = by_step.sum(axis=2).reshape(-1)
    clock = Clock(samples, steps, int(per_row.max(initial=0)) + 1)
    *_, channel = np.nonzero(by_step)
    neuron = np.repeat(channel, by_step[by_step > 0])
    row = np.repeat(np.arange(steps * samples), per_row)
    root = np.arange(neuron.size) - np.repeat(np.cumsum(per_row) - per_row, per_row) + 1
    return clock, Spikes(row * clock.roots + root, neuron)


def _counted(spikes: Spikes, neurons: int, clock: Clock) -> Int:
    """Return spike counts (samples, steps, neurons)."""
    row = spikes.time // clock.roots
    counts = np.bincount(
        row * neurons + spikes.neuron, minlength=clock.steps * clock.samples * neurons
    )
    return counts.reshape(clock.steps, clock.samples, neurons).transpose(1, 0, 2)


class _Core:
    """One core: tables of the effects of events, and membranes (samples * positions, channels).

    An event's address is ``channel * (pixels + 1) + pixel`` in the input map. The tick has the
    address after the last channel and the last pixel. So its bias is the table's last row.
    """

    def __init__(self, configuration: Configuration, layer: CoreLayer, samples: int) -> None:
        self.layer = layer
        self.channels = layer.shape_out[0]
        self.positions = size(layer.shape_out[1:])
        self.pixels = size(layer.shape_in[1:])
        self.tick = layer.shape_in[0] * (self.pixels + 1) + self.pixels
        self.routes = _routes(configuration, layer)
        self.count, self.first, self.position, self.tap = _updates(layer)
        self.taps = size(layer.kernel.shape[2:])
        kernel = layer.kernel.transpose(1, 2, 3, 0).reshape(-1, self.channels)
        self.weights = np.vstack([kernel, layer.bias]).astype(np.int32)
        self.silent = _silent(self.weights)
        initial = layer.initial.reshape(self.channels, self.positions).T
        self.v = np.ascontiguousarray(np.tile(initial.astype(np.int32), (samples, 1)))
        self.native = tables(layer)

    def arrivals(self, sent: dict[int, Spikes], clock: Clock) -> Spikes:
        """Return all input in order. ``neuron`` is the address here."""
        times: list[Int] = []
        addresses: list[Int] = []
        if self.layer.leak_enable:
            times.append(clock.ticks())
            addresses.append(np.full(clock.steps * clock.samples, self.tick))
        for source, table in self.routes.items():
            address = table[sent[source].neuron].reshape(-1)
            time = np.repeat(sent[source].time, table.shape[1])
            times.append(time[address >= 0])
            addresses.append(address[address >= 0])
        if len(times) == 1:
            return Spikes(times[0], addresses[0])
        time = np.concatenate([*times, np.zeros(0, np.int64)])
        # Stable: the order of sources, and in a source, stays.
        merged = np.argsort(time, kind="stable")
        return Spikes(time[merged], np.concatenate([*addresses, np.zeros(0, np.int64)])[merged])

    def recorded(self, events: Spikes, clock: Clock) -> tuple[Spikes, Int]:
        """Run step by step. Return membranes (samples, steps, neurons) at the end of each step."""
        membranes = np.empty((clock.samples, clock.steps, self.layer.neurons), np.int64)
        ends = np.searchsorted(
            events.time, np.arange(1, clock.steps + 1) * clock.samples * clock.roots
        )
        parts: list[Spikes] = []
        start = 0
        for step, end in enumerate(ends):
            parts.append(self.run(Spikes(events.time[start:end], events.neuron[start:end]), clock))
            v = self.v.reshape(clock.samples, self.positions, self.channels)
            membranes[:, step] = v.transpose(0, 2, 1).reshape(clock.samples, -1)
            start = end
        return _joined(parts), membranes

    def run(self, events: Spikes, clock: Clock) -> Spikes:
        """Take ``events``. Return the spikes that they cause, in order."""
        if self.silent is None and library() is not None:
            time, address = np.ascontiguousarray(events.time), np.ascontiguousarray(events.neuron)
            return Spikes(*self.native.events(time, address, clock.roots, clock.samples, self.v))
        channel, pixel = np.divmod(events.neuron, self.pixels + 1)
        done = np.cumsum(self.count[pixel])
        total = int(done[-1]) if done.size else 0
        cuts = [int(np.searchsorted(done, n)) for n in range(BLOCK_UPDATES, total, BLOCK_UPDATES)]
        parts: list[Spikes] = []
        for start, end in pairwise([0, *cuts, done.size]):
            block = slice(start, end)
            parts.append(self._run(events.time[block], channel[block], pixel[block], clock))
        return _joined(parts)

    def _run(self, time: Int, channel: Int, pixel: Int, clock: Clock) -> Spikes:
        count = self.count[pixel]
        event = np.repeat(np.arange(count.size), count)
        first = np.repeat(self.first[pixel] - np.cumsum(count) + count, count)
        entry = np.arange(event.size) + first
        sample = time // clock.roots % clock.samples
        row = self.position[entry] + (sample * self.positions)[event]
        weight = self.tap[entry] + (channel * self.taps)[event]
        rounds = _Rounds.of(row, len(self.v))
        v = self.v[rounds.rows]
        fired = self._fire(v, weight[rounds.update], rounds.starts)
        self.v[rounds.rows] = v
        slot, out = np.divmod(fired, self.channels)
        order = rounds.update[slot] * self.channels + out
        order.sort()
        update, out = np.divmod(order, self.channels)
        return Spikes(time[event[update]], out * self.positions + self.position[entry[update]])

    def _fire(self, v: NDArray[np.int32], weight: Int, starts: list[int]) -> Int:
        """Run all rounds. Round r updates the first rows of ``v`` by rows of the weight table.

        Return the flat entries of (updates in order of rounds, channels) that made a spike.
        """
        threshold = self.layer.threshold_high
        enough = threshold if FIRES_AT_THRESHOLD else threshold + 1
        flat = v.reshape(-1)
        buffer = np.empty_like(v)
        fired = [np.zeros(0, np.int64)]
        for start, end in pairwise(starts):
            now = v[: end - start]
            w = buffer[: end - start]
            # Other modes copy once more.
            self.weights.take(weight[start:end], axis=0, out=w, mode="clip")
            now += w
            np.maximum(now, self.layer.threshold_low, out=now)
            np.minimum(now, STATE[1], out=now)
            fires = now >= enough
            if self.silent is not None:
                fires &= ~self.silent[weight[start:end]]
            hits = fires.reshape(-1).nonzero()[0]
            if hits.size:
                if self.layer.return_to_zero:
                    flat[hits] = 0
                else:
                    flat[hits] -= threshold
                fired.append(hits + start * self.channels)
        return np.concatenate(fired)


def tables(layer: CoreLayer) -> Core:
    """Return what an event at each pixel does to a core, for the library in C."""
    count, first, position, tap = _updates(layer)
    kernel = layer.kernel.transpose(1, 2, 3, 0).reshape(-1, layer.shape_out[0])
    return Core(
        count,
        first,
        position,
        tap,
        np.ascontiguousarray(np.vstack([kernel, layer.bias]), np.int32),
        taps=size(layer.kernel.shape[2:]),
        positions=size(layer.shape_out[1:]),
        low=layer.threshold_low,
        high=STATE[1],
        threshold=layer.threshold_high + (not FIRES_AT_THRESHOLD),
        to_zero=layer.return_to_zero,
    )


@dataclass(frozen=True)
class _Rounds:
    """Updates by rounds. Round r is the r-th update of every row that has so many.

    ``rows``: rows with updates, the busiest first. ``update``: all updates, round after round, in
    the order of ``rows``. Round r is ``starts[r]`` to ``starts[r + 1]``.
    """

    rows: Int
    update: Int
    starts: list[int]

    @classmethod
    def of(cls, row: Int, rows: int) -> _Rounds:
        """Return rounds from the row of each update in the order of time, below ``rows``."""
        # 16 bits: radix sort.
        by_row = np.argsort(row.astype(np.uint16) if rows <= 1 << 16 else row, kind="stable")
        length = np.bincount(row, minlength=rows)
        busiest = np.argsort(-length, kind="stable")[: np.count_nonzero(length)]
        place = np.empty(rows, np.int64)
        place[busiest] = np.arange(busiest.size)
        before = np.cumsum(length) - length
        number = np.arange(row.size) - np.repeat(before, length)  # of the update in its row
        starts = np.concatenate([[0], np.cumsum(np.bincount(number))]).astype(np.int64)
        update = np.empty(row.size, np.int64)
        update[starts[number] + np.repeat(place, length)] = by_row
        return cls(busiest, update, starts.tolist())


def _routes(configuration: Configuration, layer: CoreLayer) -> dict[int, Int]:
    """Return addresses (neurons, routes into this core) by source, in the order of merging.

    Source -1 is the raster. Address -1 is outside the input map: the event is dropped.
    """
    tables: dict[int, Int] = {}
    routes = [route for route in configuration.inputs if route.layer == layer.core]
    if routes:
        table = np.full((configuration.input_channels, len(routes)), -1)
        for i, route in enumerate(routes):
            channels = slice(route.first, route.first + size(route.shape))
            table[channels, i] = _addresses(
                route.shape, route.pooling, route.feature_shift, layer.shape_in
            )
        tables[-1] = table
    for source in sorted(configuration.layers, key=lambda other: other.core):
        columns = [
            _addresses(source.shape_out, (d.pooling, d.pooling), d.feature_shift, layer.shape_in)
            for d in source.destinations
            if d.layer == layer.core
        ]
        if columns:
            tables[source.core] = np.stack(columns, axis=1)
    return tables


def _addresses(shape: Map, pooling: Pair, feature_shift: int, into: Map) -> Int:
    """Return the address of every neuron of a map in a core's input map, -1 if there is none."""
    channel, y, x = np.indices(shape).reshape(3, -1)
    channel, y, x = channel + feature_shift, y // pooling[0], x // pooling[1]
    inside = (channel < into[0]) & (y < into[1]) & (x < into[2])
    return np.where(inside, channel * (into[1] * into[2] + 1) + y * into[2] + x, -1)


def _updates(layer: CoreLayer) -> tuple[Int, Int, Int, Int]:
    """Return the updates of an event at each pixel, positions by (y, x).

    These are their count and first entry by pixel, then position and tap of each entry. The pixel
    after the last one is the tick: every position, tap 0.
    """
    down, across = (_hits(layer, axis) for axis in (0, 1))
    columns, kernel = layer.shape_out[2], layer.kernel.shape[3]
    position: list[Int] = []
    tap: list[Int] = []
    count: list[int] = []
    for oy, ky in down:
        for ox, kx in across:
            position.append((oy[:, None] * columns + ox).ravel())
            tap.append((ky[:, None] * kernel + kx).ravel())
            count.append(oy.size * ox.size)
    position.append(np.arange(size(layer.shape_out[1:])))
    tap.append(np.zeros_like(position[-1]))
    count.append(position[-1].size)
    counts = np.array(count)
    return counts, np.cumsum(counts) - counts, np.concatenate(position), np.concatenate(tap)


def _hits(layer: CoreLayer, axis: int) -> list[tuple[Int, Int]]:
    """Return for each pixel of an axis the outputs whose window holds it, and its tap there."""
    outputs = np.arange(layer.shape_out[1 + axis])
    result = []
    for pixel in range(layer.shape_in[1 + axis]):
        tap = pixel + layer.padding[axis] - outputs * layer.stride[axis]
        inside = (tap >= 0) & (tap < layer.kernel.shape[2 + axis])
        result.append((outputs[inside], tap[inside]))
    return result


def _silent(weights: NDArray[np.int32]) -> NDArray[np.bool_] | None:
    """Return entries of the weight table without a comparison after them, None without any."""
    silent = np.zeros(weights.shape, bool)
    if not ZERO_WEIGHT_UPDATES:
        silent[:-1] = weights[:-1] == 0
    if not BIAS_TICK_FIRES:
        silent[-1] = True
    return silent if silent.any() else None


def _joined(parts: list[Spikes]) -> Spikes:
    none = np.zeros(0, np.int64)
    return Spikes(
        np.concatenate([none, *(p.time for p in parts)]),
        np.concatenate([none, *(p.neuron for p in parts)]),
    )
