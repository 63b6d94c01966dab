"""config.json is read back as it was, or refused with its code, never with a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirc.backends.speck.config import MAX_BYTES, read_config
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.emit import config_json, tree
from nirc.diagnostics.errors import CompileError, Diagnostic, InputError, NircError
from tests.speck.configurations import assert_same, configurations, full_chip, random_configuration

Path = list[str | int]


def written(configuration: Configuration) -> bytes:
    return config_json(tree(configuration))


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def core(
    number: int, channels_in: int, channels: int, *to: Destination, bias: int = 0, **changes: Any
) -> CoreLayer:
    """3 x 3 kernels with padding 1 on maps of 4 x 6."""
    values: dict[str, Any] = {
        "core": number,
        "shape_in": (channels_in, 4, 6),
        "shape_out": (channels, 4, 6),
        "kernel": np.arange(channels * channels_in * 9).reshape(channels, channels_in, 3, 3) % 100,
        "stride": (1, 1),
        "padding": (1, 1),
        "bias": np.full(channels, bias),
        "threshold_high": 50,
        "threshold_low": -1,
        "return_to_zero": False,
        "initial": np.zeros((channels, 4, 6), np.int64),
        "destinations": to,
        "monitor": not to,
    }
    return CoreLayer(**values | changes)


def split() -> Configuration:
    """Input -> core 1 -> both of cores 4 and 0, halves of one layer -> core 7, with a leak."""
    layers = (
        core(0, 2, 3, Destination(7, 1, 3)),
        core(1, 2, 2, Destination(4), Destination(0)),
        core(4, 2, 3, Destination(7)),
        core(7, 6, 2, bias=-2),
    )
    return Configuration("2f", layers, (InputRoute(0, (2, 4, 6), 1),), slow_clock_hz=1000.0)


def camera() -> Configuration:
    """Both polarities of a 4 x 6 window, pooled by 2, to core 1 and to core 2."""
    layers = (core(1, 2, 2), core(2, 4, 2))
    routes = (InputRoute(0, (2, 8, 12), 1, (2, 2)), InputRoute(0, (2, 8, 12), 2, (2, 2), 2))
    return Configuration("2e", layers, routes, dvs=Dvs((30, 29), (33, 34), 2, merge=False))


def voting() -> Configuration:
    """The readout layer on core 3's 9 channels: 3 classes."""
    kernel = np.ones((9, 1, 1, 1), np.int64)
    last = core(
        3,
        1,
        9,
        Destination(12),
        shape_in=(1, 1, 1),
        shape_out=(9, 1, 1),
        kernel=kernel,
        padding=(0, 0),
        initial=np.zeros((9, 1, 1), np.int64),
        monitor=True,
    )
    return Configuration("2f", (last,), (InputRoute(0, (1, 1, 1), 3),), readout=3)


def put(configuration: Configuration, *changes: tuple[str, Any]) -> bytes:
    """The file with each value at its path, like "cnn_layers[0].weights[0]"."""
    config: Any = json.loads(written(configuration))
    for path, value in changes:
        *way, last = [
            int(k) if k.isdigit() else k for k in path.replace("[", ".").replace("]", "").split(".")
        ]
        at = config
        for key in way:
            at = at[key]
        at[last] = value
    return as_json(config)


def refused(text: bytes, error: type[NircError], code: str) -> list[Diagnostic]:
    """The diagnostics of a file that is refused with nothing but ``code``."""
    with pytest.raises(error) as caught:
        read_config(text)
    assert {d.code for d in caught.value.diagnostics} == {code}
    return list(caught.value.diagnostics)


def test_random_configurations_are_of_every_kind() -> None:
    chips = [random_configuration(np.random.default_rng(seed)) for seed in range(100)]
    layers = [layer for chip in chips for layer in chip.layers]
    ends = [{d.layer for d in layer.destinations if d.layer != 12} for layer in layers]
    assert {len(layer.destinations) for layer in layers} == {0, 1, 2}
    assert any(d.feature_shift for layer in layers for d in layer.destinations)
    assert {d.pooling for layer in layers for d in layer.destinations} == {1, 2, 4}
    assert (
        {chip.dvs is None for chip in chips}
        == {chip.readout is None for chip in chips}
        == {True, False}
    )
    assert any(sum(n in end for end in ends) > 1 for n in range(9))  # several cores feed one
    assert (
        {layer.leak_enable for layer in layers}
        == {layer.return_to_zero for layer in layers}
        == {True, False}
    )


