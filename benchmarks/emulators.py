"""Emulators against a loop in C and against the vendors' simulators, in CPU time of one process.

    python benchmarks/emulators.py [--rounds N] [--peak] [--json]

A dense recurrent network of 1,000 neurons with 8-bit weights for 1,000 steps, silent, at about 5 %
and at about 19 % firing, batch 1. ``floor``: as many adds in a plain loop in C. Then Xylo against
xylosim at batch 1 and 512, Loihi 2 against Lava, and Speck's two modes against sinabs, each with
the vendor's answers compared. A vendor's package that is missing gives a row that says so. Every
time is the least of ``--rounds``. ``--peak``: instead, the peak memory of 500 samples x 1,000 steps
x 2,312 inputs on Speck, which takes minutes.
"""

from __future__ import annotations

import argparse
import ctypes
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nirc.api import Options, compile_model
from nirc.backends.loihi2.emulate import emulate as run_loihi2
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables
from nirc.backends.speck.emulate import emulate as run_speck
from nirc.backends.xylo.emulate import emulate as run_xylo
from nirc.diagnostics.log import Log
from nirc.native.library import library

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from rows import Row, show

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


def floor(rounds: int, wanted: Sequence[float]) -> dict[str, float]:
    """Return the time of the loop in C at each wanted share of firing neurons, by its name."""
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
        for share in wanted:
            drive = (rng.integers(0, 80, N) * bool(share)).astype(np.int32)
            threshold = _threshold(loop, weights, drive, share) if share else 1 << 30
            call = (weights.ctypes.data_as(ctypes.c_void_p), drive.ctypes.data_as(ctypes.c_void_p))
            seconds, spikes = cpu(lambda c=call, t=threshold: loop(*c, N, STEPS, t), rounds)
            times[f"{spikes / N / STEPS:.1%} firing"] = seconds
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


def missing(what: str, error: ImportError) -> Row:
    """Return a row without figures."""
    return Row(what, None, "ms", note=f"missing: {error.name}")


def against(
    what: str, ours: float, rival: str, theirs: float, goal: float | None, *, same: bool
) -> Row:
    """Return how many times faster ours is. ``same``: the answers are equal."""
    return Row(
        what,
        ours * 1e3,
        "ms",
        goal=goal,
        most=False,
        rival=rival,
        rival_value=theirs * 1e3,
        of_ratio=True,
        rival_first=True,
        note="equal answers" if same else "OTHER ANSWERS",
    )


def loihi2(rounds: int) -> Iterator[Row]:
    """Yield Loihi 2's emulator at three activities against the loop in C, and against Lava."""
    raster = (np.random.default_rng(1).random((1, STEPS, 100)) < 0.1).astype(np.uint8)
    networks = [recurrent(vth) for vth in (100_000, 2600, 100)]
    timed = [cpu(lambda t=tables: run_loihi2(t, raster), rounds) for tables in networks]
    firing = [float(run.outputs.mean()) for _, run in timed]
    floors = floor(rounds, firing)
    for (seconds, _), share, (name, least) in zip(timed, firing, floors.items(), strict=True):
        yield Row(
            f"Loihi 2, {N} neurons x {STEPS} steps, {share:.1%} firing",
            seconds * 1e3,
            "ms",
            goal=4 if 0.04 < share < 0.06 else None,
            rival=f"loop in C, {name}",
            rival_value=least * 1e3,
            of_ratio=True,
        )
    name = "Loihi 2, 100 steps"
    try:
        from tests.loihi2.oracle import run_lava
    except ImportError as error:
        yield missing(name, error)
        return
    tables = recurrent(2600)
    short = raster[0, :100].astype(np.int64)
    slow, traces = cpu(lambda: run_lava(tables, short), 1)
    fast, run = cpu(lambda: run_loihi2(tables, short[None]), rounds)
    same = np.array_equal(run.outputs[0], traces["p"]["spikes"])
    yield against(name, fast, "Lava", slow, 20, same=same)


