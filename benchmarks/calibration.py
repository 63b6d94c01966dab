"""CPU seconds of a calibration, with the library in C and with the definitions in numpy.

    python benchmarks/calibration.py [MODEL.nir DATA.npz TARGET] [--samples N] [--steps N]
                                     [--fast-only] [--json]

Default: BasicMotions on Xylo. Both run in this process, one after the other, and must give the same
files. The ratio depends little on the machine and its load. DATA ``random``: 8 samples of 100 steps
with 2 % spikes. ``--fast-only``: without numpy, which takes minutes for a convolutional network.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.api import Options, compile_model, lower
from nirc.diagnostics.log import Log
from nirc.files.manifest import sha256
from nirc.ir.populations import Source
from nirc.native.library import SWITCH

sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

ZOO = Path(__file__).parents[1] / "tests/data/zoo"
MODEL = ZOO / "basicmotions_lif_ff.nir"
DATA = ZOO / "basicmotions_lif_ff.npz"
RANDOM = "random"
GOALS = {"basicmotions_lif_ff": 7.5, "cnn_sinabs": 20.0}  # CPU s on an idle machine


def calibrated(
    model: str, target: str, inputs: NDArray[Any], dt_s: float | None, switch: str
) -> tuple[float, str]:
    """Return CPU seconds and the digest of the bundle."""
    os.environ[SWITCH] = switch
    begin = time.process_time()
    done = compile_model(model, target, Options(dt_s=dt_s), calibration=inputs)
    seconds = time.process_time() - begin
    files = sorted(done.bundle.files.items())
    return seconds, sha256(b"".join(content for _, content in files))


def rasters(model: str, data: str) -> tuple[NDArray[Any], float | None]:
    """Return the inputs, and the time step if the file has one."""
    if data == RANDOM:
        sources = lower(model, Options(dt_s=1e-3), log=Log()).discrete.nodes(Source)
        channels = sum(source.n for source in sources.values())
        return (np.random.default_rng(0).random((8, 100, channels)) < 0.02).astype(np.uint8), 1e-3
    with np.load(data) as file:
        return file["inputs"], float(file["dt"]) if "dt" in file else None


def rows(given: argparse.Namespace) -> Iterator[Row]:
    """Yield one row."""
    inputs, dt_s = rasters(given.model, given.data)
    inputs = inputs[: given.samples, : given.steps]
    fast, digest = calibrated(given.model, given.target, inputs, dt_s, "1")
    name = Path(given.model).stem
    what = f"{name} on {given.target}, {len(inputs)} samples x {inputs.shape[1]} steps"
    rival: dict[str, Any] = {}
    if not given.fast_only:
        slow, other = calibrated(given.model, given.target, inputs, dt_s, "0")
        rival = {"rival": "numpy", "rival_value": slow, "rival_first": True}
        rival["note"] = "the same files" if digest == other else "OTHER FILES"
    yield Row(what, fast, "CPU s", goal=GOALS.get(name), **rival)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default=str(MODEL))
    parser.add_argument("data", nargs="?", default=str(DATA))
    parser.add_argument("target", nargs="?", default="xylo")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--fast-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show(rows(given), as_json=given.json)


if __name__ == "__main__":
    main()
