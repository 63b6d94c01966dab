"""Checks of the emitted files' fields against each other: each alone, with place and message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nirc.backends.spinnaker2 import checks
from nirc.backends.spinnaker2.tables import NETWORK
from nirc.files.faults import Faults

Change = Callable[[dict[str, Any]], object]


def found(check: Callable[..., None], *arguments: Any) -> list[tuple[str, str]]:
    """The path and message of each fault."""
    faults = Faults()
    check(*arguments, faults)
    return [(fault.path, fault.message) for fault in faults.all]


def put(*path: Any, value: Any) -> Change:
    def change(tree: Any) -> None:
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return change


# network.npz.


def population(name: str = "a", n: int = 2, model: str = "lif_no_delay") -> dict[str, Any]:
    return {
        **{"name": name, "n": n, "model": model, "spikes": True, "atoms": 2},
        **{"arrays": ["threshold"], "threshold": np.ones(n, np.float32)},
    }


def port(name: str = "in", n: int = 3, atoms: int = 2) -> dict[str, Any]:
    return {"name": name, "channels": np.arange(n), "atoms": atoms}


def synapses(**fields: Any) -> dict[str, Any]:
    """Three synapses in order, from 3 neurons to 2."""
    given = {
        **{"name": "p", "source": "in", "target": "a"},
        "pre": np.array([0, 0, 2], np.int32),
        "post": np.array([0, 1, 0], np.int32),
        "delay": np.array([0, 0, 0], np.int16),
        "weight": np.array([127, -127, 5], np.int16),
    }
    return given | {k: np.array(v, given[k].dtype) for k, v in fields.items()}


@pytest.mark.parametrize(
    ("shape", "fits"), [((1,), True), ((2,), True), ((3,), False), ((), False)]
)
def test_a_parameter_has_one_value_or_one_for_each_neuron(
    shape: tuple[int, ...], fits: bool
) -> None:
    block = population() | {"threshold": np.ones(shape)}
    wanted = [] if fits else [("populations[0].threshold", "an array has another shape")]
    assert found(checks.check_parameters, block, "populations[0]") == wanted


def projection(block: dict[str, Any], model: str, *, targets: int = 2) -> list[tuple[str, str]]:
    return found(checks.check_projection, block, "projections[0]", NETWORK, 3, targets, model)


RANGE = "a value is outside the range of {}"
ORDER = ("projections[0]", "synapses are out of order or double")


@pytest.mark.parametrize(
    ("fields", "model", "faults"),
    [
        ({}, "lif_no_delay", []),
        ({"weight": [15, -15, 1]}, "lif", []),
        ({"weight": [15, -15, 1], "delay": [7, 0, 0]}, "lif", []),
        ({"weight": [16, 1, 1]}, "lif", [("projections[0].weight", RANGE.format("lif"))]),
        ({"weight": [1, -16, 1]}, "lif", [("projections[0].weight", RANGE.format("lif"))]),
        ({"weight": [128, 1, 1]}, "lif_no_delay",
         [("projections[0].weight", "a value is outside the chip's range")]),
        ({"delay": [1, 0, 0]}, "lif_no_delay",
         [("projections[0].delay", RANGE.format("lif_no_delay"))]),
        ({"post": [1, 0, 0]}, "lif_no_delay", [ORDER]),
        ({"pre": [2, 0, 0], "post": [0, 0, 1]}, "lif_no_delay", [ORDER]),
        ({"post": [0, 0, 0]}, "lif_no_delay", [ORDER]),
        ({"post": [0, 0, 0], "delay": [1, 2, 0], "weight": [1, 1, 1]}, "lif", []),
        ({"post": [0, 0, 0], "delay": [2, 1, 0], "weight": [1, 1, 1]}, "lif", [ORDER]),
        ({"post": [0, 0, 0], "delay": [1, 1, 0], "weight": [1, 1, 1]}, "lif", [ORDER]),
        ({}, "lif_conv2d", [("projections[0].target", "the model takes no list of synapses")]),
        ({name: [] for name in ("pre", "post", "delay", "weight")}, "lif", []),
    ],
)  # fmt: skip
def test_synapses_are_in_range_and_in_order(
    fields: dict[str, Any], model: str, faults: list[tuple[str, str]]
) -> None:
    assert projection(synapses(**fields), model) == faults


@pytest.mark.parametrize(
    ("end", "values"), [("pre", [0, 0, 3]), ("post", [0, 2, 0]), ("pre", [-1, 0, 2])]
)
def test_synapses_join_neurons_that_exist(end: str, values: list[int]) -> None:
    assert [path for path, _ in projection(synapses(**{end: values}), "lif_no_delay")][:1] == [
        f"projections[0].{end}"
    ]


def test_arrays_of_a_list_are_as_long() -> None:
    assert [path for path, _ in projection(synapses(post=[0, 1]), "lif_no_delay")] == [
        "projections[0].post"
    ]


def test_further_values_beyond_the_range_are_counted() -> None:
    faults = Faults()
    checks.check_range("w", np.array([9, 1, -9, 10]), (-8, 8), "lif", faults)
    (fault,) = faults.all
    assert (fault.found, fault.allowed, fault.others) == ("9", "-8..8", 2)


def convolution(**fields: Any) -> dict[str, Any]:
    """2 features of 3 x 2 behind a kernel of 2 x 3 on 1 x 8 x 4 pooled by (2, 1)."""
    given: dict[str, Any] = {
        "source": "in",
        "target": "a",
        "weight": np.ones((1, 2, 2, 3), np.int8),
    }
    given |= {"in_height": 8, "in_width": 4, "pool_y": 2, "pool_x": 1, "stride_y": 1, "stride_x": 1}
    given |= {"pad_top": 0, "pad_bottom": 0, "pad_left": 0, "pad_right": 0}
    return given | fields


MAP = "a map does not fit the population"


@pytest.mark.parametrize(
    ("fields", "sources", "targets", "wrong"),
    [
        ({}, 32, 12, []),
        ({"pad_top": 1}, 32, 16, []),
        ({"pad_bottom": 1}, 32, 16, []),
        ({"pad_left": 1}, 32, 18, []),
        ({"pad_right": 1}, 32, 18, []),
        ({"stride_y": 2}, 32, 8, []),
        ({"stride_x": 2}, 32, 6, []),
        ({"pool_x": 2, "pad_left": 1}, 32, 6, []),
        ({}, 33, 12, ["source"]),
        ({}, 32, 13, ["target"]),
        ({"in_width": 2}, 16, 0, ["target"]),
        ({"in_height": 2}, 8, 0, ["target"]),
        ({"in_height": 0, "in_width": 0}, 0, 12, ["source", "target"]),
    ],
)
def test_maps_have_as_many_pixels_as_there_are_neurons(
    fields: dict[str, Any], sources: int, targets: int, wrong: list[str]
) -> None:
    block = convolution(**fields)
    made = found(checks.check_convolution, block, "c", NETWORK, sources, targets, "lif_conv2d")
    assert made == [(f"c.{end}", MAP) for end in wrong]


def test_a_kernel_goes_to_its_model_and_is_not_empty() -> None:
    made = found(checks.check_convolution, convolution(), "c", NETWORK, 32, 12, "lif")
    assert made == [("c.target", "the model takes no convolution")]
    empty = convolution(weight=np.ones((1, 0, 2, 3)))
    made = found(checks.check_convolution, empty, "c", NETWORK, 32, 12, "lif_conv2d")
    assert made == [("c.weight", "an array is empty")]


def test_those_that_send_are_inputs_and_populations_that_spike() -> None:
    silent = population("r", 4) | {"spikes": False}
    tree = {"inputs": [port()], "populations": [population(), silent]}
    assert checks.neurons_of(tree) == {"a": 2, "r": 4}
    assert checks.senders_of(tree) == {"in": 3, "a": 2}
    outputs = [
        {"population": "r", "neurons": np.arange(4)},
        {"population": "a", "neurons": np.arange(1)},
    ]
    whole = tree | {"channels": 3, "outputs": outputs}
    assert checks.ends({"network.npz": whole}) == {
        **{"inputs": 3, "outputs": 5, "kinds": ["membrane"], "silent": [0, 1, 2, 3]},
        "parts": {"a": 2, "r": 4, "readout": 5},
    }
    spikes = checks.ends({"network.npz": whole | {"outputs": outputs[1:]}})
    assert (spikes["kinds"], spikes["silent"], spikes["outputs"]) == (["spikes"], [], 1)


def network() -> dict[str, Any]:
    """An input, a kernel's population behind it, and a population behind that."""
    kernel = convolution(weight=np.ones((1, 1, 1, 1), np.int8), in_height=1, in_width=3, pool_y=1)
    second = synapses() | {"source": "a", "target": "b"}
    return {
        "channels": 3,
        "inputs": [port()],
        "populations": [population("a", 3, "lif_conv2d"), population("b")],
        "projections": [second],
        "convolutions": [kernel | {"name": "c", "source": "in", "target": "a"}],
        "outputs": [{"population": "b", "neurons": np.arange(2)}],
    }


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (put("inputs", 0, "channels", value=np.array([0, 1, 3])), "inputs[0].channels", ""),
        (put("populations", 1, "threshold", value=np.ones(3)), "populations[1].threshold", ""),
        (put("populations", 1, "name", value="in"), "", "the inputs and populations"),
        (put("projections", 0, "name", value="c"), "", "the projections"),
        (put("projections", 0, "source", value="x"), "projections[0].source", ""),
        (put("projections", 0, "target", value="in"), "projections[0].target", ""),
        (put("populations", 0, "spikes", value=False), "projections[0].source", ""),
        (put("convolutions", 0, "source", value="x"), "convolutions[0].source", ""),
        (put("convolutions", value=[]), "populations[0]", "the model takes one convolution"),
        (lambda t: t["convolutions"].append(t["convolutions"][0] | {"name": "d"}),
         "populations[0]", "the model takes one convolution"),
        (put("outputs", 0, "population", value="x"), "outputs[0].population", ""),
    ],
)  # fmt: skip
def test_each_fault_of_a_network_is_found_at_its_place(
    change: Change, path: str, words: str
) -> None:
    tree = network()
    assert found(checks.check_network, tree, NETWORK, {}) == []
    change(tree)
    faults = found(checks.check_network, tree, NETWORK, {})
    assert len(faults) == 1 and (not path or faults[0][0] == path), faults
    assert words in "".join(faults[0])


