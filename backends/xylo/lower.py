"""A program as one reservoir: inputs, hidden neurons, readout neurons, and lists of synapses.

The discrete form is lowered to measure a model against the limits, the integer form to build the
chip's tables. ``limits.py`` names the measures at the end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nirc.analysis.operators import unrolled
from nirc.backends.xylo.legalise import readouts
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program

Measure = Iterable[tuple[str, int]]  # (where, used) pairs of one resource
MOST_NAMED = 6  # populations in a text


@dataclass(frozen=True)
class Block:
    """A population's neurons, ``start`` to ``stop`` of the inputs, hidden or readout neurons."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Synapses:
    """Entries by target, then source.

    ``value`` (entries, 2): weights to both receptors, bit shift included.
    """

    target: Int
    source: Int
    value: Float


@dataclass(frozen=True)
class Reservoir:
    """Synapses as lists with one entry for each pair of neurons. Blocks are in program order."""

    program: Program
    inputs: tuple[Block, ...]
    hidden: tuple[Block, ...]
    readout: tuple[Block, ...]
    sinks: tuple[str, ...]  # the model's output behind each readout block
    from_input: Synapses
    recurrent: Synapses
    to_readout: Synapses

    @property
    def channels(self) -> int:
        """The number of the model's inputs."""
        return _end(self.inputs)

    @property
    def n_hidden(self) -> int:
        """The number of hidden neurons without the relays of a placement."""
        return _end(self.hidden)

    @property
    def n_readout(self) -> int:
        """The number of readout neurons."""
        return _end(self.readout)

    def name(self, neuron: int) -> str:
        """Return hidden neuron 37 as ``neuron 5 of `lif2```."""
        block = self.hidden[bisect_right(self.hidden, neuron, key=_start) - 1]
        return f"neuron {neuron - block.start} of `{block.name}`"


def lower(program: Program, log: Log, *, synapses: bool = True) -> Reservoir:
    """Return one reservoir for a legal program, without its synapses if they are not needed.

    Raises ``CompileError`` (P307).
    """
    outputs = readouts(program)
    inputs = _blocks(program, list(program.nodes(Source)))
    hidden = _blocks(program, [n for n in program.nodes(Population) if n not in outputs])
    # Readout neurons lie in the order of the model's outputs.
    by_sink = {sink: name for name, sink in outputs.items()}
    sinks = [s for s in program.nodes(Sink) if s in by_sink]
    readout = _blocks(program, [by_sink[s] for s in sinks])
    start = {b.name: b.start for b in (*inputs, *hidden, *readout)}
    parts: dict[str, list[Synapses]] = {"in": [], "rec": [], "out": []}
    for source, target, projection in program.edges():
        if target not in start or not synapses:
            continue
        op = unrolled(projection, program[source].n, log)
        kind = "in" if isinstance(program[source], Source) else "rec"
        if target in outputs:
            kind = "out"
        value = np.zeros((op.value.size, 2))
        value[:, projection.synapse] = op.value
        parts[kind].append(Synapses(op.target + start[target], op.source + start[source], value))
    log.raise_if_errors()
    return Reservoir(
        program,
        inputs,
        hidden,
        readout,
        tuple(sinks),
        _merged(parts["in"]),
        _merged(parts["rec"]),
        _merged(parts["out"]),
    )


def _start(block: Block) -> int:
    return block.start


def _blocks(program: Program, names: list[str]) -> tuple[Block, ...]:
    blocks = []
    start = 0
    for name in names:
        stop = start + program[name].n
        blocks.append(Block(name, start, stop))
        start = stop
    return tuple(blocks)


def _end(blocks: tuple[Block, ...]) -> int:
    return blocks[-1].stop if blocks else 0


def _merged(parts: list[Synapses]) -> Synapses:
    """Add up parallel projections: one entry for each pair of neurons."""
    none = np.zeros(0, dtype=np.int64)
    target = np.concatenate([none, *(p.target for p in parts)])
    source = np.concatenate([none, *(p.source for p in parts)])
    value = np.concatenate([np.zeros((0, 2)), *(p.value for p in parts)])
    width = int(source.max(initial=0)) + 1
    key, inverse = np.unique(target * width + source, return_inverse=True)
    total = np.zeros((key.size, 2))
    np.add.at(total, inverse, value)
    keep = total.any(axis=1)
    return Synapses(key[keep] // width, key[keep] % width, total[keep])


def input_channels(reservoir: Reservoir) -> Measure:
    """Measure the channels that a synapse leaves from. Unused inputs need no channel."""
    used = np.unique(reservoir.from_input.source).size
    return [(_named(reservoir.inputs), min(reservoir.channels, max(used, 1)))]


def hidden_neurons(reservoir: Reservoir) -> Measure:
    """Measure hidden neurons before any relay."""
    return [(_named(reservoir.hidden), reservoir.n_hidden)]


def output_neurons(reservoir: Reservoir) -> Measure:
    """Measure readout neurons."""
    return [(_named(reservoir.readout), reservoir.n_readout)]


def fan_out(reservoir: Reservoir) -> Measure:
    """Measure the recurrent entries of each hidden neuron, the largest first."""
    count = np.bincount(reservoir.recurrent.source, minlength=reservoir.n_hidden)
    used = np.flatnonzero(count)
    largest_first = used[np.argsort(-count[used], kind="stable")].tolist()
    return [(reservoir.name(n), int(count[n])) for n in largest_first]


def entries(reservoir: Reservoir) -> Measure:
    """Measure all recurrent entries. A pair of neurons costs one."""
    return [("all recurrent synapses", int(reservoir.recurrent.target.size))]


def synaptic_states(reservoir: Reservoir) -> Measure:
    """Measure the synaptic states of a neuron, by hidden population."""
    second = np.zeros(reservoir.n_hidden, dtype=bool)
    for synapses in (reservoir.from_input, reservoir.recurrent):
        second[synapses.target[synapses.value[:, 1] != 0]] = True
    return [(f"`{b.name}`", 1 + int(second[b.start : b.stop].any())) for b in reservoir.hidden]


def _named(blocks: tuple[Block, ...]) -> str:
    names = [f"`{block.name}`" for block in blocks[:MOST_NAMED]]
    return ", ".join(names + ["..."] * (len(blocks) > MOST_NAMED))
