"""Networks of Lava-DL's slayer: the chip cuts its states as slayer does, so that no spike
differs.
"""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2.neuron import LoihiNeuron
from nirc.semantics.run import run
from tests.models import chain

STEP_S, UNITY, WEIGHT_UNIT = 1e-4, 4096, 64


def block(n: int, threshold: float, current_decay: int, voltage_decay: int) -> nir.CubaLIF:
    """Neurons as the converter writes them; decays in 4096ths."""
    one = np.ones(n)
    tau_syn, tau_mem = (STEP_S * UNITY / decay for decay in (current_decay, voltage_decay))
    return nir.CubaLIF(
        tau_syn=tau_syn * one,
        tau_mem=tau_mem * one,
        r=tau_mem / STEP_S * one,
        w_in=tau_syn / STEP_S * one,
        v_leak=0 * one,
        v_reset=0 * one,
        v_threshold=threshold * one,
    )


def slayers(
    rng: np.random.Generator, threshold: float, decays: tuple[int, int], unit: float
) -> nir.NIRGraph:
    """20-30-5, weights in even multiples of ``unit``."""
    first, second = (
        2 * unit * rng.integers(low, high, shape)
        for low, high, shape in ((-8, 16, (30, 20)), (-10, 14, (5, 30)))
    )
    return chain(
        20,
        nir.Linear(first),
        block(30, threshold, *decays),
        nir.Linear(second),
        block(5, threshold, *decays),
        n_out=5,
    )


def compiled(model: nir.NIRGraph, **chip: str) -> Compiled:
    return compile_model(
        model, "loihi2", Options(writer="lava", strict=True, chip=tuple(sorted(chip.items())))
    )


def scales(made: Compiled) -> set[float]:
    """Chip units per volt of all neurons."""
    neurons = (
        p.dynamics for _, p in made.integer.graph.nodes(data="payload") if hasattr(p, "dynamics")
    )
    return {float(s) for d in neurons if isinstance(d, LoihiNeuron) for s in d.scale}


@pytest.mark.parametrize(
    ("threshold", "decays"), [(1.25, (1024, 123)), (0.5, (4000, 300)), (8.0, (200, 20))]
)
def test_every_spike_is_that_of_slayers_states(threshold: float, decays: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    made = compiled(slayers(rng, threshold, decays, 1 / WEIGHT_UNIT))
    assert scales(made) == {float(UNITY)}
    raster = (rng.random((4, 80, 20)) < 0.1).astype(np.int64)
    reference = run(made.stages.reference, raster).outputs
    assert reference.sum() > 20
    np.testing.assert_array_equal(made.bundle.run(raster).outputs, reference)


def test_a_chain_of_slayer_has_its_file_for_netx_however_small_the_threshold() -> None:
    """32 units a threshold would be too few where a finer unit could be had."""
    made = compiled(slayers(np.random.default_rng(0), 0.5, (1024, 123), 1 / WEIGHT_UNIT))
    assert "network.net" in made.bundle.files


def test_weights_off_slayers_grid_get_the_finest_unit() -> None:
    made = compiled(slayers(np.random.default_rng(0), 1.25, (1024, 123), 0.0123))
    assert scales(made) != {float(UNITY)}


def test_two_synapses_a_weight_have_units_of_their_own() -> None:
    made = compiled(
        slayers(np.random.default_rng(0), 1.25, (1024, 123), 1 / WEIGHT_UNIT), synapses="two"
    )
    assert scales(made) != {float(UNITY)}
