"""Neurons whose synaptic state is their membrane answer as models without synaptic filters do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest

from nirc.api import Compiled, Options, compile_model, emulated, recompiled
from nirc.backends.xylo.one_state import with_one_state
from nirc.diagnostics.log import Log
from nirc.finetuning.measured import nir_of
from nirc.ir.program import Program
from nirc.semantics.run import run
from tests.models import DT, chain, cuba, graph, lif, linear

HIDDEN = "lif1"
Rng = np.random.Generator
Make = Callable[[Rng], nir.NIRGraph]


def feed_forward(rng: Rng) -> nir.NIRGraph:
    """A hidden layer of LIF neurons with strong inputs, and an output."""
    return chain(6, linear(rng, 20, 6, 0.15), lif(20), linear(rng, 3, 20, 0.1), lif(3), n_out=3)


def looped(rng: Rng) -> nir.NIRGraph:
    """The same with a recurrent layer."""
    model = feed_forward(rng)
    nodes = dict(model.nodes) | {"rec": linear(rng, 20, 20, 0.02)}
    return graph(nodes, [*model.edges, (HIDDEN, "rec"), ("rec", HIDDEN)])


def compiled_for(model: nir.NIRGraph, reset: str) -> Compiled:
    return compile_model(model, "xylo", Options(dt_s=DT, writer="nir", reset=reset), log=Log())


def rasters(rng: Rng) -> np.ndarray:
    return (rng.random((20, 60, 6)) < 0.3).astype(np.int64)


def error(program: Program, compiled: Compiled, inputs: np.ndarray) -> float:
    """The share of the hidden spikes of the model that are missing or added."""
    wanted = run(compiled.legal, inputs, record=[HIDDEN]).spikes[HIDDEN]
    found = run(program, inputs, record=[HIDDEN]).spikes[HIDDEN]
    return float(np.abs(found - wanted).sum() / wanted.sum())


@pytest.mark.parametrize("make", [feed_forward, looped])
def test_a_model_that_subtracts_keeps_its_hidden_spikes(make: Make) -> None:
    rng = np.random.default_rng(2)
    compiled = compiled_for(make(rng), "subtract")
    inputs = rasters(rng)
    (found,) = with_one_state(compiled.integer, compiled.legal, 8, lambda _: True)
    assert error(compiled.integer, compiled, inputs) > 1.0
    assert error(found, compiled, inputs) < 0.2


def test_a_model_that_is_reset_to_zero_has_several_starts() -> None:
    rng = np.random.default_rng(2)
    compiled = compiled_for(feed_forward(rng), "zero")
    inputs = rasters(rng)
    found = with_one_state(compiled.integer, compiled.legal, 8, lambda _: True)
    errors = [error(each, compiled, inputs) for each in found]
    assert len(set(errors)) > 1
    assert min(errors) < 0.5 * error(compiled.integer, compiled, inputs)


@pytest.mark.parametrize("make", [feed_forward, looped])
def test_the_chip_and_a_file_of_the_integers_give_the_same(make: Make, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    compiled = compiled_for(make(rng), "zero")
    inputs = rasters(rng)
    start = with_one_state(compiled.integer, compiled.legal, 8, lambda _: True)[3]
    chip = recompiled(compiled, start)
    answer = run(start, inputs).outputs
    np.testing.assert_array_equal(emulated(chip, start, inputs, "").outputs, answer)
    path = tmp_path / "fitted.nir"
    path.write_bytes(nir_of(chip, Log()))
    again = compiled_for(path, "zero")
    assert again.bundle.files["config.json"] == chip.bundle.files["config.json"]


def test_the_second_receptor_is_used_where_it_fits() -> None:
    """A chip without a second receptor gets the whole self-inhibition through the first."""
    compiled = compiled_for(feed_forward(np.random.default_rng(2)), "subtract")

    def receptors(holds: bool) -> list[int]:
        def fits(program: Program) -> bool:
            return holds or all(p.synapse == 0 for _, p in program.into(HIDDEN))

        (found,) = with_one_state(compiled.integer, compiled.legal, 8, fits)
        return sorted(p.synapse for source, p in found.into(HIDDEN) if source == HIDDEN)

    assert receptors(holds=True) == [0, 1]
    assert receptors(holds=False) == [0]
    assert with_one_state(compiled.integer, compiled.legal, 8, lambda _: False) == []


def test_a_model_with_synaptic_filters_has_two_states() -> None:
    rng = np.random.default_rng(2)
    compiled = compiled_for(chain(6, linear(rng, 5, 6), cuba(5), n_out=5), "zero")
    assert with_one_state(compiled.integer, compiled.legal, 8, lambda _: True) == []
    layers = (linear(rng, 5, 6), cuba(5), linear(rng, 3, 5), lif(3))
    compiled = compiled_for(chain(6, *layers, n_out=3), "zero")
    assert with_one_state(compiled.integer, compiled.legal, 8, lambda _: True) == []
