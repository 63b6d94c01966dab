"""Recorded outputs: which rule gives them, and how far each stage is from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirc.api import Options
from nirc.diagnostics.errors import InputError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.verification.inspection import inspection
from nirc.verification.recorded import Recording
from nirc.verification.verify import verify
from nirc.verification.which_rule import compare
from tests.writers.cases import DATA

ZERO = DATA / "snntorch" / "leaky_zero.nir"
LINEAR = DATA / "snntorch" / "leaky_last_linear_subtract.nir"


def recorded(model: Path) -> Path:
    return model.with_suffix(".npz")


def test_entries_where_both_are_silent_do_not_count() -> None:
    kept = Recording(np.array([[[1.0, 0.0, 0.0, 2.0]]]), analog=False)
    assert kept.active(np.array([[[1.0, 0.0, 1.0, 1.0]]])) == pytest.approx(1 / 3)
    assert kept.active(np.zeros((1, 1, 4))) == 0 and kept.active(kept.outputs) == 1


def test_outputs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with np.load(recorded(ZERO)) as data:
        inputs, outputs = data["inputs"], data["outputs"]
    np.savez(tmp_path / "few.npz", inputs=inputs, outputs=outputs[:, :, :2])
    with pytest.raises(InputError, match="recorded outputs do not fit"):
        compare(ZERO, Options(), read_data(tmp_path / "few.npz", Log()), Log())
    for name, wrong in (
        ("short", outputs[:, 1:]),
        ("flat", outputs[:, :, 0]),
        ("nan", outputs * np.nan),
    ):
        np.savez(tmp_path / f"{name}.npz", inputs=inputs, outputs=wrong)
        with pytest.raises(InputError, match="U603"):
            read_data(tmp_path / f"{name}.npz", Log())


def test_data_without_recorded_outputs_is_refused_with_the_names_that_it_has(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "d.npz", inputs=np.ones((1, 2, 12), int), ref_output=np.ones((1, 2, 5)))
    with pytest.raises(InputError) as refusal:
        inspection(ZERO, Options(), Log(), read_data(tmp_path / "d.npz", Log()))
    (error,) = refusal.value.diagnostics
    assert (error.code, error.found) == ("U603", "inputs, ref_output")


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
    assert "nirc inspect" in told.help and "recorded" in told.expected


def test_of_nengo_verify_says_that_near_is_the_best_there_is() -> None:
    log, model = Log(), DATA / "nengo" / "lif_two.nir"
    verify(model, "loihi2", read_data(recorded(model), log), Options(writer="nengo"), log=log)
    (told,) = [d for d in log.diagnostics if d.code == "W204"]
    assert "near is the best there is" in told.help


def test_the_gate_is_the_recording_where_there_is_one(tmp_path: Path) -> None:
    """The float stage gives other answers than the recording, so that a chip that follows it fails,
    too.
    """
    log, file = Log(), tmp_path / "turned.npz"
    with np.load(recorded(ZERO)) as data:
        np.savez(file, inputs=data["inputs"], outputs=np.roll(data["outputs"], 1, axis=2))
    rule = Options(writer="snntorch,reset=zero")
    verify(ZERO, "loihi2", read_data(file, log), rule, log=log, max_accuracy_drop=0.0)
    assert "recording" in next(d.message for d in log.diagnostics if d.code == "P312")
