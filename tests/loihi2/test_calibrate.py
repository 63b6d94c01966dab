"""`--set synapses=auto`: with sample inputs, small networks store what rounding leaves of a
weight.
"""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model
from nirc.backends.loihi2 import calibrate
from nirc.ir.populations import Population
from nirc.semantics.run import run
from tests.models import chain, lif

RNG = np.random.default_rng(0)
MODEL = chain(
    6,
    nir.Linear(RNG.normal(0.3, 0.5, (12, 6))),
    lif(12),
    nir.Linear(RNG.normal(0.1, 0.4, (3, 12))),
    lif(3),
    n_out=3,
)
INPUTS = RNG.poisson(0.2, (60, 40, 6)).clip(0, 1)


def compiled(synapses: str | None, samples: int | None) -> Compiled:
    chip = () if synapses is None else (("synapses", synapses),)
    sample = None if samples is None else INPUTS[:samples]
    return compile_model(MODEL, "loihi2", Options(reset="zero", chip=chip), calibration=sample)


def synapses_of(made: Compiled) -> int:
    return sum(
        isinstance(made.integer[t], Population) and s in made.legal.graph
        for s, t, _ in made.integer.edges()
    )


@pytest.mark.usefixtures("small_calibration")
def test_it_is_finer_with_sample_inputs_and_says_so() -> None:
    one, auto = compiled("one", 8), compiled(None, 8)
    assert auto.bundle.manifest["calibration"]["synapses"] == "two"
    assert auto.bundle.manifest["options"]["chip"]["synapses"] == "auto"
    assert synapses_of(auto) > synapses_of(one)
    rest = INPUTS[8:]
    model = run(auto.stages.reference, rest).outputs.sum(axis=1)
    off = [np.abs(made.bundle.run(rest).outputs.sum(axis=1) - model).mean() for made in (auto, one)]
    assert off[0] < off[1]
    assert "network.net" not in auto.bundle.files


def test_without_sample_inputs_nothing_changes() -> None:
    assert (
        compiled(None, None).bundle.files["network.npz"]
        == compiled("one", None).bundle.files["network.npz"]
    )


@pytest.mark.usefixtures("small_calibration")
@pytest.mark.parametrize("most", [100])
def test_a_large_network_keeps_one(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(calibrate, "MOST_SYNAPSES", most)
    made = compiled(None, 8)
    assert "synapses" not in made.bundle.manifest["calibration"]
