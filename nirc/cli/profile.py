"""Time and memory of a command's stages, for ``-v``. A stage begins where the last one ends."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

START = "start"  # Python and the imports of the command line
SHOWING = "digests"  # what -v itself computes


@dataclass
class Stage:
    """Wall seconds, CPU seconds of all threads, and the largest memory so far, None if unknown."""

    name: str
    seconds: float
    peak_mb: float | None
    cpu_seconds: float


class Profile:
    """The stages of one command. A name that comes back gets a line of its own."""

    def __init__(self) -> None:
        self.last_cpu = time.process_time()
        self.stages = [Stage(START, self.last_cpu, peak_mb(), self.last_cpu)]
        self.showing = self.showing_cpu = 0.0
        self.last = time.perf_counter()

    def end(self, name: str) -> Stage:
        """End the stage that runs, and return it."""
        wall, cpu = self._passed()
        stage = Stage(name, wall, peak_mb(), cpu)
        self.stages.append(stage)
        return stage

    def _passed(self) -> tuple[float, float]:
        """Return wall and CPU seconds since the last call."""
        now = (time.perf_counter(), time.process_time())
        passed = (now[0] - self.last, now[1] - self.last_cpu)
        self.last, self.last_cpu = now
        return passed

    def shown(self) -> None:
        """Count the time since the last stage as that of showing it."""
        wall, cpu = self._passed()
        self.showing += wall
        self.showing_cpu += cpu

    def finished(self) -> list[Stage]:
        """End the last stage, ``finish``, and return all, with the time of showing them."""
        self.end("finish")
        return [*self.stages, Stage(SHOWING, self.showing, peak_mb(), self.showing_cpu)]

    @staticmethod
    def as_tree(stages: list[Stage]) -> list[dict[str, Any]]:
        """Return the stages for JSON."""
        return [vars(stage) for stage in stages]


def peak_mb() -> float | None:
    """Return the largest memory of this process so far in MB, None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
