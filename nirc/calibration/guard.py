"""Which of several calibrations to keep: none may end below where it started, on samples it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.calibration.objective import distances
from nirc.calibration.samples import given_share
from nirc.ir.arrays import Float

HARMLESS = 0.02  # of the start's distance: what a few given samples may lose without a veto
NOISE = 1.0  # standard errors of the mean difference


@dataclass(frozen=True)
class Judged:
    """Distance of each judged sample from the model's answer, mean of all ways in which the chip may work.

    ``given``: of the user's own samples; ``made``: of those that were made up.
    """

    name: str
    given: Float
    made: Float

    @property
    def mean(self) -> float:
        """Both kinds together."""
        share = given_share(self.given.size)
        return float(share * self.given.mean() + (1 - share) * self.made.mean())


def judged(name: str, answers: Sequence[Float], taught: Float, given: int) -> Judged:
    """``answers``: outputs (samples, steps, outputs) of each way in which the chip may work.

    The first samples are the ``given`` ones.
    """
    every: Float = np.mean([distances(a, taught) for a in answers], axis=0)
    return Judged(name, every[:given], every[given:])


def better(one: Judged, start: Judged) -> bool:
    """Whether ``one`` is nearer to the model than ``start``, beyond noise; and not farther on the given samples."""
    share = given_share(start.given.size)
    own, made = start.given - one.given, start.made - one.made
    noise = np.sqrt((share * _error(own)) ** 2 + ((1 - share) * _error(made)) ** 2)
    return bool(
        start.mean - one.mean > NOISE * noise and own.mean() >= -max(NOISE * _error(own), HARMLESS * start.mean)
    )


def _error(values: Float) -> float:
    """Standard error of the mean."""
    return float(values.std() / np.sqrt(max(1, values.size)))
