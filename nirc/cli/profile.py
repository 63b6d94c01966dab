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
    """Wall seconds, and the process's largest memory so far, None where it is not known."""

    name: str
    seconds: float
    peak_mb: float | None


class Profile:
    """The stages of one command. A name that comes back gets a line of its own."""

    def __init__(self) -> None:
        self.stages = [Stage(START, time.process_time(), peak_mb())]
        self.showing = 0.0
        self.last = time.perf_counter()

    def end(self, name: str) -> Stage:
        """End the stage that runs, and return it."""
        now = time.perf_counter()
        stage = Stage(name, now - self.last, peak_mb())
        self.stages.append(stage)
        self.last = now
        return stage

    def shown(self) -> None:
        """Count the time since the last stage as that of showing it."""
        now = time.perf_counter()
        self.showing += now - self.last
        self.last = now

    def finished(self) -> list[Stage]:
        """End the last stage, ``finish``, and return all, with the time of showing them."""
        self.end("finish")
        return [*self.stages, Stage(SHOWING, self.showing, peak_mb())]

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
