"""Which shapes a layer takes: the literal reading first, certain repairs with their code, else a
refusal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nirc.analysis.parameters import MisfitError
from nirc.analysis.shapes import Fit, fit, requirement
from nirc.diagnostics.log import Log
from nirc.frontend.load import to_layers
from nirc.frontend.raw import RawNode
from nirc.ir.arrays import Shape
from nirc.ir.layers import Flatten, Input, Layer, Output
from nirc.ir.layers import Linear as LinearLayer
from nirc.ir.program import Program
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
    scale,
)


def layer(item: RawNode) -> Layer:
    found: Layer = to_layers(graph({"x": item}), Log())["x"].layer
    return found


def conv(weight: Shape, **fields: object) -> Layer:
    usual: dict[str, object] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    return layer(node(f"Conv{len(weight) - 2}d", weight=np.ones(weight), **(usual | fields)))


def codes(found: Fit) -> list[str]:
    return [r.code for r in found.findings]


def neuron(shape: Shape) -> Layer:
    return layer(node("IF", r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.ones(shape)))


@pytest.mark.parametrize(
    ("item", "shape"),
    [
        (linear(np.ones((2, 3))), (3,)),
        (linear(np.ones((1, 1, 2, 3))), (3,)),
        (linear(np.ones((4, 2, 3))), (4, 3)),
        (node("Conv2d", weight=np.ones((6, 2, 3, 3)), groups=3, input_shape=(5, 6)), (6, 5, 6)),
        (node("Conv2d", weight=np.ones((6, 2, 3, 3))), None),
        (node("Flatten", input_type=(2, 3)), (2, 3)),
        (node("Flatten", input_type=(0, 3)), None),
        (if_(5), (5,)),
        (scale(np.ones((1, 1, 5))), (5,)),
        (scale(2.0), None),
        (delay([1.0, 2.0]), (2,)),
        (changed(lif(1), r=np.ones((1, 3))), (3,)),
        (inp(3), None),
    ],
)
def test_what_a_layer_s_own_arrays_demand(item: RawNode, shape: Shape | None) -> None:
    assert requirement(layer(item)) == shape


@pytest.mark.parametrize(
    ("arriving", "code"),
    [
        ((6,), None),
        ((1, 6), "G205"),
        ((1, 1, 6), "G205"),
        ((2, 3), "G215"),
        ((1, 2, 3), "G215"),
        ((6, 1), "G215"),
    ],
)
def test_linear_takes_its_columns_in_any_shape(arriving: Shape, code: str | None) -> None:
    found = fit(layer(affine(np.ones((2, 6)), np.ones(2))), arriving)
    assert found.shape_out == (2,) and codes(found) == ([code] if code else [])


def test_linear_refuses_another_number_of_values() -> None:
    with pytest.raises(MisfitError, match="takes 6 values, 7 arrive"):
        fit(layer(linear(np.ones((2, 6)))), (7,))


def test_a_stack_of_matrices_keeps_its_leading_axes() -> None:
    assert fit(layer(linear(np.ones((4, 2, 3)))), (4, 3)).shape_out == (4, 2)


@pytest.mark.parametrize(
    ("weight", "fields", "arriving", "shape_out", "said"),
    [
        ((4, 2, 3, 3), {}, (2, 5, 6), (4, 3, 4), ["G214"]),
        ((4, 2, 3, 3), {"input_shape": (5, 6)}, (2, 5, 6), (4, 3, 4), []),
        ((4, 2, 3, 3), {"input_shape": (9, 9)}, (2, 5, 6), (4, 3, 4), ["G208"]),
        ((4, 2, 3, 3), {"input_shape": (5, 6)}, (60,), (4, 3, 4), ["G208"]),
        ((4, 2, 3, 3), {"input_shape": (5, 6)}, (1, 2, 5, 6), (4, 3, 4), ["G205"]),
        ((4, 1, 3, 3), {"input_shape": (5, 6)}, (5, 6), (4, 3, 4), ["G205"]),
        (
            (4, 2, 3, 3),
            {"stride": (2, 1), "padding": 1, "input_shape": (5, 6)},
            (2, 5, 6),
            (4, 3, 6),
            [],
        ),
        ((4, 2, 3, 3), {"dilation": 2, "input_shape": (5, 6)}, (2, 5, 6), (4, 1, 2), []),
        ((4, 2, 2, 4), {"padding": "same", "input_shape": (5, 6)}, (2, 5, 6), (4, 5, 6), []),
        ((4, 1, 3, 3), {"groups": 2, "input_shape": (5, 6)}, (2, 5, 6), (4, 3, 4), []),
        ((4, 2, 3), {"input_shape": 7}, (2, 7), (4, 5), []),
        ((4, 2, 3), {"input_shape": [7], "stride": 2}, (2, 7), (4, 3), []),
        ((4, 1, 3), {}, (7,), (4, 5), ["G205", "G214"]),
    ],
)
def test_convolutions(
    weight: Shape, fields: Any, arriving: Shape, shape_out: Shape, said: list[str]
) -> None:
    found = fit(conv(weight, **fields), arriving)
    assert found.shape_out == shape_out and codes(found) == said


@pytest.mark.parametrize("arriving", [(3, 5, 6), (5, 6), (2, 2, 5, 6), (60,), (2, 2, 6)])
def test_a_convolution_refuses_other_channels_axes_and_too_small_maps(arriving: Shape) -> None:
    with pytest.raises(MisfitError) as refused:
        fit(conv((4, 2, 3, 3)), arriving)
    assert refused.value.finding.code == "G252"


def test_pools() -> None:
    pool = layer(node("AvgPool2d", kernel_size=2, stride=2, padding=1))
    assert fit(pool, (3, 4, 6)).shape_out == (3, 3, 4)
    assert fit(pool, (4, 6)).shape_out == fit(pool, (1, 1, 4, 6)).shape_out == (1, 3, 4)
    with pytest.raises(MisfitError, match="larger than the padded input"):
        fit(layer(node("SumPool2d", kernel_size=9, stride=1, padding=0)), (3, 4, 6))


@pytest.mark.parametrize(
    ("start", "end", "shape_out", "code"),
    [(0, -1, (24,), None), (1, -1, (2, 12), None), (0, 1, (6, 4), None), (-2, -1, (2, 12), None),
     (1, 1, (2, 3, 4), None), (1, 3, (24,), "G209"), (3, 3, (2, 3, 4), "G209")],
)  # fmt: skip
def test_flatten_counts_without_a_batch_axis_unless_that_cannot_be(
    start: int, end: int, shape_out: Shape, code: str | None
) -> None:
    found = fit(Flatten(start, end, None), (2, 3, 4))
    assert found.shape_out == shape_out and codes(found) == ([code] if code else [])


def test_flatten_counts_a_batch_axis_if_only_then_the_next_layer_fits() -> None:
    next_one = [(24,)]
    assert fit(Flatten(1, -1, None), (2, 3, 4), next_one).shape_out == (24,)
    assert fit(Flatten(1, -1, None), (2, 3, 4), [(2, 12)]).shape_out == (2, 12)
    assert fit(Flatten(1, -1, (1, 2, 3, 4)), (2, 3, 4)).shape_out == (24,)


@pytest.mark.parametrize(("start", "end"), [(2, 1), (5, 6), (-9, -1), (0, 9)])
def test_flatten_refuses_axes_that_are_not_there(start: int, end: int) -> None:
    with pytest.raises(MisfitError, match="axes to flatten"):
        fit(Flatten(start, end, None), (2, 3))


def test_a_signal_of_unknown_shape_takes_the_layer_s_own() -> None:
    assert fit(neuron((5,)), None).shape_in == (5,)
    with pytest.raises(MisfitError) as refused:
        fit(layer(scale(2.0)), None)
    assert refused.value.finding.code == "G253"


def test_ports_trust_the_signal() -> None:
    assert fit(Output((3,)), (3,)).findings == () == fit(Output(None), (3,)).findings
    assert codes(fit(Output((1, 3)), (3,))) == ["G207"] == codes(fit(Input((4,)), (3,)))


def ended(*names: str, **nodes: RawNode) -> tuple[Program, list[tuple[str, str]]]:
    raw = graph(nodes, " ".join(names))
    return layers(raw), findings(raw)


def test_leading_ones_of_every_parameter_never_change_the_result() -> None:
    def net(lead: Shape) -> Program:
        def more(item: RawNode) -> RawNode:
            return changed(
                item, **{k: np.reshape(v, (*lead, *np.shape(v))) for k, v in item.fields.items()}
            )

        nodes = {
            "in": inp(*lead, 3), "w": affine(np.arange(6.0).reshape(2, 3), [1.0, 2.0]),
            "d": delay([1e-4, 2e-4]),
            "pop": lif(2, v_threshold=[0.5, 0.7]), "s": scale([2.0, 3.0]), "last": if_(2),
            "out": out(*lead, 2),
        }  # fmt: skip
        grown = {n: item if n in ("in", "out") else more(item) for n, item in nodes.items()}
        return layers(graph(grown, "in w d pop s last out"))

    plain = net(())
    for lead in ((1,), (1, 1)):
        other = net(lead)
        for name in ("w", "d", "pop", "s", "last"):
            mine, theirs = vars(plain[name].layer), vars(other[name].layer)
            for key, value in mine.items():
                np.testing.assert_array_equal(theirs[key], value)
            assert plain[name].shape_out == other[name].shape_out


def test_linear_on_a_map_flattens_it() -> None:
    program, found = ended(
        "a", "b", "c", "d", a=inp(2, 2, 2), b=linear(np.ones((3, 8))), c=if_(3), d=out(3)
    )
    assert found == [("G215", "nodes/b/weight")] and program["b"].shape_in == (2, 2, 2)
    assert isinstance(program["b"].layer, LinearLayer)
