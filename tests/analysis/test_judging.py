"""Is the chip worse than the model? The answer is rarely wrong, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.analysis.judging import (
    ALPHA,
    MARGIN,
    PSEUDO,
    Judgement,
    chance,
    is_other_network,
    judgement,
    lost_answers,
    radius,
    rate_distance,
)


def answers(*classes: int) -> NDArray[np.int64]:
    """Outputs (samples, 1 step, 2 outputs) with these answers."""
    return np.eye(2, dtype=np.int64)[list(classes)][:, None]


def drawn(samples: int, lost: int, won: int) -> Judgement:
    """The judgement where the chip loses and wins some samples against the model."""
    labels = np.zeros(samples, np.int64)
    model, chip = np.zeros(samples, np.int64), np.zeros(samples, np.int64)
    chip[:lost] = 1
    model[lost : lost + won] = 1
    return judgement(answers(*model), answers(*chip), labels)


def test_a_chip_that_answers_as_the_model_is_not_worse_once_there_are_enough_samples() -> None:
    few, many = drawn(20, 0, 0), drawn(1000, 0, 0)
    assert few.not_worse is None and many.not_worse is True
    more = few.more_samples
    assert isinstance(more, int) and drawn(20 + more + 20, 0, 0).not_worse is True
    assert many.more_samples == 0


def test_many_lost_answers_are_worse_and_some_do_not_decide() -> None:
    assert drawn(300, 60, 0).not_worse is False
    assert drawn(300, 6, 3).not_worse is None
    assert drawn(300, 6, 3).difference == pytest.approx(0.01)


def test_without_labels_the_model_is_right() -> None:
    found = judgement(answers(1, 0, 1, 0), answers(1, 0, 1, 1), None)
    assert found.difference == 0.25


def test_a_guard_takes_the_judgement_where_it_decides_and_chance_where_it_does_not() -> None:
    undecided = drawn(300, 6, 3)  # 3 answers lost in all, and the noise of 9 that change is 3
    assert undecided.passes(1.0) and not undecided.passes(0.9)
    worse = drawn(300, 60, 50)
    assert worse.not_worse is None and not worse.passes(0.9) and worse.passes(1.0)
    assert not drawn(300, 60, 0).passes(100.0)
    assert drawn(20_000, 12, 0).passes(0.0)  # certainly less than a point


def test_the_answers_of_several_runs_of_a_sample_are_a_share_of_it() -> None:
    halves = lost_answers(np.array([0.5, 0.0, -0.5, 0.5]))
    assert halves.difference == 0.125
    assert halves.noise < lost_answers(np.array([1.0, 0.0, -1.0, 1.0])).noise
    many = lost_answers(np.repeat([0.25, 0.0, -0.25, 0.0], 100))
    counted = lost_answers(np.repeat([1.0, 0.0, -1.0, 0.0], 100))
    assert np.ptp(many.interval) < np.ptp(counted.interval) / 3


def test_a_gain_by_chance_is_as_rare_as_heads_only() -> None:
    """Five won and none lost: one throw of five coins in 32. With one lost: seven of 64 throws."""
    assert chance(np.ones(5), np.arange(5)) == 1 / 32
    assert chance(np.array([1.0, 1, 1, 1, 1, -1]), np.arange(6)) == 7 / 64
    assert chance(np.r_[np.ones(5), np.zeros(90)], np.arange(95)) == 1 / 32
    assert chance(np.zeros(4), np.arange(4)) == 1.0


def test_samples_that_come_from_one_win_once() -> None:
    """Two units, of three and of two samples that are all won: both must fall on heads."""
    won, unit = np.ones(5), np.array([7, 7, 7, 2, 2])
    assert chance(won, unit) == 1 / 4
    assert chance(np.array([1.0, -1, 1, 1]), np.array([0, 0, 1, 2])) == 1 / 4


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


def test_one_look_at_few_samples_tells_a_loss() -> None:
    """14 of 40 answers are lost and 1 is won: 16 of 2 ** 15 series of coins are as uneven."""
    lost = np.r_[np.ones(14), -1.0, np.zeros(25)]
    assert lost_answers(lost).chance == pytest.approx(16 / 2**15)
    assert lost_answers(-lost).chance == pytest.approx(1 - 1 / 2**15)
    assert lost_answers(np.zeros(9)).chance == 1.0
    assert lost_answers(np.ones(3000)).chance == 0.0
