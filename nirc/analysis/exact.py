"""Sums of products that are equal on every machine, whatever the order of its matrix library.

Factors are rounded to a limited number of bits. Then every partial sum is a float64 without
rounding. 20 bits times 20 bits leaves room for 2^12 summands. If one factor is a small integer, as
spike counts are, there is room for more.
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float

BITS = 20


def on_grid(x: Float, bits: int = BITS) -> Float:
    """Round ``x`` to multiples of 2^-bits of the power of two above its largest magnitude."""
    largest = float(np.max(np.abs(x), initial=0.0))
    if not (0.0 < largest < np.inf):
        return x
    step = 2.0 ** (int(np.frexp(largest)[1]) - bits)
    rounded: Float = np.rint(x / step) * step
    return rounded
