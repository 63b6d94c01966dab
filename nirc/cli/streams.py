"""stdout and stderr as the shell gives them: closed, full, or unable to say a letter."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def make_usable() -> None:
    """A closed stream swallows what is written to it; a letter that its encoding lacks is spelt
    out.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if (
            stream is None
        ):  # opened before any file, which else would get this stream's number and its text
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def give_up() -> None:
    """Nobody listens: what is still buffered must not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())


def is_lost(error: BaseException) -> bool:
    """Whether ``error`` says that a stream is closed or full: no bug of nirc."""
    return isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and error.errno in FULL
    )
