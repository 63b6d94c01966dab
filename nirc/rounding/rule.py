"""The interface between quantisers and rounding rules, and the rule without sample inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nirc.ir.arrays import Float
from nirc.ir.linear import LinearOp, Sparse, Weighted
from nirc.ir.populations import Discrete
from nirc.rounding.sums import sums_kept


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


def with_sums_kept(op: Weighted, exact: Float, low: float, high: float) -> Float:
    """Round numbers of ``op`` with least change of each neuron's (or channel's) sum."""
    if isinstance(op, Sparse):
        row = op.target
        n = op.n_out
    else:
        n = len(exact)
        row = np.repeat(np.arange(n), exact[0].size if n else 0)
    return sums_kept(exact.ravel(), row, n, low, high).reshape(exact.shape)


class Rounding(Protocol):
    """A rule that rounds weights to integers."""

    def integers(self, weights: Weights) -> Float:
        """Return integers in the shape of ``weights.exact``."""


class KeepingSums:
    """Keep the sum of each neuron's weights, since the signals of its sources are unknown."""

    def integers(self, weights: Weights) -> Float:
        """See ``with_sums_kept``."""
        return with_sums_kept(weights.op, weights.exact, weights.low, weights.high)


KEEPING_SUMS = KeepingSums()
