"""Loihi 2's neuron is a value:

NIR's letter, run by the interpreter inside the chip's words, is the chip's own step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.backends.loihi2.differences import towards_zero
from nirc.backends.loihi2.limits import STATE, STATE_SHIFT, VTH, WRAP
from nirc.backends.loihi2.neuron import (
    QUIET,
    START_ROOM,
    BinaryInput,
    LoihiNeuron,
    start_up_fails,
)
from nirc.backends.loihi2.rule import decay
from nirc.ir.arrays import Int
from nirc.ir.populations import Discrete
from nirc.ir.rules import LETTER, MEMBRANE
from nirc.semantics.neuron import Stepper
from nirc.semantics.variations import FixedPoint

N = 3


def several(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=N, max_size=N)


def neuron(du: list[int], dv: list[int], **fields: object) -> LoihiNeuron:
    made = {
        "vth": [100] * N,
        "mant": [0] * N,
        "exp": [0] * N,
        "start": [0] * N,
        "spikes": True,
    } | fields
    spikes = bool(made["spikes"])
    if not spikes:  # a readout has the largest threshold
        made["vth"] = [VTH[1]] * N
    vth, mant, exp, start = (np.array(made[k]) for k in ("vth", "mant", "exp", "start"))
    return LoihiNeuron(
        np.array(du), np.array(dv), vth, mant, exp, start, start, np.ones(N), spikes=spikes
    )


def words(n: LoihiNeuron) -> Stepper:
    """The rule value with decays cut towards the chip's zero and a membrane of 24 bits.

    Its v starts at 0.
    """
    start = n.v_start.astype(float)
    within = (STATE[0] - start, STATE[1] - start)
    return FixedPoint(
        n.as_discrete(), np.ones(N), decayed=towards_zero, zero=-start, v=within
    ).stepper(1)


def assert_same(n: LoihiNeuron, drives: Int) -> int:
    """Both ways through all steps in which no readout fires and u stays inside 24 bits, beyond
    which it wraps around.

    Returns their number.
    """
    chip, value = n.stepper(1), words(n)
    for t, x in enumerate(drives.astype(float)[:, None]):
        total = decay(chip.u, n.du + 1) + x * (1 << STATE_SHIFT)  # type: ignore[attr-defined]
        if (np.abs(total) >= WRAP).any():
            return t
        sent, got = chip.step(x), value.step(x)
        if not n.spikes and (value.v + n.v_start > VTH[1] << STATE_SHIFT).any():
            return t
        np.testing.assert_array_equal(value.v + n.v_start, chip.v)
        np.testing.assert_array_equal(got if n.spikes else got + n.v_start, sent)
    return len(drives)


@settings(max_examples=300)
@given(st.data())
def test_the_rule_is_the_chip_s_integer_step(data: st.DataObject) -> None:
    most = data.draw(st.sampled_from([4, 300, 100_000]))
    n = neuron(
        data.draw(st.one_of(several(0, 4095), st.just([4095] * N))),
        data.draw(several(0, 4096)),
        vth=data.draw(several(0, 1 << 14)),
        mant=data.draw(several(-4096, 4095)),
        exp=data.draw(several(0, 7)),
        start=data.draw(st.one_of(st.just([0] * N), several(-50_000, 50_000))),
        spikes=data.draw(st.booleans()),
    )
    steps = data.draw(st.integers(1, 12))
    drives = data.draw(st.lists(st.integers(-most, most), min_size=N * steps, max_size=N * steps))
    assert_same(n, np.array(drives).reshape(steps, N))


def test_a_membrane_that_saturates_is_the_same() -> None:
    n = neuron([4095] * N, [0] * N)
    assert assert_same(n, np.full((4, N), -120_000)) == 4
    stepper = n.stepper(1)
    for _ in range(4):
        stepper.step(np.full((1, N), -120_000.0))
    assert (stepper.v == STATE[0]).all()


@example(v=-1, loss=1)
@example(v=4095, loss=4096)
@given(v=st.integers(*STATE), loss=st.integers(0, 4096))
def test_a_cut_in_volts_is_the_decay_in_integers(v: int, loss: int) -> None:
    kept = np.array([1 - loss / 4096])
    assert (
        towards_zero(np.array([float(v)]), kept, np.ones(1)).tolist()
        == decay(np.array([v]), loss).tolist()
    )


@pytest.mark.parametrize(("du", "synapse"), [(4095, False), (1000, True)])
def test_it_is_the_letter_of_nir_with_a_synapse_where_u_keeps_anything(
    du: int, synapse: bool
) -> None:
    rules = [
        neuron([du] * N, [0] * N, spikes=spikes).as_discrete().rule for spikes in (True, False)
    ]
    assert rules == [r.with_synapse() if synapse else r for r in (LETTER, MEMBRANE)]


def biased(decay: float, drift: list[float], threshold: float = 2.0) -> Discrete:
    """Two neurons that begin at 0."""
    both = np.ones(2)
    return Discrete(decay * both, both, np.array(drift), threshold=threshold * both)


@pytest.mark.parametrize(
    ("decay", "drift", "steps", "fails"),
    [
        (0.5, [0.0, 0.0], 1, False),
        (0.5, [0.1, 0.1], 0, False),
        (0.5, [0.1, 0.1], 1, False),  # from -0.2 to 0
        (
            0.5,
            [START_ROOM * 0.9, 0.1],
            1,
            False,
        ),  # from -1.8 times START_ROOM, with a threshold of 2
        (0.5, [START_ROOM * 1.1, 0.1], 1, True),
        (0.5, [0.1, START_ROOM * 1.1], 1, True),
        (0.5, [-QUIET * 0.9, 0.0], 1, False),  # from 1.8 times QUIET
        (0.5, [-QUIET * 1.1, 0.0], 1, True),
        (0.0, [2.0 * QUIET * 0.9, 0.1], 1, False),  # without memory a step of drift is all there is
        (0.0, [2.0 * QUIET * 1.1, 0.1], 1, True),
    ],
)
def test_a_start_value_has_to_keep_neurons_quiet_until_the_models_first_step(
    decay: float, drift: list[float], steps: int, fails: bool
) -> None:
    assert start_up_fails(biased(decay, drift), steps) == fails
    assert not start_up_fails(replace(biased(decay, drift), threshold=None), steps)


def test_a_binary_input_is_a_comparison_with_0() -> None:
    d = BinaryInput().as_discrete()
    assert (d.decay_mem, d.gain_mem, d.drift, d.threshold, d.v_reset) == (0, 1, 0, 0, 0)
