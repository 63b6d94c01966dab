"""The processes of a network: its populations, parts of them, or many small ones joined.

A process of Lava has one du, dv and vth. So has a neuron group of a core. A population with several
is split. In a network of very many projections small populations with the same numbers are one
process, and their synapses are gathered in lists, one for each delay and exponent of weights. A
core has room for few groups and few axons, so such a network takes fewer cores
(``benchmarks/scale.py all-to-all-100``). Weights, delays and answers stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.tables import Population
from nirc.files.bounds import MAX_NAME, printable
from nirc.files.chipfiles import ROOM, Labels
from nirc.ir.arrays import Int
from nirc.ir.linear import Conv
from nirc.ir.populations import Population as Node
from nirc.ir.program import SMALL_POPULATION, Program


@dataclass(frozen=True)
class Piece:
    """Neurons ``index`` of a population, or lines of an input, in a process.

    ``at``: their places in the process, None if they are the process in this order.
    """

    name: str
    index: Int
    at: Int | None = None

    @property
    def places(self) -> Int:
        """The place of each neuron in the process."""
        return np.arange(self.index.size) if self.at is None else self.at


Pieces = dict[str, tuple[Piece, ...]]


def is_whole(pieces: tuple[Piece, ...]) -> bool:
    """Return True if one process has all neurons of the population, listed in their order."""
    index = pieces[0].index
    return len(pieces) == 1 and bool((index == np.arange(index.size)).all())


def in_order(pieces: tuple[Piece, ...]) -> bool:
    """Return True for one process with the neurons of the population alone, in their order."""
    return pieces[0].at is None and is_whole(pieces)


def processes(
    program: Program, labels: Labels, order: Mapping[str, Int]
) -> tuple[Pieces, tuple[Population, ...]]:
    """Return the pieces of each population, and the processes.

    ``order``: for processes by name, the neurons in another order.
    """
    pieces: Pieces = {}
    made: list[Population] = []
    joined = _joined(program)
    first_of = {members[0]: members for members in joined}
    later = {*chain.from_iterable(members[1:] for members in joined)}
    for name, node in program.nodes(Node).items():
        if not isinstance(node.dynamics, LoihiNeuron) or name in later:
            continue
        if name in first_of:
            members = first_of[name]
            base = printable(name, MAX_NAME - 2 * ROOM)
            label = labels.new(f"{base} and {len(members) - 1} more")
            neurons = [program[member].dynamics for member in members]
            made.append(_process(label, neurons, order))
            pieces |= _on_places(members, neurons, label, order)
            continue
        pieces[name] = tuple(_ordered(p, order) for p in _split(name, node.dynamics, labels))
        made += [_population(piece, node.dynamics) for piece in pieces[name]]
    return pieces, tuple(made)


def _joined(program: Program) -> list[list[str]]:
    """Return groups of populations that are one process each, in program order."""
    if not program.has_many_edges():
        return []
    mapped: set[str] = set()  # ends of kernels
    for source, target, projection in program.edges():
        if any(isinstance(op, Conv) for op in projection.ops):
            mapped |= {source, target}
    groups: dict[tuple[int, int, int], list[str]] = {}
    for name, node in program.nodes(Node).items():
        d = node.dynamics
        if not isinstance(d, LoihiNeuron) or not d.spikes or name in mapped:
            continue
        kinds = {*zip(d.du.tolist(), d.dv.tolist(), d.vth.tolist(), strict=True)}
        if len(kinds) == 1 and node.n <= SMALL_POPULATION:
            groups.setdefault(kinds.pop(), []).append(name)
    return [members for members in groups.values() if len(members) > 1]


def _process(label: str, neurons: list[LoihiNeuron], order: Mapping[str, Int]) -> Population:
    """Return the joined ``neurons`` as one process."""
    one = neurons[0]
    n = sum(each.vth.size for each in neurons)
    at = order.get(label, np.arange(n))
    return Population(
        label,
        int(one.du[0]),
        int(one.dv[0]),
        int(one.vth[0]),
        np.concatenate([each.bias_mant for each in neurons])[at],
        np.concatenate([each.bias_exp for each in neurons])[at],
        np.concatenate([each.v_init for each in neurons])[at],
    )


def _on_places(
    members: list[str], neurons: list[LoihiNeuron], label: str, order: Mapping[str, Int]
) -> Pieces:
    """Return the piece of each joined population."""
    ends = np.cumsum([0, *(each.vth.size for each in neurons)])
    place = np.arange(ends[-1])
    if label in order:
        place[order[label]] = np.arange(ends[-1])
    spans = zip(members, ends.tolist(), ends[1:].tolist(), strict=False)
    return {name: (Piece(label, np.arange(b - a), place[a:b]),) for name, a, b in spans}


def _split(name: str, neuron: LoihiNeuron, labels: Labels) -> tuple[Piece, ...]:
    kinds = np.stack([neuron.du, neuron.dv, neuron.vth], axis=1)
    _, first, kind = np.unique(kinds, axis=0, return_index=True, return_inverse=True)
    if len(first) == 1:
        return (Piece(labels.new(name), np.arange(len(kinds))),)
    order = np.argsort(first, kind="stable")
    groups = [np.flatnonzero(kind.ravel() == k) for k in order]
    base = printable(name, MAX_NAME - 2 * ROOM)
    return tuple(Piece(labels.new(f"{base}/{i}"), g) for i, g in enumerate(groups))


def _ordered(piece: Piece, order: Mapping[str, Int]) -> Piece:
    return replace(piece, index=piece.index[order[piece.name]]) if piece.name in order else piece


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


def owners(pieces: Pieces) -> dict[tuple[str, int], tuple[str, int]]:
    """Return population and neuron by process and place, of neurons in joined processes."""
    found: dict[tuple[str, int], tuple[str, int]] = {}
    for name, several in pieces.items():
        for piece in several:
            if piece.at is not None:
                places = zip(piece.at.tolist(), piece.index.tolist(), strict=True)
                found |= {(piece.name, place): (name, neuron) for place, neuron in places}
    return found
