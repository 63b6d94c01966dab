"""Which of several calibrations to keep: none may end below where it started, on samples it has not seen.

Two measures: how far the outputs' spikes are from the model's, on all judged samples; and how often another output has
the largest count, on the given ones and on those that the model is sure of. (On others that are made up the second
says nothing of real ones. Measured on BasicMotions: .865 before and .835 after a calibration that brings it from .633
to .933 on samples that were left out.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nirc.calibration.objective import disagreements, distances
from nirc.calibration.samples import Samples, given_share
from nirc.ir.arrays import Float

HARMLESS = 0.02  # of the start's distance: what a few given samples may lose without a veto
LEAST = 0.05  # of the start's distance: what a change has to bring to be worth it
NOISE = 1.0  # standard errors of the mean difference
CLEAR_NOISE = 2.0  # the same of answers to clear samples: they are made up, and many


@dataclass(frozen=True)
class Judged:
    """Of each judged sample, means of all ways in which the chip may work: distance, and disagreement with the model.

    The first ``given`` samples are the user's own, the others made up, the last ``clear`` so that the model is sure.
    """

    name: str
    distance: Float
    differs: Float
    given: int
    clear: int = 0

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


def judged(name: str, answers: Sequence[Float], taught: Float, own: Samples) -> Judged:
    """``answers``: outputs (samples, steps, outputs) of each way in which the chip may work."""
    far = np.mean([distances(a, taught) for a in answers], axis=0)
    differs = np.mean([disagreements(a, taught) for a in answers], axis=0)
    return Judged(name, far, differs, own.judge_given, own.clear)


def better(one: Judged, start: Judged) -> bool:
    """Whether ``one`` is nearer to the model than ``start``, beyond noise, and ``no_worse`` in what else counts."""
    return _beyond_noise(start.distance - one.distance, start.given) and no_worse(one, start)


def no_worse(one: Judged, start: Judged) -> bool:
    """Whether ``one`` is nearer than ``start`` on all samples, as near on the given ones, and answers these and clear
    ones as well."""
    nearer, won, given = start.distance - one.distance, start.differs - one.differs, start.given
    own = nearer[:given]
    kept = own.mean() >= -max(NOISE * _error(own), HARMLESS * start.far)
    mine, clear = won[:given], won[len(won) - start.clear :]
    answered = _kept_answers(mine, NOISE) and _kept_answers(clear, CLEAR_NOISE)
    return bool(one.far < (1 - LEAST) * start.far and kept and answered)


def _kept_answers(won: Float, noise: float) -> bool:
    """Whether no more answers are lost than won, but for ``noise`` standard deviations: a sign test."""
    return bool(won.sum() >= -noise * np.sqrt(np.abs(won).sum()))


def _beyond_noise(gain: Float, given: int) -> bool:
    share = given_share(given)
    noise = np.sqrt((share * _error(gain[:given])) ** 2 + ((1 - share) * _error(gain[given:])) ** 2)
    return bool(share * gain[:given].mean() + (1 - share) * gain[given:].mean() > NOISE * noise)


def _error(values: Float) -> float:
    """Standard error of the mean."""
    return float(values.std() / np.sqrt(max(1, values.size)))
