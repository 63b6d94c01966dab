"""Draws a floorplan: cores on the mesh, coloured by population or by use, and links by load.

A *tile* is a core, divided among its populations. A large machine has tiles of many cores: the
colour is that of most neurons. A link is a line beside its opposite. Links inside of a tile are not
drawn, and those between the same tiles are summed. Layers of a three-dimensional grid are drawn
side by side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.plural import counted
from nirc.drawing.canvas import WIDTH, Canvas, at, number
from nirc.ir.text import in_order
from nirc.mapping.floorplan import Core, Floorplan, Link, Point
from nirc.report.mapping import amount, load, parts_by_size

AXES = 3
MOST_TILES = 576  # of a layer, with separate marks
MOST_LABELLED = 160  # tiles with a label
MOST_LINKS = 300  # that are drawn, the busiest
MOST_LAYERS = 9
MOST_STRIPES = 4  # populations of a core
MOST_NAMED = 16  # populations in the legend
HIGHEST = 420.0  # of all layers
LARGEST_TILE = 44.0
HEAD = 22.0
MARGIN = 22.0  # for the coordinates
EDGE = 8.0
ROW = 18.0
Tile = tuple[int, int, int]


@dataclass(frozen=True)
class _View:
    """The part of the grid that is drawn. ``low`` and ``high``: its cells, ``high`` without.

    ``layers``: those along z with a core or a link.
    ``per``: cells of a tile along x and y. ``side``: the width of a tile.
    ``columns``: layers beside one another.
    """

    plan: Floorplan
    low: Point
    high: Point
    layers: tuple[int, ...]
    per: int
    side: float
    columns: int
    by: str
    hues: Mapping[str, int]

    @property
    def tiles(self) -> tuple[int, int]:
        """The number of tiles along x and y."""
        x, y = (-(-(self.high[k] - self.low[k]) // self.per) for k in (0, 1))
        return x, y

    def tile(self, cell: tuple[float, ...]) -> Tile:
        """Return the tile of a cell."""
        x, y = (int(cell[k] - self.low[k]) // self.per for k in (0, 1))
        return x, y, int(cell[2])


def hues_of(plan: Floorplan | None) -> dict[str, int]:
    """Return the number of the colour of each population, by name."""
    if plan is None:
        return {}
    parts = chain.from_iterable(core.parts for core in plan.cores)
    names = in_order({part.population for part in parts})
    return {name: hue for hue, name in enumerate(names)}


def floorplan(plan: Floorplan, *, by: str = "population") -> Canvas:
    """Draw the chips in use. ``by``: population or use."""
    view = _view(plan, by)
    layers = view.layers
    wide = view.tiles[0] * view.side + MARGIN + EDGE
    high = view.tiles[1] * view.side + MARGIN + (HEAD if len(layers) > 1 else 6)
    lines = -(-len(layers) // view.columns)
    legend = _legend(view)
    titles = _titles(plan)
    top = HEAD + ROW * (len(titles) - 1)
    height = top + lines * high + ROW * (-(-len(legend) // 2) + 1)
    canvas = Canvas(WIDTH, height, "cores and links of the chip")
    for place, title in enumerate(titles):
        canvas.text(0, 14 + ROW * place, title, "quiet", size=11, width=WIDTH)
    for place, z in enumerate(layers):
        line, column = divmod(place, view.columns)
        _layer(canvas, view, z, column * wide + MARGIN, top + line * high)
    _explain(canvas, view, legend, top + lines * high + 6)
    return canvas


def _view(plan: Floorplan, by: str) -> _View:
    """Return the chips in use."""
    ends = list(chain.from_iterable((link.source, link.target) for link in plan.links))
    routers = np.array(ends, dtype=np.int64).reshape(-1, AXES) * plan.router
    cores = np.array([core.at for core in plan.cores], dtype=np.int64).reshape(-1, AXES)
    cells = np.concatenate([cores, routers])
    low, high = np.zeros(AXES, dtype=np.int64), np.array(plan.size)
    if len(cells):
        chip = np.array(plan.chip)
        low = cells.min(axis=0) // chip * chip
        high = (cells.max(axis=0) // chip + 1) * chip
    per = 1
    across, up = (int(high[k] - low[k]) for k in (0, 1))
    while -(-across // per) * -(-up // per) > MOST_TILES:
        per += 1
    tiles = -(-across // per), -(-up // per)
    layers = tuple(sorted({int(z) for z in cells[:, 2]}))[:MOST_LAYERS] or (int(low[2]),)
    columns = min(len(layers), max(1, round((len(layers) * tiles[1] / tiles[0]) ** 0.5)))
    lines = -(-len(layers) // columns)
    room = (WIDTH / columns - MARGIN - EDGE) / tiles[0], HIGHEST / lines / tiles[1]
    side = min(LARGEST_TILE, *room)
    return _View(plan, _point(low), _point(high), layers, per, side, columns, by, hues_of(plan))


def _point(values: NDArray[np.int64]) -> Point:
    x, y, z = map(int, values)
    return x, y, z


def _titles(plan: Floorplan) -> list[str]:
    """Return two lines: the cores, and the grid with its traffic."""
    chips = len({core.chip for core in plan.cores})
    first = f"{counted(len(plan.cores), 'core')} on {counted(chips, 'chip')}"
    if plan.size != plan.chip:
        first += f", grid {' x '.join(map(str, plan.size))}, chips in use shown"
    words = [] if plan.cost is None else [f"traffic × distance {amount(plan.cost)}"]
    if plan.links:
        words.append(f"busiest link {amount(max(link.load for link in plan.links))}")
    return [first, ", ".join(words)] if words else [first]


def _legend(view: _View) -> list[tuple[str, str, int | None]]:
    """Return kind, words and colour of each entry."""
    entries: list[tuple[str, str, int | None]] = []
    if view.by == "population":
        entries = [("part", name, hue) for name, hue in [*view.hues.items()][:MOST_NAMED]]
        if (more := len(view.hues) - MOST_NAMED) > 0:
            entries.append(("", f"and {more} more populations", None))
    else:
        entries = [("chip", "darker: more of the scarcest resource is in use", None)]
    if view.per > 1:
        entries.append(("frame", f"a tile is {view.per} x {view.per} cores", None))
    entries.append(("free", "free", None))
    if any(map(_inside(view), view.plan.faulty)):
        entries.append(("cross", "faulty", None))
    if view.plan.links:
        entries.append(("wire", "link: the wider, the more traffic", None))
    return entries


def _explain(
    canvas: Canvas, view: _View, legend: list[tuple[str, str, int | None]], top: float
) -> None:
    for place, (kind, words, hue) in enumerate(legend):
        line, column = divmod(place, 2)
        x, y = column * WIDTH / 2 + 4, top + ROW * line
        if kind == "cross":
            canvas.path(_cross(x, y, 12), kind)
        elif kind == "wire":
            canvas.path([at("M", x, y + 6), at("h", 12)], kind, wide=3)
        elif kind:
            canvas.rect(x, y, 12, 12, kind, hue=hue, round_=2)
        canvas.text(x + 18, y + 10, words, size=11, width=WIDTH / 2 - 24)


def _cross(x: float, y: float, side: float) -> list[str]:
    return [
        at("M", x, y),
        at("L", x + side, y + side),
        at("M", x + side, y),
        at("L", x, y + side),
    ]


def _layer(canvas: Canvas, view: _View, z: int, left: float, top: float) -> None:
    if view.high[2] - view.low[2] > 1:
        canvas.text(left, top + 12, f"z = {z}", "quiet", size=11)
        top += HEAD - 4
    _free(canvas, view, z, left, top)
    by_tile: dict[Tile, list[Core]] = defaultdict(list)
    for core in view.plan.cores:
        if core.at[2] == z:
            by_tile[view.tile(core.at)].append(core)
    for tile, cores in sorted(by_tile.items()):
        _draw_tile(canvas, view, cores, *_corner(view, tile, left, top))
    _borders(canvas, view, left, top)
    _links(canvas, view, z, left, top)


def _corner(view: _View, tile: Tile, left: float, top: float) -> tuple[float, float]:
    """Return the upper left corner of a tile. The first row of cells is below."""
    return left + tile[0] * view.side, top + (view.tiles[1] - 1 - tile[1]) * view.side


def _inside(view: _View) -> Callable[[Point], bool]:
    def inside(at_: Point) -> bool:
        cells = zip(at_, view.low, view.high, strict=True)
        return all(low <= k < high for k, low, high in cells)

    return inside


def _free(canvas: Canvas, view: _View, z: int, left: float, top: float) -> None:
    """Draw all tiles with a core as free, then the faulty cells."""
    gap = 0.04 * view.side
    inner = number(view.side - 2 * gap)
    absent: dict[Tile, int] = defaultdict(int)
    for cell in filter(_inside(view), view.plan.absent):
        absent[view.tile(cell)] += cell[2] == z
    steps = []
    for y, x in np.ndindex(view.tiles[1], view.tiles[0]):
        if absent[x, y, z] < view.per**2:
            corner_x, corner_y = _corner(view, (x, y, z), left, top)
            steps.append(f"{at('M', corner_x + gap, corner_y + gap)}h{inner}v{inner}h-{inner}z")
    canvas.path(steps, "free")
    broken = {view.tile(cell) for cell in filter(_inside(view), view.plan.faulty) if cell[2] == z}
    for tile in sorted(broken):
        x, y = _corner(view, tile, left, top)
        canvas.path(_cross(x + 2 * gap, y + 2 * gap, view.side - 4 * gap), "cross", title="faulty")


def _draw_tile(canvas: Canvas, view: _View, cores: list[Core], x: float, y: float) -> None:
    gap = 0.04 * view.side
    inner = view.side - 2 * gap
    share = max(load(core, view.plan) for core in cores)
    title = _contents(view.plan, cores, share)
    if view.by == "use":
        kind = "chip" if share > 0.75 else "chip more"
        kind = kind if share > 0.35 else "chip some"
        canvas.rect(x + gap, y + gap, inner, inner, kind, title=title)
    else:
        left = x + gap
        for hue, part in _stripes(view, cores):
            canvas.rect(left, y + gap, part * inner, inner, "part", hue=hue, title=title)
            left += part * inner
    tiles = view.tiles[0] * view.tiles[1]
    if tiles <= MOST_LABELLED and view.side >= 20:
        canvas.text(x + 2 * gap + 1, y + 2 * gap + 9, f"{share:.0%}", "on", size=9)


def _stripes(view: _View, cores: list[Core]) -> Iterator[tuple[int, float]]:
    """Yield colour and share of the populations of a tile, at most ``MOST_STRIPES``."""
    neurons: dict[str, int] = defaultdict(int)
    for core in cores:
        for part in core.parts:
            neurons[part.population] += max(1, part.neurons)
    ordered = sorted(neurons.items(), key=lambda item: (-item[1], item[0]))
    chosen = ordered[: MOST_STRIPES if view.per == 1 else 1]
    total = sum(count for _, count in chosen)
    for name, count in chosen:
        yield view.hues[name], count / total


def _contents(plan: Floorplan, cores: list[Core], share: float) -> str:
    first = cores[0]
    if len(cores) > 1:
        return f"{counted(len(cores), 'core')}, the fullest {share:.0%}"
    names = ", ".join(f"{part.population} ({part.neurons})" for part in parts_by_size(first)[:4])
    return f"core {plan.place(first.at)}: {share:.0%}; {names}"


def _borders(canvas: Canvas, view: _View, left: float, top: float) -> None:
    """Draw the borders of chips, and the coordinates of cells."""
    wide, high = view.tiles[0] * view.side, view.tiles[1] * view.side
    cells = [view.high[axis] - view.low[axis] for axis in (0, 1)]
    cell = view.side / view.per
    across = [min(wide, x * cell) for x in range(0, cells[0] + 1, view.plan.chip[0])]
    up = [min(high, y * cell) for y in range(0, cells[1] + 1, view.plan.chip[1])]
    steps = list(chain.from_iterable((at("M", left + x, top), at("v", high)) for x in across))
    steps += chain.from_iterable((at("M", left, top + high - y), at("h", wide)) for y in up)
    canvas.path(steps, "frame")
    for x in _ticks(cells[0], view.plan.chip[0]):
        place = left + (x + 0.5) * cell
        canvas.text(place, top + high + 11, str(view.low[0] + x), "quiet", anchor="middle", size=9)
    for y in _ticks(cells[1], view.plan.chip[1]):
        place = top + high - (y + 0.5) * cell + 3
        canvas.text(left - 4, place, str(view.low[1] + y), "quiet", anchor="end", size=9)


def _ticks(cells: int, chip: int) -> range:
    """Return the cells with a coordinate: all of a small grid, or the first of some chips."""
    return range(0, cells, 1 if cells <= 16 else max(chip, -(-cells // 12 // chip) * chip))


def _links(canvas: Canvas, view: _View, z: int, left: float, top: float) -> None:
    """Draw each link at the right of its direction. A link that wraps around has two stubs."""
    between: dict[tuple[Tile, Tile], list[Link]] = defaultdict(list)
    for link in view.plan.links:
        first, second = _middle(view, link.source), _middle(view, link.target)
        if first != second and first[2] == z:
            between[first, second].append(link)
    carried = {ends: sum(link.load for link in links) for ends, links in between.items()}
    busiest = max(carried.values(), default=0.0) or 1.0
    ordered = sorted(carried, key=lambda ends: (-carried[ends], ends))
    unit = view.side / 2
    for first, second in reversed(ordered[:MOST_LINKS]):
        share = carried[first, second] / busiest
        title = f"{amount(carried[first, second])} {_ends(view.plan, between[first, second])}"
        steps = _line(first, second, view, left, top)
        canvas.path(steps, "wire", wide=0.6 + share * min(5.0, 0.2 * unit), title=title)


def _ends(plan: Floorplan, links: list[Link]) -> str:
    """Return the routers of a link, or the number of links between two tiles."""
    if len(links) > 1:
        return f"on {counted(len(links), 'link')}"
    return f"from {plan.place(links[0].source)} to {plan.place(links[0].target)}"


def _middle(view: _View, router: Point) -> Tile:
    """Return the middle of a router's cells in halves of a tile, and the layer."""
    halves = []
    for k in (0, 1):
        cell = router[k] * view.plan.router[k] + (view.plan.router[k] - 1) / 2 - view.low[k]
        tile = cell if view.per == 1 else cell // view.per
        halves.append(round(2 * tile))
    return halves[0], halves[1], router[2] * view.plan.router[2]


