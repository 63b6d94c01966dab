"""Weights in another order of axes are one error that says so; nothing is turned round in
silence.
"""

from __future__ import annotations

import numpy as np
import pytest

from nirc.diagnostics.errors import Diagnostic
from nirc.frontend.raw import RawGraph, RawNode
from nirc.passes.infer_shapes import TRANSPOSE
from tests.build import affine, findings, graph, if_, inp, linear, node, out, refusals, said

SCALAR = node("IF", r=1.0, v_threshold=0.5, v_reset=0.0)


def weight(rows: int, columns: int) -> RawNode:
    return linear(np.ones((rows, columns)))


def biased(rows: int, columns: int, bias: int) -> RawNode:
    return affine(np.ones((rows, columns)), np.arange(float(bias)))


def conv(shape: tuple[int, ...], channels: int) -> RawNode:
    usual = {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.arange(float(channels)),
    }
    return node(f"Conv{len(shape) - 2}d", weight=np.ones(shape), **usual)


def error(raw: RawGraph) -> Diagnostic:
    (found,) = [d for d in said(raw) if d.severity in ("error", "warning")]
    return found


def test_transposed_weights_are_one_error_that_names_them_all() -> None:
    nodes = {
        "in": inp(6),
        "l": weight(6, 8),
        "n": if_(8),
        "l2": weight(8, 3),
        "n2": if_(3),
        "out": out(3),
    }
    found = error(graph(nodes, "in l n l2 n2 out"))
    assert (found.code, found.where) == ("G256", "nodes/l/weight")
    assert "`l` and `l2`: the weights are stored as (in, out)" in found.message
    assert "`in`, `n`, `n2` and `out` show" in found.message
    assert (found.found, found.expected) == (
        "shape (6, 8)",
        "shape (8, 6)",
    ) and "weight.T" in found.help


@pytest.mark.parametrize("neurons", [SCALAR, if_(8)], ids=["scalar", "eight"])
def test_ports_that_agree_are_not_overruled_by_a_transposed_weight(neurons: RawNode) -> None:
    """Input and Output were both overruled with a warning each: a wrong network with status 0."""
    nodes = {"in": inp(6), "l": weight(6, 8), "n": neurons, "out": out(8)}
    assert error(graph(nodes, "in l n out")).code == "G256"


def test_a_batch_axis_does_not_hide_it() -> None:
    nodes = {"in": inp(4, 6), "l": weight(6, 8), "n": if_(8), "out": out(4, 8)}
    assert refusals(graph(nodes, "in l n out")) == [("G256", "nodes/l/weight")]


def test_a_bias_tells_too() -> None:
    nodes = {
        "in": inp(6),
        "l": biased(6, 8, 8),
        "n": if_(8),
        "k": biased(8, 3, 3),
        "m": if_(3),
        "out": out(3),
    }
    found = error(graph(nodes, "in l n k m out"))
    assert found.code == "G256" and "`l` and `k`" in found.message


def test_only_the_weight_that_is_transposed_is_named() -> None:
    nodes = {
        "in": inp(6),
        "l": weight(8, 6),
        "n": if_(8),
        "k": weight(8, 3),
        "m": if_(3),
        "out": out(3),
    }
    found = error(graph(nodes, "in l n k m out"))
    assert (
        found.where == "nodes/k/weight"
        and "`k`: the weight is stored as (in, out)" in found.message
    )


def test_square_weights_are_remembered() -> None:
    nodes = {"in": inp(6), "l": weight(6, 8), "n": if_(8), "rec": weight(8, 8), "out": out(8)}
    found = error(graph(nodes, "in l n out", "n rec n"))
    assert found.code == "G256" and "square" in found.help and "`rec`:" not in found.message


@pytest.mark.parametrize(
    ("shape", "order", "turn"),
    [
        ((2, 5, 3, 3), "(in, out, kernel)", "swapaxes"),
        ((3, 3, 2, 5), "(kernel, in, out)", "moveaxis(weight, (-1, -2)"),
        ((5, 3, 3, 2), "(out, kernel, in)", "moveaxis(weight, -1, 1)"),
        ((3, 2, 5), "(kernel, in, out)", "moveaxis(weight, (-1, -2)"),
    ],
)
def test_convolutions_of_other_frameworks(shape: tuple[int, ...], order: str, turn: str) -> None:
    size = (8,) * (len(shape) - 2)
    nodes = {
        "in": inp(2, *size),
        "c": conv(shape, 5),
        "n": SCALAR,
        "out": out(5, *(6 for _ in size)),
    }
    found = error(graph(nodes, "in c n out"))
    assert found.code == "G256" and order in found.message and turn in found.help


def test_expressions_of_the_help_turn_a_weight_to_out_in_kernel() -> None:
    orders = {"io": (2, 5, 3, 4), "kio": (3, 4, 2, 5), "oki": (5, 3, 4, 2)}
    for order, shape in orders.items():
        turned = eval(TRANSPOSE[order], {"numpy": np, "weight": np.ones(shape)})
        assert turned.shape == (5, 2, 3, 4)


def test_a_dense_layer_behind_a_convolution_of_the_same_framework() -> None:
    flat = node("Flatten", start_dim=0, end_dim=-1, input_type=(5, 6, 6))
    nodes = {
        "in": inp(2, 8, 8),
        "c": conv((3, 3, 2, 5), 5),
        "n": SCALAR,
        "f": flat,
        "w": weight(180, 4),
    }
    found = error(graph(nodes | {"m": if_(4), "out": out(4)}, "in c n f w m out"))
    assert found.code == "G256" and "(kernel, in, out) and (in, out)" in found.message


def test_one_neighbour_alone_does_not_make_a_weight_transposed() -> None:
    """An Input of a wrong size is known from published files: the weight is trusted."""
    nodes = {"in": inp(6), "l": weight(6, 8), "n": SCALAR, "out": out()}
    assert findings(graph(nodes, "in l n out")) == [
        ("G207", "nodes/in/shape"),
        ("G206", "nodes/n/r"),
    ]


def test_a_wrong_bias_is_no_transposed_weight() -> None:
    nodes = {"in": inp(6), "l": biased(8, 6, 6), "n": if_(8), "out": out(8)}
    assert refusals(graph(nodes, "in l n out")) == [("F110", "nodes/l/bias")]
