"""Whole-process times of the command line, beside what importing its libraries alone costs.

    python benchmarks/startup.py [--runs N] [--cold] [--json]

Prints medians and the ratio to `python -c "import numpy, h5py, networkx, jinja2"` in the same run.
``--cold``: instead, CPU seconds of compilations in a new container, where all caches of the user
are empty, beside those of the second run.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

ROOT = Path(__file__).parents[1]
NIRC = [sys.executable, "-c", "from nirc.cli.main import main; main()"]
COMMANDS = {
    "import the libraries": [sys.executable, "-c", "import numpy, h5py, networkx, jinja2"],
    "nirc --help": [*NIRC, "--help"],
    "nirc inspect": [*NIRC, "inspect", str(ROOT / "examples/braille.nir")],
    "nirc braille.nir --target xylo": [
        *NIRC,
        str(ROOT / "examples/braille.nir"),
        "--target",
        "xylo",
        "-o",
        "out",
    ],
}

BRAILLE = str(ROOT / "examples/braille.nir")
DIGITS = str(ROOT / "tests/data/zoo/digits_if_cnn.nir")
COLD = {
    "braille.nir --target all": [BRAILLE, "--target", "all"],
    "braille.nir on a board (3 PEs)": [BRAILLE, "--target", "spinnaker2:board"],
    "digits_if_cnn.nir --target all": [DIGITS, "--target", "all"],
}


def once(command: list[str], directory: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return time.perf_counter() - start


def cpu_seconds(command: list[str], directory: str, cache: str) -> float:
    """CPU seconds of a new process with its caches in ``cache``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | dict.fromkeys(("HOME", "XDG_CACHE_HOME"), cache)
    subprocess.run(command, cwd=directory, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cold_rows(runs: int) -> Iterator[Row]:
    """Yield medians of ``runs``."""
    for name, arguments in COLD.items():
        cold, warm = [], []
        command = [*NIRC, *arguments, *([] if "all" in arguments else ["-o", "out", "--force"])]
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as directory:
                cold.append(cpu_seconds(command, directory, cache))
                warm.append(cpu_seconds(command, directory, cache))
        yield Row(
            f"{name}, cold",
            median(cold),
            "CPU s",
            goal=1.5,
            rival="warm",
            rival_value=median(warm),
            of_ratio=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--json", action="store_true", help="with --cold")
    options = parser.parse_args()
    runs: int = options.runs
    if options.cold:
        show(cold_rows(runs), as_json=options.json)
        return
    with tempfile.TemporaryDirectory() as directory:
        times = {
            name: median([once(c, directory) for _ in range(runs + 1)][1:])
            for name, c in COMMANDS.items()
        }
    base = times["import the libraries"]
    print(f"median of {runs} runs{'':<20} ms    ratio")
    for name, seconds in times.items():
        print(f"{name:<34} {seconds * 1e3:7.0f} {seconds / base:8.2f}")


if __name__ == "__main__":
    main()
