"""Shared by both loops of annealing: marks of cells, random numbers, the rule of acceptance.

Random numbers are the same on every machine: they come from a generator of nirc (xorshift64,
Marsaglia 2003). Logarithms are tabled, since the last bit of ``exp`` differs between C libraries.
"""

from __future__ import annotations

import numpy as np

from nirc.mapping.compiled import compiled

WANTED_RATE = 0.25  # share of accepted moves below which the window shrinks
FREE = -1  # marks of cells
NO_CELL = -2
# A step uphill by d is accepted at temperature T if d <= T * e. The exponential distribution gives
# e.
UPHILL = np.round(-np.log((np.arange(4096) + 0.5) / 4096), 6)


@compiled
def following(state):  # type: ignore[no-untyped-def]
    """Return the next state of the generator. The bits of the state are the random numbers."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@compiled
def below(bits, n):  # type: ignore[no-untyped-def]
    """Map 32 random bits to 0..n-1."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))
