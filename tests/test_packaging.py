"""What is in the folders is in the wheel: an editable install would hide what pyproject.toml
forgets.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import nirc

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {
    "nirc": ROOT / "nirc",
    "nirc.passes": ROOT / "passes",
    "nirc.backends": ROOT / "backends",
}


def packages() -> dict[str, Path]:
    found = {}
    for name, folder in FOLDERS.items():
        for init in folder.rglob("__init__.py"):
            inner = init.parent.relative_to(folder).parts
            found[".".join((name, *inner))] = init.parent
    return found


def test_every_template_schema_and_page_is_listed() -> None:
    data = SETUPTOOLS["package-data"]
    for name, folder in packages().items():
        for file in folder.rglob("*"):
            inside = file.relative_to(folder).as_posix()
            owner = max(
                (p for p in packages().values() if file.is_relative_to(p)),
                key=lambda p: len(p.parts),
            )
            if file.is_file() and owner == folder and file.suffix in (".j2", ".json", ".md"):
                assert any(fnmatch(inside, pattern) for pattern in data.get(name, ())), (
                    f"{name}: {inside}"
                )


def test_the_distribution_has_a_licence_and_a_name_of_its_own() -> None:
    known = importlib.metadata.metadata("nirc-compiler")
    assert known["License-Expression"] == "Apache-2.0" and known["Name"] == "nirc-compiler"
    assert set(known.get_all("License-File") or ()) == {"LICENSE", "NOTICE"}
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert importlib.metadata.version("nirc-compiler") == nirc.__version__


def test_the_citation_has_this_version_and_the_paper_of_nir() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {nirc.__version__}\n" in text and "10.1038/s41467-024-52259-9" in text


@pytest.mark.parametrize("target", ["loihi2", "speck", "spinnaker2", "xylo"])
def test_an_emitted_script_says_that_it_belongs_to_the_user(target: str) -> None:
    model = ROOT / "tests/data/zoo/digits_if_cnn.nir"
    if target == "xylo":
        model = ROOT / "examples/braille.nir"
    script = nirc.compile(model, target, reset="subtract").files["deploy.py"].decode()
    assert "This file belongs to you" in script


def test_packages_of_plugins_depend_on_the_distribution() -> None:
    for name in ("toychip", "nirc-target-c"):
        plugin = tomllib.loads((ROOT / f"examples/{name}/pyproject.toml").read_text())
        assert plugin["project"]["dependencies"] == ["nirc-compiler"]


def built(source: Path, mask: int) -> dict[str, bytes]:
    """The sdist and the wheel of a checkout, by name."""
    made = source.parent / f"{source.name}.dist"
    command = [sys.executable, "-c", BUILD, "build_sdist", str(made)]
    for what in ("build_sdist", "build_wheel"):
        command[3] = what
        done = subprocess.run(
            command,
            cwd=source,
            capture_output=True,
            text=True,
            check=False,
            umask=mask,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        )
        assert done.returncode == 0, done.stderr
        said = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        assert not [line for line in said if "warn" in line.lower() and "-W" not in line], said
    return {path.name: path.read_bytes() for path in made.iterdir()}


BUILD = """
import sys
from pathlib import Path
from setuptools import build_meta

Path(sys.argv[2]).mkdir(exist_ok=True)
getattr(build_meta, sys.argv[1])(sys.argv[2])
"""


def test_two_checkouts_make_the_same_archives_without_a_warning(tmp_path: Path) -> None:
    """In folders of other names, at other times, with another mask of permissions."""
    archives = []
    for name, mask, time in (("one", 0o022, 1_000_000_000), ("another", 0o077, 1_600_000_000)):
        source = tmp_path / name
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for file in filter(None, listed.stdout.split("\0")):
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, source / file, follow_symlinks=False)
            os.utime(source / file, (time, time), follow_symlinks=False)
        archives.append(built(source, mask))
    assert archives[0] == archives[1] and len(archives[0]) == 2
    packed = next(data for name, data in archives[0].items() if name.endswith(".tar.gz"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert {"examples/braille.nir", "tests/test_packaging.py", "backends/xylo/emit.py"} <= names
