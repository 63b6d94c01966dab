"""An integer program as the chip's tables. ``processes`` splits and joins the populations.

The neurons of a split population lie apart, so ``output_map`` restores the order of the outputs.
The largest u that any input brings about follows from the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.drive import stored
from nirc.backends.loihi2.kernels import geometry_of
from nirc.backends.loihi2.limits import STATE_SHIFT, WRAP
from nirc.backends.loihi2.lists import Lists
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron
from nirc.backends.loihi2.processes import Piece, Pieces, is_whole, processes
from nirc.backends.loihi2.tables import Geometry, Input, Kind, Population, Projection, Tables
from nirc.files.chipfiles import Labels, Output
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, Sparse, Weighted, weights_of
from nirc.ir.populations import Population as Node
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program

FULL = 2  # a matrix with fewer than one synapse in so many places is a list
SMALL = 4096  # places of a matrix that is never a list
BLOCK = 1 << 16  # weights that are added together (benchmarks/scale.py recurrent-8000)


@dataclass(frozen=True)
class Lowered:
    """``tables``, the ``pieces`` of each population and input, the column of each model output."""

    tables: Tables
    pieces: Pieces
    output_map: tuple[int, ...]


def lower(program: Program, order: Mapping[str, Int] | None = None) -> Lowered:
    """Return the tables of an integer program.

    ``order``: for processes by name, the neurons in another order.
    """
    order = order or {}
    labels = Labels()
    inputs: dict[str, Input] = {}
    first = 0
    for name, source in program.nodes(Source).items():
        inputs[name] = Input(labels.new(name), np.arange(first, first + source.n))
        first += source.n
    pieces: Pieces = {}
    for name, node in program.nodes(Node).items():
        if isinstance(node.dynamics, BinaryInput):
            ((of, _),) = program.into(name)
            pieces[name] = (Piece(inputs[of].name, np.arange(node.n)),)
    of_populations, populations = processes(program, labels, order)
    pieces |= of_populations
    projections = tuple(_projections(program, pieces))
    outputs, output_map = _outputs(program, pieces)
    tables = Tables(first, tuple(inputs.values()), populations, projections, outputs)
    return Lowered(tables, pieces, output_map)


def _projections(program: Program, pieces: Pieces) -> Iterator[Projection]:
    number = 0
    lists = Lists()
    for source, target, p in program.edges():
        if target not in pieces or source not in pieces:
            continue
        delay = _latency(program, target) - _latency(program, source) + p.lag - 1
        single = is_whole(pieces[source]) and is_whole(pieces[target])
        for a in pieces[source]:
            for b in pieces[target]:
                op = p.ops[0] if single else _part(p.ops[0], a.index, b.index)
                if a.at is not None or b.at is not None:
                    lists.add(a, b, op, delay, itself=source == target)
                    continue
                projection = _projection(f"w{number}", a.name, b.name, op, delay)
                if projection is not None:
                    number += 1
                    yield projection
    yield from lists.projections(number)


def _latency(program: Program, name: str) -> int:
    dynamics = program[name].dynamics
    return dynamics.latency_steps if isinstance(dynamics, LoihiNeuron) else 0


def _part(op: Weighted, sources: Int, targets: Int) -> Dense | Sparse:
    """Return the synapses between some neurons."""
    if isinstance(op, Dense):
        return Dense(op.weight[np.ix_(targets, sources)])
    rows, cols, values = op.coo()
    row_of, col_of = np.full(op.n_out, -1), np.full(op.n_in, -1)
    row_of[targets], col_of[sources] = np.arange(targets.size), np.arange(sources.size)
    keep = (row_of[rows] >= 0) & (col_of[cols] >= 0)
    n = sources.size, targets.size
    return Sparse(row_of[rows[keep]], col_of[cols[keep]], values[keep], *n)


def _projection(name: str, source: str, target: str, op: Weighted, delay: int) -> Projection | None:
    """Return None if all weights are zero."""
    value = weights_of(op)
    if not value.any():
        return None
    if isinstance(op, Conv):
        weights = value.astype(np.int64)
        return Projection(name, source, target, "conv", weights, "mixed", geometry=geometry_of(op))
    mode, exponent = stored(value)
    steps = value / 2.0**exponent
    mantissa = np.rint(steps, out=steps).astype(np.int16)  # at most 9 bits
    del steps  # a large matrix
    rows: Int | None = None
    cols: Int | None = None
    if isinstance(op, Sparse):
        keep = np.flatnonzero(mantissa)
        keep = keep[np.lexsort((op.source[keep], op.target[keep]))]
        rows, cols, mantissa = op.target[keep], op.source[keep], mantissa[keep]
    elif mantissa.size > SMALL and FULL * np.count_nonzero(mantissa) < mantissa.size:
        rows, cols = np.nonzero(mantissa)
        mantissa = mantissa[rows, cols]
    kind: Kind = "dense" if rows is None else "sparse"
    delays = np.full(mantissa.shape, delay) if delay else None
    return Projection(
        name, source, target, kind, mantissa, mode, rows, cols, delays, weight_exp=exponent
    )


def _outputs(program: Program, pieces: Pieces) -> tuple[tuple[Output, ...], tuple[int, ...]]:
    outputs, columns, first = [], [], 0
    for sink in program.nodes(Sink):
        ((source, _),) = program.into(sink)
        place = np.zeros(program[sink].n, np.int64)
        for piece in pieces[source]:
            outputs.append(Output(piece.name, piece.places))
            place[piece.index] = first + np.arange(piece.index.size)
            first += piece.index.size
        columns += place.tolist()
    return tuple(outputs), tuple(columns)


# The largest u, since u wraps around beyond 24 bits.


def largest_u(tables: Tables, steps: float = np.inf) -> dict[str, int]:
    """Return the largest magnitude of u that any input brings about in ``steps``, by population."""
    return {name: int(np.floor(i.largest_u(steps))) for name, i in _inputs(tables).items()}


def wraps_after(tables: Tables) -> dict[str, int]:
    """Return the steps of full input of one sign that u has room for, where it may wrap around."""
    steps = {}
    for name, into in _inputs(tables).items():
        if into.largest_u(np.inf) < WRAP:
            continue
        high = 2
        while into.largest_u(high) < WRAP:
            high *= 2
        low = high // 2  # the bound rises with the steps
        while low + 1 < high:
            middle = (low + high) // 2
            if into.largest_u(middle) < WRAP:
                low = middle
            else:
                high = middle
        steps[name] = low
    return steps


@dataclass(frozen=True)
class _Inputs:
    """The most that reaches u of a population in a step, in its units, each (n,)."""

    population: Population
    positive: Float
    negative: Float
    self_inhibition: Float

    def largest_u(self, steps: float) -> float:
        reach = rule.largest_state(
            self.positive,
            self.negative,
            np.full(self.population.n, self.population.du),
            steps,
            self_inhibition=self.self_inhibition,
            threshold=float(self.population.vth << STATE_SHIFT),
        )
        return float(reach.max(initial=0.0))


def _inputs(tables: Tables) -> dict[str, _Inputs]:
    populations = {p.name: p for p in tables.populations}
    # positive, negative, self-inhibition
    sums = {name: np.zeros((3, p.n)) for name, p in populations.items()}
    for projection in tables.projections:
        target = populations[projection.target]
        both = _sums(projection, target.n) * (1 << STATE_SHIFT)
        forgets = target.spikes and target.dv == rule.DECAY_UNITY  # v is u
        if forgets and _is_self_inhibition(projection):
            sums[target.name][2] += both[1]
        else:
            sums[target.name][:2] += both
    return {name: _Inputs(p, *sums[name]) for name, p in populations.items()}


def _is_self_inhibition(p: Projection) -> bool:
    """Return True if neurons inhibit themselves by it, and no others, in the next step."""
    if p.source != p.target or p.geometry is not None or (p.weights > 0).any():
        return False
    delayed = p.delays is not None and bool(p.delays.any())
    rows, cols = p.places or np.nonzero(p.weights)
    return not delayed and bool((rows == cols).all())


def _sums(p: Projection, n: int) -> Float:
    """Return (2, n) sums of the positive and of the negative weights, as magnitudes."""
    if p.geometry is None and p.rows is None:
        sums: Float = _row_sums(p) * np.float64(2.0**p.weight_exp)
        return sums
    weights = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits) * 2.0**p.weight_exp
    signed = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)])
    if p.geometry is not None:
        return np.stack([_of_all_pixels(weight, p.geometry) for weight in signed])
    assert p.rows is not None
    return np.stack([np.bincount(p.rows, part, minlength=n) for part in signed]).astype(np.float64)


def _of_all_pixels(weight: Float, g: Geometry) -> Float:
    """Return (n,) what reaches each target if all pixels spike. Padding never does."""
    pads = tuple((pad, pad) for pad in g.padding)
    sums = weight.sum(axis=1, keepdims=True)  # over the channels of a group
    shape_in = (g.groups, *g.shape_in[1:])
    conv = Conv(sums, shape_in, g.shape_out, g.stride, pads, g.dilation, g.groups)
    arrived: Float = conv.apply(np.ones((1, conv.n_in)))[0]
    return arrived


def _row_sums(p: Projection) -> Int:
    """Return (2, n) sums of the positive and negative integers of a matrix, as magnitudes.

    Each block of rows stays in the cache of the processor.
    """
    rows, columns = p.weights.shape
    at_once = max(1, BLOCK // max(1, columns))
    sums = np.zeros((2, rows), np.int64)
    for first in range(0, rows, at_once):
        here = slice(first, first + at_once)
        stored = rule.effective_weights(p.weights[here], p.sign_mode, p.num_weight_bits)
        total = stored.sum(axis=1, dtype=np.int64)
        magnitude = np.abs(stored).sum(axis=1, dtype=np.int64)
        sums[:, here] = (magnitude + total) // 2, (magnitude - total) // 2
    return sums
