"""Layers as convolutions of Speck."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.speck.convolve import reaches_remainder, whole_map
from nirc.backends.speck.legalise import _uniform
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Pool


def test_a_matrix_is_a_kernel_as_large_as_its_map() -> None:
    weight = frozen(np.random.default_rng(0).normal(size=(3, 24)))
    conv = whole_map((Dense(weight),), (2, 3, 4))
    assert conv is not None
    assert (conv.shape_in, conv.shape_out, conv.groups) == ((2, 3, 4), (3, 1, 1), 1)
    assert (conv.stride, conv.padding, conv.dilation) == ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert np.array_equal(conv.weight.reshape(3, 24), weight)


@pytest.mark.parametrize(
    ("rows", "kernel", "padding", "stride", "reaches"),
    [
        (7, 3, 1, 1, True),  # 3 rows of 4, and the last window begins at row 1
        (7, 3, 0, 1, False),
        (6, 3, 1, 1, False),  # nothing is left out
        (7, 2, 0, 1, False),  # the last window ends with the last row
        (7, 2, 1, 2, False),
        (9, 3, 1, 2, False),  # windows from rows -1 and 1, of 4
        (9, 3, 2, 2, True),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_row_that_pooling_leaves_out_may_not_stand_where_the_padding_is(
    rows: int, kernel: int, padding: int, stride: int, reaches: bool, axis: int
) -> None:
    """The other axis is even, and without padding."""

    def both(value: int, other: int) -> tuple[int, int]:
        return (value, other) if axis == 0 else (other, value)

    pooled = both(rows // 2, 2)
    pool = Pool((1, *both(rows, 4)), (1, *pooled), (2, 2), (2, 2), ((0, 0), (0, 0)))
    out = both((rows // 2 + 2 * padding - kernel) // stride + 1, 2)
    pads = both(padding, 0)
    conv = Conv(
        frozen(np.ones((1, 1, *both(kernel, 1)))),
        (1, *pooled),
        (1, *out),
        both(stride, 1),
        ((pads[0], pads[0]), (pads[1], pads[1])),
        (1, 1),
        1,
    )
    assert reaches_remainder(pool, conv) == reaches


def test_a_channel_has_one_number_of_each_kind() -> None:
    same, other = np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.0, 1.0, 2.0, 3.0])
    assert _uniform([same, same], (2, 1, 2))
    assert not _uniform([same, other], (2, 1, 2)) and not _uniform([other, same], (2, 1, 2))
