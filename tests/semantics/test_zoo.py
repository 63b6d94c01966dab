"""The trained models spike as the framework that trained them did: the same spikes at the same steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

RESETS = {
    "basicmotions_lif_ff": "zero",
    "digits_if_cnn": "subtract",
    "digits_lif_mlp": "zero",
    "japanesevowels_rsnn": "zero",
}


@pytest.mark.parametrize("name", RESETS)
def test_float_and_discrete_spikes_are_those_of_the_framework(data: Path, name: str) -> None:
    """``nir_output`` where the framework's own rule cannot be said in NIR, else its recorded output."""
    recorded = np.load(data / f"zoo/{name}.npz")
    expected = recorded["nir_output"] if "nir_output" in recorded else recorded["ref_output"]
    inputs = recorded["inputs"]
    flat = inputs.reshape(*inputs.shape[:2], -1)
    stages = lower(data / f"zoo/{name}.nir", Options(reset=RESETS[name]), log=Log())
    for program in (stages.reference, stages.discrete):
        np.testing.assert_array_equal(run(program, flat).output, expected)
    assert expected.any()


@pytest.mark.parametrize("name", RESETS)
def test_the_time_step_is_found_in_the_file(data: Path, name: str) -> None:
    log = Log()
    stages = lower(data / f"zoo/{name}.nir", Options(), log=log)
    timed = name != "digits_if_cnn"  # integrate-and-fire neurons have no time constant
    assert stages.discrete.dt_s == (1e-4 if timed else None)
    assert ("P309" in {d.code for d in log.diagnostics}) == timed
