"""The vectorised rule of one neuron against the scalar definition, over whole ranges.

Xylo's neuron is also a value: its rule, run inside the chip's words, is the chip's integer step.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.backends.xylo import neuron as rule
from nirc.backends.xylo.approximations import _leak as leaking
from nirc.backends.xylo.limits import STATE, THRESHOLD
from nirc.backends.xylo.neuron import XyloNeuron, kept_by_rounding, leak
from nirc.ir.arrays import Int
from nirc.semantics.neuron import Stepper
from nirc.semantics.variations import FixedPoint
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


N = 3
DASHES = st.lists(st.integers(0, 15), min_size=N, max_size=N)


def words(neuron: XyloNeuron) -> Stepper:
    """The rule value with states of 16 bits and leaks of integer units."""
    one = np.ones(N)
    state = (STATE[0] * one, STATE[1] * one)
    return FixedPoint(neuron.as_discrete(), one, decayed=leaking, v=state, current=state).stepper(1)


def neuron(
    mem: list[int], syn: list[int], syn_2: list[int] | None = None, **fields: object
) -> XyloNeuron:
    usual = {
        "threshold": np.full(N, 1000),
        "bias": np.zeros(N, np.int64),
        "max_spikes": 31,
        "silent": False,
    }
    second = None if syn_2 is None else np.array(syn_2)
    made = usual | fields
    if made["silent"]:  # a neuron that is read as a membrane has the largest threshold
        made["threshold"] = np.full(N, THRESHOLD[1])
    return XyloNeuron(
        np.array(mem),
        np.array(syn),
        np.asarray(made["threshold"]),
        np.asarray(made["bias"]),
        np.ones(N),
        int(made["max_spikes"]),  # type: ignore[call-overload]
        0,
        0,
        second,
        bool(made["silent"]),
    )


def leaves_16_bits_halfway(v: Int, current: Int, n: XyloNeuron) -> bool:
    """Whether the sum of current, leak and bias does: the chip saturates it before it reaches the
    membrane.
    """
    lost = current - leak(v, n.dash_mem)
    return any(
        bool(((x < STATE[0]) | (x > STATE[1])).any())
        for x in (current, lost, lost + n.bias, -leak(v, n.dash_mem))
    )


def assert_same(n: XyloNeuron, first: Int, second: Int) -> int:
    """Both ways through all steps that stay inside 16 bits halfway, and in which no readout fires;
    their number.
    """
    chip, value = n.stepper(1), words(n)
    for t in range(len(first)):
        before = chip.v.astype(np.int64)
        x, y = (z[t][None].astype(np.float64) for z in (first, second))
        sent = chip.step(x, None if n.dash_syn_2 is None else y)
        if leaves_16_bits_halfway(before, np.sum(chip.isyn, axis=0, dtype=np.int64), n):
            return t
        got = value.step(x, None if n.dash_syn_2 is None else y)
        if n.silent and (value.v >= n.threshold).any():
            return t
        np.testing.assert_array_equal(got, sent)
        np.testing.assert_array_equal(value.v, chip.v)
    return len(first)


@st.composite
def drives(draw: st.DrawFn) -> Int:
    most = draw(st.sampled_from([20, 2000, 32767]))
    steps = draw(st.integers(1, 20))
    values = draw(st.lists(st.integers(-most, most), min_size=steps * N, max_size=steps * N))
    return np.array(values).reshape(steps, N)


@settings(max_examples=300)
@given(st.data())
def test_the_rule_is_the_chip_s_integer_step(data: st.DataObject) -> None:
    second = data.draw(st.one_of(st.none(), DASHES))
    n = neuron(
        data.draw(DASHES),
        data.draw(DASHES),
        second,
        threshold=data.draw(st.lists(st.integers(1, 32767), min_size=N, max_size=N)),
        bias=data.draw(st.lists(st.integers(-2000, 2000), min_size=N, max_size=N)),
        max_spikes=data.draw(st.sampled_from([1, 31])),
        silent=data.draw(st.booleans()),
    )
    x = data.draw(drives())
    assert_same(n, x, x[::-1] if second is not None else x)


@pytest.mark.parametrize("drive", [40000, -40000], ids=["at their most", "at their least"])
def test_states_that_saturate_are_the_same(drive: int) -> None:
    """A threshold of 32767 is reached by a membrane that saturates, and takes it back to 0."""
    n = neuron([15] * N, [15] * N, threshold=np.full(N, 32767))
    assert assert_same(n, np.full((6, N), drive), np.zeros((6, N), int)) == 6
    stepper = n.stepper(1)
    fired = [bool(stepper.step(np.full((1, N), float(drive))).all()) for _ in range(6)]
    assert any(fired) if drive > 0 else (stepper.v == STATE[0]).all()


@example(v=-1, dash=3)
@example(v=1, dash=15)
@example(v=-32768, dash=1)
@given(v=st.integers(*STATE), dash=st.integers(0, 15))
def test_a_leak_in_volts_is_the_leak_in_integers(v: int, dash: int) -> None:
    kept = np.array([1 - 2.0**-dash])
    assert (
        leaking(np.array([float(v)]), kept, np.ones(1)).tolist()
        == (v - leak(np.array([v]), dash)).tolist()
    )
