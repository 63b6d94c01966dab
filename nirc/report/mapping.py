"""The mapping of a bundle: the use of each core, the loads of the links, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nirc.diagnostics.plural import counted
from nirc.diagnostics.usage import NoMapping, OptionMakesNoSense
from nirc.files.bounds import MAX_NAME, printable
from nirc.mapping.floorplan import FILE, Core, Floorplan, Link, Part, Point, floorplan_in

BUSIEST = 5  # links
MANY = 1000.0  # traffic, from which digits after the point say nothing
NAMED = 3  # populations of a core in the table
PICTURE = ".svg"


def read_floorplan(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Floorplan:
    """Return the floorplan of a bundle with this manifest and these files.

    Raises ``UsageError`` (U610) if the chip has no cores to place, ``InputError`` (U605) for a
    damaged file.
    """
    if FILE not in files:
        target = printable(manifest["target"])
        raise NoMapping(target=target, missing=FILE, files=sorted(files)).refusal()
    return floorplan_in(files[FILE])


def check_picture(path: Path) -> None:
    """Raise ``UsageError`` (U607) for another kind of picture."""
    if path.suffix.lower() != PICTURE:
        raise OptionMakesNoSense(
            problem="--plot draws another kind of picture",
            found=path.suffix or "none",
            limit=PICTURE,
            help="name FILE.svg. A browser, Inkscape or rsvg-convert makes other kinds of it",
        ).refusal()


def as_tree(plan: Floorplan, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return plain data: cores (fullest first), sums over cores, and links (busiest first)."""
    cores = sorted(plan.cores, key=lambda core: (-load(core, plan), core.at[::-1]))
    sums = {name: sum(core.usage.get(name, 0) for core in cores) for name in sorted(plan.limits)}
    return {
        "model": manifest["model"],
        "target": manifest["target"],
        "size": list(plan.size),
        "cores_used": len(cores),
        "cores_usable": plan.size[0] * plan.size[1] * plan.size[2]
        - len(plan.faulty)
        - len(plan.absent),
        "chips_used": len({core.chip for core in cores}),
        "cost": plan.cost,
        "bound": plan.bound,
        "gap": plan.gap,
        "resources": {
            name: {
                "max": most,
                "unit": unit,
                "sum": sums[name],
                "mean": _share(sums[name], most * len(cores)),
            }
            for name, (most, unit) in sorted(plan.limits.items())
        },
        "cores": [
            {
                "chip": core.chip,
                "at": list(core.at),
                "share": load(core, plan),
                "usage": dict(sorted(core.usage.items())),
                "parts": [
                    {"population": part.population, "box": [list(span) for span in part.box]}
                    for part in core.parts
                ],
            }
            for core in cores
        ],
        "links": [
            {
                "from": list(link.source),
                "to": list(link.target),
                "load": link.load,
                "capacity": link.capacity,
            }
            for link in sorted(plan.links, key=_busiest_first)
        ],
    }


def load(core: Core, plan: Floorplan) -> float:
    """Return the used share of the core's scarcest resource."""
    return max(
        (_share(used, plan.limits[name][0]) for name, used in core.usage.items()), default=0.0
    )


def as_text(plan: Floorplan, tree: dict[str, Any], rows: int) -> str:
    """Return tables of at most ``rows`` cores (0: all) and the busiest links."""
    names = f"{printable(tree['model'], MAX_NAME)} -> {printable(tree['target'])}"
    cores = f"{tree['cores_used']} of {tree['cores_usable']} cores"
    lines = [f"{names}: {cores}, {counted(tree['chips_used'], 'chip')}"]
    if plan.cost is not None:
        least = ""
        if plan.bound is not None:
            least = f"; no placement of these cores is below {amount(plan.bound)}"
            least += f" (gap {plan.gap:.1%})"
        lines.append(f"traffic x distance {amount(plan.cost)}{least}")
    lines += ["", *_cores_text(plan, tree, rows)]
    if tree["links"]:
        total = sum(link["load"] for link in tree["links"])
        lines += [
            "",
            f"busiest links (of {len(tree['links'])} in use, load {amount(total)} in all)",
        ]
        lines += _columns([_link_row(link, plan) for link in tree["links"][:BUSIEST]], "llrl")
    return "\n".join(lines) + "\n"


def _cores_text(plan: Floorplan, tree: dict[str, Any], rows: int) -> list[str]:
    names = sorted(plan.limits)
    shown = tree["cores"][: rows or None]
    limits = [f"of {plan.limits[name][0]:g} {plan.limits[name][1]}".rstrip() for name in names]
    table = [("chip", "core", *_titles(names), "populations"), ("", "", *limits, "")]
    for core in shown:
        used = [
            f"{core['usage'].get(n, 0):g} {_percent(core['usage'].get(n, 0), plan.limits[n][0])}"
            for n in names
        ]
        table.append((str(core["chip"]), plan.place(core["at"]), *used, _parts(core)))
    sums = [f"{r['sum']:g} {r['mean']:4.0%}" for _, r in sorted(tree["resources"].items())]
    table.append(("sum", f"{tree['cores_used']} cores", *sums, "(mean)"))
    lines = _columns(table, "ll" + "r" * len(names) + "l")
    if left := len(tree["cores"]) - len(shown):
        lines.insert(-1, f"... and {left} cores that are less full (--rows 0 prints all)")
    return lines


def _titles(names: list[str]) -> list[str]:
    """Return the names without the words that all of them end with ("of a core")."""
    words = [name.split() for name in names]
    while len(words) > 1 and min(map(len, words)) > 1 and len({name[-1] for name in words}) == 1:
        words = [name[:-1] for name in words]
    return [" ".join(name) for name in words]


def _columns(table: list[tuple[str, ...]], sides: str) -> list[str]:
    if not table:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            c.rjust(w) if s == "r" else c.ljust(w)
            for c, w, s in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in table
    ]


def _parts(core: dict[str, Any]) -> str:
    texts = [
        f"{part['population']}[{', '.join(f'{begin}:{end}' for begin, end in part['box'])}]"
        for part in core["parts"]
    ]
    more = f", and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more


def _link_row(link: dict[str, Any], plan: Floorplan) -> tuple[str, str, str, str]:
    of = (
        ""
        if link["capacity"] is None
        else f"of {link['capacity']:g} {_percent(link['load'], link['capacity'])}"
    )
    ends = plan.place(link["from"]), f"-> {plan.place(link['to'])}"
    return *ends, amount(link["load"]), of


def _busiest_first(link: Link) -> tuple[float, float, Point, Point]:
    share = _share(link.load, link.capacity) if link.capacity is not None else 0.0
    return -share, -link.load, link.source[::-1], link.target[::-1]


def amount(number: float) -> str:
    """Return traffic or a load as a text."""
    return f"{number:,.0f}" if number >= MANY else f"{number:.4g}"


def _share(used: float, of: float) -> float:
    return used / of if of else float(used > 0)


def _percent(used: float, of: float) -> str:
    return f"{_share(used, of):4.0%}"


def parts_by_size(core: Core) -> list[Part]:
    """Return the parts of the core, most neurons first."""
    return sorted(core.parts, key=lambda part: (-part.neurons, part.population))
