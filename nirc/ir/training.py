"""Advice for training the network again. A compilation computes nothing from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nirc.ir.rules import Reset


@dataclass(frozen=True)
class Training:
    """A population in its simulator: time constants for decays, and resets that act at once.

    A time constant tau keeps 1 - ``step`` / tau of a state in a step, or exp(-``step`` / tau) where
    ``exact``. ``step`` has the unit of the file's time constants: seconds, and steps where it is 1.
    ``resets``: the simulator's names of resets that act in the step of the spike. ``added``: the
    neurons are a readout that ``--readout`` added.
    """

    simulator: str = ""  # as its authors spell it
    step: float | None = None
    exact: bool = False
    resets: Mapping[Reset, str] = field(default_factory=dict)
    added: bool = False

    def time_constant(self, decay: float) -> str:
        """Return the time constant of ``decay`` as the file has it: ``0.0155 s``."""
        step = self.step or 1.0
        with np.errstate(divide="ignore"):
            tau = np.float64(step) / (-np.log(decay) if self.exact else 1.0 - decay)
        return f"{tau:.4g} {'steps' if step == 1.0 else 's'}"

    def with_decay(self, name: str, decay: float) -> str:
        """Return ``train with a decay of 0.9375 a step: tau_mem = 0.0155 s``."""
        if self.added:
            return f"--readout li:{1 / (1 - decay):g}"
        return f"train with a decay of {decay:.6g} a step: {name} = {self.time_constant(decay)}"
