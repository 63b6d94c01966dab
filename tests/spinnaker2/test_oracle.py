"""The emulator against the same equations in Brian 2: 100 random networks, spike for spike."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import MODELS
from tests.spinnaker2.networks import network
from tests.spinnaker2.oracle import run_brian

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NETWORKS = 100
STEPS = 60


def test_random_networks() -> None:
    networks = [network(seed) for seed in range(NETWORKS)]
    rng = np.random.default_rng(0)
    rasters = [(rng.random((STEPS, t.channels)) < 0.3).astype(np.int64) for t in networks]
    fired = {}
    for tables, raster, trace in zip(networks, rasters, run_brian(networks, rasters), strict=True):
        run = emulate(tables, raster[None], record=True)
        for population in tables.populations:
            spikes, v = trace[population.name]
            np.testing.assert_array_equal(run.spikes[population.name][0], spikes)
            np.testing.assert_allclose(
                run.v[population.name][0], v, rtol=1e-4, atol=1e-4
            )  # Brian adds in its own order
            kind = (population.model, population.reset)
            fired[kind] = fired.get(kind, 0) + int(spikes.sum())
    assert len(fired) == 2 * (len(MODELS) - 1) and min(fired.values()) > 500, fired
