"""`nirc build`: rows of a project file, what is kept, gates, and workers that die."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirc.diagnostics.errors import InputError
from nirc.diagnostics.log import Log
from nirc.project import workers
from nirc.project.file import read_project
from nirc.project.task import Answer, Task
from tests.commands import Done, nirc
from tests.models import chain, lif, linear

SMALL = """
[defaults]
targets = ["xylo", "loihi2"]
dt = 1e-4
from = "nir"

[model.a]
path = "a.nir"
data = "a.npz"
[model.a.gate]
accuracy_drop = 0.5
agreement = 0.25
utilisation = 1

[model.b]
path = "b.nir"
targets = "xylo:audio3"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in "ab":
        nir.write(tmp_path / f"{name}.nir", chain(4, linear(rng, 3, 4), lif(3), n_out=3))
    inputs = (rng.random((8, 20, 4)) < 0.5).astype(np.int64)
    np.savez(tmp_path / "a.npz", inputs=inputs, labels=np.arange(8) % 3)
    (tmp_path / "nirc.toml").write_text(SMALL)
    return tmp_path


def build(folder: Path, *options: str) -> tuple[Done, dict[str, Mapping[str, Any]]]:
    done = nirc("build", "--jobs", 1, *options, cwd=folder)
    summary = json.loads((folder / "build/summary.json").read_text())
    return done, {row["name"]: row for row in summary["rows"]}


