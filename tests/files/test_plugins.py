"""A broken plugin is named with its package and left out; asked for by name, it is an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nirc
from nirc.chip import registry
from nirc.diagnostics.errors import BugError
from nirc.diagnostics.log import Log
from nirc.writers.writer import WRITERS, installed_writers
from tests import commands
from tests.models import DATA

MODEL = DATA / "paper/lif_norse.nir"
CHIPS = ["loihi2", "speck", "spinnaker2", "xylo"]
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Somebody's package with one module and one entry point."""

    def install(
        source: str, *, package: str = "theirs", group: str = "nirc.backends", name: str = "chip"
    ) -> None:
        info = tmp_path / package / f"{package}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {package}_module:PLUGIN\n")
        (info.parent / f"{package}_module.py").write_text(source)
        monkeypatch.syspath_prepend(str(info.parent))

    yield install
    for module in [m for m in sys.modules if m.endswith("_module")]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("PLUGIN = 1 / 0", "ZeroDivisionError: division by zero"),
        ("PLUGIN =", "SyntaxError: invalid syntax"),
        ("raise SystemExit('no license')", "SystemExit: no license"),
        ("OTHER = 1", "AttributeError: module 'theirs_module' has no attribute 'PLUGIN'"),
        ("PLUGIN = 'xylo'", "an object of type str"),
        ("raise ValueError('\\x1b[2J')", "ValueError: \\x1b[2J"),
        (
            "from nirc.chip.backend import Backend\nclass Half(Backend):\n    name = "
            "'chip'\nPLUGIN = Half()",
            "TypeError: Can't instantiate abstract class Half",
        ),
    ],
)
def test_a_broken_chip_is_left_out_with_its_package_and_the_cause(
    install: Install, source: str, cause: str
) -> None:
    install(source)
    log = Log()
    assert list(registry.backends(log)) == CHIPS
    (finding,) = log.diagnostics
    assert (finding.code, finding.severity, finding.where) == (
        "U615",
        "warning",
        "theirs_module:PLUGIN",
    )
    assert "`chip` of the package theirs" in finding.message and cause in finding.found
    assert "pip uninstall theirs" in finding.help
    with pytest.raises(nirc.UsageError) as refusal:
        registry.backend("chip")
    assert [(d.code, d.severity, d.found) for d in refusal.value.diagnostics] == [
        ("U615", "error", finding.found)
    ]
    assert registry.backend("xylo").name == "xylo"


def test_a_broken_writer_is_left_out_and_an_error_by_name(install: Install) -> None:
    install("import no_such_module", group="nirc.writers", name="sim")
    log = Log()
    assert list(installed_writers(log))[-1] == "nir" and "sim" not in installed_writers()
    assert [d.code for d in log.diagnostics] == ["U615"]
    with pytest.raises(nirc.UsageError, match=r"U615.*`sim` of the package theirs"):
        nirc.compile(MODEL, "xylo", writer="sim")
    compiled = nirc.compile(MODEL, "xylo", dt=1e-4)
    assert "U615" in {d.code for d in compiled.diagnostics}, "its fingerprints may be in the file"
    assert "U615" not in {
        d.code for d in nirc.compile(MODEL, "xylo", dt=1e-4, writer="nir").diagnostics
    }


def test_of_two_packages_with_one_name_the_built_in_one_is_taken_and_else_the_first(
    install: Install,
) -> None:
    source = "from nirc.backends.xylo import BACKEND as PLUGIN"
    for package in ("theirs", "a_third", "theirs_too"):
        install(source, package=package, name="xylo" if package == "theirs" else "chip")
    log = Log()
    assert list(registry.backends(log)) == sorted(["chip", *CHIPS])
    assert [(d.message, d.found) for d in log.diagnostics] == [
        ("`xylo` of the package theirs is left out", "the package nirc-compiler has the same name"),
        ("`chip` of the package theirs_too is left out", "the package a_third has the same name"),
    ]


