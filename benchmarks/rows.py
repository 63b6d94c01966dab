"""Rows of docs/performance.md: benchmarks print them with ``--json``, ``run.py`` collects them.

A benchmark makes its rows with ``Row`` and ends with ``show(rows, as_json=...)``. A row says what
was measured, the goal, and what a rival took in the same run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One figure. ``unit``: of ``value`` and of ``rival_value``, such as ``CPU s``.

    ``goal``: a bound of ``value``, or of the ratio to the rival if ``of_ratio``. ``most``: the goal
    is the largest, else the least value that is good. ``ratio``: rival to ours if
    ``rival_first``, else ours to the rival. ``size``, ``stage`` and ``memory_gb``: for the plot.
    """

    what: str
    value: float | None
    unit: str
    goal: float | None = None
    most: bool = True
    rival: str = ""
    rival_value: float | None = None
    of_ratio: bool = False
    rival_first: bool = False
    note: str = ""
    stage: str = ""
    size: float | None = None
    memory_gb: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return the ratio to the rival, None without one."""
        if not self.value or not self.rival_value:
            return None
        return self.rival_value / self.value if self.rival_first else self.value / self.rival_value

    @property
    def met(self) -> bool | None:
        """Return True if the goal is met, None without a goal or a measurement."""
        value = self.ratio if self.of_ratio else self.value
        if self.goal is None or value is None:
            return None
        return value <= self.goal if self.most else value >= self.goal

    def text(self) -> str:
        """Return one line."""
        ratio = "" if self.ratio is None else f", {self.ratio:.3g} to {self.rival}"
        goal = ""
        if self.goal is not None:
            goal = f" (goal: {'at most' if self.most else 'at least'} {self.goal:g}"
            goal += " of the ratio)" if self.of_ratio else ")"
        value = "missing" if self.value is None else f"{self.value:.4g} {self.unit}"
        return f"{self.what}: {value}{ratio}{goal}{f'  {self.note}' if self.note else ''}"


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print rows as they come, as lines or as a list in JSON."""
    found = []
    for row in rows:
        found.append(asdict(row))
        if not as_json:
            print(row.text(), flush=True)
    if as_json:
        print(json.dumps(found))
