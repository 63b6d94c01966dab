"""What a part takes of a core, against the rows that Intel's partitioner printed (sheet 1.2,
lava-dl's tutorials).
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.backends.loihi2.cores import RESOURCES, cores_of, row_words
from nirc.backends.loihi2.limits import OHEO_GULCH
from nirc.mapping.partition import (
    Population,
    Problem,
    Projection,
    dense,
    one_to_one,
    partition,
    sparse,
    window,
)


def layers(*shapes: tuple[int, ...], inputs_on_core: bool = True) -> Problem:
    """Dense layers one after the other."""
    populations = [
        Population(f"l{i}", s, 0.1, on_core=inputs_on_core or i > 0) for i, s in enumerate(shapes)
    ]
    chain = [Projection(i, i + 1, dense(shapes[i], shapes[i + 1])) for i in range(len(shapes) - 1)]
    return Problem(tuple(populations), tuple(chain))


def pilotnet() -> Problem:
    """PilotNet as an SNN, input layer included (tutorials/lava/lib/dl/netx/pilotnet_snn)."""
    maps = [(3, 66, 200), (24, 32, 99), (36, 15, 49), (48, 7, 24), (64, 4, 22), (64, 2, 20)]
    steps = [
        ((2, 2), (0, 0)),
        ((2, 2), (0, 0)),
        ((2, 2), (0, 0)),
        ((2, 1), (1, 0)),
        ((1, 1), (0, 0)),
    ]
    flat = [(100,), (50,), (10,), (1,)]
    shapes = [*maps, *flat]
    populations = tuple(Population(f"l{i}", s, 0.1) for i, s in enumerate(shapes))
    reaches = [
        window(a, b, (3, 3), stride=s, padding=p)
        for a, b, (s, p) in zip(maps[:-1], maps[1:], steps, strict=True)
    ]
    reaches += [dense(a, b) for a, b in zip(shapes[5:-1], flat, strict=True)]
    return Problem(
        populations, tuple(Projection(i, i + 1, reach) for i, reach in enumerate(reaches))
    )


def took(problem: Problem, population: int, box: tuple[tuple[int, int], ...]) -> dict[str, int]:
    cost = cores_of(problem, OHEO_GULCH).cost(population, np.array([box]))[0]
    return {
        name.removesuffix(" of a core"): int(x) for name, x in zip(RESOURCES, cost, strict=True)
    }


@pytest.mark.parametrize(
    ("sources", "targets", "rows"),
    [
        (10, 1, 10),
        (50, 10, 200),
        (100, 50, 1600),
        (200, 85, 5400),
        (256, 100, 8192),
        (2560, 8, 7680),
        (784, 50, 12544),
    ],
)
def test_dense_rows_of_the_logs_are_estimated_from_above(
    sources: int, targets: int, rows: int
) -> None:
    """The logs print 10, 150, 1300 to 1500, 5400, 8064, 7253 (8.3 on average) and 9408 words."""
    cost = took(layers((sources,), (targets,)), 1, ((0, targets), (0, 1), (0, 1)))
    assert (cost["input axons"], cost["axon maps"], cost["synapse memory"]) == (
        sources,
        targets,
        rows,
    )


def test_kernels_are_counted_once_for_a_core() -> None:
    """64 x 64 x 3 x 3 weights of 8 bits are 4608 words (log: 2880, at 5 bits); a fourth of the
    channels, 1152.
    """
    problem = pilotnet()
    assert took(problem, 5, ((0, 64), (0, 2), (0, 16)))["synapse memory"] == 4608
    assert took(problem, 5, ((0, 16), (0, 2), (0, 16)))["synapse memory"] == 1152
    assert took(problem, 1, ((0, 24), (0, 32), (0, 4)))["synapse memory"] == 81  # as in the log
    five_bits = cores_of(problem, OHEO_GULCH, weight_bits=5).cost(
        5, np.array([[(0, 64), (0, 2), (0, 16)]])
    )
    assert five_bits[0, RESOURCES.index("synapse memory of a core")] == 2880


def test_lists_of_synapses_take_their_own_rows() -> None:
    pre, post = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 3])
    problem = Problem(
        (Population("a", (3,)), Population("b", (4,))),
        (Projection(0, 1, sparse((3,), (4,), pre, post)), Projection(1, 1, one_to_one((4,)))),
    )
    cost = took(problem, 1, ((0, 4), (0, 1), (0, 1)))
    assert cost["synapse memory"] == 2 + 1 + 4  # 4 x 20 + 12 bits, 20 + 12 bits, four of those
    assert cost["input axons"] == 2 + 4


def test_shared_memory_is_the_sum_of_all_entries() -> None:
    cost = took(layers((100,), (50,)), 1, ((0, 50), (0, 1), (0, 1)))
    assert cost["shared memory"] == 6 * (50 + 100 + 50) + 8 * 1600


def test_published_networks_take_no_more_cores_than_published() -> None:
    """PilotNet 74, MNIST 5, Oxford 5: there, tiles are halved until they fit, and each layer has
    its own cores.
    """
    found = {
        name: partition(problem, cores_of(problem, OHEO_GULCH))
        for name, problem in (
            ("pilotnet", pilotnet()),
            ("mnist", layers((784,), (128,), (64,), (10,), inputs_on_core=False)),
            ("oxford", layers((200,), (256,), (200,), inputs_on_core=False)),
        )
    }
    counts = {name: p.count for name, p in found.items()}
    assert counts["pilotnet"] <= 74
    assert counts["mnist"] <= 5
    assert counts["oxford"] <= 5


def test_a_row_of_synapses_takes_64_bit_words() -> None:
    """20 bits a synapse, and 12 for the axon."""
    assert row_words(np.arange(7)).tolist() == [0, 1, 1, 2, 2, 2, 3]
