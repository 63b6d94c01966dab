"""The trained models spike as the framework that trained them did: the same spikes at the same
steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirc.api import Options, lower
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

LETTER = {
    "basicmotions_lif_ff": "zero",
    "digits_if_cnn": "subtract",
    "digits_lif_mlp": "zero",
    "japanesevowels_rsnn": "zero",
}
WRITERS = {
    "basicmotions_lif_ff": "snntorch,reset=zero",
    "digits_if_cnn": "snntorch,reset_delay=no",
    "digits_lif_mlp": "snntorch,reset=zero",
    "japanesevowels_rsnn": "snntorch,reset=zero,reset_delay=no",
}


def assert_spikes(path: Path, options: Options, key: str) -> None:
    """Float and discrete stage give the array ``key`` of the recorded samples, and it has
    spikes.
    """
    recorded = np.load(path.with_suffix(".npz"))
    flat = recorded["inputs"].reshape(*recorded["inputs"].shape[:2], -1)
    stages = lower(path, options, log=Log())
    for program in (stages.reference, stages.discrete):
        np.testing.assert_array_equal(run(program, flat).outputs, recorded[key])
    assert recorded[key].any()


@pytest.mark.parametrize("name", WRITERS)
def test_float_and_discrete_spikes_are_those_of_the_framework(data: Path, name: str) -> None:
    assert_spikes(data / f"zoo/{name}.nir", Options(writer=WRITERS[name]), "outputs")


@pytest.mark.parametrize("name", LETTER)
def test_by_the_letter_of_nir_too_where_it_can_say_them(data: Path, name: str) -> None:
    """``nir_output`` where NIR cannot say the framework's own rule, else the framework's output."""
    key = "nir_output" if name == "digits_if_cnn" else "outputs"
    assert_spikes(data / f"zoo/{name}.nir", Options(writer="nir", reset=LETTER[name]), key)


@pytest.mark.parametrize("name", LETTER)
def test_the_time_step_is_found_in_the_file(data: Path, name: str) -> None:
    """Integrate-and-fire neurons have no time constant, and show no writer."""
    timed = name != "digits_if_cnn"
    for writer, code in (("nir", "P309"), (None, "W201")):
        log = Log()
        stages = lower(data / f"zoo/{name}.nir", Options(writer=writer), log=log)
        assert stages.discrete.dt_s == (1e-4 if timed else None)
        assert (code in {d.code for d in log.diagnostics}) == timed
