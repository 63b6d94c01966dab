"""Diagnostics as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").

Code hosts and CI systems show such files. A NIR file has no lines, so every result is at line 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import cleandoc
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.human import safe_diagnostic
from nirc.diagnostics.policy import fingerprint

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "differs": "warning", "note": "note"}


def as_sarif(
    diagnostics: Sequence[Diagnostic],
    file: str,
    version: str,
    *,
    status: int = 0,
    accepted: Callable[[Diagnostic], bool] = lambda _: False,
) -> dict[str, Any]:
    """Return one run with the rules that occur.

    ``version``: of nirc. ``file``: of findings that name none. ``status``: the exit status.
    ``accepted`` findings are marked as suppressed.
    """
    codes = sorted({d.code for d in diagnostics})
    driver = {"name": "nirc", "version": version, "rules": [_rule(code) for code in codes]}
    results = []
    for d in diagnostics:
        result = _result(d, codes.index(d.code), file)
        if accepted(d):
            result["suppressions"] = [{"kind": "external"}]
        results.append(result)
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": status in (0, 1), "exitCode": status}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    """Return title, meaning and page of ``code``. The finding's module was imported by then."""
    kind = Finding.by_code.get(code)
    if kind is None:
        return {"id": code, "shortDescription": {"text": code}}
    page = kind.page()
    return {
        "id": code,
        "name": kind.__name__,
        "shortDescription": {"text": kind.title},
        "fullDescription": {"text": " ".join(cleandoc(kind.meaning).split())},
        "help": {"text": f"{page}\nnirc explain {code}", "markdown": page},
        "defaultConfiguration": {"level": LEVELS[kind.severity]},
        "properties": {"tags": ["NIR", "spiking neural network"]},
    }


def _result(d: Diagnostic, rule: int, file: str) -> dict[str, Any]:
    place = uri(d.file or file)
    known = fingerprint(d)
    d = safe_diagnostic(d)
    facts = [d.facts(), d.help]
    location: dict[str, Any] = {}
    if place:
        region = {"startLine": 1}
        location["physicalLocation"] = {"artifactLocation": {"uri": place}, "region": region}
    if d.where:
        location["logicalLocations"] = [{"fullyQualifiedName": d.where}]
    result: dict[str, Any] = {
        "ruleId": d.code,
        "ruleIndex": rule,
        "level": d.severity,  # SARIF has the same three words
        "message": {"text": ". ".join([d.message, *filter(None, facts)])},
        "partialFingerprints": {"nirc/v1": known},
    }
    return result | {"locations": [location]} if location else result


def uri(file: str) -> str:
    """Return a file URI for an absolute path, else a relative reference. "" without a file."""
    if not file:
        return ""
    path = PurePath(file)
    encoded = quote(path.as_posix(), errors="surrogateescape")
    return f"file://{encoded}" if path.is_absolute() else encoded