# mapping.json.


MASK = 0xFFFFFFFC  # of four keys
NUMBERS = {"neurons": 4, "entries": 2, "chips": 64, "cores": 152}
TREE = {"inputs": [port()], "populations": [population()]}
CHIP, CORE, KEY = range(3)


def slices() -> list[list[int]]:
    """Return chip, PE, key and mask of neurons 0, 1 and 2 of the input, and of the population."""
    return [[0, 1, 0, MASK], [0, 2, 4, MASK], [1, 3, 8, MASK]]


def test_populations_are_cut_as_the_vendor_cuts_them() -> None:
    assert checks.cuts_of(TREE) == [("in", 0, 2), ("in", 2, 3), ("a", 0, 2)]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda s: None, []),
        (lambda s: s.pop(1), [("slices", "there is not one for all neurons of a PE")]),
        (lambda s: s.append([0, 9, 12, MASK]),
         [("slices", "there is not one for all neurons of a PE")]),
        (put(1, CORE, value=1), [("slices", "a core has two slices")]),
        (put(2, CORE, value=1), []),  # of another chip
        (put(2, CHIP, value=63), []),
        (put(2, CHIP, value=64), [("slices[2][0]", "a value is outside the chip's range")]),
        (put(2, CORE, value=152), []),
        (put(2, CORE, value=153), [("slices[2][1]", "a value is outside the chip's range")]),
        (put(2, CORE, value=0), [("slices[2][1]", "a value is outside the chip's range")]),
    ],
)  # fmt: skip
def test_each_slice_has_a_pe_of_its_own(change: Any, faults: list[tuple[str, str]]) -> None:
    given = slices()
    change(given)
    assert found(checks.check_slices, given, TREE, NUMBERS) == faults


