"""The neurons of SpiNNaker2's stock models, in float32, exactly as chips did it.

The functions work element by element on float32 arrays of any batch shape and broadcast parameters.
Checked against 31,561 spikes recorded on a chip: ``lif`` with a reset to a value and
``lif_curr_exp`` with subtraction. Two recordings of ``lif_curr_exp_no_delay``, with either reset,
are possible under the rule. One of them is not if v takes the current of the step before
(``benchmarks/spinnaker2_recorded.py``). Taken over to the other models without delays (I). The
order of additions inside a step is chosen (?). Source: targets sheet, section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nirc.backends.spinnaker2.neuron import SpinNeuron
    from nirc.backends.spinnaker2.tables import Population

Float32 = NDArray[np.float32]
Reset = Literal["reset_to_v_reset", "reset_by_subtraction"]
RESETS: tuple[Reset, ...] = ("reset_to_v_reset", "reset_by_subtraction")


def current_step(current: Float32, arrived: Float32, decay: Float32) -> Float32:
    """Return a synaptic current after a step in which weights of its sign add up to ``arrived``."""
    return decay * current + arrived


def membrane_step(v: Float32, drive: Float32, alpha_decay: Float32, i_offset: Float32) -> Float32:
    """Return v before the threshold. ``drive``: the sum of the weights, or of both currents."""
    return alpha_decay * v + drive + i_offset


def fire(
    v: Float32, threshold: Float32, v_reset: Float32, reset: Reset
) -> tuple[NDArray[np.bool_], Float32]:
    """Return spikes and v after them.

    A membrane at the threshold fires (M: 15,642 of 20,722 recorded spikes depend on this).
    """
    spikes = v >= threshold
    after = v - threshold if reset == "reset_by_subtraction" else v_reset
    return spikes, np.where(spikes, after, v)


class States:
    """States (samples, n) of the neurons of a population, from the chip's first step on."""

    def __init__(self, parameters: SpinNeuron | Population, samples: int, n: int) -> None:
        self.parameters = parameters
        self.v: Float32 = np.zeros((samples, n), np.float32) + parameters.v_init
        self.exc: Float32 = np.zeros((samples, n), np.float32)
        self.inh: Float32 = np.zeros((samples, n), np.float32)

    def step(self, arrived: Float32, inhibition: Float32) -> NDArray[np.bool_]:
        """Take the weights that arrived, and return spikes.

        ``inhibition``: the weights of the inhibitory current, for models with two currents.
        """
        p = self.parameters
        drive = arrived
        if p.exc_decay is not None and p.inh_decay is not None:
            self.exc = current_step(self.exc, arrived, p.exc_decay)
            self.inh = current_step(self.inh, inhibition, p.inh_decay)
            drive = self.exc + self.inh
        v = membrane_step(self.v, drive, p.alpha_decay, p.i_offset)
        spikes, self.v = fire(v, p.threshold, p.v_reset, p.reset)
        return spikes
