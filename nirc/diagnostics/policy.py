"""Decisions of a user about findings: silenced codes, codes as errors, and a baseline.

A baseline file holds the findings that are known and accepted. A finding is known by its
fingerprint, which has no path and no version, so that the file serves on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from nirc.diagnostics.errors import Diagnostic

BASELINE = "nirc-baseline/1"


@dataclass(frozen=True)
class Policy:
    """``silenced``, ``refused``: codes. ``known``: fingerprints of the baseline."""

    silenced: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    def accepts(self, finding: Diagnostic) -> bool:
        """Return True for a warning or note that is silenced, or that the baseline holds."""
        if finding.severity == "error":
            return False
        return finding.code in self.silenced or fingerprint(finding) in self.known

    def graded(self, finding: Diagnostic) -> Diagnostic:
        """Return ``finding``, as an error if it is a warning of a code that is refused."""
        if finding.severity == "warning" and finding.code in self.refused:
            return finding if self.accepts(finding) else replace(finding, severity="error")
        return finding


def fingerprint(finding: Diagnostic) -> str:
    """Return 32 hexadecimal digits for code, place and message."""
    text = "\0".join((finding.code, finding.where, finding.message))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def baseline(findings: Iterable[Diagnostic]) -> dict[str, Any]:
    """Return the tree of a baseline file that accepts all warnings among ``findings``."""
    rows = [
        {
            "fingerprint": fingerprint(d),
            "code": d.code,
            "where": d.where,
            "message": d.message,
        }
        for d in findings
        if d.severity == "warning"
    ]
    return {"schema": BASELINE, "accepted": sorted(rows, key=lambda row: row["fingerprint"])}


def known_of(text: bytes) -> frozenset[str]:
    """Return the fingerprints of a baseline file. Raises ``ValueError`` for any other file."""
    try:
        tree = json.loads(text)
        if tree["schema"] != BASELINE:
            raise ValueError(f"its schema is not {BASELINE}")
        return frozenset(str(row["fingerprint"]) for row in tree["accepted"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no baseline of nirc") from error
