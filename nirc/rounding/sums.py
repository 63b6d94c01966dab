"""Whole weights whose sums are kept: what drives a neuron is the sum of its weights, not each of them."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float, Int


def sums_kept(value: Float, row: Int, n: int, low: float, high: float) -> Float:
    """``value`` (entries,) as whole numbers from ``low`` to ``high``, each less than 1 off; of each of ``n`` rows the
    sum is as near as can be.

    Rounded one by one, small weights of one sign all lose, and together they are what drives a neuron: so those that
    lose most are rounded the other way, as many as it takes.
    """
    whole = np.rint(value)
    lost = value - whole
    missing = np.rint(np.bincount(row, lost, minlength=n))
    sign = np.sign(missing)[row]
    some = np.flatnonzero(sign)
    order = some[np.lexsort((-(lost * sign)[some], row[some]))]
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    turned = order[place < np.abs(missing)[row[order]]]
    whole[turned] += sign[turned]
    return np.clip(whole, low, high)
