"""The chips of a system, their processing elements (PEs), and the links between chips.

Sources: SpiNNMachine 7.4.1, `version_248.py` (the board), `version_spin2.py` (quads and router),
`router.py` (links).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from nirc.backends.spinnaker2.limits import LINK_SPIKES_PER_S, PES
from nirc.mapping.floorplan import Point
from nirc.mapping.routing.links import IntsLike, LinkGraph, mesh

Ints = npt.NDArray[np.int64]

LINKS = 6  # of a chip: E, NE, N, W, SW, S
BOARD_SIDE = 8  # the 48 chips lie in a box of 8 x 8, which does not wrap around
PES_PER_QUAD = 4
# Quad x and quad y of cores 1 to 4, 5 to 8, ... Core 0 manages the chip.
QUADS_X = "77666553453412121231212123534534767665"
QUADS_Y = "65654466655566554441122333111222112233"
QUADS = list(zip(map(int, QUADS_X), map(int, QUADS_Y), strict=True))
CORES = PES_PER_QUAD * len(QUADS)  # 152, from 1. The vendor's tools use 148 of them
ROUTER = ((4, 3), (4, 4))  # places of the event router, which are no quads
# Cells of a chip along x, y and PE. Quads are numbered from 1, so cells with x or y 0 stay empty.
QUAD_MAP = (8, 7, 4)
FAULT = re.compile(r"(\d{1,2})(?:(:)(\d{1,3})|(>)([0-5]))?")


def on_board(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return True where the board, a hexagon in its box, has a chip at (x, y)."""
    column, row = np.asarray(x), np.asarray(y)
    inside = (column >= 0) & (column < BOARD_SIDE) & (row >= 0) & (row < BOARD_SIDE)
    return np.asarray(inside & (row - column <= 3) & (column - row <= 4))


