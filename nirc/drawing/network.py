"""The picture of a network: a row for each population, from inputs to outputs.

A row follows another if a wire joins them. Every other wire is an arc on the left. Rows of a large
network are drawn together.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from nirc.drawing.canvas import WIDTH, Canvas, at

MOST_ROWS = 24
MOST_ARCS = 60
MOST_LANES = 5
MOST_INPUTS = 3  # wires that a row names
MOST_PARTS = 60  # of a row
LANE = 11.0
LEFT = 14.0 + LANE * MOST_LANES  # of the boxes
GAP = 30.0
LINE = 16.0
STRIP = 12.0  # height of the cores


@dataclass(frozen=True)
class Part:
    """Neurons of a row on one core. ``share``: of the row. ``hue``: the number of its colour."""

    title: str
    share: float
    hue: int = 0


@dataclass(frozen=True)
class Row:
    """A population. ``size``: its neurons. ``lines``: more about it.

    ``parts``: where it was cut for the cores.
    """

    name: str
    size: str = ""
    lines: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    cut: str = ""
    neurons: int = 0


@dataclass(frozen=True)
class Wire:
    """A connection. ``label``: its operators and synapses."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class _Place:
    """A row with the wires that are written into it."""

    row: Row
    top: float
    height: float
    notes: tuple[str, ...] = field(default=())

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def network_of(summary: Mapping[str, Any], parts: Mapping[str, tuple[Part, ...]]) -> Canvas:
    """Draw the network of a summary: inputs, outputs, populations, projections.

    It has the form of a report.json. ``parts``: of populations and inputs, by name.
    """
    ports = {**summary["inputs"], **summary["outputs"]}
    populations = summary["populations"]
    ends = [(p["from"], p["to"]) for p in summary["projections"]]
    wires = [Wire(*pair, _label(p)) for pair, p in zip(ends, summary["projections"], strict=True)]
    names = [*dict.fromkeys([*summary["inputs"], *populations, *summary["outputs"]])]
    rows = []
    for name in signal_order(names, ends):
        lines: tuple[str, ...] = ()
        if name in populations:
            shape = populations[name]["shape"]
            size = populations[name].get("kind") or _counted(populations[name]["neurons"], "neuron")
            lines = (f"shape {_times(shape)}",) if len(shape) > 1 else ()
        else:
            kind = "input" if name in summary["inputs"] else "output"
            size = f"{kind}, {_times(ports[name]['shape'])}"
        found = parts.get(name, ())
        neurons = populations.get(name, {}).get("neurons", 0)
        rows.append(Row(name, size, lines, found, _counted(len(found), "core"), neurons))
    return network(rows, wires)


def _label(projection: Mapping[str, Any]) -> str:
    summary: str = projection["summary"]
    count = projection["synapses"]
    return f"{summary}, {_counted(count, 'synapse')}" if count else summary


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "1"


def signal_order(names: Sequence[str], wires: Iterable[tuple[str, str]]) -> list[str]:
    """Return ``names`` as signals reach them. A cycle is entered at its first name."""
    place = {name: number for number, name in enumerate(names)}
    targets: dict[str, list[str]] = {name: [] for name in names}
    waiting = dict.fromkeys(names, 0)
    for source, target in wires:
        if source != target:
            targets[source].append(target)
            waiting[target] += 1
    ready = [place[name] for name in names if not waiting[name]]
    rest = iter(names)
    done: dict[str, None] = {}
    while len(done) < len(names):
        if ready:
            name = names[heapq.heappop(ready)]
        else:
            name = next(name for name in rest if name not in done)
        if name in done:
            continue
        done[name] = None
        for target in targets[name]:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, place[target])
    return list(done)


def network(rows: Sequence[Row], wires: Sequence[Wire]) -> Canvas:
    """Draw populations ``rows`` in signal order, with the wires between them."""
    rows, wires = _gathered(rows, wires)
    number = {row.name: n for n, row in enumerate(rows)}
    straight: dict[int, list[Wire]] = {}
    arcs: list[Wire] = []
    for wire in wires:
        follows = number[wire.target] == number[wire.source] + 1
        (straight.setdefault(number[wire.target], []) if follows else arcs).append(wire)
    places = _placed(rows, arcs)
    end = places[-1] if places else _Place(Row(""), 0, 0)
    canvas = Canvas(WIDTH, end.top + end.height + 6, "the network, from inputs to outputs")
    for n, place in enumerate(places):
        _box(canvas, place)
        if n in straight:
            _arrow(canvas, places[n - 1], place, straight[n])
    _arcs(canvas, places, arcs, number)
    return canvas


