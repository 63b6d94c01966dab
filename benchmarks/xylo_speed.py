"""Speed of the Xylo emulator against the vendor's simulator, in one process, with equal outputs.

    python benchmarks/xylo_speed.py [--config FILE.json --data FILE.npz] [--repeats N]

Without files: a seeded recurrent network of 12 inputs, 80 hidden and 8 output neurons, 341 samples
of 60 steps. xylosim's time is that of building its layer once and then, for each sample, reset and
evolve on lists made beforehand; the emulator's time is that of one call on the array, its own
preparation included. The last row forces every neuron into saturation, the emulator's slowest case.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nirc.backends.xylo.config import IntArray, Specification, read_config
from nirc.backends.xylo.emulate import emulate

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.xylo.oracle import Oracle

ACTIVITIES = {"sparse": 1400, "medium": 700, "busy": 420}  # name -> hidden threshold


def network(rng: np.random.Generator, threshold: int, hidden: int = 80) -> Specification:
    """Return 12 inputs, ``hidden`` recurrent neurons and 8 outputs with one synapse each.

    Time constants are 4 and 8 steps, all hidden thresholds are equal.
    """
    inputs, outputs = 12, 8
    weights_in = np.zeros((inputs, hidden, 2), np.int64)
    weights_in[..., 0] = rng.integers(-60, 110, (inputs, hidden))
    weights_rec = np.zeros((hidden, hidden, 2), np.int64)
    weights_rec[..., 0] = np.rint(rng.normal(-2, 14, (hidden, hidden)))
    return Specification(
        weights_in=weights_in,
        weights_rec=weights_rec,
        weights_out=rng.integers(-60, 61, (hidden, outputs)),
        dash_mem=np.full(hidden, 3),
        dash_mem_out=np.full(outputs, 3),
        dash_syn=np.full(hidden, 2),
        dash_syn_2=np.full(hidden, 2),
        dash_syn_out=np.full(outputs, 2),
        threshold=np.full(hidden, threshold),
        threshold_out=np.full(outputs, 500),
        bias_hidden=np.zeros(hidden, np.int64),
        bias_out=np.zeros(outputs, np.int64),
        weight_shift_in=0,
        weight_shift_rec=0,
        weight_shift_out=0,
        aliases=np.full(hidden, -1),
    )


def saturating(spec: Specification) -> Specification:
    """The same network with every weight 128 times as large: additions saturate everywhere."""
    return replace(spec, weight_shift_in=7, weight_shift_rec=7, weight_shift_out=7)


def seconds(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median wall time of ``call`` and its last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return median(times), result


def compare(name: str, spec: Specification, raster: IntArray, repeats: int) -> bool:
    """Print one row; whether the outputs are equal."""
    import xylosim.v2

    samples = raster.tolist()

    def vendor() -> list[list[list[int]]]:
        oracle = Oracle(xylosim.v2, spec)
        return [oracle.run_sample(sample) for sample in samples]

    emulate(spec, raster[:8])  # BLAS starts its threads
    fast, run = seconds(lambda: emulate(spec, raster), repeats)
    slow, expected = seconds(vendor, repeats)
    same = bool(np.array_equal(run.outputs, np.array(expected)))
    hidden = emulate(spec, raster, record=True).spikes["hidden"]
    print(
        f"{name:<12}{100 * (hidden > 0).mean():>9.1f} %{slow * 1e3:>12.1f}{fast * 1e3:>13.1f}"
        f"{slow / fast:>9.1f}  {'yes' if same else 'NO'}"
    )
    return same


def cases(arguments: argparse.Namespace) -> dict[str, tuple[Specification, IntArray]]:
    """Networks and rasters by the name of their row."""
    if arguments.config:
        spec = read_config(arguments.config.read_bytes())
        with np.load(arguments.data, allow_pickle=False) as data:
            raster = data["inputs"].astype(np.int64)
        raster = raster.reshape(*raster.shape[:2], -1)
        return {"file": (spec, raster), "saturated": (saturating(spec), raster)}
    rng = np.random.default_rng(0)
    raster = (rng.random((341, 60, 12)) < 0.15).astype(np.int64)
    table = {name: (network(rng, threshold), raster) for name, threshold in ACTIVITIES.items()}
    return {**table, "saturated": (saturating(network(rng, 420)), raster)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, help="config.json of a bundle")
    parser.add_argument("--data", type=Path, help="its input rasters, .npz with `inputs`")
    parser.add_argument(
        "--repeats", type=int, default=5, help="the median of so many runs is printed"
    )
    arguments = parser.parse_args()
    if bool(arguments.config) != bool(arguments.data):
        parser.error("--config and --data go together")
    print(
        f"{os.cpu_count()} processors, "
        f"OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'unset')}"
    )
    print(
        "activity: share of hidden neurons and steps with a spike; medians of",
        arguments.repeats,
        "runs",
    )
    print(f"{'':<12}{'activity':>11}{'xylosim ms':>12}{'emulator ms':>13}{'ratio':>9}  equal")
    results = [
        compare(name, spec, raster, arguments.repeats)
        for name, (spec, raster) in cases(arguments).items()
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
