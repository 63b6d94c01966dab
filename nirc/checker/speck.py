"""The checker's reader of Speck: config.json and weights.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, joined
from nirc.checker.configs import CONFIG, compare_archive, shaped
from nirc.checker.kernels import windows
from nirc.checker.network import composed
from nirc.checker.values import Array, demand, fit

# fmt: off
# Words of kernel and neuron memory of each core in Ki. Source: sinabs 3.1.3, chips/dynapcnn.py, and
# the Speck datasheet of August 2023, table 1, which has the other limits too.
SPECK_KERNEL = (16, 16, 16, 32, 32, 64, 64, 16, 16)
SPECK_NEURON = (64, 64, 64, 32, 32, 16, 16, 16, 16)
SPECK_STEP = "decay v, add x->v, fire >= many, {}, bound, emit"
SPECK_XY: dict[str, Any] = {"x": 0, "y": 0}
SPECK_NOWHERE = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
SPECK_SIGNED = (-32768, 32767)  # 16 bits
SPECK_SIZE = {"size": SPECK_XY, "feature_count": 0}
SPECK_ALWAYS = {  # of every core
    **{"leak_internal_slow_clk_enable": False, "input_congestion_balancer_enable": False},
    **{"output_decimator_enable": False, "output_decimator_interval": 0}}
SPECK_UNUSED: dict[str, Any] = {
    **SPECK_ALWAYS, "destinations": [SPECK_NOWHERE] * 2,
    **{"weights": [], "biases": [], "neurons_initial_value": [], "return_to_zero": False},
    **{"threshold_high": 1, "threshold_low": -1, "leak_enable": False, "monitor_enable": False},
    "dimensions": {"input_shape": SPECK_SIZE, "output_shape": SPECK_SIZE, "kernel_size": 0,
                   "padding": SPECK_XY, "stride": {"x": 1, "y": 1}}}
SPECK_USED = {
    **SPECK_ALWAYS, "weights": (-128, 127, 4), "biases": (*SPECK_SIGNED, 1),
    **{"neurons_initial_value": (*SPECK_SIGNED, 3), "return_to_zero": bool, "leak_enable": bool},
    **{"threshold_high": (1, 32767), "threshold_low": (-32768, -1), "monitor_enable": bool},
    "destinations": [{"enable": bool, "layer": (0, 12), "pooling": {1, 2, 4},
                      "feature_shift": (0, 1023)}] * 2,
    "dimensions": {
        "input_shape": {"size": dict.fromkeys("xy", (1, 128)), "feature_count": (1, 1024)},
        "output_shape": {"size": dict.fromkeys("xy", (1, 64)), "feature_count": (1, 1024)},
        "kernel_size": (1, 16), "padding": dict.fromkeys("xy", (0, 7)),
        "stride": {axis: {1, 2, 4, 8} for axis in "xy"}}}
SPECK_CAMERA = {  # off
    **{"pass_sensor_events": False, "merge": False, "origin": SPECK_XY, "mirror_diagonal": False},
    **{"cut": {"x": 127, "y": 127}, "pooling": {"x": 1, "y": 1}, "raw_monitor_enable": False},
    **{"on_channel": True, "off_channel": True, "mirror": {"x": False, "y": False}},
    "destinations": [SPECK_NOWHERE] * 2, "monitor_enable": False}
SPECK_FILTER = {
    **{"enable": False, "filter_size": 1, "threshold": 5, "hot_pixel_filter_enable": False},
    **{"low_pass_mode_enable": False, "internal_slow_clk": False}}
SPECK_READOUT = {  # and enable and monitor_enable: on or off
    **{"readout_configuration_sel": 3, "threshold": 1, "output_mode_sel": 0},
    **{"low_pass_filter_disable": True, "low_pass_filter32_not16": False},
    **{"readout_pin_monitor_enable": False, "override_threshold_max": False},
    **{"output_neuron_num": 15, "internal_slow_clk": False}}
SPECK_INPUT = {
    **{"first": (0, 1 << 20), "shape": [(1, 1 << 20)] * 3, "layer": (0, 8)},
    **{"feature_shift": (0, 1023), "pooling": {"x": (1, 1 << 20), "y": (1, 1 << 20)}}}


def speck(bundle: Bundle) -> Chip:
    """Rebuild the network of a Speck."""
    manifest = bundle.manifest
    variant = fit("manifest.json", manifest["target"], {"speck:2e", "speck:2f"}, "target")[6:]
    fit("manifest.json", manifest["part"], f"Speck {variant}", "part")
    pattern: dict[str, Any] = {"format": "nirc-speck-config/1", "variant": variant}
    pattern |= dict.fromkeys(("dvs_layer", "dvs_filter", "readout", "factory_config"), dict)
    ours = {"inputs": [SPECK_INPUT, ...], "slow_clock_hz": object, "readout_core": object}
    pattern |= {"nirc": ours, "cnn_layers": [dict] * len(SPECK_KERNEL)}
    config, cores = bundle.json(CONFIG, pattern), dict[int, SpeckCore]()
    for i, row in enumerate(config["cnn_layers"]):
        used = bool(row.get("weights"))
        core = fit(CONFIG, row, SPECK_USED if used else SPECK_UNUSED, f"cnn_layers[{i}]")
        cores |= {i: SpeckCore(bundle, core, i)} if used else {}
    inputs = config["nirc"]["inputs"]
    ends = [row["first"] + int(np.prod(row["shape"], dtype=object)) for row in inputs]
    channels = first = fit(CONFIG, max([0, *ends]), (0, 1 << 20), "nirc.inputs")
    routes = [(row, row["first"], row["shape"], row["pooling"]) for row in inputs]
    for core in cores.values():
        core.first, first = first, first + core.n
        routes += [(to, core.first, core.shape, dict.fromkeys("xy", to["pooling"]))
                   for to in core.row["destinations"] if to["enable"] and to["layer"] != 12]
    synapses = [_speck_arrival(cores, *route) for route in routes]
    fields: dict[str, list[Array]] = {}
    for core in cores.values():
        for name, value in core.fields(bundle.dt).items():
            column = fields.setdefault(name, [np.full(channels, np.nan)])
            column.append(np.broadcast_to(value, core.n))
    _speck_switches(bundle, config, cores)
    arrays: dict[str, Array] = {}
    for i, core in cores.items():
        arrays |= {f"core{i}/{name}": array for name, array in core.arrays.items()}
    compare_archive(bundle, "weights.npz", arrays)
    rules = [np.full(core.n, SPECK_STEP.format(core.reset)) for core in cores.values()]
    read = [core for core in cores.values() if core.row["monitor_enable"]]
    chip = Chip(
        channels=channels,
        parts={"neurons": first - channels},
        fields={name: np.concatenate(values) for name, values in fields.items()},
        absent={"v_start": 0.0},
        rules=np.concatenate([np.full(channels, ""), *rules]),
        synapses=joined(synapses),
        columns=np.concatenate([np.zeros(0, int), *(c.first + np.arange(c.n) for c in read)]),
        idle=np.concatenate([np.zeros(channels, bool), *(core.idle for core in cores.values())]))
    _speck_early(bundle, chip)
    return chip


def _speck_early(bundle: Bundle, chip: Chip) -> None:
    """Take back what biases bring a membrane in the steps that a population is early."""
    for name, population in bundle.network.populations.items():
        late = bundle.network.late[name]
        if late < 0:
            at, fields = chip.numbers(population), chip.fields
            start = population.fields.get("v_start", np.zeros(population.n))
            moved = start - late * fields["drift"][at]
            same = np.maximum(moved, fields["v_least"][at]) == fields["v_start"][at]
            fields["v_start"][at[same]] = start[same]


class SpeckCore:
    """One core: kernel (out, in, y, x), bias (out,), and initial values (out, y, x)."""

    def __init__(self, bundle: Bundle, row: Any, number: int) -> None:
        self.row, self.first, sizes = row, 0, row["dimensions"]  # first: its first neuron
        place, k = f"cnn_layers[{number}]", sizes["kernel_size"]
        ends = [sizes["input_shape"], sizes["output_shape"]]
        shapes = [(end["feature_count"], end["size"]["y"], end["size"]["x"]) for end in ends]
        (self.into, *self.sides), self.shape = shapes
        out, high, wide = self.shape
        self.n = out * high * wide
        names = ("weights", "biases", "neurons_initial_value")
        wanted = ((out, self.into, k, k), (out,), (out, wide, high))
        arrays = [shaped(f"{place}.{key}", row[key], *n) for key, n in zip(names, wanted)]
        types = (np.int8, np.int16, np.int16)
        self.arrays = {key: each.astype(kind) for key, each, kind in zip(names, arrays, types)}
        kernel, self.bias = arrays[0].swapaxes(2, 3), arrays[1]
        self.initial = arrays[2].swapaxes(1, 2)
        pads, stride = ([sizes[key]["y"], sizes[key]["x"]] for key in ("padding", "stride"))
        behind, to, pixel, tap = windows(kernel != 0, shapes[0], stride, pads * 2, (1, 1))
        self.kernel = to, pixel, kernel.ravel()[tap]
        sizes = (self.shape, behind)
        demand(behind == self.shape, CONFIG, f"{place}.dimensions", "another output shape", *sizes)
        fit(CONFIG, row["leak_enable"], bool(self.bias.any()), f"{place}.leak_enable")
        self.reset = "set" if row["return_to_zero"] else "subtract"
        for to in row["destinations"]:
            if not to["enable"] or to["layer"] == 12:
                only = {"enable": to["enable"], "layer": 12 * to["enable"]}
                fit(CONFIG, to, {**SPECK_NOWHERE, **only}, f"{place}.destinations")
        # The readout layer reads channels 0, 4, 8, ...: the others have no neurons of the network.
        self.read_out = any(to["layer"] == 12 for to in row["destinations"])
        idle = (np.arange(out) % 4 != 0) & self.read_out
        self.idle = np.repeat(idle, self.n // out)
        silent = not (self.bias[idle].any() or self.initial[idle].any())
        demand(silent, CONFIG, f"{place}.biases", "a class that the readout layer skips has one")
        # Before an event a neuron is below its threshold, and never below threshold_low. A weight
        # above the threshold leaves it higher each time, unless a spike sets it to 0.
        most, limit = max(0, int(kernel.max()), int(self.bias.max())), row["threshold_high"]
        if (self.reset == "subtract" and most > limit) or limit - 1 + most > 32767:
            events = (32767 - limit) // max(most - limit, 1) + 2
            at = tuple(map(int, np.unravel_index(int(kernel.argmax()), kernel.shape)))
            text = f"{events} events that meet the weight (out, in, y, x) {at}"
            bundle.note("overflow", CONFIG, place, "a membrane saturates at 32767", text)
        bits = [(size - 1).bit_length() for size in (k * k, out, high, wide)]  # of addresses
        words = {"kernel": self.into << bits[0] + bits[1], "neuron": out << bits[2] + bits[3]}
        for kind, limits in (("kernel", SPECK_KERNEL), ("neuron", SPECK_NEURON)):
            bundle.most(CONFIG, f"{place} {kind} words", words[kind], limits[number] << 10)

    def fields(self, dt: float) -> dict[str, Any]:
        """Return the NIR fields of the neurons, each (neurons,) or a number."""
        high, low = (float(self.row[f"threshold_{key}"]) for key in ("high", "low"))
        drift = np.repeat(self.bias, self.n // len(self.bias)).astype(float)
        fields = {"r": 1 / dt, "v_threshold": high, "v_least": low, "v_reset": 0.0}
        return {**fields, "drift": drift, "v_start": self.initial.ravel().astype(float)}


def _speck_arrival(cores: Any, to: Any, first: int, shape: Any, pooling: Any) -> tuple[Array, ...]:
    """Return the synapses into a core from a map whose neurons begin at ``first``."""
    place, core = f"cnn_layers[{to['layer']}]", cores.get(to["layer"])
    fits = core and shape[0] + to["feature_shift"] <= core.into
    fits = fits and all(n // pooling[k] <= m for n, k, m in zip(shape[1:], "yx", core.sides))
    demand(fits, CONFIG, place, "spikes of another map arrive there")
    c, y, x = (each.ravel() for each in np.indices(shape))
    c, y, x = c + to["feature_shift"], y // pooling["y"], x // pooling["x"]
    inside = np.flatnonzero((y < core.sides[0]) & (x < core.sides[1]))  # odd ones are lost
    pixel = ((c * core.sides[0] + y) * core.sides[1] + x)[inside]
    target, source, weight = composed((pixel, inside, np.ones(len(inside))), core.kernel)
    return source + first, target + core.first, 0 * target, 0 * target, weight


def _speck_switches(bundle: Bundle, config: Any, cores: dict[int, SpeckCore]) -> None:
    """Demand that camera, readout layer and slow clock are as the network needs them."""
    rows, camera = config["nirc"]["inputs"], dict(SPECK_CAMERA)
    if config["dvs_layer"].get("pass_sensor_events") is not False and rows:
        channels, *sides = rows[0]["shape"]
        pooling = fit(CONFIG, rows[0]["pooling"]["y"], {1, 2, 4}, "nirc.inputs[0].pooling")
        y, x = (side // pooling for side in sides)
        top, left = (128 // pooling - y) // 2, (128 // pooling - x) // 2
        camera |= {"pass_sensor_events": True, "merge": channels == 1}
        camera |= {"origin": {"x": left, "y": top}, "cut": {"x": left + x - 1, "y": top + y - 1}}
        camera["pooling"] = {"x": pooling, "y": pooling}
        ends = [{key: row[key] for key in ("layer", "feature_shift")} for row in rows]
        arrive = [{**SPECK_NOWHERE, "enable": True, **end} for end in ends]
        camera["destinations"] = arrive + [SPECK_NOWHERE] * (2 - len(rows))
        for i, row in enumerate(rows):
            want = {**row, "pooling": camera["pooling"], "shape": rows[0]["shape"], "first": 0}
            fit(CONFIG, row, want, f"nirc.inputs[{i}]")
    reading = [i for i, core in cores.items() if core.read_out]
    on = {"enable": bool(reading), "monitor_enable": bool(reading)}
    hz = round(1 / bundle.dt, 3)
    ticks = any(core.bias.any() for core in cores.values()) and bundle.manifest["dt"] is not None
    ours: Any = {"inputs": object, "readout_core": reading[0] if len(reading) == 1 else None}
    ours["slow_clock_hz"] = hz if ticks and 10 <= hz <= 10_000 else None
    wanted: Any = {"dvs_layer": camera, "dvs_filter": SPECK_FILTER, "nirc": ours}
    wanted |= {"factory_config": {"io_sel": 24 if reading else 0}}
    wanted["readout"] = {**SPECK_READOUT, **on}
    fit(CONFIG, config, {**wanted, ...: object})
