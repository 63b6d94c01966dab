"""Run tables bit for bit as Lava's fixed-point models do, many samples at once.

Row r of every recording is the state after Lava's time step r + 1. Column k of the raster is sent
in the same row, k. A synapse takes one step. So column k, like a spike in row k, reaches u of its
target in row k + 1 + delay. A chain of p populations thus answers column k in row k + p at the
earliest. A caller who wants those rows adds empty columns after the last. The arithmetic is in
``rule.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import STATE_SHIFT, WRAP
from nirc.backends.loihi2.tables import (
    FILE,
    Geometry,
    Pair,
    Population,
    Projection,
    Tables,
    from_npz,
)
from nirc.ir.linear import Conv
from nirc.native import networks as native
from nirc.native.networks import Chip
from nirc.semantics.delayed import run_delayed
from nirc.semantics.raster import Recorder, Run, spike_counts
from nirc.semantics.synapses import FLOAT32_INTEGERS, Sums, Synapses, summing
from nirc.semantics.threads import with_one_thread

Bool = NDArray[np.bool_]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

STATES = {"spikes": np.int8, "v": np.int32, "u": np.int32}  # recorded states and their types
MAX_VALUES = 1 << 27  # of the windows of a convolution, eight times
MAX_SYNAPSES = 1 << 26  # of a network for the library in C, with convolutions unrolled

# Names in the manifest of all spiking neurons together, and of the outputs.
NEURONS = "neurons"
READOUT = "readout"


def emulate_files(
    files: Mapping[str, bytes],
    raster: NDArray[np.generic],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
) -> Run:
    """Run ``raster`` (samples, steps, channels) on the files of a bundle.

    With ``record``, ``spikes`` and ``v`` hold all neurons side by side under ``NEURONS``, and the
    outputs' columns under ``READOUT``. Raises ``InputError`` (U604, U605),
    ``CompileError`` (L810).
    """
    tables = from_npz(files[FILE])
    run = emulate(tables, raster, record=record, progress=progress)
    if not record:
        return run
    names = [population.name for population in tables.populations]
    spikes = np.concatenate([run.spikes[name] for name in names], axis=2)
    v = np.concatenate([run.v[name] for name in names], axis=2)
    silent = np.zeros_like(run.outputs)
    return Run(run.outputs, {NEURONS: spikes, READOUT: silent}, {NEURONS: v, READOUT: run.outputs})


@with_one_thread
def emulate(
    tables: Tables,
    raster: ArrayLike,
    *,
    record: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run ``raster`` (samples, steps, channels) of spike counts. Every sample starts afresh.

    Messages are binary: any count above 0 is one spike. ``Run.outputs`` (samples, steps, outputs)
    int32: spikes, 0 or 1, or v of a readout. With ``record``: ``spikes`` (int8) and ``v`` (int32,
    after the reset) of every population by name, and its u in ``extra`` as "u/NAME" (int32), each
    (samples, steps, neurons). ``progress`` gets the number of samples that are finished. Raises
    ``InputError`` (U604) if the raster does not fit.
    """
    inputs = spike_counts(raster, tables.channels)
    if _synapses(tables) <= MAX_SYNAPSES:
        run = _run_in_c(tables, inputs, record=record, progress=progress)
        if run is not None:
            return run
    recorder = Recorder(tables.populations, tables.outputs, STATES, inputs.shape[:2], record=record)
    channels = {source.name: source.channels for source in tables.inputs}
    cells = {population.name: _Cells(population) for population in tables.populations}
    sizes = tables.sizes()
    bundles = [_Bundle(projection, sizes) for projection in tables.projections]
    return run_delayed(inputs, channels, cells, bundles, recorder, progress, np.bool_)


CHIP = Chip(
    "run_loihi",
    ("u_kept", "v_kept", "bias", "threshold", "start"),
    v=np.int32,
    output=np.int32,
    most_count=1,
    currents=True,
)


def _run_in_c(
    tables: Tables,
    inputs: NDArray[Any],
    *,
    record: bool,
    progress: Callable[[int], None] | None,
) -> Run | None:
    channels = {source.name: source.channels for source in tables.inputs}
    populations = [_neurons(p) for p in tables.populations]
    wires = [_wires(p) for p in tables.projections]
    return native.run_delayed(
        CHIP, inputs, channels, populations, wires, tables.outputs, record=record, progress=progress
    )


def _synapses(tables: Tables) -> int:
    """Return the number of synapses, with convolutions unrolled."""
    return sum(
        p.weights.size if p.geometry is None else p.weights.size * p.geometry.positions
        for p in tables.projections
    )


def _neurons(p: Population) -> native.Neurons:
    """Return a population for the library. Decays are factors, as in ``rule.decay``."""
    unity = rule.DECAY_UNITY
    values = {
        "u_kept": np.full(p.n, (unity - p.du - 1) / unity),
        "v_kept": np.full(p.n, (unity - p.dv) / unity),
        "bias": rule.effective_bias(p.bias_mant, p.bias_exp),
        "threshold": np.full(p.n, p.vth << STATE_SHIFT, np.int32),
        "start": p.v_init.astype(np.int32),
    }
    return native.Neurons(p.name, p.n, values, p.spikes)


def _wires(p: Projection) -> native.Wires | native.Matrix:
    g = p.geometry
    if g is not None:
        pads = ((g.padding[0],) * 2, (g.padding[1],) * 2)
        kernel = p.weights.astype(np.float64)
        conv = Conv(kernel, g.shape_in, g.shape_out, g.stride, pads, g.dilation, g.groups)
        post, pre, value = conv.coo()
        none = np.zeros(len(pre), np.int64)
        weight = np.rint(value).astype(np.int64)
        return native.Wires(p.source, p.target, pre, post, weight, none, wraps=True)
    if p.kind == "dense" and p.delays is None and 2 * np.count_nonzero(p.weights) > p.weights.size:
        weights = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits)
        return native.Matrix(p.source, p.target, weights, shift=p.weight_exp)
    rows, cols, weight, delay = _listed(p)
    return native.Wires(p.source, p.target, cols, rows, weight, delay, shift=p.weight_exp)


