"""The pictures of a page: network and cores, placement, weights, spikes. Each with its words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.plural import counted
from nirc.mapping.floorplan import Floorplan
from nirc.report.differences import RoundedWeights

if TYPE_CHECKING:
    from nirc.drawing.network import Part
    from nirc.drawing.rasters import Panel

MOST_PROJECTIONS = 6  # with a panel
MOST_POPULATIONS = 6
SMALL = 1e-12
Array = NDArray[Any]
Spikes = Mapping[str, Array]  # (steps, neurons) by population


@dataclass(frozen=True)
class Figure:
    """A picture of a page. ``text``: what it shows. ``svg``: without a header, see ``STYLE``."""

    title: str
    text: str
    svg: str


@dataclass(frozen=True)
class Answer:
    """Spikes of model and chip on one sample. ``source``: the origin of the sample."""

    model: Spikes
    chip: Spikes
    sample: int
    source: str


def figures(
    report: Mapping[str, Any],
    plan: Floorplan | None,
    projections: Iterable[RoundedWeights],
    answer: Answer | None,
) -> list[Figure]:
    """Return the pictures of a page. ``report``: the tree of report.json."""
    found = [
        network_figure(report, plan),
        None if plan is None else placement_figure(plan),
        weights_figure(projections, calibrated=report["costs"] is not None),
        None if answer is None else spikes_figure(answer),
    ]
    return [figure for figure in found if figure is not None]


def network_figure(report: Mapping[str, Any], plan: Floorplan | None) -> Figure:
    """Return the picture of the network in a report.json, with its cores on ``plan``."""
    from nirc.drawing.network import network_of

    parts = _parts(plan)
    known = {*report["inputs"], *report["populations"]}
    others = [name for name in parts if name not in known]
    text = "Populations from inputs to outputs, with operators and synapses."
    if plan is not None:
        text += " Each bar shows where a population was cut, and the cores it is on."
    if others:
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
        text += f" The chip has relays and clocks besides: {shown}."
    return Figure("From layers to cores", text, network_of(report, parts).inline())


def _parts(plan: Floorplan | None) -> dict[str, tuple[Part, ...]]:
    """Return the parts of each population."""
    from nirc.drawing.network import Part
    from nirc.report.floorplan import hues_of

    hues = hues_of(plan)
    placed: dict[str, list[tuple[str, int]]] = {}
    for core in plan.cores if plan is not None else ():
        place = plan.place(core.at) if plan is not None else ""
        for part in core.parts:
            box = ", ".join(f"{begin} to {end - 1}" for begin, end in part.box)
            words = f"core {place} of chip {core.chip}: neurons {box}"
            placed.setdefault(part.population, []).append((words, part.neurons))
    total = {name: sum(neurons for _, neurons in found) or 1 for name, found in placed.items()}
    return {
        name: tuple(Part(words, neurons / total[name], hues[name]) for words, neurons in found)
        for name, found in placed.items()
    }


def placement_figure(plan: Floorplan) -> Figure:
    """Return the picture of the cores and the traffic of the links."""
    from nirc.report.floorplan import floorplan

    text = "Cores by population, with the use of the scarcest resource"
    text += ", and the traffic of the links." if plan.links else "."
    return Figure("Placement", text, floorplan(plan).inline())


def weights_figure(projections: Iterable[RoundedWeights], *, calibrated: bool) -> Figure | None:
    """Return the picture of weights before and after rounding, None without any."""
    from nirc.drawing.weights import Rounded, weights

    panels = [
        Rounded(f"{each.source} to {each.target}", _rounding(each), each.before, each.after)
        for each in islice(projections, MOST_PROJECTIONS)
    ]
    if not panels:
        return None
    text = "From left to right as in the model, upwards as on the chip. Exact weights lie on the "
    text += "line. Each neuron's weights are scaled as the chip scales them."
    if calibrated:
        text += " Calibration has changed them, too."
    return Figure("Weights", text, weights(panels).inline())


def _rounding(each: RoundedWeights) -> str:
    zero = int(((each.before != 0) & (np.abs(each.after) < SMALL)).sum())
    square = float((each.before**2).sum())
    lost = float(((each.before - each.after) ** 2).sum())
    change = 100 * math.sqrt(lost / square) if square else 0.0
    words = f"{change:.2g} % change, {zero:,} of {each.before.size:,} to zero"
    return words if each.share >= 1 else f"{words} ({each.share:.0%} of them drawn)"


def spikes_figure(answer: Answer) -> Figure | None:
    """Return the rasters of model and chip, None without a population of both."""
    from nirc.drawing.rasters import rasters

    names = [n for n in answer.model if n in answer.chip][:MOST_POPULATIONS]
    rows = [
        [_panel(name, "model", answer.model[name]), _panel(name, "chip", answer.chip[name])]
        for name in names
    ]
    if not rows:
        return None
    text = f"Sample {answer.sample} of {answer.source}, the first with spikes, on the model and "
    text += "on the chip's emulator."
    return Figure("Spikes", text, rasters(rows).inline())


def _panel(name: str, kind: str, spikes: Array) -> Panel:
    from nirc.drawing.rasters import Layer, Panel

    title = f"{name}, {kind}: {counted(int(spikes.sum()), 'spike')}"
    return Panel(title, (Layer(kind, spikes),))
