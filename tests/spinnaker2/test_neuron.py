"""SpiNNaker2's neuron is a value: its rule, run by the interpreter in single precision, is the
chip's own step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nirc.backends.spinnaker2.limits import NEVER
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.backends.spinnaker2.rule import current_step, fire, membrane_step
from nirc.ir.arrays import Float
from nirc.ir.populations import Discrete
from nirc.ir.rules import plain
from nirc.semantics.neuron import NeuronStepper

N = 3
UNITS = st.floats(-100, 100, width=32)
DECAYS = st.floats(0, 1, width=32)


def rounded(x: Float) -> Float:
    """To the nearest number of single precision."""
    return x.astype(np.float32).astype(np.float64)


class InSinglePrecision(NeuronStepper):
    """The interpreter with states in the chip's words: each sum and product is rounded.

    The constant comes last.
    """

    def __init__(self, d: Discrete, batch: int) -> None:
        super().__init__(d, (batch, d.decay_mem.size))

    def decay_current(self) -> None:
        super().decay_current()
        self.i = rounded(self.i)
        self.i_2 = None if self.i_2 is None else rounded(self.i_2)

    def add_to_current(self) -> None:
        super().add_to_current()
        self.i = rounded(self.i)
        self.i_2 = None if self.i_2 is None else rounded(self.i_2)

    def decay_membrane(self) -> None:
        self.v = rounded(self.d.decay_mem * self.v)

    def add_current(self) -> None:
        self.add_to_membrane(self.i if self.i_2 is None else rounded(self.i + self.i_2))

    def add_to_membrane(self, x: Float) -> None:
        self.v = rounded(rounded(self.v + x) + self.d.drift)

    def subtract(self) -> None:
        super().subtract()
        self.v = rounded(self.v)


def neuron(values: dict[str, Any], *, subtract: bool, fires: bool = True) -> SpinNeuron:
    zeros = single(np.zeros(N))
    if not fires:
        values = values | {"threshold": [NEVER] * N}
    numbers = {k: None if v is None else single(np.array(v)) for k, v in values.items()}
    return SpinNeuron(
        model="lif" if values["exc_decay"] is None else "lif_curr_exp",
        reset="reset_by_subtraction" if subtract else "reset_to_v_reset",
        v_init=zeros,
        scale=np.ones(N),
        latency_steps=0,
        fires=fires,
        **numbers,  # type: ignore[arg-type]
    )


def several(of: st.SearchStrategy[float]) -> st.SearchStrategy[list[float]]:
    return st.lists(of, min_size=N, max_size=N)


def assert_same(n: SpinNeuron, excitation: Float, inhibition: Float) -> None:
    chip, value = n.stepper(1), InSinglePrecision(n.as_discrete(), 1)
    for x, y in zip(excitation[:, None], inhibition[:, None], strict=True):
        two = value.i_2 is not None
        np.testing.assert_array_equal(
            value.step(x, y if two else None), chip.step(x, y if two else None)
        )
        np.testing.assert_array_equal(value.v, chip.v)


@st.composite
def neurons(draw: st.DrawFn) -> SpinNeuron:
    filtered = draw(st.booleans())
    exc = draw(several(DECAYS)) if filtered else None
    values = {
        "threshold": draw(several(st.floats(0.125, 64, width=32))),
        "alpha_decay": draw(several(DECAYS)),
        "i_offset": draw(several(UNITS)),
        "v_reset": draw(several(UNITS)),
        "exc_decay": exc,
        "inh_decay": None if exc is None else draw(st.one_of(st.just(exc), several(DECAYS))),
    }
    return neuron(values, subtract=draw(st.booleans()), fires=draw(st.booleans()))


@settings(max_examples=300)
@given(neurons(), st.lists(several(st.integers(-500, 500)), min_size=1, max_size=12))
def test_the_rule_is_the_chip_s_step_in_single_precision(
    n: SpinNeuron, drives: list[list[int]]
) -> None:
    """Weights are whole.

    Where both currents decay alike the rule has one of them, and inhibition stays away.
    """
    x = np.array(drives, float)
    if n.exc_decay is not None:
        assert_same(n, np.maximum(x, 0), np.minimum(x, 0))
    else:
        assert_same(n, x, 0 * x)


@example(0.1)
@given(st.floats(0.125, 8, width=32))
def test_a_membrane_at_its_threshold_fires(threshold: float) -> None:
    values = {
        "threshold": [threshold] * N,
        "alpha_decay": [1.0] * N,
        "i_offset": [0.0] * N,
        "v_reset": [0.0] * N,
    }
    n = neuron(values | {"exc_decay": None, "inh_decay": None}, subtract=True)
    at = float(n.threshold[0])
    assert n.stepper(1).step(np.full((1, N), at)).all()
    assert InSinglePrecision(n.as_discrete(), 1).step(np.full((1, N), at)).all()


def test_it_is_the_letter_of_nir_that_fires_at_the_threshold() -> None:
    values = {k: [0.5] * N for k in ("threshold", "alpha_decay", "i_offset", "v_reset")}
    lif = neuron(values | {"exc_decay": None, "inh_decay": None}, subtract=False)
    curr = neuron(values | {"exc_decay": [0.5] * N, "inh_decay": [0.25] * N}, subtract=True)
    assert lif.as_discrete().rule == plain("set", synapse=False, at=">=")
    assert curr.as_discrete().rule == plain("subtract", synapse=True, at=">=")


def test_a_step_adds_the_decayed_membrane_the_drive_and_the_offset() -> None:
    v, drive, decay, offset = (np.float32(x) for x in (8.0, 3.0, 0.5, 0.25))
    assert membrane_step(v, drive, decay, offset) == 7.25
    assert current_step(np.float32(8), np.float32(-3), np.float32(0.75)) == 3.0
    at = np.array([4.0, 3.9, 9.0], np.float32)
    spikes, after = fire(at, np.float32(4), np.float32(1), "reset_by_subtraction")
    assert spikes.tolist() == [True, False, True] and after.tolist() == [0, at[1], 5]
    assert fire(at, np.float32(4), np.float32(1), "reset_to_v_reset")[1].tolist() == [1, at[1], 1]
