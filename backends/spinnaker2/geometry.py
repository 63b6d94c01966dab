"""Where things lie: the chips of a board and their links, the quads of a chip and their processing
elements (PEs).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nirc.backends.spinnaker2.limits import LINK_SPIKES_PER_S
from nirc.mapping.links import IntsLike, LinkGraph, mesh

LINKS = 6  # of a chip: E, NE, N, W, SW, S (S: SpiNNMachine 7.4.1, router.py)

# the 48 chips lie in a box of 8 x 8 without wrapping round (S: SpiNNMachine 7.4.1, version_248.py)
BOARD_SIDE = 8

PES_PER_QUAD = 4
# The quad (x, y) of cores 1 to 4, 5 to 8, ...; core 0 manages the chip (S: SpiNNMachine,
# version_spin2.py). fmt: off
QUADS = (
    (7, 6),
    (7, 5),
    (6, 6),
    (6, 5),
    (6, 4),
    (5, 4),
    (5, 6),
    (3, 6),
    (4, 6),
    (5, 5),
    (3, 5),
    (4, 5),
    (1, 6),
    (2, 6),
    (1, 5),
    (2, 5),
    (1, 4),
    (2, 4),
    (3, 4),
    (1, 1),
    (2, 1),
    (1, 2),
    (2, 2),
    (1, 3),
    (2, 3),
    (3, 3),
    (5, 1),
    (3, 1),
    (4, 1),
    (5, 2),
    (3, 2),
    (4, 2),
    (7, 1),
    (6, 1),
    (7, 2),
    (6, 2),
    (6, 3),
    (5, 3),
)
# fmt: on
CORES = PES_PER_QUAD * len(QUADS)  # 152, from 1; the vendor's tools use 148 of them
ROUTER = (
    (4, 3),
    (4, 4),
)  # no quads: the event router is there (S: version_spin2.py leaves them out)


def on_board(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether the board has a chip at (x, y): a hexagon in the box (S:

    SpiNNMachine, version_248.py).
    """
    column, row = np.asarray(x), np.asarray(y)
    inside = (column >= 0) & (column < BOARD_SIDE) & (row >= 0) & (row < BOARD_SIDE)
    return np.asarray(inside & (row - column <= 3) & (column - row <= 4))


def board_links(*, bad_chips: IntsLike = (), bad_links: IntsLike = ()) -> LinkGraph:
    """The links of a 48-chip board. Chip (x, y) is router x + 8 y; places without a chip are faulty
    routers.

    ``bad_chips`` (n, 2): x, y. ``bad_links`` (n, 3): x, y, direction 0..5 (E, NE, N, W, SW, S),
    each one way only. Capacities in spikes per second. Raises ``ValueError`` for a chip or
    direction that does not exist.
    """
    box = np.arange(BOARD_SIDE * BOARD_SIDE)
    absent = box[~on_board(box % BOARD_SIDE, box // BOARD_SIDE)]
    chips = np.asarray(bad_chips, np.int64).reshape(-1, 2)
    cut = np.asarray(bad_links, np.int64).reshape(-1, 3)
    for x, y in np.concatenate([chips, cut[:, :2]]).tolist():
        if not on_board(x, y):
            raise ValueError(f"the board has no chip ({x}, {y})")
    return mesh(
        BOARD_SIDE,
        BOARD_SIDE,
        triangular=True,
        capacity=LINK_SPIKES_PER_S,
        faulty_routers=np.concatenate([absent, router_of(chips[:, 0], chips[:, 1])]),
        faulty_links=np.stack([router_of(cut[:, 0], cut[:, 1]), cut[:, 2]], axis=1),
    )


def chip_links() -> LinkGraph:
    """One chip by itself: router 0 and no links."""
    return mesh(1, 1, triangular=True)


def router_of(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The number of the router of chip (x, y) on a board."""
    return np.asarray(x, np.int64) + BOARD_SIDE * np.asarray(y, np.int64)


def quad_of(core: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """(..., 3) quad x, quad y and PE 0..3 of cores 1 to 152.

    Raises ``ValueError`` for other cores.
    """
    cores = np.asarray(core, np.int64)
    if ((cores < 1) | (cores > CORES)).any():
        raise ValueError(f"PEs are cores 1 to {CORES}, not {cores.min()} to {cores.max()}")
    quad, pe = np.divmod(cores - 1, PES_PER_QUAD)
    return np.concatenate([np.array(QUADS, np.int64)[quad], pe[..., None]], axis=-1)


def hops_to_router(core: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """(...) steps on the chip's mesh of quads between a core and the event router, x first, then
    y.
    """
    at = quad_of(core)
    (column, low), (_, high) = ROUTER
    return np.abs(at[..., 0] - column) + np.minimum(
        np.abs(at[..., 1] - low), np.abs(at[..., 1] - high)
    )
