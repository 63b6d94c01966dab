"""A program as one reservoir: inputs, hidden neurons in natural order, readout neurons, and lists
of synapses.

Works on the discrete form (to measure what a model would need) and on the integer form (to build
it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirc.analysis.unroll import unrolled
from nirc.backends.xylo.legalise import readouts
from nirc.diagnostics.log import Log
from nirc.ir.arrays import Float, Int
from nirc.ir.populations import Population, Sink, Source
from nirc.ir.program import Program


@dataclass(frozen=True)
class Block:
    """A population's place: neurons ``start`` to ``stop`` of the hidden (or readout) part."""

    name: str
    start: int
    stop: int
    origin: str


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
    """Synapses as lists, one entry for each pair of neurons; blocks in program order."""

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
        """Input channels of the model."""
        return _end(self.inputs)

    @property
    def n_hidden(self) -> int:
        """Hidden neurons, relays for the order of the neurons not counted."""
        return _end(self.hidden)

    @property
    def n_readout(self) -> int:
        """Readout neurons."""
        return _end(self.readout)

    def name(self, neuron: int) -> str:
        """Hidden neuron 37 as ``neuron 5 of `lif2```."""
        block = next(b for b in self.hidden if b.start <= neuron < b.stop)
        return f"neuron {neuron - block.start} of `{block.name}`"


def lower(program: Program, log: Log) -> Reservoir:
    """One reservoir from a legal program. Raises ``CompileError`` (P307)."""
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
        if target not in start:
            continue
        op = unrolled(projection, program[source].n, log)
        kind = (
            "out" if target in outputs else "in" if isinstance(program[source], Source) else "rec"
        )
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


def _blocks(program: Program, names: list[str]) -> tuple[Block, ...]:
    blocks, start = [], 0
    for name in names:
        blocks.append(Block(name, start, start + program[name].n, program[name].origins[0]))
        start += program[name].n
    return tuple(blocks)


def _end(blocks: tuple[Block, ...]) -> int:
    return blocks[-1].stop if blocks else 0


def _merged(parts: list[Synapses]) -> Synapses:
    """Parallel projections add up: one entry for each pair of neurons."""
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
