"""Every operator three ways: applied to vectors, unrolled to a matrix, and by slow loops over
indices.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Diagonal, LinearOp, Pool, Sparse, compose, sparse
from tests.reference.linear import convolve, out_size
from tests.reference.linear import pool as slow_pool

seeds = st.integers(0, 1 << 16)


def matrix(op: LinearOp) -> np.ndarray:
    """The matrix of the stored entries, after checking their order."""
    target, source, value = op.coo()
    key = target * op.n_in + source
    assert (np.diff(key) > 0).all() and (value != 0).all() and value.size <= op.entries
    dense = np.zeros((op.n_out, op.n_in))
    dense[target, source] = value
    return dense


def vectors(op: LinearOp, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, op.n_in))


def assert_apply_is_matrix(op: LinearOp, seed: int = 0) -> None:
    x = vectors(op, seed)
    np.testing.assert_allclose(op.apply(x), x @ matrix(op).T, atol=1e-12)


def weights(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Normal, a third of them zero."""
    dice = np.random.default_rng(seed)
    return frozen(dice.normal(size=shape) * (dice.random(shape) < 0.67))


@st.composite
def windows(draw: st.DrawFn, *, dilated: bool) -> tuple[tuple[int, ...], ...]:
    """Per axis (1 or 2): size, kernel, stride, pad before, pad after, dilation."""
    axes = draw(st.integers(1, 2))
    found = []
    for _ in range(axes):
        n, k, s = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
        before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        d = draw(st.integers(1, 3)) if dilated else 1
        assume(n + before + after >= d * (k - 1) + 1)
        found.append((n, k, s, before, after, d))
    return tuple(zip(*found, strict=True))


@given(windows(dilated=True), st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), seeds)
@settings(max_examples=60)
def test_convolution(
    window: tuple[tuple[int, ...], ...], per_in: int, per_out: int, groups: int, seed: int
) -> None:
    spatial, kernel, stride, before, after, dilation = window
    pads = tuple(zip(before, after, strict=True))
    weight = weights((per_out * groups, per_in, *kernel), seed)
    sizes = [out_size(*each) for each in zip(spatial, kernel, stride, pads, dilation, strict=True)]
    shape_in, shape_out = (per_in * groups, *spatial), (per_out * groups, *sizes)
    op = Conv(weight, shape_in, shape_out, stride, pads, dilation, groups)
    x = vectors(op, seed)
    slow = [
        convolve(v.reshape(shape_in), weight, stride, pads, dilation, groups).ravel() for v in x
    ]
    np.testing.assert_allclose(op.apply(x), slow, atol=1e-12)
    np.testing.assert_allclose(x @ matrix(op).T, slow, atol=1e-12)


@given(windows(dilated=False), st.integers(1, 3), st.booleans(), seeds)
@settings(max_examples=40)
def test_pooling(
    window: tuple[tuple[int, ...], ...], channels: int, average: bool, seed: int
) -> None:
    spatial, kernel, stride, before, _, _ = window
    pads = tuple((p, p) for p in before)
    assume(all(n + 2 * p >= k for n, p, k in zip(spatial, before, kernel, strict=True)))
    sizes = [out_size(*each, 1) for each in zip(spatial, kernel, stride, pads, strict=True)]
    factor = 1 / np.prod(kernel) if average else 1.0
    op = Pool((channels, *spatial), (channels, *sizes), kernel, stride, pads, float(factor))
    x = vectors(op, seed)
    slow = [
        slow_pool(v.reshape(op.shape_in), kernel, stride, pads, average=average).ravel() for v in x
    ]
    np.testing.assert_allclose(op.apply(x), slow, atol=1e-12)
    np.testing.assert_allclose(x @ matrix(op).T, slow, atol=1e-12)


entries = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-2, 2)), max_size=25)


@given(entries, seeds)
@settings(max_examples=60)
def test_sparse_adds_up_duplicates_and_drops_zeros(
    found: list[tuple[int, int, int]], seed: int
) -> None:
    dense = np.zeros((4, 5))
    for t, s, v in found:
        dense[t, s] += v
    t, s, v = np.array(found, int).reshape(-1, 3).T
    op = sparse(t, s, v.astype(float), 5, 4)
    np.testing.assert_array_equal(matrix(op), dense)
    assert op.entries == np.count_nonzero(dense)
    assert_apply_is_matrix(op, seed)


def test_dense_and_diagonal() -> None:
    for op in (
        Dense(weights((4, 5), 0)),
        Diagonal(weights((6,), 1)),
        Dense(frozen(np.zeros((2, 3)))),
    ):
        assert_apply_is_matrix(op)
        assert op.entries == np.count_nonzero(matrix(op))


def operators(n: int, seed: int) -> list[LinearOp]:
    """Operators of every kind that take 12 = 3 x 2 x 2 values and give 12 again, or take and give
    another number.
    """
    keep = Conv(
        weights((3, 3, 3, 3), seed), (3, 2, 2), (3, 2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    )
    target, source, value = Dense(weights((12, 12), seed + 1)).coo()
    return [
        keep,
        Pool((3, 2, 2), (3, 2, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), 0.5),
        Diagonal(weights((12,), seed + 2)),
        Dense(weights((12, 12), seed + 3)),
        Sparse(target, source, value, 12, 12),
    ][:n]


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("second", range(5))
def test_composing_is_multiplying(first: int, second: int) -> None:
    one, two = operators(5, 0)[first], operators(5, 10)[second]
    both = compose(one, two, max_entries=1 << 20)
    assert both is not None
    np.testing.assert_allclose(matrix(both), matrix(two) @ matrix(one), atol=1e-12)


def test_composing_gives_up_exactly_above_its_limit() -> None:
    one = Dense(frozen(np.ones((3, 2))))
    assert compose(one, Dense(frozen(np.ones((4, 3)))), max_entries=24) is not None
    assert compose(one, Dense(frozen(np.ones((4, 3)))), max_entries=23) is None


def test_an_operator_without_entries_gives_zeros() -> None:
    nothing = sparse(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 3, 2)
    assert nothing.apply(np.ones((2, 3))).tolist() == [[0, 0], [0, 0]]
    both = compose(nothing, Dense(frozen(np.ones((4, 2)))), max_entries=10)
    assert both is not None and both.entries == 0 and both.n_out == 4


def test_operators_tell_what_they_are_in_one_line() -> None:
    dilated = Conv(frozen(np.ones((2, 1, 3))), (2, 9), (2, 5), (1,), ((0, 0),), (2,), 2)
    assert dilated.text() == "conv f64[2,1,3] 1 pad=((0, 0),) dilation=(2,) groups=2"
    assert Dense(frozen(np.ones((2, 3)))).text() == "dense f64[2,3] 1"
    assert Diagonal(frozen(np.full(3, 2.0))).text() == "scale f64[3] 2"
    assert (
        sparse(np.arange(2), np.arange(2), np.ones(2), 4, 3).text()
        == "sparse [3,4] 2 entries f64[2] 1"
    )
    halves = Pool((1, 4, 4), (1, 2, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), 0.25)
    assert halves.text() == "pool kernel=(2, 2) stride=(2, 2) factor=0.25"
