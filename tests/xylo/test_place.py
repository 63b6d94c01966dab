"""The order of hidden neurons on Xylo, against a search through every order on small chips."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.xylo.findings import NoPlacement, TooManyHidden
from nirc.backends.xylo.limits import AUDIO2, AUDIO3, IMU
from nirc.backends.xylo.place import Placement, PlaceProblem, check, place
from nirc.chip.backend import Search
from nirc.chip.target import Limit, Target
from nirc.diagnostics.errors import Diagnostic, UsageError
from nirc.diagnostics.finding import Finding
from nirc.mapping.effort import SOLVER_WORK

WINDOWS = ("neurons that inputs reach", "neurons that outputs leave from")


def chip(hidden: int, first: int, last: int) -> Target:
    """A Xylo with few neurons."""
    limits = (
        Limit("hidden neurons", hidden, "X502", "this test"),
        Limit("neurons that inputs reach", first, "X506", "this test"),
        Limit("neurons that outputs leave from", last, "X507", "this test"),
    )
    return Target("xylo", "toy", "-", "for tests", limits)


def neurons(kinds: str) -> PlaceProblem:
    """One letter a neuron: i receives input, o is read out, b both, - neither."""
    letters = np.array(list(kinds), dtype="U1")
    return PlaceProblem(np.isin(letters, ["i", "b"]), np.isin(letters, ["o", "b"]))


def placed(problem: PlaceProblem, target: Target) -> Placement:
    answer = place(problem, target, Search())
    assert isinstance(answer, Placement), answer
    assert check(problem, answer, target) == []
    return answer


def refused(problem: PlaceProblem, target: Target) -> list[Diagnostic]:
    answer = place(problem, target, Search())
    assert not isinstance(answer, Placement)
    return [finding.diagnostic() for finding in answer]


def limits_of(conflict: Finding) -> tuple[str, ...]:
    if isinstance(conflict, TooManyHidden):
        return (conflict.excess.limit.name,)
    assert isinstance(conflict, NoPlacement)
    return tuple(limit.name for limit in conflict.limits)


def relays_by_brute_force(kinds: str, hidden: int, first: int, last: int) -> int | None:
    """The least number of relays for which some order is legal, trying every choice and every
    order.
    """
    for relays in range(max(0, hidden - len(kinds)) + 1):
        for relayed in combinations([i for i, kind in enumerate(kinds) if kind in "bo"], relays):
            if len(kinds) <= hidden and has_order(kinds, relayed, first, last):
                return relays
    return None


def has_order(kinds: str, relayed: tuple[int, ...], first: int, last: int) -> bool:
    n, total = len(kinds), len(kinds) + len(relayed)

    def may_stand(item: int, index: int) -> bool:
        receives = item < n and kinds[item] in "ib"
        leaves = item >= n or (kinds[item] in "ob" and item not in relayed)
        return not (receives and index >= first) and not (leaves and index < total - last)

    @cache
    def can_fill(index: int, left: frozenset[int]) -> bool:
        return not left or any(
            may_stand(i, index) and can_fill(index + 1, left - {i}) for i in left
        )

    return can_fill(0, frozenset(range(total)))


kinds_of_neurons = st.text("iob-", max_size=6)
window = st.integers(1, 4)


@settings(max_examples=150, deadline=None)
@given(kinds_of_neurons, st.integers(4, 8), window, window)
def test_as_many_relays_as_trying_every_order_finds(
    kinds: str, hidden: int, first: int, last: int
) -> None:
    least = relays_by_brute_force(kinds, hidden, first, last)
    problem, target = neurons(kinds), chip(hidden, first, last)
    answer = place(problem, target, Search())
    if least is None:
        assert not isinstance(answer, Placement)
    else:
        assert isinstance(answer, Placement)
        assert check(problem, answer, target) == []
        assert len(answer.relay_of) == least


@settings(max_examples=60, deadline=None)
@given(
    st.text("iob-", min_size=3, max_size=5), st.integers(3, 5), st.integers(1, 2), st.integers(1, 2)
)
def test_a_conflict_can_be_solved_without_any_one_of_its_limits(
    kinds: str, hidden: int, first: int, last: int
) -> None:
    answer = place(neurons(kinds), chip(hidden, first, last), Search())
    if isinstance(answer, Placement):
        return
    everything = 2 * len(kinds)  # neurons with a relay each: a limit of this size is none
    sizes = {"hidden neurons": hidden, WINDOWS[0]: first, WINDOWS[1]: last}
    for conflict in answer:
        binding = {name: sizes[name] for name in limits_of(conflict)}
        assert (
            relays_by_brute_force(kinds, *(binding.get(name, everything) for name in sizes)) is None
        )
        for dropped in binding:
            fewer = {name: size for name, size in binding.items() if name != dropped}
            assert (
                relays_by_brute_force(kinds, *(fewer.get(name, everything) for name in sizes))
                is not None
            )


def test_relays_by_counting() -> None:
    """Either nobody needs a relay or all that need both windows do; every count of up to 7
    neurons.
    """
    hidden, first, last = 9, 4, 3
    for i, o, b, rest in product(range(8), repeat=4):
        n = i + o + b + rest
        if n > 7:
            continue
        overlap = max(0, min(first, n) + min(last, n) - n)
        relays = 0 if b <= overlap else b
        fits = i + b <= first and o + b <= last and n + relays <= hidden
        answer = place(
            neurons("o" * o + "-" * rest + "b" * b + "i" * i), chip(hidden, first, last), Search()
        )
        assert (len(answer.relay_of) if isinstance(answer, Placement) else None) == (
            relays if fits else None
        )


@pytest.mark.parametrize("target", [AUDIO2, AUDIO3, IMU])
def test_up_to_128_neurons_stay_in_natural_order(target: Target) -> None:
    placement = placed(neurons("b" * 128), target)
    assert placement.index.tolist() == list(range(128))
    assert placement.hidden == 128


def test_layers_in_order_keep_it() -> None:
    assert placed(neurons("i" * 128 + "-" * 736 + "o" * 128), AUDIO3).index.tolist() == list(
        range(992)
    )


def test_inputs_move_to_the_front_and_the_rest_follow_in_order() -> None:
    placement = placed(neurons("-" * 60 + "o" * 100 + "i" * 120), AUDIO3)
    assert placement.index[160:].tolist() == list(range(120))
    assert placement.index[:60].tolist() == list(range(120, 180))
    assert placement.index[60:160].tolist() == list(range(180, 280))


def test_read_out_neurons_move_back_only_as_far_as_they_must() -> None:
    placement = placed(neurons("o" * 100 + "-" * 180), AUDIO3)
    assert placement.index[100:252].tolist() == list(range(152))
    assert placement.index[:100].tolist() == list(range(152, 252))
    assert placement.index[252:].tolist() == list(range(252, 280))


def test_audio2_has_no_rule_about_order() -> None:
    hidden = AUDIO2.max("hidden neurons")
    placement = placed(neurons("b" * hidden), AUDIO2)
    assert placement.index.tolist() == list(range(hidden))


def test_neurons_that_need_neither_fill_the_windows() -> None:
    placement = placed(neurons("-" * 990 + "oi"), AUDIO3)
    assert placement.index[991] < 128
    assert placement.index[990] >= 864
    assert placement.hidden == 992


def test_both_fit_while_the_windows_overlap_enough() -> None:
    placement = placed(neurons("-" * 144 + "b" * 56), AUDIO3)
    assert placement.hidden == 200
    assert placement.index[144:].tolist() == list(range(72, 128))


def test_one_more_and_each_of_them_gets_a_relay() -> None:
    """A relay enlarges the network, so takes from the overlap the place that it saves."""
    placement = placed(neurons("-" * 143 + "b" * 57), AUDIO3)
    assert placement.relay_of.tolist() == list(range(143, 200))
    assert placement.hidden == 257
    assert (placement.index[placement.relay_of] < placement.relay_index).all()


def test_128_both_and_one_more_neuron_need_128_relays() -> None:
    assert placed(neurons("b" * 128 + "-"), AUDIO3).hidden == 257


def test_129_receiving_are_one_too_many() -> None:
    (conflict,) = refused(neurons("-" * 700 + "i" * 129), AUDIO3)
    assert conflict.code == "X506"
    assert conflict.found == "129 hidden neurons with input weights"
    assert conflict.limit == "128, the first 128 hidden neurons"
    assert conflict.help == (
        "prune all input weights of 1 neuron; "
        "or compile for xylo:audio2 (up to 64 targets of a neuron), which can place this"
    )


def test_130_read_out_are_two_too_many() -> None:
    (conflict,) = refused(neurons("o" * 130), IMU)
    assert conflict.code == "X507"
    assert "130" in conflict.found
    assert conflict.help.startswith(
        "prune all readout weights of 2 neurons; or compile for xylo:audio2"
    )


def test_129_both_break_both_windows_and_both_are_told() -> None:
    conflicts = refused(neurons("b" * 129), AUDIO3)
    assert [(d.code, d.source) for d in conflicts] == [
        ("X506", "rockpool, xylo_mapper.py"),
        ("X507", "rockpool, xylo_mapper.py"),
    ]


def test_a_full_chip_has_no_room_for_a_relay() -> None:
    placed(neurons("-" * 990 + "b"), AUDIO3)
    (conflict,) = refused(neurons("-" * 991 + "b"), AUDIO3)
    assert conflict.code == "X508"
    assert (
        conflict.found
        == "992 hidden neurons, 1 of them both receive input and are read out; with relays 993"
    )
    assert conflict.limit == "992 hidden neurons; 0 places are in the first 128 and the last 128"
    assert conflict.help.startswith(
        "let 1 neuron fewer both receive input and be read out, or remove 1"
    )


def test_the_help_of_x508_helps() -> None:
    assert "let 2 neurons fewer" in refused(neurons("b" * 4 + "-" * 2), chip(8, 4, 4))[0].help
    refused(neurons("b" * 3 + "-" * 3), chip(8, 4, 4))
    placed(neurons("b" * 2 + "-" * 4), chip(8, 4, 4))


def test_more_neurons_than_the_chip_has() -> None:
    (conflict,) = refused(neurons("b" * 10 + "-" * 487), IMU)
    assert (conflict.code, conflict.found, conflict.limit) == ("X502", "497", "496 (SYNS63300)")
    assert conflict.help.endswith("or compile for xylo:audio2 (limit 1000)")


def test_on_audio2_too_many_neurons_are_told_once() -> None:
    (conflict,) = refused(neurons("b" * 1001), AUDIO2)
    assert (conflict.code, conflict.help) == ("X502", "make the hidden layers smaller")


def test_the_same_placement_twice() -> None:
    problem = neurons("bo-i" * 60)
    first, again = placed(problem, AUDIO3), placed(problem, AUDIO3)
    assert first.index.tolist() == again.index.tolist()
    assert first.relay_index.tolist() == again.relay_index.tolist()


def test_too_little_work_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOLVER_WORK, "quick", 1e-9)
    with pytest.raises(UsageError, match="U607"):
        place(neurons("b" * 128 + "-"), AUDIO3, Search(effort="quick"))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"must be \(n,\)"):
        PlaceProblem(np.zeros(3, dtype=bool), np.zeros(4, dtype=bool))


@pytest.mark.parametrize(
    ("index", "relay_of", "relay_index", "broken"),
    [
        ([1, 0, 2], [], [], []),
        ([0, 2], [], [], ["a neuron or relay has no place"]),
        ([0, 0, 2], [], [], ["the places are not each of 0..2 once"]),
        ([1, 0, 2], [7], [3], ["a relay copies a neuron that does not exist"]),
        ([2, 0, 1], [], [], ["an input reaches beyond the first 2"]),
        ([0, 1, 2], [], [], ["an output leaves from before the last 2"]),
        ([0, 1, 3], [0], [2], []),
        ([1, 0, 2], [1], [3], ["a relay copies a neuron that is not read out"]),
        ([1, 0, 4], [0, 0], [2, 3], ["a neuron has several relays", "more than 4 hidden neurons"]),
        ([3, 0, 2], [0], [1], ["a relay stands below its neuron"]),
    ],
)
def test_check_sees(
    index: list[int], relay_of: list[int], relay_index: list[int], broken: list[str]
) -> None:
    """Neurons b, - and o on a chip whose windows are 2 of at most 4."""
    placement = Placement(
        np.array(index, dtype=np.int64),
        np.array(relay_of, dtype=np.int64),
        np.array(relay_index, dtype=np.int64),
        hidden=len(index) + len(relay_of),
    )
    assert set(broken) <= set(check(neurons("b-o"), placement, chip(4, 2, 2)))
    assert bool(broken) == bool(check(neurons("b-o"), placement, chip(4, 2, 2)))


def test_a_natural_order_does_not_load_ortools() -> None:
    code = """
import sys
import numpy as np
from nirc.backends.xylo.limits import AUDIO3
from nirc.backends.xylo.place import PlaceProblem, place
from nirc.chip.backend import Search
both = np.ones(128, dtype=bool)
assert place(PlaceProblem(both, both), AUDIO3, Search()).hidden == 128
sys.exit("ortools" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
