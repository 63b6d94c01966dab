"""Diagnostics as text for people, and as JSON.

Text has the message, the place, value and limit, and help. Errors come last, next to the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from nirc.diagnostics.errors import Diagnostic, Severity, UsageError, safe
from nirc.diagnostics.finding import Finding
from nirc.diagnostics.plural import counted

ORDER: tuple[Severity, ...] = ("note", "warning", "error")
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
NARROWEST = 40
MOST_BLOCKS = 4  # warnings that are shown in full, unless -v asks for all

Paint = Callable[..., str]  # (text, **style) -> text


@dataclass(frozen=True)
class _Group:
    """Diagnostics with the same words at several places."""

    members: list[Diagnostic]

    @property
    def count(self) -> int:
        """The number of findings, 1 if they differ by their place only."""
        return 1 + sum(d.others for d in self.members)

    @property
    def first(self) -> Diagnostic:
        return self.members[0]


def render(
    diagnostics: Sequence[Diagnostic],
    *,
    file: str,
    verbose: bool = False,
    color: bool = False,
    width: int | None = None,
    accepted: int = 0,
) -> str:
    """Return all findings as text that ends in a newline, empty without findings.

    Same code, severity and message make one block, with the first place and the number of others.
    With ``verbose`` it has all of them. Notes appear only with ``verbose``, else they are counted.
    So many warnings that they fill a screen have a line for each code instead, without ``verbose``.
    ``accepted``: warnings that the user accepted, which are counted only.
    Nothing in the findings or in ``file`` can drive the terminal: other characters are escaped.
    ``width``: columns to fold at, never inside a name. None means no folding.
    """
    paint = _styled if color else _plain
    file = safe(file)
    groups = _groups([safe_diagnostic(d) for d in diagnostics])
    shown = sorted(groups, key=lambda group: ORDER.index(group.first.severity))
    if not verbose:
        shown = [g for g in shown if g.first.severity != "note"]
    short: list[str] = []
    warnings = [g for g in shown if g.first.severity == "warning"]
    if not verbose and len(warnings) > MOST_BLOCKS:
        short = _lines_by_code(warnings, paint, width)
        shown = [g for g in shown if g.first.severity == "error"]
    blocks = [_block(g, file, verbose, paint, width) for g in shown]
    text = "".join(f"{line}\n" for line in [*short, ""]) if short else ""
    text += "".join(f"{block}\n\n" for block in blocks)
    closing = _closing(groups, verbose)
    if short:
        closing += f"\n-v shows every warning with its place and what to do{_about(file)}"
    if accepted:
        closing += f"\n{counted(accepted, 'warning')} accepted"
    closing = closing.lstrip("\n")
    return text + (f"{closing}\n" if closing else "")


def _lines_by_code(groups: Sequence[_Group], paint: Paint, width: int | None) -> list[str]:
    """Return a line for each code, with the first message and the number of others."""
    by_code: dict[str, list[_Group]] = {}
    for group in groups:
        by_code.setdefault(group.first.code, []).append(group)
    lines = []
    for code, found in by_code.items():
        d = found[0].first
        label = f"{d.severity}[{code}]:"
        more = f", and {_number(found) - 1} more" if len(found) > 1 else ""
        head = _folded(f"{label} {d.message}{more}", 2, width).removeprefix(label)
        lines.append(paint(label, fg=COLOURS[d.severity], bold=True) + _marked(head, paint))
    return lines


def _number(groups: Sequence[_Group]) -> int:
    """Return the number of findings, with those that are counted only."""
    return sum(group.count for group in groups)


def _about(file: str) -> str:
    return f" ({file})" if file else ""


def as_json(diagnostics: Sequence[Diagnostic]) -> list[dict[str, str]]:
    """Return one object for each finding, in the order found, without empty fields.

    Texts are as in the file.
    """
    return [d.as_dict() for d in diagnostics]


def _groups(diagnostics: Sequence[Diagnostic]) -> list[_Group]:
    """Return groups in the order of first appearance."""
    by_words: dict[tuple[str, str, str], list[Diagnostic]] = {}
    for d in diagnostics:
        by_words.setdefault((d.code, d.severity, d.message), []).append(d)
    return [_Group(members) for members in by_words.values()]


def _block(group: _Group, file: str, verbose: bool, paint: Paint, width: int | None) -> str:
    d = group.first
    label = f"{d.severity}[{d.code}]:"
    head = _folded(f"{label} {d.message}", 2, width)
    lines = [
        paint(label, fg=COLOURS[d.severity], bold=True) + _marked(head.removeprefix(label), paint)
    ]
    # Places with the same facts share the line that states them.
    for facts, places in groupby(group.members if verbose else group.members[:1], key=_facts):
        for place in places:
            others = 0 if verbose else len(group.members) - 1
            lines += _place(place.where, place.file or _file_of(place, file), others, paint)
        if facts:
            lines.append(_item(facts, paint, width))
    lines.append(_item(_help(d), paint, width))
    return "\n".join(lines)


def _file_of(d: Diagnostic, file: str) -> str:
    """Return the command's ``file``, "" for a fault of the command line itself."""
    kind = Finding.by_code.get(d.code)
    usage = kind is not None and kind.raises is UsageError
    return "" if usage and not d.where else file


