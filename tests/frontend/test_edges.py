"""Edges name nodes in more ways than one: each certain reading is warned of, the rest is
refused.
"""

from __future__ import annotations

import time

import pytest

from nirc.diagnostics.errors import Diagnostic
from nirc.diagnostics.log import Log
from nirc.frontend.load import resolve_edges
from nirc.frontend.raw import RawGraph, RawNode
from tests.build import graph, if_, inp, nested, out, scale

Paths = list[tuple[tuple[str, ...], tuple[str, ...]]]


def resolved(raw: RawGraph, *, inside: tuple[str, ...] = ()) -> tuple[Paths, list[Diagnostic]]:
    log = Log()
    return resolve_edges(raw, log, inside=inside), log.diagnostics


def codes(found: list[Diagnostic]) -> list[str]:
    return [d.code for d in found]


SUB = nested(graph({"input": inp(1), "lif": if_(), "output": out(1)}, "input lif output"))
DOTTED = {"lif1.input": inp(1), "lif1.lif": if_(), "lif1.output": out(1)}


def test_plain_names_need_no_word() -> None:
    edges, found = resolved(graph({"a": scale(1), "b": if_()}, "a b", "b b"))
    assert edges == [(("a",), ("b",)), (("b",), ("b",))] and not found


def test_a_duplicate_is_dropped_and_named() -> None:
    edges, found = resolved(graph({"a": scale(1), "b": if_()}, "a b", "a b", "a b"))
    assert edges == [(("a",), ("b",))]
    assert [(d.code, d.where) for d in found] == [("G201", "edges")] and "'a' -> 'b'" in found[
        0
    ].message


def test_many_duplicates_are_counted_instead_of_listed() -> None:
    names = {f"n{i:02}": scale(1) for i in range(30)}
    way = " ".join(names)
    edges, found = resolved(graph(names, way, way))
    assert len(edges) == 29 and len(found) == 21 and found[-1].message.startswith("9 more")


def test_a_flattened_subgraph_is_reached_through_its_ports() -> None:
    edges, found = resolved(graph({"in": inp(1), **DOTTED, "last": if_()}, "in lif1 last"))
    assert edges == [(("in",), ("lif1.input",)), (("lif1.output",), ("last",))]
    assert codes(found) == ["G202", "G202"] and {d.found for d in found} == {"lif1"}


def test_an_edge_of_a_flattened_subgraph_to_itself_is_its_recurrence() -> None:
    edges, found = resolved(graph({"in": inp(1), **DOTTED}, "in lif1 lif1"))
    assert edges == [(("in",), ("lif1.input",))]
    assert codes(found) == ["G202", "G204"]


def test_a_flattened_subgraph_with_two_inputs_is_refused() -> None:
    _, found = resolved(
        graph({"in": inp(1), **DOTTED, "lif1.other": inp(1)}, "in lif1", "lif1.lif lif1.other")
    )
    assert codes(found) == ["G251"] and found[0].found == "lif1"


def test_inside_a_subgraph_a_node_may_have_its_outer_name() -> None:
    inner = graph(
        {"input": inp(1), "lif": if_(), "output": out(1)}, "hidden.input hidden.lif hidden.output"
    )
    edges, found = resolved(inner, inside=("hidden",))
    assert edges == [(("input",), ("lif",)), (("lif",), ("output",))]
    assert set(codes(found)) == {"G203"} and {d.where for d in found} == {"nodes/hidden/edges"}


@pytest.mark.parametrize("name", ["sub.lif", "sub/lif"])
def test_from_outside_an_edge_may_reach_into_a_subgraph(name: str) -> None:
    edges, found = resolved(graph({"in": inp(1), "sub": SUB}, ("in", name)))
    assert edges == [(("in",), ("sub", "lif"))]
    assert codes(found) == ["G203"]


def test_it_may_reach_several_graphs_deep_through_names_with_dots() -> None:
    deep = nested(graph({"a.b": SUB}))
    edges, found = resolved(graph({"in": inp(1), "x.y": deep}, "in x.y.a.b.lif"))
    assert edges == [(("in",), ("x.y", "a.b", "lif"))] and codes(found) == ["G203"]


def test_one_unknown_name_and_one_unnamed_node_can_only_be_the_same() -> None:
    edges, found = resolved(graph({"in": inp(1), "lif": if_(), "out": out(1)}, "in LIF_0 out"))
    assert edges == [(("in",), ("lif",)), (("lif",), ("out",))]
    assert codes(found) == ["G203"]


def test_two_unnamed_nodes_are_no_certain_reading() -> None:
    _, found = resolved(graph({"in": inp(1), "lif": if_(), "other": if_()}, "in lif_"))
    assert codes(found) == ["G251"]
    assert found[0].found == "lif_" and "other" in found[0].expected and "`lif`" in found[0].help


def test_a_subgraph_hidden_behind_an_ordinary_node_is_unknown() -> None:
    _, found = resolved(graph({"in": inp(1), "lif": if_(), "b": if_()}, "in lif.input", "lif b"))
    assert codes(found) == ["G251"]


def test_thousands_of_unknown_names_do_not_take_minutes() -> None:
    """Each costs a search for similar names: after twenty the rest is not looked at."""
    names = {f"n{i}": RawNode("", "Scale") for i in range(3000)}
    raw = RawGraph(names, tuple((f"m{i}", f"m{i + 1}") for i in range(3000)))
    start = time.process_time()
    _, found = resolved(raw)
    assert set(codes(found)) == {"G251"} and len(found) <= 21
    assert time.process_time() - start < 5


def test_a_name_of_any_length_is_shown_in_part() -> None:
    _, found = resolved(graph({"a": scale(1), "b": scale(1), "c": scale(1)}, ("a", "x" * 255)))
    assert len(found[0].found) == 200
