"""Accuracy and agreement of outputs, with confidence intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.log import Log
from nirc.diagnostics.outcome import LabelsByChance, NoAnswers, OneAnswer
from nirc.diagnostics.usage import LabelsOutOfRange

Array = NDArray[Any]
MOST_SILENT = 0.1  # share of samples without an answer of the model, above which there is a warning
FEWEST_LABELS = 20  # samples, below which a share of right answers says little
Z_ONE_SIDED = 1.6448536269514722  # of the normal distribution, 95 %
Z_95 = 1.959963984540054  # of the normal distribution, two-sided


def score(name: str, output: Array, reference: Array, labels: Array | None) -> dict[str, Any]:
    """Return accuracy and agreement of a stage's ``output`` (samples, steps, outputs).

    An answer is the output with the largest count. ``count_error``: mean absolute difference of a
    count. Intervals: 95 %, see ``wilson``.
    """
    counts = output.sum(axis=1)
    expected = reference.sum(axis=1)
    agreeing = int((counts.argmax(axis=1) == expected.argmax(axis=1)).sum())
    right = None if labels is None else round(accuracy(counts, labels) * len(counts))
    return {
        "name": name,
        "accuracy": None if right is None else right / max(1, len(counts)),
        "accuracy_interval": None if right is None else wilson(right, len(counts)),
        "agreement": agreeing / len(counts) if len(counts) else 1.0,
        "agreement_interval": wilson(agreeing, len(counts)),
        "count_error": float(abs(counts - expected).mean()) if counts.size else 0.0,
        "spikes": float(output.sum()),
    }


def accuracy(counts: Array, labels: Array) -> float:
    """Return the share of samples whose largest count is at the label. The first of equals wins."""
    return float((counts.argmax(axis=1) == labels).mean()) if len(counts) else 0.0


def wilson(hits: int, trials: int) -> list[float]:
    """Return the 95 % score interval [low, high] of a share.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927).
    """
    if not trials:
        return [0.0, 1.0]
    share = hits / trials
    z2 = Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def check_labels(labels: Array | None, outputs: int, log: Log, file: str = "") -> None:
    """Warn (U604) of classes that no output can answer, as when they count from 1."""
    if labels is not None and labels.size and labels.max() >= outputs:
        log.add(LabelsOutOfRange(largest=int(labels.max()), outputs=outputs, file=file))


def check_answers(reference: Array, labels: Array | None, log: Log) -> dict[str, Any]:
    """Return the numbers of samples without an answer and of answers of the model, for JSON.

    ``by_chance``: how often it answers the labels, None where they say more than chance.

    Warn of many without (P316), of one answer for all of several samples (P327), and of answers
    that say nothing of the labels (P330).
    """
    answered = reference.any(axis=(1, 2))
    silent = int((~answered).sum())
    answers = np.unique(reference.sum(axis=1).argmax(axis=1)[answered])
    if len(answers) == 1 and answered.sum() > 1 and reference.shape[2] > 1:
        classes = None if labels is None else len(np.unique(labels))
        log.add(OneAnswer(output=int(answers[0]), samples=len(reference), classes=classes))
    if silent > MOST_SILENT * len(reference):
        log.add(NoAnswers(silent=silent, samples=len(reference), most=MOST_SILENT))
    by_chance = _labels_by_chance(reference, labels)
    if by_chance is not None:
        log.add(by_chance)
    return {
        "silent_samples": silent,
        "answers": len(answers),
        "by_chance": None if by_chance is None else by_chance.figures(),
    }


def _labels_by_chance(reference: Array, labels: Array | None) -> LabelsByChance | None:
    """Return P330 if the model's answers say no more of the labels than chance.

    ``reference``: (samples, steps, outputs) of the model. ``labels``: (samples,). By chance the
    answers are those of the model, in any other order. They say more if one sided p is at most
    5 %, by the normal distribution. Labels or answers of one class, and few samples, cannot tell.
    """
    if labels is None or len(labels) < FEWEST_LABELS:
        return None
    answers = reference.sum(axis=1).argmax(axis=1)
    if min(len(np.unique(each)) for each in (labels, answers[reference.any(axis=(1, 2))])) < 2:
        return None
    n = len(labels)
    most = max(int(labels.max()), int(answers.max())) + 1
    given, said = (np.bincount(each, minlength=most) / n for each in (labels, answers))
    equal = given * said
    expected = float(equal.sum())
    # The variance of the number of equal pairs over all orders (n - 1 for n: without replacement).
    spread = float((equal * (1 + expected - given - said)).sum()) * n / (n - 1)
    share = float((answers == labels).mean())
    most_by_chance = expected + Z_ONE_SIDED * (math.sqrt(max(0.0, spread) / n))
    by_chance = share <= most_by_chance
    return LabelsByChance(share=share, chance=expected, samples=n) if by_chance else None