def statuses(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [row["status"] for row in rows.values()]


def test_each_model_is_compiled_for_each_of_its_targets(project: Path) -> None:
    done, rows = build(project)
    assert done.returncode == 0, done.stderr
    assert list(rows) == ["a.xylo", "a.loihi2", "b.xylo-audio3"]
    assert all((project / "build" / name / "manifest.json").is_file() for name in rows)
    assert rows["a.xylo"]["gates"]["utilisation"] == {"value": 0.375, "limit": 1.0, "passed": True}
    assert "agreement" not in rows["b.xylo-audio3"]["figures"]  # it has no data
    page = (project / "build/summary.html").read_text()
    assert 'href="a.xylo/report.html"' in page and "3 of 3" in page


def test_a_bundle_is_the_one_of_the_compile_command(project: Path) -> None:
    build(project)
    nirc("a.nir", "--target", "xylo", "--from", "nir", "--dt", "1e-4", "-o", "one", cwd=project)
    built = {p.name: p.read_bytes() for p in (project / "build/a.xylo").iterdir()}
    assert built == {p.name: p.read_bytes() for p in (project / "one").iterdir()}


Change = Callable[[Path], object]


def _another_model(folder: Path) -> None:
    rng = np.random.default_rng(1)
    nir.write(folder / "a.nir", chain(4, linear(rng, 3, 4), lif(3), n_out=3))


def _another_seed(folder: Path) -> None:
    (folder / "nirc.toml").write_text(SMALL.replace('path = "a.nir"', 'path = "a.nir"\nseed = 1'))


@pytest.mark.parametrize("change", [_another_model, _another_seed])
def test_only_the_rows_that_changed_are_compiled_again(project: Path, change: Change) -> None:
    build(project)
    assert statuses(build(project)[1]) == ["kept", "kept", "kept"]
    change(project)
    assert statuses(build(project)[1]) == ["built", "built", "kept"]


def test_a_bundle_that_was_removed_or_a_fresh_build_is_compiled_again(project: Path) -> None:
    build(project)
    (project / "build/b.xylo-audio3/manifest.json").unlink()
    for file in (project / "build/b.xylo-audio3").iterdir():
        file.unlink()
    assert statuses(build(project)[1]) == ["kept", "kept", "built"]
    assert statuses(build(project, "--fresh")[1]) == ["built", "built", "built"]


def test_a_bundle_that_was_edited_fails_its_row_and_is_left_alone(project: Path) -> None:
    build(project)
    edited = project / "build/b.xylo-audio3/deploy.py"
    edited.write_text("mine")
    done, rows = build(project)
    assert done.returncode == 1 and statuses(rows) == ["kept", "kept", "failed"]
    assert "U602" in done.stderr and edited.read_text() == "mine"


def test_a_damaged_summary_only_costs_time(project: Path) -> None:
    build(project)
    for text in ("", "{", "[]", '{"schema": "nirc-build/1", "rows": [3]}'):
        (project / "build/summary.json").write_text(text)
        assert statuses(build(project)[1]) == ["built", "built", "built"]


def test_a_gate_that_is_not_met_fails_the_build_and_keeps_the_bundle(project: Path) -> None:
    (project / "nirc.toml").write_text(SMALL.replace("agreement = 0.25", "latency = 0"))
    done, rows = build(project)
    assert done.returncode == 1
    assert rows["a.xylo"]["gates"]["latency"] == {"value": 1, "limit": 0.0, "passed": False}
    assert "P328" in done.stderr and "latency" in done.stderr
    assert (project / "build/a.xylo/manifest.json").is_file()


def test_a_gate_on_a_figure_that_is_not_known_does_not_pass(project: Path) -> None:
    text = SMALL + "[model.b.gate]\naccuracy = 0\n"
    (project / "nirc.toml").write_text(text)
    done, rows = build(project)
    assert done.returncode == 1 and rows["b.xylo-audio3"]["gates"]["accuracy"]["value"] is None
    assert "`data` with labels" in done.stderr


def test_figures_must_not_fall_behind_the_accepted_ones(project: Path) -> None:
    assert build(project, "--accept")[0].returncode == 0
    baseline = project / "nirc.baseline.json"
    stored = json.loads(baseline.read_text())
    stored["rows"]["a.xylo"]["utilisation"] -= 0.01
    baseline.write_text(json.dumps(stored))
    done, rows = build(project)
    assert done.returncode == 1
    assert not rows["a.xylo"]["gates"]["utilisation_of_baseline"]["passed"]
    assert "--accept" in done.stderr  # says how to go on
    (project / "nirc.toml").write_text(SMALL.replace("utilisation = 1", "slack = 0.02"))
    assert build(project)[0].returncode == 0
    (project / "nirc.toml").write_text(SMALL)
    assert build(project, "--accept")[0].returncode == 0 and build(project)[0].returncode == 0


def test_one_model_that_is_missing_does_not_stop_the_others(project: Path) -> None:
    (project / "nirc.toml").write_text(SMALL.replace("b.nir", "bb.nir"))
    done, rows = build(project)
    assert done.returncode == 1 and statuses(rows) == ["built", "built", "failed"]
    assert "F101" in done.stderr and "did you mean" in done.stderr


WRONG = {
    "a key": ("agreement", "agreemnt", "did you mean `agreement`?"),
    "an option": ("dt =", "ddt =", "there is no key `ddt`"),
    "a type": ("dt = 1e-4", 'dt = "fast"', "a number"),
    "a value": ("dt = 1e-4", "dt = -1", "> 0"),
    "a target": ('"loihi2"', '"lohi2"', "did you mean `loihi2`?"),
    "no path": ('path = "b.nir"', "", "has no `path`"),
    "a name": ("[model.b]", '[model."../b"]', "names a folder"),
    "a gate": ("agreement = 0.25", "agreement = true", "a gate is a number"),
    "toml": ("[model.b]", "[model.b", "is no TOML"),
    "a table": ("[model.b]", "[model]\nb = 3\n[other]", "a table is needed"),
    "a chip's option": ('path = "a.nir"', 'path = "a.nir"\nset = {odrer = "index"}', "`odrer`"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_key_or_value_is_named_before_the_work(project: Path, kind: str) -> None:
    right, wrong, said = WRONG[kind]
    assert right in SMALL
    (project / "nirc.toml").write_text(SMALL.replace(right, wrong))
    done = nirc("build", cwd=project)
    assert done.returncode == 3 and "U620" in done.stderr and said in done.stderr, done.stderr
    assert not (project / "build").exists()


def test_without_a_project_file_an_example_is_shown(tmp_path: Path) -> None:
    done = nirc("build", cwd=tmp_path)
    assert done.returncode == 3 and "[model.braille]" in done.stderr


def test_an_option_of_one_chip_is_left_out_for_the_others(project: Path) -> None:
    text = SMALL.replace('path = "a.nir"', 'path = "a.nir"\nset = {order = "index"}')
    (project / "nirc.toml").write_text(text)
    rows = {row.name: row.options.chip for row in read_project(project / "nirc.toml", Log()).rows}
    assert rows["a.loihi2"] == (("order", "index"),) and rows["a.xylo"] == ()


def test_two_rows_never_share_a_folder(project: Path) -> None:
    text = SMALL.replace('"loihi2"', '"xylo:audio3"').replace("[model.b]", '[model."a.xylo"]')
    (project / "nirc.toml").write_text(text.replace('"xylo:audio3"\n', '"xylo-audio3"\n'))
    with pytest.raises(InputError):
        read_project(project / "nirc.toml", Log())


def test_findings_that_are_allowed_or_refused_are_so_in_a_build(project: Path) -> None:
    (project / "nirc.toml").write_text(SMALL + 'refuse = ["D401"]\n')
    _, rows = build(project)
    codes = {(f["code"], f["severity"]) for f in rows["b.xylo-audio3"]["findings"]}
    assert ("D401", "error") in codes and rows["b.xylo-audio3"]["status"] == "failed"
    (project / "nirc.toml").write_text(SMALL + 'allow = ["D401"]\n')
    codes = {(f["code"], "") for f in build(project)[1]["b.xylo-audio3"]["findings"]}
    assert ("D401", "") not in codes


def die(task: Task) -> Answer:
    """Stand for a process that the system ends."""
    if task.name == "a.loihi2":
        os._exit(9)
    return Answer(task.name, "0", ())


def test_a_worker_that_dies_takes_no_other_row_along(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "perform", die)
    rows = read_project(project / "nirc.toml", Log()).rows
    tasks = [Task(r.name, r.target, r.options, {}, {"model": str(r.path)}) for r in rows]
    found = {answer.name: answer for answer in workers.answers(tasks, jobs=2)}
    assert [d.code for d in found["a.loihi2"].findings] == ["U621"]
    assert len(found) == 3 and not found["a.xylo"].findings


def test_options_of_the_command_reach_every_row(project: Path) -> None:
    assert build(project, "-W", "D401")[0].returncode == 1
    done, rows = build(project, "-A", "D401,D402")
    codes = {f["code"] for f in rows["b.xylo-audio3"]["findings"]}
    assert done.returncode == 0 and not codes & {"D401", "D402"}


def _figure(row: dict[str, Any]) -> None:
    row["figures"]["utilisation"] = 0.01


def _strange(row: dict[str, Any]) -> None:
    row["findings"] = [{"code": "D401", "severity": "zzz", "message": "m"}]


@pytest.mark.parametrize("change", [_figure, _strange])
def test_a_row_of_the_summary_that_was_edited_is_compiled_again(
    project: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    build(project)
    file = project / "build/summary.json"
    tree = json.loads(file.read_text())
    change(tree["rows"][0])
    file.write_text(json.dumps(tree))
    assert statuses(build(project)[1]) == ["built", "kept", "kept"]


HUGE = "1" + 400 * "0"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("utilisation = 1", f"latency = {HUGE}"),
        ("utilisation = 1", "latency = inf"),
        ("dt = 1e-4", f"dt = {HUGE}"),
        ('targets = "xylo:audio3"', "targets = []"),
        ("[model.b]", '[model."a\\nb"]'),
        ('path = "b.nir"', 'path = "b.nir"\nallow = "ZZZ"'),
        ("dt = 1e-4", "dt = 1e-4\ntime-limit = 3\ntime_limit = 4"),
    ],
)
def test_values_that_no_build_can_use_are_faults_of_the_file(
    project: Path, right: str, wrong: str
) -> None:
    assert right in SMALL
    (project / "nirc.toml").write_text(SMALL.replace(right, wrong))
    done = nirc("build", cwd=project)
    assert done.returncode == 3 and "U620" in done.stderr, done.stderr


@pytest.mark.parametrize("figures", [{"latency": 10**400}, {"latency": "0"}, {"speed": 1}, []])
def test_a_baseline_that_is_none_is_refused(project: Path, figures: object) -> None:
    tree = {"schema": "nirc-build-baseline/1", "rows": {"a.xylo": figures}}
    (project / "nirc.baseline.json").write_text(json.dumps(tree))
    done = nirc("build", cwd=project)
    assert done.returncode == 3 and "U620" in done.stderr


def test_a_pipe_is_no_file_and_does_not_hang(project: Path) -> None:
    (project / "b.nir").unlink()
    os.mkfifo(project / "b.nir")
    done, rows = build(project)
    assert done.returncode == 1 and rows["b.xylo-audio3"]["status"] == "failed"


def test_a_baseline_of_findings_is_written_and_accepted(project: Path) -> None:
    build(project, "--write-baseline", "known.json")
    assert json.loads((project / "known.json").read_text())["accepted"]
    _, rows = build(project, "--baseline", "known.json")
    assert not [f for row in rows.values() for f in row["findings"] if f["severity"] == "warning"]


def test_the_baseline_of_figures_is_named(project: Path) -> None:
    assert "no baseline is stored" in build(project)[0].stdout
    assert "nirc.baseline.json" in build(project, "--accept")[0].stdout


def test_a_share_above_1_is_no_gate(project: Path) -> None:
    (project / "nirc.toml").write_text(SMALL.replace("utilisation = 1", "utilisation = 90"))
    done = nirc("build", cwd=project)
    assert done.returncode == 3 and "0 to 1" in done.stderr
