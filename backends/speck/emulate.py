"""Runs a configuration: frame by frame as sinabs (``synchronous.py``), or event by event as the
chip (``events.py``).

Both work through blocks of samples and steps, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import ArrayLike

from nirc.backends.speck.configuration import Configuration, CoreLayer
from nirc.backends.speck.events import EventByEvent
from nirc.backends.speck.synchronous import Recorded, Synchronous
from nirc.ir.arrays import Int
from nirc.semantics.raster import Run, spike_counts

MODES: dict[str, type[Synchronous] | type[EventByEvent]] = {
    "synchronous": Synchronous,
    "events": EventByEvent,
}


def emulate(
    configuration: Configuration,
    raster: ArrayLike,
    *,
    mode: str = "synchronous",
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run ``raster`` (samples, steps, channels), whole spike counts; every sample starts from the
    initial membranes.

    ``Run.output`` (samples, steps, outputs) int64: spikes of the monitored cores by rising number,
    each map in C order. With ``record``: ``spikes["neurons"]`` and ``v["neurons"]`` int64, of all
    used cores in the same way; ``v`` is the membrane at the end of a step. ``progress`` is told the
    samples done. Raises ``InputError`` (U604) if the raster does not fit, ``ValueError`` for a loop
    of cores or an unknown ``mode``.
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
            recorder.write(
                batch,
                times,
                *machine.run(inputs[batch, times].astype(np.int64), recorder.watched, record),
            )
            if progress is not None:
                progress(first + (batch.stop - first) * times.stop // steps)
    return recorder.run()


def in_order(configuration: Configuration) -> list[CoreLayer]:
    """Layers, each after all that feed it. Raises ``ValueError`` for a loop."""
    cores = configuration.by_core()
    sources: dict[int, list[int]] = {core: [] for core in cores}
    for layer in configuration.layers:
        for destination in layer.destinations:
            if destination.layer in cores:  # the readout layer is none
                sources[destination.layer].append(layer.core)
    return [
        cores[core] for core in TopologicalSorter(sources).static_order()
    ]  # its CycleError is a ValueError


class _Recorder:
    """What is kept of a run, one column a neuron; ``watched``: cores whose spikes are wanted."""

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
        """Keep a block."""
        for core, columns in self.columns.items():
            self.spikes[samples, steps, columns] = spikes[core]
            if self.v is not None:
                self.v[samples, steps, columns] = v[core]

    def run(self) -> Run:
        """The recordings under their public names."""
        if self.v is None:
            return Run(self.spikes)
        return Run(self.spikes[:, :, self.monitored], {"neurons": self.spikes}, {"neurons": self.v})
