"""`nirc doctor`: what is installed, seen without importing it."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from nirc.chip.vendor import SAMNA_STUB, Package
from nirc.report.doctor import EXTRAS
from tests.commands import nirc


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages. To import one of them is a fault."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, module: str, version: str, source: str = "") -> None:
    (site / f"{module}.py").write_text(f"{source}\nraise AssertionError('imported')\n")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")


SAMNA = Package("samna", "samna", "the board", "pip install samna", SAMNA_STUB)


def test_a_package_is_missing_there_or_a_stub(site: Path) -> None:
    assert SAMNA.version() is None and not SAMNA.is_stub()
    install(site, "samna", "0.48.6")
    assert SAMNA.version() == "0.48.6" and not SAMNA.is_stub()
    (site / "samna.py").write_text(f"# {SAMNA_STUB.decode()}\n")
    assert SAMNA.is_stub() and "samna" not in sys.modules


def test_the_command_names_what_to_install(site: Path) -> None:
    install(site, "samna", "1.0", SAMNA_STUB.decode())
    done = nirc("doctor", cwd=site)
    assert done.returncode == 0, done.stderr
    assert "samna is a stub of the public index: pip install" in done.stdout
    assert "spinnaker2 is missing: pip install" in done.stdout
    tree = json.loads(nirc("doctor", "--format", "json", cwd=site).stdout)["doctor"]
    assert {target["name"] for target in tree["targets"]} >= {
        "loihi2",
        "spinnaker2",
        "speck",
        "xylo",
    }
    assert tree["packages"]["numpy"] and not any(name in sys.modules for name in ("samna",))


def test_doctor_knows_every_extra_that_users_install() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for_us = {"test", "oracles", "docs", "dev"}
    assert set(EXTRAS) == set(project["optional-dependencies"]) - for_us
