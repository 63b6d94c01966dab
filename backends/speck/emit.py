"""A configuration as files: config.json (the vendor's field tree), weights.npz, deploy.py. Pure functions.

Field names: targets sheet, section 3, and samna's documentation (`speck2e`, `speck2f`, pages `configuration`).
A value is checked before it is written: nothing is ever cut off or wrapped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs
from nirc.backends.speck.geometry import Pair
from nirc.backends.speck.limits import (
    BIAS,
    CORES,
    DVS_SIZE,
    FEATURE_SHIFT,
    KERNEL,
    PADDING,
    POOLINGS,
    READOUT,
    STATE,
    STRIDES,
    THRESHOLD_HIGH,
    THRESHOLD_LOW,
    WEIGHT,
)
from nirc.files.chipfiles import npz
from nirc.ir.arrays import Int

FORMAT = "nirc-speck-config/1"
DESTINATIONS = 2  # of a core and of the DVS layer
MAX_RASTER = 1 << 20  # input channels of the host's raster
READOUT_PINS = 24  # factory_config.io_sel that brings the readout layer's answer to the pins

# Fields with one value in all our files: what they switch changes results, and the emulator does not know it.
CORE_FIXED = {
    "leak_internal_slow_clk_enable": False,
    "output_decimator_enable": False,
    "output_decimator_interval": 0,
    "input_congestion_balancer_enable": False,
}
DVS_FIXED = {
    "monitor_enable": False,
    "raw_monitor_enable": False,
    "on_channel": True,
    "off_channel": True,
    "mirror": {"x": False, "y": False},
    "mirror_diagonal": False,
}
DVS_FILTER = {
    "enable": False,
    "filter_size": 1,
    "threshold": 5,
    "hot_pixel_filter_enable": False,
    "low_pass_mode_enable": False,
    "internal_slow_clk": False,
}


def emit(configuration: Configuration, *, dt_s: float | None) -> dict[str, bytes]:
    """The chip's files by name. ``dt_s`` is in the configuration already, as the frequency of the slow clock."""
    from nirc.backends.speck.deploy import deploy_py

    return {
        "config.json": config_json(tree(configuration)),
        "weights.npz": weights_npz(configuration),
        "deploy.py": deploy_py(configuration),
    }


def tree(configuration: Configuration) -> dict[str, Any]:
    """The configuration object's fields; arrays stay int64 arrays. Raises ``AssertionError`` for what does not fit."""
    check(configuration)
    layers, dvs, enabled = configuration.by_core(), configuration.dvs, configuration.readout is not None
    routes = configuration.inputs
    # The camera layer itself pools, so its destinations do not.
    from_camera = [] if dvs is None else [Destination(r.layer, 1, r.feature_shift) for r in routes]
    return {
        "format": FORMAT,
        "variant": configuration.variant,
        "cnn_layers": [_core(layers[c.number]) if c.number in layers else unused_core() for c in CORES],
        "dvs_layer": dvs_layer(dvs, from_camera),
        "dvs_filter": DVS_FILTER,
        "readout": readout_layer(enabled),
        "factory_config": factory_config(enabled),
        "nirc": {
            "inputs": [
                {
                    "first": route.first,
                    "shape": list(route.shape),
                    "layer": route.layer,
                    "pooling": _xy(route.pooling),
                    "feature_shift": route.feature_shift,
                }
                for route in routes
            ],
            "slow_clock_hz": configuration.slow_clock_hz,
            "readout_core": configuration.readout,
        },
    }


def _core(layer: CoreLayer) -> dict[str, Any]:
    return {
        "dimensions": {
            "input_shape": {"size": _xy(layer.shape_in[1:]), "feature_count": layer.shape_in[0]},
            "output_shape": {"size": _xy(layer.shape_out[1:]), "feature_count": layer.shape_out[0]},
            "kernel_size": int(layer.kernel.shape[2]),
            "padding": _xy(layer.padding),
            "stride": _xy(layer.stride),
        },
        "weights": _x_before_y(layer.kernel),
        "biases": layer.bias,
        "neurons_initial_value": _x_before_y(layer.initial),
        "threshold_high": layer.threshold_high,
        "threshold_low": layer.threshold_low,
        "return_to_zero": layer.return_to_zero,
        "leak_enable": layer.leak_enable,
        "monitor_enable": layer.monitor,
        "destinations": _destinations(layer.destinations),
        **CORE_FIXED,
    }


def unused_core() -> dict[str, Any]:
    """The fields of a core that does nothing."""
    none = {"size": _xy((0, 0)), "feature_count": 0}
    return {
        "dimensions": {
            "input_shape": none,
            "output_shape": none,
            "kernel_size": 0,
            "padding": _xy((0, 0)),
            "stride": _xy((1, 1)),
        },
        "weights": [],
        "biases": [],
        "neurons_initial_value": [],
        "threshold_high": 1,
        "threshold_low": -1,
        "return_to_zero": False,
        "leak_enable": False,
        "monitor_enable": False,
        "destinations": _destinations(()),
        **CORE_FIXED,
    }


def dvs_layer(dvs: Dvs | None, destinations: Sequence[Destination]) -> dict[str, Any]:
    """The camera layer; switched off if ``dvs`` is None."""
    window = dvs or Dvs(origin=(0, 0), cut=(DVS_SIZE - 1, DVS_SIZE - 1), pooling=1, merge=False)
    return {
        "pass_sensor_events": dvs is not None,
        "merge": window.merge,
        "origin": _xy(window.origin),
        "cut": _xy(window.cut),
        "pooling": _xy((window.pooling, window.pooling)),
        "destinations": _destinations(destinations),
        **DVS_FIXED,
    }


