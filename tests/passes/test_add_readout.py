"""Readout neurons behind an output that is a linear layer, if the user asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.errors import CompileError, UsageError
from nirc.diagnostics.log import Log
from nirc.ir.populations import Population
from nirc.passes.add_readout import Readout
from nirc.semantics.run import run
from tests.models import chain, lif, linear, raster


def network() -> object:
    rng = np.random.default_rng(0)
    return chain(4, linear(rng, 6, 4), lif(6), linear(rng, 3, 6), n_out=3)


def test_a_leaky_integrator_adds_up_what_the_layer_gives() -> None:
    inputs = raster(np.random.default_rng(1), 2, 30, 4)
    plain = run(lower(network(), Options(), log=Log()).reference, inputs).outputs
    read = run(lower(network(), Options(readout="li:4"), log=Log()).reference, inputs).outputs
    expected = np.zeros_like(plain)
    for t in range(30):
        expected[:, t] = plain[:, t] + (0.75 * expected[:, t - 1] if t else 0)
    np.testing.assert_allclose(read, expected)


def test_integrate_and_fire_neurons_count_what_the_layer_gives() -> None:
    stages = lower(network(), Options(readout="if:2"), log=Log())
    inputs = raster(np.random.default_rng(1), 2, 30, 4)
    spikes = run(stages.reference, inputs).outputs
    layer = run(lower(network(), Options(), log=Log()).reference, inputs).outputs
    v = np.zeros_like(layer[:, 0])
    for t in range(30):
        v += layer[:, t]
        assert ((v > 2) == spikes[:, t]).all()
        v -= 2 * spikes[:, t]
    assert set(np.unique(spikes)) == {0.0, 1.0}
    assert stages.reference.training["out.readout"].added
    assert stages.reference["out.readout"].dynamics.threshold.tolist() == [2, 2, 2]


@pytest.mark.parametrize("target", ["xylo", "loihi2", "spinnaker2"])
def test_a_network_that_a_chip_refuses_compiles_with_it(target: str) -> None:
    if target != "loihi2":  # adds up without one
        with pytest.raises(CompileError, match="P308") as refusal:
            compile_model(network(), target)
        assert any("--readout" in d.help for d in refusal.value.diagnostics)
    log = Log()
    made = compile_model(network(), target, Options(readout="li:8"), log=log)
    (note,) = [d for d in log.diagnostics if d.code == "P318"]
    assert (note.severity, note.where, note.found) == ("note", "nodes/out", "li:8")
    assert "read from 3 neurons that were added" in note.message
    assert made.bundle.manifest["options"]["readout"] == "li:8"
    assert made.bundle.manifest["output_kind"] == "membrane"


def test_an_output_that_is_a_population_stays_as_it_is_and_a_warning_says_so() -> None:
    model, log = chain(4, linear(np.random.default_rng(0), 6, 4), lif(6), n_out=6), Log()
    assert list(lower(model, Options(readout="li"), log=log).reference.nodes(Population)) == [
        "lif1"
    ]
    (warning,) = [d for d in log.diagnostics if d.code == "P321"]
    assert (warning.severity, warning.found, warning.where) == (
        "warning",
        "li:8",
        "nodes/out",
    ) and "`lif1`" in warning.message


@pytest.mark.parametrize(
    "text", ["", "lif", "li:0.5", "li:inf", "if:0", "if:-1", "if:x", "li:1:2", "li:nan"]
)
def test_anything_else_is_refused(text: str) -> None:
    assert Readout.parse(text) is None
    with pytest.raises(UsageError, match="readout takes"):
        compile_model(network(), "xylo", Options(readout=text))


def test_without_a_number_there_are_defaults() -> None:
    assert Readout.parse("li") == Readout("li", 8.0)
    assert Readout.parse("if") == Readout("if", 1.0)
