"""A strict stand-in for the parts of the vendor's package `samna` that deploy.py uses.

Objects take known attributes only (target sheet, section 3), and values of the vendor's types and
ranges only. A fake board logs what it is told and answers with an event-by-event simulation of the
cores that stands on its own: nothing of nirc is in it but the order in which one event fires
neurons. The flash image is the configuration as JSON, so that tests can read what arrived. Source:
sinabs 3.1.3, `backend/dynapcnn`; the Speck datasheet, section 3.2, for `filter_size.x` and `.y`.
"""

from __future__ import annotations

import atexit
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.xylo.samna_mock import Strict, a, boolean, integer, strict

BOARDS = {"2f": "Speck2fDevKit", "2e": "Speck2eDevKit"}
WORD8, WORD16 = (-128, 127), (-32768, 32767)
Address = tuple[int, int, int, int]  # core, channel, y, x


def tensor(axes: int, low: int, high: int) -> Any:
    def check(name: str, value: object, left: int = axes) -> None:
        if not left:
            integer(low, high)(name, value)
            return
        if not isinstance(value, list):
            raise TypeError(f"{name} has no {axes} axes")
        for x in value:
            check(name, x, left - 1)

    return check


def fixed(count: int, kind: type[Strict]) -> tuple[Any, Any]:
    """An array of objects whose elements can be changed, but not replaced."""

    def check(name: str, value: object) -> None:
        raise TypeError(f"{name} cannot be replaced")

    return check, lambda: tuple(kind() for _ in range(count))


def part(name: str, fields: dict[str, tuple[Any, Any]]) -> tuple[Any, Any]:
    kind = strict(name, fields)
    return a(kind), kind


def pair(check: Any, default: object) -> tuple[Any, Any]:
    return part("Vec2", {"x": (check, default), "y": (check, default)})


def flags(names: str) -> dict[str, tuple[Any, Any]]:
    return dict.fromkeys(names.split(), (boolean, False))


def _speck_configuration() -> type[Strict]:
    byte, count = integer(0, 255), integer(0, 1024)
    shape = {"size": pair(byte, 0), "feature_count": (count, 0)}
    dimensions = {
        "input_shape": part("Shape", shape),
        "output_shape": part("Shape", shape),
        "kernel_size": (integer(0, 16), 0),
        "padding": pair(integer(0, 7), 0),
        "stride": pair(integer(1, 8), 1),
    }
    destination = {
        "enable": (boolean, False),
        "layer": (integer(0, 12), 0),
        "pooling": (integer(1, 4), 1),
        "feature_shift": (integer(0, 1023), 0),
    }
    core: dict[str, tuple[Any, Any]] = {
        "dimensions": part("Dimensions", dimensions),
        "weights": (tensor(4, *WORD8), list),
        "biases": (tensor(1, *WORD16), list),
        "neurons_initial_value": (tensor(3, *WORD16), list),
        "threshold_high": (integer(*WORD16), 1),
        "threshold_low": (integer(*WORD16), -1),
        "output_decimator_interval": (integer(0, 7), 0),
        "destinations": fixed(2, strict("CnnLayerDestination", destination)),
        **flags("return_to_zero leak_enable leak_internal_slow_clk_enable monitor_enable"),
        **flags("output_decimator_enable input_congestion_balancer_enable"),
    }
    dvs: dict[str, tuple[Any, Any]] = {
        **flags("monitor_enable raw_monitor_enable merge mirror_diagonal"),
        **dict.fromkeys(("pass_sensor_events", "on_channel", "off_channel"), (boolean, True)),
        "origin": pair(integer(0, 127), 0),
        "cut": pair(integer(0, 127), 127),
        "pooling": pair(integer(1, 4), 1),
        "mirror": pair(boolean, False),
        "destinations": fixed(2, strict("DvsLayerDestination", destination)),
    }
    camera_filter: dict[str, tuple[Any, Any]] = {
        **flags("enable hot_pixel_filter_enable low_pass_mode_enable internal_slow_clk"),
        "filter_size": pair(integer(0, 15), 1),
        "threshold": (byte, 5),
    }
    readout: dict[str, tuple[Any, Any]] = {
        **flags(
            "enable low_pass_filter_disable low_pass_filter32_not16 readout_pin_monitor_enable "
            "monitor_enable"
        ),
        **flags("override_threshold_max internal_slow_clk"),
        "readout_configuration_sel": (integer(0, 3), 0),
        "threshold": (integer(0, 65535), 0),
        "output_mode_sel": (integer(0, 3), 0),
        "output_neuron_num": (integer(0, 15), 15),
    }
    fields = {
        "cnn_layers": fixed(9, strict("CnnLayerConfig", core)),
        "dvs_layer": part("DvsLayerConfig", dvs),
        "dvs_filter": part("DvsFilterConfig", camera_filter),
        "readout": part("ReadoutConfig", readout),
        "factory_config": part("FactoryConfig", {"io_sel": (integer(0, 255), 0)}),
    }
    return strict("SpeckConfiguration", fields)


