"""Against PACMAN 7.4.1 on the same tables: the same meaning, never more entries than its better
compressor.
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.spinnaker2.system import board_links
from nirc.mapping.tables.minimise import minimised
from nirc.mapping.tables.walk import differences, walk
from tests.mapping.tables.networks import Network, network
from tests.mapping.tables.pacman import BOARD, compress, require_pacman, start

pytestmark = pytest.mark.oracle
WIDTH = 8


def random_board(populations: int, seed: int) -> Network:
    """Populations of one to six slices somewhere on the board, each to all slices of three
    others.
    """
    rng = np.random.default_rng(seed)
    links = board_links(bad_chips=[(2, 3)])
    slices = rng.integers(1, 7, populations)
    population = np.repeat(np.arange(populations), slices)
    chips = np.flatnonzero(links.works)[np.sort(rng.integers(0, 47, population.size))]
    core = 1 + np.arange(population.size) % 152
    nets = []
    targets = [rng.choice(populations, 3, replace=False) for _ in range(populations)]
    for p, chip in zip(population, chips, strict=True):
        to = np.flatnonzero(np.isin(population, targets[p]))
        nets.append((int(chip), list(zip(chips[to].tolist(), core[to].tolist(), strict=True))))
    return network(links, nets, population=population, atoms=np.full(population.size, 100))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pacman_compresses_no_further(seed: int) -> None:
    require_pacman()
    made = random_board(120, seed)
    small = minimised(made.tables)
    writer = start(BOARD, WIDTH, WIDTH)
    theirs = [
        compress(made.tables, WIDTH, method, writer)[0] for method in ("pair", "ordered covering")
    ]
    assert small.key.size <= min(t.key.size for t in theirs) < made.tables.key.size
    for table in theirs:  # the walker agrees that they are right, so the two judge alike
        assert differences(table, made.tables) == []
        assert walk(table, made.nets, made.links, made.keys, made.cores) == []
