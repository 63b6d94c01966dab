"""complete-ports: a graph without Input or Output gets those that its ends imply."""

from __future__ import annotations

import numpy as np

from nirc.frontend.raw import RawGraph
from nirc.ir.layers import Input, LayerNode, Output
from tests.build import adder, findings, graph, inp, layers, linear, lowered, out, scale, steps

W = linear(np.ones((2, 3)))


def ports(raw: RawGraph, kind: type) -> dict[str, object]:
    return {
        n: p.shape_out for n, p in layers(raw).nodes(LayerNode).items() if isinstance(p.layer, kind)
    }


def test_a_complete_graph_stays_as_it_is() -> None:
    raw = graph({"in": inp(3), "w": W, "pop": adder(2), "out": out(2)}, "in w pop out")
    assert findings(raw) == [] and ports(raw, Input) == {"in": (3,)}


def test_a_bare_chain_gets_both_with_the_shapes_around_them() -> None:
    raw = graph({"w": W, "pop": adder(2)}, "w pop")
    assert findings(raw) == [("G212", "nodes/w"), ("G212", "nodes/pop")]
    assert ports(raw, Input) == {"input_w": (3,)} and ports(raw, Output) == {"output_pop": (2,)}
    assert lowered(raw).outputs(steps([1.0, 1, 1])).tolist() == [[[3, 3]]]


def test_several_ends_get_one_each() -> None:
    raw = graph({"a": W, "b": W, "pop": adder(2), "other": adder(2)}, "a pop", "b pop", "pop other")
    assert set(ports(raw, Input)) == {"input_a", "input_b"} and set(ports(raw, Output)) == {
        "output_other"
    }


def test_a_port_never_takes_the_name_of_a_node() -> None:
    raw = graph(
        {"a": W, "input_a": scale(10.0), "output_pop": scale(2.0), "pop": adder(2)},
        "a input_a output_pop pop",
    )
    assert set(ports(raw, Input)) == {"input_a2"} and set(ports(raw, Output)) == {"output_pop2"}
    assert lowered(raw).outputs(steps([1.0, 0, 0])).tolist() == [[[20, 20]]]


def test_a_ring_has_no_place_for_a_port() -> None:
    assert (
        findings(graph({"a": adder(2), "b": adder(2)}, "a b a")) == [("G254", "nodes")] * 2
    )  # an Input, an Output


def test_an_input_inside_a_chain_is_a_wire_and_does_not_count() -> None:
    raw = graph({"w": W, "mid": inp(2), "pop": adder(2), "out": out(2)}, "w mid pop out")
    assert findings(raw) == [("G212", "nodes/w")] and set(ports(raw, Input)) == {"input_w", "mid"}
