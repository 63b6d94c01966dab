"""Collect the tests of a room once, then fork a process for each mutant."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutants.inside import Functions, functions_of, put, put_before_import
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.rooms import Room

KILLED, SURVIVED, UNTESTED = "killed", "survived", "untested"
MEMORY = 6 << 30  # bytes of address space
AGAIN = 3  # the status of a process that leaves tests to the next
LONGEST_TEST = 30  # CPU seconds, in the run that traces


@dataclass(frozen=True)
class Trace:
    """What a test runs: lines by file, and its CPU seconds."""

    seconds: float
    lines: frozenset[tuple[str, int]]


Traces = dict[str, Trace]  # by node id


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
        if not mutant.in_function or names == list(self.room.imported):
            return fresh(mutant, names, seconds)

        def child() -> int:
            if not put(mutant, self.functions):
                return 2
            return int(self.fails(names))

        status = forked(child, seconds)
        return (
            fresh(mutant, names, seconds) if status == 2 else (SURVIVED if status == 0 else KILLED)
        )


def in_python() -> None:
    """Run loops as Python."""
    os.environ["NIRC_NATIVE"] = "0"


def forked(child: Callable[[], int], seconds: float) -> int:
    """Run ``child`` in a process of its own. Return its status, -1 if it was ended."""
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        most = int(4 + 4 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 1
        try:
            status = child()
        finally:
            os._exit(status)
    return _waited(process, 60 + 20 * seconds)


def _waited(process: int, seconds: float) -> int:
    """Return the status of a process. End it if it waits for something that does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -1


def fresh(mutant: Mutant, names: list[str], seconds: float) -> str:
    """Judge a mutant in a process that has imported nothing of nirc."""
    code = "from tests.mutants.judge import alone; alone()"
    process = os.posix_spawn(
        sys.executable, [sys.executable, "-c", code, _packed((mutant, names, seconds))], os.environ
    )
    return SURVIVED if _waited(process, 60 + 20 * seconds) == 0 else KILLED


def _packed(value: object) -> str:
    return pickle.dumps(value).hex()


def alone() -> None:
    """Run tests on a mutant, from its import on. Exit with 0 if no test fails."""
    mutant, names, seconds = pickle.loads(bytes.fromhex(sys.argv[1]))

    def child() -> int:
        put_before_import(mutant)
        if mutant.file.startswith("nirc/mapping/tables"):
            in_python()
        options = ["-q", "-x", "-p", "no:cacheprovider"]
        return int(pytest.main([*options, *names]) != 0)

    sys.exit(0 if forked(child, seconds + 4) == 0 else 1)


def traced(judge: Judge, path: Path) -> Traces:
    """Run each test once in a fork, and note the lines that it runs. A failing test has none.

    ``path``: the notes. Those of an earlier run are good for files that have not changed since.
    After some tests CPython traces no more: the others get another fork.
    """

    def child() -> int:
        traces = _good(judge, path)
        for done, name in enumerate([name for name in judge.items if name not in traces]):
            if not _traces_calls():
                return AGAIN if done else 1
            traces[name] = _trace(judge, name)
            judge.failing = False
            path.write_bytes(pickle.dumps(traces))
        return 0

    while (status := forked(child, 1000)) == AGAIN:
        pass
    if status != 0:
        raise RuntimeError("the tests could not be traced")
    found: Traces = pickle.loads(path.read_bytes())
    return {name: trace for name, trace in found.items() if trace.lines}


def _traces_calls() -> bool:
    seen: list[str] = []
    sys.settrace(lambda frame, event, value: seen.append(event))
    _packed(None)
    sys.settrace(None)
    return bool(seen)


def _good(judge: Judge, path: Path) -> Traces:
    if not path.exists():
        return {}
    written = path.stat().st_mtime
    if any((ROOT / file).stat().st_mtime > written for file in judge.room.paths()):
        return {}
    found: Traces = pickle.loads(path.read_bytes())
    good = {n for n, item in judge.items.items() if item.path.stat().st_mtime < written}
    return {name: trace for name, trace in found.items() if name in good}


def _trace(judge: Judge, name: str) -> Trace:
    files = {str((ROOT / file).resolve()): file for file in judge.room.paths()}
    names: dict[str, str | None] = {}
    lines: set[tuple[str, int]] = set()

    def enter(frame: FrameType, event: str, value: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in names:
            names[code.co_filename] = files.get(str(Path(code.co_filename).resolve()))
        file = names[code.co_filename]
        if file is None:
            return None

        def line(frame: FrameType, event: str, value: Any) -> Any:
            lines.add((file, frame.f_lineno))
            return line

        return line

    begin = time.process_time()
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_TEST)
    threading.settrace(enter)
    sys.settrace(enter)
    failed = judge.fails([name])
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begin
    return Trace(seconds, frozenset() if failed else frozenset(lines))


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError("the test is too long to judge mutants")
