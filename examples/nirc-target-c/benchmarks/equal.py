"""Random networks: the C program, compiled, against the emulator and the integer program.

    cd examples/nirc-target-c
    PYTHONPATH=../..:. python benchmarks/equal.py --networks 1000

The graphs are those of nirc's own tests (``tests/smith``). gcc's sanitizers stop a program that
overflows, shifts or reads where C does not define it. A second run of each network gives 255 spikes
to every input in every step.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from nirc_target_c import BACKEND, compiled, tables
from nirc_target_c.bounds import COUNT

from nirc.api import Compiled, compile_model
from nirc.chip.backend import Emulation
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
from tests.smith.case import Case, as_object
from tests.smith.grow import case

SANITIZERS = ("-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")


def compiled_cases(first: int) -> Iterator[tuple[int, Case, Compiled | str]]:
    """Yield cases from number ``first`` on: what nirc made of each, or why it is refused."""
    seed = first
    while True:
        made = case(seed)
        dice = np.random.default_rng(seed)
        options = made.options()
        bits = str(dice.choice([8, 8, 16]))
        asked = replace(options, chip=(("bits", bits),))
        try:
            yield seed, made, compile_model(as_object(made.graph), BACKEND.name, asked, log=Log())
        except NircError as refusal:
            code = next(d.code for d in refusal.diagnostics if d.severity == "error")
            yield seed, made, code
        seed += 1


def differences(made: Compiled, inputs: np.ndarray) -> Iterator[str]:
    """Yield what differs between the program, the emulator and the integer program."""
    files = made.bundle.files
    chip = tables.from_npz(files[tables.FILE])
    parts = {n: b.part for n, b in made.mapped.blocks.items() if b.part in chip.sizes()}
    with TemporaryDirectory() as directory:
        program = compiled.build(Path(directory), files, *SANITIZERS)
        for counts in (inputs, np.full_like(inputs[:1], COUNT)):
            text = compiled.started(program, counts)
            got = compiled.parsed(chip, text, counts.shape[:2])
            emulated = BACKEND.emulate(files, counts, Emulation("synchronous", record=True), Log())
            integer = run(made.integer, counts, record=list(parts))
            if (got.outputs != emulated.outputs).any():
                yield "outputs of program and emulator"
            for name, part in parts.items():
                if (got.v[part] != emulated.v[part]).any():
                    yield f"membranes of {name}, program and emulator"
                if (integer.v[name] != emulated.v[part]).any():
                    yield f"membranes of {name}, integer program and emulator"
            if (_delayed(made, emulated.outputs) != integer.outputs).any():
                yield "outputs of integer program and emulator"


def _delayed(made: Compiled, output: np.ndarray) -> np.ndarray:
    """Return the model's outputs, which may show a signal some steps later than the program."""
    shown = np.zeros((*output.shape[:2], len(made.mapped.output_map)), output.dtype)
    latencies = made.bundle.manifest["output_latency_steps"]
    for column, (chip, latency) in enumerate(zip(made.mapped.output_map, latencies, strict=True)):
        shown[:, -latency:, column] = output[:, : output.shape[1] + latency, chip]
    return shown


def main() -> int:
    """Compare networks. Return 1 if any differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the number of the first graph")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    refused: Counter[str] = Counter()
    done = spiking = failed = 0
    for seed, grown, made in compiled_cases(asked.seed):
        if isinstance(made, str):
            refused[made] += 1
            continue
        try:
            found = list(dict.fromkeys(differences(made, grown.inputs)))
        except NircError as error:  # of the compiler, or a sanitizer
            found = [str(error)]
        for each in found:
            failed += 1
            print(f"graph {seed}: {each}", flush=True)
        spiking += bool(made.bundle.run(grown.inputs, log=Log()).outputs.any())
        done += 1
        if done == asked.networks:
            break
    kinds = ", ".join(f"{n} {code}" for code, n in sorted(refused.items())) or "none"
    print(f"{done} networks up to graph {seed}, {spiking} not silent, refused: {kinds}")
    print(f"{failed} differences")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
