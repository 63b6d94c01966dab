"""The CI files of docs/how-to/gate-in-ci.md, step by step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import process

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/gate-in-ci.md").read_text()
GITHUB, GITLAB = (yaml.safe_load(t) for t in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))


def commands(steps: list[str]) -> list[list[str]]:
    """The commands of nirc. One step before them installs it."""
    install, *rest = steps
    assert install == "pip install nirc-compiler" and rest
    return [command.split() for command in rest]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "nirc.toml").write_text(
        '[model.braille]\npath = "braille.nir"\ntargets = "xylo"\n[model.gone]\npath = "gone.nir"\n'
        'targets = "xylo"\n'
    )
    (tmp_path / "braille.nir").write_bytes((ROOT / "examples/braille.nir").read_bytes())
    return tmp_path


def test_github_shows_the_findings_beside_the_files(project: Path) -> None:
    steps: list[dict[str, Any]] = GITHUB["jobs"]["build"]["steps"]
    [(nirc, *args)] = commands([step["run"] for step in steps if "run" in step])
    done = process(*args, cwd=project)
    assert nirc == "nirc" and done.returncode == 1
    assert "::error file=gone.nir" in done.stdout
    kept = [step["with"]["path"] for step in steps if "path" in step.get("with", {})]
    assert kept and all((project / path / "summary.html").is_file() for path in kept)


def test_gitlab_gets_a_code_quality_report(project: Path) -> None:
    [(nirc, *args, arrow, report)] = commands(GITLAB["nirc"]["script"])
    done = process(*args, cwd=project)
    assert (nirc, arrow) == ("nirc", ">") and done.returncode == 1
    assert report == GITLAB["nirc"]["artifacts"]["reports"]["codequality"]
    findings = json.loads(done.stdout)
    assert "gone.nir" in {finding["location"]["path"] for finding in findings}
