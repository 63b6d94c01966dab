"""The summary of many compilations, as a table and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirc.diagnostics.errors import Diagnostic
from nirc.report.html import template
from nirc.report.table import table

Row = Mapping[str, Any]
FIGURES = ("accuracy", "agreement", "fullest", "latency")
HEAD = ("model", "target", "status", *FIGURES, "gates")


def has_passed(row: Row) -> bool:
    """Return True if a row compiled and meets its gates."""
    return row["status"] != "failed" and all(gate["passed"] for gate in row["gates"].values())


def cells(row: Row) -> list[str]:
    """Return the texts of a row under ``HEAD``."""
    missed = [name for name, gate in row["gates"].items() if not gate["passed"]]
    gates = f"not met: {', '.join(missed)}" if missed else f"{len(row['gates'])} met"
    figures = figures_of(row["figures"])
    return [row["model"], row["target"], row["status"], *figures, gates if row["gates"] else "-"]


def figures_of(figures: Row) -> list[str]:
    """Return the texts of a row's figures under ``FIGURES``."""
    accuracy, fullest = "-", "-"
    if "accuracy" in figures:
        accuracy = f"{figures['accuracy']:.4f} (model {figures['accuracy_of_model']:.4f})"
    if "utilisation" in figures:
        fullest = f"{figures['fullest']} {figures['utilisation']:.0%}"
    return [
        accuracy,
        f"{figures['agreement']:.4f}" if "agreement" in figures else "-",
        fullest,
        f"{figures['latency']} step(s)" if "latency" in figures else "-",
    ]


def as_text(summary: Mapping[str, Any], width: int) -> str:
    """Return the table of a summary."""
    return table(HEAD, [cells(row) for row in summary["rows"]], width)


def summary_html(name: str, summary: Row) -> bytes:
    """Return the page of a build, without outside resources. It escapes all names."""
    rows = [
        _shown(row, cells(row), f"{row['model']} on {row['target']}", has_passed(row))
        for row in summary["rows"]
    ]
    return page(name, HEAD, rows, summary["nirc_version"])


def _shown(row: Row, texts: Sequence[str], title: str, passed: bool) -> Row:
    """Return a row as the page's template takes it."""
    findings = [Diagnostic(**f) for f in row["findings"]]
    return {
        "cells": texts,
        "title": title,
        "passed": passed,
        "bundle": row["name"] if row.get("bundle") else None,
        "errors": [f for f in findings if f.severity == "error"],
        "warnings": [f for f in findings if f.severity == "warning"],
    }


def page(name: str, head: Sequence[str], rows: Sequence[Row], version: str) -> bytes:
    """Return the page of a table. ``rows``: of ``_shown``."""
    passed = sum(row["passed"] for row in rows)
    text = template("summary.html.j2").render(
        name=name, head=head, rows=rows, passed=passed, version=version
    )
    return text.encode()


def sweep_html(
    name: str, head: Sequence[str], rows: Sequence[tuple[Row, Sequence[str]]], version: str
) -> bytes:
    """Return the page of a sweep. ``rows``: each with its texts under ``head``."""
    shown = [_shown(row, texts, row["name"], row["status"] != "failed") for row, texts in rows]
    return page(name, head, shown, version)
