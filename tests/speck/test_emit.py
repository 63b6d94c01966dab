"""Configurations to files: the vendor's order of axes, unused cores, ranges, equal bytes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings

from nirc.backends.speck import limits
from nirc.backends.speck.config import config_file
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.emit import config_json, emit, tree
from nirc.files.schema import json_schema
from tests.speck.configurations import configurations, random_configuration


def emitted(configuration: Configuration) -> dict[str, Any]:
    """The tree as a reader of the file sees it."""
    loaded: dict[str, Any] = json.loads(config_json(tree(configuration)))
    return loaded


SCHEMA = json_schema(*map(config_file, limits.VARIANTS))


def one_core(**changes: Any) -> Configuration:
    """Core 4: the sheet's kernel on a 3 x 4 map (y, x)."""
    layer = CoreLayer(
        core=4,
        shape_in=(1, 3, 4),
        shape_out=(1, 2, 3),
        kernel=np.array([[[[3, 5], [8, 10]]]]),  # round([[.1, .2], [.3, .4]] * scale) of the sheet
        stride=(1, 1),
        padding=(0, 0),
        bias=np.array([0]),
        threshold_high=25,
        threshold_low=-1,
        return_to_zero=False,
        initial=np.array([[[1, 2, 3], [4, 5, 6]]]),
        monitor=True,
    )
    return Configuration("2f", (replace(layer, **changes),), (InputRoute(0, (1, 3, 4), 4),))


def test_the_last_two_axes_are_transposed_as_on_the_chip() -> None:
    core = emitted(one_core())["cnn_layers"][4]
    assert core["weights"] == [[[[3, 8], [5, 10]]]]
    assert core["neurons_initial_value"] == [[[1, 4], [2, 5], [3, 6]]]
    assert core["dimensions"]["input_shape"] == {"size": {"x": 4, "y": 3}, "feature_count": 1}
    assert core["dimensions"]["output_shape"] == {"size": {"x": 3, "y": 2}, "feature_count": 1}


def test_pairs_are_told_apart() -> None:
    wide = {"shape_out": (1, 2, 5), "initial": np.zeros((1, 2, 5), np.int64)}
    core = emitted(one_core(stride=(1, 2), padding=(0, 3), **wide))["cnn_layers"][4]
    assert core["dimensions"]["stride"] == {"x": 2, "y": 1}
    assert core["dimensions"]["padding"] == {"x": 3, "y": 0}


def test_an_unused_core_is_there_and_does_nothing() -> None:
    cores = emitted(one_core())["cnn_layers"]
    assert [bool(core["weights"]) for core in cores] == [i == 4 for i in range(9)]
    none = {"size": {"x": 0, "y": 0}, "feature_count": 0}
    nowhere = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
    assert cores[0]["dimensions"] == {
        "input_shape": none,
        "output_shape": none,
        "kernel_size": 0,
        "padding": {"x": 0, "y": 0},
        "stride": {"x": 1, "y": 1},
    }
    assert cores[0]["destinations"] == [nowhere, nowhere]
    assert (cores[0]["threshold_high"], cores[0]["threshold_low"]) == (1, -1)
    assert not any(value for name, value in cores[0].items() if name.endswith("enable"))
    assert set(cores[0]) == set(cores[4])


def test_the_leak_is_on_where_a_bias_is() -> None:
    assert emitted(one_core())["cnn_layers"][4]["leak_enable"] is False
    core = emitted(one_core(bias=np.array([-3])))["cnn_layers"][4]
    assert (core["leak_enable"], core["biases"]) == (True, [-3])


def test_the_camera_sends_what_the_routes_say() -> None:
    camera = Dvs(origin=(30, 20), cut=(32, 23), pooling=2, merge=True)
    plain = one_core()
    host = emitted(plain)["dvs_layer"]
    assert host["pass_sensor_events"] is False and not any(
        d["enable"] for d in host["destinations"]
    )
    dvs = emitted(replace(plain, dvs=camera, inputs=(InputRoute(0, (1, 6, 8), 4, (2, 2)),)))[
        "dvs_layer"
    ]
    assert dvs["pass_sensor_events"] is True and dvs["merge"] is True
    assert (dvs["origin"], dvs["cut"]) == ({"x": 20, "y": 30}, {"x": 23, "y": 32})
    assert dvs["pooling"] == {"x": 2, "y": 2}
    assert dvs["destinations"][0] == {"enable": True, "layer": 4, "pooling": 1, "feature_shift": 0}
    assert dvs["destinations"][1]["enable"] is False


