"""False alarms of the checker: every model of a folder is compiled for every chip and checked.

``python -m tests.alarms [FOLDER_OR_FILE ...]``, by default ``tests/data``. A model that a chip
refuses is counted. A finding C901 to C904 is printed, and the status is 1. A note C906 is counted.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

from nirc.api import compile_model
from nirc.certificate import checking
from nirc.certificate.certificate import CHECKED
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.options import Options

ALARMS = ("C901", "C902", "C903", "C904", "C906")
DATA = Path(__file__).parent / "data"


def ends_of(path: Path, chip: str) -> tuple[str, list[str]]:
    """Return how a compilation ended, and what the checker complained about."""
    log = Log()
    # Loops and missing time steps are no matter here: give every model a time step if it has none.
    for options in (Options(allow_silent=True), Options(allow_silent=True, dt_s=1e-3)):
        log, end = Log(), "checked"
        try:
            compile_model(path, chip, options, log=log)
        except NircError:
            end = "refused"
        if "P301" not in {d.code for d in log.errors}:
            break
    alarms = [d for d in log.diagnostics if d.code in ALARMS]
    notes = [d for d in alarms if d.severity == "note"]
    end = "not checked" if notes else end
    return end, [d.sentence() for d in alarms if d not in notes]


def main() -> None:
    """Print the alarms, and how many models each chip takes."""
    warnings.simplefilter("ignore")
    alarms = 0
    begin = time.process_time()
    folders = [Path(name) for name in sys.argv[1:]] or [DATA]
    for chip in CHECKED:
        ends: Counter[str] = Counter()
        for folder in folders:
            paths = sorted(folder.rglob("*.nir")) if folder.is_dir() else [folder]
            for path in paths:
                with mock.patch.object(checking, "takes_long", lambda _: False):
                    end, found = ends_of(path, chip)
                ends[end] += 1
                alarms += bool(found)
                for line in found[:3]:
                    print(f"{chip} {path}: {line[:300]}", flush=True)
        print(f"{chip}: {dict(sorted(ends.items()))}, {time.process_time() - begin:.0f} CPU s")
    sys.exit(1 if alarms else 0)


if __name__ == "__main__":
    main()
