"""What a terminal gets: colour where it can show it, and none where it says it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.commands import NIRC
from tests.models import DATA

pty = pytest.importorskip("pty")
MODEL = DATA / "zoo/japanesevowels_rsnn.nir"


def seen(*args: object, folder: Path, **env: str) -> str:
    """What appears in a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    with subprocess.Popen(
        [*NIRC, *map(str, args)],
        cwd=folder,
        env={**kept, "COLUMNS": "60", **env},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        parts = []
        while part := _read(ours):
            parts.append(part)
    os.close(ours)
    return b"".join(parts).decode()


def _read(end: int) -> bytes:
    try:
        return os.read(end, 1 << 16)
    except OSError:  # on Linux: the other end is closed
        return b""


COMPILING = (MODEL, "--target", "all", "--from", "snntorch,reset=zero")


def test_a_dumb_terminal_gets_plain_text(tmp_path: Path) -> None:
    text = seen(*COMPILING, folder=tmp_path, TERM="dumb")
    assert "\x1b" not in text and "target: loihi2:oheogulch" in text


def test_another_terminal_gets_colour_unless_it_is_refused(tmp_path: Path) -> None:
    coloured = seen(MODEL, "--target", "xylo", "--dt", "-1", folder=tmp_path, TERM="xterm")
    plain = seen(
        MODEL, "--target", "xylo", "--dt", "-1", folder=tmp_path, TERM="xterm", NO_COLOR="1"
    )
    assert "\x1b[" in coloured and "\x1b" not in plain and "error" in plain
