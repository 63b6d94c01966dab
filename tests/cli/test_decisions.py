"""-A, -W, a baseline, -q and the forms for code hosts: what a CI job decides about findings."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands import nirc
from tests.models import DATA

VOWELS = DATA / "zoo/japanesevowels_rsnn.nir"
XYLO = (VOWELS, "--target", "xylo", "--from", "snntorch,reset=zero", "-o", "out")
TOO_LARGE = (DATA / "zoo/digits_lif_mlp.nir", "--target", "xylo")


def test_an_accepted_code_is_not_printed_but_stays_in_the_report(tmp_path: Path) -> None:
    done = nirc(*XYLO, "-A", "D402,d403", "-A", "D404", cwd=tmp_path)
    assert done.returncode == 0 and "warnings accepted" in done.stderr
    assert not any(f"[{code}]" in done.stderr for code in ("D402", "D403", "D404"))
    assert "D402" in (tmp_path / "out/report.json").read_text()


def test_what_is_accepted_does_not_change_the_bundle(tmp_path: Path) -> None:
    nirc(*XYLO, cwd=tmp_path)
    first = (tmp_path / "out/manifest.json").read_bytes()
    nirc(*XYLO, "-A", "D402", cwd=tmp_path)
    assert (tmp_path / "out/manifest.json").read_bytes() == first


def test_strict_lets_an_accepted_difference_pass_and_no_other(tmp_path: Path) -> None:
    done = nirc(*XYLO, "--strict", "-A", "D401", cwd=tmp_path)
    assert done.returncode == 1 and "error[D403]" in done.stderr
    assert "[D401]" not in done.stderr


def test_a_refused_code_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    done = nirc(*XYLO, "-W", "D402", cwd=tmp_path)
    assert done.returncode == 1 and "error[D402]" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_error_cannot_be_accepted(tmp_path: Path) -> None:
    done = nirc(*TOO_LARGE, "-A", "X501", cwd=tmp_path)
    assert done.returncode == 1 and "error[X501]" in done.stderr


def test_a_code_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = nirc(*XYLO, "-W", "D40", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean D4" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_baseline_accepts_what_it_holds_and_nothing_else(tmp_path: Path) -> None:
    nirc(*XYLO, "--write-baseline", "known.json", cwd=tmp_path)
    again = nirc(*XYLO, "--baseline", "known.json", "-W", "D402", cwd=tmp_path)
    assert again.returncode == 0 and "warning[" not in again.stderr
    known = json.loads((tmp_path / "known.json").read_text())
    known["accepted"] = [row for row in known["accepted"] if row["code"] != "D401"]
    (tmp_path / "known.json").write_text(json.dumps(known))
    less = nirc(*XYLO, "--baseline", "known.json", cwd=tmp_path)
    assert "warning[D401]" in less.stderr and "warning[D402]" not in less.stderr


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"schema": "other/1", "accepted": []}'])
def test_a_baseline_that_is_none_stops_the_command(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "known.json").write_text(text)
    done = nirc(*XYLO, "--baseline", "known.json", cwd=tmp_path)
    assert done.returncode == 3 and "U616" in done.stderr and not (tmp_path / "out").exists()


def test_quiet_keeps_the_results(tmp_path: Path) -> None:
    done = nirc(*XYLO, "-q", cwd=tmp_path)
    assert "hidden neurons" in done.stdout and done.stderr == ""


def test_many_warnings_are_a_line_for_each_code_and_all_with_v(tmp_path: Path) -> None:
    short = nirc(*XYLO, cwd=tmp_path).stderr
    codes = [line.split("]")[0] for line in short.splitlines() if line.startswith("warning[")]
    assert len(codes) == len(set(codes)) and "-v shows every warning" in short
    assert len(short.splitlines()) < 15 and "  -->" not in short
    assert nirc(*XYLO, "-v", cwd=tmp_path).stderr.count("warning[D402]") > 1


def test_github_gets_annotations_beside_the_results(tmp_path: Path) -> None:
    done = nirc(*TOO_LARGE, "--format", "github", cwd=tmp_path)
    line = next(each for each in done.stdout.splitlines() if "X501" in each)
    assert line.startswith("::error file=") and "title=nirc X501::X501: " in line
    assert done.returncode == 1 and done.stderr == ""


def test_gitlab_gets_one_report_with_stable_fingerprints(tmp_path: Path) -> None:
    reports = [nirc(*TOO_LARGE, "--format", "gitlab", cwd=tmp_path).stdout for _ in range(2)]
    assert reports[0] == reports[1]
    row = next(each for each in json.loads(reports[0]) if each["check_name"] == "X501")
    assert row["severity"] == "major" and len(row["fingerprint"]) == 32
    assert row["location"] == {"path": str(TOO_LARGE[0]), "lines": {"begin": 1}}


def test_junit_has_a_failure_for_each_error(tmp_path: Path) -> None:
    done = nirc(*TOO_LARGE, "--format", "junit", cwd=tmp_path)
    suite = ElementTree.fromstring(done.stdout).find("testsuite")
    assert suite is not None and done.returncode == 1
    failures = suite.findall("testcase/failure")
    assert suite.get("failures") == str(len(failures)) and failures
    assert suite.get("tests") == str(len(suite.findall("testcase")))


def test_junit_without_a_finding_is_a_passed_test(tmp_path: Path) -> None:
    done = nirc("targets", "xylo", "--format", "junit", cwd=tmp_path)
    suite = ElementTree.fromstring(done.stdout).find("testsuite")
    assert suite is not None and suite.get("tests") == "1" and suite.get("failures") == "0"


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        ({}, False),
    ],
)
def test_colour_is_as_the_environment_says(
    env: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    assert ("\x1b[" in nirc(*TOO_LARGE, cwd=tmp_path, **env).stderr) is coloured


def test_a_table_of_results_fits_60_columns(tmp_path: Path) -> None:
    done = nirc(*XYLO, cwd=tmp_path, COLUMNS="60")
    use = [line for line in done.stdout.splitlines() if " of " in line and "wrote" not in line]
    assert all(len(line) <= 60 for line in use if "fits;" not in line), use


@pytest.mark.parametrize(
    ("command", "near"),
    [
        (("inspect", "modle.nir"), "model.nir"),
        (("run", "model.xilo", "--data", "a.npz", "--out", "o.npz"), "model.xylo"),
        (("model.nir", "--target", "xylo", "--calibrate", "sample.npz"), "samples.npz"),
        (("model.nir", "--target", "speck", "--set", "redout=monitor"), "readout"),
        (("model.nir", "--tarrget", "speck"), "--target"),
    ],
)
def test_a_mistyped_name_gets_the_nearest_one(
    command: tuple[str, ...], near: str, tmp_path: Path
) -> None:
    (tmp_path / "model.nir").write_bytes(VOWELS.read_bytes())
    (tmp_path / "samples.npz").write_bytes(b"")
    (tmp_path / "model.xylo").mkdir()
    done = nirc(*command, cwd=tmp_path)
    assert done.returncode in (2, 3)
    assert f"did you mean `{near}`?" in done.stderr or f"'{near}'?)" in done.stderr
