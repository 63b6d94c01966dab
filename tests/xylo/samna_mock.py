"""A strict stand-in for the parts of the vendor's package `samna` that deploy.py uses.

Objects take known attributes only, and values of the vendor's types only (plain int and bool, lists of lists). A fake
board runs nirc's emulator on what was uploaded and answers with the events that a board would send.
"""

from __future__ import annotations

import json
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


class Strict:
    """Accepts exactly the attributes of ``_fields``: name -> (check, default)."""

    _fields: ClassVar[dict[str, tuple[Any, Any]]] = {}

    def __init__(self) -> None:
        for name, (_, default) in self._fields.items():
            object.__setattr__(self, name, default() if callable(default) else default)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._fields:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        self._fields[name][0](name, value)
        object.__setattr__(self, name, value)


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


def anything(name: str, value: object) -> None:
    """A field whose type is not modelled."""


def of(kind: type) -> Any:
    def check(name: str, value: object) -> None:
        if not isinstance(value, list) or not all(isinstance(x, kind) for x in value):
            raise TypeError(f"{name} is no list of {kind.__name__}")

    return check


def make(variant: str) -> SimpleNamespace:
    """The package `samna` with the module of one variant and one board of it."""
    module_name, block, neuron_name, board_name = MODULES[variant]
    two = variant != "imu"
    numbers = {"i_syn_decay": (integer(0, 15), 1), "v_mem_decay": (integer(0, 15), 1)}
    numbers |= {"threshold": (integer(*INT16), 0), "v_mem_bias": (integer(*INT16), 0)}
    second = {"i_syn2_decay": (integer(0, 15), 1)} if two else {}
    hidden = type(neuron_name, (Strict,), {"_fields": numbers | second | {"alias_target": (integer(0, 999), None)}})
    output = type("OutputNeuron", (Strict,), {"_fields": dict(numbers)})
    shift = {"weight_bit_shift": (integer(0, 7), 0), "weights": (matrix, list)}
    syn2 = {"syn2_weights": (matrix, list)} if two else {}
    inputs = type("Input", (Strict,), {"_fields": shift | syn2})
    inner_fields = shift | syn2 | {"aliasing": (boolean, False), "neurons": (of(hidden), list)}
    inner = type("Block", (Strict,), {"_fields": inner_fields})
    readout = type("Readout", (Strict,), {"_fields": shift | {"neurons": (of(output), list)}})
    clocks = ("isyn", "isyn2", "ra", "bias", "hm")
    debug_fields = {f"{c}_clock_enable": (boolean, False) for c in clocks} | {"ram_power_enable": (boolean, False)}
    debug_fields["monitor_neuron_spike"] = (anything, None)
    debug = type("Debug", (Strict,), {"_fields": debug_fields})
    fields: dict[str, tuple[Any, Any]] = {
        "input": (anything, inputs),
        block: (anything, inner),
        "readout": (anything, readout),
        "debug": (anything, debug),
        "bias_enable": (boolean, False),
        "operation_mode": (anything, None),
    }
    if variant == "audio2":
        fields["synapse2_enable"] = (boolean, False)
    if variant == "audio3":
        fields["input_source"] = (anything, None)
    configuration = type("XyloConfiguration", (Strict,), {"_fields": fields})
    event = SimpleNamespace(
        **{
            name: type(name, (Strict,), {"_fields": {f: (integer(0, 1 << 31), 0) for f in own}})
            for name, own in {"Spike": ("neuron_id", "timestep"), "TriggerProcessing": ("target_timestep",)}.items()
        }
    )
    event.Readout = type("Readout", (), {})
    module = SimpleNamespace(
        configuration=SimpleNamespace(
            XyloConfiguration=configuration,
            OutputNeuron=output,
            NeuronRange=lambda a, b: (a, b),
            **{neuron_name: hidden},
        ),
        event=event,
        OperationMode=SimpleNamespace(AcceleratedTime="AcceleratedTime"),
        InputSource=SimpleNamespace(SpikeEvents="SpikeEvents"),
        validate_configuration=lambda config: validate(config, block),
    )
    board = Board(module, variant, block)
    return SimpleNamespace(
        **{module_name: module},
        device=SimpleNamespace(
            get_all_devices=lambda: [SimpleNamespace(device_type_name=board_name)], open_device=lambda info: board
        ),
        graph=SimpleNamespace(sink_from=lambda node: board, source_to=lambda node: board),
        board=board,
    )


def validate(config: Any, block: str) -> tuple[bool, str]:
    """Shapes must agree with the lists of neurons; thresholds must be positive."""
    inner = getattr(config, block)
    n, outputs = len(inner.neurons), len(config.readout.neurons)
    if np.shape(inner.weights) != (n, n):
        return False, f"{block}.weights do not match {n} neurons"
    if any(len(row) > n for row in config.input.weights) or any(len(r) != outputs for r in config.readout.weights):
        return False, "input or readout weights do not match the neurons"
    if any(x.threshold < 1 for x in (*inner.neurons, *config.readout.neurons)):
        return False, "a threshold is not positive"
    return True, ""


class Board:
    """Takes a configuration and input events; answers a Readout for each step, as nirc's emulator computes it."""

    def __init__(self, module: Any, variant: str, block: str) -> None:
        self.module, self.variant, self.block = module, variant, block
        self.config: Any = None
        self.written: list[Any] = []
        self.answers: list[Any] = []

    def get_model(self) -> Board:
        return self

    def get_source_node(self) -> None: ...

    def get_sink_node(self) -> None: ...

    def apply_configuration(self, config: Any) -> None:
        self.config = config

    def get_events(self) -> list[Any]:
        answers, self.answers = self.answers, []
        return answers

    def write(self, events: list[Any]) -> None:
        self.written = events
        *spikes, trigger = events
        assert isinstance(trigger, self.module.event.TriggerProcessing)
        raster = np.zeros((1, trigger.target_timestep, len(self.config.input.weights)), dtype=np.int64)
        for spike in spikes:
            raster[0, spike.timestep, spike.neuron_id] += 1
        for step, row in enumerate(emulate(read_config(self.as_json()), raster).output[0]):
            answer = self.module.event.Readout()
            answer.timestep, answer.output_spikes = step, [int(x) for x in row]
            self.answers.append(answer)

    def as_json(self) -> bytes:
        """The uploaded object as config.json would say it."""

        def tree(thing: Any) -> Any:
            if isinstance(thing, Strict):
                return {name: tree(getattr(thing, name)) for name in thing._fields}
            return [tree(x) for x in thing] if isinstance(thing, list) else thing

        config = tree(self.config) | {"format": "nirc-xylo-config/1", "variant": self.variant}
        config["debug"] = {}
        if self.variant == "audio3":  # samna has no such switch there; the emulator's file does
            config["synapse2_enable"] = True
        return json.dumps(config).encode()
