"""The outcome of partition, placement and routing as plain data, whatever the chip.

A backend writes the floorplan into ``floorplan.json`` under the key ``floorplan``. No chip and no
loader reads this file. ``nirc mapping`` prints and draws it. The grid is that of all chips
together. A *cell* takes a core. ``Point``s are the coordinates x, y, z of a cell, from 0 on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nirc.diagnostics.outcome import CoresPlaced
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bundle import in_rows
from nirc.files.chipfiles import raise_faults, read
from nirc.files.description import File
from nirc.files.faults import Faults
from nirc.files.kinds import Const, Integer, Integers, Many, Map, Maybe, Number, Object, Size, Text

if TYPE_CHECKING:
    from nirc.diagnostics.log import Log
    from nirc.mapping.effort import Effort
    from nirc.mapping.routing import Routes
    from nirc.mapping.routing.links import LinkGraph

Point = tuple[int, int, int]
Span = tuple[int, int]  # begin and end, without end

FILE = "floorplan.json"
KEY = "floorplan"  # of the file
FORMAT = "nirc-floorplan/1"
MOST_BYTES = 1 << 30
MOST_CELLS = 1 << 24
MOST_NEURONS = 1 << 40  # along an axis of a population
MOST_AXES = 8
MOST_TEXT = 300  # characters of a name or unit
LARGEST = 1e18  # of a usage, limit, load or cost

_NAME = Text(MOST_TEXT)
_AMOUNT = Number(0, LARGEST)
_SIZE = Integers((3,), 1, MOST_CELLS, doc="cells along x, y, z")
_CELL = Integers((3,), 0, MOST_CELLS, doc="x, y, z")
_BOX = Integers(
    (Size("axes", MOST_AXES), 2), 0, MOST_NEURONS, doc="from, up to and without, for each axis"
)
FLOORPLAN = Object(
    {
        "format": Const(FORMAT),
        "size": _SIZE,
        "chip": _SIZE,
        "router": _SIZE,
        "limits": Map(
            Object({"max": _AMOUNT, "unit": Text(MOST_TEXT, 0)}), doc="of a core, for each resource"
        ),
        "cores": Many(
            Object(
                {
                    "chip": Integer(0, MOST_CELLS),
                    "at": _CELL,
                    "parts": Many(Object({"population": _NAME, "box": _BOX}), "parts"),
                    "usage": Map(_AMOUNT),
                }
            ),
            "cores",
        ),
        "links": Many(
            Object({"from": _CELL, "to": _CELL, "load": _AMOUNT, "capacity": Maybe(_AMOUNT)}),
            "links",
        ),
        "faulty": Integers(("cells", 3), 0, MOST_CELLS),
        "absent": Integers(("cells", 3), 0, MOST_CELLS),
        "cost": Maybe(_AMOUNT, doc="traffic times distance"),
        "bound": Maybe(_AMOUNT, doc="no placement costs less"),
    },
    doc="where everything went, the same for every many-core chip",
)


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

    def place(self, at: Point) -> str:
        """Return the coordinates of a cell or a router: ``(3, 4)``, with z where layers differ."""
        return f"({', '.join(map(str, at if self.size[2] > 1 else at[:2]))})"

    @property
    def gap(self) -> float | None:
        """The share of ``cost`` above ``bound``, None if either is not known."""
        if self.cost is None or self.bound is None:
            return None
        return max(self.cost - self.bound, 0.0) / self.cost if self.cost else 0.0

    def to_tree(self) -> dict[str, Any]:
        """Return data for JSON, the same for equal floorplans: cores and links in grid order."""
        limits = sorted(self.limits.items())
        cores = sorted(self.cores, key=lambda core: core.at[::-1])
        links = sorted(self.links, key=lambda link: (link.source[::-1], link.target[::-1]))
        return {
            "format": FORMAT,
            "size": list(self.size),
            "chip": list(self.chip),
            "router": list(self.router),
            "limits": {name: {"max": _number(most), "unit": unit} for name, (most, unit) in limits},
            "cores": [_core_tree(core) for core in cores],
            "links": [_link_tree(link) for link in links],
            "faulty": [list(map(int, at)) for at in sorted(self.faulty, key=lambda at: at[::-1])],
            "absent": [list(map(int, at)) for at in sorted(self.absent, key=lambda at: at[::-1])],
            "cost": None if self.cost is None else _number(self.cost),
            "bound": None if self.bound is None else _number(self.bound),
        }

    @staticmethod
    def from_tree(tree: Any) -> Floorplan:
        """Return the floorplan in a tree that matches ``FLOORPLAN``.

        Raises ``ValueError`` if it contradicts itself.
        """
        return Floorplan(
            size=_point(tree["size"]),
            chip=_point(tree["chip"]),
            router=_point(tree["router"]),
            limits={name: (limit["max"], limit["unit"]) for name, limit in tree["limits"].items()},
            cores=tuple(map(_core, tree["cores"])),
            links=tuple(map(_link, tree["links"])),
            faulty=tuple(map(_point, tree["faulty"])),
            absent=tuple(map(_point, tree["absent"])),
            cost=tree["cost"],
            bound=tree["bound"],
        )


def written(plan: Floorplan, **notes: Any) -> dict[str, bytes]:
    """Return the file of a floorplan by name, with a chip's own notes for a reader."""
    return {FILE: in_rows({KEY: plan.to_tree(), **notes})}