def readout_layer(enabled: bool) -> dict[str, Any]:
    """The readout layer: every spike of a class is told at once, without averaging."""
    return {
        "enable": enabled,
        "readout_configuration_sel": 3,  # 1 x 1 maps, 16 features
        "threshold": 1,
        "output_mode_sel": 0,
        "low_pass_filter_disable": True,
        "low_pass_filter32_not16": False,
        "readout_pin_monitor_enable": False,
        "monitor_enable": enabled,
        "override_threshold_max": False,
        "output_neuron_num": 15,
        "internal_slow_clk": False,
    }


def factory_config(enabled: bool) -> dict[str, Any]:
    """Settings of the board: whether the readout layer has its pins."""
    return {"io_sel": READOUT_PINS if enabled else 0}


def _destinations(enabled: Sequence[Destination]) -> list[dict[str, Any]]:
    off = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
    on = [{"enable": True, "layer": d.layer, "pooling": d.pooling, "feature_shift": d.feature_shift} for d in enabled]
    return on + [off] * (DESTINATIONS - len(on))


def _xy(pair: Pair) -> dict[str, int]:
    y, x = pair
    return {"x": int(x), "y": int(y)}


def _x_before_y(array: Int) -> Int:
    """The chip's order of a map's axes, (..., y, x) to (..., x, y): transposed, not turned."""
    return np.swapaxes(array, -1, -2)


def check(configuration: Configuration) -> None:
    """Raise ``AssertionError`` naming the first value that does not fit its field (a bug of nirc)."""
    for layer in configuration.layers:
        _check_core(layer)
    for route in configuration.inputs:
        _within(f"input to core {route.layer}: feature_shift", route.feature_shift, FEATURE_SHIFT)
    _within("input channels", configuration.input_channels, (0, MAX_RASTER))
    dvs = configuration.dvs
    if dvs is not None:
        if len(configuration.inputs) > DESTINATIONS:
            raise AssertionError(f"the camera has {len(configuration.inputs)} destinations")
        if dvs.pooling not in POOLINGS:
            raise AssertionError(f"the camera pools by {dvs.pooling}")
        _within("origin and cut", np.array([dvs.origin, dvs.cut]), (0, DVS_SIZE // dvs.pooling - 1))


def _check_core(layer: CoreLayer) -> None:
    name = f"core {layer.core}"
    _within("core", layer.core, (0, len(CORES) - 1))
    k = layer.kernel.shape[-1]
    shapes = (layer.kernel.shape, layer.bias.shape, layer.initial.shape)
    if shapes != ((layer.shape_out[0], layer.shape_in[0], k, k), layer.shape_out[:1], layer.shape_out):
        raise AssertionError(f"{name}: arrays of shapes {shapes} for {layer.shape_in} to {layer.shape_out}")
    for field, values, allowed in (
        ("kernel size", k, KERNEL),
        ("kernel", layer.kernel, WEIGHT),
        ("bias", layer.bias, BIAS),
        ("initial", layer.initial, STATE),
        ("threshold_high", layer.threshold_high, THRESHOLD_HIGH),
        ("threshold_low", layer.threshold_low, THRESHOLD_LOW),
        ("padding", layer.padding, PADDING),
    ):
        _within(f"{name}: {field}", values, allowed)
    if not set(layer.stride) <= set(STRIDES):
        raise AssertionError(f"{name}: stride {layer.stride}")
    if len(layer.destinations) > DESTINATIONS:
        raise AssertionError(f"{name} has {len(layer.destinations)} destinations")
    for to in layer.destinations:
        if to.pooling not in POOLINGS or to.layer not in {*range(len(CORES)), READOUT}:
            raise AssertionError(f"{name}: {to}")
        _within(f"{name}: feature_shift", to.feature_shift, FEATURE_SHIFT)


def _within(name: str, values: object, allowed: tuple[int, int]) -> None:
    array = np.asarray(values)
    if array.dtype.kind != "i":  # the comparison below lets fractions and NaN through
        raise AssertionError(f"{name} holds {array.dtype}, not integers")
    if array.size and not allowed[0] <= array.min() <= array.max() <= allowed[1]:
        raise AssertionError(f"{name} has {array.min()}..{array.max()}, outside {allowed[0]}..{allowed[1]}")


def config_json(tree: dict[str, Any]) -> bytes:
    """Sorted keys; an array has one output channel a line."""
    return (_json(tree, "") + "\n").encode()


def _json(value: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(value, dict) and any(isinstance(v, dict | list | np.ndarray) for v in value.values()):
        parts = [f"{inner}{json.dumps(k)}: {_json(value[k], inner)}" for k in sorted(value)]
        return "{\n" + ",\n".join(parts) + "\n" + indent + "}"
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return _compact(value.tolist())
    if isinstance(value, np.ndarray):  # a channel at a time: all lists at once triple the time
        return "[\n" + ",\n".join(inner + _compact(channel.tolist()) for channel in value) + "\n" + indent + "]"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(inner + _json(v, inner) for v in value) + "\n" + indent + "]"
    return json.dumps(value, sort_keys=True)


_compact = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def weights_npz(configuration: Configuration) -> bytes:
    """For each used core N, in config.json's order of axes; same arrays, same bytes.

    ``coreN/weights`` int8 (out, in, x, y), ``coreN/biases`` int16 (out,),
    ``coreN/neurons_initial_value`` int16 (out, x, y).
    """
    check(configuration)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for layer in configuration.layers:
        core = f"core{layer.core}"
        arrays[f"{core}/weights"] = _x_before_y(layer.kernel).astype(np.int8, order="C")
        arrays[f"{core}/biases"] = layer.bias.astype(np.int16)
        arrays[f"{core}/neurons_initial_value"] = _x_before_y(layer.initial).astype(np.int16, order="C")
    return npz(arrays)
