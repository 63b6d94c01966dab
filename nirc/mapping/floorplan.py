"""The outcome of partition, placement and routing as plain data, whatever the chip.

A backend writes the floorplan into its ``mapping.json`` under the key ``floorplan``. ``nirc
mapping`` prints and draws it. The grid is that of all chips together. A *cell* takes a core.
``Point``s are the coordinates x, y, z of a cell, from 0 on. This module imports no compiled code,
since emulators read floorplans, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from nirc.files.json import JsonReader, join

if TYPE_CHECKING:
    from nirc.mapping.links import LinkGraph
    from nirc.mapping.route import Routes

Point = tuple[int, int, int]
Span = tuple[int, int]  # begin and end, without end

KEY = "floorplan"  # of mapping.json
FORMAT = "nirc-floorplan/1"
FIELDS = ("absent", "bound", "chip", "cores", "cost", "faulty", "format", "limits", "links", "router", "size")
MOST_CELLS = 1 << 24
MOST_NEURONS = 1 << 40  # along an axis of a population
MOST_AXES = 8
MOST_TEXT = 300  # characters of a name or unit
LARGEST = 1e18  # of a usage, limit, load or cost


@dataclass(frozen=True)
class Part:
    """Some neurons of a population: for each axis of its shape, begin and end (without end)."""

    population: str
    box: tuple[Span, ...]

    @property
    def neurons(self) -> int:
        """The number of neurons."""
        return math.prod(end - begin for begin, end in self.box)


@dataclass(frozen=True)
class Core:
    """A core in use: the neurons on the core and the use of each resource."""

    chip: int
    at: Point
    parts: tuple[Part, ...]
    usage: Mapping[str, float]


@dataclass(frozen=True)
class Link:
    """Traffic from one router to another. ``capacity``: the most traffic, None: unknown."""

    source: Point
    target: Point
    load: float
    capacity: float | None = None


@dataclass(frozen=True)
class Floorplan:
    """Cores and links of a placed network.

    ``size``: cells of the full grid along x, y, z. ``chip``: cells of one chip. ``router``: cells
    that share a router. Links join routers. The router of a cell has the cell's coordinates divided
    by ``router``, rounded down.
    ``limits``: for each resource, the limit of a core and the unit. ``cores``: those in use.
    ``faulty``: cells that stay free because their core is broken. ``absent``: cells of the grid
    without a core. ``cost``: sum of traffic times distance of this placement. No placement costs
    less than ``bound``.
    Raises ``ValueError`` if cores lie outside the grid, on one another or on cells that cannot be
    used, or use a resource that is not in ``limits``.
    """

    size: Point
    chip: Point
    limits: Mapping[str, tuple[float, str]]
    cores: tuple[Core, ...]
    links: tuple[Link, ...] = ()
    faulty: tuple[Point, ...] = ()
    absent: tuple[Point, ...] = ()
    router: Point = (1, 1, 1)
    cost: float | None = None
    bound: float | None = None

    def __post_init__(self) -> None:
        if wrong := _contradiction(self):
            raise ValueError(wrong)

    @property
    def routers(self) -> Point:
        """The number of routers along x, y, z."""
        x, y, z = (-(-cells // per) for cells, per in zip(self.size, self.router, strict=True))
        return x, y, z

    def to_tree(self) -> dict[str, Any]:
        """Return data for JSON, the same for equal floorplans: cores and links in grid order."""
        return {
            "format": FORMAT,
            "size": list(self.size),
            "chip": list(self.chip),
            "router": list(self.router),
            "limits": {
                name: {"max": _number(most), "unit": unit} for name, (most, unit) in sorted(self.limits.items())
            },
            "cores": [_core_tree(core) for core in sorted(self.cores, key=lambda core: core.at[::-1])],
            "links": [
                {
                    "from": list(map(int, k.source)),
                    "to": list(map(int, k.target)),
                    "load": _number(k.load),
                    "capacity": None if k.capacity is None else _number(k.capacity),
                }
                for k in sorted(self.links, key=lambda k: (k.source[::-1], k.target[::-1]))
            ],
            "faulty": [list(map(int, at)) for at in sorted(self.faulty, key=lambda at: at[::-1])],
            "absent": [list(map(int, at)) for at in sorted(self.absent, key=lambda at: at[::-1])],
            "cost": None if self.cost is None else _number(self.cost),
            "bound": None if self.bound is None else _number(self.bound),
        }

    @staticmethod
    def from_tree(tree: Any, reader: JsonReader, path: str = KEY) -> Floorplan:
        """Read the floorplan in a tree that may hold anything. ``path``: its place in the file.

        Raises ``InputError`` (U605), naming the path, for any tree that ``to_tree`` cannot make.
        """
        return _Reader(reader).floorplan(tree, path)


def loaded_links(graph: LinkGraph, routes: Routes) -> tuple[Link, ...]:
    """Return the links that ``routes`` use, with their loads."""
    at = [tuple(row) for row in graph.coordinates.tolist()]
    rows = zip(
        graph.source.tolist(), graph.target.tolist(), routes.loads.tolist(), graph.capacity.tolist(), strict=True
    )
    return tuple(
        Link(at[a], at[b], load, None if math.isinf(capacity) else capacity) for a, b, load, capacity in rows if load
    )


def _core_tree(core: Core) -> dict[str, Any]:
    return {
        "chip": int(core.chip),
        "at": list(map(int, core.at)),
        "parts": [
            {"population": part.population, "box": [[int(begin), int(end)] for begin, end in part.box]}
            for part in core.parts
        ],
        "usage": {name: _number(used) for name, used in sorted(core.usage.items())},
    }


def _number(value: float) -> int | float:
    """Return an integral value as an int, any other as a float."""
    return int(value) if float(value).is_integer() else float(value)


def _contradiction(plan: Floorplan) -> str:
    """Describe the first contradiction between the fields. Return "" if there is none."""
    if min(*plan.size, *plan.chip, *plan.router) < 1 or math.prod(plan.size) > MOST_CELLS:
        return f"sizes {plan.size}, {plan.chip}, {plan.router} must be positive, and at most {MOST_CELLS} cells in all"
    if any(cells % chip for cells, chip in zip(plan.size, plan.chip, strict=True)):
        return f"the grid {plan.size} is not made of whole chips {plan.chip}"
    taken: dict[Point, str] = {}
    kinds = (("absent", plan.absent), ("faulty", plan.faulty), ("in use", tuple(core.at for core in plan.cores)))
    for kind, points in kinds:
        for at in points:
            if outside := _outside(at, plan.size):
                return f"a cell that is {kind} lies outside the grid: {outside}"
            if at in taken:
                return f"cell {at} is {taken[at]} and {kind}"
            taken[at] = kind
    for link in plan.links:
        if outside := _outside(link.source, plan.routers) or _outside(link.target, plan.routers):
            return f"a link joins a router outside the grid: {outside}"
    return _unknown_resource(plan)


def _outside(at: Point, size: Point) -> str:
    return "" if all(0 <= k < n for k, n in zip(at, size, strict=True)) else f"{at} of {size}"


def _unknown_resource(plan: Floorplan) -> str:
    for core in plan.cores:
        if unknown := [name for name in core.usage if name not in plan.limits]:
            return f"core {core.at} uses {unknown[0]}, which has no limit"
    return ""


class _Reader:
    """A reader that checks full columns at once: a large machine has some 100,000 cores."""

    def __init__(self, reader: JsonReader) -> None:
        self.reader = reader

    def floorplan(self, tree: Any, path: str) -> Floorplan:
        block = self.reader.as_object(tree, path)
        if block.get("format") != FORMAT:
            self.reader.damaged("the format is unknown", join(path, "format"), block.get("format"), FORMAT)
        self.reader.keys(block, path, FIELDS)
        size, chip, router = (self.sizes(block[name], join(path, name)) for name in ("size", "chip", "router"))
        self.reader.log.raise_if_errors()
        try:
            plan = Floorplan(
                size=size,
                chip=chip,
                router=router,
                limits=self.limits(block["limits"], join(path, "limits")),
                cores=self.cores(block["cores"], join(path, "cores")),
                links=self.links(block["links"], join(path, "links")),
                faulty=self.points(block["faulty"], join(path, "faulty")),
                absent=self.points(block["absent"], join(path, "absent")),
                cost=self.perhaps(block["cost"], join(path, "cost")),
                bound=self.perhaps(block["bound"], join(path, "bound")),
            )
        except ValueError as error:
            self.reader.damaged(f"the floorplan contradicts itself: {error}", path, None, "whole")
        self.reader.log.raise_if_errors()
        return plan

    def sizes(self, value: Any, path: str) -> Point:
        x, y, z = self.reader.array(value, (3,), (1, MOST_CELLS), path).tolist()
        return x, y, z

    def limits(self, value: Any, path: str) -> dict[str, tuple[float, str]]:
        limits = {}
        for name, entry in self.reader.as_object(value, path).items():
            self.text(name, path)
            at = join(path, name)
            block = self.reader.as_object(entry, at, ("max", "unit"))
            limits[name] = (
                self.number(block["max"], join(at, "max")),
                self.text(block["unit"], join(at, "unit"), least=0),
            )
        return limits

    def cores(self, value: Any, path: str) -> tuple[Core, ...]:
        rows = self.rows(value, path, ("chip", "at", "parts", "usage"))
        chips = self.reader.integers([r["chip"] for r in rows], (0, MOST_CELLS), lambda i: f"{path}[{i}].chip").tolist()
        points = self.points([r["at"] for r in rows], path, ".at")
        parts = [self.parts(row["parts"], f"{path}[{i}].parts") for i, row in enumerate(rows)]
        usage = [self.usage(row["usage"], f"{path}[{i}].usage") for i, row in enumerate(rows)]
        return tuple(Core(*fields) for fields in zip(chips, points, parts, usage, strict=True))

    def parts(self, value: Any, path: str) -> tuple[Part, ...]:
        parts = []
        for i, row in enumerate(self.rows(value, path, ("population", "box"))):
            axes = self.reader.as_list(row["box"], f"{path}[{i}].box")
            if not 1 <= len(axes) <= MOST_AXES or not all(_is_span(span) for span in axes):
                expected = f"1..{MOST_AXES} pairs [from, to], 0 <= from < to"
                self.reader.damaged("the neurons of a part are not a box", f"{path}[{i}].box", axes, expected)
            name = self.text(row["population"], f"{path}[{i}].population")
            parts.append(Part(name, tuple((begin, end) for begin, end in axes)))
        return tuple(parts)

    def usage(self, value: Any, path: str) -> dict[str, float]:
        return {name: self.number(used, join(path, name)) for name, used in self.reader.as_object(value, path).items()}

    def links(self, value: Any, path: str) -> tuple[Link, ...]:
        rows = self.rows(value, path, ("from", "to", "load", "capacity"))
        sources = self.points([row["from"] for row in rows], path, ".from")
        targets = self.points([row["to"] for row in rows], path, ".to")
        loads = [self.number(row["load"], f"{path}[{i}].load") for i, row in enumerate(rows)]
        capacities = [self.perhaps(row["capacity"], f"{path}[{i}].capacity") for i, row in enumerate(rows)]
        return tuple(Link(*fields) for fields in zip(sources, targets, loads, capacities, strict=True))

    def rows(self, value: Any, path: str, names: Iterable[str]) -> list[Any]:
        rows = self.reader.as_list(value, path)
        wanted = tuple(names)
        for i, row in enumerate(rows):
            if type(row) is not dict or row.keys() != set(wanted):
                self.reader.as_object(row, f"{path}[{i}]", wanted)
        return rows

    def points(self, value: Any, path: str, name: str = "") -> tuple[Point, ...]:
        rows = self.reader.as_list(value, path)
        for i, row in enumerate(rows):
            if type(row) is not list or len(row) != 3:
                self.reader.damaged("a place is not x, y, z", f"{path}[{i}]{name}", row, "a list of 3")
        flat = list(chain.from_iterable(rows))
        self.reader.integers(flat, (0, MOST_CELLS), lambda i: f"{path}[{i // 3}]{name}[{i % 3}]")
        return tuple((x, y, z) for x, y, z in rows)

    def perhaps(self, value: Any, path: str) -> float | None:
        return None if value is None else self.number(value, path)

    def number(self, value: Any, path: str) -> float:
        if type(value) not in (int, float) or not 0 <= value <= LARGEST:
            self.reader.damaged("a value is not a number that can be", path, value, f"0..{LARGEST:g}")
        return value  # type: ignore[no-any-return]

    def text(self, value: Any, path: str, least: int = 1) -> str:
        if type(value) is not str or not least <= len(value) <= MOST_TEXT or not value.isprintable():
            self.reader.damaged("a name is no printable text", path, value, f"{least}..{MOST_TEXT} characters")
        return value


def _is_span(span: Any) -> bool:
    return (
        type(span) is list
        and len(span) == 2
        and all(type(k) is int for k in span)
        and 0 <= span[0] < span[1] <= MOST_NEURONS
    )
