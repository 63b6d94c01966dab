"""Recorded outputs: which rule gives them, and how far each stage is from them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from nirc.api import Options
from nirc.cli.inspect import as_text, inspection
from nirc.diagnostics.errors import InputError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.verification.recorded import Recording, compare
from nirc.verification.verify import verify
from tests.cli.test_cli import nirc
from tests.writers.cases import DATA

ZERO = DATA / "snntorch" / "leaky_zero.nir"
LINEAR = DATA / "snntorch" / "leaky_last_linear_subtract.nir"


def recorded(model: Path) -> Path:
    return model.with_suffix(".npz")


def test_the_rule_that_gives_the_recorded_outputs_comes_first() -> None:
    rows = compare(ZERO, Options(), read_data(recorded(ZERO), Log()), Log())
    assert rows[0]["from"] == "snntorch,reset=zero" and rows[0]["equal"] == 1
    (usual,) = [row for row in rows if row.get("default")]
    assert usual["from"] == "snntorch" and usual["equal"] < 1
    assert usual["first_difference"]["found"] != usual["first_difference"]["recorded"]
    assert [row["active"] for row in rows] == sorted((row["active"] for row in rows), reverse=True)


def test_a_rule_that_never_fires_comes_last_however_sparse_the_outputs_are(tmp_path: Path) -> None:
    """Most entries of a sparse recording are 0, and silence gives those."""
    with np.load(recorded(ZERO)) as data:
        inputs, outputs = data["inputs"], data["outputs"] * 0
    outputs[0, 20, 0] = 1  # one spike, which no rule gives
    np.savez(tmp_path / "sparse.npz", inputs=inputs[:1], outputs=outputs[:1])
    model = tmp_path / "quiet.nir"
    model.write_bytes(ZERO.read_bytes())
    with h5py.File(model, "a") as file:
        weight = file["node/nodes/0/weight"]
        weight[...] = weight[...] * 0.45
    rows = compare(model, Options(), read_data(tmp_path / "sparse.npz", Log()), Log())
    silent = [row["silent"] for row in rows]
    assert True in silent and False in silent and silent == sorted(silent)
    assert rows[-1]["equal"] > rows[0]["equal"] and rows[-1]["active"] == 0
    found = inspection(model, Options(), Log(), read_data(tmp_path / "sparse.npz", Log()))
    assert "(silent)" in as_text(found, verbose=True)


def test_a_silent_recording_says_nothing(tmp_path: Path) -> None:
    with np.load(recorded(ZERO)) as data:
        np.savez(tmp_path / "silent.npz", inputs=data["inputs"][:1] * 0, outputs=data["outputs"][:1] * 0)
    found = inspection(ZERO, Options(), Log(), read_data(tmp_path / "silent.npz", Log()))
    assert "cannot tell the rules apart" in as_text(found, verbose=False)


def test_entries_where_both_are_silent_do_not_count() -> None:
    kept = Recording(np.array([[[1.0, 0.0, 0.0, 2.0]]]), analog=False)
    assert kept.active(np.array([[[1.0, 0.0, 1.0, 1.0]]])) == pytest.approx(1 / 3)
    assert kept.active(np.zeros((1, 1, 4))) == 0 and kept.active(kept.outputs) == 1


def test_with_from_only_that_rule_is_tried() -> None:
    (row,) = compare(ZERO, Options(writer="sinabs"), read_data(recorded(ZERO), Log()), Log())
    assert row["from"] == "sinabs" and "default" not in row


def test_real_valued_outputs_are_compared_within_what_float32_leaves() -> None:
    rows = compare(LINEAR, Options(), read_data(recorded(LINEAR), Log()), Log())
    assert rows[0]["from"] == "snntorch" and rows[0]["equal"] == 1 and rows[0]["default"]
    kept = Recording(np.array([[[1000.0, 0.0]]]), analog=True)
    assert kept.share(np.array([[[1000.09, 0.11]]])) == 0.5


def test_inspect_tells_the_option_in_a_sentence() -> None:
    found = inspection(ZERO, Options(), Log(), read_data(recorded(ZERO), Log()))
    assert "--from snntorch,reset=zero gives every recorded entry" in as_text(found, verbose=False)


def test_outputs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with np.load(recorded(ZERO)) as data:
        inputs, outputs = data["inputs"], data["outputs"]
    np.savez(tmp_path / "few.npz", inputs=inputs, outputs=outputs[:, :, :2])
    with pytest.raises(InputError, match="recorded outputs do not fit"):
        compare(ZERO, Options(), read_data(tmp_path / "few.npz", Log()), Log())
    for name, wrong in (("short", outputs[:, 1:]), ("flat", outputs[:, :, 0]), ("nan", outputs * np.nan)):
        np.savez(tmp_path / f"{name}.npz", inputs=inputs, outputs=wrong)
        with pytest.raises(InputError, match="U603"):
            read_data(tmp_path / f"{name}.npz", Log())


def test_verify_says_how_much_of_the_recording_each_stage_gives() -> None:
    log = Log()
    data = read_data(recorded(ZERO), log)
    told = verify(ZERO, "spinnaker2", data, Options(writer="snntorch,reset=zero"), log=log)
    assert [s["name"] for s in told["stages"]][:2] == ["recorded", "float"]
    equal, first = told["recorded"]["equal"], told["recorded"]["first_difference"]
    assert equal["float"] == equal["discrete"] == 1 and 0.9 < equal["device"] <= 1
    assert first["float"] is None and ((first["device"] is None) == (equal["device"] == 1))
    assert "W204" not in {d.code for d in log.diagnostics}


def test_verify_warns_where_the_model_is_not_the_network_that_was_recorded() -> None:
    log = Log()
    verify(ZERO, "loihi2", read_data(recorded(ZERO), log), Options(), log=log)
    (told,) = [d for d in log.diagnostics if d.code == "W204"]
    assert "nirc inspect" in told.help and "recorded" in told.limit


def test_the_gate_is_the_recording_where_there_is_one(tmp_path: Path) -> None:
    """The float stage gives other answers than the recording, so that a chip that follows it fails, too."""
    log, file = Log(), tmp_path / "turned.npz"
    with np.load(recorded(ZERO)) as data:
        np.savez(file, inputs=data["inputs"], outputs=np.roll(data["outputs"], 1, axis=2))
    rule = Options(writer="snntorch,reset=zero")
    verify(ZERO, "loihi2", read_data(file, log), rule, log=log, max_accuracy_drop=0.0)
    assert "recording" in next(d.message for d in log.diagnostics if d.code == "P312")


def test_the_command_line_has_the_contract_s_fields(tmp_path: Path) -> None:
    done = nirc("inspect", ZERO, "--data", recorded(ZERO), "--format", "json", cwd=tmp_path)
    tree = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"name", "confidence", "evidence", "assumed"} <= tree["writer"].keys()
    assert tree["recorded"][0]["equal"] == 1.0
    missing = nirc("inspect", ZERO, "--data", DATA.parent / "zoo/digits_lif_mlp.npz", cwd=tmp_path)
    assert missing.returncode == 3 and "no recorded outputs" in missing.stderr
