"""Operators of the calibration give the numbers of their definitions, to the bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nirc.calibration.buffers import Buffers
from nirc.calibration.gradients import Operator
from nirc.ir.arrays import on_grid as definition
from nirc.ir.linear import Conv, Dense, LinearOp, Pool, sparse
from nirc.native.library import SWITCH
from nirc.native.operators import Kernel, on_grid

Pairs = Sequence[tuple[int, int]]
ROWS = 9
RNG = np.random.default_rng(0)


def conv(
    shape_in: tuple[int, ...],
    kernel: tuple[int, ...],  # output channels, taps
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
) -> Conv:
    """Return a convolution with random weights on a grid."""
    weight = definition(RNG.normal(size=(kernel[0], shape_in[0] // groups, *kernel[1:])))
    sizes = zip(shape_in[1:], padding, dilation, kernel[1:], stride, strict=True)
    out = tuple((n + sum(p) - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes)
    shapes = (shape_in, (kernel[0], *out))
    return Conv(weight, *shapes, stride, tuple(padding), dilation, groups)


OPERATORS: dict[str, LinearOp] = {
    "padded": conv((16, 6, 5), (16, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "strided, a few channels": conv((2, 9, 9), (5, 4, 4), (2, 3), ((1, 1), (0, 2)), (1, 1)),
    "groups, dilated": conv((20, 7, 5), (40, 3, 2), (2, 1), ((1, 2), (0, 1)), (2, 1), groups=2),
    "one axis": conv((6, 9), (8, 3), (2,), ((2, 0),), (2,), groups=2),
    "a whole map": conv((8, 4, 4), (11, 4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "pool": Pool((3, 8, 8), (3, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), 0.25),
    "pool that overlaps": Pool((3, 9), (3, 4), (3,), (2,), ((1, 0),), 1 / 3),
    "dense": Dense(definition(RNG.normal(size=(13, 21)))),
    "sparse": sparse(
        RNG.integers(0, 30, 90), RNG.integers(0, 20, 90), definition(RNG.normal(size=90)), 20, 30
    ),
}


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_forwards_and_backwards(op: LinearOp, monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = (RNG.random((ROWS, op.n_in)) < 0.2) * RNG.integers(1, 4, (ROWS, op.n_in)).astype(float)
    delta = definition(RNG.normal(size=(ROWS, op.n_out)))
    fast = Operator(op)
    monkeypatch.setenv(SWITCH, "0")
    slow = Operator(op)
    assert fast.fast is not None and slow.fast is None
    assert fast.fast.apply(spikes, np.empty((ROWS, op.n_out))), "the library took no spikes"
    np.testing.assert_array_equal(fast.apply(spikes), slow.apply(spikes))
    np.testing.assert_array_equal(fast.to_input(delta), slow.to_input(delta))
    if not isinstance(op, Pool):
        np.testing.assert_array_equal(
            fast.to_numbers(spikes, delta), slow.to_numbers(spikes, delta)
        )


@pytest.mark.parametrize("kind", ["padded", "dense", "pool"])
def test_inexact_sums_are_left_to_numpy(kind: str) -> None:
    """Their order matters: membranes as inputs, and weights of many bits."""
    op = OPERATORS[kind]
    fast = Operator(op).fast
    assert fast is not None
    room = np.empty((ROWS, op.n_out))
    membranes = RNG.normal(size=(ROWS, op.n_in))
    assert not fast.apply(membranes, room)
    if isinstance(op, Dense):
        many_bits = Operator(Dense(op.weight * 1.1)).fast
        assert many_bits is not None and not many_bits.apply(np.ones((ROWS, op.n_in)), room)


def test_the_largest_count_with_exact_sums() -> None:
    """Weights are multiples of 2^-20, and one neuron sums 4 of them."""
    weight = np.array([[1.0, 1.0, 1.0, 2.0**-20]])
    kernel = Operator(Dense(weight)).fast
    assert isinstance(kernel, Kernel)
    assert 2.0**28 < kernel.most <= 2.0**31
    count = np.full((1, 4), np.floor(kernel.most))
    room = np.empty((1, 1))
    assert kernel.apply(count, room)
    assert room[0, 0] == sum(int(w * 2**20) * int(count[0, 0]) for w in weight[0]) / 2**20


@pytest.mark.parametrize(
    "x",
    [
        RNG.normal(size=(20, 30)),
        np.arange(12.0),
        np.array([1.0, np.nan]),
        np.array([-np.inf, 1.0]),
        np.array([1e300, -1.0]),
        np.zeros(3),
        np.array([1e-290, 3e-291]),
        np.array([float((1 << 20) + 1), 3.0]),
    ],
)
def test_a_grid(x: np.ndarray) -> None:
    expected = definition(x)
    np.testing.assert_array_equal(on_grid(x), expected)
    np.testing.assert_array_equal(on_grid(x, x), expected)


def test_a_buffer_is_not_given_away_while_a_view_of_it_lives() -> None:
    buffers = Buffers()
    first = buffers.empty((2, 3))
    view = first[:, 1:]
    del first
    assert not np.shares_memory(buffers.empty((3, 2)), view)
    kept = len(buffers.arrays)
    del view
    buffers.empty((6,))
    assert len(buffers.arrays) == kept
