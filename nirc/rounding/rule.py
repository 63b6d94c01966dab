"""Rounding of weights: the interface of rounding rules, and the rule without sample inputs.

The rule without samples keeps the sum of each neuron's weights, which drives the neuron.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nirc.ir.arrays import Float, Int
from nirc.ir.linear import LinearOp, Sparse, Weighted
from nirc.ir.populations import Discrete


@dataclass(frozen=True)
class Weights:
    """Numbers of ``op`` (its weight or values, same shape) in units of the chip's grid.

    They are rounded to integers from ``low`` to ``high``. ``source`` sends through ``before`` and
    ``op`` into a population of ``target`` dynamics.
    """

    source: str
    target: Discrete
    op: Weighted
    exact: Float
    low: float
    high: float
    before: tuple[LinearOp, ...] = ()


class Rounding(Protocol):
    """A rule that rounds weights to integers."""

    def integers(self, weights: Weights) -> Float:
        """Return integers in the shape of ``weights.exact``."""


class KeepingSums:
    """Keep the sum of each neuron's weights, since the signals of its sources are unknown."""

    def integers(self, weights: Weights) -> Float:
        """Round with least change of each neuron's (or channel's) sum."""
        op = weights.op
        exact = weights.exact
        if isinstance(op, Sparse):
            row = op.target
            n = op.n_out
        else:
            n = len(exact)
            row = np.repeat(np.arange(n), exact[0].size if n else 0)
        return sums_kept(exact.ravel(), row, n, weights.low, weights.high).reshape(exact.shape)


KEEPING_SUMS = KeepingSums()


def sums_kept(value: Float, row: Int, n: int, low: float, high: float) -> Float:
    """Round ``value`` (entries,) to integers from ``low`` to ``high``, each less than 1 off.

    The sum of each of ``n`` rows changes least. If each weight were rounded to the nearest, small
    weights of one sign would all lose. So the weights with the largest loss are rounded away
    from the nearest integer.
    """
    rounded = np.rint(value)
    lost = value - rounded
    missing = np.rint(np.bincount(row, lost, minlength=n))
    sign = np.sign(missing)[row]
    some = np.flatnonzero(sign)
    order = some[np.lexsort((-(lost * sign)[some], row[some]))]
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    turned = order[place < np.abs(missing)[row[order]]]
    rounded[turned] += sign[turned]
    return np.clip(rounded, low, high)