def _place(where: str, file: str, others: int, paint: Paint) -> list[str]:
    more = f", and {counted(others, 'more place')}" if others else ""
    place = ": ".join(part for part in (file, where) if part) + more
    return [paint("  -->", fg="blue", bold=True) + f" {place}"] if place else []


def _item(text: str, paint: Paint, width: int | None) -> str:
    return paint("   =", fg="blue", bold=True) + _marked(_folded(text, 5, width, first=4), paint)


def _facts(d: Diagnostic) -> str:
    facts = d.facts()
    if not d.source:
        return facts
    return f"{facts} ({d.source})" if facts else f"source: {d.source}"


def _help(d: Diagnostic) -> str:
    pointer = f"nirc explain {d.code}"
    if not d.help:
        return f"help: {pointer}"
    stop = "" if d.help.endswith((".", "?", "!")) else "."
    return f"help: {d.help}{stop}  {pointer}"


def _closing(groups: Sequence[_Group], verbose: bool) -> str:
    """Return ``3 notes: -v shows them``, then ``2 errors, 3 warnings in 5 places``.

    They count the blocks.
    """
    of = {severity: [g for g in groups if g.first.severity == severity] for severity in ORDER}
    lines = []
    if of["note"] and not verbose:
        notes = _number(of["note"])
        lines.append(f"{counted(notes, 'note')}: -v shows {'it' if notes == 1 else 'them'}")
    shown = [s for s in reversed(ORDER) if of[s] and (verbose or s != "note")]
    lines.append(", ".join(counted(_number(of[s]), s) + _places(of[s]) for s in shown))
    return "\n".join(line for line in lines if line)


def _places(groups: Sequence[_Group]) -> str:
    """Return `` in 5 places`` if a block has several."""
    places = sum(len(g.members) for g in groups)
    return f" in {places} places" if places > len(groups) else ""


def safe_diagnostic(d: Diagnostic) -> Diagnostic:
    """Return the diagnostic with texts that can be seen, each in one line."""
    return replace(
        d,
        message=safe(d.message),
        where=safe(d.where),
        found=safe(d.found),
        limit=safe(d.limit),
        expected=safe(d.expected),
        source=safe(d.source),
        help=safe(d.help),
        file=safe(d.file),
    )


def _folded(text: str, indent: int, width: int | None, *, first: int = 0) -> str:
    """Return ``text`` in lines of ``width``. The first line starts at column ``first``.

    Further lines are indented. A leading blank separates the text from the caller's label.
    """
    lead = " " if first else ""
    if width is None or len(lead + text) + first <= width:
        return lead + text
    import textwrap

    # A name must not break at its blanks. \0 can stand for them, because in texts it is escaped.
    glued = re.sub(r"`[^`]*`", lambda name: name[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        glued,
        max(width, NARROWEST),
        initial_indent=" " * (first + len(lead)),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)[first:].replace("\0", " ")


def _plain(text: str, **_: object) -> str:
    return text


def _styled(text: str, **style: object) -> str:
    import click

    return click.style(text, **style)  # type: ignore[arg-type]


def _marked(text: str, paint: Paint) -> str:
    """Return ``text`` with backquoted names in bold."""
    return re.sub(r"`[^`\n]+`", lambda name: paint(name[0], bold=True), text)
