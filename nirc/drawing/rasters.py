"""Pictures of spikes. Steps and neurons of a large raster are drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.drawing.canvas import WIDTH, Canvas, at, number

MOST_COLUMNS = 125  # of a panel
MOST_ROWS = 32
HEAD = 20.0
FOOT = 16.0
Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """Marks (steps, neurons) in one colour. ``kind``: model, chip or both."""

    kind: str
    marks: Array


@dataclass(frozen=True)
class Panel:
    """Layers that are drawn over one another. All have the same shape."""

    title: str
    layers: tuple[Layer, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of steps and of neurons."""
        steps, neurons = self.layers[0].marks.shape
        return steps, neurons


def rasters(
    rows: Sequence[Sequence[Panel]],
    step: int | None = None,
    *,
    title: str = "",
    legend: Mapping[str, str] | None = None,
) -> Canvas:
    """Draw rows of panels side by side.

    ``step``: a line marks the step. ``legend``: the meaning of each kind of layer.
    """
    heights = [_height(row[0].shape[1]) for row in rows]
    top = 40.0 if title else 0.0
    height = top + sum(heights) + len(rows) * (HEAD + FOOT)
    canvas = Canvas(WIDTH, height, "spikes by step and neuron")
    if title:
        canvas.text(0, 14, title, "bold", width=WIDTH)
    for place, (kind, words) in enumerate((legend or {}).items()):
        canvas.rect(place * 160, 22, 10, 10, kind)
        canvas.text(place * 160 + 15, 31, words, "quiet", size=11)
    y = top
    for row, high in zip(rows, heights, strict=True):
        wide = (WIDTH - 16 * (len(row) - 1)) / len(row)
        for place, panel in enumerate(row):
            _panel(canvas, panel, (place * (wide + 16), y + HEAD, wide, high), step)
        y += HEAD + high + FOOT
    return canvas


def _height(neurons: int) -> float:
    return min(96.0, max(24.0, 6.0 * neurons))


def _panel(
    canvas: Canvas, panel: Panel, box: tuple[float, float, float, float], step: int | None
) -> None:
    x, y, wide, high = box
    steps, neurons = panel.shape
    canvas.text(x, y - 6, panel.title, "quiet", size=11, width=wide)
    for layer in panel.layers:
        for strength, marks in _strengths(layer.marks):
            canvas.path(_cells(marks, x, y, wide, high), f"{layer.kind} {strength}".rstrip())
    canvas.rect(x, y, wide, high, "grid")
    if step is not None:
        canvas.path([at("M", x + wide * (step + 0.5) / max(1, steps), y), at("v", high)], "cross")
    canvas.text(x, y + high + 12, "step 0", "quiet", size=10)
    canvas.text(x + wide, y + high + 12, str(max(0, steps - 1)), "quiet", anchor="end", size=10)
    what = f"{neurons} neuron{'' if neurons == 1 else 's'}"
    canvas.text(x + wide / 2, y + high + 12, what, "quiet", anchor="middle", size=10)


def _strengths(marks: Array) -> list[tuple[str, Array]]:
    """Return the cells by strength, which is how many of its places have a mark."""
    dense = _binned(marks != 0)
    if dense.shape == marks.shape:
        return [("", dense > 0)]
    return [
        ("some", (dense > 0) & (dense <= 0.1)),
        ("more", (dense > 0.1) & (dense <= 0.4)),
        ("", dense > 0.4),
    ]


def _binned(marks: Array) -> Array:
    """Return (at most MOST_COLUMNS, at most MOST_ROWS) the share of marks in each cell."""
    share = marks.astype(np.float64)
    for axis, most in ((0, MOST_COLUMNS), (1, MOST_ROWS)):
        length = share.shape[axis]
        if length > most:
            edges = np.arange(most) * length // most
            counts = np.diff(np.append(edges, length))
            sums = np.add.reduceat(share, edges, axis=axis)
            share = sums / np.expand_dims(counts, 1 - axis)
    return share


def _cells(marks: Array, x: float, y: float, wide: float, high: float) -> list[str]:
    """Return steps of a path: a bar for each run of cells of a neuron, the first neuron below."""
    columns, rows = marks.shape
    if not marks.any():
        return []
    side, tall = wide / columns, high / rows
    thick = number(max(0.8, 0.8 * tall))
    edges = np.diff(marks.astype(np.int8), axis=0, prepend=0, append=0)
    path = []
    for row in range(rows):
        starts, ends = np.flatnonzero(edges[:, row] > 0), np.flatnonzero(edges[:, row] < 0)
        top = y + high - (row + 1) * tall + (tall - thick) / 2
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            long = number(max(0.8, (end - start) * side - 0.15 * side))
            path.append(f"{at('M', x + start * side, top)}h{long}v{thick}h-{long}z")
    return path
