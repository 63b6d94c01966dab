"""A strict stand-in for the parts of the vendor's package `samna` that deploy.py uses.

Objects take known attributes only, and values of the vendor's types only (plain int and bool, lists
of lists). What differs between the chips differs here: Audio 2 counts in `timestamp`, is reached
through `get_xylo_model` and tells its outputs through a NeuronStateSinkNode; the others count in
`timestep`. A fake board runs nirc's emulator on what was uploaded; its time goes on from run to
run, and its neurons keep their states until the configuration clears them. Source: rockpool 3.1.0,
`devices/xylo/*/xylo_samna.py` and `*_devkit_utils.py`; samna's reference.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from nirc.backends.xylo.config import read_config
from nirc.backends.xylo.emulate import emulate

INT8, INT16 = (-128, 127), (-32768, 32767)
MODULES = {
    "audio2": ("xyloCore2", "reservoir", "ReservoirNeuron", "XyloA2TestBoard"),
    "audio3": ("xyloAudio3", "hidden", "HiddenNeuron", "XyloAudio3TestBoard"),
    "imu": ("xyloImu", "hidden", "HiddenNeuron", "XyloImuTestBoard"),
}


class OperationMode(enum.Enum):
    """How a chip's time runs."""

    Manual = 0
    AcceleratedTime = 1
    RealTime = 2


class InputSource(enum.Enum):
    """Where Audio 3's spikes come from."""

    SpikeEvents = 0
    DigitalMicrophone = 1


@dataclass(frozen=True)
class NeuronRange:
    """Neurons first..end-1, to be recorded."""

    first: int
    end: int


LIVE = {"imu_if_clk_enable", "imu_if_clock_freq_div"}  # fields of real-time mode
FILTER_BANK = ("dn_enable", "use_global_iaf_threshold")
PDM = ("clock_direction", "clock_edge")
CHANNELS: dict[str, Any] = {
    "audio2": enum.IntEnum("Channels", {"Io": 0, "Logic": 3, "IoAfe": 2, "LogicAfe": 1}),
    "audio3": enum.IntEnum("Channels", {"Io": 0, "AnalogLogic": 1, "DigitalLogic": 2}),
    "imu": enum.IntEnum("Channels", {"Io": 0, "Core": 1}),
}


class Strict:
    """Accepts exactly the attributes of ``_fields``: name -> (check, default)."""

    _fields: ClassVar[dict[str, tuple[Any, Any]]] = {}

    def __init__(self, **values: object) -> None:
        for name, (_, default) in self._fields.items():
            object.__setattr__(self, name, default() if callable(default) else default)
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._fields:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        self._fields[name][0](name, value)
        object.__setattr__(self, name, value)


def strict(name: str, fields: dict[str, tuple[Any, Any]]) -> type[Strict]:
    return type(name, (Strict,), {"_fields": fields})


def integer(low: int, high: int) -> Any:
    def check(name: str, value: object) -> None:
        if type(value) is not int or not low <= value <= high:
            raise TypeError(f"{name}: {value!r} is no int in {low}..{high}")

    return check


def boolean(name: str, value: object) -> None:
    if type(value) is not bool:
        raise TypeError(f"{name}: {value!r} is no bool")


