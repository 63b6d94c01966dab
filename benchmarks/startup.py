"""Whole-process times of the command line, beside what importing its libraries alone costs.

    python benchmarks/startup.py [--runs N]

Prints medians and the ratio to `python -c "import numpy, h5py, networkx, jinja2"` in the same run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

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


def once(command: list[str], directory: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
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