def _line(first: Tile, second: Tile, view: _View, left: float, top: float) -> list[str]:
    unit = view.side / 2
    high = view.tiles[1] * view.side

    def place(end: Tile) -> tuple[float, float]:
        return left + (end[0] + 1) * unit, top + high - (end[1] + 1) * unit

    (ax, ay), (bx, by) = place(first), place(second)
    if second[2] != first[2]:  # upright
        sign = -1 if second[2] > first[2] else 1
        return [at("M", ax + 0.6 * unit, ay), at("v", sign * 0.5 * unit)]
    length = max(abs(bx - ax), abs(by - ay), 1e-9)
    step_x, step_y = (bx - ax) / length, (by - ay) / length
    aside_x, aside_y = -0.2 * unit * step_y, 0.2 * unit * step_x
    ax, ay, bx, by = ax + aside_x, ay + aside_y, bx + aside_x, by + aside_y
    routers = max(view.plan.router[:2]) if view.per == 1 else 1
    if length > 2.6 * view.side * max(1, routers):
        stub = 1.2 * unit
        return [
            at("M", ax, ay),
            at("l", -stub * step_x, -stub * step_y),
            at("M", bx, by),
            at("l", stub * step_x, stub * step_y),
        ]
    inset = 0.3 * unit
    return [
        at("M", ax + inset * step_x, ay + inset * step_y),
        at("L", bx - inset * step_x, by - inset * step_y),
    ]
