"""The neurons of SpiNNaker2's stock models, in float32, exactly as chips did it.

Every function is pure and works element by element on float32 arrays of any batch shape,
broadcasting parameters. Checked against 31,561 spikes recorded on a chip: ``lif`` with a reset to a
value and ``lif_curr_exp`` with subtraction. Two recordings of ``lif_curr_exp_no_delay``, with
either reset, are possible under the rule, and one is not if v takes the current of the step before
(``benchmarks/spinnaker2_recorded.py``). Taken over to the other models without delays (I); the
order of additions inside a step is chosen (?). Source: targets sheet, section 4.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Reset = Literal["reset_to_v_reset", "reset_by_subtraction"]
RESETS: tuple[Reset, ...] = ("reset_to_v_reset", "reset_by_subtraction")


def current_step(current: Float32, arrived: Float32, decay: Float32) -> Float32:
    """A synaptic current after a step in which weights of its sign summed up to ``arrived``."""
    return decay * current + arrived


def membrane_step(v: Float32, drive: Float32, alpha_decay: Float32, i_offset: Float32) -> Float32:
    """v before the threshold. ``drive``: the sum of the weights, or of both currents."""
    return alpha_decay * v + drive + i_offset


def fire(
    v: Float32, threshold: Float32, v_reset: Float32, reset: Reset
) -> tuple[NDArray[np.bool_], Float32]:
    """Who spikes and v after it. Equality fires (M: 15,642 of 20,722 recorded spikes tell)."""
    spikes = v >= threshold
    after = v - threshold if reset == "reset_by_subtraction" else v_reset
    return spikes, np.where(spikes, after, v)
