"""config.json, the chip's file: its fields, and its reader, which trusts nothing in the file.

The emulator sees nothing but this file. The field tree is that of samna's configuration objects
(targets sheet, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirc.backends.xylo.checks import check_config
from nirc.backends.xylo.findings import ValueOutsideRange
from nirc.backends.xylo.limits import (
    BIAS,
    DASH,
    FIRST,
    LAST,
    OVERVIEW,
    SIM,
    THRESHOLD,
    VARIANTS,
    WEIGHT_SHIFT,
    WEIGHT_WORD,
)
from nirc.chip.target import Target
from nirc.files.chipfiles import read
from nirc.files.description import File, Tree
from nirc.files.kinds import Const, Flag, Integer, Integers, Kind, Many, Maybe, Object, Size

IntArray = NDArray[np.int64]

FORMAT = "nirc-xylo-config/1"
MAX_BYTES = 32 << 20  # the largest network (1000 x 1000 x 2 weights) takes 12 MB in one line
# Clock cycles of a step (?: the chip's field is narrower, in no public source).
MAX_WRAP = (1 << 48) - 1

# Clocks and memory power, which the vendor leaves to the user.
# Source: rockpool, syns61201/xylo_samna.py and syns63300/xylo_imu_devkit_utils.py.
_CLOCKS = (
    "isyn_clock_enable",
    "ra_clock_enable",
    "bias_clock_enable",
    "hm_clock_enable",
    "ram_power_enable",
)
DEBUG = {
    "audio2": (*_CLOCKS, "isyn2_clock_enable"),
    "audio3": (),
    "imu": (*_CLOCKS, "always_update_omp_stat"),
}


@dataclass(frozen=True)
class Specification:
    """A placed network, under the argument names of the vendor's ``config_from_specification``.

    Neurons are in the chip's order. All arrays are int64, with values in the chip's ranges.

    ``weights_in`` (Nin, Nhid, 2), ``weights_rec`` (Nhid, Nhid, 2), ``weights_out`` (Nhid, Nout):
    [source, target] and, last, the synapse. ``aliases`` (Nhid,): target of each hidden neuron, -1
    for none. Sources: rockpool, ``devices/xylo/*/xylo_samna.py``, and targets sheet, section 3.
    """

    weights_in: IntArray
    weights_rec: IntArray
    weights_out: IntArray
    dash_mem: IntArray
    dash_mem_out: IntArray
    dash_syn: IntArray
    dash_syn_2: IntArray
    dash_syn_out: IntArray
    threshold: IntArray
    threshold_out: IntArray
    bias_hidden: IntArray
    bias_out: IntArray
    weight_shift_in: int
    weight_shift_rec: int
    weight_shift_out: int
    aliases: IntArray

    @property
    def uses_synapse_2(self) -> bool:
        """True if a weight goes to the second synapse."""
        return bool(self.weights_in[..., 1].any() or self.weights_rec[..., 1].any())

    @property
    def uses_bias(self) -> bool:
        """True if a neuron has a bias."""
        return bool(self.bias_hidden.any() or self.bias_out.any())


def block_of(target: Target) -> str:
    """Return the vendor's name for the hidden neurons."""
    return "reservoir" if target.variant == "audio2" else "hidden"


def two_synapses(target: Target) -> bool:
    """Return True if a neuron of this variant has a second synapse."""
    return target.max("synaptic states per neuron") == 2


def config_file(target: Target) -> File:
    """Describe config.json of one variant."""
    block = block_of(target)
    fields: dict[str, Kind] = {
        "format": Const(FORMAT),
        "variant": Const(target.variant, doc="the variant of the chip"),
        "input": Object(_synapses(target, "input channels", FIRST)),
        block: Object(
            {
                **_synapses(target, "hidden neurons", "hidden neurons"),
                "aliasing": Flag(doc="a neuron has an alias"),
                "neurons": Many(_hidden_neuron(target), _size(target, "hidden neurons")),
            }
        ),
        "readout": Object(
            {
                "weights": _weights(target, LAST, "output neurons"),
                "weight_bit_shift": _shift(),
                "neurons": Many(Object(_neuron()), _size(target, "output neurons")),
            }
        ),
        "bias_enable": Flag(doc="a bias is not 0"),
        "operation_mode": Const("AcceleratedTime"),
        "debug": Object(
            {name: Flag() for name in DEBUG[target.variant]}, doc="clocks and memory power"
        ),
    }
    if two_synapses(target):
        fields["synapse2_enable"] = Flag(doc="a weight of the second synapse is not 0")
    if target.variant == "audio3":
        fields["input_source"] = Const("SpikeEvents", doc="spikes come from the host")
    if target.variant == "imu":
        fields["imu_if_input_enable"] = Const(
            False, doc="spikes come from the host, not from the sensor"
        )
    if target.variant != "audio2":
        doc = (
            "clock cycles of a step in real time. Missing if the model has no dt. deploy.py "
            "does not set it"
        )
        fields["time_resolution_wrap"] = Integer(0, MAX_WRAP, doc=doc)
    numbers = {
        "block": block,
        "first": target.max(FIRST),
        "last": target.max(LAST),
        "fan-out": target.max("fan-out of one neuron"),
        "entries": target.max("recurrent entries"),
    }
    root = Object(fields, optional=("time_resolution_wrap",))
    return File(
        "config.json", root, check_config, numbers, MAX_BYTES, finding=ValueOutsideRange, source=SIM
    )


def _size(target: Target, limit: str) -> Size:
    return Size(limit, target.max(limit), source=OVERVIEW)


def _weights(target: Target, rows: str, columns: str, doc: str = "") -> Integers:
    return Integers((_size(target, rows), _size(target, columns)), *WEIGHT_WORD, doc=doc)


def _shift() -> Integer:
    return Integer(*WEIGHT_SHIFT, doc="weights are shifted left by it")


def _synapses(target: Target, rows: str, columns: str) -> dict[str, Kind]:
    """Weights of a block, [source][target]."""
    fields: dict[str, Kind] = {"weights": _weights(target, rows, columns, "[source][target]")}
    if two_synapses(target):
        fields["syn2_weights"] = _weights(target, rows, columns, "of the second synapse")
    return {**fields, "weight_bit_shift": _shift()}


def _neuron() -> dict[str, Kind]:
    return {
        "i_syn_decay": Integer(*DASH, doc="dash of the synapse"),
        "v_mem_decay": Integer(*DASH, doc="dash of the membrane"),
        "threshold": Integer(*THRESHOLD),
        "v_mem_bias": Integer(*BIAS),
    }


def _hidden_neuron(target: Target) -> Object:
    last = target.max("hidden neurons") - 1
    fields: dict[str, Kind] = {
        **_neuron(),
        "alias_target": Maybe(Integer(0, last), doc="the neuron that fires with this one"),
    }
    if two_synapses(target):
        fields["i_syn2_decay"] = Integer(*DASH, doc="dash of the second synapse")
    return Object(fields)


def read_config(text: bytes) -> Specification:
    """Return the network in the bytes of a config.json, of any variant.

    ``bias_enable`` and ``synapse2_enable`` false leave out biases and second synapses, as on the
    chip. Raises ``InputError`` (U605) if the file is damaged, ``CompileError`` (X510) if a value is
    outside the chip's range. The diagnostics name JSON path, value and allowed range.
    """
    file, tree = read(text, *(config_file(target) for target in VARIANTS))
    return _specification(tree, file.numbers["block"])


def _specification(tree: Tree, block: str) -> Specification:
    inputs, hidden, readout = tree["input"], tree[block], tree["readout"]
    n, m = len(hidden["neurons"]), len(readout["neurons"])
    rows_out = len(readout["weights"])
    weights_in = np.zeros((len(inputs["weights"]), n, 2), np.int64)
    weights_rec = np.zeros((n, n, 2), np.int64)
    weights_out = np.zeros((n, m), np.int64)
    weights_out[n - rows_out :] = readout["weights"]
    for synapse, key in enumerate(("weights", "syn2_weights")):
        if synapse == 0 or tree.get("synapse2_enable"):
            weights_in[:, : len(inputs[key][0]), synapse] = inputs[key]
            weights_rec[..., synapse] = hidden[key]

    def column(part: Tree, name: str) -> IntArray:
        return np.array([neuron[name] for neuron in part["neurons"]], np.int64)

    has_second = "synapse2_enable" in tree
    second = column(hidden, "i_syn2_decay") if has_second else np.zeros(n, np.int64)
    aliases = [neuron["alias_target"] for neuron in hidden["neurons"]]
    return Specification(
        weights_in=weights_in,
        weights_rec=weights_rec,
        weights_out=weights_out,
        dash_mem=column(hidden, "v_mem_decay"),
        dash_mem_out=column(readout, "v_mem_decay"),
        dash_syn=column(hidden, "i_syn_decay"),
        dash_syn_2=second,
        dash_syn_out=column(readout, "i_syn_decay"),
        threshold=column(hidden, "threshold"),
        threshold_out=column(readout, "threshold"),
        bias_hidden=column(hidden, "v_mem_bias") * tree["bias_enable"],
        bias_out=column(readout, "v_mem_bias") * tree["bias_enable"],
        weight_shift_in=inputs["weight_bit_shift"],
        weight_shift_rec=hidden["weight_bit_shift"],
        weight_shift_out=readout["weight_bit_shift"],
        aliases=np.array([-1 if alias is None else alias for alias in aliases], np.int64),
    )
