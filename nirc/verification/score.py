"""Accuracy and agreement of outputs, with how sure they are."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from nirc.diagnostics.log import Log

Array = NDArray[Any]
SILENT = 0.1  # of the samples may go without an answer of the model before that is told
Z_95 = 1.959963984540054  # of the normal distribution, two-sided


def score(name: str, output: Array, teacher: Array, labels: Array | None) -> dict[str, Any]:
    """One stage: ``output`` and ``teacher`` (samples, steps, outputs). Arg-max of the counts over
    all outputs.

    ``count_error``: mean absolute difference of a count. Intervals: 95 %, see ``wilson``.
    """
    counts, expected = output.sum(axis=1), teacher.sum(axis=1)
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
    """Share of samples whose output with the largest count is the label; the lowest index wins a
    tie.
    """
    return float((counts.argmax(axis=1) == labels).mean()) if len(counts) else 0.0


def wilson(hits: int, trials: int) -> list[float]:
    """[low, high] of a share: the 95 % score interval (E.

    B. Wilson, J. Am. Stat. Assoc. 22 (1927)).
    """
    if not trials:
        return [0.0, 1.0]
    share, z2 = hits / trials, Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def check_labels(labels: Array | None, outputs: int, log: Log, file: str = "") -> None:
    """Warn (U604) of classes that no output can answer, as when they count from 1."""
    if labels is not None and labels.size and labels.max() >= outputs:
        log.warning(
            "U604",
            "some labels name classes that the network has no output for",
            where="labels",
            found=int(labels.max()),
            limit=f"0 to {outputs - 1}",
            help="classes count from 0",
            file=file,
        )


def check_answers(teacher: Array, log: Log) -> int:
    """Samples on which the model itself answers nothing; a warning (P316) if they are more than
    ``SILENT`` of all.
    """
    silent = int((~teacher.any(axis=(1, 2))).sum())
    if silent > SILENT * len(teacher):
        log.warning(
            "P316",
            f"the model's outputs are silent on {silent} of {len(teacher)} sample(s): to agree on "
            "these says nothing",
            found=silent,
            limit=f"{SILENT:.0%} of the samples",
            help="check that inputs, time step and reset rule are those of the training",
        )
    return silent
