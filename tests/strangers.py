"""Chips that nirc does not know, from ``toychip/``, as if somebody had installed them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nirc.chip import registry
from nirc.chip.backend import Backend

FOLDER = Path(__file__).parent / "toychip"
PACKAGES = ("toychip", "toycamera")


@contextmanager
def installed(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A distribution with an entry point, and the package on the path, here and in ``command``."""
    info = tmp_path / "site" / f"{package}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[nirc.backends]\n{package} = {package}:BACKEND\n")
    for path in (FOLDER, info.parent):
        monkeypatch.syspath_prepend(str(path))
    try:
        yield registry.backend(package)
    finally:
        for name in [m for m in sys.modules if m.split(".")[0] in PACKAGES]:
            del sys.modules[name]


def command(tmp_path: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """``nirc ARGS`` run in ``tmp_path``, where a chip has been installed."""
    path = [str(tmp_path / "site"), str(FOLDER)]
    code = f"import sys; sys.path[:0] = {path!r}; from nirc.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