@given(configurations())
@settings(max_examples=100)
def test_what_was_written_is_read_back(configuration: Configuration) -> None:
    assert_same(read_config(written(configuration)), configuration)


@pytest.mark.parametrize("make", [split, camera, voting])
def test_the_configurations_of_these_tests_are_legal(make: Callable[[], Configuration]) -> None:
    assert_same(read_config(written(make())), make())


def test_a_full_chip_is_read_back() -> None:
    chip = full_chip(np.random.default_rng(0))
    text = written(chip)
    assert len(text) < MAX_BYTES / 2
    assert_same(read_config(text), chip)


def test_biases_that_are_switched_off_contradict_themselves() -> None:
    (finding,) = refused(put(split(), ("cnn_layers[7].leak_enable", False)), InputError, "U605")
    assert finding.where == "cnn_layers[7].leak_enable"


def test_a_destination_that_is_off_goes_nowhere() -> None:
    read = read_config(put(split(), ("cnn_layers[1].destinations[0].enable", False)))
    assert read.by_core()[1].destinations == (Destination(0),)


@pytest.mark.parametrize(
    ("path", "value", "limit"),
    [
        ("cnn_layers[4].weights[1][0][2][1]", 128, "-128..127"),
        ("cnn_layers[4].weights[2][1][0][0]", -129, "-128..127"),
        ("cnn_layers[4].weights[0][0][0][0]", 10**30, "-128..127"),
        ("cnn_layers[7].biases[1]", 32768, "-32768..32767"),
        ("cnn_layers[0].neurons_initial_value[2][5][3]", -32769, "-32768..32767"),
        ("cnn_layers[0].threshold_high", 0, "1..32767"),
        ("cnn_layers[0].threshold_low", 0, "-32768..-1"),
        ("cnn_layers[0].dimensions.kernel_size", 17, "1..16"),
        ("cnn_layers[0].dimensions.padding.x", 8, "0..7"),
        ("cnn_layers[0].dimensions.stride.y", 9, "1..8"),
        ("cnn_layers[0].dimensions.input_shape.size.x", 129, "1..128"),
        ("cnn_layers[0].dimensions.output_shape.size.y", 65, "1..64"),
        ("cnn_layers[0].dimensions.output_shape.feature_count", 1025, "1..1024"),
        ("cnn_layers[0].dimensions.input_shape.feature_count", 0, "1..1024"),
        ("cnn_layers[0].destinations[0].layer", 13, "0..12"),
        ("cnn_layers[0].destinations[0].layer", 8, "0, 1, 4, 7"),
        ("cnn_layers[0].destinations[0].pooling", 3, "1, 2, 4"),
        ("cnn_layers[0].destinations[0].pooling", 8, "1..4"),
        ("cnn_layers[0].destinations[0].feature_shift", 1024, "0..1023"),
        ("nirc.inputs[0].layer", 2, "0, 1, 4, 7"),
        ("nirc.inputs[0].layer", 12, "0..8"),
        ("nirc.inputs[0].pooling.y", 0, "1..1048576"),
        ("nirc.inputs[0].shape[2]", 0, "1..1048576"),
        ("nirc.inputs[0].first", -1, "0..1048576"),
        ("nirc.slow_clock_hz", 9.5, "10..10000"),
        ("nirc.slow_clock_hz", 10**20, "10..10000"),
    ],
)
def test_a_value_outside_its_range_is_named(path: str, value: object, limit: str) -> None:
    (finding,) = refused(put(split(), (path, value)), CompileError, "S717")
    assert (finding.where, finding.found, finding.limit) == (path, str(value), limit)


def test_a_stride_that_is_no_power_of_two_is_named() -> None:
    (finding,) = refused(
        put(split(), ("cnn_layers[0].dimensions.stride.y", 3)), CompileError, "S717"
    )
    assert (finding.where, finding.limit) == ("cnn_layers[0].dimensions.stride.y", "1, 2, 4, 8")


