"""What fields of the chip's files say together: each rule at its edge, with place and numbers."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirc.backends.loihi2.checks import (
    check_convolution,
    check_mapping,
    check_network,
    check_projection,
    check_work,
    ends,
    output_side,
    part_indices,
)
from nirc.backends.loihi2.emit import MAPPING
from nirc.backends.loihi2.limits import CONV_MAP, CONV_STEP
from nirc.backends.loihi2.tables import NETWORK
from nirc.files.faults import Faults

GEOMETRY = {
    "shape_in": [2, 6, 5],
    "shape_out": [4, 3, 4],
    "stride": [2, 1],
    "padding": [1, 0],
    "dilation": [1, 1],
    "groups": 2,
}
KERNEL = np.full((4, 1, 3, 2), 2)
N_IN, N_OUT = 60, 48


def said(check: Any, *arguments: Any) -> list[str]:
    faults = Faults()
    check(*arguments, faults)
    return [str(fault) for fault in faults.all]


def convolution(weights: Any = KERNEL, n_in: int = N_IN, n_out: int = N_OUT, **fields: Any) -> Any:
    block = {"kind": "conv", "weights": np.asarray(weights), "geometry": {**GEOMETRY, **fields}}
    return said(check_convolution, block, "w", NETWORK, n_in, n_out)


@given(
    n=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 3),
)
def test_a_kernel_has_an_output_wherever_it_fits(
    n: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    last = (kernel - 1) * dilation
    places = range(-padding, n + padding - last, stride)
    assert max(output_side(n, kernel, stride, padding, dilation), 0) == len(places)


def test_a_convolution_that_fits_its_ends() -> None:
    assert convolution() == []
    assert convolution(n_in=61) == ["w.geometry.shape_in: a map has another size than its neurons: "
                                    "found a list of 3, allowed 61"]  # fmt: skip
    assert convolution(n_out=47) == ["w.geometry.shape_out: a map has another size than its "
                                     "neurons: found a list of 3, allowed 47"]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"groups": 4}, "w.geometry.groups: groups do not divide the channels: found 4, allowed "
                        "equal groups"),
        ({"groups": 3}, "w.geometry.groups: groups do not divide the channels: found 3, allowed "
                        "equal groups"),
        ({"groups": 1}, "w.weights: an array has another shape: found (4, 1, 3, 2), allowed "
                        "(4, 2, 3, 2)"),
        ({"stride": [1, 1]}, "w.geometry.shape_out: the kernel gives another output: found a list "
                             "of 2, allowed (6, 4)"),
        ({"stride": [2, 2]}, "w.geometry.shape_out: the kernel gives another output: found a list "
                             "of 2, allowed (3, 2)"),
        ({"padding": [0, 0]}, "w.geometry.shape_out: the kernel gives another output: found a list "
                              "of 2, allowed (2, 4)"),
        ({"padding": [1, 1]}, "w.geometry.shape_out: the kernel gives another output: found a list "
                              "of 2, allowed (3, 6)"),
        ({"dilation": [2, 1]}, "w.geometry.shape_out: the kernel gives another output: found a "
                               "list of 2, allowed (2, 4)"),
        ({"dilation": [1, 2]}, "w.geometry.shape_out: the kernel gives another output: found a "
                               "list of 2, allowed (3, 3)"),
    ],
)  # fmt: skip
def test_a_geometry_that_contradicts_its_kernel(fields: dict[str, Any], fault: str) -> None:
    assert fault in convolution(**fields)


def test_a_group_of_inputs_and_a_group_of_outputs_are_both_whole() -> None:
    (fault, *_) = convolution(shape_in=[3, 4, 5], groups=2)
    assert fault.startswith("w.geometry.groups")
    (fault, *_) = convolution(shape_out=[3, 4, 4], groups=2)
    assert fault.startswith("w.geometry.groups")


@pytest.mark.parametrize("name", ["shape_in", "shape_out"])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_map_is_as_wide_as_the_chips_coordinates(name: str, axis: int) -> None:
    for side, good in ((CONV_MAP[1], True), (CONV_MAP[1] + 1, False), (0, False)):
        shape = [1, 1, 1]
        shape[axis] = side
        faults = convolution(**{name: shape})
        too_large = f"w.geometry.{name}: a map is too large: found {max(shape[1:])}, allowed 1..256"
        assert (too_large in faults) == (not good)
        assert good or faults == [too_large]


@pytest.mark.parametrize("axis", [2, 3])
def test_a_kernel_is_as_wide_as_a_byte_tells(axis: int) -> None:
    for side, good in ((CONV_STEP[1], True), (CONV_STEP[1] + 1, False), (0, False)):
        shape = [1, 1, 1, 1]
        shape[axis] = side
        faults = convolution(np.zeros(shape, np.int64))
        fault = f"w.weights: a kernel is too large: found {side}, allowed 1..127"
        assert (fault in faults) == (not good)
        assert good or faults == [fault]


def test_the_first_odd_weight_of_a_kernel_is_named() -> None:
    odd = KERNEL.copy()
    odd[1, 0, 2, 1], odd[3, 0, 0, 0] = 7, 9
    assert convolution(odd) == [
        "w.weights: a weight of a convolution is odd: found 7, allowed -256..254"
    ]


def test_products_and_values_of_a_convolution_are_bounded() -> None:
    """Each of 12 places takes the whole kernel, and looks at its taps in all channels."""
    block = {"weights": KERNEL, "geometry": {**GEOMETRY, "padding": [4, 5]}}
    padded = 2 * (6 + 8) * (5 + 10)
    taps = 2 * 3 * 4 * 3 * 2
    products = KERNEL.size * 12
    assert padded > taps
    for most, seen, wrong in (
        (products, padded, []),
        (products - 1, padded, [(products, products - 1)]),
        (products, padded - 1, [(padded, padded - 1)]),
    ):
        faults = said(check_work, block, "w", {"products": most, "seen": seen})
        expected = [f"found {found}, allowed {allowed}" for found, allowed in wrong]
        assert [fault.split("too large: ")[1] for fault in faults] == expected
    many = {"weights": np.zeros((1, 1, 5, 5)), "geometry": {**GEOMETRY, "padding": [0, 0]}}
    seen = 2 * 3 * 4 * 5 * 5
    for most in (seen, seen - 1):
        faults = said(check_work, many, "w", {"products": 1000, "seen": most})
        assert len(faults) == (most < seen)
    (fault,) = said(check_work, many, "w", {"products": 1000, "seen": 1})
    assert fault == f"w.geometry: the convolution is too large: found {seen}, allowed 1"


def listed(rows: list[int], cols: list[int], **fields: Any) -> list[str]:
    block = {
        "kind": "sparse",
        "weights": np.ones(len(rows), "<i2"),
        "rows": np.array(rows, "<i4"),
        "cols": np.array(cols, "<i4"),
        "arrays": ["weights", "rows", "cols"],
        **fields,
    }
    return said(check_projection, block, "w", NETWORK, 3, 4)


def test_synapses_of_a_list_are_in_order_and_each_once() -> None:
    assert listed([0, 0, 1, 3], [0, 2, 1, 0]) == []
    assert listed([], []) == []
    wrong = (
        "w: synapses are out of order or double: found 'rows, cols', allowed by row, then column"
    )
    for rows, cols in (([0, 0], [1, 1]), ([1, 0], [0, 0]), ([0, 0], [2, 1])):
        assert listed(rows, cols) == [wrong]
    assert listed([0, 4], [0, 0]) == [
        "w.rows: a number points to nothing: found '0..4', allowed 0..3"
    ]
    assert listed([0, 3], [3, 2]) == [
        "w.cols: a number points to nothing: found '2..3', allowed 0..2"
    ]


def neurons(n: int) -> dict[str, Any]:
    types = {"bias_mant": "<i2", "bias_exp": "<i2", "v_init": "<i4"}
    return {name: np.zeros(n, kind) for name, kind in types.items()}


def network(**fields: Any) -> dict[str, Any]:
    spiking = {"name": "a", "spikes": True, **neurons(2)}
    reading = {"name": "b", "spikes": False, **neurons(2)}
    weights = np.zeros((2, 3), "<i2")
    dense = {"kind": "dense", "weights": weights, "arrays": ["weights"]}
    return {
        "channels": 3,
        "inputs": [{"name": "in", "channels": np.arange(3)}],
        "populations": [spiking, reading],
        "projections": [
            {"name": "w0", "source": "in", "target": "a", **dense},
            {
                "name": "w1",
                "source": "a",
                "target": "b",
                **dense,
                "weights": np.zeros((2, 2), "<i2"),
            },
        ],
        "outputs": [
            {"population": "b", "neurons": np.arange(2)},
            {"population": "a", "neurons": np.array([1])},
        ],
        **fields,
    }


def checked(tree: dict[str, Any]) -> list[str]:
    return said(check_network, tree, NETWORK, {})


def altered(tree: dict[str, Any], kind: str, number: int, **fields: Any) -> dict[str, Any]:
    blocks = list(tree[kind])
    blocks[number] = {**blocks[number], **fields}
    return {**tree, kind: blocks}


def test_a_network_whose_names_and_sizes_agree() -> None:
    assert checked(network()) == []


@pytest.mark.parametrize(
    ("kind", "number", "fields", "fault"),
    [
        ("inputs", 0, {"channels": np.array([0, 3, 1])}, "inputs[0].channels: a number points to "
         "nothing: found '0..3', allowed 0..2"),
        ("inputs", 0, {"name": "a"}, "the file: two of the inputs and populations have the same "
         "name: found 'a', allowed names that differ"),
        ("projections", 1, {"name": "w0"}, "the file: two of the projections have the same name: "
         "found 'w0', allowed names that differ"),
        ("projections", 1, {"source": "b"}, "projections[1].source: there is no such block to "
         "connect: found 'b', allowed a block of the network; readouts only end"),
        ("projections", 1, {"target": "in"}, "projections[1].target: there is no such block to "
         "connect: found 'in', allowed a block of the network; readouts only end"),
        ("projections", 0, {"weights": np.zeros((3, 3), "<i2")}, "projections[0].weights: an array "
         "has another shape: found (3, 3), allowed (2, 3)"),
        ("outputs", 1, {"population": "in"}, "outputs[1].population: there is no such block to "
         "connect: found 'in', allowed a block of the network; readouts only end"),
        ("outputs", 1, {"neurons": np.array([2])}, "outputs[1].neurons: a number points to "
         "nothing: found '2..2', allowed 0..1"),
        ("populations", 1, {"v_init": np.zeros(3, "<i4")}, "populations[1].v_init: an array has "
         "another shape: found (3,), allowed (2,)"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_named(
    kind: str, number: int, fields: dict[str, Any], fault: str
) -> None:
    assert checked(altered(network(), kind, number, **fields)) == [fault]


def test_a_population_without_neurons_is_no_population() -> None:
    faults = checked(altered(network(), "populations", 1, **neurons(0)))
    assert faults[0].startswith("populations[1].bias_mant: an array has another shape: found (0,)")


def test_what_a_manifest_may_name() -> None:
    assert ends({"network.npz": network()}) == {
        "inputs": 3,
        "outputs": 3,
        "kinds": ["spikes", "membrane"],
        "silent": [0, 1],
        "parts": {"neurons": 4, "readout": 3},
    }


# mapping.json.


def mapped(*parts: tuple[str, list[list[int]]]) -> list[str]:
    rows = [{"population": name, "box": box} for name, box in parts]
    return said(check_mapping, {"parts": rows}, MAPPING, {"network.npz": network()})


def test_every_neuron_is_in_one_part() -> None:
    assert mapped(("a", [[0, 1]]), ("b", [[0, 2]]), ("a", [[1, 2]])) == []
    assert mapped(("a", [[0, 2]]), ("c", [[0, 2]])) == [
        "parts[1].population: a population is unknown: found 'c', allowed of network.npz",
        "parts of.b: neurons are missing, double or too many: found '0 parts', allowed 2",
    ]
    for boxes in ([[0, 1]], [[0, 2], [1, 2]], [[0, 3]], [[1, 2]], [[0, 1], [2, 3]]):
        assert mapped(("b", [[0, 2]]), *(("a", [box]) for box in boxes)) == [
            f"parts of.a: neurons are missing, double or too many: found '{len(boxes)} "
            "parts', allowed 2"
        ]


def test_parts_of_maps_are_numbered_in_c_order() -> None:
    boxes = [[[0, 2], [1, 3]], [[0, 2], [0, 1]]]
    found = part_indices(boxes, 6)
    assert found is not None and [index.tolist() for index in found] == [[1, 2, 4, 5], [0, 3]]
    assert part_indices(boxes, prod((2, 3)) + 1) is None
    assert part_indices([], 0) is None
    assert part_indices([[[0, 2]], [[0, 1], [0, 1]]], 2) is None  # of different axes
    assert part_indices([[[0, 2]], [[0, 2]]], 2) is None