def xylo(rounds: int) -> Iterator[Row]:
    """Yield Xylo's emulator against xylosim."""
    try:
        import xylosim.v2
    except ImportError as error:
        yield missing("Xylo", error)
        return
    from benchmarks.xylo_speed import network
    from tests.xylo.oracle import Oracle

    rng = np.random.default_rng(0)
    small, large = network(rng, 1000), network(rng, 4000, hidden=900)
    cases = ((small, 1, 60, 2), (large, 1, 1000, 2), (small, 512, 60, 20))
    for spec, samples, steps, goal in cases:
        raster = (rng.random((samples, steps, 12)) < 0.15).astype(np.int64)
        lists = raster.tolist()
        oracle = Oracle(xylosim.v2, spec)
        slow, expected = cpu(lambda o=oracle, r=lists: [o.run_sample(s) for s in r], rounds)
        fast, run = cpu(lambda r=raster, s=spec: run_xylo(s, r), rounds)
        same = np.array_equal(run.outputs, np.array(expected))
        firing = (run_xylo(spec, raster, record=True).spikes["hidden"] > 0).mean()
        neurons = f"{len(spec.threshold)} hidden neurons, {steps} steps, {firing:.1%} firing"
        yield against(f"Xylo, {neurons}, batch {samples}", fast, "xylosim", slow, goal, same=same)


def speck(rounds: int) -> Iterator[Row]:
    """Yield Speck's two modes against sinabs, on a random configuration of all nine cores."""
    from tests.speck.configurations import full_chip

    configuration = full_chip(np.random.default_rng(0))
    channels = configuration.input_channels
    raster = (np.random.default_rng(1).random((4, 50, channels)) < 0.02).astype(np.int64)
    frames, run = cpu(lambda: run_speck(configuration, raster), rounds)
    events, _ = cpu(lambda: run_speck(configuration, raster, mode="events"), rounds)
    yield Row(
        "Speck, event by event",
        events * 1e3,
        "ms",
        goal=3,
        rival="our frames",
        rival_value=frames * 1e3,
        of_ratio=True,
    )
    try:
        import torch  # noqa: F401 - sinabs needs it

        from tests.speck.oracle import Oracle
    except ImportError as error:
        yield missing("Speck, frames", error)
        return
    oracle = Oracle(configuration)
    slow, spikes = cpu(lambda: oracle.run(raster), 1)
    same = np.array_equal(run.outputs, spikes)
    yield against("Speck, frames", frames, "sinabs", slow, 5, same=same)


def peak() -> Iterator[Row]:
    """Yield CPU seconds and peak memory of one large run, in this process."""
    model = Path(__file__).parents[1] / "tests/data/paper/cnn_sinabs.nir"
    bundle = compile_model(model, "speck", Options(dt_s=1e-3)).bundle
    rng = np.random.default_rng(1)
    raster = np.zeros((500, 1000, 2312), np.uint8)
    for sample in raster:
        sample[rng.integers(0, len(sample), 2000), rng.integers(0, sample.shape[1], 2000)] = 1
    begin = time.process_time()
    bundle.run(raster, log=Log())
    seconds = time.process_time() - begin
    what = "Speck, 500 samples x 1,000 steps x 2,312 inputs"
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    yield Row(f"{what}: peak memory", gigabytes, "GB", goal=2, memory_gb=gigabytes)
    yield Row(f"{what}: time", seconds, "CPU s")


def rows(rounds: int) -> Iterator[Row]:
    """Yield all rows."""
    compiled = library() is not None
    yield Row("compiled kernels", float(compiled), "", goal=1, most=False)
    yield from loihi2(rounds)
    yield from xylo(rounds)
    yield from speck(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", action="store_true", help="one large run instead")
    given = parser.parse_args()
    show(peak() if given.peak else rows(given.rounds), as_json=given.json)


if __name__ == "__main__":
    main()
