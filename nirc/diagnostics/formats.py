"""Diagnostics in the formats of code hosts: GitHub's annotations, GitLab's reports, and JUnit."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.escape import in_line
from nirc.diagnostics.policy import fingerprint

GITHUB = {"error": "error", "warning": "warning", "note": "notice"}
GITLAB = {"error": "major", "warning": "minor", "note": "info"}
# Characters that XML 1.0 has no form for.
NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_github(diagnostics: Sequence[Diagnostic], file: str) -> str:
    """Return workflow commands, which GitHub shows beside the file."""
    lines = []
    for d in diagnostics:
        options = {"file": d.file or file, "line": "1", "title": f"nirc {d.code}"}
        shown = ",".join(f"{key}={_property(value)}" for key, value in options.items() if value)
        lines.append(f"::{GITHUB[d.severity]} {shown}::{_data(_text(d))}\n")
    return "".join(lines)


def as_gitlab(diagnostics: Sequence[Diagnostic], file: str) -> str:
    """Return a Code Quality report."""
    rows = [
        {
            "description": _text(d),
            "check_name": d.code,
            "fingerprint": fingerprint(d),
            "severity": GITLAB[d.severity],
            "location": {"path": d.file or file, "lines": {"begin": 1}},
        }
        for d in diagnostics
    ]
    return json.dumps(rows, indent=1, sort_keys=True) + "\n"


def as_junit(diagnostics: Sequence[Diagnostic], file: str) -> str:
    """Return a test suite: a failure for each error, a passed test for each other finding.

    Without a finding there is one passed test, because an empty suite counts as broken.
    """
    errors = sum(d.severity == "error" for d in diagnostics)
    counts = {"tests": str(max(1, len(diagnostics))), "failures": str(errors)}
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", {"name": "nirc", "errors": "0", **counts})
    for d in diagnostics:
        name = _xml(d.where or d.file or file or "nirc")
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": f"nirc.{d.code}", "name": name}
        )
        if d.severity == "error":
            failure = {"type": d.code, "message": _xml(d.message)}
            ElementTree.SubElement(case, "failure", failure).text = _xml(_text(d))
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(f"{d.severity}: {_text(d)}")
    if not diagnostics:
        ElementTree.SubElement(suite, "testcase", {"classname": "nirc", "name": _xml(file)})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _text(d: Diagnostic) -> str:
    facts = [f"at {d.where}" * bool(d.where), d.facts(), f"help: {d.help}" * bool(d.help)]
    return in_line("; ".join([f"{d.code}: {d.message}", *(fact for fact in facts if fact)]))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(in_line(text)).replace(":", "%3A").replace(",", "%2C")


def _xml(text: str) -> str:
    return NO_XML.sub("?", text)


FORMATS = {"github": as_github, "gitlab": as_gitlab, "junit": as_junit}
