"""Routers and the directed links between them, as arrays: meshes, tori and triangular grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nirc.native.loops import in_c

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
IntsLike = npt.ArrayLike

# The steps of each axis along (x, y, z). Direction d < axes goes forward along axis d, d + axes
# goes backward.
GRID = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
TRIANGLE = ((1, 0, 0), (1, 1, 0), (0, 1, 0))
NAMES = {1: "EW", 2: "ENWS", 3: ("E", "N", "U", "W", "S", "D")}
TRIANGLE_NAMES = ("E", "NE", "N", "W", "SW", "S")


@dataclass(frozen=True, eq=False)
class LinkGraph:
    """Routers on a regular grid and the links that work. All arrays are read-only.

    Router ``x + width * (y + height * z)`` has the coordinates (x, y, z). Links are numbered by
    source router, then direction. A faulty router keeps its id and has no links. ``cost``: of one
    message over the link, in any unit. ``capacity``: the most load of the link, in the unit of the
    traffic's weight (inf: unknown).
    """

    size: tuple[int, int, int]  # routers along x, y, z
    wraps: bool  # a torus: the last router of each row is linked with the first
    triangular: bool
    source: Ints  # (links,) router
    target: Ints  # (links,) router
    direction: Ints  # (links,) index into direction_names
    cost: Floats  # (links,)
    capacity: Floats  # (links,)
    works: npt.NDArray[np.bool_]  # (routers,) False: faulty
    outgoing: Ints  # (routers, directions) link that leaves the router in this direction, -1: none
    incoming: Ints  # (routers, directions) link that enters the router in this direction, -1: none
    steps: Ints  # (axes, 3) change of x, y, z by one step forward along each axis

    def __post_init__(self) -> None:
        for name in ("cost", "capacity"):
            values = getattr(self, name)
            if values.shape != self.source.shape or not (values > 0).all():
                count = self.source.size
                raise ValueError(f"{name} needs one number above 0 for each of the {count} links")
        for values in vars(self).values():
            if isinstance(values, np.ndarray):
                values.setflags(write=False)

    @property
    def routers(self) -> int:
        """The number of routers, faulty routers included."""
        return self.size[0] * self.size[1] * self.size[2]

    @property
    def direction_names(self) -> tuple[str, ...]:
        """The names of the n directions. The opposite of direction d is d + n / 2 modulo n."""
        return TRIANGLE_NAMES if self.triangular else tuple(NAMES[len(self.steps)])

    @property
    def coordinates(self) -> Ints:
        """(routers, 3) int32: x, y, z of each router."""
        return _coordinates(self.size)

    def hops(self, source: IntsLike, target: IntsLike) -> Ints:
        """Return (pairs,) int32: the fewest links from source to target routers, faults ignored."""
        pairs = np.broadcast_arrays(np.asarray(source, np.int32), np.asarray(target, np.int32))
        a, b = (np.ascontiguousarray(ends).ravel() for ends in pairs)
        hops = np.empty(a.size, np.int32)
        _all_hops(a, b, np.array(self.size, np.int64), self.wraps, self.triangular, hops)
        return hops.reshape(pairs[0].shape)

    def with_borders(
        self,
        tile: tuple[int, ...],
        *,
        cost: float | Sequence[float],
        capacity: float | Sequence[float] = np.inf,
    ) -> LinkGraph:
        """Return this graph with another cost and capacity of the links between tiles.

        Tiles are the chips of a board, for example. ``tile``: routers of a tile along x, y (and z).
        ``cost`` and ``capacity``: one number, or one per axis.
        """
        if any(t < 1 for t in tile) or len(tile) > 3:
            raise ValueError(f"a tile has one to three sizes of at least 1, not {tile}")
        here = self.coordinates[self.source, : len(tile)]
        step = np.concatenate([self.steps, -self.steps])[self.direction, : len(tile)]
        # ``here + step`` is not wrapped around, so a torus of one tile crosses a border, too.
        crosses = (here // np.array(tile) != (here + step) // np.array(tile)).any(axis=1)
        axes = len(self.steps)
        across = _per_link(cost, axes, self.direction)
        most = _per_link(capacity, axes, self.direction)
        return replace(
            self,
            cost=np.where(crosses, across, self.cost),
            capacity=np.where(crosses, most, self.capacity),
        )


def mesh(
    width: int,
    height: int,
    depth: int = 1,
    *,
    wraps: bool = False,
    triangular: bool = False,
    cost: float | Sequence[float] = 1.0,
    capacity: float | Sequence[float] = np.inf,
    faulty_routers: IntsLike = (),
    faulty_links: IntsLike = (),
) -> LinkGraph:
    """Return routers in a box, in three dimensions if ``depth`` is above 1.

    ``wraps``: a torus. ``triangular``: six directions in the plane, E, NE, N, W, SW, S, numbered 0
    to 5 as on SpiNNaker (Furber et al., "Overview of the SpiNNaker System Architecture", 2013).
    ``cost``, ``capacity``: one number, or one per axis (E, N, up, on triangles E, NE, N).
    ``faulty_links``: (n, 2) router and direction. The opposite direction stays.
    Raises ``ValueError`` for a size below 1, a triangular box, an unknown router or direction.
    """
    size = (width, height, depth)
    if min(size) < 1 or (triangular and depth > 1):
        kind = "triangular mesh" if triangular else "mesh"
        raise ValueError(f"no {kind} of {width} x {height} x {depth} routers")
    steps = np.array(TRIANGLE if triangular else GRID[: 3 if depth > 1 else 2], np.int32)
    at = _coordinates(size)
    deltas = np.concatenate([steps, -steps])
    routers, directions = len(at), len(deltas)

    there = at[:, None, :] + deltas[None]
    if wraps:  # a ring of one router has no links
        there = there % np.array(size)
        exists = (there != at[:, None, :]).any(axis=2)
    else:
        exists = ((there >= 0) & (there < np.array(size))).all(axis=2)
    to = there[..., 0] + width * (there[..., 1] + height * there[..., 2])
    works = np.ones(routers, bool)
    works[_checked(faulty_routers, (routers,), "faulty_routers")[:, 0]] = False
    cut = _checked(faulty_links, (routers, directions), "faulty_links")
    exists[cut[:, 0], cut[:, 1]] = False
    exists &= works[:, None] & works[np.where(exists, to, 0)]

    source, direction = (part.astype(np.int32) for part in np.nonzero(exists))
    target = to[source, direction].astype(np.int32)
    outgoing = np.full((routers, directions), -1, np.int32)
    incoming = np.full((routers, directions), -1, np.int32)
    outgoing[source, direction] = np.arange(source.size)
    incoming[target, direction] = np.arange(source.size)
    ends = source, target, direction
    costs, capacities = (_per_link(value, len(steps), direction) for value in (cost, capacity))
    of_links = (*ends, costs, capacities)
    return LinkGraph(size, wraps, triangular, *of_links, works, outgoing, incoming, steps)


def _coordinates(size: tuple[int, int, int]) -> Ints:
    width, height, depth = size
    ids = np.arange(width * height * depth, dtype=np.int32)
    return np.stack([ids % width, ids // width % height, ids // (width * height)], axis=1)


def _per_link(value: float | Sequence[float], axes: int, direction: Ints) -> Floats:
    per_axis = np.asarray(value, np.float64)
    if per_axis.shape not in ((), (axes,)):
        found = f"found shape {per_axis.shape}"
        raise ValueError(f"expected one number or {axes} (one per axis), {found}")
    return np.broadcast_to(per_axis, axes)[direction % axes].copy()


def _checked(ids: IntsLike, bounds: tuple[int, ...], name: str) -> Longs:
    """Return (n, columns) ``ids``, with one column for each of the ``bounds``."""
    rows = np.asarray(ids, np.int64).reshape(-1, len(bounds))
    wrong = rows[((rows < 0) | (rows >= np.array(bounds))).any(axis=1)]
    if wrong.size:
        raise ValueError(f"{name}: {wrong[0].tolist()} does not exist (limits {list(bounds)})")
    return rows


def steps_between(
    source: int, target: int, size: Longs, wraps: bool, triangular: bool
) -> tuple[int, int, int]:
    """Return signed steps along each axis of a shortest route, faults ignored.

    Of two equal directions around a ring the route takes the forward direction. On triangles a pair
    of steps E and N becomes one NE (W and S: SW). So at most two of the three numbers are not 0.
    """
    width = size[0]
    height = size[1]
    x = target % width - source % width
    y = target // width % height - source // width % height
    z = target // (width * height) - source // (width * height)
    if not wraps:
        return _triangle_steps(x, y) if triangular else (x, y, z)
    if not triangular:
        return _ring_steps(x, width), _ring_steps(y, height), _ring_steps(z, size[2])
    x = x % width
    y = y % height
    best = _triangle_steps(x, y)
    fewest = -1
    for other_x in (x, x - width):
        for other_y in (y, y - height):
            steps = _triangle_steps(other_x, other_y)
            hops = abs(steps[0]) + abs(steps[1]) + abs(steps[2])
            if fewest < 0 or hops < fewest:
                best = steps
                fewest = hops
    return best


def _ring_steps(delta: int, ring: int) -> int:
    delta = delta % ring
    return delta if 2 * delta <= ring else delta - ring


def _triangle_steps(x: int, y: int) -> tuple[int, int, int]:
    """Return the steps E, NE and N of a shortest route by x and y."""
    diagonal = 0
    if x > 0 and y > 0:
        diagonal = min(x, y)
    elif x < 0 and y < 0:
        diagonal = max(x, y)
    return x - diagonal, diagonal, y - diagonal


def hops_between(source: int, target: int, size: Longs, wraps: bool, triangular: bool) -> int:
    """Return the fewest links between two routers, faults ignored."""
    a, b, c = steps_between(source, target, size, wraps, triangular)
    return abs(a) + abs(b) + abs(c)


@in_c("hops", "iiqnni*")
def _all_hops(
    source: Ints, target: Ints, size: Longs, wraps: bool, triangular: bool, hops: Ints
) -> None:
    for i in range(source.size):
        hops[i] = hops_between(source[i], target[i], size, wraps, triangular)
