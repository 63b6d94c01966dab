"""Accuracy on the emulated chip against float, without and with calibration: the table of
docs/reference/fidelity.md.

Calibrates on the first quarter of each file's samples, without their labels, and measures on the
rest, by each chip's emulator on the emitted files, in all its modes. Files are read by NIR's letter
with the reset of the training. Other options are the default ones. CPU seconds are those of the
calibrated compilation in this process.

    python benchmarks/fidelity.py [--target CHIP ...] [--seed N] [--uncalibrated] [MODEL.nir ...]

``--uncalibrated``: the default compilation only, measured on all samples, with the mean absolute
error of a count.

The last rows are the means for each chip over the networks that fit it. MODEL.npz lies beside each
model (more of them: ``benchmarks/strangers.py``); a network trained with subtraction is one whose
name contains ``_if_``.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # the products are small: two threads wait for each other

import numpy as np  # after the line above
from numpy.typing import NDArray

from nirc.api import Compiled, Options, compile_model
from nirc.chip import registry
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.semantics.run import run

ZOO = Path(__file__).parents[1] / "tests/data/zoo"
CHIPS = ("loihi2", "speck", "spinnaker2", "xylo")
MODELS = ("basicmotions_lif_ff", "japanesevowels_rsnn", "digits_lif_mlp", "digits_if_cnn")


HEAD = (
    "| network | chip | mode | float | uncalibrated | agreement | calibrated | agreement | CPU s |"
)
BY_DEFAULT = "| network | chip | mode | float | chip | agreement | count error |"


@dataclass(frozen=True)
class Network:
    """A model with its samples: the first quarter to calibrate with, the rest to measure on."""

    path: Path
    quarter: NDArray[Any]
    rest: NDArray[Any]
    labels: NDArray[Any]

    @staticmethod
    def of(path: Path) -> Network:
        """The model and, beside it, its samples."""
        with np.load(path.with_suffix(".npz")) as data:
            inputs, labels = data["inputs"], data["labels"]
        inputs = inputs.reshape(*inputs.shape[:2], -1).astype(np.int64)
        cut = len(inputs) // 4
        return Network(path, inputs[:cut], inputs[cut:], labels[cut:])

    @property
    def everything(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """All samples with their labels."""
        with np.load(self.path.with_suffix(".npz")) as data:
            return np.concatenate([self.quarter, self.rest]), data["labels"]

    @property
    def reset(self) -> str:
        """The rule that it was trained with."""
        return "subtract" if "_if_" in self.path.stem else "model"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--uncalibrated", action="store_true")
    asked = parser.parse_args()
    targets = asked.target or [
        name for name in registry.backends() if name in ("loihi2", "speck", "spinnaker2", "xylo")
    ]
    head = BY_DEFAULT if asked.uncalibrated else HEAD
    print(f"{head}\n|{'---|' * (head.count('|') - 1)}")
    measure, table = by_default if asked.uncalibrated else rows, list[list[str]]()
    for path in asked.models or [ZOO / f"{name}.nir" for name in MODELS]:
        network = Network.of(path)
        for target in targets:
            made = measure(network, target, asked.seed)
            table += made
            show(made)
    show(means(table))


def show(table: list[list[str]]) -> None:
    """Print rows as soon as they are known."""
    for row in table:
        print("| " + " | ".join(row) + " |", flush=True)


def means(table: list[list[str]]) -> list[list[str]]:
    """One row for each chip and mode: the means over the networks that fit."""
    fits = [row for row in table if len(row) > 3 and row[3] != "-"]
    found = []
    for chip, mode in dict.fromkeys((row[1], row[2]) for row in fits):
        cells = [row[3:] for row in fits if row[1:3] == [chip, mode]]
        digits = [len(cell.partition(".")[2]) for cell in cells[0]]
        figures = np.array(cells, np.float64).mean(axis=0)
        found.append(
            [
                f"mean of {len(cells)}",
                chip,
                mode,
                *(f"{x:.{d}f}" for x, d in zip(figures, digits, strict=True)),
            ]
        )
    return found


def by_default(network: Network, target: str, seed: int) -> list[list[str]]:
    """One row for each mode of the emulator, on all samples."""
    try:
        made = compile_model(
            network.path, target, Options(reset=network.reset, writer="nir", seed=seed), log=Log()
        )
    except NircError as error:
        return [refused(network, target, error)]
    inputs, labels = network.everything
    taught = run(made.stages.reference, inputs).outputs.sum(axis=1)
    found = []
    for mode in made.backend.modes:
        counts = made.bundle.run(inputs, mode=mode, log=Log()).outputs.sum(axis=1)
        answer, wanted = counts.argmax(axis=1), taught.argmax(axis=1)
        shares = [np.mean(wanted == labels), np.mean(answer == labels), np.mean(answer == wanted)]
        found.append(
            [
                network.path.stem,
                target,
                mode,
                *(f"{x:.3f}" for x in shares),
                f"{abs(counts - taught).mean():.3f}",
            ]
        )
    return found


def refused(network: Network, target: str, error: NircError) -> list[str]:
    """Every limit that forbids the network, each once."""
    limits = {
        d.code: f"{d.code}: {d.message} ({d.found}, limit {d.limit})"
        if d.found
        else f"{d.code}: {d.message}"
        for d in reversed(error.diagnostics)
        if d.severity == "error"
    }
    return [network.path.stem, target, "does not fit: " + "; ".join(limits.values())]


def rows(network: Network, target: str, seed: int) -> list[list[str]]:
    """One row for each mode of the emulator; one with the codes of the limits where the network
    does not fit.
    """
    options = Options(reset=network.reset, writer="nir", seed=seed)
    log = Log()
    try:
        start = compile_model(network.path, target, options, log=log)
        begun = time.process_time()
        calibrated = compile_model(
            network.path, target, options, log=Log(), calibration=network.quarter
        )
        seconds = time.process_time() - begun
    except NircError as error:
        return [[*refused(network, target, error), *["-"] * 6]]
    taught = run(start.stages.reference, network.rest).outputs.sum(axis=1).argmax(axis=1)
    right = f"{np.mean(taught == network.labels):.3f}"
    return [
        [
            network.path.stem,
            target,
            mode,
            right,
            *scores(start, network, mode, taught),
            *scores(calibrated, network, mode, taught),
            f"{seconds:.0f}",
        ]
        for mode in start.backend.modes
    ]


def scores(made: Compiled, network: Network, mode: str, taught: NDArray[Any]) -> list[str]:
    """Accuracy and agreement on the rest."""
    answer = made.bundle.run(network.rest, mode=mode, log=Log()).outputs.sum(axis=1).argmax(axis=1)
    return [f"{np.mean(answer == network.labels):.3f}", f"{np.mean(answer == taught):.3f}"]


if __name__ == "__main__":
    main()
