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

# benchmarks/scale.py recurrent-8000 shows the gain of both.
BLOCK = 1 << 16  # entries that are rounded together: 512 KiB
LONG = 64  # entries of a row that is not sorted, but searched for its largest losses
OWN_BITS = 8  # of a weight on every chip: `--weight-bits` asks for fewer
LEAST_BITS = 2  # a sign, and a weight or none


def narrowed(own: tuple[int, int], bits: int) -> tuple[int, int]:
    """Return the part of the range ``own`` that two's complement of ``bits`` bits holds.

    A range that is symmetric stays symmetric.
    """
    most = (1 << (bits - 1)) - 1
    least = -most if own[0] == -own[1] else -most - 1
    return max(own[0], least), min(own[1], most)


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
            return sums_kept(exact, op.target, op.n_out, weights.low, weights.high)
        ends = np.arange(len(exact) + 1) * (exact.size // max(1, len(exact)))
        return _rows_rounded(exact.ravel(), ends, weights.low, weights.high).reshape(exact.shape)


KEEPING_SUMS = KeepingSums()


def sums_kept(value: Float, row: Int, n: int, low: float, high: float) -> Float:
    """Round ``value`` (entries,) to integers from ``low`` to ``high``, each less than 1 off.

    The sum of each of ``n`` rows changes least. If each weight were rounded to the nearest, small
    weights of one sign would all lose. So the weights with the largest loss are rounded away
    from the nearest integer.
    """
    ordered = bool((row[1:] >= row[:-1]).all())
    order = slice(None) if ordered else np.argsort(row, kind="stable")
    rounded = np.empty_like(value)
    ends = np.searchsorted(row[order], np.arange(n + 1))
    rounded[order] = _rows_rounded(value[order], ends, low, high)
    return rounded


def _rows_rounded(value: Float, ends: Int, low: float, high: float) -> Float:
    """Round ``value``, whose row i is ``value[ends[i]:ends[i + 1]]``.

    Each block of rows stays in the cache of the processor.
    """
    rounded = np.rint(value)
    first = 0
    while first < len(ends) - 1:
        last = int(np.searchsorted(ends, ends[first] + BLOCK, side="right")) - 1
        last = max(last, first + 1)
        here = slice(ends[first], ends[last])
        _keep_sums(rounded[here], value[here], ends[first : last + 1] - ends[first])
        np.clip(rounded[here], low, high, out=rounded[here])
        first = last
    return rounded


def _keep_sums(rounded: Float, value: Float, ends: Int) -> None:
    """Change the entries of ``rounded`` with the largest loss by 1, as many as each row lacks."""
    lost = value - rounded
    row = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    missing = np.rint(np.bincount(row, lost, minlength=len(ends) - 1))
    lacking = missing != 0
    long = np.diff(ends) > LONG
    for i in np.flatnonzero(lacking & long & np.isfinite(missing)).tolist():
        here = slice(ends[i], ends[i + 1])
        sign = np.sign(missing[i])
        rounded[here][_largest(lost[here] * sign, int(abs(missing[i])))] += sign
    sign = np.where(long, 0.0, np.sign(missing))[row]
    some = np.flatnonzero(sign)
    order = some[np.lexsort((-(lost * sign)[some], row[some]))]
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    turned = order[place < np.abs(missing)[row[order]]]
    rounded[turned] += sign[turned]


def _largest(value: Float, count: int) -> Int:
    """Return the places of the ``count`` largest entries. Of equal entries the first are taken."""
    least = np.partition(value, value.size - count)[value.size - count]
    above = np.flatnonzero(value > least)
    equal = np.flatnonzero(value == least)
    return np.concatenate([above, equal[: count - above.size]])
