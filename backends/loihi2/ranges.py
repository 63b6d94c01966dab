"""How large u can get, whatever the input: proven from the tables, since the chip's u goes round beyond 24 bits.

In the worst case every source of one sign fires in every step for ever. u then rises to the sum of the weights,
shifted by 6, times 4096 / (du + 1), the sum of a decaying unit; rounding towards zero only makes it smaller.
"""

from __future__ import annotations

import numpy as np

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.limits import STATE_SHIFT
from nirc.backends.loihi2.tables import Projection, Tables
from nirc.ir.arrays import Float


def largest_u(tables: Tables) -> dict[str, int]:
    """For each population the largest magnitude of u that any input brings about, a whole number."""
    sums = {p.name: np.zeros((2, p.n)) for p in tables.populations}
    for projection in tables.projections:
        sums[projection.target] += _sums(projection, sums[projection.target].shape[1])
    return {
        p.name: int(np.floor(sums[p.name].max(initial=0.0) * (1 << STATE_SHIFT) * rule.DECAY_UNITY / (p.du + 1)))
        for p in tables.populations
    }


def _sums(p: Projection, n: int) -> Float:
    """(2, n) what all sources together bring each neuron by weights of either sign, as magnitudes."""
    weights = rule.effective_weights(p.weights, p.sign_mode, p.num_weight_bits) * 2.0**p.weight_exp
    signed = np.stack([np.maximum(weights, 0), np.maximum(-weights, 0)])
    if p.geometry is not None:
        totals: Float = np.repeat(signed.sum(axis=(2, 3, 4)), p.geometry.positions, axis=1)
        return totals
    if p.rows is None:
        return np.asarray(signed.sum(axis=2))
    return np.stack([np.bincount(p.rows, part, minlength=n) for part in signed]).astype(np.float64)
