"""Networks of integer neurons, run by the library in C: only spikes cost time.

A *line* is a channel of the raster or a neuron. A *place* is a sum of weights in one step. A fold
adds the sums of neighbouring places to what is due at neurons some steps later. The sums wrap
around at 32 bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.native.library import library
from nirc.semantics.raster import Columns, Run

Array = NDArray[Any]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

LEAST_RUN = 8  # places that are added as one vector
MOST_GAP = 3  # from one of them to the next; the weight between them is 0
CHUNK_VALUES = 1 << 23  # values of the raster that are handed over at once
LARGEST_SUM = 1 << 31
CHUNK_SAMPLES = 16  # samples at most, so that progress is shown


@dataclass(frozen=True)
class Neurons:
    """A population. ``parameters`` (n,) by the names that the chip's function reads.

    ``spikes`` false: a readout, whose v is the output.
    """

    name: str
    n: int
    parameters: Mapping[str, Array]
    spikes: bool = True


@dataclass(frozen=True)
class Wires:
    """Synapses from a population or input to a population. A spike acts ``delay`` + 1 steps later.

    ``pre``, ``post``, ``weight``, ``delay``: (synapses,). ``receptor``: 0 or 1. A sum is multiplied
    by 2 to the power of ``shift``, rounding down. ``wraps``: it wraps around at 24 bits, too.
    """

    source: str
    target: str
    pre: Int64
    post: Int64
    weight: Int64
    delay: Int64
    receptor: int = 0
    shift: int = 0
    wraps: bool = False


@dataclass(frozen=True)
class Matrix:
    """Synapses without delays, all to all: ``weight`` (targets, sources), see ``Wires``."""

    source: str
    target: str
    weight: Array
    receptor: int = 0
    shift: int = 0


@dataclass(frozen=True)
class Chip:
    """A function of the library, the parameters that it reads, and the types of what it writes."""

    symbol: str
    parameters: tuple[str, ...]
    v: type[np.generic]
    output: type[np.generic]
    receptors: int = 1
    most_count: int | None = None  # larger counts of an input are clipped
    currents: bool = False  # u is recorded, too


RUNS = ("run_begin", "run_place", "run_length", "run_weight")
ONES = ("one_begin", "one_place", "one_weight")


class _Synapses(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in (*RUNS, *ONES, "weight")),
        ("bytes", ctypes.c_int64),
    )


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("inputs", "neurons", "places", "folds")),
        *((name, ctypes.c_int32) for name in ("depth", "due_width")),
        ("synapses", _Synapses),
        ("fold", ctypes.c_void_p),
    )


class _Record(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("spikes", "v", "u")),
        ("columns", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("column", "column_fires", "output")),
    )


@dataclass(frozen=True)
class Rows:
    """A dense block: ``weight`` (k, n) from each ``line`` (k,) to n places from ``place`` on."""

    line: Int64
    place: int
    weight: Array


class Lines:
    """Weights by line, as the library reads them: lists of synapses, and dense ``rows``.

    The weights are stored without their common factor, 2 to the power of ``shift``, unless
    ``divide`` is false.
    """

    def __init__(
        self,
        line: Int64,
        place: Int64,
        weight: Int64,
        lines: int,
        rows: Sequence[Rows] = (),
        *,
        divide: bool = True,
    ) -> None:
        line, place, weight = _in_order(line, place, weight)
        every = [weight, *(r.weight for r in rows)]
        self.shift = _common_bits(every) if divide else 0
        most = max(_largest(w) for w in every) >> self.shift
        smallest = np.min_scalar_type(-most - 1)
        weight = weight >> self.shift
        starts = np.ones(line.size, np.bool_)
        starts[1:] = (line[1:] != line[:-1]) | (place[1:] > place[:-1] + MOST_GAP)
        begin = np.flatnonzero(starts)
        count = np.empty_like(begin)
        count[:-1] = begin[1:] - begin[:-1]
        count[-1:] = line.size - begin[-1:]
        long = count >= LEAST_RUN
        first = begin[long]
        span = place[first + count[long] - 1] - place[first] + 1
        in_run = np.repeat(long, count)
        packed = np.zeros(int(span.sum()), smallest)
        offset = np.repeat(np.cumsum(span) - span - place[first], count[long])
        packed[offset + place[in_run]] = weight[in_run]
        dense = [(r.weight >> self.shift).astype(smallest).ravel() for r in rows]
        self.weight = np.concatenate([packed, *dense])
        run_line = np.concatenate([line[first], *(r.line for r in rows)])
        order = np.argsort(run_line, kind="stable")
        lengths = np.concatenate([span, *(np.full(len(r.line), r.weight.shape[1]) for r in rows)])
        places = np.concatenate([place[first], *(np.full(len(r.line), r.place) for r in rows)])
        self.run_place = places[order].astype(np.int32)
        self.run_length = lengths[order].astype(np.int32)
        self.run_weight = (np.cumsum(lengths) - lengths)[order]
        self.run_begin = np.searchsorted(run_line[order], np.arange(lines + 1))
        self.one_place = place[~in_run].astype(np.int32)
        self.one_weight = weight[~in_run].astype(np.int32)
        self.one_begin = np.searchsorted(line[~in_run], np.arange(lines + 1))

    def structure(self) -> _Synapses:
        """Return the C structure. Its pointers lead into this object."""
        names = (*RUNS, *ONES, "weight")
        return _Synapses(*(getattr(self, n).ctypes.data for n in names), self.weight.itemsize)


def _largest(weight: Array) -> int:
    """Return the largest magnitude."""
    return max(int(weight.max(initial=0)), -int(weight.min(initial=0)))


def _common_bits(every: Sequence[Array]) -> int:
    """Return the largest k for which all weights are multiples of 2 to the power of k."""
    bits = int(np.bitwise_or.reduce([np.bitwise_or.reduce(w, axis=None) for w in every]))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _in_order(line: Int64, place: Int64, weight: Int64) -> tuple[Int64, Int64, Int64]:
    """Sort by line, then place. Weights from one line to one place are added."""
    rising = (line[1:] > line[:-1]) | ((line[1:] == line[:-1]) & (place[1:] > place[:-1]))
    if rising.all():
        return line, place, weight
    key = line * (int(place.max()) + 1) + place
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    return line[order][first], place[order][first], np.add.reduceat(weight[order], first)


@dataclass(frozen=True)
class Network:
    """A network for one function of the library. ``folds``: rows as the C structure has them."""

    chip: Chip
    lines: Lines
    inputs: int
    neurons: int
    places: int
    parameters: Mapping[str, Array]
    folds: Int32 = field(default_factory=lambda: np.zeros((0, 6), np.int32))
    width: int = 0  # entries that are due in a step

    def run(
        self,
        raster: Array,
        columns: Int32,
        fires: NDArray[np.bool_],
        *,
        record: bool,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Return the output (samples, steps, columns), and to ``record`` spikes, v and u.

        ``columns``: neurons of the output. ``fires``: their spikes, or else their v.
        """
        lib = library()
        assert lib is not None
        samples, steps, _ = raster.shape
        types: dict[str, Any] = {"spikes": np.int8, "v": self.chip.v, "u": np.int32}
        sizes = {"spikes": self.neurons, "v": self.neurons}
        sizes["u"] = self.neurons if self.width else self.places
        kept: dict[str, Array] = {
            name: np.empty((samples, steps, sizes[name]), types[name])
            for name in types
            if record and (name != "u" or self.chip.currents)
        }
        output: Array = np.empty((samples, steps, len(columns)), self.chip.output)
        parameters = [np.ascontiguousarray(self.parameters[n]) for n in self.chip.parameters]
        pointers = (ctypes.c_void_p * len(parameters))(*(a.ctypes.data for a in parameters))
        depth = 1 + int(self.folds[:, 3].max(initial=0))
        sizes_ = (self.inputs, self.neurons, self.places, len(self.folds), depth, self.width)
        synapses = self.lines.structure()
        network = _Network(*sizes_, synapses, self.folds.ctypes.data)
        columns, flags = np.ascontiguousarray(columns, np.int32), fires.astype(np.uint8)
        at_once = max(1, min(CHUNK_SAMPLES, CHUNK_VALUES // max(1, steps * self.inputs)))
        for start in range(0, samples, at_once):
            part = raster[start : start + at_once]
            part = part if self.chip.most_count is None else np.minimum(part, self.chip.most_count)
            part = np.ascontiguousarray(part, np.int32)
            states = [kept[n][start:].ctypes.data if n in kept else None for n in types]
            out = (columns.ctypes.data, flags.ctypes.data, output[start:].ctypes.data)
            status = getattr(lib, self.chip.symbol)(
                ctypes.byref(network),
                ctypes.byref(pointers),
                ctypes.c_void_p(part.ctypes.data),
                ctypes.c_int64(len(part)),
                ctypes.c_int64(steps),
                ctypes.byref(_Record(*states, len(columns), *out)),
            )
            if status:
                raise MemoryError
            if progress is not None:
                progress(start + len(part))
        return output, kept


def run_delayed(
    chip: Chip,
    inputs: Array,
    channels: Mapping[str, Array],
    populations: Sequence[Neurons],
    wires: Sequence[Wires | Matrix],
    outputs: Sequence[Columns],
    *,
    record: bool,
    progress: Callable[[int], None] | None = None,
) -> Run | None:
    """Run ``inputs`` (samples, steps, channels) through a network of synapses with delays.

    ``channels``: of each input of the network. The recordings are named as ``Recorder`` names them.
    Return None without the library, or if a sum of a step might need more than 32 bits.
    """
    if library() is None:
        return None
    first = np.cumsum([0, *(p.n for p in populations)])
    at = {p.name: int(n) for p, n in zip(populations, first, strict=False)}
    most = int(inputs.max(initial=1)) if chip.most_count is None else chip.most_count
    if _largest_sum(wires, {p.name: p.n for p in populations}) * most >= LARGEST_SUM:
        return None
    network = _assembled(chip, inputs.shape[2], channels, populations, wires, at)
    shown = {p.name: p.spikes for p in populations}
    columns = np.concatenate([at[o.population] + o.neurons for o in outputs]).astype(np.int32)
    fires = np.concatenate([np.full(len(o.neurons), shown[o.population]) for o in outputs])
    output, kept = network.run(inputs, columns, fires, record=record, progress=progress)
    if fires.all():
        output = output.astype(np.int32, copy=False)
    if not record:
        return Run(output)
    pieces = list(zip(at, pairwise(first.tolist()), strict=True))
    of = {
        state: {name: values[:, :, begin:end] for name, (begin, end) in pieces}
        for state, values in kept.items()
    }
    currents = {f"u/{name}": values for name, values in of.get("u", {}).items()}
    return Run(output, of["spikes"], of["v"], currents)


def _assembled(
    chip: Chip,
    channel_count: int,
    channels: Mapping[str, Array],
    populations: Sequence[Neurons],
    wires: Sequence[Wires | Matrix],
    at: Mapping[str, int],
) -> Network:
    """Return the network. ``at``: the first neuron of each population."""
    neurons = sum(p.n for p in populations)
    line_of = {name: np.asarray(index, np.int64) for name, index in channels.items()}
    line_of |= {p.name: channel_count + at[p.name] + np.arange(p.n) for p in populations}
    size = {p.name: p.n for p in populations}
    places = 0
    parts: list[tuple[Int64, Int64, Int64]] = []
    dense: list[Rows] = []
    folds: list[tuple[int, ...]] = []
    for w in wires:
        n = size[w.target]
        due = w.receptor * neurons + at[w.target]
        if isinstance(w, Matrix):
            dense.append(Rows(line_of[w.source], places, w.weight.T))
            folds.append((places, n, due, 1, w.shift, False))
            places += n
            continue
        delays, number = np.unique(w.delay, return_inverse=True)
        parts.append((line_of[w.source][w.pre], places + number * n + w.post, w.weight))
        for delay in delays.tolist():
            folds.append((places, n, due, 1 + delay, w.shift, w.wraps))
            places += n
    lines = Lines(*_joined(parts), channel_count + neurons, dense)
    rows = np.array(folds, np.int32).reshape(-1, 6)
    rows[:, 4] += lines.shift
    names = chip.parameters if populations else ()
    parameters = {n: np.concatenate([p.parameters[n] for p in populations]) for n in names}
    width = chip.receptors * neurons
    return Network(chip, lines, channel_count, neurons, places, parameters, rows, width)


def _largest_sum(wires: Sequence[Wires | Matrix], size: Mapping[str, int]) -> float:
    """Return the largest sum of magnitudes into a receptor of a neuron, by all wires and delays."""
    sums: dict[tuple[str, int], Array] = {}
    for w in wires:
        if isinstance(w, Matrix):
            total = np.abs(w.weight).sum(axis=1)
        else:
            total = np.bincount(w.post, np.abs(w.weight), size[w.target])
        into = (w.target, w.receptor)
        sums[into] = sums.get(into, 0) + total
    return max((float(total.max(initial=0)) for total in sums.values()), default=0.0)


def _joined(parts: Sequence[tuple[Int64, Int64, Int64]]) -> tuple[Int64, Int64, Int64]:
    nothing = np.zeros(0, np.int64)
    line, place, weight = (
        np.concatenate([nothing, *(part[i] for part in parts)]) for i in range(3)
    )
    return line, place, weight
