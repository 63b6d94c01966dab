"""Random graphs and all their checks: ``python -m tests.smith --forever --seed N --out DIR``."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from pathlib import Path

from tests.smith.case import Case, opened, save
from tests.smith.check import Checks, Failure, Tally, failures_of
from tests.smith.grow import case as grown
from tests.smith.reduce import reduced


def seeds(asked: argparse.Namespace) -> range:
    """The numbers of the graphs."""
    return range(
        asked.seed, sys.maxsize if asked.forever or asked.minutes else asked.seed + asked.graphs
    )


def report(case: Case, failure: Failure, seed: int, out: Path | None, *, reduces: bool) -> None:
    """Print a failure and keep the smallest case that fails so."""
    print(f"graph {seed}: {failure.check}: {failure.detail}", flush=True)
    if out is None:
        return

    def fails(smaller: Case) -> bool:
        return any(f.kind == failure.kind for f in failures_of(smaller, failure.check, seed=seed))

    small = reduced(case, fails, tries=600) if reduces and fails(case) else case
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"{seed}-{re.sub('[^a-z0-9]+', '-', failure.check)}"
    save(small, stem, {"check": failure.check, "detail": failure.detail, "seed": seed})
    print(f"  {len(small.graph.nodes)} nodes: {stem}.nir", flush=True)


def again(stem: Path) -> int:
    """Run the check of a kept failure."""
    case, tree = opened(stem)
    failures = failures_of(case, tree["check"], seed=tree["seed"])
    print("\n".join(f"{f.check}: {f.detail}" for f in failures) or "passes")
    return bool(failures)


def main() -> int:
    """Check graphs. Returns 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.smith", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first graph's number")
    parser.add_argument("--graphs", type=int, default=20)
    parser.add_argument("--minutes", type=float, help="stop after so many")
    parser.add_argument("--forever", action="store_true")
    parser.add_argument("--out", type=Path, help="a folder for the smallest graphs that fail")
    parser.add_argument(
        "--again", type=Path, metavar="STEM", help="check STEM.nir and STEM.json once more"
    )
    parser.add_argument("--as-found", action="store_true", help="do not reduce")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # of Brian 2
    if asked.again:
        return again(asked.again)
    tally, failed = Tally(), 0
    end = time.monotonic() + 60 * asked.minutes if asked.minutes else float("inf")
    for seed in seeds(asked):
        if time.monotonic() > end:
            break
        case = grown(seed)
        for failure in Checks(case, tally, seed=seed, vendors=seed % 3 == 0, share=0.25).all():
            failed += 1
            report(case, failure, seed, asked.out, reduces=not asked.as_found)
        if tally.graphs % 100 == 0:
            print(*tally.lines(), sep="\n", flush=True)
    print(*tally.lines(), f"{failed} failures", sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
