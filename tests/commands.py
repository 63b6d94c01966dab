"""The command line, in this process: a start of Python costs more than most commands."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from nirc.cli.main import main


def nirc(*args: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """``nirc ARGS`` in ``cwd``, as a process of its own would end."""
    out, err = io.StringIO(), io.StringIO()
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        with chdir(cwd), redirect_stdout(out), redirect_stderr(err), mock.patch.dict(os.environ, env):
            main([str(arg) for arg in args])
        status: object = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        signal.signal(signal.SIGTERM, terminated)
    assert isinstance(status, int)
    return subprocess.CompletedProcess([str(arg) for arg in args], status, out.getvalue(), err.getvalue())
