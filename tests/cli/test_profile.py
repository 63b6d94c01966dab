"""``-v`` shows time and memory of every stage, and no time is left out."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from nirc.cli.profile import Profile
from tests.commands import nirc

BRAILLE = Path(__file__).parents[2] / "examples/braille.nir"


def test_every_tick_of_the_clock_belongs_to_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(100.0)
    monkeypatch.setattr(time, "process_time", lambda: 5.0)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    profile = Profile()
    profile.end("load")
    profile.shown()
    profile.end("fit")
    seconds = {stage.name: stage.seconds for stage in profile.finished()}
    assert seconds == {"start": 5, "load": 1, "fit": 1, "finish": 1, "digests": 1}
    assert sum(seconds.values()) == 5 + next(clock) - 1 - 100


def test_stages_of_a_compilation_are_shown_and_are_in_the_json(tmp_path: Path) -> None:
    run = nirc(BRAILLE, "--target", "xylo", "-v", "--format", "json", cwd=tmp_path)
    names = [stage["name"] for stage in json.loads(run.stdout)["profile"]]
    kept = [n for n in names if n in ("start", "load", "discretise", "fit", "emit", "write")]
    assert kept == ["start", "load", "discretise", "fit", "emit", "write"]
    assert all(f"{name} " in run.stderr for name in (*kept, "sum"))


def test_without_v_nothing_is_measured(tmp_path: Path) -> None:
    run = nirc(BRAILLE, "--target", "xylo", "--format", "json", cwd=tmp_path)
    assert "profile" not in json.loads(run.stdout)
    assert " ms" not in run.stderr
