"""Conflicts in the model's numbers: each kind of finding with all its fields, and its cure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nirc.backends.speck.conflict import _cure, _fewest_cores, explain, kernel_memory_too_small
from nirc.backends.speck.demand import Conflict, Demand, PlaceProblem
from nirc.backends.speck.findings import (
    CannotPlace,
    CannotReach,
    KernelMemory,
    NeuronMemory,
    TooManyDestinations,
)
from nirc.backends.speck.limits import Core

# Words of kernel, neuron and bias memory. The second core is the larger.
TWO = (Core(0, 64, 64, 8, 1), Core(1, 256, 128, 16, 1))


def layer(name: str, channels: int, *sources: str, channels_in: int = 1, side: int = 1) -> Demand:
    """A layer with a kernel of one entry, so of ``channels_in`` words for each channel."""
    return Demand(name, channels_in, (1, 1), (channels, side, side), False, sources)


def problem(*demands: Demand, **destinations: int) -> PlaceProblem:
    return PlaceProblem(demands, destinations)


def test_a_layer_is_told_what_the_cores_hold_together() -> None:
    """16 x 8 words for a channel: the second core holds two of them, the first none."""
    big = replace(layer("a", 40, channels_in=16, side=2), kernel=(3, 2))
    conflict = (("a", "placed"), ("a", "kernel memory"))
    found = explain(conflict, problem(big), TWO, {"a": "nodes/a"})
    assert isinstance(found, KernelMemory)
    assert vars(found) == {
        **{"where": "nodes/a", "layer": "a", "channels": 40, "kernel": (3, 2), "size": (2, 2)},
        **{"held": 2, "one_core": False, "needed": 16 * 8 * 64, "sizes": (64, 256), "cure": ""},
    }


def test_a_layer_that_must_stay_in_one_core_is_told_what_the_largest_holds() -> None:
    """8 x 8 words for a channel of 5 x 5 neurons: one in the first core, two in the second."""
    big = replace(layer("a", 10, side=5), one_core=True)
    conflict = (("a", "placed"), ("a", "neuron memory"), ("a", "one core"))
    for members, held, one_core in ((conflict, 2, True), (conflict[:2], 3, False)):
        found = explain(members, problem(big), TWO, {})
        assert isinstance(found, NeuronMemory)
        assert (found.where, found.held, found.one_core) == ("a", held, one_core)
        assert (found.needed, found.sizes) == (640, (64, 128))


def test_biases_need_a_word_for_each_channel() -> None:
    big = replace(layer("a", 30), has_bias=True)
    found = explain((("a", "placed"), ("a", "bias memory")), problem(big), TWO, {})
    assert found.code == "S709"
    fields = vars(found)
    assert (fields["held"], fields["needed"], fields["sizes"]) == (24, 30, (8, 16))


def test_several_layers_or_memories_are_told_the_cores_that_each_takes() -> None:
    """Only the limits of the conflict count: all of `b` has room, but for its neurons."""
    both = problem(layer("a", 3, channels_in=64), layer("b", 2, side=8), layer("c", 1))
    conflict = (*(("a", "placed"), ("a", "kernel memory"), ("b", "placed")), ("b", "neuron memory"))
    found = explain(conflict, both, TWO, {"a": "nodes/a", "b": "nodes/b"})
    assert type(found) is CannotPlace
    fields = vars(found) | {"cure": ""}
    memories = {"kernel memory": (64, 256), "neuron memory": (64, 128)}
    assert fields == {
        **{"where": "nodes/a", "fewest": {"a": "1", "b": "1"}, "cores": 2},
        **{"memories": memories, "cure": ""},
    }
    one = explain((*conflict[:2], ("a", "neuron memory")), both, TWO, {})
    assert type(one) is CannotPlace and vars(one)["fewest"] == {"a": "1"}


def test_a_source_with_too_few_destinations_is_told_the_least_that_is_left() -> None:
    question = problem(layer("a", 9), layer("b", 3, "a", channels_in=64, side=4), a=1, b=2)
    conflict = (("a", "destinations"), ("b", "placed"), ("b", "neuron memory"))
    found = explain(conflict, question, TWO, {"a": "nodes/a"})
    assert type(found) is TooManyDestinations
    assert vars(found) | {"cure": ""} == {
        **{"where": "nodes/a", "senders": ("a",), "most": 1, "fewest": {"b": "1"}, "cure": ""}
    }


@pytest.mark.parametrize(
    ("conflict", "senders", "most", "fewest"),
    [
        (
            (("a", "destinations"), ("b", "placed"), ("c", "placed"), ("c", "kernel memory")),
            *(("a",), 2, {"b": "1"}),
        ),
        (
            (("a", "destinations"), ("b", "destinations"), ("b", "placed"), ("c", "placed")),
            *(("a", "b"), 1, {"b": "1", "c": "1"}),
        ),
    ],
    ids=["a layer that the source does not feed", "two sources"],
)
def test_destinations_and_other_causes_are_told_together(
    conflict: Conflict, senders: tuple[str, ...], most: int, fewest: dict[str, str]
) -> None:
    question = problem(layer("a", 9), layer("b", 9, "a"), layer("c", 9, "b", "in"), a=2, b=1)
    found = explain(conflict, question, TWO, {})
    assert type(found) is CannotReach
    memories = {"kernel memory": (64, 256)} if len(senders) == 1 else {}
    assert vars(found) | {"cure": ""} == {
        **{"where": "a", "senders": senders, "most": most, "fewest": fewest},
        **{"cores": 2, "memories": memories, "cure": ""},
    }


@pytest.mark.parametrize(
    ("channels", "limits", "cores"),
    [
        (4, {"kernel memory"}, "1"),
        (5, {"kernel memory"}, "2"),
        (6, {"kernel memory"}, "more than there are"),
        (6, {"neuron memory"}, "1"),
        (6, set(), "1"),
    ],
)
def test_the_largest_cores_count_first(channels: int, limits: set[str], cores: str) -> None:
    """Of 64 words a channel the second core holds four, the first one."""
    assert _fewest_cores(layer("a", channels, channels_in=64), TWO, limits) == cores


def test_a_kernel_is_too_large_if_all_cores_together_hold_too_few_channels() -> None:
    assert kernel_memory_too_small(layer("a", 5, channels_in=64), TWO, "nodes/a") is None
    found = kernel_memory_too_small(layer("a", 6, channels_in=64, side=99), TWO, "nodes/a")
    assert isinstance(found, KernelMemory)
    assert vars(found) == {
        **{"where": "nodes/a", "layer": "a", "channels": 6, "kernel": (1, 1), "size": (99, 99)},
        **{"held": 5, "one_core": False, "needed": 512, "sizes": (64, 256), "cure": ""},
    }


# Cures. Each is tried by the search for cores.


def placed(*names: str) -> Conflict:
    return tuple((name, "placed") for name in names)


def test_more_layers_than_cores_must_be_left_out() -> None:
    question = problem(*(layer(name, 2) for name in "abcd"))
    cure = "leave out 2 of the 4 layers: each takes a core of its own"
    assert _cure(placed("a", "b", "c", "d"), question, TWO) == cure


def test_a_layer_that_is_too_large_is_not_cured_by_leaving_out_others() -> None:
    """Three layers for two cores, but this conflict is about one of them."""
    huge = layer("a", 1, side=64)
    conflict = (("a", "placed"), ("a", "neuron memory"))
    assert _cure(conflict, problem(huge, layer("b", 1), layer("c", 1)), TWO) == ""
    assert _cure(conflict, problem(huge, layer("b", 1)), TWO) == ""


def test_the_first_change_that_lets_all_be_placed_is_proposed() -> None:
    """16 x 16 neurons are too many, 8 x 8 fill the first core. Halved channels are no help."""
    conflict = (("a", "placed"), ("a", "neuron memory"))
    wide = layer("a", 2, side=16)
    cure = "stride 2 in `a`, or pooling by 2 before it, would do"
    assert _cure(conflict, problem(wide), (Core(0, 64, 128, 8, 1),)) == cure
    several = layer("a", 2, channels_in=4, side=8)
    assert _cure(conflict, problem(several), (Core(0, 64, 64, 8, 1),)) == cure
    flat = layer("a", 9, channels_in=16)
    cure = "half the output channels in `a` would do"
    kernel = (("a", "placed"), ("a", "kernel memory"))
    assert _cure(kernel, problem(flat), (Core(0, 128, 128, 16, 1),)) == cure


def test_a_layer_of_the_conflict_that_need_not_be_placed_is_not_changed() -> None:
    first, last = layer("a", 2, side=4), layer("b", 2, "a", "a", side=4)
    conflict = (("a", "destinations"), ("b", "placed"))
    assert _cure(conflict, problem(first, last, a=1), TWO) == ""


def test_a_change_that_ends_this_conflict_alone_is_said_to_do_so() -> None:
    """Nothing helps `b`. Halving the map or the channels of `a` ends its conflict."""
    a, b = layer("a", 6, side=8), layer("b", 1, side=64)
    conflict = (("a", "placed"), ("a", "neuron memory"))
    cure = (
        "stride 2 in `a`, or pooling by 2 before it, would end this conflict, "
        "though not all there is"
    )
    assert _cure(conflict, problem(a, b), TWO) == cure
    a = layer("a", 9, channels_in=64)
    cure = "half the output channels in `a` would end this conflict, though not all there is"
    kernel = (("a", "placed"), ("a", "kernel memory"))
    assert _cure(kernel, problem(a, b), TWO) == cure


def test_a_change_that_solves_all_goes_before_one_that_ends_the_conflict() -> None:
    """Both maps need the second core. Smaller maps of `a` are no help: its kernel needs it, too."""
    cores = (Core(0, 64, 64, 8, 1), Core(1, 256, 256, 8, 1))
    a, b = layer("a", 1, channels_in=128, side=16), layer("b", 1, side=16)
    conflict = (*placed("a", "b"), ("a", "neuron memory"), ("b", "neuron memory"))
    cure = "stride 2 in `b`, or pooling by 2 before it, would do"
    assert _cure(conflict, problem(a, b), cores) == cure
