"""Weights rounded by what the sources send: by neuron, by channel of a convolution, and where
nothing is known.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.ir.arrays import Float, frozen
from nirc.ir.linear import Conv, Dense, Diagonal, Pool, Sparse
from nirc.ir.populations import Discrete
from nirc.rounding import activity
from nirc.rounding.activity import (
    ByActivity,
    _clearly_less,
    _descended,
    _drawn,
    _filtered,
    _settled,
    _tractable,
    squared_error,
    with_feedback,
)
from nirc.rounding.rule import KEEPING_SUMS, Weights

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test the same numbers, whichever run before it."""
    monkeypatch.setitem(globals(), "RNG", np.random.default_rng(0))


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


def test_weights_of_zero_have_no_synapse_and_weights_of_one_do() -> None:
    signal, exact = spikes(6), RNG.normal(0, 2, (4, 6))
    exact[0] = [0, 1, 1.4, 1.4, 0, 1]
    found = ByActivity({"a": signal}).integers(Weights("a", leaky(4), Dense(exact), exact, -7, 7))
    assert not found[0, [0, 4]].any() and found[0, [1, 5]].all()


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


def echoed(signal: Float, *decays: float) -> Float:
    """(samples * steps, n): the signals behind filters, by the definition."""
    x = signal.astype(float)
    for decay in decays:
        for t in range(1, x.shape[1]):
            x[:, t] += decay * x[:, t - 1]
    return x.reshape(-1, x.shape[2])


def mean_of_products(x: Float) -> Float:
    return sum(np.outer(row, row) for row in x) / len(x)


