"""What simulators make of the files of ``nirc export --for NAME``: which load, which run, and which
compute the stage.

    PYTHON benchmarks/simulators/loads.py [--nirc NIRC_PYTHON] [--only NAME]...
                                            [--keep DIR] [--docs]

PYTHON has the simulators, NIRC_PYTHON (default: .venv/bin/python) has nirc. Every network in
``networks.py`` and in tests/data is exported at every stage that it has, on every chip that takes
it, for every simulator. What is written is loaded in the simulator and run step by step on the same
spikes as nirc's stage. ``--docs`` writes the tables into docs/reference/export.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/export.md"
NAMES = ("snntorch", "norse", "sinabs", "rockpool", "spyx", "nengo", "lava")
Row = dict[str, Any]


def run_all(folder: Path, rows: list[Row]) -> None:
    """Load and run every file that was written; ``loads``, ``runs`` and ``equal`` go into its
    row.
    """
    from loaders import LOADERS, quietly

    for row in rows:
        if row["refused"]:
            continue
        kept = np.load(folder / f"{row['file']}.npz")
        inputs = kept["inputs"].reshape(*kept["inputs"].shape[:2], *row["shape"])
        try:
            with quietly():
                network = LOADERS[row["for"]].load(
                    folder / f"{row['file']}.nir", row["values"], len(inputs)
                )
            row["loads"] = True
            with quietly():
                output = LOADERS[row["for"]].run(network, inputs)
        except Exception as error:  # whatever a simulator raises is what we are here to see
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            continue
        row["runs"] = True
        output = np.asarray(output).reshape(kept["output"].shape)
        row["equal"] = equal(output, kept["output"], row["analog"])
        row["chip"] = equal(output, kept["chip"], row["analog"])


def equal(output: np.ndarray, wanted: np.ndarray, analog: bool) -> float:
    """The share of equal entries; membranes count within 1e-4 of the largest."""
    if not analog:
        return float((output == wanted).mean())
    return float((np.abs(output - wanted) <= 1e-4 * max(float(np.abs(wanted).max()), 1e-30)).mean())


def summary(rows: list[Row]) -> str:
    """One line a simulator."""
    lines = [
        "| simulator | asked | refused | written | loaded | ran | equal in every step | worst "
        "share |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        mine = [r for r in rows if r["for"] == name]
        written = [r for r in mine if not r["refused"]]
        ran = [r for r in written if r.get("runs")]
        shares = [r["equal"] for r in ran]
        worst = f"{min(shares):.4f}" if shares else "-"
        lines.append(
            f"| {name} | {len(mine)} | {len(mine) - len(written)} | {len(written)} | "
            f"{sum(bool(r.get('loads')) for r in written)} | {len(ran)} | "
            f"{sum(s == 1 for s in shares)} | {worst} |"
        )
    return "\n".join(lines)


def by_rule(rows: list[Row]) -> str:
    """Which simulator takes a network of which kind, at the float stage: the share of equal steps,
    or ``-``.
    """
    lines = [f"| network, read by | {' | '.join(NAMES)} |", f"|---|{'---|' * len(NAMES)}"]
    table: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        if row["stage"] != "float":
            continue
        cell = "-" if row["refused"] else f"{row['equal']:.4f}" if row.get("runs") else "fails"
        cell = {"1.0000": "equal"}.get(cell, cell)
        before = table[row["network"]].get(row["for"], "-")
        options = row["simulator"].partition(",")[2]
        if before == "-" or not options:
            table[row["network"]][row["for"]] = (
                f"{cell} ({options})" if options and cell != "-" else cell
            )
    for network, cells in table.items():
        lines.append(f"| {network} | {' | '.join(cells.get(n, '-') for n in NAMES)} |")
    return "\n".join(lines)


def by_stage(rows: list[Row]) -> str:
    """How many files of a stage were written, and how many of these were equal."""
    stages = list(dict.fromkeys(r["stage"] for r in rows))
    lines = [f"| stage | {' | '.join(NAMES)} |", f"|---|{'---|' * len(NAMES)}"]
    for stage in stages:
        cells = []
        for name in NAMES:
            mine = [r for r in rows if r["for"] == name and r["stage"] == stage]
            written = [r for r in mine if not r["refused"]]
            cells.append(
                f"{sum(r.get('equal') == 1 for r in written)} of {len(written)} "
                f"({len(mine) - len(written)})"
            )
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--nirc", type=Path, default=ROOT / ".venv/bin/python", help="a Python that has nirc"
    )
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help="default: all simulators"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="where the files stay; default: nowhere"
    )
    parser.add_argument(
        "--docs", action="store_true", help=f"write the tables into {PAGE.relative_to(ROOT)}"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        writer = Path(__file__).with_name("networks.py")
        subprocess.run(
            [arguments.nirc, writer, folder, *(arguments.only or NAMES)], check=True, cwd=ROOT
        )
        rows: list[Row] = json.loads((folder / "rows.json").read_text())
        run_all(folder, rows)
        (folder / "rows.json").write_text(json.dumps(rows, indent=1))
    for row in rows:
        if not row["refused"] and row.get("equal") != 1:
            told = row.get("error") or f"{row.get('equal', 0):.5f}"
            print(f"{row['network']}, {row['stage']}, --for {row['simulator']}: {told}")
    tables = {"summary": summary(rows), "networks": by_rule(rows), "stages": by_stage(rows)}
    print("\n\n".join(tables.values()))
    if arguments.docs:
        page = PAGE.read_text()
        for name, table in tables.items():
            start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
            before, rest = page.split(start)
            page = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
        PAGE.write_text(page)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
