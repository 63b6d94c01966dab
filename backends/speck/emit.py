"""A configuration as files: config.json (the vendor's field tree), weights.npz, deploy.py.

Each value is checked before it is written. Nothing is cut off or wraps around.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from nirc.backends.speck.config import (
    CAMERA_OFF,
    CORE_FIXED,
    DESTINATIONS,
    DVS_FILTER,
    DVS_FIXED,
    FORMAT,
    NOWHERE,
    READOUT_PINS,
    UNUSED_CORE,
    config_file,
    readout_layer,
)
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs
from nirc.backends.speck.geometry import Pair
from nirc.backends.speck.limits import CORES, SLOW_CLOCK_HZ, VARIANTS
from nirc.files.chipfiles import assert_good, npz
from nirc.files.scripts import deploy_script
from nirc.ir.arrays import Int


def emit(configuration: Configuration, *, dt_s: float | None) -> dict[str, bytes]:
    """Return the chip's files by name.

    ``dt_s`` is in the configuration already, as the frequency of the slow clock.
    """
    return {
        "config.json": config_json(tree(configuration)),
        "weights.npz": weights_npz(configuration),
        "deploy.py": deploy_py(configuration.variant),
    }


def tree(configuration: Configuration) -> dict[str, Any]:
    """Return the fields of the configuration object. Arrays stay int64 arrays.

    Raises ``AssertionError`` for a value that does not fit.
    """
    layers = configuration.by_core()
    dvs = configuration.dvs
    on = configuration.readout is not None
    routes = configuration.inputs
    # The camera layer itself pools, so its destinations do not.
    from_camera = [Destination(route.layer, 1, route.feature_shift) for route in routes]
    fields = {
        "format": FORMAT,
        "variant": configuration.variant,
        "cnn_layers": [
            _core(layers[c.number]) if c.number in layers else UNUSED_CORE for c in CORES
        ],
        "dvs_layer": CAMERA_OFF if dvs is None else dvs_layer(dvs, from_camera),
        "dvs_filter": DVS_FILTER,
        "readout": readout_layer(on),
        "factory_config": {"io_sel": READOUT_PINS if on else 0},
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
    target = next(target for target in VARIANTS if target.variant == configuration.variant)
    assert_good(config_file(target), fields)
    return fields


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


def dvs_layer(dvs: Dvs, destinations: Sequence[Destination]) -> dict[str, Any]:
    """Return the fields of the camera layer as the source."""
    return {
        "pass_sensor_events": True,
        "merge": dvs.merge,
        "origin": _xy(dvs.origin),
        "cut": _xy(dvs.cut),
        "pooling": _xy((dvs.pooling, dvs.pooling)),
        "destinations": _destinations(destinations),
        **DVS_FIXED,
    }


def _destinations(enabled: Sequence[Destination]) -> list[dict[str, Any]]:
    on = [
        {"enable": True, "layer": d.layer, "pooling": d.pooling, "feature_shift": d.feature_shift}
        for d in enabled
    ]
    return on + [NOWHERE] * (DESTINATIONS - len(on))


def _xy(pair: Pair) -> dict[str, int]:
    y, x = pair
    return {"x": int(x), "y": int(y)}


def _x_before_y(array: Int) -> Int:
    """Return (..., x, y), the chip's order of a map's axes: transposed, not turned."""
    return np.swapaxes(array, -1, -2)


def config_json(tree: dict[str, Any]) -> bytes:
    """Return sorted keys, with one output channel of an array in a line."""
    return (_json(tree, "") + "\n").encode()


def _json(value: Any, indent: str) -> str:
    inner = indent + " "
    if isinstance(value, dict) and any(
        isinstance(v, dict | list | np.ndarray) for v in value.values()
    ):
        parts = [f"{inner}{json.dumps(k)}: {_json(value[k], inner)}" for k in sorted(value)]
        return "{\n" + ",\n".join(parts) + "\n" + indent + "}"
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return _compact(value.tolist())
    if isinstance(value, np.ndarray):  # a channel at a time: all lists at once triple the time
        lines = [inner + _compact(channel.tolist()) for channel in value]
        return "[\n" + ",\n".join(lines) + "\n" + indent + "]"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(inner + _json(v, inner) for v in value) + "\n" + indent + "]"
    return json.dumps(value, sort_keys=True)


_compact = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def weights_npz(configuration: Configuration) -> bytes:
    """Return the arrays of each used core N, in config.json's order of axes.

    ``coreN/weights`` int8 (out, in, x, y), ``coreN/biases`` int16 (out,),
    ``coreN/neurons_initial_value`` int16 (out, x, y). Equal arrays give equal bytes.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for layer in configuration.layers:
        core = f"core{layer.core}"
        initial = _x_before_y(layer.initial)
        arrays[f"{core}/weights"] = _x_before_y(layer.kernel).astype(np.int8, order="C")
        arrays[f"{core}/biases"] = layer.bias.astype(np.int16)
        arrays[f"{core}/neurons_initial_value"] = initial.astype(np.int16, order="C")
    return npz(arrays)


# Boards as samna names them, the usual one first. Source: sinabs, backend/dynapcnn/io.py.
BOARDS = {
    "2f": ("Speck2fDevKit", "Speck2fModuleDevKit"),
    "2e": ("Speck2eDevKit", "Speck2eTestBoard"),
}


@cache  # it is the same for every network
def deploy_py(variant: str) -> bytes:
    """Return a self-contained script that checks the bundle, uploads it, and runs a raster."""
    target = next(target for target in VARIANTS if target.variant == variant)
    return deploy_script(
        "nirc.backends.speck",
        files=[config_file(target)],
        modules=["nirc.files.samna", "nirc.backends.speck.geometry", "nirc.backends.speck.checks"],
        part=target.part,
        variant=target.variant,
        boards=BOARDS[target.variant],
        slow_clock_hz=SLOW_CLOCK_HZ,
    )
