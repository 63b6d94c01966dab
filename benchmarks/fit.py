"""Agreement and accuracy of networks on chips: plain, calibrated, fitted.

    python benchmarks/strangers.py DIR       (once: trains eleven networks)
    python benchmarks/fit.py tests/data/zoo DIR --rows ROWS.jsonl [--target NAME[/BITS]]...
        [--seeds N] [--only NAME]... [--table]

The first quarter of each file's samples (MODEL.npz) is given, the rest is measured, as the model's
owner would do it: default options, the same for all. Each network is read as it was trained
(``trained.py``). ``xylo/4``: weights of four bits. Each row is added to ROWS.jsonl as soon as it is
known. A later run goes on where the first one was stopped, and ``--table`` only prints the rows.
The last lines are the means, and the largest loss against the calibrated start.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from trained import parts, reading

from nirc.api import compile_model
from nirc.chip.registry import backends
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.finetuning.measured import Request, fit_and_measure
from nirc.report.score import score
from nirc.semantics.run import run

ROW = "{:<24}{:<14}{:>5}  {:>6}{:>6}{:>6}{:>7}   {:>6}{:>6}{:>6}  {:>6} {}"
Table = dict[str, Any]


def measured(path: Path, target: str, seed: int) -> Table:
    """Return the figures of one network on one chip, or the code of the refusal."""
    row: Table = {"network": path.stem, "target": target, "seed": seed}
    chip, _, bits = target.partition("/")
    given, rest = parts(path)
    weight_bits = int(bits) if bits else None
    options = replace(reading(path), seed=seed, weight_bits=weight_bits).with_data(given)
    try:
        plain = compile_model(path, chip, options, log=Log())
    except NircError as error:
        return row | {"refused": error.diagnostics[0].code}
    raster = rest.inputs.reshape(*rest.inputs.shape[:2], -1)
    expected = run(plain.stages.reference, raster).outputs
    row["plain"] = score("plain", run(plain.integer, raster).outputs, expected, rest.labels)
    begin = time.process_time()
    tree = fit_and_measure(path, chip, Request(given, test=rest), options, log=Log()).tree
    row["cpu_s"] = round(time.process_time() - begin, 1)
    row["kept"] = tree["fit"]["kept"]
    names = ("before", "after", "float", "modes", "samples")
    return row | {name: tree[name] for name in names}


def networks(given: argparse.Namespace) -> Iterator[Path]:
    """Yield the files, and those of the folders."""
    for place in given.models:
        for path in sorted(place.glob("*.nir")) if place.is_dir() else [place]:
            if not given.only or path.stem in given.only:
                yield path


def known(rows: Path | None) -> list[Table]:
    """Return the rows of earlier runs."""
    if rows is None or not rows.exists():
        return []
    return [json.loads(line) for line in rows.read_text().splitlines()]


def found(given: argparse.Namespace) -> Iterator[Table]:
    """Yield the figures of every network on every chip, first those of earlier runs."""
    earlier = known(given.rows)
    yield from earlier
    if given.table:
        return
    done = {(row["network"], row["target"], row["seed"]) for row in earlier}
    for target in given.target or list(backends()):
        for path in networks(given):
            for seed in range(given.seeds):
                if (path.stem, target, seed) in done:
                    continue
                row = measured(path, target, seed)
                if given.rows is not None:
                    with given.rows.open("a") as lines:
                        lines.write(json.dumps(row) + "\n")
                yield row


def line(row: Table) -> str:
    """Return a line of the table: agreements, then accuracies in percent."""
    head = (row["network"], row["target"], row["seed"])
    if "refused" in row:
        return f"{head[0]:<24}{head[1]:<14}{head[2]:>5}  {row['refused']}"
    stages = [row[name] for name in ("plain", "before", "after", "float")]
    agreements = [f"{100 * stage['agreement']:.1f}" for stage in stages[:3]]
    accuracies = [
        "-" if stage["accuracy"] is None else f"{100 * stage['accuracy']:.1f}" for stage in stages
    ]
    return ROW.format(*head, *accuracies, *agreements, f"{row['cpu_s']:.0f}", row["kept"])


def means(rows: list[Table]) -> Iterator[str]:
    """Yield a line for each chip: mean agreements, points of accuracy lost, the worst change."""
    for target in dict.fromkeys(row["target"] for row in rows):
        some = [row for row in rows if row["target"] == target]
        agreement = {
            name: sum(row[name]["agreement"] for row in some) / len(some)
            for name in ("plain", "before", "after")
        }
        lost = [row["float"]["accuracy"] - row["after"]["accuracy"] for row in some]
        worst = min(some, key=lambda row: row["after"]["agreement"] - row["before"]["agreement"])
        change = worst["after"]["agreement"] - worst["before"]["agreement"]
        shown = ", ".join(f"{name} {100 * share:.1f}" for name, share in agreement.items())
        yield (
            f"{target}: {len(some)} rows, mean agreement {shown}; points of accuracy lost by "
            f"fitted: mean {100 * sum(lost) / len(lost):.2f}, most {100 * max(lost):.1f}; largest "
            f"change for the worse {100 * change:+.1f} ({worst['network']})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--target", action="append")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", action="append")
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    titles = ("network", "target", "seed", "acc:", "cal.", "fit.", "float", "agree:", "cal.")
    print(ROW.format(*titles, "fit.", "CPU s", "kept"))
    rows = []
    for row in found(given):
        rows.append(row)
        print(line(row), flush=True)
    print("\n".join(means([row for row in rows if "refused" not in row])))


if __name__ == "__main__":
    main()