NO_BLOCK = "the keys of a slice are no block"
OVERLAP = ("slices", "keys overlap")


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda s: None, []),
        (lambda s: s[0].__setitem__(KEY, 12), []),  # in any order
        (put(1, KEY, value=5), [("slices[1]", NO_BLOCK), OVERLAP]),
        (put(1, 3, value=0xFFFFFFFA), [("slices[1]", NO_BLOCK), OVERLAP]),
        (put(1, 3, value=0xFFFFFFFD), [("slices[1]", NO_BLOCK)]),
        (put(1, KEY, value=0), [OVERLAP]),
        (put(2, KEY, value=4), [OVERLAP]),
        (put(2, KEY, value=0xFFFFFFFC), []),
        (put(0, 3, value=0xFFFFFFFF), [("slices[0]", NO_BLOCK)]),
    ],
)
def test_keys_are_blocks_that_do_not_overlap(change: Any, faults: list[tuple[str, str]]) -> None:
    given = slices()
    change(given)
    assert found(checks.check_keys, given, checks.cuts_of(TREE), 4) == faults


def test_a_slice_has_as_many_neurons_as_its_core_takes_and_as_it_has_keys() -> None:
    for neurons, most, faults in ((4, 4, []), (4, 3, [("slices[0]", NO_BLOCK)])):
        cuts = [("a", 0, neurons)]
        assert found(checks.check_keys, [[0, 1, 0, MASK]], cuts, most) == faults
    cuts = [("a", 0, 5)]  # five neurons for four keys
    assert found(checks.check_keys, [[0, 1, 0, MASK]], cuts, 9) == [("slices[0]", NO_BLOCK)]


