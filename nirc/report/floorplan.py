"""Draws a floorplan: cores on the mesh, coloured by population or by use, and links by load.

Needs matplotlib. Up to ``MOST_DRAWN`` cells, every core is a square, divided among its populations.
Every link is a line beside its opposite. Larger machines become a raster of cells, and the links
within and between chips are summed. Layers of a three-dimensional grid are drawn side by side.
Links between layers are triangles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.floorplan import Core, Floorplan, Point
from nirc.report.mapping import load, parts_by_size
from nirc.report.picture import INK, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Color = tuple[float, float, float, float]

AXES = 3
MOST_DRAWN = 3000  # cells with separate patches
MOST_LABELLED = 160  # cells with a label
MOST_NAMED = 16  # populations in the legend
LARGEST = 13.0  # inches of the drawing's longer side
SMALLEST = 1.6
CELL = 0.55  # inches of a cell, if there is room
GAP = 0.4  # inches
TITLE = 0.5
LEGEND = 2.4
ROW = 0.2
LEAST_HEIGHT = 2.6  # has room for a full legend
POINTS = 72  # in an inch
FREE = (0.955, 0.955, 0.955, 1.0)
BROKEN = (0.80, 0.80, 0.80, 1.0)
FAINT = "#b8b8b8"
EDGE = 0.04  # cells around the grid, for the borders of its chips
LIGHTEST = 0.45  # of the scale of loads: fainter lines are invisible


def picture(plan: Floorplan, kind: str, *, by: str = "population") -> bytes:
    """Return the bytes of a picture, the same for equal plans.

    ``kind``: svg or png. ``by``: population or use.
    """
    return drawn(lambda: _figure(plan, by), kind)


def _figure(plan: Floorplan, by: str) -> Figure:
    from matplotlib.figure import Figure

    title = _title(plan)
    plan, low = _in_use(plan)
    width, height, depth = plan.size
    columns = min(depth, max(1, round((depth * height / width) ** 0.5)))
    lines = -(-depth // columns)
    longer = max(columns * width, lines * height)
    scale = max(min(CELL, LARGEST / longer), SMALLEST / longer)
    panel_width = width * scale + GAP
    panel_height = height * scale + GAP
    wide = columns * panel_width + LEGEND
    high = max(lines * panel_height + TITLE, LEAST_HEIGHT)
    figure = Figure(figsize=(wide, high))
    paint = _Paint(plan, by)
    for z in range(depth):
        line, column = divmod(z, columns)
        left = GAP + column * panel_width
        bottom = high - TITLE - (line + 1) * panel_height + GAP
        size = width * scale / wide, height * scale / high
        _panel(figure.add_axes((left / wide, bottom / high, *size)), plan, z, paint, scale, low)
    paint.explain(figure, (columns * panel_width + GAP + 0.1) / wide, 1 - TITLE / high)
    figure.text(GAP / wide, 1 - 0.5 * TITLE / high, title, fontsize=10, color=INK, va="center")
    return figure


def _in_use(plan: Floorplan) -> tuple[Floorplan, Point]:
    """Return the grid of the chips in use, and the place of its first cell."""
    ends = list(chain.from_iterable((link.source, link.target) for link in plan.links))
    routers = np.array(ends, dtype=np.int64).reshape(-1, AXES) * plan.router
    cores = np.array([core.at for core in plan.cores], dtype=np.int64).reshape(-1, AXES)
    cells = np.concatenate([cores, routers])
    if not len(cells):
        return plan, (0, 0, 0)
    chip = np.array(plan.chip)
    low = cells.min(axis=0) // chip * chip
    size = (cells.max(axis=0) // chip + 1) * chip - low
    if (size == plan.size).all():
        return plan, (0, 0, 0)

    def moved(at: Point, unit: tuple[int, ...] = (1, 1, 1)) -> Point:
        x, y, z = (int(k - begin // per) for k, begin, per in zip(at, low, unit, strict=True))
        return x, y, z

    def inside(points: tuple[Point, ...]) -> tuple[Point, ...]:
        kept = [at for at in points if ((at >= low) & (np.array(at) < low + size)).all()]
        return tuple(map(moved, kept))

    links = (
        replace(k, source=moved(k.source, plan.router), target=moved(k.target, plan.router))
        for k in plan.links
    )
    part = replace(
        plan,
        size=tuple(size.tolist()),
        cores=tuple(replace(core, at=moved(core.at)) for core in plan.cores),
        links=tuple(links),
        faulty=inside(plan.faulty),
        absent=inside(plan.absent),
    )
    return part, tuple(low.tolist())


def _title(plan: Floorplan) -> str:
    chips = len({core.chip for core in plan.cores})
    words = [f"{len(plan.cores)} core{_s(len(plan.cores))} on {chips} chip{_s(chips)}"]
    if plan.cost is not None:
        words.append(f"traffic × distance {plan.cost:,.0f}")
    if plan.size != plan.chip:
        words.append(f"grid {' x '.join(map(str, plan.size))}, chips in use shown")
    if plan.links:
        words.append(f"busiest link {max(link.load for link in plan.links):,.4g}")
    return ", ".join(words)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


class _Paint:
    """The colours, and their legend."""

    def __init__(self, plan: Floorplan, by: str) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        self.plan = plan
        self.by = by
        parts = chain.from_iterable(core.parts for core in plan.cores)
        self.names = list(dict.fromkeys(part.population for part in parts))
        distinct = len(self.names) <= 10
        wheel = colormaps["tab10" if distinct else "turbo"]
        spread = range(len(self.names)) if distinct else np.linspace(0.05, 0.95, len(self.names))
        colors = [_lighter(wheel(at)) for at in spread]
        self.of_name = dict(zip(self.names, colors, strict=True))
        self.use = colormaps["YlGn"]
        self.heat = colormaps["Greys"]
        self.busiest = max((link.load for link in plan.links), default=0.0) or 1.0
        self.loads = Normalize(0, self.busiest)

    def shares(self, core: Core) -> list[tuple[Color, float]]:
        """Return the colours of the core from left to right, and the share of each."""
        if self.by == "use" or not core.parts:
            return [(self.use(0.65 * min(load(core, self.plan), 1.0)), 1.0)]
        total = sum(part.neurons for part in core.parts)
        parts = parts_by_size(core)
        return [(self.of_name[part.population], part.neurons / total) for part in parts]

    def line(self, load: float) -> Color:
        color: Color = self.heat(LIGHTEST + (1 - LIGHTEST) * self.loads(load))
        return color

    def explain(self, figure: Figure, left: float, top: float) -> None:
        """Draw legend and colour bars, from ``left`` and ``top`` (shares of the figure)."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.patches import Patch

        wide, high = figure.get_size_inches()
        handles = []
        if self.by == "population":
            named = self.names[:MOST_NAMED]
            handles = [Patch(color=self.of_name[name], label=_short(name)) for name in named]
            if (more := len(self.names) - MOST_NAMED) > 0:
                handles.append(Patch(color="white", label=f"and {more} more"))
        handles.append(Patch(facecolor=FREE, edgecolor=FAINT, label="free"))
        if self.plan.faulty:
            handles.append(Patch(facecolor=BROKEN, edgecolor=INK, hatch="xxxx", label="faulty"))
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(left, top),
            frameon=False,
            borderaxespad=0,
        )
        bars = []
        if self.by == "use":
            colors = ScalarMappable(Normalize(0, 100), _part(self.use, 0.0, 0.65))
            bars.append((colors, "scarcest resource in use, %"))
        if self.plan.links:
            colors = ScalarMappable(self.loads, _part(self.heat, LIGHTEST, 1.0))
            bars.append((colors, "load of a link"))
        at = top - (ROW * len(handles) + 0.3) / high
        for colors, label in bars:
            axes = figure.add_axes((left + 0.1 / wide, at, 1.5 / wide, 0.12 / high))
            bar = figure.colorbar(colors, cax=axes, orientation="horizontal", label=label)
            bar.ax.tick_params(labelsize=7)
            bar.ax.locator_params(nbins=4)
            bar.outline.set_visible(False)
            at -= 0.7 / high


