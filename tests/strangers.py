"""Chips that nirc does not know, as if somebody had installed them:

``examples/toychip``, ``examples/nirc-target-c``, and ``toycamera``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nirc.chip import registry
from nirc.chip.backend import Backend
from tests.commands import Done, nirc

ROOT = Path(__file__).parents[1]
PATHS = (str(ROOT / "examples/toychip"), str(ROOT / "examples/nirc-target-c"), str(ROOT))
MODULES = {"toychip": "toychip", "toycamera": "tests.toycamera", "c": "nirc_target_c"}


@contextmanager
def installed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A distribution with an entry point, and the package on the path."""
    info = tmp_path / "site" / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[nirc.backends]\n{name} = {MODULES[name]}:BACKEND\n")
    for path in (*PATHS, str(info.parent)):
        monkeypatch.syspath_prepend(path)
    try:
        yield registry.backend(name)
    finally:
        for module in [
            m
            for m in sys.modules
            if m.split(".")[0] in ("toychip", "nirc_target_c") or m in MODULES.values()
        ]:
            del sys.modules[module]


def command(tmp_path: Path, *args: object) -> Done:
    """``nirc ARGS`` run in ``tmp_path``, where a chip has been installed."""
    return nirc(*args, cwd=tmp_path)
