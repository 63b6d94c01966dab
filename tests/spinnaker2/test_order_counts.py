"""The numbers by which orders of neurons are tried and chosen, against definitions spelt out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.backends.spinnaker2 import order as module
from nirc.backends.spinnaker2.limits import RATE, Prices
from nirc.backends.spinnaker2.order import _cut_where_groups_end, in_order, regrouped, traffic
from nirc.backends.spinnaker2.slices import Memory, Split, split
from nirc.backends.spinnaker2.tables import Input, Population, Projection, Tables
from nirc.diagnostics.log import Log
from tests.spinnaker2.networks import convolutional, population

SIZES = {"in": 5, "a": 9, "b": 12, "c": 4}
ATOMS = {"in": 2, "a": 3, "b": 4, "c": 4}  # c has one slice


def joined(seed: int, *ends: tuple[str, str], share: float = 0.25) -> tuple[Tables, Split]:
    """Populations of ``SIZES`` in slices of ``ATOMS``. ``ends``: of random lists of synapses."""
    rng = np.random.default_rng(seed)
    cells = [population(rng, name, "lif_no_delay", SIZES[name]) for name in ("a", "b", "c")]
    wires = []
    for i, (source, target) in enumerate(ends):
        pre, post = np.nonzero(rng.random((SIZES[source], SIZES[target])) < share)
        ones = np.ones(pre.size, np.int16)
        wires.append(Projection(f"{i}", source, target, pre, post, ones, ones * 0))
    inputs = (Input("in", np.arange(5), 5),)
    tables = Tables(5, inputs, tuple(cells), tuple(wires), (), ())
    parts = split(Memory(tables, Prices(), 1), ATOMS, Log())
    assert parts is not None
    return tables, parts


TWICE = (("in", "a"), ("a", "b"), ("a", "b"), ("b", "b"))


def slices(p: Projection) -> list[tuple[int, int]]:
    """The source and target slice of each synapse."""
    ends = zip(p.pre.tolist(), p.post.tolist(), strict=True)
    return [(pre // ATOMS[p.source], post // ATOMS[p.target]) for pre, post in ends]


@pytest.mark.parametrize("seed", range(5))
def test_packets_go_once_from_a_neuron_to_a_slice_whatever_lists_lead_there(seed: int) -> None:
    tables, parts = joined(seed, *TWICE)
    reached: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for p in tables.projections:
        reached.setdefault((p.source, p.target), set()).update(slices(p))
    packets = sum(ATOMS[source] * len(pairs) for (source, _), pairs in reached.items())
    assert module._packets(list(tables.projections), parts) == packets
    assert module._ends(list(tables.projections)) == [("in", "a"), ("a", "b"), ("b", "b")]


def test_packets_of_lists_of_different_length_are_told_apart() -> None:
    """Slice 0 of a sends to slices 0 and 1 of b, by two lists. Slice 1 sends to slice 0."""
    _, parts = joined(0, ("a", "b"))
    lists = []
    for pre, post in (([0, 0], [0, 4]), ([3], [0]), ([], [])):
        ends = np.array(pre, np.int32), np.array(post, np.int32)
        lists.append(Projection("w", "a", "b", *ends, ends[0], ends[0]))
    assert module._packets(lists, parts) == 3 * ATOMS["a"]
    assert module._packets(lists[2:], parts) == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_neuron_reaches_as_many_slices_as_its_targets_fill_at_least(seed: int) -> None:
    tables, parts = joined(seed, *TWICE)
    least: dict[tuple[str, str], int] = {}
    for p in tables.projections:
        of_each = [int((p.pre == neuron).sum()) for neuron in range(SIZES[p.source])]
        filled = sum(-(-n // ATOMS[p.target]) for n in of_each)
        least[p.source, p.target] = max(filled, least.get((p.source, p.target), 0))
    found = module._least_packets(list(tables.projections), parts)
    assert found == sum(least.values()) <= module._packets(list(tables.projections), parts)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_of_slices_are_counted_as_the_order_puts_their_neurons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = {"a": 7, "b": 5}
    atoms = {"a": 3, "b": 2}
    one, other = rng.integers(0, 12, 20), rng.integers(0, 12, 20)
    nodes = rng.permutation(12)
    slice_of = {}
    for name, begin in (("a", 0), ("b", 7)):
        inside = [n for n in nodes.tolist() if begin <= n < begin + sizes[name]]
        slice_of |= {n: (name, place // atoms[name]) for place, n in enumerate(inside)}
    pairs = {(slice_of[a], slice_of[b]) for a, b in zip(one.tolist(), other.tolist(), strict=True)}
    found = module._pairs(nodes, sizes=sizes, atoms=atoms, one=one, other=other)
    assert found == len(pairs)
    order = module._by_rank(nodes, sizes)
    assert order["a"].tolist() == [n for n in nodes.tolist() if n < 7]
    assert order["b"].tolist() == [n - 7 for n in nodes.tolist() if n >= 7]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 9))
def test_slices_are_groups_where_there_are_as_many(group: list[int], atoms: int) -> None:
    n = len(group)
    found = _cut_where_groups_end(np.array(group), atoms).tolist()
    by_group = sorted(range(n), key=lambda i: (group[i], i))
    names = sorted(set(group))
    size = {name: group.count(name) for name in names}
    assert sorted(found) == list(range(n))
    if max(size.values()) > atoms or len(names) != -(-n // atoms):
        assert found == by_group
        return
    smallest = min(names, key=lambda name: size[name])
    spare = [i for i in by_group if group[i] == smallest]
    for place, name in enumerate(name for name in names if name != smallest):
        here = found[place * atoms : (place + 1) * atoms]
        assert here[: size[name]] == [i for i in by_group if group[i] == name]
        assert here[size[name] :] == spare[: atoms - size[name]]
        spare = spare[atoms - size[name] :]
    assert found[n - len(spare) :] == spare


def test_populations_are_free_that_have_several_slices_and_no_kernel() -> None:
    tables, parts = joined(0, *TWICE)
    assert module._free(tables, parts) == {"in": 5, "a": 9, "b": 12}
    kernels = convolutional()
    cut = split(Memory(kernels, Prices(), 1), {"pixels": 20, "map": 20, "last": 2}, Log())
    assert cut is not None and module._free(kernels, cut) == {"last": 4}


def test_ends_of_free_synapses_are_numbered_through_all_free_populations() -> None:
    tables, parts = joined(1, *TWICE, ("a", "c"), ("c", "b"))
    found = module._free_synapses(tables, parts, "normal")
    assert found is not None
    sizes, one, other = found
    first = {"in": 0, "a": 5, "b": 14}
    free = tables.projections[:4]
    assert sizes == {"in": 5, "a": 9, "b": 12}
    assert one.tolist() == np.concatenate([p.pre + first[p.source] for p in free]).tolist()
    assert other.tolist() == np.concatenate([p.post + first[p.target] for p in free]).tolist()
    assert module._free_synapses(tables, parts, "quick") is None


def test_no_order_is_sought_without_lists_or_with_too_many_synapses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables, parts = joined(1, *TWICE)
    none = replace(tables, projections=())
    assert module._free_synapses(none, parts, "normal") is None
    synapses = sum(p.pre.size for p in tables.projections)
    for most, sought in ((synapses, True), (synapses - 1, False)):
        monkeypatch.setitem(module.MOST_SYNAPSES, "normal", most)
        assert (module._free_synapses(tables, parts, "normal") is not None) == sought


def test_no_order_is_sought_where_the_best_saves_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables, parts = joined(1, *TWICE)
    joining = list(tables.projections)
    share = module._least_packets(joining, parts) / module._packets(joining, parts)
    for worthwhile, sought in ((share, False), (share * 1.001, True)):
        monkeypatch.setattr(module, "WORTHWHILE", worthwhile)
        assert (module._free_synapses(tables, parts, "normal") is not None) == sought


Orders = list[str]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Orders:
    """The searches that run, by name. Their answer is the model's order."""
    done: Orders = []

    def band(nodes: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        done.append("band")
        assert (nodes, len(one)) == (26, len(other))
        return np.arange(nodes)

    def line(graph: object, price: object, *, seed: int) -> np.ndarray:
        done.append(f"line {seed}")
        return np.arange(26)

    def groups(graph: object, blocks: int, room: np.ndarray, **asked: object) -> np.ndarray:
        done.append(f"{blocks} groups of {room.tolist()} {asked['effort']} {asked['seed']}")
        return np.arange(26) % 2

    monkeypatch.setattr(module, "band_order", band)
    monkeypatch.setattr(module, "best_line", line)
    monkeypatch.setattr(module, "regroup", groups)
    return done


GROUPS = "3 groups of [2, 3, 4]"  # as many as slices of a, the most of any


def test_a_band_a_line_and_groups_are_tried(tried: Orders) -> None:
    tables, parts = joined(1, *TWICE)
    *_, grouped = found = list(module._orders(tables, parts, "normal", 7))
    assert len(found) == 3
    assert grouped["in"].tolist() == [0, 2, 4, 1, 3]  # neurons 0 to 4 of all
    assert grouped["a"].tolist() == [1, 3, 5, 7, 0, 2, 4, 6, 8]  # neurons 5 to 13
    assert grouped["b"].tolist() == [*range(0, 12, 2), *range(1, 12, 2)]
    assert len(list(module._orders(tables, parts, "thorough", 8))) == 3
    assert tried == [
        *("band", "line 7", f"{GROUPS} quick 7"),
        *("band", "line 8", f"{GROUPS} normal 8"),
    ]


LISTED = 100  # synapses of the network of the next test


@pytest.mark.parametrize(
    ("limit", "value", "left_out"),
    [
        ("MOST_LINED", LISTED, []),
        ("MOST_LINED", LISTED - 1, ["line"]),
        ("MOST_GROUPED", 3, []),
        ("MOST_GROUPED", 2, ["groups"]),
        ("MOST_GAINS", 9 * 9, []),
        ("MOST_GAINS", 9 * 9 - 1, ["line"]),
        ("MOST_GAINS", 26 * 3, ["line"]),
        ("MOST_GAINS", 26 * 3 - 1, ["line", "groups"]),
    ],
)
def test_searches_have_limits(
    limit: str,
    value: int,
    left_out: list[str],
    tried: Orders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3 populations with 26 neurons in 3 slices each."""
    tables, parts = joined(1, *TWICE)
    assert sum(p.pre.size for p in tables.projections) == LISTED
    monkeypatch.setattr(module, limit, value)
    list(module._orders(tables, parts, "normal", 0))
    words = " ".join(tried)
    assert [name for name in ("band", "line", "groups") if name not in words] == left_out


def test_traffic_is_what_leaves_a_slice() -> None:
    _, parts = joined(2, *TWICE)
    size = parts.end - parts.begin
    pairs = zip(parts.pair_source.tolist(), parts.pair_target.tolist(), strict=True)
    packets = sum(int(size[source]) for source, target in pairs if source != target)
    assert traffic(parts) == pytest.approx(RATE * packets)
    assert module._rank(parts) == (parts.count, traffic(parts))


def test_an_order_is_taken_if_it_sends_less_and_none_if_it_sends_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neurons of even and of odd numbers talk among themselves. The second best comes first."""
    n = 12
    pre = np.repeat(np.arange(n), n)
    post = np.tile(np.arange(n), n)
    kept = pre % 2 == post % 2
    ones = np.ones(int(kept.sum()), np.int16)
    cells = Population("p", "lif_no_delay", n, 250, "reset_to_v_reset", *[ones[:1]] * 5)
    wires = Projection("w", "p", "p", pre[kept], post[kept], ones, ones * 0)
    memory = Memory(Tables(0, (), (cells,), (wires,), (), ()), Prices(), 1)
    parts = split(memory, {"p": 3}, Log())
    assert parts is not None
    worse = np.array([0, 2, 4, 6, 1, 8, 10, 3, 5, 7, 9, 11])
    best = np.array([*range(0, n, 2), *range(1, n, 2)])

    def orders(*_: object) -> Iterator[dict[str, np.ndarray]]:
        yield from ({"p": order} for order in (np.arange(n), worse, best, best[::-1].copy()))

    monkeypatch.setattr(module, "_orders", orders)
    tables, cut, order = regrouped(memory, parts, {"p": 3}, "normal", 0)
    assert order["p"].tolist() == best.tolist() and cut.count == parts.count
    assert traffic(cut) == RATE * 3 * 4 < traffic(parts)
    assert (
        tables.projections[0].pre.tolist()
        == in_order(memory.tables, order).projections[0].pre.tolist()
    )
    monkeypatch.setattr(module, "_orders", lambda *_: iter([{"p": np.arange(n)}]))
    assert regrouped(memory, parts, {"p": 3}, "normal", 0)[2] == {}
