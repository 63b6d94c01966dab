"""Ctrl-C and the signals that end a process: they stop a command before its commit, not after it.

The commit is the rename that puts a result at its place.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Literal

# Of a terminal, of a batch system, of a terminal that was closed. Windows has no SIGHUP.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interruptions:
    """Turns a signal into ``KeyboardInterrupt``, unless the result is at its place.

    A signal does nothing while the command cleans up after an earlier one.
    """

    def __init__(self) -> None:
        self.state: Literal["running", "committing", "over"] = "running"
        self.waiting = False  # a signal came during the commit

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.state == "committing":
            self.waiting = True
        if self.state == "running" and not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def commit(self) -> Iterator[None]:
        """Hold signals back in the block. They do nothing after it, if it succeeds."""
        before = self.state
        self.state = "committing"
        try:
            yield
        except BaseException:
            self.state = before
            if self.waiting and before == "running":
                raise KeyboardInterrupt from None
            raise
        self.state = "over"

    @contextlib.contextmanager
    def commit_part(self) -> Iterator[None]:
        """Hold signals back in the block, and take them after it: more is to be done."""
        before = self.state
        self.state = "committing"
        try:
            yield
        finally:
            self.state = before
        if self.waiting and before == "running":
            self.waiting = False
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def taken(self, *, to_the_end: bool) -> Iterator[None]:
        """Take the signals in the block. An ignored signal, as under nohup, stays ignored.

        ``to_the_end``: the process ends after the block, and nothing shall disturb its end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        earlier = {number: signal.signal(number, self) for number in numbers}
        try:
            yield
        finally:
            self.state = "over"
            for number, handler in earlier.items():
                signal.signal(number, signal.SIG_IGN if to_the_end else handler)
