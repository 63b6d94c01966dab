"""The checker's reader of Speck: config.json and weights.npz."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.checker.bundle import Bundle
from nirc.checker.compare import Chip, latencies
from nirc.checker.network import Projection
from nirc.checker.values import Array, Node, Refused

# Words of kernel and neuron memory of each core in Ki. Source: sinabs 3.1.3, chips/dynapcnn.py, and
# the Speck datasheet of August 2023, table 1, which has the other limits too.
SPECK_KERNEL = (16, 16, 16, 32, 32, 64, 64, 16, 16)
SPECK_NEURON = (64, 64, 64, 32, 32, 16, 16, 16, 16)
SPECK_STEP = "decay v, add x->v, fire >= many, {}, bound, emit"
SPECK_XY: dict[str, object] = {"x": 0, "y": 0}
SPECK_CORE: dict[str, Any] = {  # of every core
    "leak_internal_slow_clk_enable": False,
    "output_decimator_enable": False,
    "output_decimator_interval": 0,
    "input_congestion_balancer_enable": False,
}
SPECK_NOWHERE = {"enable": False, "layer": 0, "pooling": 1, "feature_shift": 0}
SPECK_UNUSED = {
    **SPECK_CORE,
    "dimensions": {
        "input_shape": {"size": SPECK_XY, "feature_count": 0},
        "output_shape": {"size": SPECK_XY, "feature_count": 0},
        "kernel_size": 0,
        "padding": SPECK_XY,
        "stride": {"x": 1, "y": 1},
    },
    **{"weights": [], "biases": [], "neurons_initial_value": [], "threshold_high": 1},
    **{"threshold_low": -1, "return_to_zero": False, "leak_enable": False},
    **{"monitor_enable": False, "destinations": [SPECK_NOWHERE] * 2},
}
SPECK_CAMERA = {  # off
    "pass_sensor_events": False,
    "merge": False,
    "origin": SPECK_XY,
    "cut": {"x": 127, "y": 127},
    "pooling": {"x": 1, "y": 1},
    "destinations": [SPECK_NOWHERE] * 2,
    **{"monitor_enable": False, "raw_monitor_enable": False, "on_channel": True},
    **{"off_channel": True, "mirror": {"x": False, "y": False}, "mirror_diagonal": False},
}
SPECK_FILTER = {
    **{"enable": False, "filter_size": 1, "threshold": 5, "hot_pixel_filter_enable": False},
    **{"low_pass_mode_enable": False, "internal_slow_clk": False},
}
SPECK_READOUT = {  # enable and monitor_enable: on or off
    **{"readout_configuration_sel": 3, "threshold": 1, "output_mode_sel": 0},
    **{"low_pass_filter_disable": True, "low_pass_filter32_not16": False},
    **{"readout_pin_monitor_enable": False, "override_threshold_max": False},
    **{"output_neuron_num": 15, "internal_slow_clk": False},
}


def speck(bundle: Bundle) -> Chip:
    """Rebuild the network of a Speck."""
    variant = bundle.manifest["target"].one_of("speck:2e", "speck:2f").partition(":")[2]
    bundle.manifest["part"].one_of(f"Speck {variant}")
    config = bundle.json("config.json").has(
        "format variant cnn_layers dvs_layer dvs_filter readout factory_config nirc"
    )
    config["format"].one_of("nirc-speck-config/1")
    config["variant"].one_of(variant)
    rows = config["cnn_layers"].list()
    if len(rows) != len(SPECK_KERNEL):
        raise config["cnn_layers"].refused("9 cores")
    cores = {i: SpeckCore(bundle, row, i) for i, row in enumerate(rows) if row["weights"].value}
    for i, row in enumerate(rows):
        if i not in cores:
            row.one_of(SPECK_UNUSED)
    channels, routes = _speck_inputs(config)
    first = channels
    for core in cores.values():
        core.first, first = first, first + core.n
    synapses = [_speck_arrival(cores, i, *route) for i, route in routes]
    for core in cores.values():
        for to, arrival in core.destinations(cores):
            synapses.append(_speck_arrival(cores, to, *arrival))
    fields: dict[str, list[Array]] = {}
    for core in cores.values():
        for name, value in core.fields(bundle).items():
            fields.setdefault(name, [np.full(channels, np.nan)]).append(
                np.broadcast_to(value, core.n)
            )
    joined = {name: np.concatenate(values) for name, values in fields.items()}
    _speck_early(bundle, joined, channels)
    _speck_switches(bundle, config, cores)
    _speck_archive(bundle, cores)
    rules = [np.full(core.n, SPECK_STEP.format(core.reset)) for core in cores.values()]
    idle = [core.idle for core in cores.values()]
    columns = [core.first + np.arange(core.n) for core in cores.values() if core.monitored]
    return Chip(
        channels=channels,
        parts={"neurons": first - channels},
        fields=joined,
        absent={"v_start": 0.0},
        rules=np.concatenate([np.full(channels, ""), *rules]),
        synapses=[np.concatenate(column) for column in zip(*synapses)],
        columns=np.concatenate(columns or [np.zeros(0, np.int64)]),
        idle=np.concatenate([np.zeros(channels, bool), *idle]),
    )


def _speck_early(bundle: Bundle, fields: dict[str, Array], channels: int) -> None:
    """Take back what biases bring a membrane in the steps that a population is early."""
    blocks, late_by = bundle.blocks, latencies(bundle)
    for name, population in bundle.network.populations.items():
        if (late := late_by[name]) >= 0:
            continue
        at = blocks[name]["index"].flat().integers(0, len(fields["v_start"]), population.n)
        at = np.minimum(at + channels, len(fields["v_start"]) - 1)
        start = population.fields.get("v_start", np.zeros(population.n))
        moved = np.maximum(start - late * fields["drift"][at], fields["v_least"][at])
        same = moved == fields["v_start"][at]
        fields["v_start"][at[same]] = start[same]


class SpeckCore:
    """One core: kernel (out, in, y, x), bias (out,), and initial values (out, y, x)."""

    def __init__(self, bundle: Bundle, row: Node, number: int) -> None:
        self.row, self.number = row, number
        self.first = 0  # the number of its first neuron
        sizes = row["dimensions"].has("input_shape output_shape kernel_size padding stride")
        self.shape_in = _speck_shape(sizes["input_shape"], 128)
        self.shape = _speck_shape(sizes["output_shape"], 64)
        self.n = int(np.prod(self.shape))
        k = sizes["kernel_size"].integer(1, 16)
        self.padding = _speck_yx(sizes["padding"], 0, 7)
        self.stride = tuple(
            sizes["stride"].has("x y")[axis].one_of(1, 2, 4, 8) for axis in ("y", "x")
        )
        out, into = self.shape[0], self.shape_in[0]
        for axis, n in enumerate(self.shape_in[1:]):
            size = (n + 2 * self.padding[axis] - k) // self.stride[axis] + 1
            if size != self.shape[1 + axis]:
                raise sizes["output_shape"].refused(f"{size} as the input, kernel and stride say")
        self.kernel = row["weights"].integers(-128, 127, out, into, k, k).swapaxes(2, 3)
        self.bias = row["biases"].integers(-32768, 32767, out)
        initial = row["neurons_initial_value"]
        self.initial = initial.integers(-32768, 32767, out, *self.shape[:0:-1]).swapaxes(1, 2)
        row["leak_enable"].one_of(bool(self.bias.any()))
        self.monitored = row["monitor_enable"].one_of(True, False)
        self.reset = "set" if row["return_to_zero"].one_of(True, False) else "subtract"
        row.has(" ".join(SPECK_UNUSED))
        for name, value in SPECK_CORE.items():
            row[name].one_of(value)
        # The readout layer reads channels 0, 4, 8, ...: the others have no neurons of the network.
        self.read_out = any(to["layer"].value == 12 for to in row["destinations"].list())
        idle = np.arange(out) % 4 != 0 if self.read_out else np.zeros(out, bool)
        self.idle = np.repeat(idle, self.n // out)
        if self.bias[idle].any() or self.initial[idle].any():
            raise row["biases"].refused("0 between the classes of the readout layer")

        # Before an event a neuron is below its threshold, and never below threshold_low. A weight
        # above the threshold leaves it higher each time, unless a spike sets it to 0.
        most = max(0, int(self.kernel.max()), int(self.bias.max()))
        high = row["threshold_high"].integer(1, 32767)
        climbs = self.reset == "subtract" and most > high
        if climbs or high - 1 + most > 32767:
            events = (32767 - high) // max(most - high, 1) + 2
            at = np.unravel_index(int(self.kernel.argmax()), self.kernel.shape)
            text = f"{events} events that meet the weight (out, in, y, x) {tuple(map(int, at))}"
            problem = "a membrane saturates at 32767"
            bundle.note("overflow", "config.json", row.path, problem, text)

        def bits(n: int) -> int:  # of an address: memories are padded to powers of two
            return (n - 1).bit_length()

        words = into << (bits(k * k) + bits(out))
        bundle.most("config.json", f"{row.path} kernel words", words, SPECK_KERNEL[number] << 10)
        words = out << (bits(self.shape[1]) + bits(self.shape[2]))
        bundle.most("config.json", f"{row.path} neuron words", words, SPECK_NEURON[number] << 10)

    def fields(self, bundle: Bundle) -> dict[str, Any]:
        """Return the NIR fields of the neurons, each (neurons,) or a number."""
        return {
            "r": 1 / bundle.dt,
            "v_threshold": float(self.row["threshold_high"].integer(1, 32767)),
            "v_least": float(self.row["threshold_low"].integer(-32768, -1)),
            "v_reset": 0.0,
            "drift": np.repeat(self.bias, self.n // len(self.bias)).astype(np.float64),
            "v_start": self.initial.ravel().astype(np.float64),
        }

    def destinations(self, cores: dict[int, SpeckCore]) -> list[tuple[int, tuple[Any, ...]]]:
        """Return core, and source, pooling and shift of each destination that is on."""
        rows = self.row["destinations"].list()
        if len(rows) != 2:
            raise self.row["destinations"].refused("2 destinations")
        found = []
        for row in rows:
            row.has(" ".join(SPECK_NOWHERE))
            if not row["enable"].one_of(True, False):
                row.one_of(SPECK_NOWHERE)
                continue
            layer = row["layer"].one_of(*cores, 12)
            pooling = (row["pooling"].one_of(1, 2, 4),) * 2
            shift = row["feature_shift"].integer(0, 1023)
            if layer == 12:
                row.one_of({**SPECK_NOWHERE, "enable": True, "layer": 12})
            else:
                found.append((layer, (self.first, self.shape, pooling, shift)))
        return found


def _speck_shape(node: Node, most: int) -> tuple[int, int, int]:
    """Return channels, y, x."""
    node.has("size feature_count")
    return (node["feature_count"].integer(1, 1024), *_speck_yx(node["size"], 1, most))


def _speck_yx(node: Node, low: int, high: int) -> tuple[int, int]:
    node.has("x y")
    return node["y"].integer(low, high), node["x"].integer(low, high)


def _speck_inputs(config: Node) -> tuple[int, list[tuple[int, tuple[Any, ...]]]]:
    """Return the channels of the raster, and core, source, pooling and shift of each route."""
    routes = []
    last = 0
    for row in config["nirc"].has("inputs slow_clock_hz readout_core")["inputs"].list():
        row.has("first shape layer pooling feature_shift")
        shape = tuple(row["shape"].integers(1, 1 << 20, 3).tolist())
        first = row["first"].integer(0, 1 << 20)
        pooling = _speck_yx(row["pooling"], 1, 1 << 20)
        shift = row["feature_shift"].integer(0, 1023)
        routes.append((row["layer"].integer(0, 8), (first, shape, pooling, shift)))
        last = max(last, first + int(np.prod(shape, dtype=object)))
    if last > 1 << 20:
        raise config["nirc"].refused("at most 2**20 channels")
    return last, routes


def _speck_arrival(
    cores: dict[int, SpeckCore],
    number: int,
    first: int,
    shape: tuple[int, int, int],
    pooling: tuple[int, int],
    shift: int,
) -> tuple[Array, ...]:
    """Return the synapses into a core from a map whose neurons begin at ``first``."""
    if number not in cores:
        raise Refused("config.json", f"cnn_layers[{number}]", "spikes go to a core without weights")
    core = cores[number]
    into, high, wide = core.shape_in
    c, y, x = (each.ravel() for each in np.indices(shape))
    c, y, x = c + shift, y // pooling[0], x // pooling[1]
    if shape[0] + shift > into or (shape[1] // pooling[0], shape[2] // pooling[1]) != (high, wide):
        raise Refused("config.json", f"cnn_layers[{number}]", "spikes of another map arrive there")
    inside = np.flatnonzero((y < high) & (x < wide))  # the chip drops an odd row and column
    pixel = ((c * high + y) * wide + x)[inside]
    arrive = {"type": "list", "target": pixel, "source": inside, "weight": np.ones(len(inside))}
    kernel = {"type": "Conv2d", "weight": core.kernel, "shape_in": core.shape_in}
    kernel |= {"shape": core.shape, "stride": core.stride, "padding": core.padding}
    ops = [arrive, {**kernel, "dilation": (1, 1)}]
    target, source, weight = Projection("", "", 0, 0, ops).synapses()
    nothing = np.zeros(len(target))
    return source + first, target + core.first, nothing, nothing, weight


def _speck_switches(bundle: Bundle, config: Node, cores: dict[int, SpeckCore]) -> None:
    """Demand that camera, readout layer and slow clock are as the network needs them."""
    ours = config["nirc"]
    config["dvs_filter"].one_of(SPECK_FILTER)
    reading = [i for i, core in cores.items() if core.read_out]
    ours["readout_core"].one_of(reading[0] if len(reading) == 1 else None)
    on = {"enable": bool(reading), "monitor_enable": bool(reading)}
    config["readout"].one_of({**SPECK_READOUT, **on})
    config["factory_config"].one_of({"io_sel": 24 if reading else 0})
    ticks = any(core.bias.any() for core in cores.values())
    dt = bundle.manifest["dt"].value
    hz = round(1 / bundle.dt, 3) if ticks and dt is not None else None
    if hz is not None and not 10 <= hz <= 10_000:
        hz = None
    ours["slow_clock_hz"].one_of(hz)
    camera = config["dvs_layer"]
    if not camera["pass_sensor_events"].value:
        camera.one_of(SPECK_CAMERA)
        return
    rows = ours["inputs"].list()
    pooling = rows[0]["pooling"]["y"].one_of(1, 2, 4)
    channels, *sides = rows[0]["shape"].value
    y, x = (side // pooling for side in sides)
    top, left = (128 // pooling - y) // 2, (128 // pooling - x) // 2
    targets = [
        {**SPECK_NOWHERE, "enable": True, "layer": row["layer"].value}
        | {"feature_shift": row["feature_shift"].value}
        for row in rows
    ]
    window = {"origin": {"x": left, "y": top}, "cut": {"x": left + x - 1, "y": top + y - 1}}
    on = {"pass_sensor_events": True, "merge": channels == 1}
    on |= {"pooling": {"x": pooling, "y": pooling}, **window}  # type: ignore[dict-item]
    camera.one_of(
        {**SPECK_CAMERA, **on, "destinations": targets + [SPECK_NOWHERE] * (2 - len(rows))}
    )
    for row in rows:
        row["pooling"].one_of({"x": pooling, "y": pooling})
        row["shape"].one_of(rows[0]["shape"].value)
        row["first"].one_of(0)


def _speck_archive(bundle: Bundle, cores: dict[int, SpeckCore]) -> None:
    """Compare weights.npz with config.json."""
    want: dict[str, Array] = {}
    for i, core in cores.items():
        want[f"core{i}/weights"] = core.kernel.swapaxes(2, 3).astype(np.int8)
        want[f"core{i}/biases"] = core.bias.astype(np.int16)
        want[f"core{i}/neurons_initial_value"] = core.initial.swapaxes(1, 2).astype(np.int16)
    bundle.same("weights.npz", want)
