"""Time and threads of commands: ``-v`` shows every stage, and networks run on one thread."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
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


def test_running_a_network_uses_one_thread_unless_the_user_chose_another_number(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "d.npz", inputs=np.zeros((1, 3, 12), np.int64))
    code = (
        "import os, sys; from nirc.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('threads', os.environ['OPENBLAS_NUM_THREADS'])"
    )
    verify = [code, "verify", BRAILLE, "--target", "xylo", "--data", tmp_path / "d.npz", "-q"]
    for chosen, used in ((None, "1"), ("3", "3")):
        environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
        environment |= {} if chosen is None else {"OPENBLAS_NUM_THREADS": chosen}
        run = subprocess.run(
            [sys.executable, "-c", *map(str, verify)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"threads {used}" in run.stdout
