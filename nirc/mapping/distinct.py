"""Distinct numbers of large arrays.

numpy sorts or hashes all numbers. A table of all values that may occur is faster if it has not
many more entries than there are numbers (benchmarks/scale.py recurrent-8000).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_VALUES = 2  # entries of the table, for each number


def distinct(numbers: Ints, end: int) -> Ints:
    """Return the distinct ``numbers``, rising. Each is from 0 to ``end`` - 1."""
    if end > MOST_VALUES * numbers.size:
        rising = np.sort(numbers)
        once: Ints = rising[np.append(True, rising[1:] != rising[:-1])[: rising.size]]
        return once
    found = np.zeros(end, np.bool_)
    found[numbers] = True
    return np.flatnonzero(found)


def summed(numbers: Ints, end: int, weights: npt.NDArray[np.generic]) -> tuple[Ints, Floats]:
    """Return the distinct ``numbers``, rising, and the sum of the ``weights`` of each.

    Each number is from 0 to ``end`` - 1. Weights are added in their order.
    """
    if end > MOST_VALUES * numbers.size:
        values, of = np.unique(numbers, return_inverse=True)
        sums = np.bincount(of.ravel(), weights, minlength=values.size)
        return values, sums.astype(np.float64)
    values = distinct(numbers, end)
    return values, np.bincount(numbers, weights, minlength=end)[values].astype(np.float64)
