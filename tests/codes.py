"""Codes of diagnostics that a run of tests has not produced.

pytest -n auto --codes /tmp/codes && python -m tests.codes /tmp/codes
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from nirc.diagnostics.finding import Finding

REFERENCE = Path(__file__).parents[1] / "docs/reference/diagnostics.md"


def record(path: Path) -> None:
    """Append each code to ``path`` when it is first produced in this process."""
    seen: set[str] = set()
    diagnostic = Finding.diagnostic

    def noted(finding: Finding, **options: bool) -> object:
        if finding.code not in seen:
            seen.add(finding.code)
            with path.open("a") as file:
                file.write(f"{finding.code}\n")
        return diagnostic(finding, **options)

    Finding.diagnostic = noted  # type: ignore[assignment,method-assign]


def missing(path: Path) -> list[str]:
    """Return the codes that have a page, and that nothing has produced."""
    every = re.findall(r"^\| \[([A-Z]\d{3})\]", REFERENCE.read_text(), re.MULTILINE)
    return sorted(set(every) - set(path.read_text().split()))


if __name__ == "__main__":
    left = missing(Path(sys.argv[1]))
    print(*left or ["every code was produced"], sep="\n")
    sys.exit(bool(left))
