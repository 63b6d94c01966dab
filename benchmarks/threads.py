"""CPU time of library calls with 8 threads of BLAS to that with 1, on an idle and a loaded machine.

    python benchmarks/threads.py [--runs N] [--json]

Each call runs in a process of its own, with OPENBLAS_NUM_THREADS set to 1 and to 8 in turn. The row
has the ratio of the smallest times. Loaded: two busy processes run beside it. ``products`` shows
what the threads cost where nirc does not decide: plain products of numpy in a loop.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

ROOT = Path(__file__).resolve().parents[1]
BUSY = "while True: pass"
START = """
import sys, time
import numpy as np
import nirc
from nirc.diagnostics.log import Log
zoo = "tests/data/zoo/"
def digits():
    return np.load(zoo + "digits_lif_mlp.npz")
"""
CALLS = {
    "emulate, Loihi 2": """
from benchmarks.emulators import recurrent, run_loihi2
tables, raster = recurrent(2600), np.random.default_rng(1).random((8, 1000, 100)) < 0.1
def call():
    run_loihi2(tables, raster.astype(np.uint8))
""",
    "Bundle.run, SpiNNaker2": """
bundle = nirc.compile(zoo + "digits_lif_mlp.nir", target="spinnaker2", dt=1e-4)
def call():
    bundle.run(digits()["inputs"], log=Log())
""",
    "verify, SpiNNaker2": """
from nirc.api import Options
from nirc.files.data import Data
from nirc.verification.verify import verify
def call():
    inputs = digits()["inputs"][:120]
    verify(zoo + "digits_lif_mlp.nir", "spinnaker2", Data(inputs), Options(dt_s=1e-4), log=Log())
""",
    "products": """
def call():
    for _ in range(300):
        np.ones((64, 700)) @ np.ones((700, 700))
""",
}
END = """
call()
begin = time.process_time()
call()
print(time.process_time() - begin)
"""


@contextmanager
def load(processes: int) -> Iterator[None]:
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds(text: str, threads: int) -> float:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.pop(name, None)
    command = [sys.executable, "-c", START + text + END]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def rows(runs: int) -> Iterator[Row]:
    for name, text in CALLS.items():
        for state, processes in (("idle", 0), ("loaded", 2)):
            with load(processes):
                pairs = [(seconds(text, 1), seconds(text, 8)) for _ in range(runs)]
            one, eight = (min(column) for column in zip(*pairs, strict=True))
            yield Row(
                f"{name}, {state} machine: 8 threads",
                eight,
                "CPU s",
                goal=None if name == "products" else 1.1,
                of_ratio=True,
                rival="1 thread",
                rival_value=one,
                note="numpy alone, without nirc" if name == "products" else "",
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show(rows(given.runs), as_json=given.json)


if __name__ == "__main__":
    main()
