"""What a calibration chose is shown: in `verify`'s text and JSON, and in the bundle's page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nirc.analysis.judging import lost_answers
from nirc.report.verify import POPULATION_HEAD, population_rows, stage_rows, summary, verdict
from tests.commands import nirc
from tests.models import DATA

MOTIONS = DATA / "zoo/basicmotions_lif_ff.nir"
TOLD = {
    "inputs": [4, 9, 2],
    "samples": {"fit": 9, "fit_given": 3, "judge": 5, "judge_given": 1},
    "kept": "search",
    "stages": [
        {"name": "start", "distance": 2.0, "agreement": 0.5},
        {"name": "search", "distance": 0.25, "agreement": 1.0},
    ],
    "populations": {
        "<b>": {
            "distance_before": 3.0,
            "distance_after": 1.0,
            "gains": [1.5, 0.5],
            "decay_mem": [0.5, 0.5],
        },
        "last": {"distance_before": 1.0, "distance_after": 1.0, "drift": 0.75},
    },
}


def test_the_rows_say_what_was_chosen() -> None:
    assert "kept stage `search`: distance 2 -> 0.25, agreement 0.500 -> 1.000" in summary(TOLD)
    assert "judged on 1 of your samples and 4 that nirc made from yours and at random" in summary(
        TOLD
    )
    assert stage_rows(TOLD)[1] == ("search", "0.25", "1.000", True)
    assert population_rows(TOLD)[0] == ("<b>", "3", "1", "1.5, 0.5", "-", "-", "0.5", "-", "-")


def test_a_lower_bound_has_a_column() -> None:
    (row,) = population_rows({"populations": {"a": {"lower_bound_thresholds": -0.25}}})
    assert dict(zip(POPULATION_HEAD, row, strict=True))["lower bound"] == "-0.25"


def test_the_sentence_says_what_the_samples_show_of_the_answers() -> None:
    few = lost_answers(np.zeros(30)).as_tree()
    assert summary(TOLD | {"judgement": few}).endswith(
        "nirc makes. These samples do not show if the chip is worse by more than 1 point "
        f"(answers to your samples and to clear ones), {few['more_samples']} more would show it."
    )
    many = lost_answers(np.zeros(2000)).as_tree()
    assert "Not worse than the start by more than 1 point (answers" in summary(
        TOLD | {"judgement": many}
    )


@pytest.mark.parametrize(
    ("samples", "lost", "won", "begins"),
    [
        (100, 0, 0, "These samples do not show if the chip is worse by more than 1 point: 0.00"),
        (500, 25, 8, "Worse than the model; these samples do not show if by more than 1 point: 3."),
        (40, 14, 1, "Worse than the model (as many are lost by chance in 0.049 % of cases); these"),
        (40, 5, 1, "These samples do not show if the chip is worse by more than 1 point: 10.00"),
        (1000, 60, 10, "Worse than the model by more than 1 point: 5.00 points of accuracy lost"),
        (3000, 15, 0, "Worse than the model, but by less than 1 point: 0.50 points"),
        (3000, 3, 3, "Not worse than the model by more than 1 point: 0.00 points"),
        (3000, 0, 40, "Better than the model: 1.33 points won (between 0."),
    ],
)
@pytest.mark.parametrize("labels", [True, False])
def test_the_verdict_says_what_is_certain(
    samples: int, lost: int, won: int, begins: str, labels: bool
) -> None:
    each = np.zeros(samples)
    each[:lost], each[lost : lost + won] = 1, -1
    (said,) = verdict(
        {
            "judgement": lost_answers(each).as_tree(),
            "by_chance": None,
            "other_inside": [],
            "stages": [{"accuracy": 0.5 if labels else None}],
        }
    )
    assert said.startswith(begins if labels else begins.replace("accuracy", "agreement"))


def test_a_start_that_was_kept_is_said_so() -> None:
    assert "changed nothing" in summary(TOLD | {"kept": "start"})


def test_a_population_whose_parameters_stayed_has_no_row() -> None:
    assert population_rows(
        TOLD | {"populations": {"a": {}, **TOLD["populations"]}}
    ) == population_rows(TOLD)


def test_a_strangers_calibration_may_say_nothing() -> None:
    told = {"inputs": [4, 9, 2], "inputs_sha256": "0"}
    assert (
        summary(told) == "Calibration: inputs [4, 9, 2]."
        and not stage_rows(told)
        and not population_rows(told)
    )


@pytest.mark.usefixtures("small_calibration")
def test_verify_and_the_bundle_show_it(tmp_path: Path) -> None:
    data = np.load(MOTIONS.with_suffix(".npz"))["inputs"]
    np.savez(tmp_path / "d.npz", inputs=data[::8, :40])
    asked = (MOTIONS, "--target", "spinnaker2", "--calibrate", "d.npz")
    shown = nirc("verify", *asked, "--data", "d.npz", "--json", "v.json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    told = json.loads((tmp_path / "v.json").read_text())["calibration"]
    assert summary(told) in shown.stdout and "calibration stage" in shown.stdout
    made = nirc(*asked, "-o", "b", cwd=tmp_path)
    assert made.returncode == 0 and summary(told) in made.stdout, made.stderr
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["calibration"] == told
    page = (tmp_path / "b/report.html").read_text()
    assert "What calibration chose" in page and all(s["name"] in page for s in told["stages"])
