"""to-populations: every way of linear nodes between two populations becomes one projection."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from nirc.diagnostics.errors import CompileError
from nirc.diagnostics.log import Log
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.linear import Dense, Diagonal
from nirc.ir.populations import Population, Projection, Sink, Source
from nirc.ir.program import Form
from nirc.ir.text import digest
from nirc.passes import to_populations
from nirc.passes.to_populations import ToPopulations
from tests.build import (
    DT,
    adder,
    affine,
    delay,
    graph,
    if_,
    inp,
    layers,
    lif,
    linear,
    lowered,
    node,
    out,
    refusals,
    scale,
    steps,
)  # fmt: skip


def projections(raw: RawGraph) -> list[tuple[str, str, Projection]]:
    return list(lowered(raw).continuous.edges())


def total(raw: RawGraph, *x: object) -> list[float]:
    found: list[float] = lowered(raw).outputs(steps(*x)).ravel().tolist()
    return found


def test_populations_sources_and_sinks_stay_and_all_else_becomes_projections() -> None:
    nodes = {
        "in": inp(2),
        "w": linear(np.eye(2)),
        "s": scale([2.0, 3.0]),
        "pop": if_(2),
        "out": out(2),
    }
    program = ToPopulations().run(layers(graph(nodes, "in w s pop out")), Log())
    assert program.form is Form.CONTINUOUS
    assert {n: type(program[n]) for n in program.graph} == {
        "in": Source,
        "out": Sink,
        "pop": Population,
    }
    (into, _) = [p for *_, p in program.edges()]
    assert [type(op) for op in into.ops] == [Dense, Diagonal]
    assert into.origins == ("nodes/w", "nodes/s")


ORDERS = [("a", "b", "c", "d"), ("d", "c", "b", "a"), ("b", "d", "a", "c"), ("c", "a", "d", "b")]


@pytest.mark.parametrize("names", ORDERS)
def test_the_bias_of_a_diamond_counts_once_a_way(names: tuple[str, ...]) -> None:
    """Nodes are eliminated one by one: whatever their names, each bias goes every way to the end
    once.
    """
    top, left, right, bottom = names
    nodes = {
        "in": inp(1), top: affine([[1.0]], [1.0]), left: affine([[2.0]], [10.0]),
        right: affine([[3.0]], [100.0]),
        bottom: affine([[1.0]], [1000.0]), "pop": adder(), "out": out(1),
    }  # fmt: skip
    raw = graph(nodes, f"in {top} {left} {bottom} pop out", f"{top} {right} {bottom}")
    assert total(raw, 0.0) == [2 * 1 + 10 + 3 * 1 + 100 + 1000]
    assert total(raw, 1.0) == [2 * 2 + 10 + 3 * 2 + 100 + 1000]


@pytest.mark.parametrize(("junction", "behind"), [("a", "z"), ("z", "a")])
def test_the_bias_behind_a_junction_counts_once(junction: str, behind: str) -> None:
    nodes = {
        "in": inp(1),
        "in2": inp(1),
        junction: scale(1.0),
        behind: affine([[1.0]], [1.0]),
        "pop": adder(),
    }
    raw = graph(nodes | {"out": out(1)}, f"in {junction} {behind} pop out", f"in2 {junction}")
    assert total(raw, [1.0, 1.0], [0.0, 0.0]) == [3, 4]


@pytest.mark.parametrize(("waiting", "behind"), [("a", "z"), ("z", "a")])
def test_the_bias_behind_a_delay_of_several_lengths_counts_once(waiting: str, behind: str) -> None:
    nodes = {
        "in": inp(2),
        waiting: delay([0.0, DT]),
        behind: affine(np.eye(2), [1.0, 1.0]),
        "pop": adder(2),
    }
    raw = graph(nodes | {"out": out(2)}, f"in {waiting} {behind} pop out")
    assert total(raw, [1.0, 1.0], [0.0, 0.0]) == [2, 1, 3, 3]


def test_a_bias_that_feeds_two_populations_reaches_both() -> None:
    nodes = {
        "in": inp(1),
        "w": affine([[1.0]], [5.0]),
        "a": adder(),
        "b": adder(),
        "out": out(1),
        "out2": out(1),
    }
    assert total(graph(nodes, "in w a out", "w b out2"), 1.0) == [6, 6]


def test_a_convolution_s_bias_covers_its_map() -> None:
    conv = node(
        "Conv2d",
        weight=np.zeros((2, 1, 1, 1)),
        bias=[1.0, 2.0],
        input_shape=(1, 2),
        stride=1,
        padding=0,
    )
    pop = node("I", r=np.ones((2, 1, 2)))
    raw = graph({"in": inp(1, 1, 2), "c": conv, "pop": pop, "out": out()}, "in c pop out")
    assert total(raw, [0.0, 0.0]) == [1, 1, 2, 2]


def test_delays_in_a_row_add_up_and_hold_biases_back() -> None:
    nodes = {
        "in": inp(1), "d1": delay(DT), "w": affine([[1.0]], [10.0]), "d2": delay(2 * DT),
        "pop": adder(), "out": out(1),
    }  # fmt: skip
    raw = graph(nodes, "in d1 w d2 pop out")
    (into, _) = [p for *_, p in projections(raw)]
    assert into.delay_s == pytest.approx(3 * DT) and into.biases[0].onset_s == pytest.approx(2 * DT)
    assert total(raw, 1.0, 0.0, 0.0, 0.0) == [0, 0, 10, 21]


def test_neurons_of_one_delay_each_are_split_by_it() -> None:
    nodes = {"in": inp(3), "d": delay([DT, 0.0, DT]), "pop": adder(3), "out": out(3)}
    raw = graph(nodes, "in d pop out")
    assert [p.delay_s for s, _, p in projections(raw) if s == "in"] == [0, DT]
    assert total(raw, [1.0, 1, 1], [0.0, 0, 0]) == [0, 1, 0, 1, 1, 1]


def test_a_loop_of_linear_nodes_is_refused() -> None:
    nodes = {"in": inp(1), "a": scale(1.0), "b": scale(0.5), "pop": if_(), "out": out(1)}
    assert refusals(graph(nodes, "in a b a", "b pop out")) == [("P305", "nodes/a")]
    assert refusals(graph(nodes, "in a a", "a b pop out")) == [("P305", "nodes/a")]


def test_a_loop_through_a_delay_without_a_neuron_is_refused_too() -> None:
    nodes = {"in": inp(1), "a": scale(1.0), "d": delay(DT), "pop": if_(), "out": out(1)}
    assert refusals(graph(nodes, "in a d a", "a pop out")) == [("P305", "nodes/a")]


def test_only_the_edge_back_is_feedback() -> None:
    nodes = {"in": inp(1), "a": if_(), "b": if_(), "w": linear([[1.0]]), "out": out(1)}
    late = {(s, t) for s, t, p in projections(graph(nodes, "in a b w a", "b out")) if p.feedback}
    assert late == {("b", "a")}


def test_the_late_edges_are_named_and_follow_the_names() -> None:
    """A Delay in the late edge leaves no choice, and a loop of one population has none."""

    def said(raw: RawGraph) -> list[str]:
        log = Log()
        ToPopulations().run(layers(raw), log)
        return [d.message.partition(":")[0] for d in log.diagnostics if d.code == "P331"]

    ring = {"in": inp(1), "a": if_(), "b": if_(), "out": out(1)}
    by_name = said(graph(ring, "in a b a", "in b out"))
    assert by_name == ["`b` -> `a` of a loop acts a step later"]
    by_way = said(graph(ring, "in b a b", "b out"))
    assert by_way == ["`a` -> `b` of a loop acts a step later"]
    delayed = graph({**ring, "d": delay(DT)}, "in a b d a", "in b out")
    assert said(delayed) == said(graph(ring, "in a a", "a b out")) == []


def test_a_delay_breaks_the_cycle_by_itself() -> None:
    nodes = {"in": inp(1), "a": if_(), "d": delay(2 * DT), "out": out(1)}
    raw = graph(nodes, "in a d a", "a out")
    assert not any(p.feedback for *_, p in projections(raw))
    assert total(raw, 1.0, 0, 0, 0, 0) == [1, 0, 1, 0, 1]


def test_inner_ports_and_flatten_are_wires() -> None:
    flat = node("Flatten", start_dim=0, end_dim=-1, input_type=(1, 2))
    nodes = {
        "in": inp(1, 2),
        "f": flat,
        "mid": out(2),
        "mid2": inp(2),
        "pop": adder(2),
        "out": out(2),
    }
    raw = graph(nodes, "in f mid mid2 pop out")
    assert [p.ops for *_, p in projections(raw)] == [(), ()]


def ladder(rungs: int) -> RawGraph:
    """Each rung doubles the ways: 2 ** rungs of them."""
    nodes: dict[str, RawNode] = {"in": inp(1), "n0": scale(1.0), "pop": if_(), "out": out(1)}
    ways = ["in n0", f"n{rungs} pop out"]
    for i in range(rungs):
        nodes |= {f"a{i}": scale(1.0), f"b{i}": scale(1.0), f"n{i + 1}": scale(0.5)}
        ways += [f"n{i} a{i} n{i + 1}", f"n{i} b{i} n{i + 1}"]
    return graph(nodes, *ways)


def test_ways_without_number_are_refused_before_they_are_listed() -> None:
    assert [code for code, _ in refusals(ladder(30))] == ["P307"]
    assert total(ladder(5), 1.0) == [1]


def test_a_star_of_thousands_is_refused_before_it_is_listed() -> None:
    nodes: dict[str, RawNode] = {"in": inp(1), "hub": scale(1.0), "out": out(1)}
    sides = [(f"a{i}", f"b{i}") for i in range(1500)]
    nodes |= {name: if_() for pair in sides for name in pair}
    ways = [w for a, b in sides for w in (f"in {a} hub {b}", f"{b} out")]
    assert refusals(graph(nodes, *ways)) == [("P307", "nodes/hub")]


def test_the_limit_of_projections_is_that_of_the_whole_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two ways into a scale and two out of it are four, beside four to and from the neurons."""
    names = ("a", "b", "c", "d")
    nodes: dict[str, RawNode] = {"in": inp(1), "s": scale(1.0), "out": out(1)}
    nodes |= {name: if_() for name in names}
    program = layers(graph(nodes, "in a s c out", "in b s d out"))
    for most, codes in ((12, []), (11, ["P307"])):
        monkeypatch.setattr(to_populations, "MAX_PROJECTIONS", most)
        log = Log()
        with contextlib.suppress(CompileError):
            ToPopulations().run(program, log)
        assert [d.code for d in log.diagnostics] == codes


