"""An integer program as the chip's tables: populations split by decays and threshold, projections
with them.

A process of Lava has one du, dv and vth; so has a neuron group of a core. Outputs keep their order
by ``output_map``, since the neurons of a split population lie apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nirc.backends.loihi2.kernels import geometry_of
from nirc.backends.loihi2.neuron import BinaryInput, LoihiNeuron
from nirc.backends.loihi2.plan import grid
from nirc.backends.loihi2.rule import SignMode
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables
from nirc.files.bounds import MAX_NAME, printable
from nirc.files.chipfiles import ROOM, Labels
from nirc.ir.arrays import Float, Int
from nirc.ir.linear import Conv, Dense, Sparse, Weighted, weights_of
from nirc.ir.populations import Population as Node
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program

FULL = 2  # a matrix with fewer than one synapse in so many places is a list
SMALL = 4096  # but not below so many places


@dataclass(frozen=True)
class Piece:
    """Neurons ``index`` of a population (or of an input) that are one process."""

    name: str
    of: str
    index: Int


@dataclass(frozen=True)
class Lowered:
    """``tables``; the ``pieces`` of each population and input; the column of each model output."""

    tables: Tables
    pieces: dict[str, tuple[Piece, ...]]
    output_map: tuple[int, ...]


def lower(program: Program) -> Lowered:
    """Tables of an integer program."""
    labels = Labels()
    inputs: dict[str, Input] = {}
    first = 0
    for name, source in program.nodes(Source).items():
        inputs[name] = Input(labels.new(name), np.arange(first, first + source.n))
        first += source.n
    pieces: dict[str, tuple[Piece, ...]] = {}
    populations = []
    for name, node in program.nodes(Node).items():
        neuron = node.dynamics
        if isinstance(neuron, BinaryInput):
            ((of, _),) = program.into(name)
            pieces[name] = (Piece(inputs[of].name, of, np.arange(node.n)),)
        if isinstance(neuron, LoihiNeuron):
            pieces[name] = _split(name, neuron, labels)
            populations += [_population(piece, neuron) for piece in pieces[name]]
    projections = list(_projections(program, pieces))
    outputs, output_map = _outputs(program, pieces)
    tables = Tables(first, tuple(inputs.values()), tuple(populations), tuple(projections), outputs)
    return Lowered(tables, pieces, output_map)


def _split(name: str, neuron: LoihiNeuron, labels: Labels) -> tuple[Piece, ...]:
    kinds = np.stack([neuron.du, neuron.dv, neuron.vth], axis=1)
    _, first, kind = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    if len(first) == 1:
        return (Piece(labels.new(name), name, np.arange(len(kinds))),)
    order = np.argsort(first, kind="stable")
    groups = [np.flatnonzero(kind.ravel() == k) for k in order]
    return tuple(
        Piece(labels.new(f"{printable(name, MAX_NAME - 2 * ROOM)}/{i}"), name, g)
        for i, g in enumerate(groups)
    )


def _population(piece: Piece, neuron: LoihiNeuron) -> Population:
    at, one = piece.index, piece.index[0]
    return Population(
        piece.name,
        int(neuron.du[one]),
        int(neuron.dv[one]),
        int(neuron.vth[one]),
        neuron.bias_mant[at],
        neuron.bias_exp[at],
        neuron.v_init[at],
        neuron.spikes,
    )


def _projections(program: Program, pieces: dict[str, tuple[Piece, ...]]) -> Iterator[Projection]:
    number = 0
    for source, target, p in program.edges():
        if target not in pieces or source not in pieces:
            continue
        delay = _late(program, target) - _late(program, source) + p.lag - 1
        for a in pieces[source]:
            for b in pieces[target]:
                op = p.ops[0]
                whole = len(pieces[source]) == len(pieces[target]) == 1
                part = op if whole else _part(op, a.index, b.index)
                made = _projection(f"w{number}", a.name, b.name, part, delay)
                if made is not None:
                    number += 1
                    yield made


def _late(program: Program, name: str) -> int:
    dynamics = program[name].dynamics
    return dynamics.late if isinstance(dynamics, LoihiNeuron) else 0


def _part(op: Weighted, sources: Int, targets: Int) -> Dense | Sparse:
    """The synapses between some neurons."""
    if isinstance(op, Dense):
        return Dense(op.weight[np.ix_(targets, sources)])
    rows, cols, values = op.coo()
    to, of = np.full(op.n_out, -1), np.full(op.n_in, -1)
    to[targets], of[sources] = np.arange(targets.size), np.arange(sources.size)
    keep = (to[rows] >= 0) & (of[cols] >= 0)
    return Sparse(to[rows[keep]], of[cols[keep]], values[keep], sources.size, targets.size)


def _projection(name: str, source: str, target: str, op: Weighted, delay: int) -> Projection | None:
    """None if all its weights are zero."""
    value = weights_of(op)
    if not value.any():
        return None
    if isinstance(op, Conv):
        geometry = geometry_of(op)
        return Projection(
            name, source, target, "conv", value.astype(np.int64), "mixed", geometry=geometry
        )
    mode, exponent = stored(value)
    mantissa = np.rint(value / 2.0**exponent).astype(np.int64)
    rows: Int | None
    cols: Int | None
    if isinstance(op, Dense):
        if mantissa.size <= SMALL or FULL * np.count_nonzero(mantissa) >= mantissa.size:
            delays = None if not delay else np.full(mantissa.shape, delay)
            return Projection(
                name, source, target, "dense", mantissa, mode, delays=delays, weight_exp=exponent
            )
        rows, cols = np.nonzero(mantissa)
        mantissa = mantissa[rows, cols]
    else:
        keep = np.flatnonzero(mantissa)
        keep = keep[np.lexsort((op.source[keep], op.target[keep]))]
        rows, cols, mantissa = op.target[keep], op.source[keep], mantissa[keep]
    delays = None if not delay else np.full(mantissa.shape, delay)
    return Projection(
        name, source, target, "sparse", mantissa, mode, rows, cols, delays, weight_exp=exponent
    )


def stored(value: Float) -> tuple[SignMode, int]:
    """Sign mode and exponent of weights that ``plan.Drive.rounded`` made."""
    mixed = bool(value.min() < 0 < value.max())
    exponent = int(np.log2(grid(float(np.abs(value).max()), mixed=mixed))) - mixed
    return ("mixed" if mixed else "excitatory" if value.max() > 0 else "inhibitory"), exponent


def _outputs(
    program: Program, pieces: dict[str, tuple[Piece, ...]]
) -> tuple[tuple[Output, ...], tuple[int, ...]]:
    outputs, columns, first = [], [], 0
    for sink in program.nodes(Sink):
        ((source, _),) = program.into(sink)
        place = np.zeros(program[sink].n, np.int64)
        for piece in pieces[source]:
            outputs.append(Output(piece.name, np.arange(piece.index.size)))
            place[piece.index] = first + np.arange(piece.index.size)
            first += piece.index.size
        columns += place.tolist()
    return tuple(outputs), tuple(columns)
