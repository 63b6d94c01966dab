"""Random graphs: the files on the emulator answer as the integer form does, spike for spike,
whatever was rounded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nirc.semantics.run import run
from tests.smith.check import compiled
from tests.smith.grow import CHIPS, grown


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 1 << 31),
    st.sampled_from(["model", "zero", "subtract"]),
    st.sampled_from(["synapses", "relays"]),
)
def test_device_and_integer_form_are_one(seed: int, reset: str, delays: str) -> None:
    case = grown(np.random.default_rng(seed), CHIPS["spinnaker2"])
    chip = {"spinnaker2": (("delays", delays),)}
    made = compiled(replace(case, reset=reset, chip=chip), "spinnaker2")
    assume(not isinstance(made, str))  # an output of a membrane that also feeds neurons
    integer = run(made.integer, case.inputs).outputs
    np.testing.assert_array_equal(made.bundle.run(case.inputs).outputs, integer)
