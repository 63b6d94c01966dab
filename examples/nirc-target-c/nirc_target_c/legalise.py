"""c-legalise: each projection is one operator, with the gains of its target in its weights.

Neurons keep the model's update rule. An output shows one population. A counting relay stands
between them where the model adds up or delays spikes, or shows an input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.operators import MAX_ENTRIES, as_kernel, as_matrix, identity, planar
from nirc.diagnostics.log import Log
from nirc.diagnostics.passes import ChipLacks, TooManyEntries
from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, Weighted
from nirc.ir.populations import (
    Discrete,
    Population,
    Projection,
    Role,
    Sink,
    populations_of,
)
from nirc.ir.program import Program
from nirc.ir.rules import LETTER, Fire
from nirc.passes.fuse_linear import fuse
from nirc.passes.legality import (
    OutputRule,
    refuse_membranes,
    refuse_outputs,
    refuse_without_neurons,
)
from nirc_target_c.bounds import COUNT
from nirc_target_c.checks import compares_first
from nirc_target_c.limits import WORDS

ADVICE = "convolutions and poolings alone stay kernels, which are not listed"
COUNTS = "neurons take spike counts, which are bytes"


@dataclass(frozen=True)
class CLegalise:
    """Fold gains into weights, and chains of linear operators into one."""

    name: ClassVar[str] = "c-legalise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P306, P307, P308, P311, P320)."""
        refuse_without_neurons(program, log)
        refuse_membranes(program, COUNTS, log, by_wire=True)
        rule = OutputRule(COUNTS, sums=True, delays=True, inputs=True)
        refuse_outputs(program, rule, log)
        for name, population in populations_of(program, Discrete).items():
            _refuse_early_spikes(name, population, log)
        log.raise_if_errors()
        return _one_operator_each(_shown_by_neurons(program), log)


def _refuse_early_spikes(name: str, population: Population[Discrete], log: Log) -> None:
    """Report spikes that leave before any comparison of their step."""
    d = population.dynamics
    if d.fires and not compares_first(d.rule):
        problem = f"`{name}` sends the spikes of the step before"
        lacks = ChipLacks(where=population.origins[0], problem=problem, source=WORDS)
        log.add(lacks)


def _shown_by_neurons(program: Program) -> Program:
    """Let each output read one population as it is."""
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    relays: dict[str, str] = {}
    for source, target, p in program.edges():
        plain = p.is_wire and len(program.into(target)) == 1
        if not isinstance(nodes[target], Sink) or (plain and isinstance(nodes[source], Population)):
            edges.append((source, target, p))
            continue
        if target not in relays:
            sink = nodes[target]
            relays[target] = program.fresh_name(f"{target}.relay", nodes)
            nodes[relays[target]] = _counting(sink)
            edges.append((relays[target], target, Projection(origins=sink.origins)))
        edges.append((source, relays[target], p))
    return program.rebuilt(nodes, edges)


def _counting(sink: Sink) -> Population[Discrete]:
    """Return neurons that send as many spikes as reach them in the step."""
    zeros = frozen(np.zeros(sink.n))
    ones = frozen(np.ones(sink.n))
    rule = LETTER.with_fire(Fire(">=", COUNT))
    counts = Discrete(zeros, ones, zeros, threshold=ones, v_reset=zeros, rule=rule)
    return Population((sink.n,), counts, sink.origins, Role.RELAY)


def _one_operator_each(program: Program, log: Log) -> Program:
    nodes = dict(program.graph.nodes(data="payload"))
    edges = []
    for source, target, p in program.edges():
        if isinstance(nodes[target], Sink):
            edges.append((source, target, p))
            continue
        gain = _gain(program[target].dynamics, p.synapse)
        ops = one_operator(p.ops, gain, program[source].n)
        if ops is None:
            where = "/".join(p.origins[:1]) or program[target].origins[0]
            log.add(TooManyEntries(where=where, most=MAX_ENTRIES, advice=ADVICE))
            continue
        biases = tuple(replace(b, value=frozen(b.value * gain)) for b in p.biases)
        edges.append((source, target, replace(p, ops=ops, biases=biases)))
    for name, population in populations_of(program, Discrete).items():
        nodes[name] = population.with_dynamics(_without_gains(population.dynamics))
    log.raise_if_errors()
    return program.rebuilt(nodes, edges)


def _gain(d: Discrete, synapse: int) -> Float:
    """Return volts of the membrane for a unit of a receptor's input, (n,)."""
    of_receptor = d.gain_syn_2 if synapse else d.gain_syn
    return d.gain_mem if of_receptor is None else d.gain_mem * of_receptor


def _without_gains(d: Discrete) -> Discrete:
    ones = frozen(np.ones_like(d.gain_mem))
    return replace(
        d,
        gain_mem=ones,
        gain_syn=None if d.gain_syn is None else ones,
        gain_syn_2=None if d.gain_syn_2 is None else ones,
    )


def one_operator(
    ops: tuple[LinearOp, ...], gain: Float, n_in: int
) -> tuple[Pool, Conv] | tuple[Weighted] | None:
    """Return the chain, times ``gain`` (n_out,), as one operator. None if it is too large.

    A pool with windows side by side stays in front of a kernel, since it needs no weights.
    """
    ops = fuse((*ops, Diagonal(frozen(gain))))
    if not ops:
        return (identity(n_in),)
    if len(ops) == 1 and isinstance(ops[0], Dense | Sparse):
        return (ops[0],)
    if len(ops) == 2 and isinstance(ops[0], Pool) and _side_by_side(ops[0]):
        pool = planar(ops[0])
        conv = _behind(pool, ops[1])
        if conv is not None:
            return replace(pool, factor=1.0), conv
    kernel = as_kernel(ops)
    matrix = None if kernel is not None else as_matrix(ops)
    found = kernel or matrix
    return None if found is None else (found,)


def _side_by_side(pool: Pool) -> bool:
    unpadded = all(pad == (0, 0) for pad in pool.padding)
    return unpadded and tuple(pool.kernel) == tuple(pool.stride)


def _behind(pool: Pool, op: LinearOp) -> Conv | None:
    """Return ``op`` times the pool's factor as a kernel on the pooled map, None if it is none."""
    conv = as_kernel((op,))
    if conv is None and isinstance(op, Dense):  # a kernel as large as the map
        shape_in = pool.shape_out
        weight = op.weight.reshape(op.n_out, *shape_in)
        none = ((0, 0), (0, 0))
        conv = Conv(weight, shape_in, (op.n_out, 1, 1), (1, 1), none, (1, 1), 1)
    if conv is None or conv.shape_in != pool.shape_out:
        return None
    return replace(conv, weight=frozen(conv.weight * pool.factor))
