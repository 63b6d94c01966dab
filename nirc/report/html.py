"""report.json and report.html of a bundle: network, use of the chip, differences, findings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from nirc.chip.explain import meaning
from nirc.diagnostics.escape import in_lines
from nirc.diagnostics.plural import counted
from nirc.drawing.canvas import STYLE
from nirc.ir.rules import MANY
from nirc.ir.summary import summarised
from nirc.ir.text import in_order
from nirc.report.targets import limit_rows
from nirc.report.verify import POPULATION_HEAD, population_rows, stage_rows, summary

if TYPE_CHECKING:
    from jinja2 import Template

    from nirc.chip.backend import Mapped
    from nirc.diagnostics.errors import Diagnostic
    from nirc.ir.program import Program
    from nirc.report.differences import Differences
    from nirc.report.figures import Figure
    from nirc.writers.writer import Reading

FEW_ROWS = 24  # of a table that is open at first
MOST_ROWS = 200  # of a table. The others are counted.


def report_tree(
    mapped: Mapped,
    discrete: Program,
    reading: Reading,
    differs: Differences,
    diagnostics: Sequence[Diagnostic],
    costs: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the tree of report.json. It has no paths of files, so that its bytes repeat."""
    return {
        "target": mapped.target.name,
        "writer": written(reading),
        "differences": differs,
        "costs": costs,
        "utilisation": {
            name: {"used": used, "available": of} for name, (used, of) in mapped.utilisation.items()
        },
        "limits": limit_rows(mapped.target),
        **summarised(discrete),
        "diagnostics": [replace(d, file="").as_dict() for d in diagnostics],
    }


def written(reading: Reading) -> dict[str, Any]:
    """Return the writer of the file, its evidence, and the assumptions, as plain data."""
    return {
        "name": reading.writer.name,
        "confidence": reading.confidence,
        "evidence": list(reading.evidence),
        "assumed": reading.assumed,
        "from": reading.text,
        "candidates": list(reading.candidates),
    }


def report_html(
    report: Mapping[str, Any], manifest: Mapping[str, Any], figures: Sequence[Figure]
) -> bytes:
    """Return a page without outside resources. ``report``: the tree of report.json.

    Same input, same bytes. Names come from the model's file. The page escapes all of them.
    """
    context = page_context(report, manifest, figures)
    return template("report.html.j2").render(**context).encode()


def page_context(
    report: Mapping[str, Any], manifest: Mapping[str, Any], figures: Sequence[Figure]
) -> dict[str, Any]:
    """Return what the template of the page shows. ``report``: the tree of report.json."""
    empty = dict.fromkeys(("where", "found", "limit", "expected"), "")
    findings = [{**empty, **d} for d in report["diagnostics"]]
    warnings = [d for d in findings if d["severity"] == "warning"]
    from markupsafe import Markup

    codes = sorted({d["code"] for d in findings})
    populations = report["populations"]
    return dict(  # noqa: C408 - as the template's names
        report=report,
        manifest=manifest,
        figures=[(f.title, f.text, Markup(f.svg)) for f in figures],
        picture_style=Markup(STYLE),
        neurons=sum(p["neurons"] for p in populations.values()),
        bars=bars(report),
        costs=report["costs"],
        rules=_rules(report["differences"]["rules"]),
        limits=[each for each in report["limits"] if each["name"] not in report["utilisation"]],
        findings={
            "differs": _by_code([d for d in findings if d["code"][0] == "D"]),
            "other": _by_code([d for d in warnings if d["code"][0] != "D"]),
            "note": [d for d in findings if d["severity"] == "note" and d["code"][0] != "D"],
        },
        populations=[
            (name, report["populations"][name]) for name in in_order(report["populations"])
        ],
        meanings={code: meaning(code) for code in codes},
        calibration=_calibration(manifest.get("calibration")),
        options=_options(manifest["options"]),
        most=MOST_ROWS,
        few=FEW_ROWS,
    )


def _rules(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return each pair of rules once, with the populations that have it."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        names.setdefault((row["model"], row["chip"]), []).append(row["population"])
    pairs = []
    for (model, chip), found in names.items():
        more = f" and {len(found) - FEW_ROWS} more" if len(found) > FEW_ROWS else ""
        populations = ", ".join(in_order(found)[:FEW_ROWS]) + more
        words = {"model": _in_words(model), "chip": _in_words(chip)}
        pairs.append({"populations": populations, **words})
    return pairs


def _in_words(rule: str) -> str:
    """Return the text of a rule, with how often and when a neuron fires in words."""
    return re.sub(r"fire (>=?) (\w+)", _firing, rule)


def _firing(found: re.Match[str]) -> str:
    most = {"1": "once", MANY: "as often as it holds"}.get(found[2], f"up to {found[2]} times")
    return f"fire {most} where v {found[1]} threshold"


def _options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options that were given, those of the chip one by one."""
    plain = {name: value for name, value in options.items() if name != "chip"}
    rows = plain | {f"set {name}": value for name, value in options["chip"].items()}
    words = {False: "no", True: "yes"}
    return [
        (name, words[value] if isinstance(value, bool) else str(value))
        for name, value in sorted(rows.items())
        if value is not None
    ]


def _by_code(findings: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the findings of each code, in the order of their first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        groups.setdefault(finding["code"], []).append(finding)
    return list(groups.values())


def _calibration(calibration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    rows = population_rows(calibration)
    return {
        "summary": summary(calibration),
        "stages": stage_rows(calibration),
        "head": POPULATION_HEAD,
        "populations": rows,
    }


@cache
def template(name: str) -> Template:
    """Return the template of a page. It takes longer to read than to render."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nirc.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["counted"] = counted
    return environment.get_template(name)


def _visible(value: object) -> object:
    """Spell out what cannot be seen in a text of the page."""
    return type(value)(in_lines(value)) if isinstance(value, str) else value


def bars(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a bar for each resource in a report.json, with the source of its limit."""
    limits = {each["name"]: each for each in report["limits"]}
    return [
        {**_bar(name, use["used"], use["available"]), "limit": limits.get(name)}
        for name, use in report["utilisation"].items()
    ]


def _bar(name: str, used: int, available: int) -> dict[str, Any]:
    share = used / available if available else 0.0
    return {
        "name": name,
        "used": used,
        "available": available,
        "percent": round(100 * share),
        "level": _level(used, available),
    }


def _level(used: int, available: int) -> str:
    """Return the level of a bar. A chip of which there is one is no scarce resource."""
    share = used / available if available else 0.0
    if share > 0.9 and (used, available) != (1, 1):
        return "full"
    return "busy" if 0.9 >= share > 0.7 else "free"