def test_all_values_outside_their_range_are_named_at_once() -> None:
    text = put(split(), ("cnn_layers[0].biases", [40000] * 3), ("cnn_layers[7].threshold_low", 5))
    findings = refused(text, CompileError, "S717")
    assert [d.where for d in findings] == ["cnn_layers[0].biases[0]", "cnn_layers[7].threshold_low"]
    assert "2 more" in findings[0].message


def test_channels_beyond_the_target_are_named() -> None:
    (finding,) = refused(
        put(split(), ("cnn_layers[0].destinations[0].feature_shift", 4)), CompileError, "S717"
    )
    assert (finding.found, finding.limit) == ("4..6", "0..5")
    (finding,) = refused(put(split(), ("nirc.inputs[0].feature_shift", 1)), CompileError, "S717")
    assert (finding.where, finding.found, finding.limit) == (
        "nirc.inputs[0].feature_shift",
        "1..2",
        "0..1",
    )


@pytest.mark.parametrize(
    ("sizes", "memory"),
    [
        (
            {"input_shape": (1024, 8, 8), "output_shape": (17, 8, 8), "kernel_size": 1},
            "kernel",
        ),  # 1024 * 32 > 16 Ki
        (
            {"input_shape": (1, 33, 33), "output_shape": (17, 33, 33), "kernel_size": 1},
            "neuron",
        ),  # 17 * 64 * 64
    ],
)
def test_a_memory_that_is_too_small_is_named_before_the_arrays_are_looked_at(
    sizes: dict[str, Any], memory: str
) -> None:
    config = json.loads(written(split()))
    dimensions: dict[str, Any] = {"padding": {"x": 0, "y": 0}, "stride": {"x": 1, "y": 1}, **sizes}
    for name in ("input_shape", "output_shape"):
        channels, y, x = sizes[name]
        dimensions[name] = {"size": {"x": x, "y": y}, "feature_count": channels}
    config["cnn_layers"][0]["dimensions"] = dimensions
    (finding,) = refused(as_json(config), CompileError, "S717")
    assert finding.message == f"the core's {memory} memory is too small"
    assert finding.where == "cnn_layers[0].dimensions"


def test_a_circle_of_cores_is_refused() -> None:
    back = {"enable": True, "layer": 1, "pooling": 1, "feature_shift": 0}
    (finding,) = refused(
        put(split(), ("cnn_layers[7].destinations[1]", back)), CompileError, "S717"
    )
    assert set(re.findall(r"\d", finding.found)) in ({"1", "4", "7"}, {"1", "0", "7"})
    itself = {**back, "layer": 7}
    (finding,) = refused(
        put(split(), ("cnn_layers[7].destinations[0]", itself)), CompileError, "S717"
    )
    assert finding.found == "7 -> 7"


@pytest.mark.parametrize("shape", [[1, 1024, 1024], [1 << 20] * 3])
def test_a_raster_without_end_is_refused(shape: list[int]) -> None:
    text = put(split(), ("nirc.inputs[0].shape", shape), ("nirc.inputs[0].first", 1))
    assert refused(text, CompileError, "S717")[-1].limit in ("1..1048576", "0..9437184")


def test_a_map_that_the_target_cannot_hold_is_refused_but_not_the_rest_of_a_pooling_window() -> (
    None
):
    rows = core(
        8,
        2,
        2,
        Destination(2, 2),
        shape_in=(2, 5, 7),
        shape_out=(2, 5, 7),
        initial=np.zeros((2, 5, 7), int),
    )
    layer = core(2, 2, 1, shape_in=(2, 2, 3), shape_out=(1, 2, 3), initial=np.zeros((1, 2, 3), int))
    chip = Configuration("2f", (layer, rows), (InputRoute(0, (2, 9, 9), 8),))
    assert_same(read_config(written(chip)), chip)
    (finding,) = refused(
        put(chip, ("cnn_layers[8].destinations[0].pooling", 1)), CompileError, "S717"
    )
    assert (finding.where, finding.found, finding.limit) == (
        "cnn_layers[8].destinations[0]",
        "5 x 7",
        "2 x 3",
    )


