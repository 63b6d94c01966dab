"""Lower bounds of the membranes of leaky layers: a calibration looks for them."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.speck.calibrate import SpeckBounds
from nirc.backends.speck.limits import THRESHOLD_LOW
from nirc.calibration import settings
from nirc.calibration.objective import distances
from nirc.calibration.settings import with_best_settings
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.models import DT, chain, lif, linear


def inhibited() -> nir.NIRGraph:
    """A layer whose inputs inhibit as often as they excite."""
    return chain(12, linear(np.random.default_rng(6), 8, 12, 0.4), lif(8), n_out=8)


def spikes(seed: int, samples: int = 32) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, 40, 12)) < 0.2).astype(np.int64)


def compiled(model: nir.NIRGraph, calibration: Any = None, **more: Any) -> Compiled:
    options = Options(dt_s=DT, writer="nir", **more)
    return compile_model(model, "speck", options, calibration=calibration, log=Log())


def low(integer: Program) -> int:
    (population,) = integer.nodes(Population).values()
    return int(population.dynamics.threshold_low)


def far(done: Compiled, inputs: np.ndarray) -> float:
    expected = run(done.legal, inputs).outputs
    return float(distances(run(done.integer, inputs).outputs, expected).mean())


@pytest.fixture(scope="module")
def both() -> tuple[Compiled, Compiled]:
    return compiled(inhibited()), compiled(inhibited(), spikes(7))


def test_inhibition_lasts_on_a_calibrated_chip(both: tuple[Compiled, Compiled]) -> None:
    """Without samples the bound is where the model's leak ends, and inhibition is forgotten."""
    plain, calibrated = both
    assert low(plain.integer) == THRESHOLD_LOW[1] > low(calibrated.integer)
    assert far(calibrated, spikes(8)) < 0.8 * far(plain, spikes(8))


def test_manifest_and_note_say_the_bound(both: tuple[Compiled, Compiled]) -> None:
    (population,) = both[1].integer.nodes(Population).values()
    bound = population.dynamics.threshold_low / population.dynamics.threshold_high
    said = both[1].bundle.manifest["calibration"]
    assert said["kept"] == said["stages"][-1]["name"] == "settings"
    assert said["weights"] in {stage["name"] for stage in said["stages"][:-1]}
    (entry,) = said["populations"].values()
    assert entry["lower_bound_thresholds"] == round(bound, 6)
    assert entry["distance_after"] < entry["distance_before"]
    (note,) = [d for d in both[1].bundle.diagnostics if d.code == "D414"]
    assert f"membranes down to {bound:.3g} thresholds" in note.message


def test_few_samples_decide_no_bound(both: tuple[Compiled, Compiled]) -> None:
    """Of 28 samples seven judge."""
    few = compiled(inhibited(), spikes(7, 28))
    assert low(few.integer) == low(both[0].integer)
    assert "settings" not in {s["name"] for s in few.bundle.manifest["calibration"]["stages"]}


def test_a_layer_that_does_not_leak_keeps_its_bound() -> None:
    one = np.ones(8)
    neurons = nir.IF(r=one / DT, v_threshold=one)
    model = chain(12, linear(np.random.default_rng(6), 8, 12, 0.4), neurons, n_out=8)
    plain = compiled(model)
    ((name, population),) = plain.integer.nodes(Population).items()
    assert SpeckBounds(plain.legal).others(name, population) == ()
    assert low(compiled(model, spikes(7)).integer) == low(plain.integer)


@pytest.mark.parametrize(("far", "asked"), [(1.0, 4), (settings.NEAR, 1)])
def test_a_search_ends_after_its_tries_and_a_near_chip_needs_none(far: float, asked: int) -> None:
    plain = compiled(inhibited())
    bounds = SpeckBounds(plain.legal)
    seen: list[Program] = []

    def loss(program: Program) -> float:
        seen.append(program)
        return far

    assert with_best_settings(plain.integer, bounds.others, loss, 3) is plain.integer
    assert len(seen) == asked  # the start, and three others
