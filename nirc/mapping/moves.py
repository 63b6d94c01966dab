"""What both loops of annealing share: the marks of cells, random numbers, and the rule of acceptance.

The same on every machine: a generator of its own (xorshift64, Marsaglia 2003), and tabled logarithms, since ``exp``
differs in the last bit from one C library to the next.
"""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled

WANTED_RATE = 0.25  # share of accepted moves below which the window shrinks
FREE, NO_CELL = -1, -2
# An uphill step d is taken at temperature T if d <= T * e with e drawn from the exponential distribution.
UPHILL = np.round(-np.log((np.arange(4096) + 0.5) / 4096), 6)


@compiled
def following(state):  # type: ignore[no-untyped-def]
    """The next state of the generator; its bits are the random numbers."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@compiled
def below(bits, n):  # type: ignore[no-untyped-def]
    """32 random bits -> 0..n-1."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))
