"""Which of several calibrations to keep: none may end below where it started, on samples it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.calibration.objective import distances
from nirc.ir.arrays import Float

NOISE = 1.0  # standard errors of the mean difference


@dataclass(frozen=True)
class Judged:
    """``errors`` (modes, samples): distance of each judged sample from the model's answer."""

    name: str
    errors: Float

    @property
    def mean(self) -> float:
        """Over samples and modes."""
        return float(self.errors.mean())


def judged(name: str, answers: Sequence[Float], taught: Float) -> Judged:
    """``answers``: outputs (samples, steps, outputs) of each way in which the chip may work."""
    return Judged(name, np.stack([distances(a, taught) for a in answers]))


def better(one: Judged, start: Judged, given: int) -> bool:
    """Whether ``one`` is nearer to the model than ``start``, beyond noise; and not farther on the ``given`` samples.

    The first ``given`` samples are the user's own, the others made up.
    """
    gain = (start.errors - one.errors).mean(axis=0)
    return bool(gain.mean() > NOISE * _error(gain) and gain[:given].mean() >= -NOISE * _error(gain[:given]))


def _error(values: Float) -> float:
    """Standard error of the mean."""
    return float(values.std() / np.sqrt(max(1, values.size)))
