"""Emulators against a loop in C and against the vendors' simulators, in CPU time of one process.

    python benchmarks/emulators.py [--rounds N]

A dense recurrent network of 1,000 neurons with 8-bit weights for 1,000 steps, silent, at about 5 %
and at about 30 % firing, batch 1. ``floor``: the same adds in a plain loop in C. Then Xylo against
xylosim at batch 1 and 512, Loihi 2 against Lava, and Speck's two modes against sinabs, each with
the vendor's answers compared. A vendor's package that is missing gives a row that says so. Every
time is the least of ``--rounds``.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nirc.backends.loihi2.emulate import emulate as run_loihi2
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables
from nirc.backends.speck.emulate import emulate as run_speck
from nirc.backends.xylo.emulate import emulate as run_xylo
from nirc.native.library import library

sys.path.insert(0, str(Path(__file__).parents[1]))
N = STEPS = 1000
FLOOR = """
#include <stdint.h>
#include <string.h>
long run(const int8_t *w, const int32_t *drive, int n, int steps, int threshold) {
    static int32_t v[4096], sum[4096];
    static uint8_t fired[4096];
    long spikes = 0;
    memset(v, 0, sizeof v);
    memset(fired, 0, sizeof fired);
    for (int t = 0; t < steps; t++) {
        memset(sum, 0, sizeof sum);
        for (int j = 0; j < n; j++)
            if (fired[j])
                for (int i = 0; i < n; i++) sum[i] += w[(long)j * n + i];
        for (int i = 0; i < n; i++) {
            v[i] += sum[i] + drive[i] - (v[i] >> 4);
            fired[i] = v[i] > threshold;
            if (fired[i]) { v[i] = 0; spikes++; }
        }
    }
    return spikes;
}
"""


def cpu(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    """Return the least CPU time of a call in seconds, and its answer."""
    best, answer = float("inf"), None
    for _ in range(rounds):
        start = time.process_time()
        answer = call()
        best = min(best, time.process_time() - start)
    return best, answer


def floor(rounds: int) -> dict[str, float]:
    """Return the time of the loop in C at each activity, by its name."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-10, 11, (N, N)).astype(np.int8)
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "floor.c", Path(folder) / "floor.so"
        source.write_text(FLOOR)
        flags = ["-O3", "-march=native", "-fPIC", "-shared"]
        subprocess.run(["cc", *flags, "-o", str(binary), str(source)], check=True)
        loop = ctypes.CDLL(str(binary)).run
        loop.restype = ctypes.c_long
        for name, wanted in (("silent", 0.0), ("5 %", 0.05), ("30 %", 0.3)):
            drive = (rng.integers(0, 80, N) * bool(wanted)).astype(np.int32)
            threshold = 1 << 30 if not wanted else _threshold(loop, weights, drive, wanted)
            call = (weights.ctypes.data_as(ctypes.c_void_p), drive.ctypes.data_as(ctypes.c_void_p))
            seconds, spikes = cpu(lambda c=call, t=threshold: loop(*c, N, STEPS, t), rounds)
            times[f"{name} ({spikes / N / STEPS:.1%})"] = seconds
    return times


def _threshold(loop: Any, weights: Any, drive: Any, wanted: float) -> int:
    """Return a threshold with about the wanted activity."""
    low, high = 1, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (weights, drive))
        rate = loop(*pointers, N, 200, middle) / N / 200
        low, high = (middle, high) if rate > wanted else (low, middle)
    return high


def recurrent(vth: int) -> Tables:
    """Return 1,000 neurons of Loihi 2, all to all, driven by 100 inputs."""
    rng = np.random.default_rng(0)
    zero = np.zeros(N, np.int64)
    population = Population("p", 1000, 400, vth, zero, zero, zero)
    rows = (
        ("w", "in", rng.integers(-100, 120, (N, 100))),
        ("r", "p", rng.integers(-20, 20, (N, N))),
    )
    projections = tuple(Projection(n, s, "p", "dense", w, "mixed") for n, s, w in rows)
    inputs = (Input("in", np.arange(100)),)
    return Tables(100, inputs, (population,), projections, (Output("p", np.arange(N)),))


