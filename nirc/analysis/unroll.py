"""Projections as sparse entries, for chips that store every synapse separately."""

from __future__ import annotations

import numpy as np

from nirc.diagnostics.log import Log
from nirc.ir.linear import LinearOp, Sparse, compose, sparse
from nirc.ir.populations import Projection

MAX_ENTRIES = 1 << 24  # far above any core, and small enough for a laptop


def unrolled(projection: Projection, n_in: int, log: Log) -> Sparse:
    """Return all operators of ``projection`` as one, an empty one with P307 if too large."""
    if not projection.ops:
        index = np.arange(n_in)
        return Sparse(index, index, np.ones(n_in), n_in, n_in)
    result: Sparse | None = _sparse(projection.ops[0])
    for op in projection.ops[1:]:
        if result is None or op.entries > MAX_ENTRIES:
            break
        result = compose(result, op, max_entries=MAX_ENTRIES)
    if result is not None and all(op.entries <= MAX_ENTRIES for op in projection.ops):
        return result
    log.error(
        "P307",
        "a projection has too many synapses to list",
        where="/".join(projection.origins[:1]),
        found=f"more than {MAX_ENTRIES}",
        limit=MAX_ENTRIES,
        help="pool or convolve instead of connecting all with all, or make the layers smaller",
    )
    empty = np.zeros(0, dtype=np.int64)
    return Sparse(empty, empty, np.zeros(0), n_in, projection.ops[-1].n_out)


def _sparse(op: LinearOp) -> Sparse | None:
    if op.entries > MAX_ENTRIES:
        return None
    return op if isinstance(op, Sparse) else sparse(*op.coo(), op.n_in, op.n_out)
