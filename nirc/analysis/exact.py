"""Sums of products that come out the same on every machine, whatever order its matrix library adds in.

Factors are rounded to few enough bits that every partial sum is a float64 without rounding: 20 bits times 20 bits
leaves room for 2^12 summands, and for more where one factor is a small whole number, as spike counts are.
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

BITS = 20


def on_grid(x: Float, bits: int = BITS) -> Float:
    """``x`` rounded to whole multiples of 2^-bits of the power of two above its largest magnitude."""
    largest = float(np.max(np.abs(x), initial=0.0))
    if not (0.0 < largest < np.inf):
        return x
    step = 2.0 ** (int(np.frexp(largest)[1]) - bits)
    rounded: Float = np.rint(x / step) * step
    return rounded