def test_many_routes_of_large_inputs_are_refused() -> None:
    route = {
        "first": 0,
        "shape": [1, 1024, 1024],
        "layer": 1,
        "pooling": {"x": 1, "y": 1},
        "feature_shift": 0,
    }
    assert read_config(put(split(), ("nirc.inputs", [route] * 9))).input_channels == 1 << 20
    (finding,) = refused(put(split(), ("nirc.inputs", [route] * 10)), CompileError, "S717")
    assert finding.where == "nirc.inputs"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "nirc-speck-config/2"),
        ("variant", ["2f"]),
        ("variant", "2b"),
        ("cnn_layers", None),
        ("cnn_layers", []),
        ("cnn_layers[0]", 3),
        ("cnn_layers[2].threshold_high", 2),  # an unused core
        ("cnn_layers[2].return_to_zero", 0),
        ("cnn_layers[2].biases", [0]),
        ("cnn_layers[2].dimensions.stride.x", True),
        ("cnn_layers[0].weights", []),  # its map says that it is used
        ("cnn_layers[0].weights", {}),
        ("cnn_layers[0].weights", "123"),
        ("cnn_layers[0].weights[1]", [[[1, 2, 3]] * 3]),
        ("cnn_layers[0].weights[1][0][2]", [1, 2]),
        ("cnn_layers[0].weights[1][0][2][2]", True),
        ("cnn_layers[0].weights[1][0][2][2]", 1.0),
        ("cnn_layers[0].weights[1][0][2][2]", None),
        ("cnn_layers[0].weights[1][0][2][2]", [1]),
        ("cnn_layers[0].biases", [0, 0]),
        ("cnn_layers[0].neurons_initial_value", [[[0] * 6] * 4] * 3),  # y before x
        ("cnn_layers[0].dimensions.output_shape.size.x", 5),
        ("cnn_layers[0].dimensions.kernel_size", 5),
        ("cnn_layers[0].dimensions.padding", 1),
        ("cnn_layers[0].dimensions.padding", {"x": 1}),
        ("cnn_layers[0].threshold_high", "5"),
        ("cnn_layers[0].leak_enable", True),  # no bias
        ("cnn_layers[0].leak_enable", 0),
        ("cnn_layers[0].return_to_zero", None),
        ("cnn_layers[0].leak_internal_slow_clk_enable", True),
        ("cnn_layers[0].output_decimator_enable", True),
        ("cnn_layers[0].output_decimator_interval", 0.0),
        ("cnn_layers[0].input_congestion_balancer_enable", True),
        ("cnn_layers[0].dropout", 1),
        ("cnn_layers[0].destinations", []),
        ("cnn_layers[0].destinations[0].enable", 1),
        ("cnn_layers[0].destinations[0].layer", 12),  # the readout layer is off
        ("dvs_layer.cut.x", 126),
        ("dvs_layer.pass_sensor_events", True),  # no destination
        ("dvs_layer.destinations[0].enable", True),
        ("dvs_filter.enable", True),
        ("readout.enable", True),
        ("readout.threshold", 2),
        ("factory_config.io_sel", 24),
        ("nirc", []),
        ("nirc.inputs", None),
        ("nirc.inputs[0].shape", [2, 24]),
        ("nirc.slow_clock_hz", True),
        ("nirc.slow_clock_hz", "10"),
        ("nirc.readout_core", 7),
        ("nirc.\ud800", 1),
    ],
)
def test_a_damaged_tree_is_refused(path: str, value: Any) -> None:
    (finding,) = refused(put(split(), (path, value)), InputError, "U605")
    finding.message.encode(), finding.where.encode(), finding.found.encode()  # can be printed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dvs_layer.merge", True),
        ("dvs_layer.cut.y", 32),
        ("dvs_layer.origin.x", 28),
        ("dvs_layer.pooling.x", 1),
        ("dvs_layer.pooling", {"x": 1, "y": 1}),
        ("dvs_layer.mirror.x", True),
        ("dvs_layer.on_channel", False),
        ("dvs_layer.destinations[0].layer", 2),
        ("dvs_layer.destinations[1].enable", False),
        ("dvs_layer.destinations[1].feature_shift", 1),
        ("dvs_layer.destinations[1].pooling", 2),
        ("nirc.inputs[0].pooling.x", 1),
        ("nirc.inputs[0].shape", [1, 8, 12]),
        ("nirc.inputs[1].first", 192),
        ("nirc.inputs", []),
    ],
)
def test_a_camera_that_sees_something_else_than_the_raster_is_refused(
    path: str, value: Any
) -> None:
    refused(put(camera(), (path, value)), InputError, "U605")