def _part(colors: Any, low: float, high: float) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(colors(np.linspace(low, high, 256)))


def _lighter(color: Color) -> Color:
    """Return a lighter colour, on which lines and letters are visible."""
    r, g, b = (0.35 + 0.65 * k for k in color[:3])
    return r, g, b, 1.0


def _short(name: str) -> str:
    return (name if len(name) <= 24 else f"{name[:21]}...").replace("$", r"\$")


def _panel(axes: Axes, plan: Floorplan, z: int, paint: _Paint, scale: float, low: Point) -> None:
    width, height, depth = plan.size
    small = width * height <= MOST_DRAWN
    (_squares if small else _raster)(axes, plan, z, paint)
    _borders(axes, plan, scale)
    (_lines if small else _summed_lines)(axes, plan, z, paint, scale)
    axes.set_xlim(-0.5 - EDGE, width - 0.5 + EDGE)
    axes.set_ylim(-0.5 - EDGE, height - 0.5 + EDGE)
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=7, labelcolor="#777777")
    across = _ticks(width, plan.chip[0])
    up = _ticks(height, plan.chip[1])
    axes.set_xticks(across, [str(low[0] + x) for x in across])
    axes.set_yticks(up, [str(low[1] + y) for y in up])
    if depth > 1:
        axes.set_title(f"z = {low[2] + z}", fontsize=8, color=INK, pad=3)