def loihi2(rounds: int) -> None:
    """Print Loihi 2's emulator at three activities, and against Lava."""
    raster = (np.random.default_rng(1).random((1, STEPS, 100)) < 0.1).astype(np.uint8)
    for vth in (100_000, 2600, 900):
        tables = recurrent(vth)
        seconds, run = cpu(lambda t=tables: run_loihi2(t, raster), rounds)
        print(f"Loihi 2, {run.output.mean():.1%} firing{'':<14}{seconds * 1e3:>10.2f} ms")
    try:
        from tests.loihi2.oracle import run_lava
    except ImportError as error:
        print(f"Lava is missing: {error}")
        return
    tables = recurrent(2600)
    short = raster[0, :100].astype(np.int64)
    slow, traces = cpu(lambda: run_lava(tables, short), 1)
    fast, run = cpu(lambda: run_loihi2(tables, short[None]), rounds)
    same = np.array_equal(run.output[0], traces["p"]["spikes"])
    print(f"Loihi 2 against Lava, 100 steps: {slow / fast:.0f} times faster, equal: {same}")


def xylo(rounds: int) -> None:
    """Print Xylo's emulator against xylosim."""
    try:
        import xylosim.v2
    except ImportError as error:
        print(f"xylosim is missing: {error}")
        return
    from benchmarks.xylo_speed import network
    from tests.xylo.oracle import Oracle

    rng = np.random.default_rng(0)
    small, large = network(rng, 1000), network(rng, 4000, hidden=900)
    for spec, samples, steps in ((small, 1, 60), (large, 1, 1000), (small, 512, 60)):
        raster = (rng.random((samples, steps, 12)) < 0.15).astype(np.int64)
        lists = raster.tolist()
        oracle = Oracle(xylosim.v2, spec)
        slow, expected = cpu(lambda o=oracle, r=lists: [o.run_sample(s) for s in r], rounds)
        fast, run = cpu(lambda r=raster, s=spec: run_xylo(s, r), rounds)
        same = np.array_equal(run.output, np.array(expected))
        ratio = slow / fast
        firing = (run_xylo(spec, raster, record=True).spikes["hidden"] > 0).mean()
        name = f"{len(spec.threshold)} hidden neurons, {steps} steps, {firing:.1%} firing"
        print(f"Xylo against xylosim, {name}, batch {samples}: {ratio:.1f} times faster, {same}")


def speck(rounds: int) -> None:
    """Print Speck's two modes against sinabs, on a random configuration of all nine cores."""
    from tests.speck.configurations import full_chip

    configuration = full_chip(np.random.default_rng(0))
    channels = configuration.input_channels
    raster = (np.random.default_rng(1).random((4, 50, channels)) < 0.02).astype(np.int64)
    frames, run = cpu(lambda: run_speck(configuration, raster), rounds)
    events, _ = cpu(lambda: run_speck(configuration, raster, mode="events"), rounds)
    print(f"Speck, event by event against frames: {events / frames:.2f} times the time")
    try:
        import torch  # noqa: F401 - sinabs needs it

        from tests.speck.oracle import Oracle
    except ImportError as error:
        print(f"sinabs is missing: {error}")
        return
    oracle = Oracle(configuration)
    slow, spikes = cpu(lambda: oracle.run(raster), 1)
    same = np.array_equal(run.output, spikes)
    print(f"Speck against sinabs, frames: {slow / frames:.1f} times faster, equal: {same}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("compiled kernels:", "yes" if library() is not None else "no, numpy")
    for name, seconds in floor(rounds).items():
        print(f"floor in C, {name:<24}{seconds * 1e3:>10.2f} ms")
    loihi2(rounds)
    xylo(rounds)
    speck(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
