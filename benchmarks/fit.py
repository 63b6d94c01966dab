"""Agreement and accuracy of networks on chips: plain, calibrated, fitted.

    python benchmarks/fit.py MODEL.nir... [--target NAME]... [--seeds N] [--weight-bits N] [--json]

The first quarter of each file's samples (MODEL.npz) is given, the rest is measured, as the model's
owner would do it: default options, the same for all. Networks with ``_if_`` in their name subtract
the threshold (see ``strangers.py``, which trains the networks beside the zoo). The last lines are
the means, and the largest loss against the calibrated start.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nirc.api import Options, compile_model
from nirc.chip.registry import backends
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import Data, read_data
from nirc.finetuning.measured import Request, fit_and_measure
from nirc.report.score import score
from nirc.semantics.run import run

ROW = "{:<24}{:<12}{:>5}  {:>6}{:>6}{:>6}{:>7}   {:>6}{:>6}{:>6}  {:>6} {}"


def parts(path: Path) -> tuple[Data, Data]:
    """Return the first quarter of the samples, and the others."""
    data = read_data(path.with_suffix(".npz"), Log())
    quarter = len(data.inputs) // 4
    labels = data.labels

    def of(some: slice) -> Data:
        known = None if labels is None else labels[some]
        return replace(data, inputs=data.inputs[some], labels=known, outputs=None)

    return of(slice(quarter)), of(slice(quarter, None))


def measured(path: Path, target: str, seed: int, bits: int | None) -> dict[str, Any]:
    """Return the figures of one network on one chip. Raises ``NircError`` if it does not fit."""
    given, rest = parts(path)
    reset = "subtract" if "_if_" in path.name else "model"
    options = Options(seed=seed, reset=reset, weight_bits=bits).with_data(given)
    plain = compile_model(path, target, options, log=Log())
    raster = rest.inputs.reshape(*rest.inputs.shape[:2], -1)
    expected = run(plain.stages.reference, raster).outputs
    row = score("plain", run(plain.integer, raster).outputs, expected, rest.labels)
    begin = time.process_time()
    done = fit_and_measure(path, target, Request(given, test=rest), options, log=Log())
    names = ("before", "after", "float")
    return {
        "network": path.stem,
        "target": target,
        "seed": seed,
        "cpu_s": round(time.process_time() - begin, 1),
        "kept": done.tree["fit"]["kept"],
        "plain": row,
        **{name: done.tree[name] for name in names},
    }


def rows(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the figures of every network on every chip that takes it."""
    targets = given.target or list(backends())
    for target in targets:
        for path in given.models:
            for seed in range(given.seeds):
                try:
                    yield measured(path, target, seed, given.weight_bits)
                except NircError as error:
                    print(f"{path.stem} on {target}: {error.diagnostics[0].code}", flush=True)
                    break


def line(row: dict[str, Any]) -> str:
    """Return a line of the table: agreements, then accuracies in percent."""
    stages = [row[name] for name in ("plain", "before", "after", "float")]
    agreements = [f"{100 * stage['agreement']:.1f}" for stage in stages[:3]]
    accuracies = [
        "-" if stage["accuracy"] is None else f"{100 * stage['accuracy']:.1f}" for stage in stages
    ]
    last = f"{row['cpu_s']:.0f}"
    head = (row["network"], row["target"], row["seed"])
    return ROW.format(*head, *accuracies, *agreements, last, row["kept"])


def means(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each chip: mean agreements, points of accuracy lost, the worst change."""
    for target in dict.fromkeys(row["target"] for row in found):
        some = [row for row in found if row["target"] == target]
        agreement = {
            name: sum(row[name]["agreement"] for row in some) / len(some)
            for name in ("plain", "before", "after")
        }
        lost = [row["float"]["accuracy"] - row["after"]["accuracy"] for row in some]
        worst = min(some, key=lambda row: row["after"]["agreement"] - row["before"]["agreement"])
        change = worst["after"]["agreement"] - worst["before"]["agreement"]
        shown = ", ".join(f"{name} {100 * share:.1f}" for name, share in agreement.items())
        yield (
            f"{target}: mean agreement {shown}; points of accuracy lost by fitted: mean "
            f"{100 * sum(lost) / len(lost):.2f}, most {100 * max(lost):.1f}; largest change for "
            f"the worse {100 * change:+.1f} ({worst['network']})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--weight-bits", type=int)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    titles = ("network", "target", "seed", "acc:", "cal.", "fit.", "float", "agree:", "cal.")
    print(ROW.format(*titles, "fit.", "CPU s", "kept"))
    found = []
    for row in rows(given):
        found.append(row)
        print(json.dumps(row) if given.json else line(row), flush=True)
    print("\n".join(means(found)))


if __name__ == "__main__":
    main()
