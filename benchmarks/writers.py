"""How files of the real simulators are read: by default, and with what their files do not say.

    python benchmarks/writers.py [DIR] [--write]

``DIR`` has a folder for each simulator (default: tests/data/simulators) with NAME.nir, NAME.npz
(`inputs` and the simulator's own `outputs`) and cases.json: {NAME: {"read": what --from takes,
"lost": what the file does not hold}}. The table says, for each file, whether a default run is equal
to the simulator in every entry, names the choice that is open, refuses the file, or is wrong in
silence. `--write` puts it into docs/reference/writers-measured.md. Ends with status 1 if a file is
wrong in silence, or is not equal although it holds all that is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from nirc.api import Options, lower
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from nirc.semantics.run import run
from nirc.verification.recorded import recording

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "data" / "simulators"
PAGE = ROOT / "docs" / "reference" / "writers-measured.md"
NAMED = {"W202", "W203", "W206", "P301"}  # diagnostics that name what is open
TIMED_WITHIN_A_STEP = "nengo"  # spikes between steps: no rule of integer steps gives them


def share(model: Path, options: Options, log: Log) -> float:
    """The share of entries that the float stage has in common with the recording beside
    ``model``.
    """
    stages = lower(model, options, log=log)
    data = read_data(model.with_suffix(".npz"), Log())
    kept = recording(data, stages.reference, Log())
    assert kept is not None
    return kept.share(
        run(stages.reference, data.inputs.reshape(*data.inputs.shape[:2], -1)).outputs
    )


def judged(model: Path, case: dict[str, Any]) -> tuple[str, float | None]:
    """What a default run does, and the share of equal entries with the right ``--from``."""
    log, equal = Log(), None
    try:
        equal = share(model, Options(), log)
    except NircError as error:
        log.diagnostics = list(error.diagnostics)
    named = sorted({d.code for d in log.diagnostics if d.code in NAMED and d.severity != "note"})
    if equal == 1:
        outcome = "equal"
    elif named:
        outcome = f"named ({', '.join(named)})"
    else:
        outcome = "refused" if equal is None else "WRONG IN SILENCE"
    try:
        return outcome, share(model, Options(writer=case["read"]), Log())
    except NircError:
        return outcome, None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=CASES)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    rows, outcomes, short = [], Counter[str](), []
    for folder in sorted(p for p in options.directory.iterdir() if (p / "cases.json").exists()):
        cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
        for model in sorted(folder.glob("*.nir")):
            case = cases[model.stem.partition("__")[0]]
            outcome, right = judged(model, case)
            outcomes[outcome.partition(" (")[0]] += 1
            lost = case.get("lost") or ""
            if right != 1 and not lost and folder.name != TIMED_WITHIN_A_STEP:
                short.append(f"{folder.name}/{model.stem}")
            told = "refused" if right is None else f"{right:.4f}"
            rows.append(
                f"| {folder.name} | {model.stem} | {outcome} | `{case['read']}` | {told} | {lost} |"
            )
    total = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
    page = "\n".join(
        [
            "# Files of the simulators, as nirc reads them",
            "",
            f"Made by `python benchmarks/writers.py --write`. {len(rows)} files, default run: "
            f"{total}.",
            "Equal: every entry of the simulator's own output, spikes exactly, membranes within "
            "1e-4 of the largest.",
            "",
            "| simulator | network | default run | right `--from` | equal entries with it | lost "
            "on export |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
    print(page)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    if short:
        print(f"not equal although the file holds all: {', '.join(short)}")
    sys.exit(1 if outcomes["WRONG IN SILENCE"] or short else 0)


if __name__ == "__main__":
    main()
