"""Structure answers for whole boxes what its synapses say one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.partition import dense, one_to_one, sparse, window
from nirc.mapping.partition.boxes import Mosaic, even_cuts, grid
from nirc.mapping.partition.reach import Blocks, Every, Relation, Window
from tests.mapping.partition.networks import reach_between, slow_pairs

SIZE = st.integers(1, 9)


@st.composite
def relations(draw: st.DrawFn) -> Relation:
    kind = draw(st.sampled_from(["every", "blocks", "window"]))
    if kind == "every":
        return Every(draw(SIZE), draw(SIZE))
    if kind == "blocks":
        groups = draw(st.integers(1, 4))
        return Blocks(groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3)), groups)
    small = st.integers(1, 4)
    return Window(
        draw(SIZE), draw(SIZE), draw(small), draw(small), draw(st.integers(-2, 5)), draw(small)
    )


def slow(relation: Relation) -> np.ndarray:
    """(n_out, n_in) who sees whom."""
    reach = np.zeros((relation.n_out, relation.n_in), bool)
    for o in range(relation.n_out):
        for i in range(relation.n_in):
            if isinstance(relation, Window):
                taps = range(relation.kernel)
                reach[o, i] = any(
                    i == o * relation.stride - relation.padding + relation.dilation * t
                    for t in taps
                )
            elif isinstance(relation, Blocks):
                reach[o, i] = (
                    i * relation.groups // relation.n_in == o * relation.groups // relation.n_out
                )
            else:
                reach[o, i] = True
    return reach


@settings(max_examples=200)
@given(relations())
def test_ranges_are_counted_as_their_coordinates_are(relation: Relation) -> None:
    table = slow(relation)
    ends = [(a, b) for a in range(relation.n_out + 1) for b in range(a, relation.n_out + 1)]
    start, stop = np.array(ends).T
    seen = [table[a:b].any(axis=0) for a, b in ends]
    assert relation.count(start, stop).tolist() == [int(s.sum()) for s in seen]
    assert relation.pairs(start, stop).tolist() == [int(table[a:b].sum()) for a, b in ends]


@settings(max_examples=200)
@given(relations(), st.data())
def test_every_coordinate_hits_the_ranges_that_it_reaches(
    relation: Relation, data: st.DataObject
) -> None:
    inner = data.draw(st.sets(st.integers(1, relation.n_out)))
    cuts = np.array(sorted({0, relation.n_out} | inner))
    hits, table = relation.hits(cuts), slow(relation)
    for i in range(relation.n_in):
        c = hits.of[i]
        ranges = [k for k, (a, b) in enumerate(pairwise(cuts)) if table[a:b, i].any()]
        assert hits.ids[hits.first[c] : hits.first[c + 1]].tolist() == ranges


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_a_box_is_reached_by_the_sources_of_its_synapses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = (tuple(int(n) for n in rng.integers(1, 5, 3)) for _ in range(2))
    reach = reach_between(rng, source, source if rng.random() < 0.3 else target)
    shape = reach.target_shape
    pairs = slow_pairs(reach)
    numbers = np.arange(np.prod(shape)).reshape(shape)
    boxes = grid([even_cuts(n, int(rng.integers(1, n + 1))) for n in shape])
    for box, axons, synapses in zip(boxes, reach.axons(boxes), reach.synapses(boxes), strict=True):
        inside = set(numbers[tuple(slice(a, b) for a, b in box)].ravel().tolist())
        into = [i for i, o in pairs if o in inside]
        assert (axons, synapses) == (len(set(into)), len(into))


def test_a_dense_layer_of_millions_costs_nothing_to_ask() -> None:
    reach = dense((2048, 64, 64), (1_000_000,))
    assert reach.axons(np.array([[(0, 10), (0, 1), (0, 1)]])).tolist() == [2048 * 64 * 64]


def test_shapes_may_have_fewer_axes() -> None:
    assert one_to_one((4,)).target_shape == (4, 1, 1)
    assert window((2, 10), (3, 8), (3,)).axons(np.array([[(0, 1), (0, 2), (0, 1)]])).tolist() == [
        2 * 4
    ]


@pytest.mark.parametrize("boxes", [[(0, 2), (2, 3)], [(0, 3), (2, 4)], [(0, 5)], [(0, 4), (4, 4)]])
def test_parts_that_are_no_partition_are_refused(boxes: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="part"):
        Mosaic.of((4, 1, 1), np.array([[b, (0, 1), (0, 1)] for b in boxes]))


def test_synapses_that_name_no_neuron_are_refused() -> None:
    with pytest.raises(ValueError, match="names neurons 0 to 4 of 4"):
        sparse((4,), (4,), [0, 4], [0, 0])
