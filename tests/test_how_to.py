"""Every how-to, and the page of the C target, word by word: files are written, changes made and
commands run, in a copy of the project.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import setuptools

from tests.recording.networks import require

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "docs/how-to").glob("*.md")),
    ROOT / "docs/tutorial.md",
    ROOT / "docs/coherent.md",
    ROOT / "docs/reference/export.md",
    ROOT / "docs/reference/writers.md",
    ROOT / "examples/nirc-target-c/README.md",
]
COPIED = ("pyproject.toml", "LICENSE", "NOTICE", "nirc", "passes", "backends", "examples", "tests")
BUILDS_WHEELS = 77  # the version of setuptools that the packages of these pages ask for


@dataclass(frozen=True)
class Block:
    """A block of code. ``file``: the one that it is about, which is named before a colon."""

    kind: str
    text: str
    file: str


def blocks(page: str) -> Iterator[Block]:
    """In the order of the page."""
    end, file = 0, ""
    for match in re.finditer(r"^ *```(\w*)\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL):
        named = re.findall(r"`([\w/.-]+\.\w+)`:\s*$", page[end : match.start()])
        file, end = named[-1] if named else file, match.end()
        yield Block(match[1], dedent(match[2]), file)


def changed(text: str, diff: str) -> str:
    """``text`` after ``diff``, which has no numbers of lines."""
    lines = diff.splitlines()
    before, after = (
        "".join(f"{line[1:]}\n" for line in lines if not line.startswith(other)) for other in "+-"
    )
    assert text.count(before) == 1, f"this stands {text.count(before)} times in the file:\n{before}"
    return text.replace(before, after)


class Reader:
    """Somebody who follows a page in a copy of the project. What pip installs goes beside it."""

    def __init__(self, tmp_path: Path) -> None:
        project, site = tmp_path / "project", tmp_path / "site"
        project.mkdir()
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name,
                    project / name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("data", "*.pyc.*"),  # another worker writes these
                )
            else:
                shutil.copy2(ROOT / name, project)
        (project / "tests/data").symlink_to(ROOT / "tests/data")
        self.folder, self.left = project, tmp_path / "folder"
        pip = {
            "TARGET": str(site),
            "NO_DEPS": "1",
            "NO_INDEX": "1",
            "NO_BUILD_ISOLATION": "0",
        }  # 0: pip negates it
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{project}{os.pathsep}{site}",
            **{f"PIP_{name}": value for name, value in pip.items()},
        }

    def follow(self, block: Block) -> None:
        """Write, change or run."""
        path = self.folder / block.file
        if block.kind == "sh":
            self._run(block.text)
        elif block.kind == "diff":
            path.write_text(changed(path.read_text(), block.text))
        else:
            assert not path.exists(), f"{block.file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)

    def _run(self, script: str) -> None:
        """``cd`` is remembered."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}pwd > {self.left}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        self.folder = Path(self.left.read_text().strip())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_says_works(page: Path, tmp_path: Path) -> None:
    found = list(blocks(page.read_text()))
    for package in ("snntorch", "neurobench"):
        if any(f"import {package}" in b.text or f"from {package}" in b.text for b in found):
            require(package)
    assert any(block.kind == "sh" for block in found)
    if any(block.text.startswith("cc ") for block in found) and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    installs = any("pip install" in block.text for block in found)
    if (
        installs
        and int(setuptools.__version__.split(".")[0]) < BUILDS_WHEELS
        and os.environ.get("NIRC_REQUIRE_ORACLES") != "1"
    ):
        pytest.skip(
            f"setuptools {setuptools.__version__} is older than what `pip install -e '.[test]'` "
            "brings"
        )
    reader = Reader(tmp_path)
    for block in found:
        reader.follow(block)