def test_a_delay_of_very_many_lengths_is_refused() -> None:
    n = 5000
    nodes = {"in": inp(n), "d": delay(np.arange(n) * DT), "pop": if_(n), "out": out(n)}
    assert refusals(graph(nodes, "in d pop out")) == [("P307", "nodes/d")]


def test_the_limit_is_the_number_of_paths_through_one_node() -> None:
    def ways(n: int) -> RawGraph:
        nodes: dict[str, RawNode] = {"in": inp(1), "s": scale(1.0), "out": out(1)} | {
            f"p{i}": if_() for i in range(n)
        }
        return graph(nodes, "in s", *(f"s p{i} out" for i in range(n)))

    program = layers(ways(3))
    assert len(list(ToPopulations(max_paths=3).run(program, Log()).edges())) == 6
    with pytest.raises(CompileError):
        ToPopulations(max_paths=2).run(program, Log())


def test_a_long_chain_does_not_branch() -> None:
    names = [name for i in range(2100) for name in (f"w{i}", f"p{i}")]
    nodes = {"in": inp(1), "out": out(1)}
    nodes |= {name: scale(1.0) if name[0] == "w" else if_() for name in names}
    program = layers(graph(nodes, " ".join(["in", *names, "out"])))
    assert len(list(ToPopulations().run(program, Log()).edges())) == 2101


def test_nothing_depends_on_the_order_of_edges_or_on_duplicates() -> None:
    nodes = {
        "in": inp(2), "a": affine([[1.0, 0.1]], [0.3]), "b": linear([[0.7, 0.2]]), "pop": lif(1),
        "w": linear([[0.3]]),
        "last": lif(1), "out": out(1),
    }  # fmt: skip
    ways = [
        ("in", "a"),
        ("in", "b"),
        ("a", "pop"),
        ("b", "pop"),
        ("pop", "w"),
        ("w", "pop"),
        ("pop", "last"),
        ("last", "out"),
    ]
    expected = digest(lowered(graph(nodes, *ways)).discrete)
    dice = np.random.default_rng(0)
    for _ in range(5):
        order = dice.permutation(len(ways))
        again = [ways[i] for i in order] + [ways[order[0]], ways[order[3]]]
        assert digest(lowered(graph(nodes, *again)).discrete) == expected
