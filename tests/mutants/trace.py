"""Which tests run which lines of a room, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from tests.mutants.judge import Judge, forked, spawned
from tests.mutants.mutant import ROOT

Line = tuple[str, int]  # file, number
CACHE = ROOT / ".mutants"
AGAIN = 3  # the status of a process that leaves tests to the next
LONGEST_TEST = 30  # CPU seconds, in the run that traces
AT_IMPORT = "import"  # the name of what runs when the room's modules are imported


@dataclass(frozen=True)
class Trace:
    """What a test runs, and its CPU seconds. ``stamp``: of the files that it runs and is in."""

    seconds: float
    lines: frozenset[Line]
    stamp: str


Traces = dict[str, Trace]  # by node id


def traced(judge: Judge, path: Path) -> Traces:
    """Run each test once in a fork, and note the lines that it runs. A failing test has none.

    ``path``: the notes. A note of an earlier run is good as long as the test's file and the files
    of its lines are the same. After some tests CPython traces no more: the others get another fork.
    """
    path.parent.mkdir(parents=True, exist_ok=True)

    def child() -> int:
        traces = _good(judge, path)
        for done, name in enumerate([name for name in judge.items if name not in traces]):
            if not _traces_calls():
                path.write_bytes(pickle.dumps(traces))
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
    return {name: trace for name, trace in found.items() if trace.lines} | _imported(judge, path)


def _traces_calls() -> bool:
    seen: list[str] = []
    sys.settrace(lambda frame, event, value: seen.append(event))
    _stamp([])
    sys.settrace(None)
    return bool(seen)


def _good(judge: Judge, path: Path) -> Traces:
    if not path.exists():
        return {}
    found: Traces = pickle.loads(path.read_bytes())
    return {
        name: trace
        for name, trace in found.items()
        if name in judge.items
        and trace.stamp == _stamp({judge.items[name].path, *_files(trace.lines)})
    }


def _files(lines: Iterable[Line]) -> set[Path]:
    return {ROOT / file for file in {file for file, _ in lines}}


def _stamp(files: Iterable[Path]) -> str:
    return hashlib.sha256("".join(sorted(map(_digest, files))).encode()).hexdigest()


@cache
def _digest(path: Path) -> str:
    if not path.exists():
        return str(path)
    return f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"


class _Lines:
    """A tracer of the lines that run in some files."""

    def __init__(self, files: Iterable[str]) -> None:
        self.files = {str((ROOT / file).resolve()): file for file in files}
        self.names: dict[str, str | None] = {}
        self.lines: set[Line] = set()

    def __call__(self, frame: FrameType, event: str, value: Any) -> Any:
        """Follow a call into the files."""
        name = frame.f_code.co_filename
        if name not in self.names:
            self.names[name] = self.files.get(str(Path(name).resolve()))
        file = self.names[name]
        if file is None:
            return None

        def line(frame: FrameType, event: str, value: Any) -> Any:
            self.lines.add((file, frame.f_lineno))
            return line

        return line


def _trace(judge: Judge, name: str) -> Trace:
    tracer = _Lines(judge.room.paths())
    begin = time.process_time()
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_TEST)
    threading.settrace(tracer)
    sys.settrace(tracer)
    failed = judge.fails([name])
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begin
    lines = frozenset() if failed else frozenset(tracer.lines)
    return Trace(seconds, lines, _stamp({judge.items[name].path, *_files(lines)}))


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError("the test is too long to judge mutants")


def _imported(judge: Judge, path: Path) -> Traces:
    """Return the lines of functions that run when the room's modules are imported."""
    notes = path.with_suffix(".import")
    if spawned(import_traced, (judge.room.paths(), notes), 60) != 0:
        raise RuntimeError("the imports could not be traced")
    lines: frozenset[Line] = pickle.loads(notes.read_bytes())
    return {AT_IMPORT: Trace(0.0, lines, "")}


def import_traced(files: list[str], notes: Path) -> int:
    """Import the modules of these files, and note the lines that run in their functions."""
    import importlib

    os.chdir(ROOT)
    tracer = _Lines(files)

    def enter(frame: FrameType, event: str, value: Any) -> Any:
        return None if frame.f_code.co_name == "<module>" else tracer(frame, event, value)

    sys.settrace(enter)
    for file in files:
        name = file.removeprefix("nirc/").removesuffix(".py").replace("/", ".")
        importlib.import_module(f"nirc.{name}")
    sys.settrace(None)
    notes.write_bytes(pickle.dumps(frozenset(tracer.lines)))
    return 0
