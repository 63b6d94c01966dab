"""Targets as a table: every limit with its source."""

from __future__ import annotations

from typing import Any

from nirc.chip import registry
from nirc.chip.backend import Backend
from nirc.chip.target import Target
from nirc.diagnostics.log import Log

CERTAINTY = {
    "S": "read in the source",
    "M": "measured",
    "R": "reported",
    "I": "inferred",
    "?": "chosen by nirc",
}


def target_tree(name: str | None, log: Log) -> list[dict[str, Any]]:
    """Return variants as plain data. ``name``: ``chip`` or ``chip:variant``, None for all.

    Raises ``UsageError`` (U601, U615).
    """
    if name is None:
        backends = list(registry.backends(log).values())
    else:
        backends = [registry.resolve(name)[0]]
    chosen: list[tuple[Backend, Target]] = []
    for b in backends:
        chosen += [(b, t) for t in b.targets if name in (None, b.name, t.name)]
    return [
        {
            "name": t.name,
            "part": t.part,
            "description": t.description,
            "limits": limit_rows(t),
            "options": [
                {"name": o.name, "values": list(o.choices), "help": o.help} for o in b.options
            ],
        }
        for b, t in chosen
    ]


def limit_rows(target: Target) -> list[dict[str, Any]]:
    """Return the limits of a target, each with its source, as plain data."""
    return [
        {
            "name": x.name,
            "max": x.max,
            "unit": x.unit,
            "code": x.code,
            "source": x.source,
            "certainty": CERTAINTY[x.certainty],
        }
        for x in target.limits
    ]


def target_text(tree: list[dict[str, Any]], *, limits: bool) -> str:
    """Return a line for each variant. ``limits``: also for each limit and option of a chip."""
    lines = []
    widest = max((len(target["name"]) for target in tree), default=0)
    for target in tree:
        lines.append(f"{target['name']:<{widest}}  {target['part']:<12} {target['description']}")
        if limits:
            for x in target["limits"]:
                lines.append(
                    f"  {x['code']}  {x['name']:<32} {x['max']:>10} {x['unit']:<13} {x['source']} "
                    f"({x['certainty']})"
                )
    if limits and (options := tree[0]["options"]):
        lines.append("\nOptions (the first value is the default):")
        lines += [
            f"  {'--set ' + o['name'] + '=' + '|'.join(o['values']):<38} {o['help']}"
            for o in options
        ]
    if not limits:
        lines.append(
            "\n`nirc targets NAME` shows the limits of each variant with their sources, and the "
            "chip's options."
        )
    return "\n".join(lines) + "\n"
