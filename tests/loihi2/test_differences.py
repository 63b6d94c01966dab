"""What-if programs: each says what one difference of the chip costs alone."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model, lower
from nirc.backends.loihi2.differences import approximations
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.semantics.run import run
from tests.models import DATA, DT, chain, cuba, lif

NAMES = ["basicmotions_lif_ff", "japanesevowels_rsnn", "digits_lif_mlp", "digits_if_cnn"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_and_decays_together_are_nearly_what_the_integer_form_does(name: str) -> None:
    """Counts of the two what-ifs lie within a few spikes of the integer form's; rounding of states
    is what is left.
    """
    model = DATA / f"zoo/{name}.nir"
    inputs = np.load(model.with_suffix(".npz"))["inputs"][:40]
    inputs = inputs.reshape(*inputs.shape[:2], -1)
    made = compile_model(model, "loihi2", Options(reset="zero"))
    alone = dict(approximations(made.stages.discrete))
    assert list(alone)[:2] == ["weights: 8 bits", "decays: multiples of 1/4096"]
    chip = run(made.integer, inputs).outputs.sum(axis=1)
    stored = run(alone["weights: 8 bits"], inputs).outputs.sum(axis=1)
    model_ = run(made.stages.discrete, inputs).outputs.sum(axis=1)
    assert chip.any() and np.abs(stored - chip).mean() <= np.abs(model_ - chip).mean() + 0.05


def test_a_network_of_integers_loses_nothing() -> None:
    weight = np.array([[0.5, -0.25], [1.0, 0.75]])
    model = chain(2, nir.Linear(weight), nir.IF(np.ones(2), np.ones(2), np.zeros(2)), n_out=2)
    discrete = lower(model, Options(), log=Log()).discrete
    inputs = np.random.default_rng(0).poisson(0.5, (4, 60, 2)).clip(0, 1)
    answers = {name: run(program, inputs).outputs for name, program in approximations(discrete)}
    for answer in answers.values():
        assert answer.any() and (answer == run(discrete, inputs).outputs).all()


@pytest.mark.parametrize("synapse", [2.5, 40.0])
def test_the_decays_of_the_what_if_are_the_nearest_that_the_chip_has(synapse: float) -> None:
    """Of the membrane and of the filter. The filter loses at least a 4096th in a step."""
    model = chain(2, nir.Linear(np.eye(2)), cuba(2, steps=7.7, synapse=synapse), n_out=2)
    discrete = lower(model, Options(), log=Log()).discrete
    told = dict(approximations(discrete))["decays: multiples of 1/4096"]
    before, after = (
        {n: p.dynamics for n, p in s.nodes(Population).items()} for s in (discrete, told)
    )
    for name, d in before.items():
        for part in ("decay_mem", "decay_syn"):
            exact, chip = (getattr(each, part) for each in (d, after[name]))
            assert (chip != exact).all() and (np.abs(chip - exact) <= 0.5 / 4096).all()
            np.testing.assert_array_equal(chip * 4096, np.rint(chip * 4096))
            assert part == "decay_mem" or (chip <= 1 - 1 / 4096).all()


def test_a_reset_that_is_lost_is_named_first() -> None:
    """Behind a slow synaptic filter, or where it is asked for; else it costs nothing and is not
    named.
    """
    plain, filtered = (
        lower(
            chain(2, nir.Linear(np.eye(2)), neurons, n_out=2), Options(reset="subtract"), log=Log()
        ).discrete
        for neurons in (lif(2), cuba(2, synapse=40))
    )
    assert (
        approximations(filtered)[0][0]
        == approximations(plain, exact=False)[0][0]
        == "reset: to zero"
    )
    assert "reset: to zero" not in dict(approximations(plain))


def test_a_membrane_that_wraps_around_is_shown() -> None:
    """Inhibition for long drives an integrator's u out of its 24 bits; the model's membrane goes on
    sinking.
    """
    weight = np.array([[1.0] + [-0.9] * 60])
    model = chain(61, nir.Linear(weight), nir.IF(np.ones(1), np.ones(1), np.zeros(1)), n_out=1)
    discrete = lower(model, Options(reset="subtract"), log=Log()).discrete
    inputs = np.ones((1, 150, 61), np.uint8)
    inputs[0, 100:, 1:] = 0
    alone = run(dict(approximations(discrete))["saturation: membranes of 24 bits"], inputs).outputs
    made = compile_model(model, "loihi2", Options(reset="subtract"))
    chip = made.bundle.run(inputs).outputs
    assert (
        not run(discrete, inputs).outputs.any()
        and alone.any()
        and np.abs(chip - alone).mean() < 0.1
    )


def test_a_synaptic_filter_keeps_its_gain() -> None:
    model = chain(
        3, nir.Linear(np.random.default_rng(1).normal(0.4, 0.3, (4, 3))), cuba(4), n_out=4
    )
    discrete = lower(model, Options(), log=Log()).discrete
    inputs = np.random.default_rng(2).poisson(0.3, (4, 80, 3)).clip(0, 1)
    stored, expected = (
        run(p, inputs).outputs
        for p in (dict(approximations(discrete))["weights: 8 bits"], discrete)
    )
    assert expected.any() and abs(stored.sum() / expected.sum() - 1) < 0.1


@pytest.mark.parametrize(("steps", "said"), [(200, []), (2, ["D422"])])
def test_a_membrane_that_cannot_wait_at_its_start_is_named(steps: int, said: list[str]) -> None:
    """It begins at 0 and leaks to -1, its reset. Behind five layers it waits at its threshold."""
    fields = (np.full(2, value) for value in (steps * DT, steps, -1.0, 0.5, -1.0))
    layers = [nir.Linear(np.eye(2)), lif(2)] * 5
    model = chain(2, *layers, nir.Linear(np.eye(2)), nir.LIF(*fields), n_out=2)
    log = Log()
    made = compile_model(model, "loihi2", Options(dt_s=DT), log=log)
    found = [d for d in log.diagnostics if d.code == "D422"]
    assert [d.code for d in found] == said and all(d.where == "nodes/lif11" for d in found)
    neuron = made.integer["lif11"].dynamics
    above_reset = neuron.v_start / neuron.scale
    waits_at = 1.0 if steps == 200 else 1.5 / 2**6
    np.testing.assert_allclose(above_reset, waits_at, rtol=1e-2)
