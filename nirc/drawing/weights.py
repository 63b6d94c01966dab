"""The picture of weights before and after rounding: a panel for each projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.drawing.canvas import WIDTH, Canvas, at, number

COLUMNS, ROWS = 64, 48  # cells of a panel
GAP = 20.0
WIDE, HIGH = (WIDTH - GAP) / 2, 120.0
HEAD, FOOT = 34.0, 24.0
Array = NDArray[Any]


@dataclass(frozen=True)
class Rounded:
    """Weights before and after rounding, in the same unit."""

    title: str
    about: str
    before: Array
    after: Array


def weights(projections: Sequence[Rounded]) -> Canvas:
    """Draw the weights of each projection, from left to right as before, upwards as after."""
    columns = 2
    lines = -(-len(projections) // columns)
    canvas = Canvas(
        WIDTH,
        lines * (HEAD + HIGH + FOOT),
        "weights before and after rounding",
    )
    for place, each in enumerate(projections):
        line, column = divmod(place, columns)
        _panel(canvas, each, column * (WIDE + GAP), line * (HEAD + HIGH + FOOT) + HEAD)
    return canvas


def _panel(canvas: Canvas, each: Rounded, x: float, y: float) -> None:
    canvas.text(x, y - 20, each.title, "bold", width=WIDE, size=11)
    canvas.text(x, y - 6, each.about, "quiet", width=WIDE, size=11)
    ends = (each.before, each.after)
    low = min((float(a.min(initial=0)) for a in ends), default=0.0)
    high = max((float(a.max(initial=0)) for a in ends), default=0.0)
    span = high - low or 1.0
    canvas.path([at("M", x, y + HIGH), at("L", x + WIDE, y)], "grid")
    counts, _, _ = np.histogram2d(
        each.before, each.after, bins=(COLUMNS, ROWS), range=((low, low + span),) * 2
    )
    many = counts.max(initial=1) / 8
    for strength, cells in (
        ("more", (counts > 0) & (counts <= many)),
        ("", counts > many),
    ):
        canvas.path(_dots(cells, x, y), f"chip {strength}".rstrip())
    canvas.rect(x, y, WIDE, HIGH, "grid")
    canvas.text(x, y + HIGH + 14, f"{low:.3g}", "quiet", size=10)
    canvas.text(x + WIDE, y + HIGH + 14, f"{high:.3g}", "quiet", size=10, anchor="end")
    middle = x + WIDE / 2
    canvas.text(middle, y + HIGH + 14, "in the model", "quiet", size=10, anchor="middle")
    canvas.text(x + 5, y + 13, "on the chip", "quiet", size=10)


def _dots(cells: Array, x: float, y: float) -> list[str]:
    side, tall = WIDE / COLUMNS, HIGH / ROWS
    wide, high = number(0.8 * side), number(0.8 * tall)
    return [
        f"{at('M', x + column * side, y + HIGH - (row + 1) * tall)}h{wide}v{high}h-{wide}z"
        for column, row in np.argwhere(cells).tolist()
    ]