def report_placed(plan: Floorplan, effort: Effort, log: Log) -> None:
    """Report P322, the cost of a placement and its gap, if both are known."""
    if plan.cost and plan.bound is not None and plan.gap is not None:
        log.add(CoresPlaced(cost=plan.cost, bound=plan.bound, gap=plan.gap, effort=effort))


def floorplan_of(tree: Any, file: File) -> Floorplan:
    """Return the floorplan in the checked tree of a floorplan.json.

    Raises ``InputError`` (U605) if it contradicts itself.
    """
    faults = Faults()
    for i, core in enumerate(tree[KEY]["cores"]):
        for j, part in enumerate(core["parts"]):
            if any(begin >= end for begin, end in part["box"]):
                path = f"{KEY}.cores[{i}].parts[{j}].box"
                faults.damaged(
                    path, "the neurons of a part are not a box", str(part["box"]), "from below to"
                )
    raise_faults(file, faults)
    try:
        return Floorplan.from_tree(tree[KEY])
    except ValueError as error:
        faults.damaged(
            KEY, f"the floorplan contradicts itself: {error}", None, "a floorplan that can be"
        )
        raise_faults(file, faults)
        raise


def floorplan_in(data: bytes) -> Floorplan:
    """Return the floorplan in the bytes of a floorplan.json that may hold anything.

    Raises ``InputError`` (U605).
    """
    file, tree = read(data, CONTENTS)
    return floorplan_of(tree, file)


CONTENTS = File(
    FILE,
    Object({KEY: FLOORPLAN}, open=True),  # the other fields are the chip's own
    lambda tree, file, trees, faults: None,
    {},
    MOST_BYTES,
    finding=UnusableBundle,
    source="nirc/mapping/floorplan.py",
)


def _point(value: list[int]) -> Point:
    x, y, z = value
    return x, y, z


def _part(part: Any) -> Part:
    return Part(part["population"], tuple((begin, end) for begin, end in part["box"]))


def _core(core: Any) -> Core:
    parts = tuple(map(_part, core["parts"]))
    return Core(core["chip"], _point(core["at"]), parts, core["usage"])


def _link(link: Any) -> Link:
    return Link(_point(link["from"]), _point(link["to"]), link["load"], link["capacity"])


def loaded_links(graph: LinkGraph, routes: Routes) -> tuple[Link, ...]:
    """Return the links that ``routes`` use, with their loads."""
    at = [tuple(row) for row in graph.coordinates.tolist()]
    rows = zip(
        graph.source.tolist(),
        graph.target.tolist(),
        routes.loads.tolist(),
        graph.capacity.tolist(),
        strict=True,
    )
    return tuple(
        Link(at[a], at[b], load, None if math.isinf(capacity) else capacity)
        for a, b, load, capacity in rows
        if load
    )


def _core_tree(core: Core) -> dict[str, Any]:
    boxes = [[[int(begin), int(end)] for begin, end in part.box] for part in core.parts]
    names = [part.population for part in core.parts]
    parts = zip(names, boxes, strict=True)
    return {
        "chip": int(core.chip),
        "at": list(map(int, core.at)),
        "parts": [{"population": name, "box": box} for name, box in parts],
        "usage": {name: _number(used) for name, used in sorted(core.usage.items())},
    }


def _link_tree(link: Link) -> dict[str, Any]:
    return {
        "from": list(map(int, link.source)),
        "to": list(map(int, link.target)),
        "load": _number(link.load),
        "capacity": None if link.capacity is None else _number(link.capacity),
    }


def _number(value: float) -> int | float:
    """Return an integral value as an int, any other as a float."""
    return int(value) if float(value).is_integer() else float(value)


def _contradiction(plan: Floorplan) -> str:
    """Describe the first contradiction between the fields. Return "" if there is none."""
    if min(*plan.size, *plan.chip, *plan.router) < 1 or math.prod(plan.size) > MOST_CELLS:
        sizes = f"sizes {plan.size}, {plan.chip}, {plan.router}"
        return f"{sizes} must be positive, and at most {MOST_CELLS} cells in all"
    if any(cells % chip for cells, chip in zip(plan.size, plan.chip, strict=True)):
        return f"the grid {plan.size} is not made of whole chips {plan.chip}"
    taken: dict[Point, str] = {}
    kinds = (
        ("absent", plan.absent),
        ("faulty", plan.faulty),
        ("in use", tuple(core.at for core in plan.cores)),
    )
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
