"""The cells of one or many chips, and the cost of a route between two cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nirc.mapping.traffic import Traffic

Ints = npt.NDArray[np.int64]
AXES = 3
MOST_CELLS = 1 << 26
FARTHEST = 1 << 30  # positions are held in 32 bits


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
            raise ValueError(
                f"a box of {self.shape} cells: between 1 and {MOST_CELLS} are possible"
            )
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
        hop: int = 1,
        chip_link: int = 1,
        board: tuple[int, int, int] | None = None,
        board_link: int | None = None,
        excluded: Iterable[int] = (),
    ) -> Cells:
        """Return a mesh of ``chips`` (x, y, z), each a mesh of ``cores`` (x, y, z).

        A step between cores of a chip costs ``hop``, a step to the next chip ``chip_link``, a step
        to the next board ``board_link`` (default ``chip_link``). A board holds ``board`` chips
        (default: all of them). ``excluded``: the numbers of cells that cannot be used.
        Raises ``ValueError`` for sizes and costs that are not positive.
        """
        per_board = board or chips
        across = chip_link if board_link is None else board_link
        if min(*chips, *cores, *per_board) < 1 or min(hop, chip_link, across) < 1:
            raise ValueError("chips, cores, boards and the costs of their links must be positive")
        shape = [chip * core for chip, core in zip(chips, cores, strict=True)]
        if math.prod(shape) > MOST_CELLS or max(hop, chip_link, across) * max(shape) >= FARTHEST:
            raise ValueError(f"{shape} cells are more than {MOST_CELLS}, or their links too dear")
        x, y, z = (
            _ruler(n, core, core * chip, (hop, chip_link, across))
            for n, core, chip in zip(shape, cores, per_board, strict=True)
        )
        usable = np.ones(math.prod(shape), dtype=np.bool_)
        faulty = np.fromiter(excluded, dtype=np.int64)
        if faulty.size and (faulty.min() < 0 or faulty.max() >= usable.size):
            raise ValueError(
                f"excluded cells {faulty.min()} to {faulty.max()}, the box has 0 to "
                f"{usable.size - 1}"
            )
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
        return np.stack(
            [numbers % width, numbers // width % height, numbers // (width * height)], axis=-1
        )

    def number(self, coordinates: npt.ArrayLike) -> Ints:
        """Map (n, 3) coordinates x, y, z to (n,) numbers of cells."""
        x, y, z = np.moveaxis(np.asarray(coordinates, dtype=np.int64), -1, 0)
        width, height, _ = self.shape
        return np.asarray(x + width * (y + height * z))

    def places(self, cells: npt.ArrayLike) -> Ints:
        """Map (n,) numbers of cells to (n, 3) positions on the rulers."""
        at = self.coordinates(cells)
        return np.stack(
            [ruler[at[..., axis]] for axis, ruler in enumerate(self.positions)], axis=-1
        )

    def curve(self) -> Ints:
        """Return (count,) the usable cells along a Hilbert curve, chip by chip and core by core."""
        cells = np.flatnonzero(self.usable)
        chip, core = np.divmod(self.coordinates(cells), np.array(self.tile))
        return cells[np.lexsort((hilbert(core), hilbert(chip)))]

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
        grid = np.meshgrid(
            *(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"
        )
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
        lengths = _shortened(self.positions, share)
        maps = [np.arange(n) * short // n for n, short in zip(self.shape, lengths, strict=True)]
        rulers = tuple(
            _block_middles(ruler, to, short)
            for ruler, to, short in zip(self.positions, maps, lengths, strict=True)
        )
        at = self.coordinates(np.arange(self.usable.size))
        x, y, z = (to[at[:, axis]] for axis, to in enumerate(maps))
        return rulers, x + lengths[0] * (y + lengths[1] * z)  # type: ignore[return-value]


def cost(traffic: Traffic, cells: Cells, cell_of_node: npt.ArrayLike) -> int:
    """Return the sum over the edges of weight times distance. ``cell_of_node`` (nodes,)."""
    low, high, weight = traffic.edges()
    at = cells.places(cell_of_node)
    return int((weight * np.abs(at[low] - at[high]).sum(axis=1)).sum())


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


def _block_middles(ruler: Ints, block: Ints, blocks: int) -> Ints:
    """Return (blocks,) the mean position of each block. ``block`` (length,): of a coordinate."""
    return np.array([round(float(ruler[block == i].mean())) for i in range(blocks)], dtype=np.int64)


def _ruler(length: int, core: int, board: int, costs: tuple[int, int, int]) -> Ints:
    step = np.arange(1, length)
    hop, chip_link, board_link = costs
    price = np.where(step % board == 0, board_link, np.where(step % core == 0, chip_link, hop))
    return np.concatenate([[0], np.cumsum(price)]).astype(np.int64)


def _shortened(rulers: Sequence[Ints], share: float) -> list[int]:
    """Return the lengths of a box with a ``share`` of the cells. Axes of short steps lose first."""
    lengths = [float(ruler.size) for ruler in rulers]
    wanted = share * math.prod(lengths)
    extent = [float(ruler[-1] - ruler[0]) or 1.0 for ruler in rulers]
    while math.prod(lengths) > wanted:
        axis = min(
            range(AXES), key=lambda a: extent[a] / lengths[a] if lengths[a] > 1 else math.inf
        )
        lengths[axis] = max(1.0, lengths[axis] * 0.99)
    return [max(1, round(length)) for length in lengths]
