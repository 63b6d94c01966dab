"""Nodes in a line: ranges of the line join few other ranges."""

import numpy as np
import pytest

from nirc.mapping.partition import regroup
from nirc.mapping.partition.boxes import Ints
from nirc.mapping.partition.hypergraph import hypergraph
from nirc.mapping.partition.lines import best_line

SIDE, REACH, RANGE = 16, 1, 32


def joined(order: Ints, one: Ints, other: Ints) -> int:
    """Return the number of pairs of ranges with a synapse between them."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) // RANGE
    return len(np.unique(place[one] * len(order) + place[other]))


@pytest.mark.parametrize("seed", range(3))
def test_stripes_of_a_shuffled_sheet_join_as_few_others_as_its_rows(seed: int) -> None:
    n = SIDE * SIDE
    y, x = np.divmod(np.arange(n), SIDE)
    near = (abs(y[:, None] - y) <= REACH) & (abs(x[:, None] - x) <= REACH)
    number = np.random.default_rng(seed).permutation(n)
    one, other = (number[ends] for ends in np.nonzero(near))
    graph = hypergraph(one, other, np.ones(n, np.int64), np.ones((n, 1), np.int64))
    found = best_line(graph, lambda order: joined(order, one, other), seed=seed)
    assert found is not None
    assert sorted(found.tolist()) == list(range(n))
    assert joined(found, one, other) <= joined(number, one, other)
    assert joined(found, one, other) < 0.5 * joined(np.arange(n), one, other)


def test_nodes_without_neighbours_are_in_the_line_too() -> None:
    none = np.zeros(0, np.int64)
    graph = hypergraph(none, none, np.ones(9, np.int64), np.ones((9, 1), np.int64))
    found = best_line(graph, lambda _: 0)
    assert found is not None
    assert sorted(found.tolist()) == list(range(9))


def test_clusters_with_too_many_neighbours_get_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    each = np.arange(30)
    graph = hypergraph(
        np.repeat(each, 30), np.tile(each, 30), np.ones(30, np.int64), np.ones((30, 1), np.int64)
    )
    monkeypatch.setattr(regroup, "MOST_PAIRS", 100)
    assert best_line(graph, lambda _: 0) is None
