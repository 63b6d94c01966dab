"""One LIF neuron against the run that Norse recorded for the NIR paper.

`lif_norse.csv` has a line for each of 1000 steps of 1e-4 s: input spike, membrane voltage after the
step, output spike. The file holds float32; so voltages agree to its rounding and spikes agree
exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirc import api
from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

FLOAT32 = 1e-6  # volts; the threshold is 0.1 V


def test_voltages_and_spikes_are_those_of_norse(data: Path) -> None:
    given, voltage, spikes = np.loadtxt(data / "paper/lif_norse.csv", delimiter=",").T
    stages = api.lower(data / "paper/lif_norse.nir", api.Options(dt_s=1e-4), log=Log())
    for program in (stages.reference, stages.discrete):
        ran = run(program, given.reshape(1, -1, 1), record=["1"])
        assert (
            np.flatnonzero(ran.outputs).tolist()
            == np.flatnonzero(spikes).tolist()
            == [460, 510, 710, 760]
        )
        np.testing.assert_allclose(ran.v["1"].ravel(), voltage, atol=FLOAT32)


def test_the_exact_exponential_differs_by_less_than_a_twentieth_of_the_threshold(
    data: Path,
) -> None:
    """dt / tau is 0.04: the two ways to discretise differ in the second order of it, here in no
    spike.
    """
    given, voltage, spikes = np.loadtxt(data / "paper/lif_norse.csv", delimiter=",").T
    options = api.Options(dt_s=1e-4, discretise="exponential")
    stages = api.lower(data / "paper/lif_norse.nir", options, log=Log())
    ran = run(stages.discrete, given.reshape(1, -1, 1), record=["1"])
    np.testing.assert_array_equal(ran.outputs.ravel(), spikes)
    apart = np.abs(ran.v["1"].ravel() - voltage).max()
    assert FLOAT32 < apart < 0.005


def test_the_file_does_not_tell_its_time_step(data: Path) -> None:
    with pytest.raises(CompileError) as refusal:
        api.lower(data / "paper/lif_norse.nir", api.Options(), log=Log())
    (found,) = [d for d in refusal.value.diagnostics if d.severity == "error"]
    assert (found.code, found.where) == ("P301", "nodes/1") and "--dt" in found.help