def test_the_moments_are_those_of_the_filtered_spikes() -> None:
    signal, exact = spikes(9), RNG.normal(0, 2, (6, 9))
    decay = np.array([0.7, 0.9, 0.8, 0.8, 0.8, 0.8])
    one = leaky(6)
    slow, long = (replace(one, decay_mem=frozen(d * np.ones(6))) for d in (decay, 0.99))
    synapse = replace(slow, decay_syn=frozen(np.full(6, 0.5)), gain_syn=one.gain_mem)
    cases = ((slow, (0.8,)), (long, (0.95,)), (synapse, (0.5, 0.8)))
    rule = ByActivity({"a": signal})
    for d, decays in cases:
        gram = mean_of_products(echoed(signal, *decays))
        (taken,) = rule._grams(Weights("a", d, Dense(exact), exact, -7, 7))
        np.testing.assert_allclose(taken, gram, rtol=1e-12)
        found = rule.integers(Weights("a", d, Dense(exact), exact, -7, 7))
        assert np.array_equal(found, with_feedback(exact, exact != 0, gram, -7, 7))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_moments_of_a_kernel_are_those_of_its_patches(groups: int) -> None:
    signal = spikes(2 * 4 * 5)
    exact = RNG.normal(0, 2, (4, 2 // groups, 2, 3))
    shape = ((2, 4, 5), (4, 3, 2), (1, 2), ((0, 0), (0, 1)), (1, 1), groups)
    conv = Conv(exact, *shape)
    padded = np.pad(echoed(signal, 0.8).reshape(-1, 2, 4, 5), ((0, 0), (0, 0), (0, 0), (0, 1)))
    corners = [(y, x) for y in range(3) for x in (0, 2)]
    wanted, taken = [], []
    for group in range(groups):
        channels = [group] if groups == 2 else [0, 1]
        patches = [padded[:, channels, y : y + 2, x : x + 3] for y, x in corners]
        gram = mean_of_products(np.concatenate(patches).reshape(6 * len(padded), -1))
        taken.append(gram)
        mine = exact.reshape(4, -1)[4 * group // groups : 4 * (group + 1) // groups]
        wanted.append(with_feedback(mine, mine != 0, gram, -7, 7))
    weights = Weights("a", leaky(24), conv, exact, -7, 7)
    found = ByActivity({"a": signal}).integers(weights)
    assert np.array_equal(found.reshape(4, -1), np.concatenate(wanted))
    np.testing.assert_allclose(ByActivity({"a": signal})._grams(weights), taken, rtol=1e-12)


def test_kernels_of_other_shapes_have_other_moments() -> None:
    signal, exact = spikes(2 * 6), RNG.normal(0, 2, (3, 2, 3))
    shapes = [
        ((2, 6), (3, 4), (1,), ((0, 0),), (1,), 1),
        ((2, 6), (3, 2), (1,), ((0, 0),), (2,), 1),
    ]
    both = ByActivity({"a": signal})
    for shape in shapes:
        weights = Weights("a", leaky(12), Conv(exact, *shape), exact, -7, 7)
        assert np.array_equal(both.integers(weights), ByActivity({"a": signal}).integers(weights))


def test_of_many_samples_and_steps_a_part_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    signal, exact = spikes(4), RNG.normal(0, 2, (5, 4))
    weights = Weights("a", leaky(5), Dense(exact), exact, -7, 7)
    monkeypatch.setattr(activity, "MOST_VALUES", 10 * signal[0].size)
    part = with_feedback(exact, exact != 0, mean_of_products(echoed(signal[::3], 0.8)), -7, 7)
    assert np.array_equal(ByActivity({"a": signal}).integers(weights), part)
    monkeypatch.setattr(activity, "MOST_MOMENTS", 50)
    drawn = _drawn(echoed(signal[::3], 0.8), 50)
    assert drawn.shape == (50, 4) and len(np.unique(_drawn(np.arange(60)[:, None], 59))) == 59
    few = with_feedback(exact, exact != 0, mean_of_products(drawn), -7, 7)
    assert np.array_equal(ByActivity({"a": signal}).integers(weights), few)
    assert _drawn(np.arange(10), 3).tolist() == [5, 6, 9]  # by seed


def test_of_one_sample_a_step_is_left_where_values_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    signal, exact = spikes(4), RNG.normal(0, 2, (5, 4))
    monkeypatch.setattr(activity, "MOST_VALUES", 1)
    weights = Weights("a", leaky(5), Dense(exact), exact, -7, 7)
    wanted = mean_of_products(echoed(signal[:1], 0.8))
    for samples in (signal, signal[:1]):
        (found,) = ByActivity({"a": samples})._grams(weights)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize(("most", "across", "rows"), [(64, 2, 10), (64, 7, 4), (10, 7, 1)])
def test_of_the_patches_of_a_kernel_a_part_is_used(
    monkeypatch: pytest.MonkeyPatch, most: int, across: int, rows: int
) -> None:
    """A row of the raster has 3 * across patches. The rows are ``most`` by 16 patches at least."""
    signal, exact = spikes(4 * (across + 1)), RNG.normal(0, 2, (5, 1, 2, 2))
    shape = ((1, 4, across + 1), (5, 3, across), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    drawn = _drawn(echoed(signal, 0.8), rows).reshape(rows, 4, across + 1)
    patches = [row[y : y + 2, x : x + 2].ravel() for row in drawn for y, x in np.ndindex(3, across)]
    gram = mean_of_products(_drawn(np.array(patches), most))
    monkeypatch.setattr(activity, "MOST_MOMENTS", most)
    weights = Weights("a", leaky(15 * across), Conv(exact, *shape), exact, -7, 7)
    (found,) = ByActivity({"a": signal})._grams(weights)
    np.testing.assert_allclose(found, gram, rtol=1e-12)


def test_of_large_matrices_and_kernels_sums_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, kernel = RNG.normal(0, 2, (6, 9)), RNG.normal(0, 2, (5, 1, 4))
    conv = Conv(kernel, (1, 9), (5, 6), (1,), ((0, 0),), (1,), 1)
    cases = [
        (Weights("a", leaky(6), Dense(dense), dense, -7, 7), {"MOST_SOURCES": 9}),
        (Weights("a", leaky(6), Dense(dense), dense, -7, 7), {"MOST_ENTRIES": 54}),
        (Weights("a", leaky(30), conv, kernel, -7, 7), {"MOST_SOURCES": 4}),
    ]
    signal = spikes(9)
    for weights, limit in cases:
        sums = KEEPING_SUMS.integers(weights)
        by_activity = ByActivity({"a": signal}).integers(weights)
        assert not np.array_equal(by_activity, sums)
        for (name, most), (less, wanted) in product(limit.items(), ((0, by_activity), (1, sums))):
            with monkeypatch.context() as patch:
                patch.setattr(activity, name, most - less)
                assert np.array_equal(ByActivity({"a": signal}).integers(weights), wanted)


def test_a_synapse_of_weight_zero_stays_zero_in_a_list() -> None:
    target, source = np.nonzero(np.ones((3, 4)))
    exact = np.where((target + source) % 3, 1.0, 0.0) * RNG.normal(0, 2, 12)
    exact[[2, 7]] = 1.0
    listed = Sparse(target, source, exact, 4, 3)
    found = ByActivity({"a": spikes(4)}).integers(Weights("a", leaky(3), listed, exact, -7, 7))
    assert not found[exact == 0].any() and found[[2, 7]].tolist() == [1, 1]


def test_every_group_of_a_kernel_has_its_own_moments() -> None:
    signal = spikes(4 * 6)
    exact = RNG.normal(0, 2, (4, 1, 3))
    conv = Conv(exact, (4, 6), (4, 6), (1,), ((1, 1),), (1,), 4)
    whole = ByActivity({"a": signal}).integers(Weights("a", leaky(24), conv, exact, -7, 7))
    assert whole.shape == exact.shape and (np.abs(whole - exact) < 1.5).all()


def test_of_sources_without_bounds_sums_are_kept() -> None:
    exact = RNG.normal(0, 2, (3, 5))
    weights = Weights("a", leaky(3), Dense(exact), exact, -7, 7)
    signal = np.zeros((2, 4, 5))
    signal[1, 3, 2] = np.inf
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


def test_the_same_numbers_are_rounded_in_the_same_way_everywhere() -> None:
    rng = np.random.default_rng(15)
    exact, gram = rng.normal(0, 2, (3, 12)).round(2), moments(rng, 12, 2).round(3)
    exact[:, 5] = 0
    assert with_feedback(exact, exact != 0, gram, -3, 3).tolist() == [
        [-2, -2, 1, -1, 1, 0, -3, 2, -1, 2, 1, -1],
        [0, 0, 1, 3, 1, 0, 2, -1, -3, -3, 1, 1],
        [3, -2, 0, -1, -1, 0, 2, -2, 0, 1, 1, -3],
    ]  # after a second descent


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


# Work and memory.


def test_a_filtered_signal_is_its_echo_from_the_first_step_on() -> None:
    signal = RNG.normal(size=(3, 5, 2))
    assert np.array_equal(_filtered(signal.copy(), 0.5).reshape(-1, 2), echoed(signal, 0.5))
    assert np.array_equal(_filtered(signal[:, :1].copy(), 0.5), signal[:, :1])


def test_all_rows_are_taken_as_they_are_where_they_are_few() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    assert _drawn(rows, 6) is rows and _drawn(rows, 7) is rows
    assert len(_drawn(rows, 5)) == 5


def test_moments_are_computed_once_for_each_pool_and_filter() -> None:
    signal, exact = spikes(8), RNG.normal(0, 2, (3, 4))
    pool = Pool((1, 8), (1, 4), (2,), (2,), ((0, 0),), 1.0)
    half = Diagonal(frozen(np.full(4, 0.5)))
    rule = ByActivity({"a": signal})

    def grams(decay: float, *before: Pool | Diagonal) -> list[Float]:
        d = replace(leaky(3), decay_mem=frozen(np.full(3, decay)))
        return rule._grams(Weights("a", d, Dense(exact), exact, -7, 7, before))

    first = grams(0.8, pool)
    assert grams(0.8, pool) is first
    assert grams(0.8 + 4e-7, pool) is first  # means that are equal in six digits
    assert grams(0.8 + 2e-6, pool) is not first
    scaled = grams(0.8, pool, half)
    assert grams(0.8, pool, half) is not scaled
    np.testing.assert_allclose(scaled, np.array(first) / 4)


def test_a_descent_ends_with_the_first_sweep_that_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or after four of them: moments that differ little move weights step by step."""
    sweeps = []
    once = activity._swept

    def counted(*arguments: Any) -> bool:
        sweeps.append(once(*arguments))
        return sweeps[-1]

    monkeypatch.setattr(activity, "_swept", counted)
    exact = np.array([[1.0, -2.0]])
    there = np.ones((1, 2), np.bool_)
    gram = np.array([[101.0, 100.0], [100.0, 101.0]])
    for start, moves in (([1, -2], [False]), ([2, -2], [True, False]), ([60, -60], [True] * 4)):
        sweeps.clear()
        _descended(np.array([start], float), exact, there, gram, -99, 99)
        assert sweeps == moves


def test_errors_that_differ_by_their_summation_only_are_equal() -> None:
    other = np.ones(5)
    one = 1 - np.array([3e-9, 1.5e-9, activity.TINY, 0.7e-9, 0.0])
    assert _clearly_less(one, other).tolist() == [True, True, False, False, False]


def test_results_of_libraries_keep_36_bits() -> None:
    exact = np.sqrt([2.0, 3, 5, 6, 7])
    assert _settled(exact).tolist() == [round(x * 2**34) / 2**34 for x in exact.tolist()]


def test_operators_are_rounded_by_moments_up_to_some_megabytes() -> None:
    """A matrix takes 64 MiB at most, its moments 32, the signals 128, and drawn rows 256."""
    kernel = np.zeros((1, 2, 1024))
    for op, tractable in (
        (SimpleNamespace(n_in=2048, n_out=4096), True),
        (SimpleNamespace(n_in=2048, n_out=4097), False),
        (SimpleNamespace(n_in=2049, n_out=1), False),
        (Conv(kernel, (2, 1024), (1, 1), (1,), ((0, 0),), (1,), 1), True),
        (Conv(np.zeros((1, 1, 2049)), (1, 2049), (1, 1), (1,), ((0, 0),), (1,), 1), False),
    ):
        assert _tractable(cast(Any, op)) == tractable
    mebibytes = [8 * n / 2**20 for n in (activity.MOST_VALUES, activity.MOST_MOMENTS * 2048)]
    assert mebibytes == [128, 256]


def test_signals_that_leave_the_range_of_floats_warn_nobody() -> None:
    exact = RNG.normal(0, 2, (3, 5))
    weights = Weights("a", leaky(3), Dense(exact), exact, -7, 7)
    for values in ((np.inf, -np.inf), (1e300, 1e300)):
        signal = np.zeros((2, 4, 5))
        signal[0, 1, :2] = values
        signal[0, 2, :2] = values[::-1]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = ByActivity({"a": signal}).integers(weights)
        assert np.array_equal(found, KEEPING_SUMS.integers(weights))