@pytest.mark.parametrize(
    ("path", "limit"), [("dvs_layer.cut.y", "0..63"), ("dvs_layer.origin.x", "0..63")]
)
def test_a_camera_window_beyond_the_sensor_is_refused(path: str, limit: str) -> None:
    (finding,) = refused(put(camera(), (path, 64)), CompileError, "S717")
    assert (finding.where, finding.limit) == (path, limit)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cnn_layers[3].monitor_enable", False),
        ("cnn_layers[3].destinations[0].enable", False),
        ("cnn_layers[3].destinations[0].pooling", 2),
        ("cnn_layers[3].destinations[0].feature_shift", 4),
        ("nirc.readout_core", None),
        ("nirc.readout_core", 2),
        ("readout.enable", False),
        ("factory_config.io_sel", 0),
    ],
)
def test_a_readout_layer_that_is_not_fed_as_it_must_be_is_refused(path: str, value: Any) -> None:
    refused(put(voting(), (path, value)), InputError, "U605")


def test_a_readout_layer_takes_no_maps() -> None:
    config = json.loads(written(split()))
    config["cnn_layers"][7]["destinations"][0] = {
        "enable": True,
        "layer": 12,
        "pooling": 1,
        "feature_shift": 0,
    }
    on = json.loads(written(voting()))
    config |= {"readout": on["readout"], "factory_config": on["factory_config"]}
    config["nirc"]["readout_core"] = 7
    (finding,) = refused(as_json(config), CompileError, "S717")
    assert finding.where == "cnn_layers[7].dimensions.output_shape"


@pytest.mark.parametrize(
    "where", [[], ["cnn_layers", 0], ["dvs_layer"], ["readout"], ["nirc"], ["nirc", "inputs", 0]]
)
def test_a_field_that_is_missing_or_unknown_is_named(where: Path) -> None:
    def block(config: Any) -> Any:
        for key in where:
            config = config[key]
        return config

    for name in block(json.loads(written(split()))):
        config = json.loads(written(split()))
        del block(config)[name]
        (finding,) = refused(as_json(config), InputError, "U605")
        assert finding.where.endswith(name)
    config = json.loads(written(split()))
    block(config)["speed"] = 1
    (finding,) = refused(as_json(config), InputError, "U605")
    assert finding.where.endswith("speed") and finding.message == "a field is unknown"


def test_an_output_map_that_does_not_follow_from_the_input_is_named() -> None:
    (finding,) = refused(
        put(split(), ("cnn_layers[0].dimensions.output_shape.size.x", 5)), InputError, "U605"
    )
    assert finding.where == "cnn_layers[0].dimensions.output_shape.size"
    assert "(4, 6)" in finding.expected


def test_a_chip_without_a_used_core_is_refused() -> None:
    config = json.loads(written(split()))
    config["cnn_layers"] = [config["cnn_layers"][2]] * 9
    refused(as_json(config), InputError, "U605")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": NaN}',
        b'{"format": -Infinity}',
        b'{"format": 1, "format": 2}',
        b'{"format": ' + b"9" * 5000 + b"}",
    ],
)
def test_text_that_is_not_a_configuration_is_refused(text: bytes) -> None:
    refused(text, InputError, "U605")


