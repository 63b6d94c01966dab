"""Speed and size of the C program on this machine, beside nirc's emulators of the same network.

    cd examples/nirc-target-c
    PYTHONPATH=. python benchmarks/speed.py

`-O2`, CPU time, one core. Size: code and tables in the object file, and the struct of states.
numpy: the emulator of `c`, which is the interpreter of integer programs, over 32 samples at once,
and over one. spinnaker2: nirc's emulator of that chip, which is written in C.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from nirc_target_c import compiled, tables

from nirc.api import Compiled, Options, compile_model
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
DATA = ROOT / "tests/data"
SAMPLES = 32
MODELS = (
    ("examples/braille.nir", "snntorch,reset_delay=no", 12, 256),
    ("tests/data/zoo/digits_lif_mlp.nir", None, "zoo/digits_lif_mlp.npz", 0),
    ("tests/data/zoo/japanesevowels_rsnn.nir", None, "zoo/japanesevowels_rsnn.npz", 0),
    ("tests/data/zoo/digits_if_cnn.nir", None, "zoo/digits_if_cnn.npz", 0),
    ("tests/data/paper/cnn_sinabs.nir", None, 2 * 34 * 34, 100),
)


def counts_of(data: str | int, steps: int) -> np.ndarray:
    """Return (samples, steps, channels): of a file, or drawn with 2 % of spikes."""
    if isinstance(data, int):
        return np.random.default_rng(0).poisson(0.02, (SAMPLES, steps, data))
    with np.load(DATA / data) as file:
        inputs = file["inputs"][:SAMPLES]
    return inputs.reshape(*inputs.shape[:2], -1)


def spent_us(work: object, steps: int) -> float:
    """Return CPU microseconds for a step of a sample, the best of three."""
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1e6 * best / steps


def of_program(made: Compiled, counts: np.ndarray) -> tuple[float, int, int, int]:
    """Return microseconds a step, bytes of code and tables, bytes of states, sum of outputs."""
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        compiled.build(folder, made.bundle.files)
        for command in (
            ["cc", "-std=c99", "-O2", "-c", "network.c"],
            [
                "cc",
                "-std=c99",
                "-O2",
                f"-I{folder}",
                str(HERE / "speed.c"),
                "network.o",
                "-o",
                "speed",
            ],
        ):
            subprocess.run(command, cwd=folder, check=True)
        size = subprocess.run(
            ["size", "network.o"], cwd=folder, check=True, capture_output=True, text=True
        ).stdout
        shape = [str(n) for n in counts.shape[:2]]
        printed = subprocess.run(
            [folder / "speed", *shape],
            input=counts.astype(np.uint8).tobytes(),
            check=True,
            capture_output=True,
        ).stdout.split()
    flash = int(size.splitlines()[1].split()[0])
    return float(printed[0]) / 1e3, flash, int(printed[1]), int(printed[2])


def rows() -> Iterator[str]:
    """Yield a line of the table for each model."""
    for path, writer, data, steps in MODELS:
        counts = counts_of(data, steps)
        total = counts.shape[0] * counts.shape[1]
        for bits in ("16", "8"):
            options = Options(writer=writer, chip=(("bits", bits),))
            made = compile_model(str(ROOT / path), "c", options, log=Log())
            bundle = made.bundle
            program, flash, states, outputs = of_program(made, counts)
            chip = tables.from_npz(bundle.files[tables.FILE])
            emulated = tables.program_of(chip)
            assert int(run(emulated, counts).outputs.sum()) == outputs, "the outputs differ"
            batch = spent_us(lambda: run(emulated, counts), total)  # noqa: B023
            single = spent_us(lambda: run(emulated, counts[:1]), counts.shape[1])  # noqa: B023
            other = _other(path, writer, counts, total)
            weights = sum(m.weight.size for m in chip.projections)
            neurons = sum(p.n for p in chip.populations)
            yield (
                f"{Path(path).stem:33} {bits:>4} {neurons:>8} {weights:>8} {flash:>8} {states:>7} "
                f"{program:>9.2f} {batch:>9.2f} {single:>9.1f} {other:>11}"
            )


def _other(path: str, writer: str | None, counts: np.ndarray, total: int) -> str:
    try:
        made = compile_model(str(ROOT / path), "spinnaker2", Options(writer=writer), log=Log())
    except NircError as refusal:
        return next(d.code for d in refusal.diagnostics if d.severity == "error")
    return f"{spent_us(lambda: made.bundle.run(counts, log=Log()), total):.2f}"


def main() -> int:
    """Print the table."""
    warnings.simplefilter("ignore")
    print(
        f"{'':33} {'':>4} {'':>8} {'':>8} {'bytes':>8} {'bytes':>7} {'us a step of a sample':>41}"
    )
    print(
        f"{'model':33} {'bits':>4} {'neurons':>8} {'weights':>8} {'flash':>8} {'RAM':>7} "
        f"{'C':>9} {'numpy':>9} {'1 sample':>9} {'spinnaker2':>11}"
    )
    for row in rows():
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
