"""Layers on Speck's nine cores: stories, and small chips against a search through everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.speck.conflict import _changes, explain
from nirc.backends.speck.demand import DESTINATIONS, PLACED, Conflict, Demand, Member, PlaceProblem
from nirc.backends.speck.limits import CORES, Core
from nirc.backends.speck.place import Placement, _Search, place
from nirc.diagnostics.errors import Diagnostic, UsageError

Map = tuple[int, int, int]


def layer(
    name: str,
    channels_in: int,
    kernel: int,
    shape_out: Map,
    *sources: str,
    bias: bool = False,
    operations: float = 0.0,
    one_core: bool = False,
) -> Demand:
    """A layer with a square kernel, by default fed by the host's events."""
    return Demand(
        name,
        channels_in,
        (kernel, kernel),
        shape_out,
        bias,
        sources or ("in",),
        operations,
        one_core,
    )


def chain(*layers: Demand) -> tuple[Demand, ...]:
    """Each layer fed by the one before."""
    return layers[:1] + tuple(
        replace(after, sources=(before.name,)) for before, after in pairwise(layers)
    )


def problem(*demands: Demand, destinations: Mapping[str, int] | None = None) -> PlaceProblem:
    """Return a problem with two destinations for each layer that ``destinations`` lacks."""
    return PlaceProblem(demands, {d.name: 2 for d in demands} | dict(destinations or {}))


def placed(
    question: PlaceProblem, cores: Sequence[Core] = CORES
) -> dict[str, list[tuple[int, int]]]:
    """Return (core, channels) of each layer, after a check of the placement by every rule."""
    answer = place(question, cores=cores)
    assert isinstance(answer, Placement), answer
    assert broken_rules(question, answer, cores) == []
    parts: dict[str, list[tuple[int, int]]] = {}
    for part in answer.parts:
        parts.setdefault(part.name, []).append((part.core, part.stop - part.first))
    return parts


def refused(question: PlaceProblem, cores: Sequence[Core] = CORES) -> list[Conflict]:
    answer = place(question, cores=cores)
    assert isinstance(answer, list), answer
    return answer


def explained(
    conflict: Conflict, question: PlaceProblem, cores: Sequence[Core] = CORES
) -> Diagnostic:
    return explain(conflict, question, cores, {}).diagnostic()


# The rules of the sheet, written down a second time (shared/targets/speck.md, 1.2 and 4).


def words(demand: Demand, channels: int) -> dict[str, int]:
    """Words of each memory for ``channels`` output channels of a layer."""
    (ky, kx), (_, y, x) = demand.kernel, demand.shape_out
    return {
        "kernel memory": demand.channels_in * 2 ** (ceil(log2(kx * ky)) + ceil(log2(channels))),
        "neuron memory": channels * 2 ** (ceil(log2(y)) + ceil(log2(x))),
        "bias memory": channels if demand.has_bias else 0,
    }


def holds(demand: Demand, channels: int, core: Core, members: Iterable[Member]) -> bool:
    """Return True if a core holds so many channels. Only the memories in ``members`` count."""
    has = {"kernel memory": core.kernel, "neuron memory": core.neuron, "bias memory": core.bias}
    needs = words(demand, channels)
    return channels <= 1024 and all(needs[m] <= has[m] for m in has if (demand.name, m) in members)


def all_rules(question: PlaceProblem) -> set[Member]:
    limits = ("placed", "kernel memory", "neuron memory", "bias memory")
    unsplit = {(d.name, "one core") for d in question.demands if d.one_core}
    return (
        unsplit
        | {*product([d.name for d in question.demands], limits)}
        | {*product(question.destinations, ["destinations"])}
    )