@pytest.mark.parametrize("depth", range(900, 1000, 7))
def test_nesting_that_python_can_just_read_is_refused_too(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for place in (
        b'"biases": []',
        b'"weights": []',
        b'"threshold_high": 1',
    ):  # of core 2, which is not used
        text = written(split()).replace(place, place.split(b":")[0] + b": " + deep, 1)
        assert deep in text
        with pytest.raises(NircError, match=r"U605|S717"):
            read_config(text)


def test_a_frequency_that_is_read_as_infinite_is_refused() -> None:
    refused(written(split()).replace(b"1000.0", b"1e999"), CompileError, "S717")


def test_a_file_beyond_any_chip_is_not_parsed() -> None:
    (finding,) = refused(b" " * (MAX_BYTES + 1), InputError, "U605")
    assert "too large" in finding.message


@pytest.mark.parametrize(
    "shorten", [lambda t: t[:-2], lambda t: t[: len(t) // 2], lambda t: t + b"]"]
)
def test_a_truncated_file_is_refused(shorten: Callable[[bytes], bytes]) -> None:
    (finding,) = refused(shorten(written(split())), InputError, "U605")
    assert "not JSON" in finding.message


def places(value: Any, path: Path) -> Iterator[Path]:
    """The paths of all nodes below ``value``."""
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in entries:
        yield [*path, key]
        yield from places(inner, [*path, key])


INTEGERS = [0, 1, -1, 2, 3, 4, 8, 12, 127, 128, 255, 1023, 1024, 32767, 32768, 1 << 20, 1 << 64]
NUMBERS = [*INTEGERS, -(1 << 64), 0.0, 0.5, 1e308]
LISTS: list[Any] = [[], [0], [[]], [[[[0]]]]]
PAIRS = [{}, {"x": 1, "y": 1}, {"x": 0}]
STRANGE = [None, True, False, *NUMBERS, "", "0", "2e", "\ud800", *LISTS, *PAIRS]
TREES = [json.loads(written(make())) for make in (split, camera, voting)]
PLACES = [list(places(config, [])) for config in TREES]
# Arrays have most of the nodes, so half of the changes are made outside them.
FIELDS = [
    [p for p in some if not any(isinstance(k, int) and k > 9 for k in p) and len(p) < 7]
    for some in PLACES
]


def has(at: Any, key: Any) -> bool:
    """Return True if a node is still there: an earlier change may have taken it away."""
    return (
        key in at
        if isinstance(at, dict)
        else isinstance(at, list) and isinstance(key, int) and key < len(at)
    )


def changed(data: st.DataObject, config: Any, keys: list[Any]) -> None:
    """Delete one node, put something strange or another node in its place, or double it."""
    at, last = config, keys[-1]
    for key in keys[:-1]:
        at = at[key] if has(at, key) else None
    if not has(at, last):
        return
    match data.draw(st.sampled_from(["delete", "replace", "swap", "double"])):
        case "delete":
            del at[last]
        case "replace":
            at[last] = data.draw(st.sampled_from(STRANGE))
        case "swap" if isinstance(at, dict):
            at[last] = at[data.draw(st.sampled_from(sorted(at)))]
        case "swap":
            at[last] = at[data.draw(st.integers(0, len(at) - 1))]
        case "double" if isinstance(at, list):
            at.insert(last, at[last])
        case "double":
            at[f"{last}2"] = at[last]


@given(st.data(), st.integers(0, len(TREES) - 1), st.integers(1, 3))
@settings(max_examples=500)
def test_damage_anywhere_reads_or_has_a_code(data: st.DataObject, which: int, changes: int) -> None:
    config = json.loads(json.dumps(TREES[which]))
    for _ in range(changes):
        some = (PLACES if data.draw(st.booleans()) else FIELDS)[which]
        changed(data, config, some[data.draw(st.integers(0, len(some) - 1))])
    try:
        read = read_config(as_json(config))
    except NircError as error:
        assert {d.code for d in error.diagnostics} <= {"U605", "S717"}
        for finding in error.diagnostics:
            str(finding.as_dict()).encode()
            assert len(finding.found) < 100 and len(finding.where) < 200
        return
    assert_same(read_config(written(read)), read)  # what is read is a chip that can be written


@given(st.binary(max_size=3), st.floats(0, 1), st.integers(0, 40))
@settings(max_examples=200)
def test_damaged_bytes_read_or_have_a_code(put_in: bytes, where: float, left_out: int) -> None:
    text = written(split())
    at = int(where * len(text))
    try:
        read_config(text[:at] + put_in + text[at + left_out :])
    except NircError as error:
        assert {d.code for d in error.diagnostics} <= {"U605", "S717"}


def test_a_field_that_is_there_twice_is_refused() -> None:
    text = written(split())
    for name in sorted(set(re.findall(rb'"(\w+)": ', text))):
        first = re.search(rb'"%s": ' % name, text)
        assert first is not None
        twice = text[: first.start()] + b'"%s": 0, ' % name + text[first.start() :]
        (finding,) = refused(twice, InputError, "U605")
        assert "same key twice" in finding.message
