"""Progress of a long command, on the standard error: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time

SILENT = 2.0  # seconds of work before a bar appears


class Hidden:
    """Progress that nobody sees."""

    def __enter__(self) -> Hidden:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, done: int) -> None:
        """Take the finished work: samples, or a percentage."""

    def stage(self, name: str) -> None:
        """Take the name of the stage that begins."""


class Lines(Hidden):
    """One line for each stage that has a name. ``what``: the first word of the line."""

    def __init__(self, what: str) -> None:
        self.what = what

    def stage(self, name: str) -> None:
        """Print the name of the stage that begins."""
        sys.stderr.write(f"{self.what}: {name}\n")
        sys.stderr.flush()


class Bar(Hidden):
    """A bar on a terminal. ``total``: of the work."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.what = what
        self.begin = time.monotonic()
        self.shown = False
        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(what, total=total)

    def __exit__(self, *_: object) -> None:
        if self.shown:
            self.bar.stop()

    def __call__(self, done: int) -> None:
        """Move the bar."""
        if not self.shown and time.monotonic() - self.begin > SILENT:
            self.bar.start()
            self.shown = True
        self.bar.update(self.task, completed=done)

    def stage(self, name: str) -> None:
        """Write the name of the stage before the bar."""
        self.bar.update(self.task, description=f"{self.what}: {name}")
