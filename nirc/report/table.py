"""A table of plain text for a terminal, and the same rows where the terminal is too narrow."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return a table of ``width`` columns, that breaks lines between words.

    Where a word does not fit, each row becomes a paragraph with a line for each column.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    printed = StringIO()
    console = Console(file=printed, width=width, no_color=True, highlight=False, markup=False)
    wide = Console(width=1 << 16)
    if wide.measure(drawn).minimum > width:
        return "\n".join(_paragraph(head, row) for row in rows)
    console.print(drawn)
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()) + "\n"


def _paragraph(head: Sequence[str], row: Sequence[str]) -> str:
    named = [f"  {name}: {text}\n" for name, text in zip(head, row, strict=True) if text]
    return "".join(named).replace("  ", "", 1)
