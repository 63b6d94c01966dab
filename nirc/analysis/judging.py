"""The question if one network answers worse than another, and if the network inside is the same.

One rule of "not worse" for ``nirc verify``, and for the guards of calibration and `nirc fit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MARGIN = 0.01  # of accuracy: one point
ALPHA = 0.05  # the chance to call a chip not worse that is worse by more than the margin
PLANNED = 500  # samples at which the bound is tightest
PSEUDO = 0.5  # of a sample in each cell: Agresti and Min, Stat. Med. 24 (2005)
MOST_SAMPLES = 1 << 24
OTHER_RATES = 0.25  # of the model's rate: a larger distance of the rates is another network
OTHER_NEURONS = 0.1  # share that falls silent or always fires


@dataclass(frozen=True)
class Judgement:
    """Right answers that are lost, per sample, and what is certain of them.

    ``interval``: holds with 95 % on each side at every number of samples, so that more may be added
    until it decides. ``not_worse``: by more than one point, None if the samples do not decide.
    ``more_samples``: how many more would, if they are like these, None where that is not known.
    ``noise``: the standard error of ``difference``, were right answers as often won as lost.
    ``chance``: that as many are lost, or more, by a chip that answers as well. It is exact for one
    look at the samples, and tells more of a few than the interval, which holds for many looks.
    """

    difference: float
    interval: tuple[float, float]
    not_worse: bool | None
    more_samples: int | None
    noise: float
    chance: float

    def passes(self, chance: float) -> bool:
        """Return True if the network is not worse, as far as the samples can tell.

        Where they do not decide, it may lose ``chance`` times the noise.
        """
        if self.not_worse is None:
            return self.difference <= chance * self.noise
        return self.not_worse

    def as_tree(self) -> dict[str, Any]:
        """Return the form of JSON files."""
        return {
            "margin": MARGIN,
            "confidence": 1 - ALPHA,
            "difference": self.difference,
            "interval": list(self.interval),
            "not_worse": self.not_worse,
            "more_samples": self.more_samples,
            "chance": self.chance,
        }


def judgement(model: Array, chip: Array, labels: Array | None) -> Judgement:
    """Return if the answers of ``chip`` are worse than those of ``model`` by more than one point.

    Outputs are (samples, steps, outputs). Without ``labels`` the model's answers are right.
    """
    answers = [each.sum(axis=1).argmax(axis=1) for each in (model, chip)]
    before, after = (each == (answers[0] if labels is None else labels) for each in answers)
    return lost_answers(before.astype(np.float64) - after.astype(np.float64))


def lost_answers(lost: Array) -> Judgement:
    """Judge ``lost`` (samples,): 1 for a right answer that is lost, -1 for one that is won.

    A number between is the mean over several runs of the sample.

    Source: I. Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 52 (2024), equation 8.
    """
    samples = len(lost)
    total = samples + 4 * PSEUDO
    squares = float((lost**2).sum())
    mean = float(lost.sum()) / total
    spread = math.sqrt(max(0.0, (squares + 2 * PSEUDO) / total - mean**2))
    reach = spread * radius(samples)
    low, high = mean - reach, mean + reach
    decided = high < MARGIN or low > MARGIN
    return Judgement(
        difference=float(lost.mean()) if samples else 0.0,
        interval=(max(-1.0, low), min(1.0, high)),
        not_worse=high < MARGIN if decided else None,
        more_samples=0 if decided else _missing(mean, spread, samples),
        noise=math.sqrt(float(np.abs(lost).sum())) / max(1, samples),
        chance=_sign_test(int((lost > 0).sum()), int((lost < 0).sum())),
    )


def _sign_test(lost: int, won: int) -> float:
    """Return the chance that of ``lost + won`` fair coins ``lost`` or more fall on one side.

    That is ``chance`` with a unit for each answer, by logarithms: there may be a million.

    Source: Q. McNemar, Psychometrika 12 (1947), in its exact form.
    """
    coins = lost + won
    number = np.arange(coins)
    logs = np.concatenate([[0.0], np.cumsum(np.log(coins - number) - np.log(number + 1))])
    return min(1.0, float(np.exp(logs - coins * math.log(2))[lost:].sum()))


def chance(won: Array, unit: Array) -> float:
    """Return how often chance alone wins as many answers as ``won``, or more.

    ``won`` (samples,): 1 for a right answer that is won, -1 for one that is lost. ``unit``
    (samples,): samples of one number stand or fall together, as inputs that are made from one
    sample do. The randomisation test of paired units: without a difference, each unit's sum is as
    likely to be negative. The probability is exact, by the distribution of the sum.

    Source: R. A. Fisher, "The Design of Experiments" (1935), section 21.
    """
    _, number = np.unique(unit, return_inverse=True)
    sums = np.rint(np.bincount(number.ravel(), won)).astype(np.int64)
    most = int(np.abs(sums).sum())
    chances = np.zeros(2 * most + 1)
    chances[most] = 1.0
    for size in np.abs(sums[sums != 0]):
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
    return float(chances[most + int(sums.sum()) :].sum())


def radius(samples: int) -> float:
    """Return the reach of the bound in standard deviations, one side at ``ALPHA``."""
    alpha = 2 * ALPHA  # the sequence has two sides
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / PLANNED
    n = max(1, samples)
    inner = 2 * (n * rho2 + 1) / (n * n * rho2)
    return math.sqrt(inner * math.log(math.sqrt(n * rho2 + 1) / alpha))


def _missing(mean: float, spread: float, samples: int) -> int | None:
    """Return how many more samples decide, if mean and spread stay."""
    apart = abs(MARGIN - mean)
    enough = max(1, samples)
    while enough <= MOST_SAMPLES:
        if spread * radius(enough) < apart:
            return max(1, enough - samples)
        enough += max(1, enough // 50)
    return None


def rate_distance(model: Array, chip: Array) -> float:
    """Return the earth mover's distance of the neurons' rates, in spikes a step.

    ``model``, ``chip``: rates (neurons,). It asks which rates there are, not which neuron has them.
    """
    if not model.size:
        return 0.0
    return float(np.abs(np.sort(model) - np.sort(chip)).mean())


def has_other_rates(distance: float, rate: float) -> bool:
    """Return True if a ``rate_distance`` is large for the model's mean ``rate``."""
    return distance > OTHER_RATES * max(rate, 1e-12)


def is_other_network(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the populations that do something else on the chip. ``rows``: of the populations."""
    names = []
    for row in rows:
        changed = row["silent"] + row["always"]
        if (
            has_other_rates(row["rate_distance"], row["rate"])
            or changed > OTHER_NEURONS * row["neurons"]
        ):
            names.append(row["name"])
    return names
