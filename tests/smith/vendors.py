"""Emitted files in the vendors' own software, against nirc's emulators."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nirc.backends.loihi2 import tables as loihi2
from nirc.backends.speck.config import read_config as read_speck
from nirc.backends.spinnaker2 import tables as spinnaker2
from nirc.backends.spinnaker2.emulate import emulate as emulate_spinnaker2
from nirc.backends.xylo.config import read_config as read_xylo
from nirc.backends.xylo.emulate import emulate as emulate_xylo

Files = Mapping[str, bytes]
STEPS = 16
MOST_IN_LAVA = 400  # projections, each of them a process


def xylo(files: Files, dice: np.random.Generator) -> None:
    """Every state of every neuron in xylosim."""
    from tests.xylo.oracle import Oracle, require_xylosim
    from tests.xylo.test_oracle import assert_equals_oracle

    spec = read_xylo(files["config.json"])
    raster = dice.integers(0, 4, (2, STEPS, spec.weights_in.shape[0]))
    assert_equals_oracle(
        emulate_xylo(spec, raster, record=True), Oracle(require_xylosim(), spec), raster
    )


def loihi(files: Files, dice: np.random.Generator) -> None:
    """u, v and spikes of every neuron in Lava, whose compiler calls itself for each process."""
    from tests.loihi2.oracle import require_lava
    from tests.loihi2.test_oracle import assert_equals_lava

    require_lava()
    tables = loihi2.from_npz(files["network.npz"])
    if len(tables.projections) > MOST_IN_LAVA:
        return
    assert_equals_lava(tables, dice.integers(0, 2, (STEPS, tables.channels)))


def speck(files: Files, dice: np.random.Generator) -> None:
    """Spikes and membranes of every neuron in sinabs."""
    from tests.speck.oracle import require_sinabs
    from tests.speck.test_oracle import assert_equals_oracle

    require_sinabs()
    configuration = read_speck(files["config.json"])
    raster = dice.poisson(0.3, (2, STEPS, configuration.input_channels))
    assert_equals_oracle(configuration, raster)


def spinnaker(files: Files, dice: np.random.Generator) -> None:
    """Spikes of every neuron in Brian 2, which has no convolutions."""
    from tests.spinnaker2.oracle import run_brian

    tables = spinnaker2.from_npz(files["network.npz"])
    if tables.convolutions:
        return
    raster = dice.integers(0, 2, (STEPS, tables.channels))
    ran = emulate_spinnaker2(tables, raster[None], record=True)
    (trace,) = run_brian([tables], [raster])
    for population in tables.populations:
        spikes, v = trace[population.name]
        np.testing.assert_array_equal(ran.spikes[population.name][0], spikes)
        np.testing.assert_allclose(ran.v[population.name][0], v, rtol=1e-4, atol=1e-4)


VENDORS: dict[str, Callable[[Files, np.random.Generator], None]] = {
    "xylo": xylo,
    "loihi2": loihi,
    "speck": speck,
    "spinnaker2": spinnaker,
}
