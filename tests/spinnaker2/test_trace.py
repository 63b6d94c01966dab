"""One neuron of the NIR paper: the spikes that the vendor's tools answered with
(tests/data/README.md).
"""

from __future__ import annotations

import numpy as np

import nirc
from tests.models import DATA


def test_the_neuron_spikes_at_the_vendors_steps() -> None:
    inputs, voltage, spikes = np.loadtxt(DATA / "paper/lif_spinnaker2.csv", delimiter=",").T
    bundle = nirc.compile(DATA / "paper/lif_norse.nir", "spinnaker2", dt=1e-4)
    run = bundle.run(inputs.astype(int).reshape(1, -1, 1), record=["1"])
    assert (
        np.flatnonzero(spikes).tolist()
        == np.flatnonzero(run.output[0, :, 0]).tolist()
        == [460, 510, 710, 760]
    )
    # The same voltages but for the unit: their weight of 102.02 became 102, ours is 1, and both are
    # float32 or better.
    ours = run.v["1"][0, :, 0]
    assert np.abs(ours / ours.max() - voltage / voltage.max()).max() < 1e-6
