"""Runs tables as the chip does, step by step, many samples at once.

Row r of every recording is the state after step r, and raster column k is sent in step k. A spike
of step t acts in step t + 1 + delay, so a chain of p populations answers column k in row k + p at
the earliest: whoever wants those rows hands over empty columns after the last. Source of the rule:
``rule.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirc.backends.spinnaker2 import rule
from nirc.backends.spinnaker2.tables import FILTERED, Convolution, Int, Population, Tables
from nirc.diagnostics.log import Log
from nirc.ir.linear import Conv, Pool, compose
from nirc.semantics.raster import Run, spike_counts
from nirc.semantics.recorder import Recorder
from nirc.semantics.synapses import Counts, Synapses, summing

Float32 = NDArray[np.float32]
STATES = {"spikes": np.int8, "v": np.float32}  # what is recorded, and its type
CHUNK_VALUES = 1 << 18  # states held at once, so that they stay in the processor's cache
CHUNK_SAMPLES = 64  # but at least so many samples, to be worth a matrix product
MAX_VALUES = 1 << 27  # unless they would be more than these
MAX_SYNAPSES = 1 << 27  # of a convolution, written out


def emulate(
    tables: Tables,
    raster: ArrayLike,
    *,
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run ``raster`` (samples, steps, channels), whole spike counts; every sample starts from the
    tables' v_init.

    A ``spike_list`` sends a spike for each entry of its list: a count of 2 is two of them.
    ``Run.output`` (samples, steps, outputs): spikes, int32, or float32 if there is a readout, whose
    column is its v. With ``record``: ``spikes`` (int8) and ``v`` (float32, after the reset) of
    every population by name, each (samples, steps, neurons). ``progress`` is called with the number
    of samples done. Raises ``InputError`` (U604) if the raster does not fit.
    """
    inputs = spike_counts(raster, tables.channels)
    machine = _Machine(tables)
    recorder = Recorder(tables.populations, tables.outputs, STATES, inputs.shape[:2], record=record)
    chunk = machine.samples_at_once()
    for start in range(0, len(inputs), chunk):
        part = inputs[start : start + chunk].astype(np.int64)
        machine.reset(len(part))
        for step in range(inputs.shape[1]):
            machine.step(part[:, step])
            recorder.write(machine.cells, slice(start, start + len(part)), step)
        if progress is not None:
            progress(start + len(part))
    return recorder.run()


@dataclass(frozen=True)
class Connections:
    """A projection of either kind, synapse by synapse."""

    source: str
    target: str
    pre: Int
    post: Int
    weight: Int
    delay: Int


def connections(tables: Tables) -> list[Connections]:
    """All synapses of the network; a convolution's written out."""
    lists = [
        Connections(p.source, p.target, p.pre, p.post, p.weight, p.delay)
        for p in tables.projections
    ]
    return lists + [unrolled(convolution) for convolution in tables.convolutions]


