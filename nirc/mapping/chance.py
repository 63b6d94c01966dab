"""Random numbers of the loops: from generators of nirc, so they are the same on every machine.

Logarithms are tabled, since the last bit of ``exp`` differs between C libraries. The loops run in C
(``nirc/native/mapping.h`` has these functions, too).
"""

from __future__ import annotations

from typing import Any

import numpy as np

# A rise of the cost by d is accepted at temperature T if d <= T * e, with e from this table.
# The values e have the exponential distribution.
UPHILL = np.round(-np.log((np.arange(4096) + 0.5) / 4096), 6)


def first_state(seed: Any) -> Any:
    """Return the first state for ``following``."""
    return np.uint64(seed) * np.uint64(2654435761) + np.uint64(88172645463325252)


def following(state: Any) -> Any:
    """Return the next state (xorshift64, Marsaglia 2003). Its bits are the random numbers."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


def following_linear(state: Any) -> Any:
    """Return the next state (the linear congruence of Knuth's MMIX). Its high bits are random."""
    return state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


def below(bits: Any, n: Any) -> Any:
    """Map 32 random bits to 0..n-1."""
    return np.int64((bits * np.uint64(n)) >> np.uint64(32))
