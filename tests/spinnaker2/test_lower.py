"""Tables of the integer form: synapses in order, parameters once, kernels with all their sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.backends.spinnaker2 import lower as module
from nirc.ir import populations as ir
from nirc.ir.linear import Conv, Pool, sparse

Synapses = list[tuple[int, int, int]]


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), unique=True, max_size=40))
def test_synapses_are_in_the_order_of_source_target_and_delay(synapses: Synapses) -> None:
    pre, post, delay = np.array(synapses, np.int64).reshape(-1, 3).T
    order = module._order(pre, post, delay)
    assert [synapses[i] for i in order] == sorted(synapses)


@pytest.mark.parametrize("filled", [2, 6, 7])
def test_a_matrix_that_is_half_full_needs_no_sort(
    filled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to four places for each synapse: 24 places."""
    sorts: list[int] = []

    def lexsort(keys: tuple[np.ndarray, ...]) -> np.ndarray:
        sorts.append(len(keys[0]))
        return np.arange(len(keys[0]))

    monkeypatch.setattr(module.np, "lexsort", lexsort)
    place = np.unique(np.append(np.arange(filled - 1), 23))
    module._order(place // 6, place % 6, place * 0)
    assert sorts == ([] if filled > 5 else [filled])


def test_a_value_that_all_neurons_share_stands_once() -> None:
    same, zeros, some = (np.array(v, np.float32) for v in ([2, 2], [0.0, -0.0], [1, 2]))
    assert module.short(same).tolist() == [2]
    assert module.short(some).tolist() == [1, 2]
    assert module.short(zeros).tolist() == [0] and not np.signbit(module.short(zeros)).any()


def part(weights: list[tuple[int, int, float]], steps: int = 0) -> ir.Projection:
    """A projection from 3 neurons to 2. ``weights``: source, target and weight."""
    pre, post, value = np.array(weights).T
    op = sparse(post.astype(int), pre.astype(int), value, 3, 2)
    return ir.Projection(ops=(op,), delay_steps=steps)


def test_lists_between_the_same_neurons_are_one_with_delays_of_their_own() -> None:
    parts = [part([(0, 1, 5), (2, 0, -3)]), part([(0, 1, 7), (1, 1, 2)], steps=2)]
    (found,) = module._projections("a", "b", parts, 1)
    assert (found.name, found.source, found.target) == ("a -> b", "a", "b")
    assert found.pre.tolist() == [0, 0, 1, 2] and found.post.tolist() == [1, 1, 1, 0]
    assert found.delay.tolist() == [1, 3, 3, 1] and found.weight.tolist() == [5, 7, 2, -3]
    kinds = [getattr(found, name).dtype for name in ("pre", "post", "weight", "delay")]
    assert kinds == [np.int32, np.int32, np.int16, np.int16]


def test_a_neuron_that_excites_and_inhibits_another_has_a_list_for_each() -> None:
    parts = [part([(0, 1, 5), (1, 0, -2)]), part([(0, 1, -7)])]
    excites, inhibits = module._projections("a", "b", parts, 0)
    assert (excites.name, inhibits.name) == ("a -> b, excites", "a -> b, inhibits")
    assert (excites.pre.tolist(), excites.post.tolist(), excites.weight.tolist()) == ([0], [1], [5])
    assert (inhibits.pre.tolist(), inhibits.post.tolist()) == ([0, 1], [1, 0])
    assert inhibits.weight.tolist() == [-7, -2] and inhibits.delay.tolist() == [0, 0]


@pytest.mark.parametrize("pooled", [False, True])
def test_a_kernel_keeps_each_stride_padding_and_size(pooled: bool) -> None:
    weight = np.arange(36.0).reshape(3, 2, 2, 3)
    conv = Conv(weight, (2, 7, 9), (3, 5, 5), (2, 3), ((1, 2), (3, 4)), (1, 1), 1)
    pool = Pool((2, 14, 36), (2, 7, 9), (2, 4), (2, 4), ((0, 0), (0, 0)))
    found = module._convolution("a", "b", pool if pooled else None, conv)
    parameters = found.parameters()
    assert list(parameters)[:6] == [
        *("in_height", "in_width", "stride_x", "stride_y", "pool_x", "pool_y")
    ]
    assert list(parameters)[6:] == ["pad_top", "pad_bottom", "pad_left", "pad_right"]
    sizes = [14, 36, 3, 2, 4, 2] if pooled else [7, 9, 3, 2, 1, 1]
    assert [*parameters.values()] == [*sizes, 1, 2, 3, 4]
    assert (found.name, found.source, found.target) == ("a -> b", "a", "b")
    np.testing.assert_array_equal(found.weight, weight.transpose(1, 0, 2, 3))
    assert found.weight.dtype == np.int64
