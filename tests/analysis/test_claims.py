"""The shape of an Input: as declared, or what it feeds takes, where that is certain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirc.analysis.claims import Claim, source_shape
from nirc.diagnostics.log import Log
from nirc.frontend.load import to_layers
from nirc.frontend.raw import RawNode
from nirc.ir.arrays import Shape
from nirc.ir.layers import Layer
from tests.build import (
    changed,
    findings,
    graph,
    if_,
    inp,
    layers,
    linear,
    node,
    out,
    refusals,
    scale,
)

CONV = node(
    "Conv2d", weight=np.ones((4, 2, 3, 3)), stride=1, padding=0, dilation=1, groups=1, bias=0.0
)
SCALAR = node("IF", r=1.0, v_threshold=0.5, v_reset=0.0)


def layer(item: RawNode) -> Layer:
    found: Layer = to_layers(graph({"x": item}), Log())["x"].layer
    return found


@pytest.mark.parametrize(
    ("declared", "consumer", "shape", "code"),
    [
        ((3,), linear(np.ones((2, 3))), (3,), None),
        ((1, 3), linear(np.ones((2, 3))), (3,), "G207"),
        ((256, 3), linear(np.ones((2, 3))), (3,), "G207"),  # a time axis
        ((7,), linear(np.ones((2, 3))), (3,), "G207"),  # Rockpool: the weight matrix is trusted
        (None, linear(np.ones((2, 3))), (3,), None),
        ((2, 3), linear(np.ones((2, 6))), (2, 3), None),
        ((1, 2, 5, 5), node("Conv2d", weight=np.ones((4, 2, 3, 3))), (2, 5, 5), "G207"),
        ((1, 5, 5), node("Conv2d", weight=np.ones((4, 1, 3, 3))), (1, 5, 5), None),
        ((5,), scale(2.0), (5,), None),
        (None, scale(2.0), None, None),
        ((1, 1, 4), if_(4), (4,), "G207"),
        (
            (4, 2, 8, 8),
            node("Conv2d", weight=np.ones((4, 2, 3, 3))),
            (2, 8, 8),
            "G207",
        ),  # a batch axis
        ((9, 4, 2, 8, 8), node("Conv2d", weight=np.ones((4, 2, 3, 3))), (2, 8, 8), "G207"),
        ((4, 2, 16), node("Conv1d", weight=np.ones((4, 2, 3))), (2, 16), "G207"),
        ((4, 2, 8, 8), node("AvgPool2d", kernel_size=2, stride=2, padding=0), (2, 8, 8), "G207"),
        ((4, 8), if_(8), (8,), "G207"),
        ((4, 2, 8), linear(np.ones((2, 16))), (2, 8), "G207"),
        (
            (3, 8, 8),
            node("Conv2d", weight=np.ones((4, 1, 3, 3))),
            (3, 8, 8),
            None,
        ),  # 3 channels, or a batch of 3?
        ((3, 3, 4), changed(if_(3), r=[1.0, 2.0, 3.0]), (3, 3, 4), None),
    ],
)
def test_an_input_is_what_its_consumers_take(
    declared: Shape | None, consumer: RawNode, shape: Shape | None, code: str | None
) -> None:
    found, finding = source_shape(declared, [layer(consumer)])
    assert found == shape and (finding.code if finding else None) == code


def test_several_inputs_keep_the_number_of_values_that_they_declare() -> None:
    weight = layer(linear(np.ones((2, 5))))
    assert source_shape((3,), [weight])[0] == (5,)
    assert source_shape((3,), [weight], sole=False) == ((3,), None)
    assert source_shape((4, 5), [weight], sole=False)[0] == (
        5,
    )  # a batch axis is no number of values


def test_an_input_gives_way_only_if_all_at_its_signal_agree() -> None:
    weight = Claim("w", "weight", (5,), "", firm=True)
    output = Claim("out", "shape", (3,), "", loose=True)
    scalar = layer(scale(2.0))
    assert source_shape((3,), [scalar], [weight])[0] == (5,)
    assert source_shape((3,), [scalar], [weight, output])[0] == (3,)
    equal = Claim("pop", "r", (5,), "", loose=True, weak=True)
    assert source_shape((3,), [layer(if_(5))], [equal])[0] == (3,)
    assert source_shape((3,), [layer(if_(5))], [equal, replace(equal, node="other")])[0] == (5,)


def test_a_batch_axis_is_seen_through_nodes_that_take_any_shape() -> None:
    raw = graph(
        {"in": inp(4, 2, 8, 8), "a": SCALAR, "conv": CONV, "b": SCALAR, "out": out(4, 4, 6, 6)},
        "in a conv b out",
    )
    assert layers(raw)["in"].shape_out == (2, 8, 8) and layers(raw)["out"].shape_out == (4, 6, 6)
    assert [f for f in findings(raw) if f[0] == "G207"] == [
        ("G207", "nodes/in/shape"),
        ("G207", "nodes/out/shape"),
    ]
    flat = node("Flatten", start_dim=1, end_dim=-1, input_type=(4, 2, 8))
    raw = graph(
        {
            "in": inp(4, 2, 8),
            "f": flat,
            "w": linear(np.ones((3, 16))),
            "n": if_(3),
            "out": out(4, 3),
        },
        "in f w n out",
    )
    assert layers(raw)["w"].shape_in == (16,) and not refusals(raw)


def test_a_batch_axis_is_dropped_before_parameters_that_have_it_too() -> None:
    rows = np.tile(np.arange(1.0, 9.0), (4, 1))
    item = changed(if_(1), r=rows, v_threshold=rows, v_reset=rows * 0)
    raw = graph(
        {"in": inp(4, 8), "a": item, "w": linear(np.ones((3, 8))), "n": if_(3), "out": out(4, 3)},
        "in a w n out",
    )
    assert layers(raw)["a"].shape_out == (8,) and not refusals(raw)
    alone = graph({"in": inp(4, 8), "a": item, "out": out(4, 8)}, "in a out")
    assert layers(alone)["a"].shape_out == (4, 8)  # nothing says that these are not 32 neurons


@pytest.mark.parametrize("shapes", [((3, 8, 8), (1, 3, 3)), ((5, 16), (1, 3))])
def test_channels_are_never_taken_for_a_batch(shapes: tuple[Shape, Shape]) -> None:
    declared, kernel = shapes
    conv = node(
        f"Conv{len(declared) - 1}d",
        weight=np.ones((4, *kernel)),
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
    )
    raw = graph(
        {"in": inp(*declared), "conv": changed(conv, bias=0.0), "b": SCALAR, "out": out()},
        "in conv b out",
    )
    assert refusals(raw) == [("G252", "nodes/conv/weight")]


def test_inputs_with_different_leading_axes_have_no_batch_in_common() -> None:
    nodes = {"w": linear(np.ones((2, 5))), "v": linear(np.ones((2, 3))), "n": if_(2), "out": out(2)}
    same = graph(nodes | {"a": inp(4, 5), "b": inp(4, 3)}, "a w n out", "b v n")
    assert not refusals(same) and layers(same)["a"].shape_out == (5,)
    differ = graph(nodes | {"a": inp(4, 5), "b": inp(7, 3)}, "a w n out", "b v n")
    assert refusals(differ) == [("G252", "nodes/b/shape")]


def test_one_channel_is_no_batch_axis() -> None:
    """A loop of a Conv1d of one channel, beside weights that take its positions."""
    conv = node("Conv1d", weight=np.ones((1, 1, 1)), stride=1, padding=0, dilation=1, groups=1)
    pop = RawNode("", "IF", {k: np.ones((1, 3)) for k in ("r", "v_threshold", "v_reset")})
    flat = node("Flatten", start_dim=0, end_dim=-1, input_type=[1, 3])
    nodes = {"in": inp(1, 3), "back": conv, "pop": pop, "flat": flat}
    nodes |= {"w": linear(np.ones((4, 3))), "out": out(4)}
    raw = graph(nodes, "in pop back pop", "pop flat w out")
    assert refusals(raw) == []
    assert layers(raw)["back"].shape_in == (1, 3)
