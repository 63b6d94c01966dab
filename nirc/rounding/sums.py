"""Integer weights with kept sums: the sum of its weights drives a neuron, not each weight."""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float, Int


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
