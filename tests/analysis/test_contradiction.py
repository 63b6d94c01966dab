"""Each cause is one error, at the node that most others contradict; signals that meet are added,
never joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.analysis.claims import Claim, vote
from nirc.diagnostics.errors import Diagnostic
from nirc.frontend.raw import RawGraph, RawNode
from tests.build import (
    changed,
    findings,
    graph,
    inp,
    layers,
    linear,
    nested,
    node,
    out,
    refusals,
    said,
    scale,
)

SCALAR = node("IF", r=1.0, v_threshold=0.5, v_reset=0.0)


def pop(*shape: int, equal: bool = False) -> RawNode:
    """Neurons whose parameters all differ, unless ``equal``."""
    values = np.ones(shape) if equal else 1 + np.arange(np.prod(shape)).reshape(shape) / 8
    return node("IF", r=np.ones(shape), v_threshold=values, v_reset=np.zeros(shape))


def weight(rows: int, columns: int) -> RawNode:
    return linear(np.ones((rows, columns)))


def conv(*shape: int, **fields: Any) -> RawNode:
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": 0.0}
    return node(f"Conv{len(shape) - 2}d", weight=np.ones(shape), **(usual | fields))


def error(raw: RawGraph) -> Diagnostic:
    """The only error."""
    (found,) = [d for d in said(raw) if d.severity == "error"]
    assert found.help
    return found


# -- signals that meet are added -------------------------------------------------------------------


def test_two_inputs_are_never_joined_into_what_a_weight_takes() -> None:
    """Both were read as 5 values, and added: a wrong answer with status 0."""
    nodes = {"a": inp(2), "b": inp(3), "w": weight(4, 5), "n": pop(4), "out": out(4)}
    found = error(graph(nodes, "a w n out", "b w"))
    assert (found.code, found.where) == ("G252", "nodes/w/weight")
    assert "`a` (2 values) and `b` (3 values) meet" in found.message and "adds" in found.message
    assert "5 values" in found.help and "(4, 2) and (4, 3)" in found.help


@pytest.mark.parametrize(
    ("sizes", "columns"),
    [((3, 3), 6), ((2, 3, 4), 9), ((2, 3), 5), ((1, 4), 5)],
)
def test_nor_are_any_number_of_inputs_of_any_size(sizes: tuple[int, ...], columns: int) -> None:
    inputs = {f"in{n}": inp(size) for n, size in enumerate(sizes)}
    nodes = inputs | {"w": weight(4, columns), "n": pop(4), "out": out(4)}
    found = error(graph(nodes, "w n out", *(f"{name} w" for name in inputs)))
    assert found.where == "nodes/w/weight" and f"into {columns} values" in found.message


def test_inputs_of_the_size_that_is_taken_are_added() -> None:
    nodes = {"a": inp(5), "b": inp(5), "w": weight(4, 5), "n": pop(4), "out": out(4)}
    assert findings(graph(nodes, "a w n out", "b w")) == []
    assert findings(graph(nodes | {"a": inp(), "b": inp()}, "a w n out", "b w")) == []


@pytest.mark.parametrize("declared", [{}, {"input_shape": (8, 8)}])
def test_maps_are_never_joined_along_their_channels(declared: dict[str, Any]) -> None:
    nodes = {
        "a": inp(2, 8, 8),
        "b": inp(1, 8, 8),
        "c": conv(4, 3, 3, 3, **declared),
        "n": SCALAR,
        "out": out(4, 6, 6),
    }
    found = error(graph(nodes, "a c n out", "b c"))
    assert found.where == "nodes/c/weight" and "into shape (3, 8, 8)" in found.message


@pytest.mark.parametrize("equal", [False, True])
def test_nor_are_inputs_joined_by_a_population(equal: bool) -> None:
    nodes = {"a": inp(2), "b": inp(3), "n": pop(5, equal=equal), "out": out(5)}
    assert error(graph(nodes, "a n out", "b n")).where.startswith("nodes/n/")


def test_nor_populations_by_a_weight_or_an_output() -> None:
    nodes = {"in": inp(3), "x": weight(5, 3), "y": weight(5, 3), "p": pop(5), "q": pop(5)}
    by_weight = nodes | {"w": weight(4, 10), "n": pop(4), "out": out(4)}
    found = error(graph(by_weight, "in x p w n out", "in y q w"))
    assert found.where == "nodes/w/weight" and "(4, 5) and (4, 5)" in found.help
    by_output = graph(nodes | {"out": out(10)}, "in x p out", "in y q out")
    assert (
        error(by_output).where == "nodes/out/shape" and "into 10 values" in error(by_output).message
    )


def test_populations_of_different_size_do_not_add_up() -> None:
    nodes = {
        "in": inp(3),
        "x": weight(3, 3),
        "y": weight(5, 3),
        "p": pop(3),
        "q": pop(5),
        "w": weight(4, 5),
    }
    found = error(graph(nodes | {"n": pop(4), "out": out(4)}, "in x p w n out", "in y q w"))
    assert (
        found.where == "nodes/w" and "`p` (3 values) and `q` (5 values) meet here" in found.message
    )


def test_what_comes_back_over_a_loop_is_not_joined() -> None:
    nodes = {
        "in": inp(3),
        "x": weight(4, 3),
        "n": pop(4),
        "rec": weight(4, 4),
        "w": weight(2, 8),
        "m": pop(2),
    }
    found = error(graph(nodes | {"out": out(2)}, "in x n w m out", "n rec n"))
    assert found.where == "nodes/w/weight" and "agree on 4 values" in found.message


# -- what is declared gives way only where that is certain -----------------------------------------


def test_the_only_input_gives_way_to_the_weights_behind_it() -> None:
    nodes = {"in": inp(3), "w": weight(4, 5), "v": weight(4, 5), "n": pop(4), "out": out(4)}
    for ways in (("in w n out",), ("in w n out", "in v n")):
        kept = {name: item for name, item in nodes.items() if name != "v" or len(ways) > 1}
        raw = graph(kept, *ways)
        assert findings(raw) == [("G207", "nodes/in/shape")] and layers(raw)["in"].shape_out == (5,)


def test_but_not_to_one_weight_where_another_agrees_with_it() -> None:
    nodes = {"in": inp(3), "w": weight(4, 3), "v": weight(4, 5), "n": pop(4), "out": out(4)}
    found = error(graph(nodes, "in w n out", "in v n"))
    assert found.where == "nodes/v/weight" and "`in` and `w` agree on 3 values" in found.message


def test_nor_to_neurons_that_the_output_contradicts() -> None:
    found = error(graph({"in": inp(8), "n": pop(5), "out": out(8)}, "in n out"))
    assert (
        found.where == "nodes/n/v_threshold" and "`in` and `out` agree on 8 values" in found.message
    )


def test_of_several_inputs_none_gives_way() -> None:
    nodes = {
        "a": inp(3),
        "b": inp(5),
        "w": weight(4, 5),
        "v": weight(4, 3),
        "n": pop(4),
        "out": out(4),
    }
    assert refusals(graph(nodes, "a w n out", "b v n")) == [
        ("G252", "nodes/w/weight"),
        ("G252", "nodes/v/weight"),
    ]
    nodes |= {"a": inp(2), "v": weight(4, 5)}
    found = error(graph(nodes, "a w n out", "b w"))
    assert found.where == "nodes/a/shape" and "`b` and `w` agree on 5 values" in found.message


def test_an_input_that_feeds_nothing_is_not_counted() -> None:
    nodes = {"a": inp(3), "spare": inp(9), "w": weight(4, 5), "n": pop(4), "out": out(4)}
    assert ("G207", "nodes/a/shape") in findings(graph(nodes, "a w n out"))


def test_the_only_output_gives_way_to_what_arrives() -> None:
    raw = graph({"in": inp(3), "w": weight(4, 3), "n": pop(4), "out": out(7)}, "in w n out")
    assert findings(raw) == [("G207", "nodes/out/shape")] and layers(raw)["out"].shape_out == (4,)


def test_of_several_outputs_none_gives_way() -> None:
    nodes = {"in": inp(6), "w": weight(5, 6), "n": pop(5), "a": out(5), "b": out(3)}
    found = error(graph(nodes, "in w n a", "n b"))
    assert found.where == "nodes/b/shape" and "`a`, `n` and `w` agree on 5 values" in found.message


def test_outputs_do_not_share_a_population() -> None:
    nodes = {"in": inp(6), "w": weight(5, 6), "n": pop(5), "a": out(2), "b": out(3)}
    found = error(graph(nodes, "in w n a", "n b"))
    assert (
        found.where == "nodes/a/shape"
        and "`a` (2 values) and `b` (3 values) share the 5 values" in found.message
    )


def test_ports_of_nested_graphs_are_counted_by_themselves() -> None:
    inner = graph({"i": inp(3), "n": pop(8), "o": out(8)}, "i n o")
    nodes = {"in": inp(5), "w": weight(8, 5), "sub": nested(inner), "out": out(8)}
    assert findings(graph(nodes, "in w sub out")) == [("G207", "nodes/sub/nodes/i/shape")]


# -- one cause, one error --------------------------------------------------------------------------


def test_what_lies_behind_a_contradiction_is_not_reported() -> None:
    """Eight errors blamed what nirc had guessed after the first."""
    nodes = {
        "in": inp(6), "a": weight(8, 6), "n": pop(8), "b": weight(7, 9), "m": pop(7),
        "c": weight(4, 7), "k": pop(4),
        "out": out(4),
    }  # fmt: skip
    found = error(graph(nodes, "in a n b m c k out"))
    assert found.where == "nodes/b/weight" and (found.found, found.expected) == (
        "shape (9,)",
        "shape (8,)",
    )


def test_contradictions_that_have_nothing_to_do_with_each_other_are_all_reported() -> None:
    nodes = {
        "in": inp(3),
        "w": weight(2, 4),
        "v": weight(2, 3),
        "n": pop(5),
        "m": pop(2),
        "x": weight(2, 3),
    }
    raw = graph(nodes | {"out": out(2)}, "in x m out", "in w m", "in v n m")
    assert {where for _, where in refusals(raw)} == {"nodes/w/weight", "nodes/n/v_threshold"}


@pytest.mark.parametrize("equal", [False, True])
def test_the_node_that_most_contradict_is_at_fault(equal: bool) -> None:
    nodes = {
        "in": inp(6),
        "u": weight(8, 6),
        "n": pop(5, equal=equal),
        "w": weight(3, 5),
        "m": pop(3),
        "out": out(3),
    }
    found = error(graph(nodes, "in u n w m out"))
    assert found.where == "nodes/u/weight" and "`n` and `w` agree on 5 values" in found.message
    if not equal:
        found = error(graph(nodes | {"w": weight(3, 8)}, "in u n w m out"))
        assert (
            found.where == "nodes/n/v_threshold"
            and "`u` and `w` agree on 8 values" in found.message
        )


def test_a_recurrent_weight_is_at_fault_alone() -> None:
    nodes = {
        "in": inp(6),
        "u": weight(8, 6),
        "n": pop(8),
        "rec": weight(7, 8),
        "w": weight(4, 8),
        "m": pop(4),
    }
    found = error(graph(nodes | {"out": out(4)}, "in u n w m out", "n rec n"))
    assert found.where == "nodes/rec/weight" and "gives 7 values" in found.message


def cnn(first: RawNode, neurons: RawNode, second: RawNode) -> RawGraph:
    """Two convolutions with pools, made for maps of 16 x 16."""
    pool = node("SumPool2d", kernel_size=2, stride=2, padding=0)
    nodes = {
        "in": inp(2, 16, 16), "c1": first, "n1": neurons, "p1": pool, "c2": second,
        "n2": pop(16, 8, 8, equal=True),
        "p2": pool, "flat": node("Flatten", start_dim=0, end_dim=-1, input_type=(16, 4, 4)),
        "w": weight(10, 256), "m": pop(10), "out": out(10),
    }  # fmt: skip
    return graph(nodes, "in c1 n1 p1 c2 n2 p2 flat w m out")


def test_a_lost_padding_is_found_where_it_was_lost() -> None:
    second = conv(16, 8, 3, 3, padding=1, input_shape=(8, 8))
    good = cnn(conv(8, 2, 3, 3, padding=1), pop(8, 16, 16, equal=True), second)
    assert not refusals(good)
    found = error(cnn(conv(8, 2, 3, 3), pop(8, 16, 16, equal=True), second))
    assert found.where == "nodes/c1/padding" and (found.found, found.expected) == (
        "shape (8, 14, 14)",
        "shape (8, 16, 16)",
    )
    assert "`n1` is made for shape (8, 16, 16)" in found.message and "`c2`" in found.message


def test_without_neurons_that_tell_the_first_declared_shape_does() -> None:
    found = error(cnn(conv(8, 2, 3, 3), SCALAR, conv(16, 8, 3, 3, padding=1, input_shape=(8, 8))))
    assert (
        found.where == "nodes/p1/kernel_size"
        and "`c2` is made for shape (8, 8, 8)" in found.message
    )


def test_channels_that_do_not_match_are_found_by_vote() -> None:
    nodes = {
        "in": inp(2, 8, 8),
        "c": conv(3, 2, 3, 3),
        "n": pop(3, 6, 6),
        "d": conv(4, 5, 3, 3),
        "m": SCALAR,
    }
    found = error(graph(nodes | {"out": out()}, "in c n d m out"))
    assert found.where == "nodes/d/weight" and "takes 5 channels" in found.message


def test_channels_last_are_named() -> None:
    nodes = {"in": inp(8, 8, 2), "c": conv(3, 2, 3, 3), "n": pop(3, 6, 6), "out": out(3, 6, 6)}
    assert "which NIR puts first" in error(graph(nodes, "in c n out")).message


def test_where_nobody_has_a_majority_all_are_named() -> None:
    nodes = {"in": inp(7), "w": weight(4, 3), "v": weight(4, 5), "n": pop(4), "out": out(4)}
    found = error(graph(nodes, "in w n out", "in v n"))
    assert all(
        text in found.message
        for text in ("5 values, 7 arrive", "`in`: it declares", "`w`: its weight takes 3")
    )


def test_an_input_without_a_shape_is_no_witness() -> None:
    nodes = {"a": inp(), "b": inp(2), "w": weight(4, 5), "n": pop(4), "out": out(4)}
    found = error(graph(nodes, "a w n out", "b w"))
    assert found.where == "nodes/w/weight" and "`a`" not in found.message


def test_warnings_about_a_reading_that_fails_are_left_out() -> None:
    nodes = {
        "in": inp(6),
        "u": weight(8, 6),
        "n": pop(5, equal=True),
        "w": weight(3, 5),
        "m": pop(3),
        "out": out(9),
    }
    assert [d.code for d in said(graph(nodes, "in u n w m out"))] == ["G252"]


def test_a_hostile_number_of_contradictions_is_cut() -> None:
    nodes: dict[str, RawNode] = {}
    for n in range(60):
        nodes |= {f"i{n}": inp(2), f"w{n}": weight(2, 3), f"o{n}": out(2)}
    assert len(refusals(graph(nodes, *(f"i{n} w{n} o{n}" for n in range(60))))) == 20


def test_a_map_that_a_scale_hands_on_is_one_signal() -> None:
    nodes = {"in": inp(7), "s": scale(2.0), "w": weight(2, 3), "n": pop(2), "out": out(2)}
    assert findings(graph(nodes, "in s w n out")) == [
        ("G207", "nodes/in/shape"),
        ("G206", "nodes/s/scale"),
    ]


# -- the vote --------------------------------------------------------------------------------------


def claim(node: str, *shape: int, **more: bool) -> Claim:
    return Claim(node, "", shape, "", **more)  # type: ignore[arg-type]


def test_two_against_one_is_a_majority_and_one_against_one_is_none() -> None:
    assert (
        vote([]) is None
        and vote([claim("a", 3)]) is None
        and vote([claim("a", 3), claim("b", 5)]) is None
    )
    decided = vote([claim("a", 3), claim("b", 5), claim("c", 3)])
    assert (
        decided is not None
        and decided.shape == (3,)
        and [c.node for c in decided.dissenters] == ["b"]
    )
    assert vote([claim("a", 3), claim("b", 5), claim("c", 3), claim("d", 5)]) is None


def test_a_node_has_one_voice() -> None:
    assert vote([claim("rec", 3), claim("rec", 3), claim("w", 5)]) is None


@pytest.mark.parametrize(
    ("said_by", "signal", "supports"),
    [
        (claim("w", 12), (3, 4), True),
        (claim("w", 4, 12), (12,), False),
        (claim("in", 4, 12, loose=True), (12,), True),
        (claim("in", 9, 4, 12, loose=True), (12,), True),
        (claim("n", 8, 8, loose=True), (3, 8, 8), True),
        (claim("n", 8, loose=True), (3, 8, 8), False),
        (claim("c", 3, channels=True), (3, 8, 8), True),
        (claim("c", 3, channels=True), (1, 3, 8, 8), True),
        (claim("c", 3, channels=True), (192,), False),
    ],
)
def test_what_a_claim_supports(said_by: Claim, signal: tuple[int, ...], supports: bool) -> None:
    assert said_by.supports(signal) is supports


def test_a_conv_that_repairs_the_input_is_asked_after_the_neurons() -> None:
    """Input 8 x 8, but input_shape and neurons are those of 9 x 9: two against one."""
    nodes = {
        "in": inp(2, 8, 8),
        "c": conv(3, 2, 3, 3, input_shape=(9, 9)),
        "n": pop(3, 7, 7, equal=True),
        "out": out(),
    }
    raw = graph(nodes, "in c n out")
    assert findings(raw) == [("G207", "nodes/in/shape")] and layers(raw)["in"].shape_out == (
        2,
        9,
        9,
    )
    raw = graph(nodes | {"n": changed(SCALAR)}, "in c n out")
    assert ("G208", "nodes/c/input_shape") in findings(raw) and layers(raw)["in"].shape_out == (
        2,
        8,
        8,
    )
