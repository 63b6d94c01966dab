"""A step of each chip's neurons as data, where words saturate, wrap around and are rounded.

The networks of the other tests seldom get there. Here neurons receive whatever a word can hold, and
do in torch what the chip's own stepper does.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.backends.loihi2.training import LoihiTraining
from nirc.backends.speck.neuron import SpeckNeuron
from nirc.backends.speck.training import SpeckTraining
from nirc.backends.spinnaker2.neuron import SpinNeuron, single
from nirc.backends.spinnaker2.training import Spinnaker2Training
from nirc.backends.xylo.neuron import XyloNeuron
from nirc.backends.xylo.training import XyloTraining
from nirc.chip.training import Training
from nirc.ir.arrays import frozen, frozen_integers
from nirc.ir.computation import of_discrete
from nirc.ir.populations import Discrete, Population
from nirc.ir.rules import parse
from tests.models import DT, chain
from tests.torch.networks import biased, counts, made, torch_or_skip

torch = torch_or_skip()
pytestmark = pytest.mark.oracle
N = 16
STEPS = 12
Rng = np.random.Generator


def xylo(rng: Rng) -> tuple[Any, int]:
    shifts = [frozen_integers(rng.integers(least, 16, N)) for least in (0, 1, 1)]
    return XyloNeuron(
        dash_mem=shifts[0],
        dash_syn=shifts[1],
        dash_syn_2=shifts[2],
        threshold=frozen_integers(rng.integers(1, 32768, N)),
        bias=frozen_integers(rng.integers(-128, 128, N)),
        scale=frozen(rng.uniform(1, 100, N)),
        max_spikes=int(rng.choice([1, 31])),
        shift_in=0,
        shift_rec=0,
        silent=bool(rng.random() < 0.3),
        start=tuple(frozen_integers(rng.integers(-32768, 32768, N)) for _ in range(3)),  # type: ignore[arg-type]
    ), 60_000


def loihi2(rng: Rng) -> tuple[Any, int]:
    return LoihiNeuron(
        du=frozen_integers(rng.choice([0, 1, 100, 4095], N)),
        dv=frozen_integers(rng.choice([0, 1, 100, 4096], N)),
        vth=frozen_integers(rng.choice([0, 10, 131071], N)),
        bias_mant=frozen_integers(rng.integers(-4096, 4096, N)),
        bias_exp=frozen_integers(rng.integers(0, 8, N)),
        v_start=frozen_integers(rng.integers(-(1 << 23) + 1, 1 << 23, N)),
        v_init=frozen_integers(np.zeros(N)),
        scale=frozen(rng.uniform(1, 100, N)),
        spikes=bool(rng.random() < 0.7),
    ), int(rng.choice([1 << 12, 1 << 17, 1 << 18, 1 << 26]))


def speck(rng: Rng) -> tuple[Any, int]:
    return SpeckNeuron(
        shape=(N, 1, 1),
        threshold_high=int(rng.integers(1, 32768)),
        threshold_low=int(rng.integers(-32768, 0)),
        return_to_zero=bool(rng.random() < 0.5),
        initial=int(rng.integers(-100, 100)),
        bias=frozen_integers(rng.integers(-32768, 32768, N)),
        scale=frozen(np.ones(N)),
        events=1.0,
    ), 100_000


def spinnaker2(rng: Rng) -> tuple[Any, int]:
    filtered = bool(rng.random() < 0.7)
    decays = [single(rng.uniform(0, 1, N)) if filtered else None for _ in range(2)]
    return SpinNeuron(
        model="lif_curr_exp_no_delay" if filtered else "lif_no_delay",
        reset="reset_by_subtraction" if rng.random() < 0.5 else "reset_to_v_reset",
        threshold=single(rng.uniform(0.1, 300, N)),
        alpha_decay=single(rng.uniform(0, 1, N)),
        i_offset=single(rng.normal(0, 3, N)),
        v_init=single(rng.normal(0, 3, N)),
        v_reset=single(rng.normal(0, 3, N)),
        scale=frozen(rng.uniform(1, 100, N)),
        latency_steps=int(rng.integers(0, 3)),
        fires=bool(rng.random() < 0.7),
        exc_decay=decays[0],
        inh_decay=decays[1],
    ), 1000


CHIPS: dict[str, tuple[Any, Training]] = {
    "loihi2": (loihi2, LoihiTraining()),
    "speck": (speck, SpeckTraining()),
    "spinnaker2": (spinnaker2, Spinnaker2Training()),
    "xylo": (xylo, XyloTraining()),
}


@pytest.mark.parametrize("chip", CHIPS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_a_step_as_data_is_the_chips_own(chip: str, seed: int) -> None:
    from nirc.torch.neurons import run_steps

    make, training = CHIPS[chip]
    rng = np.random.default_rng(seed)
    payload, most = make(rng)
    computation = training.computation(Population((N,), payload, ("n",)))
    two = {"xylo", "spinnaker2"} & {chip}
    inputs = rng.integers(-most, most + 1, (2, STEPS, 3, N)).astype(np.float64)
    inputs *= rng.random(inputs.shape) < 0.5
    stepper = payload.stepper(3)
    second = [inputs[1, t] if two else None for t in range(STEPS)]
    expected = np.stack([stepper.step(inputs[0, t], second[t]) for t in range(STEPS)])
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in computation.parameters.items()}
    states = [torch.from_numpy(np.tile(v, (3, 1))) for v in computation.states.values()]
    x, x_2 = torch.from_numpy(inputs)
    out, _ = run_steps(computation, (x, x_2 if two else None), states, tensors)
    np.testing.assert_array_equal(out.numpy(), expected)


def slopes_of(threshold: float, v: float, most: int | None) -> float:
    """Return the slope of a spike by the input."""
    from nirc.torch.neurons import run_steps

    one = np.ones(1)
    rule = parse(f"decay v, add x->v, fire >= {most or 'many'}, subtract, emit")
    neuron = Discrete(one, one, 0 * one, threshold=threshold * one, rule=rule)
    computation = of_discrete(neuron)
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in computation.parameters.items()}
    states = [torch.zeros((1, 1), dtype=torch.float64) for _ in computation.states]
    x = torch.full((1, 1, 1), v, dtype=torch.float64, requires_grad=True)
    out, _ = run_steps(computation, (x, None), states, tensors)
    out.sum().backward()
    return float(x.grad)


def test_a_spike_has_its_steepest_slope_at_the_threshold() -> None:
    assert slopes_of(2.0, 2.0, 1) == pytest.approx(1 / 2)
    assert slopes_of(2.0, 1.0, 1) == pytest.approx(1 / 2 / (1 + 2 * 0.5) ** 2)
    assert slopes_of(2.0, 3.0, 1) == pytest.approx(1 / 2 / (1 + 2 * 0.5) ** 2)
    # Neurons that fire several times in a step: twice the input, twice the spikes.
    assert slopes_of(2.0, 9.0, None) == pytest.approx(1 / 2)


def test_slopes_without_spikes_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    one = np.ones(2)
    readout = nir.CubaLI(
        tau_syn=4 * DT * one, tau_mem=8 * DT * one, r=8 * one, v_leak=0.1 * one, w_in=4 * one
    )
    module = made(chain(3, biased(rng, 2, 3), readout, n_out=2), None)
    inputs = counts(rng, "deep", samples=2, steps=9)
    towards = torch.from_numpy(rng.normal(size=(2, 9, 2)))

    def loss() -> Any:
        return (module(inputs) * towards).sum()

    loss().backward()
    compared = 0
    for parameter in module.parameters():
        for place in range(parameter.numel()):
            values = []
            for shift in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[place] += shift
                    values.append(float(loss()))
                    parameter.view(-1)[place] -= shift
            slope = (values[0] - values[1]) / 2e-6
            assert float(parameter.grad.view(-1)[place]) == pytest.approx(slope, rel=1e-5)
            compared += 1
    assert compared == 6 + 2 + 3 * 2  # weights, biases, two decays and the drift