def broken_rules(question: PlaceProblem, placement: Placement, cores: Sequence[Core]) -> list[str]:
    """Every rule that ``placement`` breaks, in words."""
    demands = {d.name: d for d in question.demands}
    by_number = {core.number: core for core in cores}
    parts, broken = placement.parts, []
    if len({p.core for p in parts}) < len(parts) or not {p.core for p in parts} <= set(by_number):
        broken.append("a core holds two parts or does not exist")
    if list(dict.fromkeys(p.name for p in parts)) != list(demands):
        broken.append("a layer is missing or out of order")
    for demand in question.demands:
        its_parts = [p for p in parts if p.name == demand.name]
        edges = [0, *(p.stop for p in its_parts)]
        if [p.first for p in its_parts] != edges[:-1] or edges[-1] != demand.channels:
            broken.append(f"the parts of {demand.name} are not its channels in a row")
        if any(p.stop <= p.first for p in its_parts) or [p.core for p in its_parts] != sorted(
            p.core for p in its_parts
        ):
            broken.append(f"{demand.name} has an empty part, or falling core numbers")
        if demand.one_core and len(its_parts) > 1:
            broken.append(f"{demand.name} is split")
        for p in its_parts:
            if not holds(demand, p.stop - p.first, by_number[p.core], all_rules(question)):
                broken.append(f"core {p.core} is too small for its part of {demand.name}")
    for source, most in question.destinations.items():
        if sum(demands[p.name].sources.count(source) for p in parts) > most:
            broken.append(f"{source} has too many destinations")
    return broken


# Stories.

SHEET_NETWORK = chain(
    layer("conv1", 2, 5, (16, 16, 16)),
    layer("conv2", 16, 3, (16, 16, 16)),
    layer("conv3", 16, 3, (8, 8, 8)),
    layer("linear1", 8, 4, (256, 1, 1)),
    layer("linear2", 256, 1, (10, 1, 1)),
)


def test_memory_of_the_sheets_examples() -> None:
    first, wide = SHEET_NETWORK[0], SHEET_NETWORK[3]
    assert words(first, 16) == {"kernel memory": 1024, "neuron memory": 4096, "bias memory": 0}
    assert words(wide, 256)["kernel memory"] == 32768
    assert words(layer("readout", 16, 7, (10, 1, 1)), 10)["kernel memory"] == 16384


def test_the_sheets_network_takes_one_core_a_layer() -> None:
    cores = placed(problem(*SHEET_NETWORK))
    assert [len(parts) for parts in cores.values()] == [1, 1, 1, 1, 1]
    assert cores["conv1"] == [(0, 16)]  # fed by the host: it may use the fast cores
    assert all(core > 1 for name in list(cores)[1:] for core, _ in cores[name])
    assert 3 <= cores["linear1"][0][0] <= 6  # 32 Ki words of kernel


def test_a_layer_that_fills_a_core_to_the_last_word_is_one_part() -> None:
    full = layer("full", 16, 7, (16, 1, 1))  # 16 Ki words of kernel
    small = tuple(core for core in CORES if core.kernel == 16384)
    assert len(placed(problem(full), small)["full"]) == 1
    over = replace(full, shape_out=(17, 1, 1))  # pads to 32
    assert len(placed(problem(over), small)["full"]) == 2


def test_a_map_is_split_over_two_or_three_cores() -> None:
    two = layer("two", 1, 3, (24, 64, 64))  # 4 Ki words a channel: cores 0, 1 and 2 hold 16 each
    three = layer("three", 1, 3, (40, 64, 64))
    assert placed(problem(two))["two"] == [(0, 12), (1, 12)]
    assert placed(problem(three))["three"] == [(0, 16), (1, 16), (2, 8)]


def test_parts_are_as_even_over_the_speeds_of_the_cores_as_these_allow() -> None:
    wide = layer(
        "wide", 64, 8, (40, 1, 1)
    )  # cores 5 and 6 hold 16 channels, 3 and 4 hold 8, the others 4
    assert placed(problem(wide))["wide"] == [(3, 8), (5, 16), (6, 16)]


def test_full_cores_leave_the_rest_to_the_others() -> None:
    large = layer(
        "large", 1, 3, (50, 64, 64)
    )  # cores 0 to 2 hold 16 channels, 3 and 4 hold 8; 0 and 1 are faster
    assert placed(problem(large))["large"] == [(0, 16), (1, 16), (2, 10), (3, 8)]


