"""The checker's reader of Speck: config.json and weights.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.configs import CONFIG, compare_archive, shaped
from nirc.checker.kernels import windows
from nirc.checker.pools import pooled
from nirc.checker.values import Array, demand, fit, parsed

# fmt: off
# Words of kernel and neuron memory of each core in Ki. Source: sinabs 3.1.3, chips/dynapcnn.py, and
# the Speck datasheet of August 2023, table 1, which has the other limits too.
SPECK_WORDS = {"kernel": (16, 16, 16, 32, 32, 64, 64, 16, 16),
               "neuron": (64, 64, 64, 32, 32, 16, 16, 16, 16)}
SPECK_XY, SPECK_SIGNED = {"x": 0, "y": 0}, (-32768, 32767)
SPECK_NOWHERE = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
SPECK_SIZE = {"size": SPECK_XY, "feature_count": 0}
SPECK_ALWAYS = {  # of every core
    "leak_internal_slow_clk_enable": False, "input_congestion_balancer_enable": False,
    "output_decimator_enable": False, "output_decimator_interval": 0}
SPECK_UNUSED: dict[str, Any] = {
    **SPECK_ALWAYS, "destinations": [SPECK_NOWHERE] * 2, "weights": [], "biases": [],
    "neurons_initial_value": [], "return_to_zero": False, "threshold_high": 1, "threshold_low": -1,
    "leak_enable": False, "monitor_enable": False,
    "dimensions": {"input_shape": SPECK_SIZE, "output_shape": SPECK_SIZE, "kernel_size": 0,
                   "padding": SPECK_XY, "stride": {"x": 1, "y": 1}}}
SPECK_USED = {
    **SPECK_ALWAYS, "weights": (-128, 127, 4), "biases": (*SPECK_SIGNED, 1),
    "neurons_initial_value": (*SPECK_SIGNED, 3), "return_to_zero": bool, "leak_enable": bool,
    "threshold_high": (1, 32767), "threshold_low": (-32768, -1), "monitor_enable": bool,
    "destinations": [{"enable": bool, "layer": (0, 12), "pooling": {1, 2, 4},
                      "feature_shift": (0, 1023)}] * 2,
    "dimensions": {
        "input_shape": {"size": dict.fromkeys("xy", (1, 128)), "feature_count": (1, 1024)},
        "output_shape": {"size": dict.fromkeys("xy", (1, 64)), "feature_count": (1, 1024)},
        "kernel_size": (1, 16), "padding": dict.fromkeys("xy", (0, 7)),
        "stride": {"x": {1, 2, 4, 8}, "y": {1, 2, 4, 8}}}}
SPECK_CAMERA = {  # off
    "pass_sensor_events": False, "merge": False, "origin": SPECK_XY, "mirror_diagonal": False,
    "cut": {"x": 127, "y": 127}, "pooling": {"x": 1, "y": 1}, "raw_monitor_enable": False,
    "on_channel": True, "off_channel": True, "mirror": {"x": False, "y": False},
    "destinations": [SPECK_NOWHERE] * 2, "monitor_enable": False}
SPECK_FILTER = {
    "enable": False, "filter_size": 1, "threshold": 5, "hot_pixel_filter_enable": False,
    "low_pass_mode_enable": False, "internal_slow_clk": False}
SPECK_READOUT = {  # and enable and monitor_enable: on or off
    "readout_configuration_sel": 3, "threshold": 1, "output_mode_sel": 0, "output_neuron_num": 15,
    "low_pass_filter_disable": True, "low_pass_filter32_not16": False, "internal_slow_clk": False,
    "readout_pin_monitor_enable": False, "override_threshold_max": False}
SPECK_INPUT = {
    "first": (0, 1 << 20), "shape": [(1, 1 << 20)] * 3, "layer": (0, 8), "feature_shift": (0, 1023),
    "pooling": {"x": (1, 1 << 20), "y": (1, 1 << 20)}}


def speck(bundle: Bundle) -> Chip:
    """Rebuild the network of a Speck."""
    manifest = bundle.manifest
    variant = fit("manifest.json", manifest["target"], {"speck:2e", "speck:2f"}, "target")[6:]
    fit("manifest.json", manifest["part"], f"Speck {variant}", "part")
    config = parsed(CONFIG, bundle.read(CONFIG), {
        "nirc": {"inputs": [SPECK_INPUT, ...], ...: object}, "dvs_layer": dict, ...: object,
        "cnn_layers": [dict] * len(SPECK_WORDS["kernel"])})
    inputs = config["nirc"]["inputs"]
    ends = [row["first"] + int(np.prod(row["shape"], dtype=object)) for row in inputs]
    channels = n = fit(CONFIG, max([0, *ends]), (0, 1 << 20), "nirc.inputs")
    routes = [(row, row["first"], row["shape"], row["pooling"]) for row in inputs]
    cores: dict[int, SpeckCore] = {}
    for i, row in enumerate(config["cnn_layers"]):
        used = bool(row.get("weights"))
        fit(CONFIG, row, SPECK_USED if used else SPECK_UNUSED, f"cnn_layers[{i}]")
        if used:
            core = cores[i] = SpeckCore(bundle, row, i, n)
            n += len(core.idle)
            routes += [(to, core.first, core.shape, dict.fromkeys("xy", to["pooling"]))
                       for to in row["destinations"] if to["enable"] and to["layer"] != 12]
    _speck_switches(bundle, config, cores)
    fields, idle = {"rule": np.full(n, "", "U64")}, np.zeros(n, bool)
    arrays, columns = dict[str, Array](), np.zeros(0, int)
    for core in cores.values():
        arrays |= core.arrays
        number = core.first + np.arange(len(core.idle))
        idle[number] = core.idle
        columns = np.append(columns, number[:len(number) * core.row["monitor_enable"]])
        for name, value in core.fields.items():
            fields.setdefault(name, np.zeros(n))[number] = value
    compare_archive(bundle, "weights.npz", arrays)
    chip = Chip(
        channels=channels, parts={"neurons": np.arange(channels, n)}, fields=fields, absent={},
        synapses=joined([_speck_arrival(cores, *route) for route in routes]),
        columns=columns, idle=idle)
    # Biases bring membranes something in the steps that a population is early. Take it back.
    for name, block in bundle.blocks.items():
        at, late = chip.numbers(block), bundle.late[name]
        drift, least, found = (fields[key][at] for key in ("drift", "v_least", "v_start"))
        start = bundle.network.populations[name].get("v_start", 0 * found)
        same = (np.maximum(start - late * drift, least) == found) & (late < 0)
        fields["v_start"][at[same]] = start[same]
    return chip


class SpeckCore:
    """One core: kernel (out, in, y, x), bias (out,), and initial values (out, y, x)."""
    def __init__(self, bundle: Bundle, row: Any, number: int, first: int) -> None:
        self.row, self.first, sizes = row, first, row["dimensions"]  # first: its first neuron
        place, k = f"cnn_layers[{number}]", sizes["kernel_size"]
        shapes = [(end["feature_count"], end["size"]["y"], end["size"]["x"])
                  for end in (sizes["input_shape"], sizes["output_shape"])]
        (self.into, *self.sides), self.shape = shapes
        out, high, wide = self.shape
        wanted: dict[str, Any] = {
            "weights": (np.int8, out, self.into, k, k), "biases": (np.int16, out),
            "neurons_initial_value": (np.int16, out, wide, high)}
        self.arrays = {
            f"core{number}/{key}": shaped(f"{place}.{key}", np.array(row[key], kind), *shape)
            for key, (kind, *shape) in wanted.items()}
        kernel, self.bias, initial = (each.astype(int) for each in self.arrays.values())
        kernel, initial = kernel.swapaxes(2, 3), initial.swapaxes(1, 2)
        pads, stride = ([sizes[key]["y"], sizes[key]["x"]] for key in ("padding", "stride"))
        behind, to, pixel, tap = windows(kernel != 0, shapes[0], stride, pads * 2, (1, 1))
        self.kernel = to, pixel, kernel[kernel != 0][tap]
        demand(behind == self.shape, CONFIG, f"{place}.dimensions", "another size", shapes, behind)
        fit(CONFIG, row["leak_enable"], bool(self.bias.any()), f"{place}.leak_enable")
        for to in row["destinations"]:
            if not to["enable"] or to["layer"] == 12:
                only = {"enable": to["enable"], "layer": 12 * to["enable"]}
                fit(CONFIG, to, {**SPECK_NOWHERE, **only}, f"{place}.destinations")
        # The readout layer reads channels 0, 4, 8, ...: the others have no neurons of the network.
        self.read_out = any(to["layer"] == 12 for to in row["destinations"])
        idle = (np.arange(out) % 4 != 0) & self.read_out
        self.idle = np.repeat(idle, high * wide)
        silent = not (self.bias[idle].any() or initial[idle].any())
        demand(silent, CONFIG, f"{place}.biases", "a class that the readout layer skips has one")
        # Before an event a neuron is below its threshold, and never below threshold_low. A weight
        # above the threshold leaves it higher each time, unless a spike sets it to 0.
        most, limit = max(0, int(kernel.max()), int(self.bias.max())), row["threshold_high"]
        reset = "set" if row["return_to_zero"] else "subtract"
        if (most > limit and reset == "subtract") or limit - 1 + most > 32767:
            events = (32767 - limit) // max(most - limit, 1) + 2
            at = tuple(map(int, np.unravel_index(int(kernel.argmax()), kernel.shape)))
            text = f"{events} events that meet the weight (out, in, y, x) {at}"
            bundle.note("overflow", CONFIG, place, "a membrane saturates at 32767", text)
        bits = [(size - 1).bit_length() for size in (k * k, out, high, wide)]  # of addresses
        words = [self.into << bits[0] + bits[1], out << bits[2] + bits[3]]
        for (kind, limits), n in zip(SPECK_WORDS.items(), words):
            bundle.most(CONFIG, f"{place} {kind} words", n, limits[number] << 10)
        self.fields: dict[str, Any] = {  # of NIR, each (neurons,) or one value
            "rule": f"decay v, add x->v, fire >= many, {reset}, bound, emit",
            "r": 1 / bundle.dt, "v_threshold": limit, "v_least": row["threshold_low"],
            "drift": np.repeat(self.bias, high * wide), "v_start": initial.ravel()}


def _speck_arrival(cores: Any, to: Any, first: int, shape: Any, pooling: Any) -> Any:
    """Return the synapses into a core from a map whose neurons begin at ``first``."""
    place, core = f"cnn_layers[{to['layer']}]", cores.get(to["layer"])
    fits = core and shape[0] + to["feature_shift"] <= core.into
    fits = fits and all(n // pooling[k] <= m for n, k, m in zip(shape[1:], "yx", core.sides))
    demand(fits, CONFIG, place, "spikes of another map arrive there")
    (c, y, x), (py, px) = shape, (pooling["y"], pooling["x"])
    number = first + np.arange(c * y * x).reshape(shape)
    number = np.pad(number, ((0, 0), (0, -y % py), (0, -x % px)), constant_values=-1)
    blocks = pooled(number, py, px)[:, :core.sides[0], :core.sides[1]]  # odd ones are lost
    sources, shift = np.full((core.into, *core.sides, py * px), -1), to["feature_shift"]
    sources[shift:shift + c, :blocks.shape[1], :blocks.shape[2]] = blocks
    target, pixel, weight = core.kernel
    source = sources.reshape(-1, py * px)[pixel].T
    target, weight = (np.broadcast_to(each, source.shape) for each in (target, weight))
    there = source >= 0
    return source[there], target[there] + core.first, 0, 0, weight[there]


def _speck_switches(bundle: Bundle, config: Any, cores: dict[int, SpeckCore]) -> None:
    """Demand that camera, readout layer and slow clock are as the network needs them."""
    rows, camera = config["nirc"]["inputs"], dict(SPECK_CAMERA)
    if config["dvs_layer"].get("pass_sensor_events") is not False and rows:
        channels, *sides = rows[0]["shape"]
        pooling = fit(CONFIG, rows[0]["pooling"]["y"], {1, 2, 4}, "nirc.inputs[0].pooling")
        y, x = (side // pooling for side in sides)
        top, left = (128 // pooling - y) // 2, (128 // pooling - x) // 2
        want = {"pooling": dict.fromkeys("xy", pooling), "shape": rows[0]["shape"], "first": 0}
        ends = [{key: row[key] for key in ("layer", "feature_shift")} for row in rows]
        arrive = [{**SPECK_NOWHERE, "enable": True, **end} for end in ends]
        camera |= {"pass_sensor_events": True, "merge": channels == 1, "pooling": want["pooling"]}
        camera |= {"origin": {"x": left, "y": top}, "cut": {"x": left + x - 1, "y": top + y - 1}}
        camera["destinations"] = arrive + [SPECK_NOWHERE] * (2 - len(rows))
        fit(CONFIG, rows, [{**row, **want} for row in rows], "nirc.inputs")
    reading = [i for i, core in cores.items() if core.read_out]
    on, hz = bool(reading), round(1 / bundle.dt, 3)
    ticks = any(core.bias.any() for core in cores.values()) and bundle.manifest["dt"] is not None
    clock = hz if ticks and 10 <= hz <= 10_000 else None
    fit(CONFIG, config, {
        "format": "nirc-speck-config/1", "variant": bundle.manifest["target"][6:],
        "cnn_layers": list, "dvs_layer": camera, "dvs_filter": SPECK_FILTER,
        "readout": {**SPECK_READOUT, "enable": on, "monitor_enable": on},
        "factory_config": {"io_sel": 24 * on}, "nirc": {
            "inputs": list, "readout_core": reading[0] if len(reading) == 1 else None,
            "slow_clock_hz": clock}})
