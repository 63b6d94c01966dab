"""The laws hold for every installed backend and for a chip that comes as a package of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nirc
from nirc import registry
from nirc.backend import Backend
from nirc.conformance import LAWS, Law, network
from tests.models import DATA

TOY = Path(__file__).parent / "toychip"
ENTRY = "[nirc.backends]\ntoychip = toychip:BACKEND\n"


@pytest.fixture
def toychip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """toychip as if it had been installed: a distribution with an entry point, and the package on the path."""
    info = tmp_path / "site" / "toychip-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toychip\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY)
    for path in (TOY, info.parent):
        monkeypatch.syspath_prepend(str(path))
    yield registry.backend("toychip")
    for name in [m for m in sys.modules if m.split(".")[0] == "toychip"]:
        del sys.modules[name]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", sorted(registry.backends()))
def test_law_of_an_installed_backend(name: str, law: Law) -> None:
    law(registry.backend(name))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law_of_a_strangers_backend(toychip: Backend, law: Law) -> None:
    law(toychip)


def test_a_strangers_chip_is_compiled_for_and_listed(toychip: Backend, tmp_path: Path) -> None:
    bundle = nirc.compile(network(), "toychip", reset="subtract")
    bundle.save(tmp_path / "b")
    assert nirc.Bundle.open(tmp_path / "b").run(np.ones((1, 9, 3))).output.sum() > 0
    code = f"import sys; sys.path[:0] = {[str(tmp_path / 'site'), str(TOY)]!r}; from nirc.cli import main; main()"
    listed = subprocess.run(
        [sys.executable, "-c", code, "targets", "--format", "json"], capture_output=True, text=True, check=True
    )
    assert "toychip:one" in {t["name"] for t in json.loads(listed.stdout)["targets"]}
    command = [sys.executable, "-c", code, "verify", str(DATA / "zoo/basicmotions_lif_ff.nir"), "--target", "toychip"]
    refused = subprocess.run(
        [*command, "--data", str(DATA / "zoo/basicmotions_lif_ff.npz")], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "X501" in refused.stderr and "X502" in refused.stderr


def test_the_laws_catch_a_backend_that_forgets_a_limit(toychip: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    import toychip as module

    monkeypatch.setattr(module, "findings", lambda program, target: [])
    with pytest.raises(AssertionError, match="above the limit"):
        next(law for law in LAWS if law.__name__ == "refuses_what_is_above_a_limit")(toychip)


def test_the_laws_catch_an_emulator_that_rounds_otherwise(toychip: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    from toychip import network as chip

    whole = chip.to_json
    monkeypatch.setattr(chip, "to_json", lambda n: whole(n).replace(b"0.875", b"0.75"))
    with pytest.raises(AssertionError, match="outputs differ"):
        next(law for law in LAWS if law.__name__ == "runs_its_files_as_the_integer_form")(toychip)


def test_the_laws_catch_files_that_change_from_run_to_run(toychip: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    from toychip import network as chip

    whole, count = chip.to_json, iter(range(99))
    monkeypatch.setattr(chip, "to_json", lambda n: whole(n) + b" " * next(count))
    with pytest.raises(AssertionError, match="files differ"):
        next(law for law in LAWS if law.__name__ == "gives_the_same_bytes_twice")(toychip)