def test_the_readout_layer_takes_the_pins() -> None:
    off = emitted(one_core())
    assert off["readout"]["enable"] is False and off["factory_config"] == {"io_sel": 0}
    one_class = {"stride": (8, 8), "shape_out": (1, 1, 1), "initial": np.zeros((1, 1, 1), np.int64)}
    on = emitted(replace(one_core(destinations=(Destination(12),), **one_class), readout=4))
    assert on["readout"]["enable"] is on["readout"]["monitor_enable"] is True
    assert on["factory_config"] == {"io_sel": 24} and on["nirc"]["readout_core"] == 4


@given(configurations())
@settings(max_examples=25)
def test_emitted_files_obey_the_schema(configuration: Configuration) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(emitted(configuration))


def test_all_kinds_of_emitted_files_obey_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for dvs in (False, True):
        for readout in (False, True):
            rng = np.random.default_rng(dvs + 2 * readout)
            validator.validate(emitted(random_configuration(rng, dvs=dvs, readout=readout)))


def test_the_schema_refuses_what_the_chip_cannot_hold() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    text = json.dumps(emitted(one_core()))

    def core(change: dict[str, Any]) -> dict[str, Any]:
        bad: dict[str, Any] = json.loads(text)
        bad["cnn_layers"][4] |= change
        return bad

    assert validator.is_valid(core({}))
    changes: list[dict[str, Any]] = [
        {"weights": [[[[3, 8], [5, 128]]]]},
        {"weights": []},
        {"biases": [32768]},
        {"threshold_low": 0},
        {"threshold_high": 0},
        {"destinations": []},
        {"leak_enable": 1},
        {"output_decimator_enable": True},
        {"another": 1},
    ]
    for change in changes:
        assert not validator.is_valid(core(change)), change


def test_three_files_the_same_the_second_time() -> None:
    configuration = random_configuration(np.random.default_rng(5), cores=4)
    files = emit(configuration, dt_s=1e-3)
    assert sorted(files) == ["config.json", "deploy.py", "weights.npz"]
    assert files == emit(configuration, dt_s=1e-3)


def test_the_arrays_are_those_of_the_tree_in_the_chips_words() -> None:
    configuration = random_configuration(np.random.default_rng(8), cores=3)
    arrays = np.load(io.BytesIO(emit(configuration, dt_s=None)["weights.npz"]))
    cores = emitted(configuration)["cnn_layers"]
    types = {"weights": np.int8, "biases": np.int16, "neurons_initial_value": np.int16}
    used = [layer.core for layer in configuration.layers]
    assert sorted(arrays.files) == sorted(f"core{core}/{name}" for core in used for name in types)
    for core in used:
        for name, dtype in types.items():
            assert arrays[f"core{core}/{name}"].dtype == dtype
            np.testing.assert_array_equal(arrays[f"core{core}/{name}"], cores[core][name])


def test_a_channel_is_a_line_and_a_destination_too() -> None:
    lines = config_json(tree(one_core())).decode().splitlines()
    assert "    [[[3,8],[5,10]]]" in lines and "    [[1,4],[2,5],[3,6]]" in lines
    assert '    {"enable": false, "feature_shift": 0, "layer": 0, "pooling": 1},' in lines
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": np.array([[[[3, 5], [8, 128]]]])},
        {"kernel": np.array([[[[3, 5], [8, -129]]]])},
        {"kernel": np.array([[[[3, 5], [8, 256]]]])},  # would wrap to 0
        {"kernel": np.array([[[[3, 5], [8, 1.5]]]])},
        {"kernel": np.array([[[[3, 5, 1], [8, 10, 1]]]])},  # not square
        {"bias": np.array([1 << 16])},
        {"bias": np.array([1, 2])},
        {"initial": np.full((1, 2, 3), 32768)},
        {"initial": np.zeros((1, 3, 2), np.int64)},
        {"threshold_high": 0},
        {"threshold_low": 0},
        {"stride": (1, 3)},
        {"padding": (8, 0)},
        {"core": 9},
        {"destinations": (Destination(5), Destination(6), Destination(7))},
        {"destinations": (Destination(9),)},
        {"destinations": (Destination(5, 3),)},
        {"destinations": (Destination(5, 1, 1024),)},
    ],
)
def test_a_value_that_does_not_fit_never_reaches_a_file(changes: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, IndexError), match=r"cnn_layers|is not used"):
        tree(one_core(**changes))


def test_a_raster_beyond_what_is_read_back_never_reaches_a_file() -> None:
    with pytest.raises(AssertionError, match="the raster has too many channels"):
        tree(replace(one_core(), inputs=(InputRoute(1, (1, 1024, 1024), 4),)))
