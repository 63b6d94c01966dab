"""Fields of nodes: those of each primitive, domains of their values, and names in other tools."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from nirc.diagnostics.errors import Diagnostic, InputError
from nirc.diagnostics.log import Log
from nirc.frontend import primitives
from nirc.frontend.load import to_layers
from nirc.frontend.primitives import PRIMITIVES
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.layers import Conv, Flatten, Layer, Linear, Neuron, Pool
from tests.build import affine, changed, cuba, graph, if_, inp, lif, linear, node, out

ONE = np.ones(3)
KERNEL = np.ones((4, 2, 3, 3))
VALID: dict[str, RawNode] = {
    "Input": inp(3),
    "Output": out(3),
    "Linear": linear(np.ones((2, 3))),
    "Affine": affine(np.ones((2, 3)), np.ones(2)),
    "Scale": node("Scale", scale=ONE),
    "Conv1d": node(
        "Conv1d",
        input_shape=9,
        weight=KERNEL[..., 0],
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=0.0,
    ),
    "Conv2d": node(
        "Conv2d",
        input_shape=(9, 9),
        weight=KERNEL,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=0.0,
    ),
    "SumPool2d": node("SumPool2d", kernel_size=2, stride=2, padding=0),
    "AvgPool2d": node("AvgPool2d", kernel_size=2, stride=2, padding=0),
    "Flatten": node("Flatten", input_type=(2, 3), start_dim=0, end_dim=-1),
    "Delay": node("Delay", delay=ONE),
    "Threshold": node("Threshold", threshold=ONE),
    "I": node("I", r=ONE),
    "LI": node("LI", tau=ONE, r=ONE, v_leak=ONE),
    "IF": if_(3),
    "LIF": lif(3),
    "CubaLI": node("CubaLI", tau_syn=ONE, tau_mem=ONE, r=ONE, v_leak=ONE, w_in=ONE),
    "CubaLIF": cuba(3),
}
REQUIRED = {
    "Linear": ("weight",), "Affine": ("weight", "bias"), "Scale": ("scale",), "Conv1d": ("weight",),
    "Conv2d": ("weight",), "SumPool2d": ("kernel_size",), "AvgPool2d": ("kernel_size",),
    "Delay": ("delay",),
    "Threshold": ("threshold",), "I": ("r",), "LI": ("tau", "r", "v_leak"),
    "IF": ("r", "v_threshold"),
    "LIF": ("tau", "r", "v_leak", "v_threshold"), "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
}  # fmt: skip


def read(item: RawNode) -> tuple[Layer | None, list[Diagnostic]]:
    """The layer of one node `x`, None if it is refused, and what is said."""
    log = Log()
    try:
        layer: Layer = to_layers(graph({"x": item}), log)["x"].layer
    except InputError:
        return None, log.diagnostics
    return layer, log.diagnostics


def refused(item: RawNode) -> tuple[str, str]:
    """Code and place of the only finding."""
    layer, found = read(item)
    assert layer is None and len(found) == 1, found
    assert found[0].found or found[0].code == "F109"
    return found[0].code, found[0].where


def test_every_primitive_is_here() -> None:
    assert set(VALID) | {"NIRGraph"} == set(PRIMITIVES)


@pytest.mark.parametrize("kind", VALID)
def test_a_valid_node_is_read_without_a_word(kind: str) -> None:
    layer, found = read(VALID[kind])
    assert layer is not None and not found


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in REQUIRED.items() for field in fields]
)
def test_a_missing_field_is_named(kind: str, field: str) -> None:
    assert refused(changed(VALID[kind], **{field: None})) == ("F109", f"nodes/x/{field}")


FLOATS = [
    (kind, field) for kind, fields in REQUIRED.items() for field in fields if field != "kernel_size"
]


@pytest.mark.parametrize(("kind", "field"), FLOATS)
@pytest.mark.parametrize(
    "value", ["text", np.nan, -np.inf, np.zeros((0, 3))], ids=["text", "nan", "-inf", "empty"]
)
def test_values_that_are_no_numbers_are_refused(kind: str, field: str, value: Any) -> None:
    old = VALID[kind].fields[field]
    if np.ndim(value) == 0 and not isinstance(value, str):
        value = np.full(np.shape(old), value)
    code = "F107" if isinstance(value, str) else "F110"
    assert refused(changed(VALID[kind], **{field: value})) == (code, f"nodes/x/{field}")


@pytest.mark.parametrize("value", [0.0, -1e-3])
@pytest.mark.parametrize(("kind", "field"), [(k, f) for k, f in FLOATS if f.startswith("tau")])
def test_time_constants_are_positive(kind: str, field: str, value: float) -> None:
    layer, found = read(changed(VALID[kind], **{field: np.array([1.0, value, 1.0])}))
    assert layer is None and found[0].found == f"{value} at index (1,)" and "> 0" in found[0].limit


@pytest.mark.parametrize(("field", "value"), [("tau", np.inf), ("r", np.inf)])
def test_infinite_time_constants_and_gains_pass_here(field: str, value: float) -> None:
    assert read(changed(lif(3), **{field: np.full(3, value)}))[0] is not None


WHOLE = [
    ("Conv2d", "stride"), ("Conv2d", "padding"), ("Conv2d", "dilation"), ("Conv2d", "groups"),
    ("Conv2d", "input_shape"), ("Conv1d", "stride"), ("AvgPool2d", "kernel_size"),
    ("SumPool2d", "stride"),
    ("AvgPool2d", "padding"), ("Input", "shape"), ("Output", "shape"), ("Flatten", "input_type"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), WHOLE)
@pytest.mark.parametrize("value", [0.5, -1, 1 << 40, np.nan, np.inf, -(1 << 63), (1 << 64) - 1])
def test_counts_are_whole_and_small(kind: str, field: str, value: float) -> None:
    assert refused(changed(VALID[kind], **{field: value})) == ("F110", f"nodes/x/{field}")


@pytest.mark.parametrize(("kind", "field"), WHOLE)
def test_counts_are_no_text(kind: str, field: str) -> None:
    assert refused(changed(VALID[kind], **{field: "many"})) in (
        ("F107", f"nodes/x/{field}"), ("F110", f"nodes/x/{field}"),
    )  # fmt: skip


@pytest.mark.parametrize("field", ["stride", "dilation", "padding"])
def test_counts_fit_the_number_of_axes(field: str) -> None:
    layer, found = read(changed(VALID["Conv2d"], **{field: (1, 1, 1)}))
    assert layer is None and [(d.code, d.where) for d in found] == [("F110", f"nodes/x/{field}")]


@pytest.mark.parametrize(("kind", "field"), WHOLE)
def test_a_shape_of_millions_of_values_is_refused_before_it_is_listed(
    kind: str, field: str
) -> None:
    """A file of a megabyte may hold a million of them; as Python numbers they would take all
    memory.
    """
    start = time.process_time()
    assert refused(changed(VALID[kind], **{field: np.ones(1 << 24, np.int8)})) == (
        "F110",
        f"nodes/x/{field}",
    )
    assert time.process_time() - start < 0.5


def test_thirty_two_values_are_a_shape() -> None:
    assert read(changed(inp(3), shape=np.ones(32)))[0] is not None
    assert refused(changed(inp(3), shape=np.ones(33))) == ("F110", "nodes/x/shape")


@pytest.mark.parametrize("field", ["stride", "dilation", "groups"])
def test_zero_is_no_stride(field: str) -> None:
    assert refused(changed(VALID["Conv2d"], **{field: 0})) == ("F110", f"nodes/x/{field}")


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, 0.5, 100, (1, 2), "a", -(1 << 63), np.zeros(0)], ids=str
)
@pytest.mark.parametrize("field", ["start_dim", "end_dim"])
def test_flatten_s_axes_are_one_small_number(field: str, value: Any) -> None:
    assert refused(changed(VALID["Flatten"], **{field: value})) == ("F110", f"nodes/x/{field}")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("Linear", "weight", ONE), ("Affine", "weight", 1.0),
        ("Conv2d", "weight", np.ones((2, 2, 3))),
        ("Conv1d", "weight", KERNEL), ("Affine", "bias", ONE), ("Conv2d", "bias", ONE),
        ("Conv2d", "groups", 3),
        ("Delay", "delay", [1.0, -1.0]), ("Conv2d", "padding", "full"),
    ],
)  # fmt: skip
def test_fields_that_contradict_each_other_are_refused(kind: str, field: str, value: Any) -> None:
    assert refused(changed(VALID[kind], **{field: value})) == ("F110", f"nodes/x/{field}")


def test_an_array_in_place_of_an_axis_is_not_printed() -> None:
    """As text this one would have 65536 numbers and as many brackets."""
    layer, found = read(changed(VALID["Flatten"], start_dim=np.ones((2,) * 16)))
    assert layer is None and found[0].found == f"shape {(2,) * 16}"


def test_all_faults_of_all_nodes_are_told_at_once() -> None:
    log = Log()
    bad = graph(
        {"a": changed(lif(2), tau=-1.0, r="x"), "b": node("Linear"), "c": node("LIFF")}, "a b c"
    )
    with pytest.raises(InputError):
        to_layers(bad, log)
    assert [(d.code, d.where) for d in log.errors] == [
        ("F110", "nodes/a/tau"), ("F107", "nodes/a/r"), ("F109", "nodes/b/weight"),
        ("F108", "nodes/c/type"),
    ]  # fmt: skip
    assert log.errors[-1].help == "did you mean LIF?"


def test_a_fault_inside_a_nested_graph_is_told_with_its_path() -> None:
    log = Log()
    inner = RawNode("", "NIRGraph", graph=graph({"x": changed(if_(2), r=np.nan)}))
    with pytest.raises(InputError):
        to_layers(graph({"sub": inner}), log)
    assert [d.where for d in log.errors] == ["nodes/sub/nodes/x/r"]


def test_an_empty_graph_is_refused() -> None:
    log = Log()
    with pytest.raises(InputError):
        to_layers(RawGraph({}, ()), log)
    assert [d.code for d in log.errors] == ["G254"]


def test_an_unknown_field_is_ignored_with_a_word() -> None:
    layer, found = read(changed(linear(np.eye(2)), colour=np.ones(1)))
    assert isinstance(layer, Linear)
    assert [(d.code, d.severity, d.where) for d in found] == [("F111", "warning", "nodes/x/colour")]


def test_absent_reset_and_input_weight_have_the_readers_defaults() -> None:
    layer, found = read(changed(cuba(3), v_reset=None, w_in=None))
    assert isinstance(layer, Neuron) and layer.v_reset is not None and layer.w_in is not None
    assert layer.v_reset.tolist() == [0, 0, 0] and layer.w_in.tolist() == [1, 1, 1]
    assert [(d.code, d.where) for d in found] == [
        ("G218", "nodes/x/v_reset"),
        ("G219", "nodes/x/w_in"),
    ]


@pytest.mark.parametrize(
    ("padding", "kernel", "dilation", "pads"),
    [
        ("valid", (3, 5), 1, ((0, 0), (0, 0))),
        ("same", (3, 5), 1, ((1, 1), (2, 2))),
        ("same", (2, 4), 1, ((0, 1), (1, 2))),  # an even kernel: PyTorch puts the odd one after
        ("same", (2, 3), 3, ((1, 2), (3, 3))),
        (2, (3, 3), 1, ((2, 2), (2, 2))),
        ((1, 2), (3, 3), 1, ((1, 1), (2, 2))),
    ],
)
def test_padding_by_number_and_by_name(padding: Any, kernel: Any, dilation: int, pads: Any) -> None:
    layer, _ = read(
        changed(
            VALID["Conv2d"], weight=np.ones((1, 1, *kernel)), padding=padding, dilation=dilation
        )
    )
    assert isinstance(layer, Conv) and layer.padding == pads


def test_same_padding_with_a_stride_has_no_meaning() -> None:
    assert refused(changed(VALID["Conv2d"], padding="same", stride=2)) == (
        "F110",
        "nodes/x/padding",
    )


@pytest.mark.parametrize(
    ("kind", "declared", "read_as"),
    [("Conv1d", 9, (9,)), ("Conv1d", [9], (9,)), ("Conv1d", [2, 9], (9,)),
    ("Conv2d", [9, 8], (9, 8)),
     ("Conv2d", [2, 9, 8], (9, 8)), ("Conv2d", 9, (9, 9)), ("Conv2d", [0, 9], None)],
)  # fmt: skip
def test_a_convolution_s_input_shape_may_be_a_number_or_have_channels(
    kind: str, declared: Any, read_as: Any
) -> None:
    layer, _ = read(changed(VALID[kind], input_shape=declared))
    assert isinstance(layer, Conv) and layer.input_shape == read_as


def test_one_bias_stands_for_all_channels_and_rows() -> None:
    convolution, _ = read(changed(VALID["Conv2d"], bias=2.0))
    dense, _ = read(affine(np.ones((2, 3)), 2.0))
    assert (
        isinstance(convolution, Conv)
        and convolution.bias is not None
        and convolution.bias.tolist() == [2] * 4
    )
    assert isinstance(dense, Linear) and dense.bias is not None and dense.bias.tolist() == [2, 2]


USUAL = [
    ("Conv2d", "bias", "no bias"), ("Conv2d", "stride", "1"), ("Conv2d", "padding", "0"),
    ("Conv2d", "dilation", "1"),
    ("Conv2d", "groups", "1"), ("Conv1d", "bias", "no bias"), ("Conv1d", "stride", "1"),
    ("Conv1d", "padding", "0"),
    ("Conv1d", "dilation", "1"), ("Conv1d", "groups", "1"),
    ("SumPool2d", "stride", "the kernel's size, (2, 2)"),
    ("SumPool2d", "padding", "0"), ("AvgPool2d", "stride", "the kernel's size, (2, 2)"),
    ("AvgPool2d", "padding", "0"),
    ("Flatten", "start_dim", "1"), ("Flatten", "end_dim", "-1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field", "value"), USUAL)
def test_a_field_that_is_filled_in_is_reported_with_its_value_and_source(
    kind: str, field: str, value: str
) -> None:
    """A padding that is taken for 0 in silence is another network."""
    layer, found = read(changed(VALID[kind], **{field: None}))
    assert layer is not None and [(d.code, d.severity, d.where) for d in found] == [
        ("G220", "warning", f"nodes/x/{field}")
    ]
    assert found[0].message == f"`{field}` is absent and read as {value}" and found[0].source


def test_fields_that_are_filled_in_have_the_reported_value() -> None:
    layer, found = read(node("Conv2d", weight=KERNEL))
    assert isinstance(layer, Conv) and layer.bias is None and layer.groups == 1
    assert (layer.stride, layer.padding, layer.dilation) == ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert [d.where.rpartition("/")[2] for d in found] == [
        "bias",
        "stride",
        "padding",
        "dilation",
        "groups",
    ]
    pool, _ = read(changed(VALID["AvgPool2d"], kernel_size=(2, 3), stride=None, padding=None))
    assert isinstance(pool, Pool) and pool.stride == (2, 3) and pool.padding == ((0, 0), (0, 0))


def test_a_misspelt_field_is_named_beside_the_one_that_is_absent() -> None:
    _, found = read(changed(VALID["Conv2d"], strides=2, stride=None))
    assert [(d.code, d.help) for d in found if d.code == "F111"] == [
        ("F111", "did you mean `stride`?")
    ]


@pytest.mark.parametrize(
    ("kind", "help_"),
    [
        ("Spike", "did you mean Threshold?"),
        ("Heaviside", "did you mean Threshold?"),
        ("Dense", "did you mean Linear, or Affine with a bias?"),
        ("Conv", "did you mean Conv1d or Conv2d?"),
        ("SumPool", "did you mean SumPool2d?"),
        ("AveragePooling2D", "did you mean AvgPool2d?"),
        ("Leaky", "did you mean LIF, or LI without spikes?"),
        ("LIFBoxCell", "did you mean LIF?"),
        ("LIFCell", "did you mean CubaLIF, as Norse exports it, or LIF?"),
        ("IAFSqueeze", "did you mean IF?"),
        ("CubaLi", "did you mean CubaLI?"),
        ("linear", "did you mean Linear?"),
        ("CONV_2D", "did you mean Conv2d?"),
        ("Treshold", "did you mean Threshold?"),
        ("LIFNeurons", "did you mean LIF?"),
        ("OutputLayer", "did you mean Output?"),
        ("NirGraph", "did you mean NIRGraph?"),
    ],
)
def test_a_name_of_another_tool_or_a_misspelling_gets_the_primitive_that_is_meant(
    kind: str, help_: str
) -> None:
    _, found = read(node(kind))
    assert [(d.code, d.where, d.help) for d in found] == [("F108", "nodes/x/type", help_)]


@pytest.mark.parametrize(
    ("kind", "names"),
    [("MaxPool2d", ("SumPool2d", "AvgPool2d")), ("ReLU", ("IF", "LIF", "Threshold")),
    ("BatchNorm2d", ("fold",)),
     ("Dropout", ("leave it out",)), ("Add", ("edges",)), ("Concat", ("Linear",)),
     ("RLeaky", ("LIF", "Linear")),
     ("Synapse", ("Linear", "LI", "CubaLIF")), ("ALIF", ("LIF",)), ("Conv3d", ("Conv2d",))],
)  # fmt: skip
def test_what_nir_lacks_gets_what_to_do_instead(kind: str, names: tuple[str, ...]) -> None:
    _, found = read(node(kind))
    assert all(name in found[0].help for name in names)


@pytest.mark.parametrize("kind", ["", "Foo", "\x1b[2J", "9" * 100_000, "Custom"])
def test_a_name_like_no_other_gets_no_wild_guess(kind: str) -> None:
    _, found = read(node(kind))
    assert found[0].help == "express the layer by NIR primitives when exporting"


def test_advice_names_primitives_that_exist() -> None:
    meant = set(primitives.MEANS)
    assert meant <= set(PRIMITIVES) and not set(primitives.FAMILIES) ^ set(primitives.OTHERWISE)


def test_flatten_counts_from_one_unless_told_otherwise() -> None:
    layer, _ = read(node("Flatten"))
    assert layer == Flatten(1, -1, None)


def test_a_node_without_any_field_is_one_finding() -> None:
    layer, found = read(node("LIF"))
    assert layer is None and [(d.code, d.where) for d in found if d.severity == "error"] == [
        ("F109", "nodes/x")
    ]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint64, np.float16, np.float32, ">f8"])
def test_any_kind_of_number_will_do(dtype: Any) -> None:
    weight = np.ones((2, 3), dtype)
    layer, _ = read(RawNode("", "Linear", {"weight": weight}))
    assert (
        isinstance(layer, Linear)
        and layer.weight.dtype == np.float64
        and not layer.weight.flags.writeable
    )
    shape = RawNode("", "Input", {"shape": np.ones(2, dtype)})
    assert read(shape)[0] is not None