def test_one_plugin_that_two_packages_name_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "nirc-0.0.1.dist-info"  # an older version of nirc had this name
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nirc\nVersion: 0.0.1\n")
    (info / "entry_points.txt").write_text("[nirc.backends]\nxylo = nirc.backends.xylo:BACKEND\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    log = Log()
    assert list(registry.backends(log)) == sorted(CHIPS) and not log.diagnostics


def test_a_fault_of_a_built_in_plugin_is_a_bug_and_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nirc.writers.spyx.WRITER", None)
    assert "spyx" not in WRITERS.all(Log())
    monkeypatch.delattr("nirc.writers.spyx.WRITER")
    with pytest.raises(AttributeError):
        WRITERS.all(Log())


@pytest.mark.parametrize("command", ["targets", "passes", "writers"])
def test_lists_go_on(install: Install, tmp_path: Path, command: str) -> None:
    whole = commands.nirc(command, cwd=tmp_path)
    install("import no_such_module", package="theirs")
    install("import no_such_module", package="others", group="nirc.writers", name="sim")
    done = commands.nirc(command, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == whole.stdout
    package = "others" if command == "writers" else "theirs"
    assert (
        f"of the package {package} is left out" in done.stderr and "no_such_module" in done.stderr
    )


def test_the_comparison_of_all_targets_goes_on(install: Install, tmp_path: Path) -> None:
    install("import no_such_module")
    asked = (MODEL, "--target", "all", "--from", "nir", "--dt", "1e-4", "--format", "json")
    done = json.loads(commands.nirc(*asked, cwd=tmp_path).stdout)
    assert {row["target"].partition(":")[0] for row in done["targets"]} == set(CHIPS)
    assert "U615" in {d["code"] for d in done["diagnostics"]}


def test_asked_for_by_name_it_is_an_error_with_the_cause(install: Install, tmp_path: Path) -> None:
    install("import no_such_module")
    for asked in (
        ("targets", "chip"),
        (MODEL, "--target", "chip"),
        (MODEL, "--target", "chip:one"),
    ):
        done = commands.nirc(*asked, cwd=tmp_path)
        assert (
            done.returncode == 2
            and "error[U615]" in done.stderr
            and "no_such_module" in done.stderr
        )


FAILS_LATER = """
from nirc.chip.backend import Backend
from nirc.chip.target import Target

class Chip(Backend):
    name = "chip"
    targets = (Target("chip", "one", "C-1", "a chip", ()),)

    def fails(self, *_, **__):
        raise RuntimeError("no license server")

    findings = legalise = quantise = fit = emit = emulate = fails

PLUGIN = Chip()
"""


@pytest.mark.parametrize(
    "command",
    [
        ("passes",),
        ("explain", "X504"),
        (MODEL, "--target", "all", "--from", "nir", "--dt", "1e-4"),
    ],
    ids=("passes", "explain", "all"),
)
def test_a_chip_that_fails_later_stops_no_other(
    install: Install, tmp_path: Path, command: tuple[str, ...]
) -> None:
    without = commands.nirc(*command, cwd=tmp_path)
    install(FAILS_LATER)
    done = commands.nirc(*command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (without.returncode, without.stdout)
    if command[0] != "explain":
        assert "warning[U615]: `chip` of the package theirs is left out" in done.stderr
        assert "RuntimeError: no license server" in done.stderr


def test_a_refusal_of_a_chip_is_no_fault_of_its_package(install: Install) -> None:
    install(FAILS_LATER)
    registry.backends()
    log = Log()
    with pytest.raises(nirc.CompileError), registry.guarded("chip", log):
        raise nirc.CompileError([])
    with registry.guarded("chip", log):
        raise BugError([])
    (finding,) = log.diagnostics
    assert finding.code == "U615" and finding.found.startswith("BugError")
    with pytest.raises(ZeroDivisionError), registry.guarded("xylo", log):
        raise ZeroDivisionError
