"""Stories of a network that a chip changes, and what `verify` says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.api import Options
from nirc.diagnostics.log import Log
from nirc.frontend.data import Data
from nirc.verification.verify import verify
from tests.cli.test_cli import nirc
from tests.models import DATA, chain, lif

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"


def verified(model: object, inputs: np.ndarray, **options: Any) -> tuple[dict[str, Any], Log]:
    log = Log()
    data = Data(inputs, options.pop("labels", None), None)
    return verify(model, "xylo", data, Options(reset="subtract"), log=log, **options), log


def outvoted() -> tuple[object, np.ndarray]:
    """The second neuron lives on weights that round to zero beside the first input's, which never spikes."""
    weight = np.array([[0.0, 0.5], [60.0, 0.2]])
    inputs = np.zeros((3, 40, 2), int)
    inputs[:, :, 1] = 1
    return chain(2, nir.Linear(weight), lif(2), nir.Linear(np.eye(2)[1:] * 2), lif(1), n_out=1), inputs


def test_a_population_that_falls_silent_is_an_error_with_its_cause() -> None:
    result, log = verified(*outvoted())
    said = [d for d in log.errors if d.code == "P313"]
    assert len(said) == 1 and "0 spikes" in said[0].found
    assert "from pass xylo-quantise on" in said[0].message
    silent = [row for row in result["populations"] if row["rate"] > 0 and row["device_rate"] == 0]
    assert [row["name"] for row in silent] == [said[0].message.split("`")[1]]
    zero = [row for row in result["rounded_to_zero"] if row["zero"]]
    assert zero == [{"from": "in", "to": zero[0]["to"], "synapses": 3, "zero": 1}]


def test_the_first_divergence_names_the_pass() -> None:
    result, _ = verified(*outvoted())
    at = result["first_divergence"]
    assert at["pass"] == "xylo-quantise" and at["stage"] == "integer" and at["expected"] == 1 and at["found"] == 0


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
    assert strict.returncode == 1 and "P312" in strict.stderr and "Agreement is lost" in strict.stdout
    device = json.loads((tmp_path / "v.json").read_text())["stages"][3]
    low, high = device["accuracy_interval"]
    assert low < device["accuracy"] < high
    assert nirc(*asked, "--data", "few.npz", "--max-accuracy-drop", "0.9", cwd=tmp_path).returncode == 0
    blind = nirc(*asked, "--data", "blind.npz", "--max-accuracy-drop", "0.01", cwd=tmp_path)
    assert blind.returncode == 1 and "agreement at stage `device`" in blind.stderr


@pytest.mark.parametrize("drop", ["-0.1", "2", "much"])
def test_a_drop_that_is_no_share_is_a_usage_error(tmp_path: Path, drop: str) -> None:
    asked = ("--target", "xylo", "--data", VOWELS.with_suffix(".npz"), "--max-accuracy-drop", drop)
    assert nirc("verify", VOWELS, *asked, cwd=tmp_path).returncode == 2
