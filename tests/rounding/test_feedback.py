"""Rounding by second moments: never worse than to the nearest, mostly much better, within the
chip's range.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nirc.ir.arrays import Float
from nirc.rounding.feedback import squared_error, with_feedback


def moments(rng: np.random.Generator, sources: int, factors: int) -> Float:
    """Of sources that have a few factors in common, as filtered spikes do."""
    x = rng.random((200, factors)) @ rng.random((factors, sources)) + 0.1 * rng.random(
        (200, sources)
    )
    return x.T @ x / len(x)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_it_is_never_worse_than_the_nearest_and_stays_in_range(
    seed: int, sources: int, neurons: int
) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.normal(0, 3, (neurons, sources)) * (rng.random((neurons, sources)) < 0.8)
    gram = moments(rng, sources, 2)
    whole = with_feedback(exact, exact != 0, gram, -4, 4)
    assert (
        (whole == np.rint(whole)).all() and np.abs(whole).max() <= 4 and not whole[exact == 0].any()
    )
    damped = gram + 0.01 * np.diag(gram).mean() * np.eye(sources)
    nearest = np.clip(np.rint(exact), -4, 4)
    assert (
        squared_error(whole, exact, damped) <= squared_error(nearest, exact, damped) + 1e-9
    ).all()


def test_sources_that_fire_together_make_up_for_one_another() -> None:
    rng = np.random.default_rng(0)
    exact, gram = rng.normal(0, 5, (40, 64)), moments(rng, 64, 4)
    found = squared_error(with_feedback(exact, exact != 0, gram, -15, 15), exact, gram).mean()
    assert found < 0.1 * squared_error(np.clip(np.rint(exact), -15, 15), exact, gram).mean()


def test_one_source_may_outweigh_all_others_by_far() -> None:
    rng = np.random.default_rng(3)
    gram = moments(rng, 300, 3)
    gram[0] *= 1e4
    gram[:, 0] *= 1e4
    exact = rng.normal(0, 5, (4, 300))
    assert np.abs(with_feedback(exact, exact != 0, gram, -15, 15)).max() <= 15


def test_whole_weights_stay_as_they_are() -> None:
    rng = np.random.default_rng(1)
    exact = rng.integers(-9, 10, (5, 20)).astype(float)
    assert np.array_equal(with_feedback(exact, exact != 0, moments(rng, 20, 3), -9, 9), exact)


def test_a_silent_source_does_no_harm() -> None:
    gram = np.diag([1.0, 0.0, 2.0])
    exact = np.array([[1.4, -2.6, 0.5]])
    assert np.array_equal(with_feedback(exact, exact != 0, gram, -3, 3), [[1.0, -3.0, 0.0]])
    assert np.array_equal(with_feedback(exact, exact != 0, 0 * gram, -3, 3), [[1.0, -3.0, 0.0]])