def _gathered(rows: Sequence[Row], wires: Sequence[Wire]) -> tuple[Sequence[Row], Sequence[Wire]]:
    """Return at most ``MOST_ROWS`` rows. Neighbours of a large network become one."""
    if len(rows) <= MOST_ROWS:
        return rows, wires
    together = -(-len(rows) // MOST_ROWS)
    group: dict[str, str] = {}
    few = []
    for start in range(0, len(rows), together):
        some = rows[start : start + together]
        ends = f"{some[0].name} … {some[-1].name}"
        parts = _all_parts(some)
        cut = _counted(len(parts), "part")
        size = f"{len(some)} populations, {_counted(sum(row.neurons for row in some), 'neuron')}"
        few.append(Row(ends, size, parts=parts, cut=cut))
        group |= dict.fromkeys((row.name for row in some), ends)
    between: dict[tuple[str, str], int] = {}
    for wire in wires:
        ends_ = group[wire.source], group[wire.target]
        if ends_[0] != ends_[1]:
            between[ends_] = between.get(ends_, 0) + 1
    joined = [Wire(*ends_, _counted(n, "projection")) for ends_, n in between.items()]
    return few, joined


def _all_parts(rows: Sequence[Row]) -> tuple[Part, ...]:
    parts = tuple(chain.from_iterable(row.parts for row in rows))
    total = sum(part.share for part in parts) or 1.0
    return tuple(replace(part, share=part.share / total) for part in parts)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _placed(rows: Sequence[Row], arcs: Sequence[Wire]) -> list[_Place]:
    """Return the rows from top to bottom."""
    into: dict[str, list[str]] = {}
    for wire in arcs:
        whence = "itself" if wire.source == wire.target else wire.source
        into.setdefault(wire.target, []).append(f"from {whence}: {wire.label}".rstrip(": "))
    places: list[_Place] = []
    top = 2.0
    for row in rows:
        notes = into.get(row.name, [])
        if (more := len(notes) - MOST_INPUTS) > 0:
            notes = [*notes[:MOST_INPUTS], f"and from {more} more"]
        height = 14 + LINE * (1 + len(row.lines) + len(notes))
        if row.parts:
            height += STRIP + 6
        places.append(_Place(row, top, height, tuple(notes)))
        top += height + GAP
    return places


def _box(canvas: Canvas, place: _Place) -> None:
    row = place.row
    wide = WIDTH - LEFT - 2
    canvas.rect(LEFT, place.top, wide, place.height, "frame", round_=6)
    y = place.top + LINE + 2
    canvas.text(LEFT + 10, y, row.name, "bold", width=0.55 * wide)
    canvas.text(WIDTH - 12, y, row.size, anchor="end", width=0.4 * wide)
    for line in row.lines:
        y += LINE
        canvas.text(LEFT + 10, y, line, "quiet", size=11, width=wide - 20)
    for note in place.notes:
        y += LINE
        canvas.text(LEFT + 10, y, f"↶ {note}", "quiet", size=11, width=wide - 20)
    if row.parts:
        _strip(canvas, row, y + 8, wide - 20)


def _strip(canvas: Canvas, row: Row, y: float, wide: float) -> None:
    """Draw a bar of the parts on cores, as wide as their shares."""
    bar = 0.62 * wide
    x = LEFT + 10
    parts = row.parts
    if len(parts) > MOST_PARTS:
        parts = (Part(row.cut, 1.0, parts[0].hue),)
    gap = 1.5 if len(parts) > 1 else 0.0
    for part in parts:
        side = part.share * bar
        canvas.rect(
            x, y, max(0.5, side - gap), STRIP, "part", title=part.title, hue=part.hue, round_=1.5
        )
        x += side
    canvas.text(WIDTH - 12, y + 10, row.cut, "quiet", anchor="end", size=11, width=0.36 * wide)


def _arrow(canvas: Canvas, first: _Place, second: _Place, wires: Sequence[Wire]) -> None:
    """Draw the wires between neighbours, with their operators beside the arrow."""
    x = LEFT + 22
    start, end = first.top + first.height + 1, second.top - 2
    canvas.path([at("M", x, start), at("V", end - 4)], "wire")
    canvas.path(_head(x, end), "ink")
    label = wires[0].label + (f", and {len(wires) - 1} more" if len(wires) > 1 else "")
    room = WIDTH - x - 24
    canvas.text(x + 12, (start + end) / 2 + 4, label, "quiet", size=11, width=room)


def _head(x: float, y: float) -> list[str]:
    return [at("M", x - 4, y - 6), at("L", x + 4, y - 6), at("L", x, y), "Z"]


def _arcs(
    canvas: Canvas, places: Sequence[_Place], arcs: Sequence[Wire], number: dict[str, int]
) -> None:
    """Draw wires between rows that are no neighbours, each in a lane on the left if there is one.

    Wires beyond ``MOST_ARCS`` are not drawn. The rows name them.
    """
    spans = sorted(
        {(number[w.source], number[w.target]) for w in arcs},
        key=lambda span: (abs(span[0] - span[1]), span),
    )
    lanes: list[list[tuple[int, int]]] = []
    for source, target in spans[:MOST_ARCS]:
        low, high = min(source, target), max(source, target)
        lane = 0
        while lane < len(lanes) and any(low <= b and a <= high for a, b in lanes[lane]):
            lane += 1
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append((low, high))
        x = LEFT - 14 - LANE * min(lane, MOST_LANES - 1)
        if source == target:
            start, end = places[source].middle + 7, places[source].middle - 7
        else:
            start, end = places[source].middle + 4, places[target].middle - 4
        turn = [at("M", LEFT, start), at("H", x), at("V", end), at("H", LEFT - 5)]
        canvas.path(turn, "wire")
        head = [at("M", LEFT - 7, end - 4), at("L", LEFT - 7, end + 4), at("L", LEFT - 1, end), "Z"]
        canvas.path(head, "ink")
