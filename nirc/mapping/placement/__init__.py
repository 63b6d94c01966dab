"""Placement: traffic between nodes, the cells that take them, and the cost of a placement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nirc.mapping.distinct import summed
from nirc.native.loops import in_c

Ints = npt.NDArray[np.int64]

AXES = 3
MOST_NODES = 1 << 31  # node numbers are held in 32 bits
MOST_CELLS = 1 << 26
FARTHEST = 1 << 30  # positions are held in 32 bits


@dataclass(frozen=True, eq=False)
class Traffic:
    """Spikes (or any other integer measure) between nodes, both directions added.

    The arrays are compressed rows. Row v holds the neighbours of node v, in rising order, with
    ``weights`` beside them: ``neighbours[indptr[v]:indptr[v + 1]]``. Every edge is stored twice,
    once from each end. There are no loops and no parallel edges.
    ``indptr`` (nodes + 1,) int64, ``neighbours`` (2 edges,) int32, ``weights`` (2 edges,) int64,
    not negative.
    """

    nodes: int
    indptr: Ints
    neighbours: npt.NDArray[np.int32]
    weights: Ints

    @classmethod
    def from_edges(
        cls,
        nodes: int,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
    ) -> Traffic:
        """Return traffic with the edges ``src[i]`` - ``dst[i]`` of ``weight[i]`` (default 1).

        Parallel edges are added, whatever their direction. Loops and edges of weight 0 cost nothing
        anywhere and are dropped.
        Raises ``ValueError`` for arrays of other shapes or kinds, for nodes out of range, for
        negative weights, and if costs could leave 64 bits.
        """
        if not 0 <= nodes < MOST_NODES:
            raise ValueError(f"the number of nodes must lie in 0..{MOST_NODES - 1}, not {nodes}")
        sources = _integers(src, "src")
        targets = _integers(dst, "dst")
        weights = np.ones_like(sources) if weight is None else _integers(weight, "weight")
        if not sources.size == targets.size == weights.size:
            raise ValueError(
                "src, dst and weight differ in length: "
                f"{sources.size}, {targets.size}, {weights.size}"
            )
        for ends, name in ((sources, "src"), (targets, "dst")):
            if ends.size and (ends.min() < 0 or ends.max() >= nodes):
                raise ValueError(
                    f"{name} holds nodes {ends.min()} to {ends.max()}, allowed are 0 to {nodes - 1}"
                )
        if weights.size and weights.min() < 0:
            raise ValueError(f"weight holds {weights.min()}: traffic cannot be negative")
        if float(weights.sum(dtype=np.float64)) >= 2.0**53:
            raise ValueError("the weights add up to 2^53 or more")
        return cls._merged(nodes, sources, targets, weights)

    @cached_property
    def pieces(self) -> Ints:
        """(nodes,) the connected piece of each node, 0 and on by first node."""
        piece = np.full(self.nodes, -1, np.int64)
        number = 0
        for first in range(self.nodes):
            if piece[first] < 0:
                fringe = np.array([first])
                while fringe.size:
                    piece[fringe] = number
                    begin, end = self.indptr[fringe], self.indptr[fringe + 1]
                    beside = [self.neighbours[a:b] for a, b in zip(begin, end, strict=True)]
                    fringe = np.unique(np.concatenate(beside))
                    fringe = fringe[piece[fringe] < 0]
                number += 1
        return piece

    @classmethod
    def _merged(cls, nodes: int, sources: Ints, targets: Ints, weights: Ints) -> Traffic:
        """Return traffic with parallel edges added, like ``from_edges`` but without checks.

        Sums of weights are below 2^53.
        """
        kept = (sources != targets) & (weights > 0)
        low, high, weight = sources[kept], targets[kept], weights[kept]
        ends = np.concatenate([low * nodes + high, high * nodes + low])
        distinct, sums = summed(ends, nodes**2, np.concatenate([weight, weight]))
        rows, columns = np.divmod(distinct, max(nodes, 1))
        indptr = np.zeros(nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=nodes), out=indptr[1:])
        arrays = indptr, columns.astype(np.int32), sums.astype(np.int64)
        for array in arrays:
            array.setflags(write=False)
        return cls(nodes, *arrays)

    def edges(self) -> tuple[Ints, Ints, Ints]:
        """Return every edge once: (lower node, higher node, weight), each (edges,) int64."""
        low = np.repeat(np.arange(self.nodes, dtype=np.int64), np.diff(self.indptr))
        once = low < self.neighbours
        return low[once], self.neighbours[once].astype(np.int64), self.weights[once]

    def contracted(self, group: Ints, groups: int) -> Traffic:
        """Return the traffic between ``groups`` groups. ``group`` (nodes,): the group of a node."""
        low, high, weight = self.edges()
        return Traffic._merged(groups, group[low], group[high], weight)


def _integers(values: npt.ArrayLike, name: str) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must be a list of integers, not {array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "u" and array.size and array.max() >= 1 << 62:
        raise ValueError(f"{name} holds {array.max()}, which is too large")
    return array.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Cells:
    """A box of at most three axes x, y, z. Each usable point of the box, a *cell*, takes one node.

    ``positions``: for each axis (length,) rising int64, the position of each coordinate on a
    stretched ruler. The distance of two cells is the sum over the axes of the difference of
    positions. Expensive links are long steps of the ruler. The distance is the cost of a
    dimension-ordered route, in units of one hop.
    ``usable``: (cells of the box,) bool. A cell's number is x + X (y + Y z). ``tile``: the box of
    one chip, in cells.
    """

    positions: tuple[Ints, Ints, Ints]
    usable: npt.NDArray[np.bool_]
    tile: tuple[int, int, int]

    def __post_init__(self) -> None:
        if not 0 < math.prod(self.shape) <= MOST_CELLS:
            limits = f"between 1 and {MOST_CELLS} are possible"
            raise ValueError(f"a box of {self.shape} cells: {limits}")
        if self.usable.shape != (math.prod(self.shape),):
            raise ValueError(f"usable has shape {self.usable.shape}, the box {self.shape}")
        for ruler in self.positions:
            if np.any(np.diff(ruler) < 0) or ruler[-1] - ruler[0] >= FARTHEST:
                raise ValueError("positions along an axis must rise, by less than 2^30 in all")
        for array in (*self.positions, self.usable):
            array.setflags(write=False)

    @classmethod
    def mesh(
        cls, width: int, height: int = 1, depth: int = 1, *, excluded: Iterable[int] = ()
    ) -> Cells:
        """Return a plain mesh: every hop costs 1. ``excluded``: the numbers of faulty cells."""
        return cls.chips((1, 1, 1), (width, height, depth), excluded=excluded)

    @classmethod
    def chips(
        cls,
        chips: tuple[int, int, int],
        cores: tuple[int, int, int],
        *,
        chip_link: int = 1,
        board: tuple[int, int, int] | None = None,
        board_link: int | None = None,
        excluded: Iterable[int] = (),
    ) -> Cells:
        """Return a mesh of ``chips`` (x, y, z), each a mesh of ``cores`` (x, y, z).

        A step between cores of a chip costs 1, a step to the next chip ``chip_link``, a step to the
        next board ``board_link`` (default ``chip_link``). A board holds ``board`` chips
        (default: all of them). ``excluded``: the numbers of cells that cannot be used.
        Raises ``ValueError`` for sizes and costs that are not positive.
        """
        per_board = board or chips
        across = chip_link if board_link is None else board_link
        if min(*chips, *cores, *per_board) < 1 or min(chip_link, across) < 1:
            raise ValueError("chips, cores, boards and the costs of their links must be positive")
        shape = [chip * core for chip, core in zip(chips, cores, strict=True)]
        if math.prod(shape) > MOST_CELLS or max(chip_link, across) * max(shape) >= FARTHEST:
            raise ValueError(f"{shape} cells are more than {MOST_CELLS}, or their links too dear")
        x, y, z = (
            _ruler(n, core, core * chip, chip_link, across)
            for n, core, chip in zip(shape, cores, per_board, strict=True)
        )
        usable = np.ones(math.prod(shape), dtype=np.bool_)
        faulty = np.fromiter(excluded, dtype=np.int64)
        if faulty.size and (faulty.min() < 0 or faulty.max() >= usable.size):
            ends = f"{faulty.min()} to {faulty.max()}"
            raise ValueError(f"excluded cells {ends}, the box has 0 to {usable.size - 1}")
        usable[faulty] = False
        return cls((x, y, z), usable, cores)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y and z, usable or not."""
        x, y, z = self.positions
        return x.size, y.size, z.size

    @cached_property
    def count(self) -> int:
        """The number of usable cells."""
        return int(np.count_nonzero(self.usable))

    @property
    def farthest(self) -> int:
        """The distance of opposite corners."""
        return sum(int(ruler[-1] - ruler[0]) for ruler in self.positions)

    def coordinates(self, cells: npt.ArrayLike) -> Ints:
        """Map (n,) numbers of cells to (n, 3) coordinates x, y, z."""
        numbers = np.asarray(cells, dtype=np.int64)
        width, height, _ = self.shape
        rows = numbers // width
        return np.stack([numbers % width, rows % height, rows // height], axis=-1)

    def number(self, coordinates: npt.ArrayLike) -> Ints:
        """Map (n, 3) coordinates x, y, z to (n,) numbers of cells."""
        x, y, z = np.moveaxis(np.asarray(coordinates, dtype=np.int64), -1, 0)
        width, height, _ = self.shape
        return np.asarray(x + width * (y + height * z))

    def places(self, cells: npt.ArrayLike) -> Ints:
        """Map (n,) numbers of cells to (n, 3) positions on the rulers."""
        along = np.moveaxis(self.coordinates(cells), -1, 0)
        axes = [ruler[at] for ruler, at in zip(self.positions, along, strict=True)]
        return np.stack(axes, axis=-1)

    def curve(self) -> Ints:
        """Return (count,) the usable cells along a Hilbert curve, chip by chip and core by core."""
        cells = np.flatnonzero(self.usable)
        chip, core = np.divmod(self.coordinates(cells), np.array(self.tile))
        return cells[np.lexsort((hilbert(core), hilbert(chip)))]

    def snake(self) -> Ints:
        """Return (count,) the usable cells, chip by chip. Nearly every step goes to a neighbour.

        Chips follow one another to and fro along x, then y, then z. So do the columns of a chip.
        """
        cells = np.flatnonzero(self.usable)
        chip, core = np.divmod(self.coordinates(cells), np.array(self.tile))
        width, height, depth = self.tile
        columns = -(-self.shape[0] // width) * width
        rows = -(-self.shape[1] // height)
        row = chip[:, 2] * rows + _to_and_fro(chip[:, 1], chip[:, 2], rows)
        column = row * columns + _to_and_fro(chip[:, 0] * width + core[:, 0], row, columns)
        along = _to_and_fro(core[:, 1] * depth + core[:, 2], column, height * depth)
        return cells[np.lexsort((along, column))]

    def part(self, cells: Ints) -> tuple[Cells, Ints]:
        """Return ``cells`` (n,) alone, in the smallest box of chips around them.

        The second value, (cells of that box,), maps the numbers of its cells to the numbers in this
        box.
        """
        at = self.coordinates(cells)
        tile = np.array(self.tile)
        low = at.min(axis=0) // tile * tile
        high = np.minimum((at.max(axis=0) // tile + 1) * tile, self.shape)
        x, y, z = (ruler[a:b].copy() for ruler, a, b in zip(self.positions, low, high, strict=True))
        spans = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        grid = np.meshgrid(*spans, indexing="ij")
        numbers = self.number(np.stack([axis.ravel(order="F") for axis in grid], axis=-1))
        chosen = np.zeros(self.usable.size, dtype=np.bool_)
        chosen[cells] = True
        return Cells((x, y, z), chosen[numbers] & self.usable[numbers], self.tile), numbers

    def coarse(self, count: int) -> Cells:
        """Return this box in about ``count`` blocks, at least ``count`` of them usable.

        A block is a cell at the block's middle. A block is usable if its share of usable cells is
        at least a quarter of the share in this box.
        """
        if count >= self.count:
            return self
        share = count / self.count
        while True:
            rulers, blocks = self._blocks(share)
            sizes = np.bincount(blocks, minlength=math.prod(len(ruler) for ruler in rulers))
            usable_cells = np.bincount(blocks, weights=self.usable, minlength=sizes.size)
            usable = usable_cells >= np.maximum(0.25 * sizes * self.count / self.usable.size, 1)
            if np.count_nonzero(usable) >= count:
                return Cells(rulers, usable, tuple(ruler.size for ruler in rulers))  # type: ignore[arg-type]
            share *= 1.02
            if share > 1:
                return self

    def _blocks(self, share: float) -> tuple[tuple[Ints, Ints, Ints], Ints]:
        """Return the rulers of a box with about ``share`` as many cells, and each cell's block."""
        width, height, depth = _shortened(self.positions, share)
        rulers = []
        block_of = []
        for ruler, blocks in zip(self.positions, (width, height, depth), strict=True):
            block = np.arange(ruler.size) * blocks // ruler.size
            middles = [round(float(ruler[block == i].mean())) for i in range(blocks)]
            rulers.append(np.array(middles, dtype=np.int64))
            block_of.append(block)
        at = self.coordinates(np.arange(self.usable.size))
        x, y, z = (block[at[:, axis]] for axis, block in enumerate(block_of))
        return (rulers[0], rulers[1], rulers[2]), x + width * (y + height * z)


def cost(traffic: Traffic, cells: Cells, cell_of_node: npt.ArrayLike) -> int:
    """Return the sum over the edges of weight times distance. ``cell_of_node`` (nodes,)."""
    total = np.zeros(1, np.int64)
    _cost(traffic.indptr, traffic.neighbours, traffic.weights, cells.places(cell_of_node), total)
    return int(total[0])


@in_c("placement_cost", "qiqqq*")
def _cost(indptr: Ints, neighbours: Any, weights: Ints, at: Ints, total: Ints) -> None:
    """Write the cost to ``total`` (1,). ``at`` (nodes, 3): positions. Each edge has two ends."""
    row = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    once = row < neighbours
    apart = np.abs(at[row[once]] - at[neighbours[once]]).sum(axis=1)
    total[0] = (weights[once] * apart).sum()


def hilbert(points: npt.ArrayLike) -> Ints:
    """Map (n, d) coordinates from 0 on to (n,) positions along a Hilbert curve.

    The curve fills the box 2^b around the points.
    Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707 (2004).
    """
    x = np.array(points, dtype=np.int64).T
    x = x[x.max(axis=1, initial=0) > 0]  # drop axes of length 1: the curve stays in one piece
    if not len(x):
        return np.zeros(x.shape[1], dtype=np.int64)
    axes = len(x)
    bits = max(int(x.max(initial=0)).bit_length(), 1)
    for bit in reversed(range(1, bits)):
        low = (1 << bit) - 1
        for axis in range(axes):
            ahead = (x[axis] >> bit) & 1 == 1
            swap = np.where(ahead, 0, (x[0] ^ x[axis]) & low)
            x[0] = np.where(ahead, x[0] ^ low, x[0]) ^ swap
            x[axis] ^= swap
    for axis in range(1, axes):
        x[axis] ^= x[axis - 1]
    flip = np.zeros_like(x[0])
    for bit in reversed(range(1, bits)):
        flip ^= np.where((x[-1] >> bit) & 1 == 1, (1 << bit) - 1, 0)
    x ^= flip
    place: Ints = np.zeros_like(x[0])
    for bit in reversed(range(bits)):
        for axis in range(axes):
            place = place << 1 | (x[axis] >> bit) & 1
    return place


def _to_and_fro(at: Ints, line: Ints, length: int) -> Ints:
    """Return the places ``at`` of a line, counted from its far end if ``line`` is odd."""
    return np.where(line % 2 == 1, length - 1 - at, at)


def _ruler(length: int, chip: int, board: int, chip_link: int, board_link: int) -> Ints:
    """Return the positions along an axis. ``chip``, ``board``: their lengths in cells."""
    step = np.arange(1, length)
    price = np.where(step % board == 0, board_link, np.where(step % chip == 0, chip_link, 1))
    return np.concatenate([[0], np.cumsum(price)]).astype(np.int64)


def _shortened(rulers: Sequence[Ints], share: float) -> tuple[int, int, int]:
    """Return the lengths of a box with a ``share`` of the cells. Axes of short steps lose first."""
    lengths = [float(ruler.size) for ruler in rulers]
    cells = share * math.prod(lengths)
    extent = [float(ruler[-1] - ruler[0]) or 1.0 for ruler in rulers]
    while math.prod(lengths) > max(cells, 1.0):
        steps = [e / n if n > 1 else math.inf for e, n in zip(extent, lengths, strict=True)]
        axis = steps.index(min(steps))
        lengths[axis] = max(1.0, lengths[axis] * 0.99)
    x, y, z = (max(1, round(length)) for length in lengths)
    return x, y, z
