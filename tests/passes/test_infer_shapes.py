"""infer-shapes: every signal gets a shape; each repair is said once, each contradiction refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.frontend.raw import RawNode
from nirc.ir.arrays import Shape
from nirc.passes import infer_shapes
from tests.build import (
    adder,
    changed,
    findings,
    graph,
    if_,
    inp,
    layers,
    lif,
    linear,
    node,
    out,
    refusals,
    said,
    scale,
)

CONV = node(
    "Conv2d", weight=np.ones((2, 1, 3, 3)), stride=1, padding=0, dilation=1, groups=1, bias=0.0
)


def neurons(*shape: int) -> RawNode:
    return changed(if_(1), **{k: np.ones(shape) for k in ("r", "v_threshold", "v_reset")})


def shape(raw: Any, name: str) -> Shape | None:
    found: Shape | None = layers(raw)[name].shape_out
    return found


def test_shapes_travel_through_a_convolutional_net() -> None:
    raw = graph(
        {
            "in": inp(1, 8, 8), "conv": CONV, "a": if_(),
            "pool": node("SumPool2d", kernel_size=2, stride=2, padding=0),
            "flat": node("Flatten", start_dim=0, end_dim=-1, input_type=(2, 3, 3)),
            "w": linear(np.ones((4, 18))),
            "b": if_(4), "out": out(4),
        },
        "in conv a pool flat w b out",
    )  # fmt: skip
    program = layers(raw)
    assert [program[n].shape_out for n in ("conv", "a", "pool", "flat", "b")] == [
        (2, 6, 6), (2, 6, 6), (2, 3, 3), (18,), (4,),
    ]  # fmt: skip
    assert findings(raw) == [("G206", "nodes/a/r"), ("G214", "nodes/conv/input_shape")]


def test_a_pool_of_stride_one_is_read_by_its_kernel_if_only_then_all_fits() -> None:
    pool = node("AvgPool2d", kernel_size=2, stride=1, padding=0)
    nodes = {"in": inp(1, 4, 4), "pool": pool, "out": out()}
    small = graph(nodes | {"pop": neurons(1, 2, 2)}, "in pool pop out")
    assert findings(small) == [("G210", "nodes/pool/stride")] and shape(small, "pool") == (1, 2, 2)
    as_said = graph(nodes | {"pop": neurons(1, 3, 3)}, "in pool pop out")
    assert findings(as_said) == [] and shape(as_said, "pool") == (1, 3, 3)


def test_a_recurrent_part_without_input_takes_its_own_shapes() -> None:
    raw = graph(
        {"in": inp(2), "pop": if_(2), "clock": if_(2), "w": linear(np.eye(2)), "out": out(2)},
        "in pop out",
        "clock w clock pop",
    )
    assert findings(raw) == [] and shape(raw, "clock") == (2,)


def test_signals_of_different_shape_do_not_add_up() -> None:
    raw = graph(
        {"a": inp(2), "b": inp(3), "s": scale(1.0), "pop": adder(3), "out": out()},
        "a s pop out",
        "b s",
    )
    assert {code for code, _ in refusals(raw)} == {"G252"}


def test_one_output_of_two_populations_adds_them_if_they_are_as_large() -> None:
    nodes = {"in": inp(2), "a": if_(2), "b": lif(2), "out": out(2)}
    assert findings(graph(nodes, "in a out", "in b out")) == []
    nodes |= {"b": lif(3), "w": linear(np.ones((3, 2)))}
    assert refusals(graph(nodes, "in a out", "in w b out")) == [("G252", "nodes/out")]


def test_an_output_that_nothing_reaches_is_gone_before_shapes_are_asked_for() -> None:
    raw = graph({"in": inp(2), "pop": if_(2), "out": out(2), "spare": out(3)}, "in pop out")
    assert findings(raw) == [("G213", "nodes/spare")]


def test_an_input_without_a_shape_takes_that_of_what_it_feeds() -> None:
    raw = graph({"in": inp(), "pop": if_(4), "out": out()}, "in pop out")
    assert shape(raw, "in") == (4,) and findings(raw) == []
    lost = graph({"in": inp(), "s": scale(1.0), "out": out()}, "in s out")
    assert findings(lost) == [("G253", "nodes/in")]


@pytest.mark.parametrize("declared", [(1, 3), (1, 1, 3), (100, 3), (1, 100, 3), (7,)])
def test_an_input_s_time_and_batch_axes_are_dropped_with_a_word(declared: Shape) -> None:
    raw = graph(
        {"in": inp(*declared), "w": linear(np.ones((2, 3))), "pop": if_(2), "out": out(2)},
        "in w pop out",
    )
    severity = "note" if np.prod(declared[:-1]) == 1 and declared != (7,) else "warning"
    assert shape(raw, "in") == (3,)
    assert [(d.code, d.severity) for d in said(raw) if d.code == "G207"] == [("G207", severity)]


@pytest.mark.parametrize(
    ("declared", "item"),
    [
        ((1 << 24, 1 << 24), scale(1.0)),
        ((1, 99, 99), changed(CONV, padding=1 << 20)),
        ((1 << 13, 1 << 12), scale(1.0)),
    ],
)
def test_a_signal_larger_than_memory_is_refused_before_it_is_made(
    declared: Shape, item: RawNode
) -> None:
    raw = graph(
        {"in": inp(*declared), "x": item, "pop": if_(), "last": if_(), "out": out()},
        "in x pop last out",
    )
    (huge,) = [d for d in said(raw) if d.severity == "error"]
    assert (huge.code, huge.where) == ("F106", "nodes/x" if item.type == "Conv2d" else "nodes/in")


def test_the_largest_signal_is_allowed() -> None:
    raw = graph({"in": inp(1 << 12, 1 << 12), "s": scale(1.0), "out": out()}, "in s out")
    assert shape(raw, "out") == (1 << 12, 1 << 12)


def test_a_signal_of_more_values_than_a_laptop_holds_is_refused_where_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = {"in": inp(4), "w": linear(np.ones((6, 4))), "x": lif(6), "out": out(6)}
    net = graph(nodes, "in w x out")
    monkeypatch.setattr(infer_shapes, "MAX_SIGNAL", 6)
    assert refusals(net) == []
    monkeypatch.setattr(infer_shapes, "MAX_SIGNAL", 5)
    (refusal,) = [d for d in said(net) if d.severity == "error"]
    assert (refusal.where, refusal.found, refusal.limit) == (
        "nodes/w",
        "shape (6,), 6 values",
        "5 values",
    )
    assert refusal.help == "check the declared shapes and the padding"


@pytest.mark.parametrize("lead", [(), (7,), (3, 7)])
def test_a_batch_and_a_time_axis_of_several_inputs_are_dropped(lead: tuple[int, ...]) -> None:
    """What follows an Input says nothing of sizes: the weights far behind it do."""
    raw = graph(
        {
            "a": inp(*lead, 4), "sa": scale(2.0), "wa": linear(np.ones((3, 4))),
            "b": inp(*lead, 2), "sb": scale(0.5), "wb": linear(np.ones((3, 2))),
            "n": if_(3), "out": out(3),
        },
        "a sa wa n out", "b sb wb n",
    )  # fmt: skip
    program = layers(raw)
    assert [program[n].shape_out for n in ("a", "sa", "b", "sb")] == [(4,), (4,), (2,), (2,)]
    overruled = [("G207", "nodes/a/shape"), ("G207", "nodes/b/shape")] if lead else []
    assert [f for f in findings(raw) if f[0] == "G207"] == overruled


def test_more_than_a_batch_and_a_time_axis_are_no_guess() -> None:
    raw = graph(
        {
            "a": inp(2, 3, 7, 4), "sa": scale(2.0), "wa": linear(np.ones((3, 4))),
            "b": inp(2, 3, 7, 2), "sb": scale(0.5), "wb": linear(np.ones((3, 2))),
            "n": if_(3), "out": out(3),
        },
        "a sa wa n out", "b sb wb n",
    )  # fmt: skip
    assert "G252" in {code for code, *_ in refusals(raw)}