def routing() -> dict[str, Any]:
    return {"routes": [{}, {}], "entries": [[0, 0, MASK, 1], [2, 0, MASK, 1], [2, 4, MASK, 0]]}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda t: None, None),
        (put("entries", 0, CHIP, value=2), "entries[2]"),  # the third of a table of two
        (put("entries", 0, CHIP, value=3), "entries[1]"),
        (put("entries", 2, CHIP, value=63), None),
        (put("entries", 2, CHIP, value=64), "entries[2]"),
        (put("entries", 1, value=[2, 5, MASK, 0]), "entries[1]"),
        (put("entries", 0, value=[0, 0, MASK, 2]), "entries[0]"),
    ],
)
def test_entries_select_keys_and_lead_to_a_route(change: Any, path: str | None) -> None:
    tree = routing()
    change(tree)
    faults = [p for p, _ in found(checks.check_entries, tree, NUMBERS)]
    assert faults[:1] == ([path] if path else [])


def test_a_mapping_is_checked_as_a_whole_unless_its_slices_are_wrong() -> None:
    tree = {"slices": slices()} | routing()
    file: Any = type("File", (), {"numbers": NUMBERS})
    trees = {"network.npz": TREE}
    assert found(checks.check_mapping, tree, file, trees) == []
    tree["slices"][1][KEY] = 0
    tree["entries"][0][CHIP] = 64
    paths = [path for path, _ in found(checks.check_mapping, tree, file, trees)]
    assert paths[:2] == ["slices", "entries[0]"]
    tree["slices"].pop()
    assert found(checks.check_mapping, tree, file, trees) == [
        ("slices", "there is not one for all neurons of a PE")
    ]