def _listed(p: Projection) -> tuple[Int64, Int64, Int64, Int64]:
    """Return target, source, weight and delay of each synapse, as the chip stores the weight."""
    weights = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits)
    at = np.nonzero(weights.T)[::-1]  # sorted by source
    rows, cols = at[0], at[-1]
    if p.places is not None:
        rows, cols = (each[at].astype(np.int64) for each in p.places)
    delay = np.zeros(len(rows), np.int64) if p.delays is None else p.delays[at].astype(np.int64)
    return rows, cols, weights[at].astype(np.int64), delay


class _Cells:
    """A population's states (samples, n)."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.n = population.n
        self.bias = rule.effective_bias(population.bias_mant, population.bias_exp)

    def reset(self, samples: int) -> Int32:
        """Go back to the start. Return zeros for the sums (samples, n) of a step."""
        shape = (samples, self.n)
        self.u = np.zeros(shape, np.int32)
        self.v = np.zeros(shape, np.int32) + self.population.v_init.astype(np.int32)
        return np.zeros(shape, np.int32)  # sums wrap around at 32 bits, as in Lava

    def step(self, arrived: Int32) -> None:
        """Take the sums that arrived, and fire."""
        self.u = rule.current_step(self.u, arrived, self.population.du)
        v = rule.membrane_step(self.v, self.u, self.bias, self.population.dv)
        self.spikes, self.v = rule.fire(v, self.population.vth)


class _Convolution:
    """A shared kernel, as one matrix product over the inputs of each output."""

    def __init__(self, weights: Int32, geometry: Geometry) -> None:
        self.geometry = geometry
        self.kernel = weights.shape[2], weights.shape[3]
        per_group = weights.reshape(geometry.groups, -1, weights[0].size)
        reach = np.abs(per_group.astype(np.int64)).sum(axis=2).max()
        precision = np.float32 if reach <= FLOAT32_INTEGERS else np.float64
        self.weights = per_group.transpose(0, 2, 1).astype(precision)  # (group, taps, channels)
        self.at_once = max(1, MAX_VALUES // 8 // (geometry.positions * per_group[:, 0].size))

    def sums(self, spikes: Bool) -> NDArray[np.int64]:
        """Return the sums (samples, places) of ``spikes`` (samples, sources).

        They wrap around at 24 bits as in Lava.
        """
        total = np.zeros((len(spikes), self.geometry.n_out), np.int64)
        for start in range(0, len(spikes), self.at_once):
            seen = windows(spikes[start : start + self.at_once], self.geometry, self.kernel)
            # (samples, group, positions, channels)
            product = seen.astype(self.weights.dtype) @ self.weights
            total[start : start + self.at_once] = product.swapaxes(2, 3).reshape(len(seen), -1)
        wrapped: NDArray[np.int64] = (total + WRAP) % (2 * WRAP) - WRAP
        return wrapped


def windows(spikes: Bool, geometry: Geometry, kernel: Pair) -> Bool:
    """Return the inputs of each output, (samples, groups, positions, taps).

    ``spikes`` are (samples, lines). Taps are in a kernel's order, flat.
    """
    g, (pad_y, pad_x) = geometry, geometry.padding
    maps = np.pad(spikes.reshape(-1, *g.shape_in), ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    span = tuple(d * (k - 1) + 1 for d, k in zip(g.dilation, kernel, strict=True))
    seen = sliding_window_view(maps, span, axis=(2, 3))[
        :, :, :: g.stride[0], :: g.stride[1], :: g.dilation[0], :: g.dilation[1]
    ]
    samples, channels, *rest = seen.shape
    grouped = seen.reshape(samples, g.groups, channels // g.groups, *rest)
    return grouped.transpose(0, 1, 3, 4, 2, 5, 6).reshape(samples, g.groups, g.positions, -1)


class _Bundle:
    """A projection prepared to sum up the spikes of a step."""

    def __init__(self, projection: Projection, sizes: dict[str, int]) -> None:
        self.source = projection.source
        self.target = projection.target
        self.exponent = projection.weight_exp
        self.n_targets = sizes[self.target]
        self.delays: list[int] = [0]
        self.n_places = self.n_targets
        self.synapses: Sums | _Convolution
        if projection.geometry is not None:
            self.synapses = _Convolution(projection.weights.astype(np.int32), projection.geometry)
        else:
            self.synapses = self._sums(projection, sizes)

    def _sums(self, projection: Projection, sizes: dict[str, int]) -> Sums:
        """Return sums with a place for each delay and target neuron.

        The place is the number of the delay * targets + neuron.
        """
        rows, cols, values, delay = _listed(projection)
        delays, number = np.unique(delay, return_inverse=True)
        self.delays = delays.tolist() or [0]
        self.n_places = len(self.delays) * self.n_targets
        places = number * self.n_targets + rows
        return summing(Synapses(cols, places, values, sizes[self.source], self.n_places))

    def sums(self, spikes: Bool) -> Int32:
        """Return the scaled sums (samples, delays, targets) of ``spikes`` (samples, sources)."""
        scaled = rule.scaled(self.synapses.sums(spikes), self.exponent).astype(np.int32)
        return scaled.reshape(len(spikes), len(self.delays), self.n_targets)