def board_links(*, bad_chips: IntsLike = (), bad_links: IntsLike = ()) -> LinkGraph:
    """Return the links of a 48-chip board. Chip (x, y) is router x + 8 y.

    Places without a chip are faulty routers. ``bad_chips`` (n, 2): x, y. ``bad_links`` (n, 3): x,
    y, direction 0..5 (E, NE, N, W, SW, S), each for one direction only. Capacities are in spikes
    per second. Raises ``ValueError`` for a chip or direction that does not exist.
    """
    box = np.arange(BOARD_SIDE * BOARD_SIDE)
    absent = box[~on_board(box % BOARD_SIDE, box // BOARD_SIDE)]
    chips = np.asarray(bad_chips, np.int64).reshape(-1, 2)
    links = np.asarray(bad_links, np.int64).reshape(-1, 3)
    for x, y in np.concatenate([chips, links[:, :2]]).tolist():
        if not on_board(x, y):
            raise ValueError(f"the board has no chip ({x}, {y})")
    return mesh(
        BOARD_SIDE,
        BOARD_SIDE,
        triangular=True,
        capacity=LINK_SPIKES_PER_S,
        faulty_routers=np.concatenate([absent, router_of(chips[:, 0], chips[:, 1])]),
        faulty_links=np.stack([router_of(links[:, 0], links[:, 1]), links[:, 2]], axis=1),
    )


def chip_links() -> LinkGraph:
    """Return one chip by itself: router 0 and no links."""
    return mesh(1, 1, triangular=True)


def router_of(x: npt.ArrayLike, y: npt.ArrayLike) -> Ints:
    """Return the number of the router of chip (x, y) on a board."""
    return np.asarray(x, np.int64) + BOARD_SIDE * np.asarray(y, np.int64)


def distance(a: npt.ArrayLike, b: npt.ArrayLike) -> Ints:
    """Return the links of a shortest route between chips of a board. Diagonal links count once."""
    one, other = np.asarray(a, np.int64), np.asarray(b, np.int64)
    x = other % BOARD_SIDE - one % BOARD_SIDE
    y = other // BOARD_SIDE - one // BOARD_SIDE
    return np.where(x * y > 0, np.maximum(abs(x), abs(y)), abs(x) + abs(y))


def quad_of(core: npt.ArrayLike) -> Ints:
    """Return (..., 3) quad x, quad y and PE 0..3 of cores 1 to 152.

    Raises ``ValueError`` for other cores.
    """
    cores = np.asarray(core, np.int64)
    if ((cores < 1) | (cores > CORES)).any():
        raise ValueError(f"PEs are cores 1 to {CORES}, not {cores.min()} to {cores.max()}")
    quad, pe = np.divmod(cores - 1, PES_PER_QUAD)
    return np.concatenate([np.array(QUADS, np.int64)[quad], pe[..., None]], axis=-1)


def hops_to_router(core: npt.ArrayLike) -> Ints:
    """Return (...) steps on the mesh of quads from a core to the event router, x first, then y."""
    at = quad_of(core)
    (column, low), (_, high) = ROUTER
    return np.abs(at[..., 0] - column) + np.minimum(
        np.abs(at[..., 1] - low), np.abs(at[..., 1] - high)
    )


@dataclass(frozen=True)
class Faults:
    """Broken hardware.

    ``chips``: by number. ``cores``: (chip, core). ``links``: (chip, direction), each for one
    direction only.
    """

    chips: tuple[int, ...] = ()
    cores: tuple[tuple[int, int], ...] = ()
    links: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def parsed(text: str) -> Faults | None:
        """Parse ``9`` (a chip), ``9:17`` (a core) and ``9>2`` (a link), with commas between them.

        Return None for anything else.
        """
        chips, cores, links = [], [], []
        for word in filter(None, text.split(",")):
            match = FAULT.fullmatch(word)
            if match is None:
                return None
            chip = int(match[1])
            if not on_board(chip % BOARD_SIDE, chip // BOARD_SIDE):
                return None
            if match[3] is not None:
                cores.append((chip, int(match[3])))
            elif match[5] is not None:
                links.append((chip, int(match[5])))
            else:
                chips.append(chip)
        if not all(1 <= core <= CORES for _, core in cores):
            return None
        return Faults(tuple(chips), tuple(cores), tuple(links))


class System:
    """One chip, or a board of 48. ``chips``: those that work, from one corner along a snake."""

    def __init__(self, *, board: bool, faults: Faults | None = None) -> None:
        self.board = board
        self.faults = faults or Faults()
        self._broken: dict[int, list[int]] = defaultdict(list)
        for chip, core in self.faults.cores:
            self._broken[chip].append(core)
        self.side = BOARD_SIDE if board else 1
        if board:
            bad = [(c % BOARD_SIDE, c // BOARD_SIDE) for c in self.faults.chips]
            cut = [(c % BOARD_SIDE, c // BOARD_SIDE, d) for c, d in self.faults.links]
            self.links: LinkGraph = board_links(bad_chips=bad, bad_links=cut)
        else:
            self.links = chip_links()
        self.chips = [c for c in _snake(board=board) if c not in self.faults.chips]

    def cores(self, chip: int) -> Ints:
        """Return the usable PEs of a chip, nearest to the event router first."""
        every = np.setdiff1d(np.arange(1, CORES + 1), self._broken[chip])
        order = np.argsort(hops_to_router(every), kind="stable")
        return every[order][:PES]

    @property
    def count(self) -> int:
        """The number of PEs."""
        return sum(len(self.cores(chip)) for chip in self.chips)

    @property
    def size(self) -> Point:
        """Cells of the grid of all chips."""
        return self.side * QUAD_MAP[0], self.side * QUAD_MAP[1], QUAD_MAP[2]

    def at(self, chip: int, core: int) -> Point:
        """Return the cell of a PE."""
        x, y, z = quad_of(core).tolist()
        return (chip % BOARD_SIDE) * QUAD_MAP[0] + x, (chip // BOARD_SIDE) * QUAD_MAP[1] + y, z

    def absent(self) -> tuple[Point, ...]:
        """Return the cells that hold no PE, or a PE that works and is not for users."""
        taken = set(self.faulty())
        for chip in self.chips:
            taken.update(self.at(chip, core) for core in self.cores(chip).tolist())
        width, height, depth = map(range, self.size)
        return tuple(cell for cell in product(width, height, depth) if cell not in taken)

    def faulty(self) -> tuple[Point, ...]:
        """Return the cells of broken PEs."""
        broken = {core for core in self.faults.cores if self.board or core[0] == 0}
        if self.board:
            broken.update(product(self.faults.chips, range(1, CORES + 1)))
        return tuple(self.at(chip, core) for chip, core in sorted(broken))


def _snake(*, board: bool) -> list[int]:
    """Return chips row by row, every second row backwards.

    Neighbours in the list are neighbours on the board.
    """
    if not board:
        return [0]
    chips = []
    for y in range(BOARD_SIDE):
        row = [x + BOARD_SIDE * y for x in range(BOARD_SIDE) if on_board(x, y)]
        chips += row if y % 2 == 0 else row[::-1]
    return chips
