"""flatten-nesting: graphs within graphs become one, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.diagnostics.errors import InputError
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.layers import LayerNode, Subgraph
from tests.build import (
    adder,
    findings,
    graph,
    if_,
    inp,
    layers,
    linear,
    lowered,
    nested,
    out,
    scale,
    steps,
)


def doubling() -> RawNode:
    return nested(
        graph({"input": inp(1), "twice": scale(2.0), "output": out(1)}, "input twice output")
    )


def test_nested_is_the_same_as_flattened_by_hand() -> None:
    cell = {
        "input": inp(2),
        "w_in": linear(np.eye(2)),
        "lif": if_(2),
        "w_rec": linear([[0, 1.0], [0, 0]]),
        "output": out(2),
    }
    ways = ("input w_in lif output", "lif w_rec lif")
    inside = graph({"in": inp(2), "cell": nested(graph(cell, *ways)), "out": out(2)}, "in cell out")
    by_hand = graph(
        {"in": inp(2), "out": out(2)} | {f"cell.{name}": item for name, item in cell.items()},
        "in cell.input cell.w_in cell.lif cell.output out",
        "cell.lif cell.w_rec cell.lif",
    )
    one, other = layers(inside), layers(by_hand)
    assert set(one.graph) == set(other.graph) and set(one.graph.edges()) == set(other.graph.edges())
    x = steps([0, 1.0], [0, 0], [1.0, 0])
    assert (
        lowered(inside).outputs(x).tolist()
        == lowered(by_hand).outputs(x).tolist()
        == [[[0, 1], [1, 0], [1, 0]]]
    )


def test_three_deep_with_edges_to_inner_nodes() -> None:
    deep = nested(graph({"input": inp(1), "mid": doubling(), "output": out(1)}, "input mid output"))
    raw = graph(
        {"in": inp(1), "deep": deep, "pop": adder(), "out": out(1)},
        "in deep pop out",
        "in deep.mid.twice",
        ("deep.mid.twice", "pop"),
    )
    program = layers(raw)
    assert not any(isinstance(p.layer, Subgraph) for p in program.nodes(LayerNode).values())
    assert program["deep.mid.twice"].origins == ("nodes/deep/nodes/mid/nodes/twice",)
    assert lowered(raw).outputs(steps(1.0)).item() == 8  # two ways into the scale, two out of it


@pytest.mark.parametrize("names", [("sub", "sub.twice"), ("a\n", "a\t")])
def test_names_that_become_the_same_stay_two_nodes(names: tuple[str, str]) -> None:
    sub, other = names
    nodes = {"in": inp(1), sub: doubling(), other: scale(100.0), "pop": adder(), "out": out(1)}
    raw = graph(nodes, ("in", sub), (sub, "pop"), ("in", other), (other, "pop"), "pop out")
    assert len(layers(raw).graph) == 7
    assert lowered(raw).outputs(steps(1.0)).item() == 102


def test_two_plain_nodes_of_unprintable_names_stay_two() -> None:
    nodes = {
        "in": inp(1),
        "a\n": scale(1.0),
        "a\t": scale(10.0),
        "a_": scale(100.0),
        "pop": adder(),
        "out": out(1),
    }
    ways = [(a, b) for name in ("a\n", "a\t", "a_") for a, b in (("in", name), (name, "pop"))]
    program = layers(graph(nodes, *ways, "pop out"))
    assert all(name.isprintable() for name in program.graph)
    assert lowered(graph(nodes, *ways, "pop out")).outputs(steps(1.0)).item() == 111


def test_a_subgraph_with_two_inputs_needs_edges_that_name_them() -> None:
    two = graph({"a": inp(1), "b": inp(1), "s": scale(1.0), "output": out(1)}, "a s output", "b s")
    nodes = {"in": inp(1), "sub": nested(two), "pop": adder(), "out": out(1)}
    assert ("G253", "nodes/sub") in findings(graph(nodes, "in sub pop out"))
    named = graph(nodes, "in sub.a", "in sub.b", "sub pop out")
    assert lowered(named).outputs(steps(1.0)).item() == 2


def test_a_subgraph_that_holds_nothing_is_refused() -> None:
    empty = nested(RawGraph({}, ()))
    with pytest.raises(InputError):
        layers(graph({"in": inp(1), "sub": empty, "out": out(1)}, "in sub out"))


def test_a_deep_chain_of_subgraphs_is_no_problem() -> None:
    item = doubling()
    for _ in range(10):
        item = nested(graph({"input": inp(1), "x": item, "output": out(1)}, "input x output"))
    raw = graph({"in": inp(1), "x": item, "pop": adder(), "out": out(1)}, "in x pop out")
    assert lowered(raw).outputs(steps(3.0)).item() == 6
