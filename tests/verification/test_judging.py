"""Is the chip worse than the model? The answer is rarely wrong, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.verification.judging import (
    ALPHA,
    MARGIN,
    PSEUDO,
    is_other_network,
    judgement,
    radius,
    rate_distance,
)


def answers(*classes: int) -> NDArray[np.int64]:
    """Outputs (samples, 1 step, 2 outputs) with these answers."""
    return np.eye(2, dtype=np.int64)[list(classes)][:, None]


def drawn(samples: int, lost: int, won: int) -> dict[str, object]:
    """The judgement where the chip loses and wins some samples against the model."""
    labels = np.zeros(samples, np.int64)
    model, chip = np.zeros(samples, np.int64), np.zeros(samples, np.int64)
    chip[:lost] = 1
    model[lost : lost + won] = 1
    return judgement(answers(*model), answers(*chip), labels)


def test_a_chip_that_answers_as_the_model_is_not_worse_once_there_are_enough_samples() -> None:
    few, many = drawn(20, 0, 0), drawn(1000, 0, 0)
    assert few["not_worse"] is None and many["not_worse"] is True
    more = few["more_samples"]
    assert isinstance(more, int) and drawn(20 + more + 20, 0, 0)["not_worse"] is True
    assert many["more_samples"] == 0


def test_many_lost_answers_are_worse_and_some_do_not_decide() -> None:
    assert drawn(300, 60, 0)["not_worse"] is False
    assert drawn(300, 6, 3)["not_worse"] is None
    assert drawn(300, 6, 3)["difference"] == pytest.approx(0.01)


def test_without_labels_the_model_is_right() -> None:
    found = judgement(answers(1, 0, 1, 0), answers(1, 0, 1, 1), None)
    assert found["difference"] == 0.25


@pytest.mark.parametrize("changed", [0.03, 0.2])
def test_a_worse_chip_passes_at_some_number_of_samples_in_at_most_1_of_20_tries(
    changed: float,
) -> None:
    """One looks after every sample from 30 on, and stops as soon as the chip is not worse."""
    rng = np.random.default_rng(0)
    worse = (changed + MARGIN) / 2  # a mean loss of just the margin
    draw = rng.random((400, 3000))
    loss = np.where(draw < worse, 1, np.where(draw < changed, -1, 0))
    n = np.arange(1, 3001)
    total = n + 4 * PSEUDO
    mean = loss.cumsum(axis=1) / total
    spread = np.sqrt((abs(loss).cumsum(axis=1) + 2 * PSEUDO) / total - mean**2)
    high = mean + spread * np.array([radius(int(each)) for each in n])
    assert (high[:, 30:] < MARGIN).any(axis=1).mean() <= ALPHA


def test_rates_are_compared_as_a_distribution() -> None:
    rates = np.array([0.1, 0.2, 0.4])
    assert rate_distance(rates, rates[::-1]) == 0
    assert rate_distance(rates, rates + 0.1) == pytest.approx(0.1)


def test_equal_answers_with_another_network_inside_are_seen() -> None:
    row = {"name": "a", "neurons": 10, "rate": 0.2, "rate_distance": 0.01, "silent": 0, "always": 0}
    other = {"name": "b", **{k: v for k, v in row.items() if k != "name"}}
    assert is_other_network([row]) == []
    for change in ({"rate_distance": 0.1}, {"silent": 2}, {"always": 2}):
        assert is_other_network([row, other | change]) == ["b"]
