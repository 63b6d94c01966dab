"""xylo-quantise: discrete populations to the chip's integers.

Each neuron's state has a scale of its own (chip units per volt): the largest at which its weights,
threshold, bias and summed input stay in range. The bit shifts of the weight matrices are common to
all neurons; all 64 pairs (8 for the readout) are tried and the one with the least error is taken.
Source: targets sheet, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.analysis.unroll import unrolled
from nirc.backends.xylo.legalise import readouts
from nirc.backends.xylo.limits import WEIGHT_SHIFT
from nirc.backends.xylo.plan import Connection, Plan, Shifts
from nirc.diagnostics.log import Log
from nirc.ir.linear import sparse
from nirc.ir.populations import Discrete, Population, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.rounding.rule import KEEPING_SUMS, Rounding


@dataclass(frozen=True)
class XyloQuantise:
    """Choose dashes, scales and bit shifts; weights become integers, those that vanish are
    counted.
    """

    rounding: Rounding = KEEPING_SUMS
    name: ClassVar[str] = "xylo-quantise"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``CompileError`` (P307) if a projection is too large to unroll."""
        plans = planned(program, log)
        nodes = dict(program.graph.nodes(data="payload"))
        edges = [(s, t, p) for s, t, p in program.edges() if t not in plans]  # into sinks
        for name, (plan, shifts) in plans.items():
            nodes[name] = replace(nodes[name], dynamics=plan.neuron(shifts, log))
            for c, op in plan.weights(shifts, self.rounding, log):
                edges.append((c.source, name, replace(c.projection, ops=(op,), biases=())))
        return program.rebuilt(nodes, edges, form=Form.INTEGER)


def planned(program: Program, log: Log) -> dict[str, tuple[Plan, Shifts]]:
    """Each population's plan, with the bit shifts of its weights.

    Raises ``CompileError`` (P307).
    """
    outputs = set(readouts(program))
    found = _connections(program, log)
    plans = {
        n: Plan(n, p, output=n in outputs, into=[c for c in found if c.target == n])
        for n, p in populations_of(program, Discrete).items()
    }
    hidden = _best_shifts([p for p in plans.values() if not p.output])
    readout = _best_shifts([p for p in plans.values() if p.output])
    return {name: (plan, readout if plan.output else hidden) for name, plan in plans.items()}


def _connections(program: Program, log: Log) -> list[Connection]:
    """Parallel projections to one receptor add up: the chip has one entry for each pair of neurons,
    and no delays.
    """
    pairs: dict[tuple[str, str, int], Connection] = {}
    for source, target, p in program.edges():
        if not isinstance(program[target], Population):
            continue
        op, key = unrolled(p, program[source].n, log), (source, target, p.synapse)
        if key in pairs:
            other = pairs[key]
            both = [np.concatenate(two) for two in zip(other.op.coo(), op.coo(), strict=True)]
            op = sparse(both[0], both[1], both[2], op.n_in, op.n_out)
            p = replace(  # noqa: PLW2901 - the joined projection stands for both
                min(other.projection, p, key=lambda each: each.lag),
                biases=other.projection.biases + p.biases,
                origins=other.projection.origins + p.origins,
            )
        pairs[key] = Connection(source, target, p, op, isinstance(program[source], Source))
    log.raise_if_errors()
    return list(pairs.values())


def _best_shifts(plans: list[Plan]) -> Shifts:
    """The pair of bit shifts with the least error over all these populations; the smaller ones
    among equals.
    """
    every = range(WEIGHT_SHIFT[0], WEIGHT_SHIFT[1] + 1)
    kinds = {drive.connection.from_input for plan in plans for drive in plan.drives}
    pairs = [
        Shifts(i, r)
        for i in (every if True in kinds else (0,))
        for r in (every if False in kinds else (0,))
    ]
    return min(pairs, key=lambda s: (sum(p.error(s) for p in plans), s.inputs + s.recurrent))