def unrolled(convolution: Convolution) -> Connections:
    """A convolution synapse by synapse.

    Raises ``CompileError`` (N910) if they are more than memory should hold.
    """
    c, height, width = convolution.shape_in
    pool_y, pool_x = convolution.pool_y, convolution.pool_x
    pooled = (c, height // pool_y, width // pool_x)
    pads = (
        (convolution.pad_top, convolution.pad_bottom),
        (convolution.pad_left, convolution.pad_right),
    )
    strides = (convolution.stride_y, convolution.stride_x)
    weight = convolution.weight.transpose(1, 0, 2, 3).astype(np.float64)
    kernel = Conv(weight, pooled, convolution.shape_out, strides, pads, (1, 1), 1)
    op: Any = kernel
    if kernel.entries * pool_y * pool_x > MAX_SYNAPSES:
        log = Log()
        found = kernel.entries * pool_y * pool_x
        log.error(
            "N910",
            f"`{convolution.name}` has too many synapses to emulate",
            found=found,
            limit=MAX_SYNAPSES,
        )
        log.raise_if_errors()
    if (pool_y, pool_x) != (1, 1):
        window = (pool_y, pool_x)
        pool = Pool(convolution.shape_in, pooled, window, window, ((0, 0), (0, 0)))
        op = compose(pool, kernel, max_entries=MAX_SYNAPSES)
        assert op is not None
    post, pre, value = op.coo()
    whole = np.rint(value).astype(np.int64)
    return Connections(
        convolution.source, convolution.target, pre, post, whole, np.zeros(len(pre), np.int64)
    )


class _Machine:
    """The network prepared for stepping, and its states for one batch of samples."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        populations = {population.name: population for population in tables.populations}
        sizes = tables.sizes()
        self.bundles = [
            _Bundle(c, sizes[c.source], populations[c.target]) for c in connections(tables)
        ]
        depth = dict.fromkeys(populations, 1)
        for bundle in self.bundles:
            depth[bundle.target] = max(depth[bundle.target], 1 + max(bundle.delays, default=0))
        self.cells = {
            name: _Cells(population, depth[name]) for name, population in populations.items()
        }

    def samples_at_once(self) -> int:
        """Samples of a batch."""
        values = sum(cells.population.n * (cells.depth + 4) for cells in self.cells.values())
        values += sum(bundle.n_places for bundle in self.bundles)
        wanted = max(CHUNK_SAMPLES, CHUNK_VALUES // max(1, values))
        return max(1, min(wanted, MAX_VALUES // max(1, values)))

    def reset(self, samples: int) -> None:
        """Back to the start, for a batch of ``samples``."""
        self.now = 0
        for cells in self.cells.values():
            cells.reset(samples)

    def step(self, column: NDArray[np.int64]) -> None:
        """One time step. ``column`` (samples, channels): how often each sends."""
        sent: dict[str, Counts] = {
            source.name: column[:, source.channels] for source in self.tables.inputs
        }
        for name, cells in self.cells.items():
            cells.step(self.now)
            sent[name] = cells.spikes
        for bundle in self.bundles:
            spikes = sent[bundle.source]
            if not spikes.any():
                continue
            sums = bundle.sums(spikes)
            into = self.cells[bundle.target]
            for k, delay in enumerate(bundle.delays):
                into.due[(self.now + 1 + delay) % into.depth] += sums[:, k]
        self.now += 1


class _Cells:
    """A population's states (samples, n) and, in ``due`` (depth, samples, signs, n), what is on its
    way to it.

    With synaptic currents, excitatory and inhibitory weights are summed apart; else there is one
    sum.
    """

    def __init__(self, population: Population, depth: int) -> None:
        self.population, self.depth = population, depth
        self.signs = 2 if population.model in FILTERED else 1

    def reset(self, samples: int) -> None:
        """The start."""
        n = self.population.n
        self.v: Float32 = np.zeros((samples, n), np.float32) + self.population.v_init
        self.exc: Float32 = np.zeros((samples, n), np.float32)
        self.inh: Float32 = np.zeros((samples, n), np.float32)
        self.spikes = np.zeros((samples, n), np.bool_)
        self.due = np.zeros((self.depth, samples, self.signs, n), np.int64)

    def step(self, now: int) -> None:
        """Take in what is due and fire."""
        p = self.population
        arrived = self.due[now % self.depth]
        summed = arrived.astype(np.float32)
        if p.exc_decay is not None and p.inh_decay is not None:
            self.exc = rule.current_step(self.exc, summed[:, 0], p.exc_decay)
            self.inh = rule.current_step(self.inh, summed[:, 1], p.inh_decay)
            drive = self.exc + self.inh
        else:
            drive = summed[:, 0]
        v = rule.membrane_step(self.v, drive, p.alpha_decay, p.i_offset)
        self.spikes, self.v = rule.fire(v, p.threshold, p.v_reset, p.reset)
        arrived[:] = 0


class _Bundle:
    """A projection, ready to sum up what a step sends."""

    def __init__(self, synapses: Connections, n_sources: int, target: Population) -> None:
        self.source, self.target, self.n_targets = synapses.source, synapses.target, target.n
        self.signs = 2 if target.model in FILTERED else 1
        delays, number = np.unique(synapses.delay.astype(np.int64), return_inverse=True)
        self.delays: list[int] = delays.tolist()
        sign = (synapses.weight < 0).astype(np.int64) if self.signs == 2 else 0
        places = (number * self.signs + sign) * self.n_targets + synapses.post.astype(np.int64)
        self.n_places = len(self.delays) * self.signs * self.n_targets
        pre, weight = synapses.pre.astype(np.int64), synapses.weight.astype(np.int64)
        self.synapses = summing(Synapses(pre, places, weight, n_sources, self.n_places))

    def sums(self, spikes: Counts) -> NDArray[np.int64]:
        """(samples, delays, signs, targets): what ``spikes`` (samples, sources) sends, one sum a
        delay and sign.
        """
        return self.synapses.sums(spikes).reshape(
            len(spikes), len(self.delays), self.signs, self.n_targets
        )