def make(variant: str, log: Path | None = None, kind: type[Board] | None = None) -> SimpleNamespace:
    """Return `samna` with one variant and one board, ``samna.board``. Its log goes to a file."""
    number = integer(0, 1 << 31)
    spike = strict("Spike", dict.fromkeys(("layer", "feature", "y", "x", "timestamp"), (number, 0)))
    module = SimpleNamespace(
        configuration=SimpleNamespace(SpeckConfiguration=_speck_configuration()),
        event=SimpleNamespace(
            Spike=spike,
            DvsEvent=strict("DvsEvent", dict.fromkeys(("timestamp", "p", "y", "x"), (number, 0))),
            ReadoutValue=type("ReadoutValue", (), {}),
        ),
        validate_configuration=validate,
        configuration_to_flash_binary=lambda made: list(json.dumps(tree(made)).encode()),
    )
    board = (kind or Board)(module)
    if log is not None:
        atexit.register(lambda: log.write_text(json.dumps(board.log)))
    devices = [SimpleNamespace(device_type_name=n) for n in ("XyloA2TestBoard", BOARDS[variant])]
    return SimpleNamespace(
        **{f"speck{variant}": module},
        device=SimpleNamespace(
            get_all_devices=lambda: devices,
            open_device=lambda d: board if d is devices[1] else None,
        ),
        graph=SimpleNamespace(
            source_to=lambda node: board if node == "sink" else None,
            sink_from=lambda node: board if node == "source" else None,
        ),
        board=board,
    )


def tree(thing: Any) -> Any:
    """A vendor's object as config.json would say it."""
    if isinstance(thing, Strict):
        return {name: tree(getattr(thing, name)) for name in thing._fields}
    return [tree(x) for x in thing] if isinstance(thing, list | tuple) else thing


def validate(made: Any) -> tuple[bool, str]:
    """The one thing that is looked at: weights must fit the dimensions."""
    for i, core in enumerate(made.cnn_layers):
        if core.weights and len(core.weights) != core.dimensions.output_shape.feature_count:
            return False, f"core {i} has weights for other features"
    return True, ""


