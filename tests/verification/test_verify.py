"""Stories of a network that a chip changes, and what `verify` says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc as library
from nirc.api import Options
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import Data
from nirc.files.recordings import read_recording
from nirc.report.verify import as_text
from nirc.verification.verify import verify
from tests.commands import nirc
from tests.models import DATA, chain, lif

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


def verified(model: object, inputs: np.ndarray, **options: Any) -> tuple[dict[str, Any], Log]:
    log = Log()
    data = Data(inputs, options.pop("labels", None), None)
    return verify(model, "xylo", data, Options(reset="subtract"), log=log, **options), log


def outvoted() -> tuple[object, np.ndarray]:
    """The second neuron lives on weights that round to zero beside the first input's, which never
    spikes.
    """
    weight = np.array([[0.0, 0.5], [60.0, 0.2]])
    inputs = np.zeros((3, 40, 2), int)
    inputs[:, :, 1] = 1
    return chain(
        2, nir.Linear(weight), lif(2), nir.Linear(np.eye(2)[1:] * 2), lif(1), n_out=1
    ), inputs


def test_a_population_that_falls_silent_is_an_error_with_its_cause() -> None:
    result, log = verified(*outvoted())
    said = [d for d in log.errors if d.code == "P313"]
    assert len(said) == 1 and "0 spikes" in said[0].found
    assert "from pass xylo-quantise on" in said[0].message
    silent = [row for row in result["populations"] if row["rate"] > 0 and row["device_rate"] == 0]
    assert [row["name"] for row in silent] == [said[0].message.split("`")[1]]
    zero = [row for row in result["rounded_to_zero"] if row["zero"]]
    assert zero == [{"from": "in", "to": zero[0]["to"], "synapses": 3, "zero": 1}]


@pytest.mark.parametrize("chip", ["xylo", "loihi2", "spinnaker2", "speck"])
def test_the_causes_are_named_on_every_chip(chip: str) -> None:
    """An input that never spikes has the large weights: those of the other vanish, and nothing
    fires any more.
    """
    first, second = (
        nir.Linear(np.array([[2000.0, 0.3], [2000.0, 0.2]])),
        nir.Linear(np.eye(2) * 1.5),
    )
    inputs = np.zeros((3, 40, 2), int)
    inputs[:, :, 1] = 1
    log = Log()
    data = Data(inputs, None, None)
    result = verify(
        chain(2, first, lif(2), second, lif(2), n_out=2), chip, data, Options(reset="zero"), log=log
    )
    said = [d.message for d in log.errors if d.code == "P313"]
    assert (
        len(said) == 2
        and f"from pass {chip}-quantise on; this alone silences it: weights" in said[0]
    )
    assert "2 of 4 synapses from `in` round to zero" in said[0]
    assert said[1].endswith("`lif1`, which drives it, is silent")
    assert [row["silent"] for row in result["populations"]] == [2, 2] and not result["not_compared"]
    text = as_text(result)
    assert (
        "never on the chip: `lif1` 2 of 2, `lif3` 2 of 2." in text
        and "`in` -> `lif1` 2 round to zero" in text
    )


def test_a_model_that_answers_nothing_agrees_with_anything() -> None:
    model = chain(2, nir.Linear(np.eye(2)), lif(2), n_out=2)
    result, log = verified(model, np.zeros((20, 9, 2), int))
    assert (
        result["silent_samples"] == 20
        and [d.code for d in log.diagnostics if d.severity == "warning"][-1] == "P316"
    )
    inputs = np.ones((20, 9, 2), int)
    inputs[0] = 0  # one of twenty may be silent
    result, log = verified(model, inputs)
    assert result["silent_samples"] == 1 and "P316" not in {d.code for d in log.diagnostics}


def test_a_model_with_one_answer_agrees_with_anything() -> None:
    """An output that fires in every step wins all samples, until another one wins a sample."""
    biased = nir.Affine(np.eye(2) * 0.1, np.array([0.0, 9.0]))
    model = chain(2, biased, nir.IF(np.ones(2), np.ones(2)), n_out=2)
    inputs = np.random.default_rng(0).integers(0, 2, (5, 9, 2))
    result, log = verified(model, inputs)
    assert result["answers"] == 1
    (said,) = [d for d in log.diagnostics if d.code == "P327"]
    assert said.message.startswith("the model answers output 1 on all 5 sample(s)")
    text = as_text(result)
    assert text.index("agreement says nothing") < text.index("float")
    one = nir.Linear(np.eye(2) * 4)
    result, log = verified(chain(2, one, lif(2), n_out=2), np.eye(2, dtype=int)[:, None])
    assert result["answers"] == 2 and "P327" not in {d.code for d in log.diagnostics}


def test_labels_of_another_task_are_called_out() -> None:
    """Each sample drives the output of its label; shuffled labels belong to other samples."""
    rng = np.random.default_rng(3)
    model = chain(4, nir.Linear(np.eye(4) * 4), lif(4), n_out=4)
    labels = rng.integers(0, 4, 40)
    inputs = np.repeat(np.eye(4, dtype=int)[labels][:, None], 5, axis=1)

    def said(labels: Any) -> list[str]:
        found = verified(model, inputs, labels=labels)[1].diagnostics
        return [d.message for d in found if d.code == "P330"]

    assert said(labels) == []
    half = np.where(np.arange(40) < 20, labels, rng.permutation(labels))
    assert said(half) == []  # worse than in training, but more than chance
    shuffled = rng.permutation(labels)
    (message,) = said(shuffled)
    assert message.startswith("the model answers ") and "of 40 labels rightly, chance 2" in message
    text = as_text(verified(model, inputs, labels=shuffled)[0])
    assert f"Accuracy says nothing here: {message}." in text and "points of" not in text
    few = verified(model, inputs[:8], labels=np.roll(labels[:8], 3))[1]
    assert "P330" not in {d.code for d in few.diagnostics}


def test_findings_about_the_data_name_their_file(tmp_path: Path) -> None:
    data = np.load(VOWELS.with_suffix(".npz"))
    np.savez(tmp_path / "narrow.npz", inputs=data["inputs"][:2, :, :5])
    np.savez(
        tmp_path / "shifted.npz", inputs=data["inputs"][:2], labels=data["labels"][:2] + 8, dt=0.5
    )
    asked = ("verify", VOWELS, "--target", "loihi2")
    narrow = nirc(*asked, "--data", "narrow.npz", cwd=tmp_path)
    assert narrow.returncode == 3 and "--> narrow.npz: inputs" in narrow.stderr
    wide = nirc(
        *asked, "--data", VOWELS.with_suffix(".npz"), "--calibrate", "narrow.npz", cwd=tmp_path
    )
    assert (
        wide.returncode == 3
        and "--> narrow.npz: inputs" in wide.stderr
        and "(2, 60, 5)" in wide.stderr
    )
    shifted = nirc(*asked, "--data", "shifted.npz", cwd=tmp_path).stderr
    assert (
        "--> shifted.npz: labels" in shifted
        and "U609" in shifted
        and shifted.count("--> shifted.npz") == 2
    )


def test_the_first_divergence_names_the_pass() -> None:
    result, _ = verified(*outvoted())
    at = result["first_divergence"]
    assert (
        at["pass"] == "xylo-quantise"
        and at["stage"] == "integer"
        and at["expected"] == 1
        and at["found"] == 0
    )


def test_a_network_that_the_chip_runs_exactly_has_nothing_to_tell() -> None:
    model = chain(2, nir.Linear(np.ones((1, 2))), lif(1, 16, 100.0), n_out=1)
    result, log = verified(model, np.zeros((2, 10, 2), int))
    assert result["first_divergence"] is None and not log.errors
    assert result["populations"][0]["distance"] == 0 == result["populations"][0]["rate_error"]


def test_the_gate_fails_and_passes_by_the_drop(tmp_path: Path) -> None:
    data = np.load(VOWELS.with_suffix(".npz"))
    np.savez(tmp_path / "few.npz", inputs=data["inputs"][:100], labels=data["labels"][:100])
    np.savez(tmp_path / "blind.npz", inputs=data["inputs"][:100])
    asked = ("verify", VOWELS, "--target", "xylo:audio3", "--reset", "zero", "--json", "v.json")
    strict = nirc(*asked, "--data", "few.npz", "--max-accuracy-drop", "0.01", cwd=tmp_path)
    assert (
        strict.returncode == 1 and "P312" in strict.stderr and "Agreement is lost" in strict.stdout
    )
    device = json.loads((tmp_path / "v.json").read_text())["stages"][3]
    low, high = device["accuracy_interval"]
    assert low < device["accuracy"] < high
    assert (
        nirc(*asked, "--data", "few.npz", "--max-accuracy-drop", "0.9", cwd=tmp_path).returncode
        == 0
    )
    blind = nirc(*asked, "--data", "blind.npz", "--max-accuracy-drop", "0.01", cwd=tmp_path)
    assert blind.returncode == 1 and "agreement at stage `device`" in blind.stderr


@pytest.mark.parametrize("drop", ["-0.1", "2", "much"])
def test_a_drop_that_is_no_share_is_a_usage_error(tmp_path: Path, drop: str) -> None:
    asked = ("--target", "xylo", "--data", VOWELS.with_suffix(".npz"), "--max-accuracy-drop", drop)
    assert nirc("verify", VOWELS, *asked, cwd=tmp_path).returncode == 2


def test_answers_of_a_board_are_a_stage(tmp_path: Path) -> None:
    """A board that equals the emulator, and one that answers nothing."""
    model = chain(2, nir.Linear(np.eye(2) * 1.5), lif(2), n_out=2)
    inputs = np.zeros((2, 20, 2), int)
    inputs[0, :, 0] = inputs[1, ::2, 1] = 1
    labels = np.array([0, 1])
    emulated = library.compile(model, "xylo", reset="subtract").run(inputs).outputs
    rows = {}
    for name, answer in (("good", emulated), ("dead", 0 * emulated)):
        np.savez(tmp_path / "out.npz", output=answer.sum(axis=1), spikes=answer)
        on_chip = read_recording(tmp_path / "out.npz", Log())
        result, log = verified(model, inputs, labels=labels, on_chip=on_chip, max_accuracy_drop=0.1)
        rows[name] = result["stages"][-1]
        assert rows[name]["name"] == "board"
        assert {d.code for d in log.errors} == (set() if name == "good" else {"P312"})
    assert rows["good"]["accuracy"] == 1 and rows["dead"]["accuracy"] == 0.5
    assert result["lost_at"] == "board" and 0 < result["board"]["equal"]["device"] < 1
    assert "board that equal the emulator's: device" in as_text(result)
    np.savez(tmp_path / "out.npz", spikes=emulated[:1])
    with pytest.raises(NircError, match="U619"):
        verified(model, inputs, on_chip=read_recording(tmp_path / "out.npz", Log()))