def test_splitting_saves_what_one_core_a_layer_cannot_place() -> None:
    """Matching layers to cores, as sinabs does, gives up here: no single core holds `big`."""
    big, small = chain(layer("big", 1, 3, (20, 64, 64)), layer("small", 20, 3, (4, 16, 16)))
    assert not any(holds(big, 20, core, all_rules(problem(big))) for core in CORES)
    assert [len(parts) for parts in placed(problem(big, small)).values()] == [2, 1]


def test_two_destinations_bound_a_split() -> None:
    before, wide = chain(layer("before", 2, 3, (64, 8, 8)), layer("wide", 64, 8, (40, 1, 1)))
    assert len(placed(problem(wide))["wide"]) == 3  # the host may send to any number of cores
    question = problem(before, wide)
    (conflict,) = refused(question)
    assert set(conflict) == {
        ("wide", "placed"),
        ("wide", "kernel memory"),
        ("before", "destinations"),
    }
    assert explained(conflict, question).code == "S710"
    assert len(placed(problem(before, wide, destinations={"before": 3}))["wide"]) == 3


def test_the_camera_has_destinations_too_and_the_readout_takes_one() -> None:
    eyes = [layer(f"eye{i}", 2, 3, (4, 16, 16), "camera") for i in range(3)]
    assert len(placed(problem(*eyes))) == 3
    (conflict,) = refused(problem(*eyes, destinations={"camera": 2}))
    assert ("camera", "destinations") in conflict
    split = layer("split", 1, 3, (24, 64, 64), "camera")
    assert len(placed(problem(split, destinations={"camera": 2}))["split"]) == 2
    (conflict,) = refused(problem(split, destinations={"camera": 1}))
    assert set(conflict) == {
        ("split", "placed"),
        ("split", "neuron memory"),
        ("camera", "destinations"),
    }


def test_a_skip_connection_leaves_no_room_for_a_split() -> None:
    stem = layer("stem", 2, 3, (8, 16, 16))
    side = layer("side", 8, 3, (8, 16, 16), "stem")
    merge = layer("merge", 16, 3, (8, 16, 16), "stem", "side")
    assert len(placed(problem(stem, side, merge))) == 3
    wide = layer("merge", 64, 8, (24, 1, 1), "stem", "side")  # two cores
    (conflict,) = refused(problem(stem, side, wide))
    assert ("stem", "destinations") in conflict
    assert ("side", "placed") in conflict


def test_two_arrows_from_one_source_count_twice() -> None:
    twice = [layer("a", 2, 3, (4, 8, 8)), layer("b", 8, 3, (4, 8, 8), "a", "a")]
    assert len(placed(problem(*twice))) == 2
    (conflict,) = refused(problem(*twice, destinations={"a": 1}))
    assert set(conflict) == {("b", "placed"), ("a", "destinations")}


def test_the_split_of_a_source_does_not_use_up_its_destinations() -> None:
    wide, *after = (
        layer("wide", 1, 3, (24, 64, 64)),
        layer("left", 24, 3, (4, 8, 8), "wide"),
        layer("right", 24, 3, (4, 8, 8), "wide"),
    )
    assert [len(parts) for parts in placed(problem(wide, *after)).values()] == [2, 1, 1]


def test_ten_tiny_layers_are_one_conflict_that_names_them_all() -> None:
    names = [f"tiny{i}" for i in range(10)]
    question = problem(*chain(*(layer(name, 3, 1, (3, 1, 1)) for name in names)))
    (conflict,) = refused(question)
    assert set(conflict) == {(name, "placed") for name in names}
    finding = explained(conflict, question)
    assert finding.code == "S711"
    assert "9 cores" in finding.message
    assert all(name in finding.found for name in names)


def test_a_map_too_large_is_blamed_alone() -> None:
    first, huge, last = chain(
        layer("first", 1, 3, (2, 64, 64)),
        layer("huge", 1, 3, (200, 64, 64)),
        layer("last", 200, 1, (4, 1, 1)),
    )
    question = problem(first, huge, last)
    (conflict,) = refused(question)
    assert set(conflict) == {("huge", "placed"), ("huge", "neuron memory")}
    finding = explained(conflict, question)
    assert finding.code == "S708"
    assert "819200" in finding.found  # 200 maps of 64 x 64
    assert "80 of the 200" in finding.message  # 3 * 16 + 2 * 8 + 4 * 4
    assert "`huge`" in finding.help, "only a change of the layer that does not fit helps"


