"""What-ifs name each difference that the findings name."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirc.api import Options, compile_model
from nirc.diagnostics.log import Log
from nirc.report.measured import exact_kinds
from tests.models import DT, chain

RESTORES = "snntorch,reset=subtract,reset_delay=no"


@pytest.mark.parametrize("chip", ["loihi2", "speck", "spinnaker2", "xylo"])
def test_a_reset_that_d440_names_is_among_the_what_ifs(chip: str) -> None:
    """snnTorch gives the threshold back where it still compares, and no chip does that."""
    one = np.ones(2)
    neuron = nir.IF(r=one / DT, v_threshold=one, v_reset=0 * one)
    model = chain(2, nir.Linear(np.array([[0.7, 0.2], [0.3, 0.9]])), neuron, n_out=2)
    log = Log()
    done = compile_model(model, chip, Options(writer=RESTORES, dt_s=DT), log=log)
    assert "D440" in {d.code for d in log.diagnostics}
    alone = done.backend.approximations(done.stages.discrete)
    assert "reset" not in exact_kinds(alone)
    names = [name for name, _ in alone]
    assert any(name.startswith("reset: ") for name in names)
    # On Loihi 2 the legal form has the chip's reset, so the other rows say that they have it, too.
    both = {name for name in names if name.endswith("(and reset)")}
    assert (
        bool(both) == (chip == "loihi2") and "saturation: one spike of an input a step" not in both
    )


def test_a_reset_that_the_chips_compute_is_exact() -> None:
    one = np.ones(2)
    neuron = nir.IF(r=one / DT, v_threshold=one, v_reset=0 * one)
    model = chain(2, nir.Linear(np.eye(2)), neuron, n_out=2)
    for chip in ("loihi2", "speck", "spinnaker2", "xylo"):
        done = compile_model(model, chip, Options(reset="subtract", dt_s=DT), log=Log())
        assert "reset" in exact_kinds(done.backend.approximations(done.stages.discrete))
