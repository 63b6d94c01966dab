"""config.json, the chip's file: every field, and its reader. The emulator sees nothing else.

The file may be hostile. Field tree: targets sheet, section 3 (samna's names, `speck2e`, `speck2f`,
pages `configuration`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.backends.speck.checks import check_config, enabled, shape_of, used_cores
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.findings import ValueOutsideRange
from nirc.backends.speck.geometry import Pair
from nirc.backends.speck.limits import (
    BIAS,
    CORES,
    DATASHEET,
    DVS_SIZE,
    ERRATA,
    FEATURE_SHIFT,
    KERNEL,
    PADDING,
    POOLINGS,
    READOUT,
    READOUT_CLASSES,
    READOUT_SPREAD,
    SINABS,
    SLOW_CLOCK_HZ,
    STATE,
    STRIDES,
    THRESHOLD_HIGH,
    THRESHOLD_LOW,
    VARIANTS,
    WEIGHT,
)
from nirc.chip.target import Target
from nirc.files.chipfiles import read
from nirc.files.description import File, Tree
from nirc.files.kinds import (
    Const,
    Flag,
    Integer,
    Integers,
    Kind,
    Many,
    Maybe,
    Number,
    Object,
    Size,
    Switch,
)

FORMAT = "nirc-speck-config/1"
MAX_BYTES = 16 << 20  # a full chip takes 4 to 6 MB
DESTINATIONS = 2  # of a core and of the DVS layer
MAX_RASTER = 1 << 20  # input channels of the host's raster
MAX_ROUTED = len(CORES) * MAX_RASTER  # input channels, counted once for each core that they go to
READOUT_PINS = 24  # factory_config.io_sel that brings the readout layer's answer to the pins

# Fields with one value in all our files. They change results, and the emulator does not know them.
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
NOWHERE = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
_NOTHING = {"size": {"x": 0, "y": 0}, "feature_count": 0}
UNUSED_CORE: dict[str, Any] = {
    "dimensions": {
        "input_shape": _NOTHING,
        "output_shape": _NOTHING,
        "kernel_size": 0,
        "padding": {"x": 0, "y": 0},
        "stride": {"x": 1, "y": 1},
    },
    "weights": [],
    "biases": [],
    "neurons_initial_value": [],
    "threshold_high": 1,
    "threshold_low": -1,
    "return_to_zero": False,
    "leak_enable": False,
    "monitor_enable": False,
    "destinations": [NOWHERE] * DESTINATIONS,
    **CORE_FIXED,
}
CAMERA_OFF: dict[str, Any] = {
    "pass_sensor_events": False,
    "merge": False,
    "origin": {"x": 0, "y": 0},
    "cut": {"x": DVS_SIZE - 1, "y": DVS_SIZE - 1},
    "pooling": {"x": 1, "y": 1},
    "destinations": [NOWHERE] * DESTINATIONS,
    **DVS_FIXED,
}


def readout_layer(on: bool) -> dict[str, Any]:
    """Return a readout layer that sends every spike of a class at once, without averaging."""
    return {
        "enable": on,
        "readout_configuration_sel": 3,  # 1 x 1 maps, 16 features
        "threshold": 1,
        "output_mode_sel": 0,
        "low_pass_filter_disable": True,
        "low_pass_filter32_not16": False,
        "readout_pin_monitor_enable": False,
        "monitor_enable": on,
        "override_threshold_max": False,
        "output_neuron_num": 15,
        "internal_slow_clk": False,
    }


def config_file(target: Target) -> File:
    """Describe config.json of one variant."""
    core = Switch("weights", (([], Const(UNUSED_CORE)),), _used_core(target))
    readout = tuple((on, Const(readout_layer(on))) for on in (False, True))
    pins = Integer(0, READOUT_PINS, (0, READOUT_PINS), doc="the readout layer has the pins")
    clock = (
        "ticks a second, one a time step. null if no core has biases, or the time step is unknown"
    )
    feeding = Integer(0, len(CORES) - 1)
    ours: dict[str, Kind] = {
        "inputs": Many(_route(), "routes", doc="how the raster's channels reach the cores"),
        "slow_clock_hz": Maybe(Number(*SLOW_CLOCK_HZ), doc=clock),
        "readout_core": Maybe(feeding, doc="the core that feeds the readout layer"),
    }
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "variant": Const(target.variant),
        "cnn_layers": Many(core, len(CORES), doc="the index is the number of the core"),
        "dvs_layer": Switch("pass_sensor_events", ((False, Const(CAMERA_OFF)),), _camera()),
        "dvs_filter": Const(DVS_FILTER),
        "readout": Switch("enable", readout),
        "factory_config": Object({"io_sel": pins}),
        "nirc": Object(ours),
    }
    numbers = {
        "memories": [
            {"kernel": core.kernel, "neuron": core.neuron, "bias": core.bias} for core in CORES
        ],
        "readout": READOUT,
        "classes": READOUT_SPREAD * (READOUT_CLASSES - 1) + 1,
        "pins": READOUT_PINS,
        "sensor": DVS_SIZE,
        "raster": MAX_RASTER,
        "routed": MAX_ROUTED,
    }
    source = f"{DATASHEET}; {SINABS}; {ERRATA}"
    return File(
        "config.json",
        Object(fields),
        check_config,
        numbers,
        MAX_BYTES,
        finding=ValueOutsideRange,
        source=source,
    )


def _pair(kind: Kind, doc: str = "") -> Object:
    return Object({"x": kind, "y": kind}, doc=doc)


def _integer(bounds: tuple[int, int], doc: str = "") -> Integer:
    return Integer(*bounds, doc=doc, source=DATASHEET)


def _one_of(values: tuple[int, ...], doc: str = "") -> Integer:
    return Integer(values[0], values[-1], values, doc=doc, source=DATASHEET)


def _shape(target: Target, limit: str, doc: str) -> Object:
    sides = _integer((1, target.max(limit)), doc)
    channels = _integer((1, target.max("input channels")))
    return Object({"size": _pair(sides), "feature_count": channels})


def _shift() -> Integer:
    return _integer(FEATURE_SHIFT, "added to the channel")


def _destinations() -> Many:
    cores = (*range(len(CORES)), READOUT)
    destination = {
        "enable": Flag(),
        "layer": Integer(0, READOUT, cores, doc=f"a core, or {READOUT}, the readout layer"),
        "pooling": _one_of(POOLINGS, "coordinates are divided by it"),
        "feature_shift": _shift(),
    }
    return Many(Object(destination), DESTINATIONS)


def _used_core(target: Target) -> Object:
    out = Size("out", target.max("input channels"))
    kernel = (out, "in", "k", "k")
    dimensions = {
        "input_shape": _shape(target, "input map", "of what comes in, after pooling on the way"),
        "output_shape": _shape(target, "output map", "of the neurons, before pooling"),
        "kernel_size": _integer(KERNEL),
        "padding": _pair(_integer(PADDING)),
        "stride": _pair(_one_of(STRIDES)),
    }
    ticks = "added once per tick of the slow clock"
    reset = "after a spike: true sets to 0, false takes `threshold_high` away"
    fields: dict[str, Kind] = {
        "dimensions": Object(dimensions),
        "weights": Integers(kernel, *WEIGHT, doc="[out][in][x][y]", source=DATASHEET),
        "biases": Integers((out,), *BIAS, doc=ticks, source=DATASHEET),
        "neurons_initial_value": Integers((out, "x", "y"), *STATE, source=DATASHEET),
        "threshold_high": _integer(THRESHOLD_HIGH, "a neuron fires from there on"),
        "threshold_low": _integer(THRESHOLD_LOW, "lower bound of the membrane"),
        "return_to_zero": Flag(doc=reset),
        "leak_enable": Flag(doc="a bias is not 0"),
        "monitor_enable": Flag(doc="spikes are sent to the host"),
        "destinations": _destinations(),
        **{name: Const(value) for name, value in CORE_FIXED.items()},
    }
    return Object(fields)


def _camera() -> Object:
    pixel = _integer((0, DVS_SIZE - 1))
    fields: dict[str, Kind] = {
        "pass_sensor_events": Const(True),
        "merge": Flag(doc="both polarities become channel 0"),
        "origin": _pair(pixel, "first pixel, counted after pooling"),
        "cut": _pair(pixel, "last pixel, inclusive"),
        "pooling": _pair(_one_of(POOLINGS, "the same in x and y")),
        "destinations": _destinations(),
        **{name: Const(value) for name, value in DVS_FIXED.items()},
    }
    return Object(fields)


def _route() -> Object:
    first = "the first of c y x channels of the raster, in C order of `shape`"
    fields: dict[str, Kind] = {
        "first": Integer(0, MAX_RASTER, doc=first),
        "shape": Integers((3,), 1, MAX_RASTER, doc="c, y, x"),
        "layer": Integer(0, len(CORES) - 1, doc="the core"),
        "pooling": _pair(Integer(1, MAX_RASTER, doc="the host divides coordinates by it")),
        "feature_shift": _shift(),
    }
    return Object(fields)


def read_config(text: bytes) -> Configuration:
    """Return the chip in the bytes of a config.json, of either variant.

    Raises ``InputError`` (U605) if the file is damaged, ``CompileError`` (S717) if the chip would
    not take a value. The diagnostics name JSON path, value and allowed range.
    """
    _, tree = read(text, *(config_file(target) for target in VARIANTS))
    ours = tree["nirc"]
    dvs = tree["dvs_layer"]
    hz = ours["slow_clock_hz"]
    return Configuration(
        variant=tree["variant"],
        layers=tuple(_layer(i, core) for i, core in used_cores(tree).items()),
        inputs=tuple(map(_input, ours["inputs"])),
        slow_clock_hz=None if hz is None else float(hz),
        dvs=_dvs(dvs) if dvs["pass_sensor_events"] else None,
        readout=ours["readout_core"],
    )


def _layer(number: int, core: Tree) -> CoreLayer:
    d = core["dimensions"]
    return CoreLayer(
        core=number,
        shape_in=shape_of(core, "input_shape"),
        shape_out=shape_of(core, "output_shape"),
        kernel=np.array(core["weights"], np.int64).swapaxes(2, 3).copy(),
        stride=_yx(d["stride"]),
        padding=_yx(d["padding"]),
        bias=np.array(core["biases"], np.int64),
        threshold_high=core["threshold_high"],
        threshold_low=core["threshold_low"],
        return_to_zero=core["return_to_zero"],
        initial=np.array(core["neurons_initial_value"], np.int64).swapaxes(1, 2).copy(),
        destinations=tuple(
            Destination(to["layer"], to["pooling"], to["feature_shift"]) for to in enabled(core)
        ),
        monitor=core["monitor_enable"],
    )


def _input(route: Tree) -> InputRoute:
    c, y, x = route["shape"]
    return InputRoute(
        route["first"], (c, y, x), route["layer"], _yx(route["pooling"]), route["feature_shift"]
    )


def _dvs(dvs: Tree) -> Dvs:
    return Dvs(_yx(dvs["origin"]), _yx(dvs["cut"]), dvs["pooling"]["y"], dvs["merge"])


def _yx(pair: Tree) -> Pair:
    return pair["y"], pair["x"]
