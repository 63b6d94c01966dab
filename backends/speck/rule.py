"""The neuron of Speck over a whole time step, as sinabs computes it: input is summed up first, then
spikes are counted.

The chip itself has no time step: see ``events.py``. Source: targets sheet, section 2; sinabs 3.1.3
(``MultiSpike``, ``MembraneSubtract``, ``MembraneReset``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


def fire(
    v: Numbers, threshold_high: int, threshold_low: int, return_to_zero: bool
) -> tuple[Numbers, Numbers]:
    """Spikes of a step and the membrane after them; ``v`` of any shape, integers or whole floats
    below 2^52.

    A positive ``v`` gives ``v div threshold_high`` spikes (at least 1 is the smallest threshold);
    each takes the threshold away, or all of them together set ``v`` to 0. The lower bound comes
    last. Nothing saturates above.
    """
    spikes = np.zeros_like(v)
    # Few neurons reach their threshold and division is the slowest operation here: divide only
    # those.
    np.floor_divide(v, threshold_high, out=spikes, where=v >= threshold_high)
    after = np.where(spikes > 0, 0, v) if return_to_zero else v - spikes * threshold_high
    return spikes, np.maximum(after, threshold_low)
