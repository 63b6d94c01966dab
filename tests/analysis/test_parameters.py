"""Parameters over a signal: as they stand, by a certain repair with its code, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from nirc.analysis.parameters import MisfitError, broadcast, parameter_reading, strip
from nirc.frontend.raw import RawNode
from nirc.ir.arrays import Shape
from tests.build import (
    affine,
    changed,
    delay,
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


def counted(shape: Shape) -> np.ndarray:
    """Values that all differ."""
    return np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "left"),
    [
        ((3,), (3,)),
        ((1, 3), (3,)),
        ((1, 1, 1), (1,)),
        ((2, 1), (2, 1)),
        ((1, 2, 1), (2, 1)),
        ((1,), (1,)),
        ((), ()),
    ],
)
def test_leading_ones_go_but_never_the_last_axis(shape: Shape, left: Shape) -> None:
    assert strip(shape) == left


@pytest.mark.parametrize(
    ("own", "signal", "read_as", "code"),
    [
        ((4,), (4,), (4,), None),
        ((1, 1, 4), (4,), (4,), "G205"),
        ((1, 4), (1, 4), (1, 4), None),
        ((), (4,), (1,), "G206"),
        ((1,), (4,), (1,), "G206"),
        ((1, 1, 1), (2, 3, 3), (1, 1, 1), "G206"),
        ((1, 1), (1,), (1,), "G205"),
        ((), (1,), (1,), None),
        ((2, 1, 1), (2, 3, 4), (2, 1, 1), "G216"),
        ((2,), (2, 3, 4), (2, 1, 1), "G216"),
        ((1, 2, 1, 1), (2, 3, 4), (2, 1, 1), "G216"),
        ((24,), (2, 3, 4), (2, 3, 4), "G205"),
        ((1, 2, 3, 4), (2, 3, 4), (2, 3, 4), "G205"),
    ],
)
def test_a_parameter_has_one_reading(
    own: Shape, signal: Shape, read_as: Shape, code: str | None
) -> None:
    values = np.arange(np.prod(own, dtype=int), dtype=float).reshape(own)
    reading = parameter_reading(values, signal)
    assert reading.values.shape == read_as and [r.code for r in reading.findings] == (
        [code] if code else []
    )
    full = broadcast(values, signal).reshape(signal)
    np.testing.assert_array_equal(full, np.broadcast_to(values.reshape(read_as), signal))


def test_a_value_for_each_channel_is_a_note_of_the_neurons() -> None:
    neurons = changed(if_(), r=[1.0, 1.0], v_threshold=[0.5, 0.75], v_reset=[0.0, 0.0])
    raw = graph({"in": inp(2, 3, 4), "pop": neurons, "out": out(2, 3, 4)}, "in pop out")
    assert ("G216", "nodes/pop/r") in [(d.code, d.where) for d in said(raw)]  # the first
    assert layers(raw)["pop"].layer.v_threshold.tolist() == [0.5] * 12 + [0.75] * 12


@pytest.mark.parametrize(
    ("own", "signal", "code"),
    [((3,), (4,), "G252"), ((3,), (3, 3, 4), "G255"), ((3,), (3, 4, 3), "G255"),
    ((4,), (2, 3, 4), "G252"),
     ((2, 3), (2, 3, 4), "G252"), ((2,), (1,), "G252"), ((3, 4), (2, 3, 4), "G252"),
     ((5, 4), (4,), "G252"),
     ((5, 2, 3, 4), (2, 3, 4), "G252"), ((5, 2, 1, 1), (2, 3, 4), "G252")],
)  # fmt: skip
def test_or_none(own: Shape, signal: Shape, code: str) -> None:
    with pytest.raises(MisfitError) as refused:
        parameter_reading(counted(own), signal)
    assert refused.value.finding.code == code


@pytest.mark.parametrize(
    ("own", "signal"),
    [((5,), (8,)), ((3, 4), (2, 3, 4)), ((3,), (3, 3, 4)), ((2,), (1,)), ((9,), (2, 3, 4)),
    ((5, 3), (2, 3, 4)),
     ((7, 7, 7), (4,))],
)  # fmt: skip
def test_equal_values_are_one_value_whatever_their_number(own: Shape, signal: Shape) -> None:
    reading = parameter_reading(np.full(own, 0.5), signal)
    assert [r.code for r in reading.findings] == ["G221"]
    assert broadcast(np.full(own, 0.5), signal).tolist() == [0.5] * int(np.prod(signal))
    assert parameter_reading(np.full(own, np.inf), signal).findings
    with pytest.raises(MisfitError):
        parameter_reading(counted(own), signal)


@pytest.mark.parametrize(
    ("row", "signal", "codes"),
    [((4,), (4,), ["G222"]), ((2, 3, 4), (2, 3, 4), ["G222"]),
    ((2, 1, 1), (2, 3, 4), ["G222", "G216"]),
     ((1, 4), (4,), ["G222"])],
)  # fmt: skip
@pytest.mark.parametrize("lead", [(5,), (6, 5)])
def test_a_batch_axis_of_parameters_is_dropped_if_it_repeats_the_same_values(
    lead: Shape, row: Shape, signal: Shape, codes: list[str]
) -> None:
    values = np.broadcast_to(counted(row), (*lead, *row))
    assert [r.code for r in parameter_reading(values, signal).findings] == codes
    np.testing.assert_array_equal(broadcast(values, signal), broadcast(counted(row), signal))


def test_a_batch_axis_whose_rows_differ_is_refused_as_such() -> None:
    with pytest.raises(MisfitError, match="differ along the leading axes"):
        parameter_reading(counted((5, 4)), (4,))


def test_ambiguous_parameters_are_refused_with_node_and_field() -> None:
    raw = graph(
        {"in": inp(3, 3, 4), "x": changed(if_(3), r=[1.0, 2.0, 3.0]), "out": out()}, "in x out"
    )
    assert refusals(raw) == [("G255", "nodes/x/r")]


@pytest.mark.parametrize(
    "item", [scale([0.5] * 5), delay([1e-4] * 5), lif(5)], ids=["Scale", "Delay", "LIF"]
)
def test_equal_values_in_a_wrong_number_are_read_with_a_warning(item: RawNode) -> None:
    raw = graph(
        {"in": inp(8), "x": item, "w": linear(np.ones((2, 8))), "pop": if_(2), "out": out(2)},
        "in x w pop out",
    )
    (warning,) = [d for d in said(raw) if d.severity != "note"]
    assert (warning.code, warning.severity) == (
        "G221",
        "warning",
    ) and "8 neurons" in warning.message
    assert (warning.found, warning.expected) == ("shape (5,)", "shape (8,)")
    assert layers(raw)["x"].shape_out == (8,)


def test_a_population_without_its_channels_is_read_if_its_values_are_equal() -> None:
    conv = node(
        "Conv2d", weight=np.ones((3, 2, 3, 3)), stride=1, padding=1, dilation=1, groups=1, bias=0.0
    )
    plane = changed(
        if_(1), r=np.ones((8, 8)), v_threshold=np.full((8, 8), 0.5), v_reset=np.zeros((8, 8))
    )
    net = {
        "in": inp(2, 8, 8),
        "conv": changed(conv, input_shape=(8, 8)),
        "pop": plane,
        "out": out(8, 8),
    }
    raw = graph(net, "in conv pop out")
    assert sorted(findings(raw)) == [("G207", "nodes/out/shape"), ("G221", "nodes/pop/r")]
    assert layers(raw)["pop"].layer.v_threshold.tolist() == [0.5] * 192
    uneven = changed(plane, v_threshold=np.arange(1.0, 65.0).reshape(8, 8))
    assert refusals(graph(net | {"pop": uneven}, "in conv pop out")) == [
        ("G252", "nodes/pop/v_threshold")
    ]


def test_only_the_parameter_that_differs_is_refused() -> None:
    uneven = lif(5, v_threshold=[1.0, 2.0, 3.0, 4.0, 5.0])
    raw = graph({"in": inp(8), "x": uneven, "out": out(8)}, "in x out")
    assert refusals(raw) == [("G252", "nodes/x/v_threshold")]


def test_a_batch_axis_is_dropped_from_every_kind_of_parameter() -> None:
    rows = np.tile([1.0, 2.0, 3.0], (4, 1))
    nodes = {
        "in": inp(4, 2), "w": affine(np.ones((3, 2)), rows), "s": scale(rows),
        "d": delay(rows * 1e-4),
        "pop": lif(1, v_threshold=rows, tau=1e-3, r=10.0, v_leak=0.0, v_reset=np.zeros((4, 3))),
        "out": out(4, 3),
    }  # fmt: skip
    raw = graph(nodes, "in w s d pop out")
    found = [code for code, _ in findings(raw)]
    assert found.count("G222") == 4 and set(found) == {"G206", "G207", "G222"} and not refusals(raw)
    program = layers(raw)
    assert (
        program["pop"].layer.v_threshold.tolist() == program["s"].layer.scale.tolist() == [1, 2, 3]
    )
    assert program["w"].layer.bias.tolist() == [1, 2, 3] and program["in"].shape_out == (2,)


def test_a_batch_axis_whose_rows_differ_is_refused_for_a_bias_too() -> None:
    rows = np.arange(12.0).reshape(4, 3)
    raw = graph(
        {"in": inp(2), "w": affine(np.ones((3, 2)), rows), "pop": if_(3), "out": out()},
        "in w pop out",
    )
    assert refusals(raw) == [("F110", "nodes/w/bias")]
