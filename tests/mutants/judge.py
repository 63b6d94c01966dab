"""Collect the tests of a room once, then fork a process for each mutant."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings

from tests.mutants.inside import (
    Functions,
    functions_of,
    put,
    put_before_import,
    put_into_scripts,
)
from tests.mutants.mutant import Mutant
from tests.mutants.rooms import Room

KILLED, SURVIVED, UNTESTED = "killed", "survived", "untested"
ENDED, BROKEN = 255, 70  # the status of a process that took too long or too much, or that raised
VERDICTS = {0: SURVIVED, 1: KILLED, ENDED: KILLED}  # by status: 1 is pytest's for failing tests
MEMORY = 6 << 30  # bytes of address space


@dataclass
class Judge:
    """A plugin of pytest: in place of the tests' loop it tries mutants."""

    room: Room
    work: Callable[[Judge], None]
    items: dict[str, pytest.Item] = field(default_factory=dict)
    functions: Functions = field(default_factory=dict)
    failing: bool = False

    def pytest_collection(self) -> None:
        """Random tests need no smallest example here."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("nirc"), phases=phases)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what was asked for instead of the tests."""
        self.items = {item.nodeid: item for item in session.items}
        self.functions = functions_of(self.room.paths())
        if self.room.plain:
            in_python()
        if self.room.ready is not None:
            self.room.ready()
        self.work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that fails."""
        self.failing = self.failing or report.failed

    def fails(self, names: Iterable[str]) -> bool:
        """Run tests until one fails."""
        items = [self.items[name] for name in names]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failing:
                return True
        return False

    def judged(self, mutant: Mutant, names: list[str], seconds: float) -> str:
        """Return if these tests notice the mutant."""
        if not names:
            return UNTESTED
        if names[-1:] == list(self.room.imported[-1:]) or not mutant.in_function:
            return fresh(mutant, names, seconds)

        def child() -> int:
            if not put(mutant, self.functions):
                return 2
            put_into_scripts(mutant)
            return int(self.fails(names))

        status = forked(child, seconds)
        return VERDICTS[status] if status in VERDICTS else fresh(mutant, names, seconds)


def in_python() -> None:
    """Run loops as Python."""
    os.environ["NIRC_NATIVE"] = "0"


def forked(child: Callable[[], int], seconds: float) -> int:
    """Run ``child`` in a process of its own. Return its status, ``ENDED`` if it was ended."""
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        most = int(4 + 4 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = BROKEN
        try:
            status = child()
        finally:
            os._exit(status)
    return _waited(process, _patience(seconds))


def _patience(seconds: float) -> float:
    """Return the seconds until a process is ended that gets its CPU seconds on a busy machine."""
    return 600 + 60 * seconds


def _waited(process: int, seconds: float) -> int:
    """Return the status of a process. End it if it waits for something that does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else ENDED
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return ENDED


def fresh(mutant: Mutant, names: list[str], seconds: float) -> str:
    """Judge a mutant in a process that has imported nothing of nirc.

    Tests that could not run, as when a file cannot be imported, kill the mutant only if they pass
    without it.
    """
    status = spawned(alone, (mutant, names, seconds), _patience(seconds))
    if status not in VERDICTS and spawned(alone, (None, names, seconds), _patience(seconds)) != 0:
        raise RuntimeError(f"status {status}: these tests do not pass without a mutant: {names}")
    return VERDICTS.get(status, KILLED)


def spawned(function: Callable[..., int], arguments: tuple[object, ...], seconds: float) -> int:
    """Call a function of a module in a new Python, and return its status."""
    packed = pickle.dumps((function, arguments)).hex()
    code = "import pickle, sys\nf, a = pickle.loads(bytes.fromhex(sys.argv[1]))\nsys.exit(f(*a))"
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", code, packed], os.environ)
    return _waited(process, seconds)


def alone(mutant: Mutant | None, names: list[str], seconds: float) -> int:
    """Run tests on a mutant, from its import on. Return the status of pytest, or ``ENDED``."""

    def child() -> int:
        if mutant is not None:
            put_before_import(mutant)
            if mutant.file.startswith("nirc/mapping/tables"):
                in_python()
        return int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *names]))

    return forked(child, seconds + 4)