def _ticks(cells: int, chip: int) -> list[int]:
    step = 1 if cells <= 16 else max(chip, -(-cells // 12 // chip) * chip)
    return list(range(0, cells, step))


def _squares(axes: Axes, plan: Floorplan, z: int, paint: _Paint) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    width, height, _ = plan.size
    used = {core.at: core for core in plan.cores if core.at[2] == z}
    hidden = {at for at in (*plan.absent, *plan.faulty) if at[2] == z}
    patches = []
    colors = []
    for at in ((x, y, z) for y, x in np.ndindex(height, width)):
        for left, share, color in _stripes(at, used, hidden, paint):
            patches.append(Rectangle((left, at[1] - 0.46), share, 0.92))
            colors.append(color)
    axes.add_collection(PatchCollection(patches, facecolors=colors, linewidths=0))
    faulty = [at for at in plan.faulty if at[2] == z]
    broken = [Rectangle((x - 0.46, y - 0.46), 0.92, 0.92) for x, y, _ in faulty]
    style: dict[str, Any] = {"edgecolors": INK, "hatch": "xxxx", "linewidths": 0}
    axes.add_collection(PatchCollection(broken, facecolors=[BROKEN], **style))
    if width * height <= MOST_LABELLED:
        for (x, y, _), core in used.items():
            label = f"{load(core, plan):.0%}"
            axes.text(x - 0.42, y + 0.43, label, va="top", size=5.5, color=INK)


def _stripes(
    at: Point, used: dict[Point, Core], hidden: set[Point], paint: _Paint
) -> Iterator[tuple[float, float, Color]]:
    """Yield left edge, width and colour of the stripes of a cell, none for a hidden cell."""
    if at in hidden:
        return
    left = at[0] - 0.46
    for color, share in paint.shares(used[at]) if at in used else [(FREE, 1.0)]:
        yield left, 0.92 * share, color
        left += 0.92 * share


def _raster(axes: Axes, plan: Floorplan, z: int, paint: _Paint) -> None:
    width, height, _ = plan.size
    image = np.full((height, width, 4), FREE)
    for core in plan.cores:
        if core.at[2] == z:
            image[core.at[1], core.at[0]] = max(paint.shares(core), key=lambda pair: pair[1])[0]
    for points, color in (
        (plan.absent, (1.0, 1.0, 1.0, 1.0)),
        (plan.faulty, (0.35, 0.35, 0.35, 1.0)),
    ):
        for x, y, at_z in points:
            if at_z == z:
                image[y, x] = color
    axes.imshow(image, origin="lower", interpolation="nearest")


def _borders(axes: Axes, plan: Floorplan, scale: float) -> None:
    """Draw the borders of chips as a grid of lines."""
    width, height, _ = plan.size
    style: dict[str, Any] = {"colors": "#666666", "linewidth": min(1.4, max(0.5, 3.5 * scale))}
    axes.vlines(np.arange(0, width + 1, plan.chip[0]) - 0.5, -0.5, height - 0.5, **style)
    axes.hlines(np.arange(0, height + 1, plan.chip[1]) - 0.5, -0.5, width - 0.5, **style)


def _lines(axes: Axes, plan: Floorplan, z: int, paint: _Paint, scale: float) -> None:
    """Draw each link at the right of its direction. A link that wraps around has two stubs."""
    segments: list[Any] = []
    loads: list[float] = []
    upright = []
    for link in sorted(plan.links, key=lambda link: link.load):
        if link.source[2] != z:
            continue
        a = _middle(link.source, plan)
        b = _middle(link.target, plan)
        if link.target[2] != z:
            upright.append((a, link))
            continue
        step = b - a
        along = step / max(float(np.abs(step).max()), 1e-9)
        aside = 0.1 * np.array([along[1], -along[0]])
        reach = 1.6 * max(plan.router[:2])
        if np.abs(step).max() > max(
            reach, *(1.6 * (c if c < s else 0) for c, s in zip(plan.chip, plan.size, strict=True))
        ):
            segments += [(a + aside, a + aside - 0.6 * along), (b + aside + 0.6 * along, b + aside)]
            loads += [link.load, link.load]
        else:
            inset = 0.16 * along
            segments.append((a + aside + inset, b + aside - inset))
            loads.append(link.load)
    _draw(axes, segments, loads, paint, 0.08 * POINTS * min(scale, CELL))
    for a, link in upright:
        up = link.target[2] > z
        axes.plot(
            a[0] + 0.3,
            a[1] + (0.3 if up else -0.3),
            marker="^" if up else "v",
            color=paint.line(link.load),
            markersize=14 * min(scale, CELL),
            markeredgewidth=0,
        )


def _summed_lines(axes: Axes, plan: Floorplan, z: int, paint: _Paint, scale: float) -> None:
    """Draw the sum of both directions between neighbouring chips, on a separate scale."""
    between: dict[tuple[Point, Point], float] = defaultdict(float)
    for link in plan.links:
        a = _chip_of(link.source, plan)
        b = _chip_of(link.target, plan)
        if a != b and a[2] == b[2] == z // plan.chip[2] and link.source[2] * plan.router[2] == z:
            between[min(a, b), max(a, b)] += link.load
    if not between:
        return
    half = np.array(plan.chip[:2]) / 2 - 0.5
    ordered = sorted(between.items(), key=lambda item: item[1])
    chip = plan.chip[:2]
    segments = [tuple(np.array(end[:2]) * chip + half for end in ends) for ends, _ in ordered]
    most = ordered[-1][1]
    loads = [load / most * paint.busiest for _, load in ordered]
    _draw(axes, segments, loads, paint, 0.25 * POINTS * min(plan.chip[:2]) * scale)


def _draw(
    axes: Axes, segments: list[Any], loads: list[float], paint: _Paint, widest: float
) -> None:
    from matplotlib.collections import LineCollection

    widths = [max(0.5, widest * (0.25 + 0.75 * paint.loads(load))) for load in loads]
    colors = [paint.line(load) for load in loads]
    axes.add_collection(
        LineCollection(segments, colors=colors, linewidths=widths, capstyle="butt", zorder=3)
    )


def _middle(router: Point, plan: Floorplan) -> npt.NDArray[np.float64]:
    """Return (2,) the middle of a router's cells on the drawing."""
    return np.array([router[k] * plan.router[k] + (plan.router[k] - 1) / 2 for k in (0, 1)])


def _chip_of(router: Point, plan: Floorplan) -> Point:
    axes = zip(router, plan.router, plan.chip, strict=True)
    x, y, z = (at * per // chip for at, per, chip in axes)
    return x, y, z