def matrix(name: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise TypeError(f"{name} is no list of lists")
    for row in value:
        for x in row:
            integer(*INT8)(name, x)


def a(kind: Any) -> Any:
    def check(name: str, value: object) -> None:
        if not isinstance(value, kind):
            raise TypeError(f"{name}: {value!r} is no {kind}")

    return check


def tree_of(thing: Any) -> Any:
    """The attributes of a strict object."""
    return {name: getattr(thing, name) for name in thing._fields}


def list_of(kind: type) -> Any:
    def check(name: str, value: object) -> None:
        if not isinstance(value, list) or not all(isinstance(x, kind) for x in value):
            raise TypeError(f"{name} is no list of {kind.__name__}")

    return check


def make(variant: str) -> SimpleNamespace:
    """The package `samna` with the module of one variant and one board of it, ``samna.board``."""
    module_name, block, _, board_name = MODULES[variant]
    module = SimpleNamespace(
        configuration=_configuration(variant),
        event=_events(variant),
        OperationMode=OperationMode,
        validate_configuration=lambda config: validate(config, block),
    )
    if variant == "audio3":
        module.InputSource = InputSource
        clocks = ("main_clock_frequency", "pdm_clock_frequency")
        module.XyloAudio3TestBoardDefaultConfig = strict(
            "DefaultConfig", dict.fromkeys(clocks, (integer(1, 1 << 30), 1))
        )
    board = Board(module, variant)
    if variant == "audio2":
        module.NeuronStateSinkNode = lambda: StateSink(board)
    facts = {"serial_number": "A17", "logic_version": 3}
    devices = [
        SimpleNamespace(device_type_name="Speck2fDevKit", serial_number="", logic_version=0),
        SimpleNamespace(device_type_name=board_name, **facts),
    ]
    wires: dict[str, Any] = {}
    if variant == "audio2":
        wires["BasicSinkNode_xylo_core2_event_output_event"] = lambda: Wire(board)
        wires["BasicSourceNode_xylo_core2_event_input_event"] = lambda: Wire(board)
        graph = SimpleNamespace(EventFilterGraph=Graph)
    else:
        graph = SimpleNamespace(
            sink_from=board.sink_from, source_to=board.source_to, EventFilterGraph=Graph
        )
    wires["BasicSinkNode_unifirm_modules_events_measurement"] = lambda: PowerSink(board)
    channels = SimpleNamespace(MeasurementChannels=CHANNELS[variant])
    if variant == "audio3":
        module.MeasurementChannels = CHANNELS[variant]
    else:
        wires["xyloA2TestBoard" if variant == "audio2" else "xyloImuBoards"] = channels
    return SimpleNamespace(
        **{module_name: module},
        **wires,
        device=SimpleNamespace(
            get_all_devices=lambda: devices,
            open_device=lambda info: board if info is devices[1] else None,
        ),
        graph=graph,
        board=board,
    )


def _configuration(variant: str) -> SimpleNamespace:
    _, block, neuron_name, _ = MODULES[variant]
    two = variant != "imu"
    cell = {"i_syn_decay": (integer(0, 15), 1), "v_mem_decay": (integer(0, 15), 1)}
    cell |= {"threshold": (integer(*INT16), 0), "v_mem_bias": (integer(*INT16), 0)}
    second = {"i_syn2_decay": (integer(0, 15), 1)} if two else {}
    hidden = strict(neuron_name, cell | second | {"alias_target": (integer(0, 999), None)})
    output = strict("OutputNeuron", cell)
    weights = {"weight_bit_shift": (integer(0, 7), 0), "weights": (matrix, list)}
    both = weights | ({"syn2_weights": (matrix, list)} if two else {})
    inputs, readout = (
        strict("Input", both),
        strict("Readout", weights | {"neurons": (list_of(output), list)}),
    )
    inner = strict(
        "Block", both | {"aliasing": (boolean, False), "neurons": (list_of(hidden), list)}
    )
    flags: dict[str, tuple[Any, Any]] = dict.fromkeys(_debug_flags(variant), (boolean, False))
    monitor = a(list) if variant == "audio3" else a(NeuronRange | None)
    states = dict.fromkeys(("monitor_neuron_spike", "monitor_neuron_v_mem"), (monitor, None))
    ram: dict[str, tuple[Any, Any]] = {}
    if variant == "audio3":
        ram = {"ram_access_enable": (boolean, False), "sdm_clock_ratio": (integer(0, 255), 0)}
        ram["always_update_omp_stat"] = (boolean, False)
    elif variant == "imu":
        ram = {
            "imu_if_clk_enable": (boolean, False),
            "imu_if_clock_freq_div": (integer(0, 4095), 0),
        }
    debug = strict("Debug", flags | states | ram)
    fields: dict[str, tuple[Any, Any]] = {
        "input": (a(inputs), inputs),
        block: (a(inner), inner),
        "readout": (a(readout), readout),
        "debug": (a(debug), debug),
        "bias_enable": (boolean, False),
        "operation_mode": (a(OperationMode), OperationMode.Manual),
    }
    if two:
        fields["synapse2_enable"] = (boolean, False)
    if variant == "audio2":
        fields["clear_network_state"] = (boolean, False)
    elif variant == "audio3":
        fields["input_source"] = (a(InputSource), InputSource.DigitalMicrophone)
        bank = strict("FilterBank", dict.fromkeys(FILTER_BANK, (boolean, False)))
        pdm = strict("Pdm", dict.fromkeys(PDM, (integer(0, 1), 0)))
        parts = {"filter_bank": (a(bank), bank), "pdm_preprocessing": (a(pdm), pdm)}
        front = strict("DigitalFrontend", parts)
        fields["digital_frontend"] = (a(front), front)
    else:
        fields["imu_if_input_enable"] = (boolean, True)
        interface = strict("InputInterface", {"configuration_timeout": (integer(0, 1 << 20), 0)})
        fields["input_interface"] = (a(interface), interface)
    if variant != "audio2":
        fields["time_resolution_wrap"] = (integer(0, 1 << 30), 0)
    return SimpleNamespace(
        XyloConfiguration=strict("XyloConfiguration", fields),
        OutputNeuron=output,
        NeuronRange=NeuronRange,
        **{neuron_name: hidden},
    )


def _debug_flags(variant: str) -> list[str]:
    clocks = {
        "audio2": ("isyn", "isyn2", "ra", "bias", "hm"),
        "audio3": (),
        "imu": ("isyn", "ra", "bias", "hm"),
    }
    return [f"{c}_clock_enable" for c in clocks[variant]] + [
        "ram_power_enable",
        "always_update_omp_stat",
    ]


def _events(variant: str) -> SimpleNamespace:
    step = "timestamp" if variant == "audio2" else "timestep"
    count = integer(0, 1 << 31)
    target: dict[str, tuple[Any, Any]] = (
        {} if variant == "audio2" else {"target_timestep": (count, None)}
    )
    return SimpleNamespace(
        Spike=strict("Spike", {"neuron_id": (count, 0), step: (count, 0)}),
        TriggerProcessing=strict("TriggerProcessing", target),
        TriggerReadout=strict("TriggerReadout", {}),
        WriteRegisterValue=strict(
            "WriteRegisterValue", {"address": (count, 0), "data": (count, 0)}
        ),
        ReadRegisterValue=strict("ReadRegisterValue", {"address": (count, 0)}),
        RegisterValue=type(
            "RegisterValue", (), {}
        ),  # another event, which may come between Readouts
        Readout=type("Readout", (), {}),
    )


def validate(config: Any, block: str) -> tuple[bool, str]:
    """Shapes must agree with the lists of neurons; thresholds must be positive."""
    inner = getattr(config, block)
    n, outputs = len(inner.neurons), len(config.readout.neurons)
    first = last = n if block == "reservoir" else min(n, 128)
    shapes = [
        ("input", config.input, None, first),
        (block, inner, n, n),
        ("readout", config.readout, last, outputs),
    ]
    for name, part, rows, columns in shapes:
        for key in ("weights", "syn2_weights"):
            found = getattr(part, key, [])
            if key == "syn2_weights" and not found:
                continue
            if (rows is not None and len(found) != rows) or any(
                len(row) != columns for row in found
            ):
                return False, f"{name}.{key} does not match the neurons"
    if any(x.threshold < 1 for x in (*inner.neurons, *config.readout.neurons)):
        return False, "a threshold is not positive"
    return True, ""


class PowerSink:
    """Takes the measurements of a board, once a graph connects them: two of each channel."""

    def __init__(self, board: Board) -> None:
        self.board, self.connected = board, False

    def get_events(self) -> list[Any]:
        if not (self.connected and self.board.measures):
            return []
        numbers = [int(channel) for channel in CHANNELS[self.board.variant]] * 2
        return [
            SimpleNamespace(channel=n, value=(1 + n + 2 * (i < len(numbers) // 2)) * 1e-4)
            for i, n in enumerate(numbers)
        ]


class Graph:
    """An EventFilterGraph: passes nothing on before it is started."""

    def __init__(self) -> None:
        self.ours: list[Any] = []

    def sequential(self, nodes: list[Any]) -> list[Any]:
        assert nodes[0] == "source" or nodes[-1] == "sink"
        self.ours += [node for node in nodes if not isinstance(node, str)]
        return nodes

    def start(self) -> None:
        for node in self.ours:
            node.connected = True


class Wire:
    """Audio 2's buffers: to or from the board, once a graph connects them."""

    def __init__(self, board: Board) -> None:
        self.board, self.connected = board, False

    def get_events(self) -> list[Any]:
        return self.board.get_events() if self.connected else []

    def write(self, events: list[Any]) -> None:
        assert self.connected
        self.board.write(events)


class StateSink:
    """Audio 2's NeuronStateSinkNode: what the outputs did since ``reset``, a list for each
    output.
    """

    def __init__(self, board: Board) -> None:
        self.board, self.connected = board, False
        self.config: Any = None
        board.state_sinks.append(self)

    def set_configuration(self, config: Any) -> None:
        self.config = config

    def reset(self) -> None:
        self.rows: list[dict[str, list[int]]] = []

    def add(self, row: dict[str, list[int]]) -> None:
        if self.connected and self.config is self.board.config:
            self.rows.append(row)

    def _columns(self, name: str) -> list[list[int]]:
        return [list(column) for column in zip(*(row[name] for row in self.rows), strict=True)]

    def get_output_spike(self) -> list[list[int]]:
        return self._columns("out")

    def get_reservoir_spike(self) -> list[list[int]]:
        return self._columns("spikes")

    def get_reservoir_v_mem(self) -> list[list[int]]:
        return self._columns("v")


class Board:
    """Takes a configuration and input events; answers as the chip of ``variant`` would, computed by
    the emulator.
    """

    def __init__(self, module: Any, variant: str) -> None:
        self.module, self.variant, self.block = module, variant, MODULES[variant][1]
        self.config: Any = None
        self.uploads: list[Any] = []
        self.written: list[Any] = []
        self.answers: list[Any] = []
        self.state_sinks: list[StateSink] = []
        self.initialised = variant != "audio2"
        self.microphone, self.sensor_port, self.silent = (
            variant == "audio2",
            variant != "imu",
            False,
        )
        self.ram = False  # of the states may be read
        self.measures = False
        self.get_power_monitor = lambda: SimpleNamespace(
            get_source_node=lambda: "source", start_auto_power_measurement=self._measure
        )
        self.control = 0x00400000  # Audio 2's register CTRL1
        self.step = 0  # the first step that has not been processed
        self.past: list[list[int]] = []  # input counts of all steps since the states were cleared
        if variant == "audio2":
            self.get_xylo_model = lambda: self
            self.get_afe_model = lambda: SimpleNamespace(set_saer_interface_enable=self._microphone)
            self.get_source_node, self.get_sink_node = lambda: "source", lambda: "sink"
        else:
            self.get_model = lambda: self
            self.get_model_source_node, self.get_model_sink_node = lambda: "source", lambda: "sink"
        if variant == "audio3":
            self.get_source_node, self.get_sink_node = lambda: "source", lambda: "sink"
        self.clocks: dict[str, int] = {}
        if variant == "audio3":
            self.reset_board_soft = lambda clocks: self.clocks.update(tree_of(clocks))
        if variant == "imu":
            self.get_io_module = lambda: SimpleNamespace(
                **{f"set_{n}_clk_rate": self._rate(n) for n in ("main", "saer", "spi")}
            )
            self.enable_manual_input_acceleration = self._sensor_port
            self.close_ram_access = lambda: setattr(self, "ram", False)
            self.open_ram_access = lambda: setattr(self, "ram", True)

    def sink_from(self, node: object) -> Board:
        assert node == "source"
        return self

    def source_to(self, node: object) -> Board:
        assert node == "sink"
        return self

    def apply_configuration(self, config: Any) -> None:
        assert self.initialised, "Audio 2 wants one step before anything else"
        assert config.operation_mode is not OperationMode.Manual
        ok, message = validate(config, self.block)
        assert ok, message
        self.config = config
        self.uploads.append(config)
        if getattr(config, "clear_network_state", False):
            self.past = []

    def get_events(self) -> list[Any]:
        mode = getattr(self.config, "operation_mode", None)
        if mode is OperationMode.RealTime and self.written:
            self._answer(self.step, {"out": [self.step % 2, 1]}, [7, 8])
            self.step += 1
        answers, self.answers = self.answers, []
        return answers

    def _rate(self, name: str) -> Any:
        return lambda hz: self.clocks.update({name: hz})

    def write(self, events: list[Any]) -> None:
        event = self.module.event
        self.written += events
        if [type(e) for e in events] == [event.TriggerReadout]:
            self._answer(self.step if self.variant == "audio2" else self.step - 1, {}, [])
        elif [type(e) for e in events] == [event.TriggerProcessing] and self.variant == "audio2":
            self.initialised, self.step = True, self.step + 1
        elif self.config is not None and self.config.operation_mode is OperationMode.RealTime:
            assert [type(e) for e in events] == [event.TriggerProcessing]
        elif self.variant == "audio2" and self._registers(events):
            self.ram = self.control >> 16 & 3 == 3
        else:
            self._process(events)

    def _measure(self, hz: float) -> None:
        assert type(hz) is float and 0 < hz <= 100
        self.measures = True

    def _registers(self, events: list[Any]) -> bool:
        """Return True for events that read or write CTRL1 only."""
        kinds = (self.module.event.ReadRegisterValue, self.module.event.WriteRegisterValue)
        if not all(isinstance(e, kinds) and e.address == 1 for e in events):
            return False
        for e in events:
            if isinstance(e, kinds[0]):
                answer = self.module.event.RegisterValue()
                answer.address, answer.data = 1, self.control
                self.answers.append(answer)
            else:
                assert (e.data ^ self.control).bit_count() <= 1, "one bit at a time"
                assert (e.data | 3 << 16) == (self.control | 3 << 16), "no other bit"
                self.control = e.data
        return True

    def _watched(self, name: str, values: list[int]) -> list[int]:
        """Return the states that the configuration lets samna read."""
        wanted = getattr(self.config.debug, f"monitor_neuron_{name}")
        if not wanted:
            return []
        assert self.ram or (self.variant == "audio3" and self.config.debug.ram_access_enable)
        first, end = (0, len(wanted)) if isinstance(wanted, list) else (wanted.first, wanted.end)
        assert end <= len(values)
        return values[first:end]

    def _process(self, events: list[Any]) -> None:
        """Every step up to the end that ``events`` give, unless something that must be off is still
        on.
        """
        assert not self.microphone and self.sensor_port
        assert not getattr(self.config, "imu_if_input_enable", False)
        assert (
            getattr(self.config, "input_source", InputSource.SpikeEvents) is InputSource.SpikeEvents
        )
        if self.silent:
            return
        spikes, end = self._audio2(events) if self.variant == "audio2" else self._others(events)
        counts = np.zeros((end - self.step, len(self.config.input.weights)), dtype=np.int64)
        late = self.step
        for channel, step in spikes:
            assert step >= late, "input spikes must come in the order of time"
            counts[step - self.step, channel] += 1
            late = step
        self.past += counts.tolist()
        run = emulate(read_config(self.as_json()), np.array([self.past]), record=True)
        for i in range(len(self.past) - len(counts), len(self.past)):
            spikes_out = [int(x) for x in run.outputs[0, i]]
            hidden, v, v_out = (
                [int(x) for x in states[0, i]]
                for states in (run.spikes["hidden"], run.v["hidden"], run.v["readout"])
            )
            after = v_out if self.variant != "audio3" else []
            row = {
                "out": spikes_out,
                "spikes": self._watched("spike", hidden),
                "v": self._watched("v_mem", v + after),
            }
            for sink in self.state_sinks:
                sink.add(row)
            self._answer(self.step, row, v_out)
            self.step += 1

    def _audio2(self, events: list[Any]) -> tuple[list[tuple[int, int]], int]:
        """A spike after the end makes the last step run; the registers that it went to are wiped
        out.
        """
        *spikes, last = [e for e in events if isinstance(e, self.module.event.Spike)]
        wiped = [e.address for e in events[len(spikes) + 1 :] if e.data == 0]
        assert wiped == [0x11, 0x12, 0x13, 0x14], (
            "the spike after the end would reach the next sample"
        )
        return [(e.neuron_id, e.timestamp) for e in spikes], last.timestamp

    def _others(self, events: list[Any]) -> tuple[list[tuple[int, int]], int]:
        *spikes, trigger = events
        assert isinstance(trigger, self.module.event.TriggerProcessing)
        return [(e.neuron_id, e.timestep) for e in spikes], trigger.target_timestep

    def _answer(self, step: int, row: dict[str, list[int]], v: list[int]) -> None:
        answer = self.module.event.Readout()
        if self.variant == "audio2":
            answer.timestamp = step
        else:
            answer.timestep, answer.output_v_mems = step, v
            answer.output_spikes = row.get("out", [])
            answer.hidden_spikes, answer.neuron_v_mems = row.get("spikes", []), row.get("v", [])
        self.answers += [self.module.event.RegisterValue(), answer]

    def _microphone(self, on: bool) -> None:
        self.microphone = on

    def _sensor_port(self, on: bool) -> None:
        self.sensor_port = on

    def as_json(self) -> bytes:
        """The uploaded object as config.json would say it."""

        def tree(thing: Any) -> Any:
            if isinstance(thing, Strict):
                return {name: tree(getattr(thing, name)) for name in thing._fields}
            return [tree(x) for x in thing] if isinstance(thing, list) else thing

        config = tree(self.config) | {"format": "nirc-xylo-config/1", "variant": self.variant}
        config["operation_mode"] = "AcceleratedTime"
        for name in ("clear_network_state", "digital_frontend", "input_interface"):
            config.pop(name, None)
        if not config.get("time_resolution_wrap"):
            config.pop("time_resolution_wrap", None)
        unwritten = (
            {"monitor_neuron_spike", "monitor_neuron_v_mem"}
            | LIVE
            | ({"always_update_omp_stat"} if self.variant == "audio2" else set())
        )
        config["debug"] = {
            name: flag for name, flag in config["debug"].items() if name not in unwritten
        }
        if self.variant == "audio3":
            config |= {"debug": {}, "input_source": "SpikeEvents"}
        if (
            self.variant != "imu" and not config["synapse2_enable"]
        ):  # the chip then leaves these memories alone
            n_in, n = len(config["input"]["weights"]), len(config[self.block]["neurons"])
            columns = len(config["input"]["weights"][0])
            config["input"]["syn2_weights"] = [[0] * columns] * n_in
            config[self.block]["syn2_weights"] = [[0] * n] * n
        return json.dumps(config).encode()
