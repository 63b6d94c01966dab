"""Weights rounded by what the sources send: by neuron, by channel of a convolution, and where
nothing is known.
"""

from __future__ import annotations

import numpy as np

from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Pool, Sparse
from nirc.ir.populations import Discrete
from nirc.rounding.activity import ByActivity
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
