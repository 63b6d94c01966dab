"""Which of several calibrations to keep: none may end below where it started, on samples it has not seen.

Two measures: how far the outputs' spikes are from the model's, and how often another output has the largest count. The
second is what users look at, and the first says little of it: a network that fires twice too often everywhere is far
from the model and may answer as it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.calibration.objective import disagreements, distances
from nirc.calibration.samples import given_share
from nirc.ir.arrays import Float

HARMLESS = 0.02  # of the start's distance: what a few given samples may lose without a veto
NOISE = 1.0  # standard errors of the mean difference
FAR = 1.0  # distance of a silent chip, or of one that fires twice as often


@dataclass(frozen=True)
class Judged:
    """Of each judged sample, means of all ways in which the chip may work: distance, and disagreement with the model.

    The first ``given`` samples are the user's own, the others made up.
    """

    name: str
    distance: Float
    differs: Float
    given: int

    @property
    def far(self) -> float:
        """Mean distance of both kinds of samples, by their weight."""
        return self._mean(self.distance)

    @property
    def agreement(self) -> float:
        """Share of samples answered as by the model, by weight."""
        return 1.0 - self._mean(self.differs)

    def _mean(self, values: Float) -> float:
        share = given_share(self.given)
        return float(share * values[: self.given].mean() + (1 - share) * values[self.given :].mean())


def judged(name: str, answers: Sequence[Float], taught: Float, given: int) -> Judged:
    """``answers``: outputs (samples, steps, outputs) of each way in which the chip may work."""
    far = np.mean([distances(a, taught) for a in answers], axis=0)
    differs = np.mean([disagreements(a, taught) for a in answers], axis=0)
    return Judged(name, far, differs, given)


def better(one: Judged, start: Judged) -> bool:
    """Whether ``one`` is nearer to the model than ``start`` beyond noise, and answers as the model no less often.

    If the start is ``FAR`` away and answers as the model all the same, it does so by more than the measured spikes:
    then ``one`` must answer so more often, beyond noise. Neither measure may be worse on the given samples.
    """
    nearer, agreeing = start.distance - one.distance, start.differs - one.differs
    given = start.given
    if not _beyond_noise(nearer, given):
        return False
    if one.agreement < start.agreement:
        return False
    if start.far > FAR and agreeing.any() and not _beyond_noise(agreeing, given):
        return False
    own = nearer[:given]
    kept = own.mean() >= -max(NOISE * _error(own), HARMLESS * start.far)
    return bool(kept and agreeing[:given].sum() >= 0)


def _beyond_noise(gain: Float, given: int) -> bool:
    share = given_share(given)
    noise = np.sqrt((share * _error(gain[:given])) ** 2 + ((1 - share) * _error(gain[given:])) ** 2)
    return bool(share * gain[:given].mean() + (1 - share) * gain[given:].mean() > NOISE * noise)


def _error(values: Float) -> float:
    """Standard error of the mean."""
    return float(values.std() / np.sqrt(max(1, values.size)))