def test_layers_that_work_alike_lie_in_the_order_of_the_network() -> None:
    """An even load comes first. Among placements with the same load, numbers rise."""
    busy = [layer(f"l{i}", 2, 1, (2, 1, 1), operations=1000.0) for i in range(6)]
    cores = [core for ((core, _),) in placed(problem(*chain(*busy))).values()]
    assert cores == sorted(cores)


def test_a_layer_that_cannot_be_placed_anyway_is_blamed_before_the_number_of_layers() -> None:
    tiny = [layer(f"tiny{i}", 3, 1, (3, 1, 1)) for i in range(9)]
    (conflict,) = refused(problem(*chain(*tiny, layer("huge", 3, 3, (200, 64, 64)))))
    assert set(conflict) == {("huge", "placed"), ("huge", "neuron memory")}


@pytest.mark.parametrize(
    ("demand", "limit", "code"),
    [
        (layer("a", 1024, 16, (200, 1, 1)), "kernel memory", "S707"),
        (layer("a", 1, 1, (200, 64, 64)), "neuron memory", "S708"),
        (
            layer("a", 1, 1, (9300, 1, 1), bias=True),
            None,
            "S711",
        ),  # 9 cores of 1024 channels: bias or not
    ],
)
def test_each_memory_has_its_code(demand: Demand, limit: str | None, code: str) -> None:
    (conflict,) = refused(problem(demand))
    assert explained(conflict, problem(demand)).code == code
    assert set(conflict) == {("a", "placed"), *([("a", limit)] if limit else [])}


def test_bias_memory_counts_only_with_a_bias() -> None:
    poor = [Core(i, 1 << 20, 1 << 20, 4, 1) for i in range(2)]
    plain = layer("plain", 1, 1, (9, 1, 1))
    assert len(placed(problem(plain), poor)["plain"]) == 1
    biased = problem(replace(plain, has_bias=True))
    (conflict,) = refused(biased, poor)
    assert explained(conflict, biased, poor).code == "S709"
    assert set(conflict) == {("plain", "placed"), ("plain", "bias memory")}


def test_a_layer_of_one_core_is_not_split() -> None:
    readout = layer("readout", 1, 3, (24, 64, 64), one_core=True)
    assert len(placed(problem(replace(readout, one_core=False)))["readout"]) == 2
    (conflict,) = refused(problem(readout))
    assert set(conflict) == {
        (readout.name, rule) for rule in ("placed", "neuron memory", "one core")
    }


def test_independent_causes_are_all_reported() -> None:
    question = problem(layer("map", 1, 3, (200, 64, 64)), layer("kernel", 1024, 16, (200, 1, 1)))
    findings = [explained(conflict, question) for conflict in refused(question)]
    assert [(d.code, d.where) for d in findings] == [("S708", "map"), ("S707", "kernel")]
    assert all(d.help and d.found and d.limit for d in findings)


def test_the_busiest_layer_gets_a_fast_core() -> None:
    calm = layer("calm", 2, 3, (4, 8, 8), operations=10)
    busy = layer("busy", 2, 3, (4, 8, 8), operations=1000)
    calmer = layer("calmer", 2, 3, (4, 8, 8), operations=20)
    fast = Core(0, 1 << 14, 1 << 14, 1024, 2)
    slow = [Core(i, 1 << 14, 1 << 14, 1024, 1) for i in (1, 2)]
    assert placed(problem(calm, busy, calmer), [fast, *slow])["busy"] == [(0, 4)]


@pytest.mark.parametrize("channels", [3, 6, 7, 10, 13])
def test_a_load_that_is_no_integer_per_channel_is_no_obstacle(channels: int) -> None:
    """Loads are rounded channel by channel. So a single layer may be above the largest load."""
    only = layer("only", 64 if channels <= 8 else 32, 8, (channels, 1, 1), operations=1.0)
    assert len(placed(problem(only))["only"]) == 1


def test_few_parts_come_before_an_even_load() -> None:
    assert len(placed(problem(layer("busy", 2, 3, (64, 8, 8), operations=1e9)))["busy"]) == 1


