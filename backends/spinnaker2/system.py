"""The chips that there are, their processing elements (PEs) and links; what is broken is left
out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.spinnaker2.geometry import (
    BOARD_SIDE,
    CORES,
    board_links,
    chip_links,
    hops_to_router,
    on_board,
    quad_of,
)
from nirc.backends.spinnaker2.limits import PES
from nirc.mapping.floorplan import Point
from nirc.mapping.links import LinkGraph

Int = NDArray[np.int64]
BAD = re.compile(r"(\d{1,2})(?:(:)(\d{1,3})|(>)([0-5]))?")
QUAD_MAP = (
    8,
    7,
    4,
)  # cells of a chip along x, y and PE; quads are numbered from 1, cell 0 stays empty


@dataclass(frozen=True)
class Faults:
    """``chips``: by number.

    ``cores``: (chip, core). ``links``: (chip, direction), each one way only.
    """

    chips: tuple[int, ...] = ()
    cores: tuple[tuple[int, int], ...] = ()
    links: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def parsed(text: str) -> Faults | None:
        """``9`` a chip, ``9:17`` a core, ``9>2`` a link; several with commas.

        None if it is something else.
        """
        chips, cores, links = [], [], []
        for word in (w for w in text.split(",") if w):
            match = BAD.fullmatch(word)
            if match is None:
                return None
            chip = int(match[1])
            if match[3] is not None:
                cores.append((chip, int(match[3])))
            elif match[5] is not None:
                links.append((chip, int(match[5])))
            else:
                chips.append(chip)
        whole = all(
            on_board(c % BOARD_SIDE, c // BOARD_SIDE)
            for c in [*chips, *(c for c, _ in [*cores, *links])]
        )
        return (
            Faults(tuple(chips), tuple(cores), tuple(links))
            if whole and all(1 <= k <= CORES for _, k in cores)
            else None
        )


class System:
    """One chip, or the 48 of a board. ``chips``: those that work, from one corner along a snake."""

    def __init__(self, *, board: bool, faults: Faults) -> None:
        self.board, self.faults = board, faults
        if board:
            bad = [(c % BOARD_SIDE, c // BOARD_SIDE) for c in faults.chips]
            cut = [(c % BOARD_SIDE, c // BOARD_SIDE, d) for c, d in faults.links]
            self.links: LinkGraph = board_links(bad_chips=bad, bad_links=cut)
        else:
            self.links = chip_links()
        self.chips = [c for c in _snake(board=board) if c not in faults.chips]

    def cores(self, chip: int) -> Int:
        """Usable PEs of a chip, nearest to the event router first; the vendor's tools use 148 of
        152.
        """
        every = np.array(
            [c for c in range(1, CORES + 1) if (chip, c) not in self.faults.cores], np.int64
        )
        order = np.argsort(hops_to_router(every), kind="stable")
        return every[order][:PES]

    @property
    def count(self) -> int:
        """PEs in all."""
        return sum(len(self.cores(chip)) for chip in self.chips)

    @property
    def size(self) -> Point:
        """Cells of the whole grid."""
        side = BOARD_SIDE if self.board else 1
        return side * QUAD_MAP[0], side * QUAD_MAP[1], QUAD_MAP[2]

    def at(self, chip: int, core: int) -> Point:
        """The cell of a PE."""
        x, y, z = quad_of(core).tolist()
        return (chip % BOARD_SIDE) * QUAD_MAP[0] + x, (chip // BOARD_SIDE) * QUAD_MAP[1] + y, z

    def absent(self) -> tuple[Point, ...]:
        """Cells where no PE is."""
        here = {tuple(row) for row in quad_of(np.arange(1, CORES + 1)).tolist()}
        holes = [
            (x, y, z)
            for x in range(QUAD_MAP[0])
            for y in range(QUAD_MAP[1])
            for z in range(QUAD_MAP[2])
            if (x, y, z) not in here
        ]
        side = BOARD_SIDE if self.board else 1
        made: list[Point] = []
        for chip in range(side * side):
            x0, y0 = (chip % side) * QUAD_MAP[0], (chip // side) * QUAD_MAP[1]
            whole = self.board and not on_board(chip % side, chip // side)
            cells = [
                (x, y, z)
                for x in range(QUAD_MAP[0])
                for y in range(QUAD_MAP[1])
                for z in range(QUAD_MAP[2])
            ]
            made += [(x0 + x, y0 + y, z) for x, y, z in (cells if whole else holes)]
        return tuple(made)

    def faulty(self) -> tuple[Point, ...]:
        """Cells of broken PEs."""
        if not self.board:
            return tuple(
                self.at(0, core) for chip, core in sorted(set(self.faults.cores)) if chip == 0
            )
        broken = {
            *self.faults.cores,
            *((chip, core) for chip in self.faults.chips for core in range(1, CORES + 1)),
        }
        return tuple(self.at(chip, core) for chip, core in sorted(broken))


def _snake(*, board: bool) -> list[int]:
    """Chips row by row, every other row backwards, so that neighbours in the list are neighbours on
    the board.
    """
    if not board:
        return [0]
    made = []
    for y in range(BOARD_SIDE):
        row = [x + BOARD_SIDE * y for x in range(BOARD_SIDE) if on_board(x, y)]
        made += row if y % 2 == 0 else row[::-1]
    return made
