"""The vectorised rule of one neuron against the scalar definition, over whole ranges."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.xylo import neuron as rule
from nirc.backends.xylo.neuron import kept_by_rounding
from tests.reference import xylo as reference

STATES = np.arange(-32768, 32768, dtype=np.int32)
EDGES = np.array(
    [-32768, -32767, -16385, -129, -2, -1, 0, 1, 2, 7, 128, 16384, 32766, 32767], np.int32
)


@pytest.mark.parametrize("dash", range(16))
def test_leak_is_the_definition_for_every_state(dash: int) -> None:
    expected = [reference.leak(x, dash) for x in STATES.tolist()]
    assert rule.leak(STATES, dash).tolist() == expected


def test_decay_never_leaves_a_value_hanging_above_or_below_zero() -> None:
    x = np.array([5, -5], np.int32)
    for _ in range(5):
        x = rule.decay(x, 15)
    assert x.tolist() == [0, 0]


def test_dash_zero_clears() -> None:
    assert not rule.decay(STATES, 0).any()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_membrane_is_the_definition_at_the_edges_of_every_range(dtype: type) -> None:
    v, isyn, dash, bias = np.meshgrid(EDGES, 2 * EDGES.astype(dtype), np.arange(16), EDGES[3:-3])
    got = rule.membrane_step(v.astype(dtype), isyn, dash, bias)
    numbers = zip(*(a.ravel().tolist() for a in (v, isyn, dash, bias)), strict=True)
    assert got.ravel().tolist() == [reference.membrane(*each) for each in numbers]


def test_the_leak_of_the_lowest_membrane_overflows_when_negated() -> None:
    lowest = np.array([-32768], np.int32)
    current = np.array([-100], np.int32)
    assert rule.membrane_step(lowest, current, 0, 0).tolist() == [-32768]
    assert rule.membrane_step(lowest + 1, current, 0, 0).tolist() == [-100]


@pytest.mark.parametrize("threshold", [1, 2, 3, 100, 1057, 1058, 32766, 32767])
@pytest.mark.parametrize("most", [0, 1, 31])
def test_fire_is_the_definition_for_every_membrane(threshold: int, most: int) -> None:
    spikes, v = rule.fire(STATES, threshold, most)
    assert spikes.tolist() == [reference.fire(x, threshold, most) for x in STATES.tolist()]
    assert (v == STATES - spikes * threshold).all()


def test_fire_takes_a_threshold_and_a_cap_for_each_neuron() -> None:
    v = np.array([[10, 11], [10, 11]], np.int64)
    spikes, left = rule.fire(v, np.array([[5], [11]]), np.array([[1], [31]]))
    assert spikes.tolist() == [[1, 1], [0, 1]]
    assert left.tolist() == [[5, 6], [10, 0]]


def test_adding_in_another_order_saturates_elsewhere() -> None:
    start = np.array([32000], np.int32)
    up, down = np.array([1000], np.int32), np.array([-1000], np.int32)
    assert rule.accumulate(start, [up, down]).tolist() == [31767]
    assert rule.accumulate(start, [down, up]).tolist() == [32000]


def test_a_step_of_the_synapse_adds_before_it_decays() -> None:
    isyn = np.array([0, 32767, -32768], np.int32)
    drive = np.array([100, 500_000, -500_000], np.int32)
    assert rule.synapse_step(isyn, drive, 1).tolist() == [50, 16384, -16384]


def test_arguments_are_left_alone() -> None:
    v = np.array([300, -5], np.int32)
    before = v.copy()
    rule.fire(v, 100, 31)
    rule.membrane_step(v, v, 3, 1)
    rule.decay(v, 2)
    assert (v == before).all()


@pytest.mark.parametrize("dash", range(16))
def test_what_rounding_keeps_is_the_mean_over_whole_blocks(dash: int) -> None:
    for largest in ((1 << dash) - 1, 2**15 - 1):
        x = np.arange(largest + 1)
        expected = np.mean(x / 2.0**dash - rule.leak(x, dash))
        got = kept_by_rounding(np.array([dash]), np.array([float(largest)]))
        assert got[0] == pytest.approx(expected, abs=1e-12)
