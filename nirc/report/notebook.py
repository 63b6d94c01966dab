"""Bundles and verifications in a notebook: the parts of the page that fit a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.usage import UnusableBundle
from nirc.drawing.canvas import STYLE
from nirc.files.chipfiles import read
from nirc.files.description import File, Tree
from nirc.files.faults import Faults
from nirc.files.kinds import Integer, Integers, Kind, Many, Map, Object, Size, Text
from nirc.mapping.floorplan import FILE, floorplan_in
from nirc.report.figures import Figure, network_figure, placement_figure
from nirc.report.html import bars, template
from nirc.report.verify import costs_of, verdict

FEW = 12  # rows of a table
LARGEST = 1 << 50
MOST_TEXT = 4096
_TEXT = Text(MOST_TEXT, 0)
_COUNT = Integer(0, LARGEST)
_SHAPE = Integers((Size("axes", 8, 0),), 0, LARGEST)
_PORTS = Map(Object({"shape": _SHAPE}))


def _joined(tree: Tree, _: File, __: Mapping[str, Tree], faults: Faults) -> None:
    """Note projections between populations that are not there."""
    known = {*tree["inputs"], *tree["populations"], *tree["outputs"]}
    for i, projection in enumerate(tree["projections"]):
        for end in ("from", "to"):
            if projection[end] not in known:
                place = f"projections[{i}].{end}"
                faults.damaged(place, "a population is unknown", projection[end], "a name above")


_LIMIT = {"name": _TEXT, "unit": _TEXT, "source": _TEXT, "certainty": _TEXT}
_PROJECTION = {"from": _TEXT, "to": _TEXT, "summary": _TEXT, "synapses": _COUNT}
_POPULATION = {"shape": _SHAPE, "neurons": _COUNT}
_READ: dict[str, Kind] = {  # of a report.json
    "utilisation": Map(Object({"used": _COUNT, "available": _COUNT})),
    "limits": Many(Object({**_LIMIT}, open=True), "limits"),
    "inputs": _PORTS,
    "outputs": _PORTS,
    "populations": Map(Object({**_POPULATION}, open=True)),
    "projections": Many(Object({**_PROJECTION}, open=True), "projections"),
}
REPORT = File(
    "report.json",
    Object(_READ, open=True),
    _joined,
    {},
    1 << 28,
    finding=UnusableBundle,
    source="nirc/report/notebook.py",
)


def bundle_html(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], diagnostics: Sequence[Diagnostic]
) -> str:
    """Return use, network and placement of a bundle. Raises ``InputError`` (U605)."""
    _, report = read(files.get(REPORT.name, b""), REPORT)
    plan = floorplan_in(files[FILE]) if FILE in files else None
    drawn = [network_figure(report, plan)]
    if plan is not None:
        drawn.append(placement_figure(plan))
    known = Counter(d.severity for d in diagnostics)
    return _part(
        "bundle.html.j2",
        drawn,
        title=f"{manifest['model']} on {manifest['target']}",
        findings=", ".join(f"{n} {severity}(s)" for severity, n in sorted(known.items())),
        bars=bars(report),
    )


def verification_html(result: Mapping[str, Any]) -> str:
    """Return stages, costs and verdict of the JSON of `nirc verify`."""
    return _part(
        "verification.html.j2", [], result=result, costs=costs_of(result), verdict=verdict(result)
    )


def _part(name: str, drawn: Sequence[Figure], **context: Any) -> str:
    from markupsafe import Markup

    figures = [(f.title, f.text, Markup(f.svg)) for f in drawn]
    return template(name).render(
        **context, figures=figures, most=FEW, few=FEW, picture_style=Markup(STYLE)
    )
