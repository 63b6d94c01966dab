"""The command line, in this process: a start of Python costs more than most commands.

``process`` starts one.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from nirc.cli.main import main

NIRC = [sys.executable, "-c", "from nirc.cli.main import main; main()"]
HEARS_CTRL_C = ("env", "--default-signal=INT")  # a job in the background would ignore it
WIDE = {"COLUMNS": "120"}  # as without a terminal. pytest-xdist says 80
Done = subprocess.CompletedProcess[str]


def nirc(*args: object, cwd: Path, **env: str) -> Done:
    """``nirc ARGS`` in ``cwd``, as a process of its own would end."""
    out, err = io.StringIO(), io.StringIO()
    terminated = signal.getsignal(signal.SIGTERM)
    status: object = 0
    try:
        with (
            chdir(cwd),
            redirect_stdout(out),
            redirect_stderr(err),
            mock.patch.dict(os.environ, WIDE | env),
        ):
            main([str(arg) for arg in args])
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        signal.signal(signal.SIGTERM, terminated)
    assert isinstance(status, int)
    return subprocess.CompletedProcess(
        [str(arg) for arg in args], status, out.getvalue(), err.getvalue()
    )


def process(*args: object, cwd: Path, **env: str) -> Done:
    """The same in a process of its own, for what Python reads when it starts."""
    command, environment = [*NIRC, *map(str, args)], os.environ | WIDE | env
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
