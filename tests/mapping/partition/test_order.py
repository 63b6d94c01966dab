"""New orders of neurons: only where structure is free, and only if every core still fits."""

import numpy as np
import pytest

from nirc.mapping.partition import (
    Cores,
    Partition,
    Population,
    Problem,
    Projection,
    Reach,
    Resource,
    dense,
    one_to_one,
    partition,
    sparse,
    window,
)
from nirc.mapping.partition.boxes import Boxes, Ints, volume
from nirc.mapping.partition.order import free_populations, in_order, orders

N = 120


def cores(capacity: int) -> Cores:
    def cost(_: int, boxes: Boxes) -> Ints:
        return volume(boxes)[:, None]

    return Cores((Resource("neurons", capacity),), 100, cost)


def ring(number: Ints) -> Problem:
    """Neurons on a ring, each with synapses to the three after it."""
    source = np.repeat(np.arange(N), 3)
    target = (source + np.tile([1, 2, 3], N)) % N
    reach = sparse((N,), (N,), number[source], number[target])
    return Problem((Population("ring", (N,), 1.0),), (Projection(0, 0, reach),))


def shuffled() -> tuple[Ints, Partition]:
    number = np.random.default_rng(0).permutation(N)
    return number, partition(ring(number), cores(30))


def test_a_shuffled_ring_is_cut_four_times() -> None:
    number, found = shuffled()
    fitting = []
    for changed in orders(found):
        new = np.argsort(changed[0].neurons)[number]
        assert np.sort(new).tolist() == list(range(N))
        fitting.append(in_order(found, ring(new), cores(30), changed))
    answer = fitting[-1]  # its groups are as large as the largest core of the index order
    assert answer is not None
    assert answer.traffic == 4 * 3 < found.traffic  # three neurons at each cut send on
    assert answer.count == found.count == 4


def test_groups_that_do_not_fit_are_no_answer() -> None:
    number, found = shuffled()
    changed = next(orders(found))
    assert in_order(found, ring(number), cores(25), changed) is None


A, MAP = (6,), (1, 2, 3)


@pytest.mark.parametrize(
    ("reach", "free"),
    [
        pytest.param(sparse(A, A, [0, 1], [2, 3]), [0, 1], id="a list"),
        pytest.param(dense(A, A), [], id="all to all gains nothing"),
        pytest.param(one_to_one(A), [], id="pairs stay together as they are"),
        pytest.param(window(MAP, MAP, (1, 1)), [], id="a kernel needs its map"),
    ],
)
def test_populations_with_lists_are_free(reach: Reach, free: list[int]) -> None:
    shape = MAP if reach.kind == "window" else A
    problem = Problem(
        (Population("a", shape, 1.0), Population("b", shape, 1.0)), (Projection(0, 1, reach),)
    )
    assert free_populations(problem) == free


def test_inputs_and_maps_with_lists_are_not_free() -> None:
    listed = Projection(0, 1, sparse((6,), MAP, [0, 1], [2, 3]))
    kernel = Projection(1, 1, window(MAP, MAP, (1, 1)))
    outside = Population("a", (6,), 1.0, on_core=False)
    assert free_populations(Problem((outside, Population("b", MAP)), (listed, kernel))) == []


def test_one_core_keeps_its_order() -> None:
    assert not list(orders(partition(ring(np.arange(N)), cores(N))))
