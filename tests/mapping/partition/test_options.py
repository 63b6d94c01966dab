"""Prescribed parts, refusals, chips that count otherwise, and the same answer twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.mapping.partition import (
    Cores,
    OversizedError,
    Population,
    Problem,
    Projection,
    Resource,
    TooManyCoresError,
    dense,
    packing,
    partition,
    search,
    sparse,
    window,
)
from nirc.mapping.partition.boxes import volume
from tests.mapping.partition.networks import chip, core_of_neurons, network, slow_pairs


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packing.ROUNDS, "normal", 3)
    monkeypatch.setattr(search, "WORK", 100_000)


def chain(*shapes: tuple[int, ...]) -> Problem:
    """Dense layers."""
    projections = [Projection(i, i + 1, dense(a, b)) for i, (a, b) in enumerate(pairwise(shapes))]
    return Problem(
        tuple(Population(f"l{i}", s, 0.1) for i, s in enumerate(shapes)), tuple(projections)
    )


ROOMY = {"neurons": 4096, "axons": 1 << 20, "synapses": 1 << 30}


class TestPinned:
    def test_the_papers_splits_of_its_convolutional_network(self) -> None:
        problem = chain((16, 16, 16), (8, 8, 8), (256,))
        pinned = {"l0": 256, "l1": 128, "l2": 16}
        found = partition(problem, chip(problem, **ROOMY, groups=1), pinned=pinned)
        for i, (parts, atoms) in enumerate(((16, 256), (4, 128), (16, 16))):
            assert volume(found.boxes[found.parts_of(i)]).tolist() == [atoms] * parts
        assert (found.count, found.proven) == (36, True)

    def test_lengths_along_the_axes_leave_a_smaller_rest(self) -> None:
        problem = chain((4, 5, 6))
        found = partition(problem, chip(problem, **ROOMY), pinned={"l0": (2, 3)})
        assert sorted(volume(found.boxes).tolist()) == [24, 24, 36, 36]

    def test_what_is_not_pinned_is_free(self) -> None:
        problem = chain((12,), (12,))
        found = partition(
            problem, chip(problem, neurons=10, axons=99, synapses=999), pinned={"l0": 5}
        )
        assert volume(found.boxes[found.parts_of(0)]).tolist() == [5, 5, 2]
        assert volume(found.boxes[found.parts_of(1)]).sum() == 12

    @pytest.mark.parametrize(
        ("pinned", "message"),
        [
            ({"nobody": 4}, "nobody"),
            ({"l0": 7}, "not always a box"),
            ({"l0": 0}, "at least one"),
            ({"l0": (1, 1, 1, 1)}, "at most three axes"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, pinned: dict[str, int], message: str) -> None:
        problem = chain((4, 5, 6))
        with pytest.raises(ValueError, match=message):
            partition(problem, chip(problem, **ROOMY), pinned=pinned)

    def test_a_prescribed_part_that_fits_no_core_is_named(self) -> None:
        problem = chain((10,), (10,))
        with pytest.raises(OversizedError) as refused:
            partition(problem, chip(problem, neurons=9, axons=10, synapses=50), pinned={"l1": 8})
        assert (
            str(refused.value)
            == "the prescribed part 0..7 x 0..0 x 0..0 of l1 needs 80 synapses, a core has 50"
        )


class TestRefusals:
    def test_all_neurons_that_no_core_holds_are_named_with_each_resource(self) -> None:
        pre, post = np.arange(40), np.repeat([0, 3], [5, 35])
        problem = Problem(
            (
                Population("in", (40,), on_core=False),
                Population("a", (6,)),
                Population("b", (2, 2, 2)),
            ),
            (
                Projection(0, 1, sparse((40,), (6,), pre, post)),
                Projection(0, 2, dense((40,), (2, 2, 2))),
            ),
        )
        with pytest.raises(OversizedError) as refused:
            partition(problem, chip(problem, neurons=9, axons=30, synapses=30))
        found = [(o.population, o.neuron, o.resource.name, o.need) for o in refused.value.oversized]
        assert found[:2] == [("a", 3, "axons", 35), ("a", 3, "synapses", 35)]
        assert found[2:] == [("b", 0, "axons", 40), ("b", 0, "synapses", 40)]
        assert "neuron 3 of a needs 35 axons, a core has 30" in str(refused.value)

    def test_too_few_cores_tell_whether_it_is_impossible(self) -> None:
        problem = chain((10,), (10,))
        with pytest.raises(TooManyCoresError) as refused:
            partition(problem, chip(problem, neurons=4, axons=99, synapses=999, count=3))
        error = refused.value
        assert (error.needed, error.available, error.bound, error.impossible) == (5, 3, 5, True)

    def test_not_found_is_not_impossible(self) -> None:
        error = TooManyCoresError(needed=7, available=5, bound=4)
        assert not error.impossible
        assert "fewer may do" in str(error)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Population("a", (0,)),
            lambda: Population("a", (2, 2, 2, 2)),
            lambda: Population("a", (3,), rate=np.ones(2)),
            lambda: Population("a", (3,), rate=-1.0),
            lambda: Problem((Population("a", (3,)), Population("a", (3,)))),
            lambda: Problem((Population("a", (3,)),), (Projection(0, 0, dense((3,), (2,))),)),
            lambda: Problem(
                (Population("a", (3,), on_core=False),), (Projection(0, 0, dense((3,), (3,))),)
            ),
            lambda: Problem((Population("a", (3,)),), (Projection(0, 1, dense((3,), (3,))),)),
            lambda: window((3, 4, 4), (4, 4, 4), (3, 3), groups=2),
        ],
    )
    def test_problems_that_contradict_themselves(self, make: object) -> None:
        with pytest.raises(ValueError):
            make()  # type: ignore[operator]


class TestChips:
    def test_spikes_within_a_core_may_cost(self) -> None:
        problem = Problem((Population("a", (4,), 0.5),), (Projection(0, 0, dense((4,), (4,))),))
        cores = chip(problem, **ROOMY)
        assert partition(problem, cores).traffic == 0
        assert partition(problem, replace(cores, local_is_free=False)).traffic == 2.0

    def test_nothing_on_cores_needs_none(self) -> None:
        problem = Problem((Population("in", (4,), on_core=False),))
        found = partition(
            problem, Cores((Resource("neurons", 1),), 5, lambda i, boxes: volume(boxes)[:, None])
        )
        assert (found.count, found.bound, found.traffic, found.nets().source.size) == (0, 0, 0, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_nets_go_from_each_part_to_all_cores_that_it_reaches(seed: int) -> None:
    problem = network(seed)
    cores = chip(problem, neurons=6, axons=999, synapses=9999)
    found = partition(problem, cores, effort="quick")
    at, nets = core_of_neurons(found), found.nets(outside=found.count)
    spikes: dict[tuple[int, int], float] = defaultdict(
        float
    )  # by part, or population of an external input
    reached: dict[tuple[int, int], set[int]] = defaultdict(set)
    part = {}
    for k, (p, box) in enumerate(zip(found.population.tolist(), found.boxes, strict=True)):
        shape = problem.populations[p].box
        for n in (
            np.arange(np.prod(shape))
            .reshape(shape)[tuple(slice(a, b) for a, b in box)]
            .ravel()
            .tolist()
        ):
            part[p, n] = k
    for p in problem.projections:
        for source, target in slow_pairs(p.reach):
            key = (part.get((p.source, source), -1), p.source)
            reached[key].add(at[p.target, target])
    sends = {(p.source, source) for p in problem.projections for source, _ in slow_pairs(p.reach)}
    for p, n in sends:
        rates = np.broadcast_to(problem.populations[p].rate, problem.populations[p].neurons)
        spikes[part.get((p, n), -1), p] += float(rates[n])
    want = sorted(
        (found.count if k < 0 else int(found.core[k]), sorted(reached[k, p]), round(w, 9))
        for (k, p), w in spikes.items()
    )
    got = sorted(
        (int(s), nets.target[a:b].tolist(), round(float(w), 9))
        for s, a, b, w in zip(
            nets.source, nets.first[:-1], nets.first[1:], nets.weight, strict=True
        )
    )
    assert got == want


def test_the_same_answer_twice() -> None:
    problem = network(12, 5)
    cores = chip(problem, neurons=5, axons=40, synapses=90)
    one, two = (partition(problem, cores, seed=3) for _ in range(2))
    for name in ("population", "boxes", "core", "usage"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()


def test_populations_that_talk_share_cores() -> None:
    """Six pairs of populations, two populations to a core: the fewest cores, and no spike leaves
    one.
    """
    pops = tuple(Population(f"p{i}", (4,), 1.0) for i in range(12))
    problem = Problem(
        pops, tuple(Projection(i, (i + 6) % 12, dense((4,), (4,))) for i in range(12))
    )
    found = partition(problem, chip(problem, neurons=8, axons=99, synapses=999, groups=2))
    assert (found.count, found.proven, found.traffic) == (6, True, 0)


def test_a_thousand_cores_are_cut_without_unrolling_a_synapse() -> None:
    shape = (64, 128, 128)
    layers = [Population(f"l{i}", shape, 0.1, on_core=i > 0) for i in range(5)]
    steps = [Projection(i, i + 1, window(shape, shape, (3, 3), padding=(1, 1))) for i in range(4)]
    problem = Problem(tuple(layers), tuple(steps))
    found = partition(
        problem, chip(problem, neurons=4096, axons=1 << 20, synapses=1 << 30), effort="quick"
    )
    assert (found.count, found.proven) == (1024, True)
    # Parts of 64 x 8 x 8: each hears 10 x 10 places of 64 channels, less at the border.
    assert found.traffic == pytest.approx(4 * 0.1 * 64 * (16 * 10 - 2) ** 2)
