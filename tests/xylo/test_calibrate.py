"""Calibrated for Xylo: self-inhibition replaces the reset to zero, on the emitted files too.

Without data nothing does.
"""

from __future__ import annotations

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Compiled, Options, compile_model
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
from tests.models import chain, lif, linear, recurrent

pytestmark = pytest.mark.usefixtures("small_calibration")


def spikes(n: int, channels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.05, 0.5, (n, 1, channels))
    return (rng.random((n, 30, channels)) < rate).astype(np.int64)


def feed_forward() -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    return chain(6, linear(rng, 16, 6), lif(16, 10), linear(rng, 4, 16, 0.3), lif(4, 20), n_out=4)


def made(model: nir.NIRGraph, inputs: np.ndarray | None, target: str = "xylo") -> Compiled:
    return compile_model(model, target, Options(seed=1), log=Log(), calibration=inputs)


def counts_off(compiled: Compiled, inputs: np.ndarray) -> float:
    taught = run(compiled.stages.reference, inputs).outputs.sum(axis=1)
    return float(np.abs(compiled.bundle.run(inputs).outputs.sum(axis=1) - taught).mean())


def test_the_emitted_files_answer_more_like_the_model_on_samples_not_seen() -> None:
    model, unseen = feed_forward(), spikes(40, 6, seed=9)
    start, done = made(model, None), made(model, spikes(24, 6, seed=8))
    assert counts_off(done, unseen) < 0.5 * counts_off(start, unseen)


def test_the_emulator_equals_the_integer_form_with_self_inhibition() -> None:
    """A network whose synaptic states never saturate in between: the integer form adds all sources
    at once.
    """
    rng = np.random.default_rng(3)
    done = made(recurrent(rng, 4, 12, 3), spikes(16, 4, seed=2))
    assert done.bundle.manifest["calibration"]["kept"] == "distillation"
    unseen = spikes(20, 4, seed=3)
    assert np.array_equal(done.bundle.run(unseen).outputs, run(done.integer, unseen).outputs)


def test_the_manifest_tells_what_was_chosen_and_the_notes_name_each_population() -> None:
    log = Log()
    done = compile_model(
        feed_forward(), "xylo", Options(seed=1), log=log, calibration=spikes(24, 6, seed=8)
    )
    told = done.bundle.manifest["calibration"]
    assert told["inputs"] == [24, 30, 6] and len(told["inputs_sha256"]) == 64 and told["seed"] == 1
    assert told["kept"] != "start" and set(told["populations"]) == {"lif1", "lif3"}
    assert (
        told["populations"]["lif1"]["self_inhibition_thresholds"] > 0
        and "self_inhibition_thresholds" not in told["populations"]["lif3"]
    )
    notes = [d.message for d in log.diagnostics if d.code == "D414"]
    assert len(notes) == 2 and "self-inhibition" in notes[0] and "`lif3`" in notes[1]


def test_same_seed_same_bytes() -> None:
    one, two = (made(feed_forward(), spikes(24, 6, seed=8)).bundle for _ in range(2))
    assert one.files == two.files and one.manifest == two.manifest


def test_without_sample_inputs_there_is_no_calibration() -> None:
    bundle = nirc.compile(feed_forward(), "xylo")
    assert "calibration" not in bundle.manifest


def test_a_fan_out_at_the_limit_gets_no_self_inhibition() -> None:
    """Audio 2 holds 64 targets of a neuron; self-inhibition would be the 65th."""
    rng = np.random.default_rng(3)
    full = linear(rng, 64, 8, 0.3)
    model = chain(
        4,
        linear(rng, 8, 4),
        lif(8, 10),
        full,
        lif(64, 10),
        linear(rng, 2, 64, 0.1),
        lif(2, 10),
        n_out=2,
    )
    done = made(model, spikes(16, 4, seed=2), "xylo:audio2")
    used, limit = done.mapped.utilisation["fan-out of one neuron"]
    assert used <= limit == 64
