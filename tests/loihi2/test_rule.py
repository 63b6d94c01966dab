"""The vectorised rule against the scalar definition: every weight, and states at the edges of every
range.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.backends.loihi2 import rule
from nirc.backends.loihi2.rule import SIGN_MODES, SignMode
from tests.loihi2 import reference

EDGES = np.array(
    [-(2**23) + 1, -4097, -4096, -65, -64, -1, 0, 1, 64, 4095, 4096, 2**22, 2**23 - 1, 2**23],
    np.int32,
)
LOSSES = (0, 1, 163, 2048, 4094, 4095, 4096)
BIASES = np.array([-524288, -1, 0, 524160], np.int32)

states = st.integers(-(2**23) + 1, 2**23 - 1)


@pytest.mark.parametrize("loss", LOSSES)
def test_decay_rounds_towards_zero(loss: int) -> None:
    assert rule.decay(EDGES, loss).tolist() == [
        reference.towards_zero(x, loss) for x in EDGES.tolist()
    ]


@given(x=st.integers(-(2**31), 2**31 - 1), loss=st.integers(0, 4096))
def test_decay_is_exact_for_every_word_of_32_bits(x: int, loss: int) -> None:
    assert rule.decay(np.array([x], np.int32), loss).tolist() == [reference.towards_zero(x, loss)]


@pytest.mark.parametrize("du", [0, 1, 163, 2048, 4094, 4095])
@pytest.mark.parametrize("dv", LOSSES)
def test_a_step_is_the_definition_at_the_edges(du: int, dv: int) -> None:
    u, v, a, bias = np.meshgrid(EDGES, EDGES[:-1], [-131072, -3, 0, 3, 131071], BIASES)
    after_u = rule.current_step(u, a, du)
    membrane = rule.membrane_step(v, after_u, bias, dv)
    spikes, after_v = rule.fire(membrane, 100)
    got = zip(*(x.ravel().tolist() for x in (after_u, after_v, spikes)), strict=True)
    numbers = zip(*(x.ravel().tolist() for x in (u, v, a, bias)), strict=True)
    want = [reference.neuron(u, v, a, du=du, dv=dv, vth=100, bias=b) for u, v, a, b in numbers]
    assert list(got) == want


@given(
    u=states,
    v=states,
    a=st.integers(-(2**17), 2**17),
    du=st.integers(0, 4095),
    dv=st.integers(0, 4096),
    vth=st.integers(0, 131071),
    bias=st.integers(-524288, 524160),
)
def test_a_step_is_the_definition(
    u: int, v: int, a: int, du: int, dv: int, vth: int, bias: int
) -> None:
    one = [np.array([x], np.int32) for x in (u, v, a, bias)]
    after_u = rule.current_step(one[0], one[2], du)
    spikes, after_v = rule.fire(rule.membrane_step(one[1], after_u, one[3], dv), vth)
    got = (int(after_u[0]), int(after_v[0]), int(spikes[0]))
    assert got == reference.neuron(u, v, a, du=du, dv=dv, vth=vth, bias=bias)


def test_u_wraps_around_once_and_2_to_the_23_stays() -> None:
    zero = np.zeros(1, np.int32)
    quarter = 2**17  # << 6 is 2^23
    assert rule.current_step(zero, np.array([quarter]), 4095).tolist() == [2**23]
    assert rule.current_step(zero, np.array([quarter + 1]), 4095).tolist() == [-(2**23) + 64]
    assert rule.current_step(zero, np.array([-quarter]), 4095).tolist() == [2**23]
    assert rule.current_step(zero, np.array([765_000]), 4095).tolist() == [
        32_182_784
    ]  # measured with Lava (sheet)


def test_the_threshold_is_strict_and_never_out_of_reach() -> None:
    v = np.array([6400, 6401, -6401, 2**23 - 1], np.int32)
    assert rule.fire(v, 100)[0].tolist() == [False, True, False, True]
    assert rule.fire(v, 100)[1].tolist() == [6400, 0, -6401, 0]
    assert rule.fire(v, 131071)[0].tolist() == [False, False, False, True]


@pytest.mark.parametrize("mode", SIGN_MODES)
@pytest.mark.parametrize("bits", range(1, 9))
def test_every_weight_is_stored_as_defined(mode: SignMode, bits: int) -> None:
    weights = np.arange(-300, 301)
    assert rule.effective_weights(weights, mode, bits).tolist() == [
        reference.weight(w, mode, bits) for w in weights.tolist()
    ]


def test_mixed_weights_of_8_bits_are_even() -> None:
    """The sheet's examples."""
    assert rule.effective_weights(np.array([7, -7, 255, -256]), "mixed", 8).tolist() == [
        6,
        -8,
        254,
        -256,
    ]
    assert rule.effective_weights(np.array([7, -7, 255, 300]), "excitatory", 8).tolist() == [
        7,
        0,
        255,
        255,
    ]
    assert rule.effective_weights(np.array([7, -7, -256]), "inhibitory", 8).tolist() == [
        0,
        -7,
        -255,
    ]
    assert rule.effective_weights(np.array([-7, -8, -9]), "inhibitory", 5).tolist() == [0, -8, -8]


@pytest.mark.parametrize("exponent", range(-8, 8))
def test_a_sum_is_scaled_rounding_down(exponent: int) -> None:
    totals = np.arange(-1000, 1000)
    assert rule.scaled(totals, exponent).tolist() == [
        reference.scaled(t, exponent) for t in totals.tolist()
    ]


def test_the_bias_is_mantissa_and_exponent() -> None:
    assert rule.effective_bias(np.array([-4096, 4095, 3]), np.array([7, 7, 0])).tolist() == [
        -524288,
        524160,
        3,
    ]


def test_parameters_broadcast_and_arguments_are_left_alone() -> None:
    u = np.full((2, 3), 6400, np.int32)
    before = u.copy()
    du = np.array([4095, 2047, 0])
    after = rule.current_step(u, np.zeros((2, 3), np.int32), du)
    assert after.tolist() == [[0, 3200, 6398]] * 2
    rule.membrane_step(u, u, u, np.array([[0], [4096]]))
    rule.fire(u, 10)
    assert (u == before).all()
