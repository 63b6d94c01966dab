"""Pictures of a verification: network and cores, weights before and after, spikes side by side.

Needs matplotlib. Each is an SVG without a background, for a light and a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirc.report.picture import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#808080"  # readable on white and on black
MODEL, CHIP, BOTH = "#3b7dd8", "#d9622b", "#808080"
MOST_BOXES = 40
MOST_PANELS = 8
MOST_NEURONS = 100  # of a panel
MOST_NAME = 18  # characters of a label
MOST_POINTS = 4000
Array = NDArray[Any]
Box = tuple[str, str, str]  # name, size, and where it went


def _svg(figure: Figure) -> bytes:
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=GREY, labelsize=7)
        for spine in axes.spines.values():
            spine.set_color(GREY)
    return drawn(lambda: figure, "svg")


def network(columns: Sequence[Sequence[Box]], edges: Sequence[tuple[str, str, str]]) -> bytes:
    """Draw populations from inputs to outputs. ``edges``: from, to, and the number of synapses."""
    from matplotlib.figure import Figure

    columns = [column for column in columns if column]
    tallest = max(len(column) for column in columns)
    figure = Figure(figsize=(min(14.0, 2.3 * len(columns)), 0.6 + 0.95 * tallest))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(-0.7, tallest - 0.3)
    places = {}
    for x, column in enumerate(columns):
        for y, (name, size, where) in enumerate(column):
            places[name] = (x, (tallest - len(column)) / 2 + y)
            axes.text(
                *places[name],
                f"{_short(name)}\n{size}\n{where}".rstrip(),
                ha="center",
                va="center",
                fontsize=8,
                color=GREY,
                bbox={"boxstyle": "round,pad=0.4", "fc": "none", "ec": GREY},
            )
    for source, target, label in edges:
        if source in places and target in places:
            _arrow(axes, places[source], places[target], label)
    return _svg(figure)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    forward = start[0] < end[0]
    bend = 0.0 if forward else 0.5
    first = (start[0] + (0.32 if forward else 0.0), start[1] + (0.0 if forward else 0.3))
    last = (end[0] - (0.32 if forward else 0.1), end[1] + (0.0 if forward else 0.3))
    style = {"arrowstyle": "->", "color": MODEL, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", xy=last, xytext=first, arrowprops=style)
    middle = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2 + (0.08 if forward else 0.3))
    axes.text(*middle, label, ha="center", va="bottom", fontsize=6.5, color=MODEL)


def weights(pairs: Sequence[tuple[str, str, Array, Array]]) -> bytes:
    """Draw each weight before and after rounding, a panel for each projection."""
    from matplotlib.figure import Figure

    pairs = pairs[:MOST_PANELS]
    columns = min(4, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (source, target, before, after) in zip(panels, pairs, strict=False):
        every = max(1, len(before) // MOST_POINTS)
        axes.plot(before[::every], after[::every], ".", ms=2, color=CHIP, rasterized=False)
        ends = [float(min(before.min(), after.min())), float(max(before.max(), after.max()))]
        axes.plot(ends, ends, "-", lw=0.6, color=GREY)
        axes.set_title(f"{_short(source)} to {_short(target)}", fontsize=8, color=GREY)
        axes.set_xlabel("in the model", fontsize=7, color=GREY)
        axes.set_ylabel("on the chip", fontsize=7, color=GREY)
    for axes in panels[len(pairs) :]:
        axes.set_axis_off()
    return _svg(figure)


def rasters(model: Mapping[str, Array], chip: Mapping[str, Array]) -> bytes:
    """Draw the spikes (steps, neurons) of model and chip of one sample, a row for a population."""
    from matplotlib.figure import Figure

    names = [name for name in model if name in chip][:MOST_PANELS]
    figure = Figure(figsize=(11, 0.5 + 1.5 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 2, sharex=True, sharey="row", squeeze=False)
    for row, name in zip(panels, names, strict=True):
        for axes, (title, spikes, color) in zip(
            row, (("model", model[name], MODEL), ("chip", chip[name], CHIP)), strict=True
        ):
            step, neuron = np.nonzero(spikes[:, :MOST_NEURONS])
            axes.scatter(step, neuron, s=6, marker="|", color=color, linewidths=1)
            axes.set_xlim(-0.5, len(spikes) - 0.5)
            axes.set_ylim(-0.5, min(MOST_NEURONS, spikes.shape[1]) - 0.5)
            axes.set_title(f"{_short(name)}, {title}", fontsize=8, color=GREY)
    for axes in panels[-1]:
        axes.set_xlabel("step", fontsize=7, color=GREY)
    return _svg(figure)


def _short(name: str) -> str:
    """Return a name for a label, without what matplotlib reads as mathematics."""
    text = name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 3]}..."
    return text.replace("$", "\\$")
