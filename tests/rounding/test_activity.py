"""Weights rounded by what the sources send: by neuron, by channel of a convolution, and where
nothing is known.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Pool, Sparse
from nirc.ir.populations import Discrete
from nirc.rounding.activity import ByActivity, squared_error, with_feedback
from nirc.rounding.rule import KEEPING_SUMS, Weights

RNG = np.random.default_rng(0)


def leaky(n: int) -> Discrete:
    ones = frozen(np.ones(n))
    return Discrete(decay_mem=0.8 * ones, gain_mem=ones, drift=0 * ones, threshold=ones)


def spikes(n: int) -> Float:
    """(samples, steps, n): groups of sources that fire together."""
    groups = RNG.random((30, 20, 3)) < 0.3
    return groups[:, :, np.arange(n) % 3] & (RNG.random((30, 20, n)) < 0.9)


def lost(signal: Float, op: Dense | Conv | Sparse, other: Dense | Conv | Sparse) -> float:
    x = signal.reshape(-1, signal.shape[2]).astype(float)
    return float(((op.apply(x) - other.apply(x)) ** 2).mean())


def test_what_neurons_sum_up_is_nearer_than_with_sums_kept() -> None:
    signal, exact = spikes(24), RNG.normal(0, 2, (16, 24))
    op = Dense(exact)
    weights = Weights("a", leaky(16), op, exact, -7, 7)
    by_activity, by_sums = (r.integers(weights) for r in (ByActivity({"a": signal}), KEEPING_SUMS))
    assert lost(signal, Dense(by_activity), op) < 0.5 * lost(signal, Dense(by_sums), op)


def test_a_list_of_the_same_synapses_is_rounded_in_the_same_way() -> None:
    signal, exact = spikes(12), RNG.normal(0, 2, (6, 12))
    target, source = np.nonzero(exact)
    listed = Sparse(target, source, exact[target, source], 12, 6)
    rule = ByActivity({"a": signal})
    dense = rule.integers(Weights("a", leaky(6), Dense(exact), exact, -7, 7))
    sparse = rule.integers(Weights("a", leaky(6), listed, listed.value, -7, 7))
    assert np.array_equal(dense[target, source], sparse)


def test_a_kernel_is_rounded_by_the_patches_that_it_sees_behind_a_pool() -> None:
    signal = spikes(2 * 8 * 8)
    pool = Pool((2, 8, 8), (2, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), 1.0)
    exact = RNG.normal(0, 2, (5, 2, 3, 3))
    conv = Conv(exact, (2, 4, 4), (5, 4, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    weights = Weights("a", leaky(80), conv, exact, -7, 7, (pool,))
    pooled = pool.apply(signal.reshape(-1, 128).astype(float)).reshape(30, 20, 32)
    kernels = [
        Conv(r.integers(weights), (2, 4, 4), (5, 4, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
        for r in (ByActivity({"a": signal}), KEEPING_SUMS)
    ]
    found, usual = (lost(pooled, kernel, conv) for kernel in kernels)
    assert found < usual


def test_every_group_of_a_kernel_has_its_own_moments() -> None:
    signal = spikes(4 * 6)
    exact = RNG.normal(0, 2, (4, 1, 3))
    conv = Conv(exact, (4, 6), (4, 6), (1,), ((1, 1),), (1,), 4)
    whole = ByActivity({"a": signal}).integers(Weights("a", leaky(24), conv, exact, -7, 7))
    assert whole.shape == exact.shape and (np.abs(whole - exact) < 1.5).all()


def test_of_sources_without_bounds_sums_are_kept() -> None:
    exact = RNG.normal(0, 2, (3, 5))
    weights = Weights("a", leaky(3), Dense(exact), exact, -7, 7)
    signal = np.full((2, 4, 5), np.inf)
    assert np.array_equal(
        ByActivity({"a": signal}).integers(weights), KEEPING_SUMS.integers(weights)
    )


def test_without_the_sources_spikes_sums_are_kept() -> None:
    exact = RNG.normal(0, 2, (3, 5))
    weights = Weights("relay", leaky(3), Dense(exact), exact, -7, 7)
    assert np.array_equal(ByActivity({}).integers(weights), KEEPING_SUMS.integers(weights))


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
