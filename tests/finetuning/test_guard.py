"""The guard of fine-tuning: a chip has to show on samples held aside that it is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.finetuning import guard
from nirc.finetuning.learning import Grade
from nirc.finetuning.lessons import Exam


def grade(distance: list[float], wrong: list[float]) -> Grade:
    return Grade(np.array(distance), np.array(wrong))


def exam(samples: int, given: int, clear: int = 0, outputs: int = 3) -> Exam:
    """An examination in which each input is a sample of its own."""
    inputs, expected = np.zeros((samples, 1, 1), np.int64), np.zeros((samples, 1, outputs))
    number = np.arange(samples)
    return Exam(inputs, expected, given, number, np.zeros(samples, np.int64), clear)


def test_the_guard_wants_answers_that_are_won_by_more_than_chance() -> None:
    """Here every second input comes nearer, so that answers alone may show a gain."""
    start = grade([0.5] * 40, [1.0] * 12 + [0.0] * 28)
    judge = exam(40, given=4)
    half = [0.3, 0.6] * 20
    eight = grade(half, [1.0] * 4 + [0.0] * 36)  # one chance in 256, and three candidates
    nine = grade(half, [1.0] * 3 + [0.0] * 37)
    assert not guard.better(eight, start, judge)
    assert guard.better(nine, start, judge)
    # Answers that are won near one given sample are won once.
    same = replace(judge, unit=np.r_[np.zeros(12, np.int64), np.arange(28)])
    assert not guard.better(nine, start, same)


def test_nearer_spikes_count_where_more_answers_are_won_than_lost() -> None:
    """Spikes tell more than answers, which 21 given samples hardly tell apart."""
    start = grade([0.5] * 40, [1.0] * 12 + [0.0] * 28)
    judge = exam(40, given=4, clear=10)
    near = [0.4] * 40
    assert not guard.better(grade(near, [1.0] * 12 + [0.0] * 28), start, judge)
    assert guard.better(grade(near, [1.0] * 11 + [0.0] * 29), start, judge)
    as_many_lost = grade(near, [1.0] * 11 + [0.0] * 28 + [1.0])
    assert not guard.better(as_many_lost, start, judge)
    # Units near one sample are nearer once.
    same = replace(judge, unit=np.r_[np.arange(30) % 3, np.arange(10) % 3])
    assert not guard.better(grade(near, [1.0] * 11 + [0.0] * 29), start, same)


def test_two_given_samples_prove_nothing_and_clear_inputs_may() -> None:
    """Hundreds of inputs near two samples are two units. Ten clear ones are ten."""
    start = grade([0.5] * 220, [1.0] * 200 + [1.0] * 10 + [0.0] * 10)
    near_only = grade([0.3] * 200 + [0.5] * 20, [0.0] * 200 + [1.0] * 10 + [0.0] * 10)
    clear_too = grade([0.3] * 220, [0.0] * 220)
    unit = np.r_[np.arange(200) % 2, 2 + np.arange(20)]
    judge = replace(exam(220, given=2, clear=20), unit=unit)
    assert not guard.better(near_only, start, judge)
    assert guard.better(clear_too, start, judge)


def test_the_guard_wants_no_given_sample_to_get_worse() -> None:
    wrong = np.r_[0.0, 0.0, 0.0, np.ones(20), np.zeros(17)]
    start = Grade(np.full(40, 0.5), wrong)
    won = np.r_[0.0, 0.0, 0.0, np.zeros(20), np.zeros(17)]
    assert guard.better(Grade(np.full(40, 0.3), won), start, exam(40, given=3))
    # One more mistake on a given sample may be chance, if the given samples are nearer.
    one_lost = np.r_[1.0, won[1:]]
    nearer = np.r_[np.full(3, 0.3), np.full(37, 0.3)]
    farther = np.r_[np.full(3, 0.6), np.full(37, 0.3)]
    assert guard.better(Grade(nearer, one_lost), start, exam(40, given=3))
    assert not guard.better(Grade(farther, one_lost), start, exam(40, given=3))
    two_lost = np.r_[1.0, 1.0, won[2:]]
    assert not guard.better(Grade(nearer, two_lost), start, exam(40, given=3))


def test_the_guard_wants_less_distance_unless_the_gain_is_certain() -> None:
    start = grade([0.5] * 300, [1.0] * 200 + [0.0] * 100)
    some = grade([0.6] * 300, [1.0] * 193 + [0.0] * 107)
    most = grade([0.6] * 300, [0.0] * 300)
    assert not guard.better(some, start, exam(300, given=0))
    assert guard.better(most, start, exam(300, given=0))


def test_the_guard_wants_clear_samples_to_stay_right() -> None:
    start = grade([0.5] * 23, [1.0] * 20 + [0.0] * 3)
    others_won = grade([0.3] * 23, [0.0] * 20 + [1.0] * 3)
    assert guard.better(others_won, start, exam(23, given=2))
    assert not guard.better(others_won, start, exam(23, given=2, clear=3))


def test_a_model_with_one_output_has_to_come_nearer_on_most_samples() -> None:
    start, near = grade([0.5] * 10, [0.0] * 10), grade([0.3] * 10, [0.0] * 10)
    assert guard.better(near, start, exam(10, given=2, outputs=1))
    assert not guard.better(near, start, exam(10, given=2, outputs=2))
    mixed = grade([0.3] * 8 + [0.6] * 2, [0.0] * 10)
    assert not guard.better(mixed, start, exam(10, given=2, outputs=1))


def test_without_a_mistake_there_is_nothing_to_win() -> None:
    none, one = (grade([0.2] * 20, [1.0] * n + [0.0] * (20 - n)) for n in (0, 1))
    assert not guard.may_gain(none, exam(20, given=4))
    assert guard.may_gain(one, exam(20, given=4))
    assert guard.may_gain(none, exam(20, given=4, outputs=1))  # spikes may come nearer


def test_clear_inputs_do_not_pay_for_answers_lost_near_the_given_samples() -> None:
    wrong = np.r_[np.zeros(300), np.ones(96)]
    start = Grade(np.full(396, 0.5), wrong)
    near_lost = Grade(np.full(396, 0.4), np.r_[np.zeros(4), np.ones(40), np.zeros(352)])
    assert guard.better(Grade(np.full(396, 0.4), np.zeros(396)), start, exam(396, 4, clear=96))
    assert not guard.better(near_lost, start, exam(396, 4, clear=96))


def test_two_tests_count_as_two() -> None:
    """Of two tests one shows a gain by chance twice as often."""
    seven = np.r_[np.ones(7), np.zeros(13)]
    nearer = np.zeros(20)
    assert guard.gain_by_chance(seven, nearer, exam(20, given=4)) == pytest.approx(1 / 128)
    assert guard.gain_by_chance(seven, nearer, exam(20, 4, clear=5)) == pytest.approx(1 / 64)
