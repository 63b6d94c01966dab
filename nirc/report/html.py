"""report.json and report.html of a bundle: network, use of the chip, differences, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from nirc.chip.explain import meaning
from nirc.diagnostics.escape import in_lines
from nirc.ir.arrays import size
from nirc.ir.populations import Population
from nirc.ir.text import in_order
from nirc.report.verify import POPULATION_HEAD, population_rows, stage_rows, summary

if TYPE_CHECKING:
    from jinja2 import Template

    from nirc.chip.backend import Mapped
    from nirc.diagnostics.errors import Diagnostic
    from nirc.ir.program import Program
    from nirc.report.differences import Differences
    from nirc.writers.writer import Reading

MOST_ROWS = 200  # of a table. The others are counted.


def report_tree(
    mapped: Mapped,
    discrete: Program,
    reading: Reading,
    differs: Differences,
    diagnostics: Sequence[Diagnostic],
) -> dict[str, Any]:
    """Return the tree of report.json. It has no paths of files, so that its bytes repeat."""
    populations = {
        name: {"shape": list(p.shape), "neurons": size(p.shape), "nir_nodes": list(p.origins)}
        for name, p in discrete.nodes(Population).items()
    }
    projections = [
        {
            "from": source,
            "to": target,
            "operators": [op.text() for op in p.ops],
            "nir_nodes": list(p.origins),
        }
        for source, target, p in discrete.edges()
    ]
    return {
        "target": mapped.target.name,
        "writer": written(reading),
        "differences": differs,
        "utilisation": {
            name: {"used": used, "available": of} for name, (used, of) in mapped.utilisation.items()
        },
        "populations": populations,
        "projections": projections,
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


def report_html(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> bytes:
    """Return a page without outside resources. ``report``: the tree of report.json.

    Same input, same bytes. Names come from the model's file. The page escapes all of them.
    """
    return template("report.html.j2").render(**page_context(report, manifest)).encode()


def page_context(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template of the page shows. ``report``: the tree of report.json."""
    empty = dict.fromkeys(("where", "found", "limit", "expected"), "")
    findings = [{**empty, **d} for d in report["diagnostics"]]
    warnings = [d for d in findings if d["severity"] == "warning"]
    codes = sorted({d["code"] for d in findings})
    populations = report["populations"]
    return dict(  # noqa: C408 - as the template's names
        report=report,
        manifest=manifest,
        neurons=sum(p["neurons"] for p in populations.values()),
        bars=[
            _bar(name, use["used"], use["available"]) for name, use in report["utilisation"].items()
        ],
        findings={
            "differs": [d for d in findings if d["code"][0] == "D"],
            "other": [d for d in warnings if d["code"][0] != "D"],
            "note": [d for d in findings if d["severity"] == "note" and d["code"][0] != "D"],
        },
        populations=[
            (name, report["populations"][name]) for name in in_order(report["populations"])
        ],
        meanings={code: meaning(code) for code in codes},
        calibration=_calibration(manifest.get("calibration")),
        most=MOST_ROWS,
    )


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
    return environment.get_template(name)


def _visible(value: object) -> object:
    """Spell out what cannot be seen in a text of the page."""
    return type(value)(in_lines(value)) if isinstance(value, str) else value


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
