"""Diagnostics as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which CI
systems show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.finding import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(found: Sequence[Diagnostic], file: str, version: str) -> dict[str, Any]:
    """One run with the rules that occur.

    ``version``: of nirc. ``file``: of findings that name none.
    """
    codes = sorted({d.code for d in found})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": _title(code)},
            "help": {"text": f"nirc explain {code}"},
        }
        for code in codes
    ]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "nirc", "version": version, "rules": rules}},
                "results": [_result(d, codes.index(d.code), file) for d in found],
            }
        ],
    }


def _title(code: str) -> str:
    """Return the title of ``code``, whose class was imported where the finding was made."""
    found = Finding.by_code.get(code)
    return found.title if found else code


def _result(d: Diagnostic, rule: int, file: str) -> dict[str, Any]:
    facts = [f"found {d.found}" if d.found else "", f"limit {d.limit}" if d.limit else "", d.help]
    location: dict[str, Any] = {}
    if d.file or file:
        location["physicalLocation"] = {"artifactLocation": {"uri": quote(d.file or file)}}
    if d.where:
        location["logicalLocations"] = [{"fullyQualifiedName": d.where}]
    result: dict[str, Any] = {
        "ruleId": d.code,
        "ruleIndex": rule,
        "level": d.severity,  # SARIF has the same three words
        "message": {"text": ". ".join([d.message, *filter(None, facts)])},
    }
    return result | {"locations": [location]} if location else result
