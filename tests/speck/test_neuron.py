"""Speck's neuron as a value: the interpreter of its rule computes what the chip's step computes."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.backends.speck.neuron import SpeckNeuron, fire

N = 3
WHOLE = st.integers(-(1 << 15), (1 << 15) - 1)


def neuron(high: int, low: int, *, to_zero: bool, initial: int, bias: list[int]) -> SpeckNeuron:
    return SpeckNeuron((N, 1, 1), high, low, to_zero, initial, np.array(bias), np.ones(N), 0.0)


@settings(max_examples=300)
@given(
    st.integers(1, 1 << 15),
    st.integers(-(1 << 15), 0),
    st.booleans(),
    st.integers(-100, 100),
    st.lists(st.integers(-200, 200), min_size=N, max_size=N),
    st.lists(st.lists(WHOLE, min_size=N, max_size=N), min_size=1, max_size=12),
)
@example(
    8, -8, False, 0, [0, 0, 0], [[8, 16, 7], [-30, -8, -9], [8, 24, 0]]
)  # ties, and the lower bound
@example(8, 0, True, 4, [1, -1, 0], [[3, 5, 4], [100, -100, 8]])
def test_the_rule_is_the_chip_s_integer_step(
    high: int, low: int, to_zero: bool, initial: int, bias: list[int], drives: list[list[int]]
) -> None:
    """No word saturates above. The lower bound is part of the rule."""
    n = neuron(high, low, to_zero=to_zero, initial=initial, bias=bias)
    value = n.stepper(1)
    v = np.full((1, N), initial)
    np.testing.assert_array_equal(value.v, v)
    for x in np.array(drives)[:, None]:
        spikes, v = fire(v + x + bias, high, low, to_zero)
        np.testing.assert_array_equal(value.step(x.astype(float)), spikes)
        np.testing.assert_array_equal(value.v, v)


def test_it_is_sinabs_rule_with_a_bound_and_without_a_decay() -> None:
    d = neuron(8, -8, to_zero=False, initial=0, bias=[0] * N).as_discrete()
    assert (
        d.rule.text == "decay v, add x->v, fire >= many, subtract, bound, emit"
        and (d.decay_mem == 1).all()
    )