def test_layers_lie_in_order_on_rising_cores() -> None:
    same = chain(*(layer(f"l{i}", 2, 3, (4, 8, 8)) for i in range(5)))
    order = [parts[0][0] for parts in placed(problem(*same)).values()]
    assert order == [0, 2, 3, 4, 5]  # later layers keep off the cores that compute in parallel


def test_the_same_problem_gets_the_same_answer() -> None:
    question = problem(*SHEET_NETWORK, layer("side", 8, 3, (30, 32, 32), "conv3", operations=7.5))
    assert place(question) == place(question)
    overfull = problem(*chain(*(layer(f"tiny{i}", 3, 1, (3, 1, 1)) for i in range(10))))
    assert place(overfull) == place(overfull)


def test_too_little_work_is_said() -> None:
    with pytest.raises(UsageError) as error:
        place(problem(*SHEET_NETWORK), work=0.0)
    assert error.value.diagnostics[0].code == "U607"


# Small chips against brute force.


def fewest_parts(
    question: PlaceProblem, cores: Sequence[Core], members: Iterable[Member]
) -> int | None:
    """Return the least number of parts of all assignments, under the rules in ``members`` alone."""
    members = set(members)
    demands = question.demands
    caps = [
        [
            max((n for n in range(1, d.channels + 1) if holds(d, n, core, members)), default=0)
            for core in cores
        ]
        for d in demands
    ]
    best: int | None = None
    for owners in product(range(-1, len(demands)), repeat=len(cores)):
        parts = sum(owner >= 0 for owner in owners)
        if best is not None and parts >= best:
            continue
        if is_legal(question, caps, owners, members):
            best = parts
    return best


def is_legal(
    question: PlaceProblem, caps: list[list[int]], owners: tuple[int, ...], members: set[Member]
) -> bool:
    """``owners``: the layer of each core, -1 for none."""
    for i, demand in enumerate(question.demands):
        its_cores = [k for k, owner in enumerate(owners) if owner == i]
        if any(caps[i][k] == 0 for k in its_cores):
            return False
        if (demand.name, "placed") in members and sum(
            caps[i][k] for k in its_cores
        ) < demand.channels:
            return False
        if (demand.name, "placed") in members and len(its_cores) > demand.channels:
            return False
        if (demand.name, "one core") in members and len(its_cores) > 1:
            return False
    return all(
        sum(question.demands[o].sources.count(source) for o in owners if o >= 0) <= most
        for source, most in question.destinations.items()
        if (source, "destinations") in members
    )


@st.composite
def small_chips(draw: st.DrawFn) -> tuple[PlaceProblem, tuple[Core, ...]]:
    count = draw(st.integers(2, 4))
    cores = tuple(
        Core(
            number,
            kernel=draw(st.sampled_from([16, 64, 256])),
            neuron=draw(st.sampled_from([16, 32, 64])),
            bias=draw(st.sampled_from([2, 8])),
            speed=draw(st.sampled_from([1, 2])),
        )
        for number in sorted(draw(st.sets(st.integers(0, 8), min_size=count, max_size=5)))
    )
    demands: list[Demand] = []
    for i in range(draw(st.integers(1, 4))):
        known = [d.name for d in demands] + ["camera", "host"]
        demands.append(
            layer(
                f"l{i}",
                draw(st.integers(1, 4)),
                draw(st.integers(1, 3)),
                (draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 3))),
                *draw(st.lists(st.sampled_from(known), min_size=1, max_size=2)),
                bias=draw(st.booleans()),
                operations=draw(st.sampled_from([0.0, 1.0, 8.0, 50.0])),
                one_core=draw(st.integers(0, 3)) == 0,
            )
        )
    free = {name: draw(st.integers(1, 2)) for name in ["camera", *(d.name for d in demands)]}
    return PlaceProblem(tuple(demands), free), cores


@settings(max_examples=60)
@given(small_chips())
def test_place_finds_what_brute_force_finds(case: tuple[PlaceProblem, tuple[Core, ...]]) -> None:
    question, cores = case
    fewest = fewest_parts(question, cores, all_rules(question))
    answer = place(question, cores=cores)
    if fewest is None:
        assert isinstance(answer, list)
        assert answer
    else:
        assert isinstance(answer, Placement), answer
        assert broken_rules(question, answer, cores) == []
        assert len(answer.parts) == fewest