class Board:
    """Board, model, clocks and nodes in one. ``log``: what happened, in order."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.log: list[list[Any]] = []
        self.answers: list[Any] = []
        self.camera: list[tuple[int, int, int, int]] = []  # events to come
        self.watches = False
        self.late = 0  # microseconds from an event to its answer
        self.get_model = self.get_io_module = self.get_stop_watch = lambda: self
        self.get_model_sink_node, self.get_model_source_node = lambda: "sink", lambda: "source"
        self.time_is_reset = self.time_runs = False

    def apply_configuration(self, made: Any) -> None:
        ok, message = validate(made)
        assert ok, message
        self.chip = Chip(tree(made))
        camera = made.dvs_layer
        self.watches = camera.pass_sensor_events and camera.raw_monitor_enable
        self.log.append(["apply", tree(made)])
        self.time_is_reset = self.time_runs = False

    def set_slow_clk(self, on: bool) -> None:
        boolean("slow clock", on)
        self.log.append(["slow clock", on])

    def set_slow_clk_rate(self, hz: int) -> None:
        integer(10, 10_000)("slow clock", hz)
        self.log.append(["rate", hz])

    def reset(self) -> None:
        self.time_is_reset = True

    def start(self) -> None:
        self.time_runs = True

    def get_events(self) -> list[Any]:
        if self.watches and self.time_runs:
            while self.camera:
                self._see(self.camera.pop(0))
        answers, self.answers = self.answers, []
        return answers

    def _see(self, event: tuple[int, int, int, int]) -> None:
        """An event of the camera, (microseconds, polarity, y, x), goes to the host and the chip.

        As the tests' camera has it: cut at (30, 29), pooled by 2, polarity is the channel.
        """
        time_us, p, y, x = event
        self.answers.append(self.module.event.DvsEvent(timestamp=time_us, p=p, y=y, x=x))
        place = (1, p, (y - 29) // 2 // 2, (x - 30) // 2 // 2)
        for layer, feature, row, column in self.chip.process(place):
            spike = self.module.event.Spike(
                layer=layer, feature=feature, y=row, x=column, timestamp=time_us
            )
            self.answers.append(spike)

    def write(self, events: list[Any]) -> None:
        assert self.time_is_reset and self.time_runs, "timestamps count from the last reset"
        assert all(isinstance(e, self.module.event.Spike) for e in events)
        self.log.append(["write", [[e.timestamp, e.layer, e.feature, e.y, e.x] for e in events]])
        times = [e.timestamp for e in events]
        assert times == sorted(times), "the board sends events in the order in which they come"
        for e in events:
            for layer, feature, y, x in self.chip.process((e.layer, e.feature, e.y, e.x)):
                spike = self.module.event.Spike(
                    layer=layer, feature=feature, y=y, x=x, timestamp=e.timestamp + self.late
                )
                self.answers += [self.module.event.ReadoutValue(), spike]


class Chip:
    """The neuron rule of the sheet, section 2, for one event after the other. Without biases."""

    def __init__(self, config: Any) -> None:
        self.cores = config["cnn_layers"]
        self.v = [json.loads(json.dumps(core["neurons_initial_value"])) for core in self.cores]

    def process(self, event: Address) -> list[Address]:
        """Spikes of monitored cores."""
        seen, waiting = [], [event]
        while waiting:
            for spike in self._update(waiting.pop(0)):
                core = self.cores[spike[0]]
                if core["monitor_enable"]:
                    seen.append(spike)
                for d in core["destinations"]:
                    if d["enable"] and d["layer"] < 9:
                        p = d["pooling"]
                        waiting.append(
                            (
                                d["layer"],
                                spike[1] + d["feature_shift"],
                                spike[2] // p,
                                spike[3] // p,
                            )
                        )
        return seen

    def _update(self, event: Address) -> list[Address]:
        number, channel, y, x = event
        core, v = self.cores[number], self.v[number]
        assert core["weights"], f"an event for core {number}, which is not in use"
        d, spikes = core["dimensions"], []
        size = d["output_shape"]["size"]
        for oy in range(size["y"]):
            for ox in range(size["x"]):
                ky = y + d["padding"]["y"] - oy * d["stride"]["y"]
                kx = x + d["padding"]["x"] - ox * d["stride"]["x"]
                if not (0 <= ky < d["kernel_size"] and 0 <= kx < d["kernel_size"]):
                    continue
                for f, kernels in enumerate(core["weights"]):
                    v[f][ox][oy] = max(
                        v[f][ox][oy] + kernels[channel][kx][ky], core["threshold_low"]
                    )
                    if v[f][ox][oy] >= core["threshold_high"]:
                        v[f][ox][oy] = (
                            0 if core["return_to_zero"] else v[f][ox][oy] - core["threshold_high"]
                        )
                        spikes.append((number, f, oy, ox))
        return spikes
