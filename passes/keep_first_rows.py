"""keep-first-rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from nirc.diagnostics.log import Log
from nirc.frontend.raw import knows_first_row
from nirc.ir.arrays import frozen
from nirc.ir.linear import Dense, Diagonal, LinearOp, Sparse
from nirc.ir.populations import Projection
from nirc.ir.program import Program


@dataclass(frozen=True)
class KeepFirstRows:
    """Leave out the synapses of an outline that are not known.

    Of a large matrix only the first row is known. The program is a part of the network: a chip that
    cannot hold the part cannot hold the network. Of a product behind such a matrix nothing is
    known, because its other rows may cancel the first.
    """

    name: ClassVar[str] = "keep-first-rows"

    def run(self, program: Program, log: Log) -> Program:
        """Return the program with the known synapses."""
        edges = [(source, target, _known(p)) for source, target, p in program.edges()]
        return program.rebuilt(dict(program.graph.nodes(data="payload")), edges)


def _known(projection: Projection) -> Projection:
    ops = list(map(_known_operator, projection.ops))
    for k, op in enumerate(projection.ops):
        if ops[k] is not op and not all(isinstance(later, Diagonal) for later in ops[k + 1 :]):
            nothing = np.zeros(0, np.int64)
            ops[k] = Sparse(nothing, nothing, frozen(np.zeros(0)), op.n_in, op.n_out)
    return replace(projection, ops=tuple(ops))


def _known_operator(op: LinearOp) -> LinearOp:
    if not isinstance(op, Dense) or not knows_first_row(op.weight):
        return op
    source = np.flatnonzero(op.weight[0])
    target = np.zeros_like(source)
    return Sparse(target, source, frozen(op.weight[0][source]), op.n_in, op.n_out)
