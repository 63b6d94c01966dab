"""Sums of synapses that saturate after each source: the order of the sources counts."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.ir.arrays import Float
from nirc.ir.linear import Sparse
from nirc.native.library import library

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

LOW, HIGH = -(1 << 15), (1 << 15) - 1  # 16 bits
_POINTER = ctypes.c_void_p
MOST = 1 << 16  # a count beyond this saturates as this one does


@dataclass(frozen=True)
class Fans:
    """Integer synapses by source. Those of source k are ``first[k]`` to ``first[k + 1]``."""

    first: Int64
    target: Int32
    weight: Int32

    @staticmethod
    def of(op: Sparse) -> Fans:
        """Return the synapses of ``op`` by source, then target."""
        order = np.lexsort((op.target, op.source))
        first = np.searchsorted(op.source[order], np.arange(op.n_in + 1))
        weight = np.rint(op.value[order]).astype(np.int32)
        return Fans(first.astype(np.int64), op.target[order].astype(np.int32), weight)


def add(state: Int32, counts: Float, fans: Fans) -> None:
    """Add ``counts`` (rows, sources) times weights to ``state`` (rows, n), source by source.

    The sums saturate at 16 bits after each source. Raises ``ValueError`` for a state whose rows do
    not lie one after another.
    """
    if not state.flags.c_contiguous:
        raise ValueError("the rows of the state must lie one after another")
    run = library()
    if run is None:
        _add(state, counts, fans)
        return
    counts = np.ascontiguousarray(counts, np.float64)
    arrays = (counts, fans.first, fans.target, fans.weight, state)
    counts_at, *at = (array.ctypes.data_as(_POINTER) for array in arrays)
    sizes = (ctypes.c_int64(size) for size in (len(state), len(fans.first) - 1, state.shape[1]))
    run.add_saturated(counts_at, *sizes, *at)


def _add(state: Int32, counts: Float, fans: Fans) -> None:
    """Do the same in numpy."""
    integers = np.clip(np.rint(counts), -MOST, MOST).astype(np.int64)
    for source in np.flatnonzero(integers.any(axis=0)):
        some = slice(fans.first[source], fans.first[source + 1])
        part = np.multiply.outer(integers[:, source], fans.weight[some])
        target = fans.target[some]
        state[:, target] = np.clip(state[:, target] + part, LOW, HIGH)
