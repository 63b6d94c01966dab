"""Xylo's neuron is a value: its rule, run inside the chip's words, is the chip's own integer
step.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.backends.xylo.approximations import _leak as leaking
from nirc.backends.xylo.limits import STATE, THRESHOLD
from nirc.backends.xylo.neuron import XyloNeuron, leak
from nirc.ir.arrays import Int
from nirc.semantics.neuron import Stepper
from nirc.semantics.variations import FixedPoint

N = 3
DASHES = st.lists(st.integers(0, 15), min_size=N, max_size=N)


def words(neuron: XyloNeuron) -> Stepper:
    """The rule value with states of 16 bits and leaks of whole units."""
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
        if leaves_16_bits_halfway(before, chip.isyn + chip.isyn_2 * (n.dash_syn_2 is not None), n):  # type: ignore[attr-defined]
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