@settings(max_examples=60)
@given(small_chips())
def test_conflicts_are_true_irreducible_and_disjoint(
    case: tuple[PlaceProblem, tuple[Core, ...]],
) -> None:
    question, cores = case
    answer = place(question, cores=cores)
    for conflict in answer if isinstance(answer, list) else []:
        assert fewest_parts(question, cores, conflict) is None
        for member in conflict:
            others = [m for m in conflict if m != member]
            assert fewest_parts(question, cores, others) is not None, member
    if isinstance(answer, list):
        blamed = [member for conflict in answer for member in conflict]
        assert len(blamed) == len(set(blamed))
        assert fewest_parts(question, cores, all_rules(question) - set(blamed)) is not None


@pytest.mark.parametrize(
    ("channels_in", "kernel", "shape_out", "changes"),
    [
        (1, (1, 1), (1, 1, 1), {}),
        (1, (3, 5), (1, 7, 1), {"stride 2 in": {"shape_out": (1, 4, 1)}}),
        (1, (1, 1), (1, 1, 2), {"stride 2 in": {"shape_out": (1, 1, 1)}}),
        (1, (5, 3), (1, 1, 1), {"pooling by 2 before": {"kernel": (3, 2)}}),
        (1, (1, 2), (1, 1, 1), {"pooling by 2 before": {"kernel": (1, 1)}}),
        (1, (1, 1), (2, 1, 1), {"half the output": {"shape_out": (1, 1, 1)}}),
        (2, (1, 1), (1, 1, 1), {"half the input": {"channels_in": 1}}),
        (
            7,
            (3, 3),
            (5, 4, 9),
            {
                "stride 2 in": {"shape_out": (5, 2, 5)},
                "half the output": {"shape_out": (2, 4, 9)},
                "half the input": {"channels_in": 3},
            },
        ),
    ],
)
def test_each_change_that_is_proposed_makes_one_thing_smaller(
    channels_in: int, kernel: tuple[int, int], shape_out: tuple[int, int, int], changes: Any
) -> None:
    demand = Demand("a", channels_in, kernel, shape_out, has_bias=False, sources=())
    found = list(_changes(demand))
    for (changed, words), (start, fields) in zip(found, changes.items(), strict=True):
        assert words.startswith(start) and "`a`" in words
        assert changed == replace(demand, **fields)


def test_a_layer_that_is_in_no_conflict_is_not_proposed_to_change() -> None:
    """The first layer is the largest that a core holds. The second is too large for any."""
    small, big = chain(layer("small", 2, 3, (4, 64, 64)), layer("big", 4, 3, (2, 500, 500)))
    question = problem(small, big)
    (conflict,) = refused(question)
    assert {name for name, _ in conflict} == {"big"}
    assert "`small`" not in explained(conflict, question).help


def test_more_layers_than_cores_are_counted_and_not_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten layers of a long chain name the cause. A source of thirteen reaches two of them."""
    monkeypatch.setattr(_Search, "solve", None)
    long = chain(*(layer(f"l{i}", 4, 1, (4, 1, 1)) for i in range(300)))
    (conflict,) = refused(problem(*long))
    assert conflict == tuple((f"l{i}", PLACED) for i in range(10))
    fan = [layer(f"l{i}", 4, 1, (4, 1, 1), "in") for i in range(13)]
    around, every = refused(problem(*fan, destinations={"in": 2}))
    assert around == (("l0", PLACED), ("l1", PLACED), ("l2", PLACED), ("in", DESTINATIONS))
    assert every == tuple((f"l{i}", PLACED) for i in range(3, 13))


def test_a_layer_that_no_core_holds_is_named_among_many() -> None:
    long = [*chain(*(layer(f"l{i}", 4, 1, (4, 1, 1)) for i in range(30)))]
    long[20] = layer("wide", 1024, 16, (1024, 1, 1), "l19")
    found = refused(problem(*long))
    assert {name for name, _ in found[0]} == {"wide"} and len(found) == 2
