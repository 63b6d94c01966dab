"""Layers as convolutions of Speck."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.speck.convolve import (
    _Along,
    _Choice,
    _possible,
    frame,
    reaches_remainder,
    whole_map,
)
from nirc.backends.speck.legalise import _uniform
from nirc.ir.arrays import frozen
from nirc.ir.linear import Conv, Dense, Pool


def rows(*convs: Conv) -> frozenset[_Along]:
    return frozenset(_Along.of(each, 0) for each in convs)


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


def conv(
    n: int, kernel: int, out: int, *, stride: int = 1, padding: int = 0, other: int = 1
) -> Conv:
    """A convolution of rows. Along the other axis it has ``other`` entries on as many columns."""
    pads = ((padding, padding), (0, 0))
    weight = frozen(np.ones((1, 1, kernel, other)))
    return Conv(weight, (1, n, other), (1, out, 1), (stride, 1), pads, (1, 1), 1)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("out", [2, 3])
def test_several_outputs_keep_their_stride_and_show_what_a_core_cannot_do(
    stride: int, out: int
) -> None:
    """Padding above 7 and other strides than 1, 2, 4 and 8 are faults, one each."""
    given = conv(3 + stride * (out - 1), 3, out, stride=stride)
    found = dict.fromkeys(_possible(rows(given)))
    assert {choice.stride for _, choice in found} == {stride}
    assert {choice.padding for _, choice in found} >= {0, 7, 8}
    for kernel, choice in found:
        assert choice.faults == (stride == 3) + (choice.padding >= 8)
        assert (choice.n + 2 * choice.padding - kernel) // stride + 1 == out
        assert kernel >= choice.padding + 3 and choice.n >= given.shape_in[1]
    assert (3, _Choice(int(stride == 3), given.shape_in[1], 0, stride)) in found


def test_a_single_output_may_have_any_stride_of_the_chip() -> None:
    found = {choice.stride for _, choice in _possible(rows(conv(3, 3, 1, stride=5)))}
    assert found == {1, 2, 4, 8}


def test_convolutions_of_different_strides_share_a_core_only_with_one_output() -> None:
    both = [conv(3, 3, 1, stride=1), conv(3, 3, 1, stride=2)]
    assert list(_possible(rows(*both)))
    for out in (2, 3):
        apart = [conv(2 + out, 3, out), conv(2 * out + 1, 3, out, stride=2)]
        assert not list(_possible(rows(*apart)))
    assert frame([conv(3, 3, 1), conv(4, 3, 2)]) is None


def test_a_frame_has_room_for_the_widest_of_its_kernels() -> None:
    """8 rows with two of padding on both sides have 6 windows of 7."""
    wide, narrow = conv(6, 5, 6, padding=2), conv(8, 3, 6)
    least = min((choice.padding, kernel) for kernel, choice in _possible(rows(wide, narrow)))
    assert least == (2, 7)
    assert min(choice.n for _, choice in _possible(rows(wide, narrow))) == 8


def test_the_cheapest_frame_breaks_no_limit_if_one_can_be_found() -> None:
    """Along an axis with one output the stride moves nothing."""
    found = frame([conv(16, 3, 10, padding=8, stride=3, other=3)])
    assert found is not None and found.faults == 2  # the stride and the padding
    found = frame([conv(20, 17, 4, other=17)])
    assert found is not None and (found.faults, found.kernel) == (1, 17)
    found = frame([conv(8, 3, 6, other=2)])
    assert found is not None
    assert (found.kernel, found.padding, found.stride) == (3, (0, 1), (1, 2))
    assert found.size_in == (8, 2) and found.faults == 0
