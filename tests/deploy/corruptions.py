"""Known corruptions of bundles, as data: where the fault is, words of the message, and the change
that makes it.

The files that are changed are those of ``tests/deploy/chips.py``.
"""

from __future__ import annotations

import numpy as np

from tests.deploy.changes import Change, Tree, drop, more, put

Rows = list[tuple[str, str, Change]]

RANGE = "outside the chip's range"
INTEGER = "a value is not an integer"
LENGTH = "a list is missing or of the wrong length"
MISSING = "a field is missing"
UNKNOWN = "a field is unknown"
OBJECT = "a JSON object is missing"
FLAG = "neither true nor false"
SETTING = "a setting is unknown"
NOWHERE = "a number points to nothing"


def _same_list(path: str, count: int) -> Change:
    """The first entry, ``count`` times."""
    above, _, name = path.rpartition(".")

    def change(tree: Tree) -> None:
        tree[above][name] = tree[above][name][:1] * count

    return change


MANIFESTS: Rows = [
    ("schema", SETTING, put("schema", "nirc-bundle/1")),
    ("files", MISSING, drop("files")),
    ("files", OBJECT, put("files", [])),
    ("files", "outside the bundle", lambda tree: tree["files"].update({"../evil": "0" * 64})),
    ("input_map", MISSING, drop("input_map")),
    ("input_map", LENGTH, put("input_map", None)),
    ("input_map[0]", NOWHERE, put("input_map[0]", 99999)),
    ("input_map[0]", RANGE, put("input_map[0]", -1)),
    ("input_map[0]", INTEGER, put("input_map[0]", True)),
    ("output_map", LENGTH, put("output_map", {})),
    ("output_map[0]", NOWHERE, put("output_map[0]", 99999)),
    ("output_map[0]", RANGE, put("output_map[0]", -1)),
    ("output_map[0]", INTEGER, put("output_map[0]", None)),
    ("output_latency_steps", LENGTH, more("output_latency_steps", 0)),
    ("output_latency_steps[0]", INTEGER, put("output_latency_steps[0]", True)),
    ("output_latency_steps[0]", RANGE, put("output_latency_steps[0]", -1025)),
    ("latency_steps", "an output is later", put("latency_steps", -1)),
    ("output_kind", "a word is unknown", put("output_kind", "volts")),
    ("dt", RANGE, put("dt", 0)),
    ("dt", "not a number", put("dt", "1")),
    ("populations", OBJECT, put("populations", [])),
    ("populations.out", OBJECT, put("populations.out", 3)),
    ("populations.out.part", "a text is missing", put("populations.out.part", None)),
    ("populations.out.part", "a part is unknown", put("populations.out.part", "x")),
    ("populations.out.index[0]", NOWHERE, put("populations.out.index[0]", 99999)),
    ("populations.out.latency_steps", INTEGER, put("populations.out.latency_steps", None)),
    ("populations.out.scale", "a scale for each neuron", more("populations.out.scale", 1.0)),
    ("populations.out.scale[0]", "not a number", put("populations.out.scale[0]", "1")),
    ("populations.out.scale[0]", RANGE, put("populations.out.scale[0]", 0)),
    ("the file", "NaN is not a number", put("populations.out.scale[0]", float("nan"))),
]


def _xylo(block: str) -> Rows:
    neuron = f"{block}.neurons"
    return [
        ("input.weights[0][0]", RANGE, put("input.weights[0][0]", 128)),
        ("input.weights[2][1]", RANGE, put("input.weights[2][1]", -129)),
        ("input.weights[0][0]", INTEGER, put("input.weights[0][0]", True)),
        ("input.weights[0][0]", INTEGER, put("input.weights[0][0]", 1.0)),
        ("the file", "NaN is not a number", put("input.weights[0][0]", float("nan"))),
        ("input.weights[0][0]", "...", put("input.weights[0][0]", 10**3000)),
        ("input.weights[0][0]", INTEGER, put("input.weights[0][0]", None)),
        ("input.weights[0][0]", INTEGER, put("input.weights[0][0]", [1])),
        ("input.weights[0][0]", INTEGER, put("input.weights[0][0]", "\ud800é __import__('os')")),
        ("input.weights[1]", "found a list of 6, allowed a list of 5", more("input.weights[1]", 0)),
        ("input.weights[1]", "found a list of 3", put("input.weights[1]", [1, 2, 3])),
        ("input.weights[1]", LENGTH, put("input.weights[1]", 7)),
        ("input.weights[0]", LENGTH, put("input.weights", [7, 8, 9])),
        ("input.weights", "number of input channels", put("input.weights", [[0] * 5] * 17)),
        ("input.weights", "found 0, allowed 1..16", put("input.weights", [])),
        ("input", MISSING, drop("input")),
        ("input.weight_bit_shift", "found 8, allowed 0..7", put("input.weight_bit_shift", 8)),
        ("readout.weight_bit_shift", RANGE, put("readout.weight_bit_shift", -1)),
        (f"{block}.weight_bit_shift", MISSING, drop(f"{block}.weight_bit_shift")),
        (f"{block}.weights[4][4]", RANGE, put(f"{block}.weights[4][4]", 128)),
        (
            f"{block}.weights",
            "found a list of 6, allowed a list of 5",
            more(f"{block}.weights", [0] * 5),
        ),
        (f"{block}.weights", LENGTH, put(f"{block}.weights", {})),
        (f"{block}.weights", "found a list of 5, allowed a list of 4", drop(f"{neuron}[4]")),
        (neuron, "number of hidden neurons", put(neuron, [])),
        (neuron, LENGTH, put(neuron, {})),
        (f"{neuron}[0]", OBJECT, put(f"{neuron}[0]", 7)),
        (f"{neuron}[0].threshold", "found 0, allowed 1..32767", put(f"{neuron}[0].threshold", 0)),
        (f"{neuron}[4].threshold", RANGE, put(f"{neuron}[4].threshold", 32768)),
        (
            f"{neuron}[0].v_mem_decay",
            "found 16, allowed 0..15",
            put(f"{neuron}[0].v_mem_decay", 16),
        ),
        (f"{neuron}[0].i_syn_decay", RANGE, put(f"{neuron}[0].i_syn_decay", -1)),
        (f"{neuron}[0].v_mem_bias", RANGE, put(f"{neuron}[0].v_mem_bias", 128)),
        (f"{neuron}[2].v_mem_bias", MISSING, drop(f"{neuron}[2].v_mem_bias")),
        (f"{neuron}[3].alias_target", "its own alias", put(f"{neuron}[3].alias_target", 3)),
        (f"{neuron}[0].alias_target", "found 5, allowed 0..4", put(f"{neuron}[0].alias_target", 5)),
        (f"{neuron}[0].alias_target", INTEGER, put(f"{neuron}[0].alias_target", False)),
        (f"{neuron}[1].alias_target", MISSING, drop(f"{neuron}[1].alias_target")),
        (f"{neuron}[1].alias_target", "aliasing is off", put(f"{block}.aliasing", False)),
        (f"{neuron}[2].alias_traget", UNKNOWN, put(f"{neuron}[2].alias_traget", 0)),
        (f"{block}.aliasing", FLAG, put(f"{block}.aliasing", 1)),
        (f"{block}.alias", UNKNOWN, put(f"{block}.alias", True)),
        ("readout.weights", "found a list of 6", more("readout.weights", [0, 0])),
        ("readout.weights[4]", "found a list of 1", put("readout.weights[4]", [0])),
        ("readout.weights[4][1]", RANGE, put("readout.weights[4][1]", 128)),
        ("readout.neurons", "number of output neurons", _same_list("readout.neurons", 33)),
        ("readout.neurons[1].threshold", RANGE, put("readout.neurons[1].threshold", -5)),
        ("readout.neurons[0].alias_target", UNKNOWN, put("readout.neurons[0].alias_target", None)),
        ("bias_enable", FLAG, put("bias_enable", 1)),
        ("debug", MISSING, drop("debug")),
        ("debug.__class__", UNKNOWN, put("debug.__class__", True)),
        ("synapse_2_enable", UNKNOWN, put("synapse_2_enable", True)),
        ("input.weight", UNKNOWN, put("input.weight", [])),
        ("format", "nirc-xylo-config/1", put("format", "nirc-xylo-config/2")),
        ("variant", "speck", put("variant", "speck")),
        ("operation_mode", "AcceleratedTime", put("operation_mode", "RealTime")),
    ]


XYLO_2: Rows = [  # with a second synapse
    ("input.syn2_weights[0][0]", RANGE, put("input.syn2_weights[0][0]", 128)),
    ("synapse2_enable", MISSING, drop("synapse2_enable")),
]
XYLO_AUDIO2: Rows = [
    ("reservoir.syn2_weights", MISSING, drop("reservoir.syn2_weights")),
    ("reservoir.neurons[0].i_syn2_decay", RANGE, put("reservoir.neurons[0].i_syn2_decay", 16)),
    ("debug.isyn_clock_enable", FLAG, put("debug.isyn_clock_enable", 1)),
    ("time_resolution_wrap", UNKNOWN, put("time_resolution_wrap", 50_000)),
]
XYLO_AUDIO3: Rows = [
    ("input_source", SETTING, put("input_source", "DigitalMicrophone")),
    ("time_resolution_wrap", RANGE, put("time_resolution_wrap", -1)),
]
XYLO_IMU: Rows = [
    ("imu_if_input_enable", SETTING, put("imu_if_input_enable", True)),
    ("imu_if_input_enable", SETTING, put("imu_if_input_enable", 0)),
    ("debug.always_update_omp_stat", FLAG, put("debug.always_update_omp_stat", None)),
    ("time_resolution_wrap", INTEGER, put("time_resolution_wrap", 50_000.0)),
    ("synapse2_enable", UNKNOWN, put("synapse2_enable", False)),
]

ONE = "cnn_layers[1]"
TO_1 = {"enable": True, "layer": 1, "pooling": 1, "feature_shift": 0}
TO_READOUT = TO_1 | {"layer": 12}
OTHER_SIZE = "the output map has another size"
CLASSES = "another core feeds the readout layer"


def _speck() -> Rows:
    """Cores 1 and 3 are used."""
    row, size = f"{ONE}.weights[0][1][2]", f"{ONE}.dimensions.output_shape.size"
    return [
        ("format", "nirc-speck-config/1", put("format", "nirc-speck-config/2")),
        ("variant", SETTING, put("variant", "2b")),
        ("weights", UNKNOWN, put("weights", [])),
        ("__class__", UNKNOWN, put("__class__", [])),
        ("cnn_layers", LENGTH, drop("cnn_layers[8]")),
        ("cnn_layers", "found an object", put("cnn_layers", {})),
        ("cnn_layers[0]", OBJECT, put("cnn_layers[0]", 7)),
        (f"{ONE}.threshold_high", MISSING, drop(f"{ONE}.threshold_high")),
        (f"{ONE}.threshold_hihg", UNKNOWN, put(f"{ONE}.threshold_hihg", 1)),
        (f"{ONE}.threshold_high", "found 0, allowed 1..32767", put(f"{ONE}.threshold_high", 0)),
        (f"{ONE}.threshold_high", INTEGER, put(f"{ONE}.threshold_high", True)),
        (f"{ONE}.threshold_high", INTEGER, put(f"{ONE}.threshold_high", 120.0)),
        ("the file", "NaN is not a number", put(f"{ONE}.threshold_high", float("nan"))),
        (f"{ONE}.threshold_high", "...", put(f"{ONE}.threshold_high", 10**3000)),
        (f"{ONE}.threshold_low", "found 0, allowed -32768..-1", put(f"{ONE}.threshold_low", 0)),
        (f"{ONE}.return_to_zero", FLAG, put(f"{ONE}.return_to_zero", 1)),
        (f"{ONE}.leak_enable", "no bias is set", put(f"{ONE}.leak_enable", True)),
        (
            f"{ONE}.leak_enable",
            "a bias is set, but the leak is off",
            put(f"{ONE}.biases", [0, 5, 0]),
        ),
        (f"{ONE}.biases", "found a list of 1, allowed a list of 3", put(f"{ONE}.biases", [0])),
        (f"{ONE}.biases[2]", RANGE, put(f"{ONE}.biases[2]", 32768)),
        (f"{ONE}.weights", "found a list of 2, allowed a list of 3", drop(f"{ONE}.weights[2]")),
        (f"{ONE}.weights[0]", LENGTH, put(f"{ONE}.weights[0]", [])),
        (row, "found a list of 2, allowed a list of 3", put(row, [1, 2])),
        (f"{row}[0]", RANGE, put(f"{row}[0]", 128)),
        (f"{row}[0]", INTEGER, put(f"{row}[0]", None)),
        (f"{row}[0]", INTEGER, put(f"{row}[0]", "\ud800é __import__('os')")),
        (f"{ONE}.weights", LENGTH, put(f"{ONE}.weights", 7)),
        (f"{ONE}.dimensions.kernel_size", SETTING, put(f"{ONE}.weights", [])),
        (
            f"{ONE}.neurons_initial_value[0]",
            LENGTH,
            put(f"{ONE}.neurons_initial_value[0]", [[0] * 5] * 4),
        ),
        (
            f"{ONE}.neurons_initial_value[0][4][3]",
            RANGE,
            put(f"{ONE}.neurons_initial_value[0][4][3]", -32769),
        ),
        (f"{ONE}.dimensions.kernel_size", RANGE, put(f"{ONE}.dimensions.kernel_size", 17)),
        (f"{ONE}.dimensions.kernel_size", RANGE, put(f"{ONE}.dimensions.kernel_size", 0)),
        (f"{ONE}.dimensions.stride.x", "allowed 1, 2, 4, 8", put(f"{ONE}.dimensions.stride.x", 3)),
        (f"{ONE}.dimensions.padding.y", RANGE, put(f"{ONE}.dimensions.padding.y", 8)),
        (size, OTHER_SIZE, put(f"{ONE}.dimensions.padding.y", 0)),
        (size, OTHER_SIZE, put(f"{ONE}.dimensions.stride.x", 2)),
        (f"{size}.x", RANGE, put(f"{size}.x", 65)),
        (
            f"{ONE}.dimensions.input_shape.size.x",
            RANGE,
            put(f"{ONE}.dimensions.input_shape.size.x", 129),
        ),
        (f"{ONE}.destinations", LENGTH, drop(f"{ONE}.destinations[1]")),
        (f"{ONE}.destinations[0].layer", RANGE, put(f"{ONE}.destinations[0].layer", 9)),
        (
            f"{ONE}.destinations[0].layer",
            "core is not used",
            put(f"{ONE}.destinations[0].layer", 2),
        ),
        (
            f"{ONE}.destinations[0].feature_shift",
            "go beyond",
            put(f"{ONE}.destinations[0].feature_shift", 1),
        ),
        (
            f"{ONE}.destinations[0]",
            "found 4 x 5, allowed 2 x 2",
            put(f"{ONE}.destinations[0].pooling", 1),
        ),
        (
            "cnn_layers[3].dimensions",
            OTHER_SIZE,
            put("cnn_layers[3].dimensions.input_shape.size.x", 1),
        ),
        (
            f"{ONE}.destinations[0].pooling",
            "allowed 1, 2, 4",
            put(f"{ONE}.destinations[0].pooling", 3),
        ),
        (
            f"{ONE}.destinations[1].feature_shift",
            RANGE,
            put(f"{ONE}.destinations[1].feature_shift", 1024),
        ),
        ("cnn_layers[0].monitor_enable", SETTING, put("cnn_layers[0].monitor_enable", True)),
        (
            "cnn_layers[0].dimensions.kernel_size",
            SETTING,
            put("cnn_layers[0].dimensions.kernel_size", 3),
        ),
        ("cnn_layers", "no core is monitored", put("cnn_layers[3].monitor_enable", False)),
        ("cnn_layers", "in a circle", put("cnn_layers[3].destinations[0]", TO_1)),
        ("dvs_layer.cut.x", SETTING, put("dvs_layer.cut", {"x": 5, "y": 0})),
        ("dvs_layer.pooling.x", SETTING, put("dvs_layer.pooling.x", 2)),
        ("dvs_layer.destinations", "other destinations", put("dvs_layer.pass_sensor_events", True)),
        ("dvs_layer.destinations[0]", SETTING, put("dvs_layer.destinations[0]", TO_1)),
        ("dvs_layer.destinations[0]", SETTING, put("dvs_layer.destinations[0]", TO_READOUT)),
        ("dvs_filter.filter_size", "found 16, allowed 1", put("dvs_filter.filter_size", 16)),
        ("readout", SETTING, put("readout.enable", True)),
        ("nirc.readout_core", CLASSES, put("nirc.readout_core", 3)),
        ("nirc.readout_core", CLASSES, put("cnn_layers[3].destinations[0]", TO_READOUT)),
        ("factory_config.io_sel", "found 24, allowed 0", put("factory_config.io_sel", 24)),
        ("factory_config.io_sel", "allowed 0, 24", put("factory_config.io_sel", 1)),
        ("nirc.slow_clock_hz", RANGE, put("nirc.slow_clock_hz", 9.9)),
        ("nirc.slow_clock_hz", "not a number", put("nirc.slow_clock_hz", True)),
        ("nirc.inputs", LENGTH, put("nirc.inputs", None)),
        ("nirc.inputs[0]", OBJECT, put("nirc.inputs[0]", 7)),
        ("nirc.inputs[0].feature_shift", "found 2..3", put("nirc.inputs[0].feature_shift", 2)),
        ("nirc.inputs[0].layer", "core is not used", put("nirc.inputs[0].layer", 7)),
        ("nirc.inputs[0].shape[1]", RANGE, put("nirc.inputs[0].shape[1]", 0)),
        ("nirc.inputs[0].first", RANGE, put("nirc.inputs[0].first", -1)),
    ]


SPECK_CAMERA: Rows = [
    ("dvs_layer.destinations", "other destinations", put("dvs_layer.destinations[0]", TO_READOUT)),
    (
        "dvs_layer.destinations",
        "other destinations",
        put("dvs_layer.destinations[0].feature_shift", 1),
    ),
    ("dvs_layer.cut.x", "allowed 0..63", put("dvs_layer.cut.x", 64)),
    ("dvs_layer.pooling.x", "differently", put("dvs_layer.pooling.x", 1)),
    ("nirc.inputs[0].shape", "another map", put("dvs_layer.cut.x", 29)),
    ("nirc.inputs[0].shape", "another map", put("dvs_layer.merge", True)),
    ("nirc.inputs[0].pooling", "pools otherwise", put("nirc.inputs[0].pooling.x", 1)),
]
SPECK_READOUT: Rows = [
    ("cnn_layers[3].monitor_enable", "not monitored", put("cnn_layers[3].monitor_enable", False)),
    (
        "cnn_layers[3].destinations",
        "addresses change",
        put("cnn_layers[3].destinations[0].pooling", 2),
    ),
    ("nirc.readout_core", CLASSES, put("nirc.readout_core", 1)),
    ("nirc.readout_core", CLASSES, put("nirc.readout_core", None)),
    ("factory_config.io_sel", "pins", put("factory_config.io_sel", 0)),
    ("readout", SETTING, put("readout.enable", False)),
]

ARRAY, SHAPE = "an array has another type", "an array has another shape"
WORD, NAME, TWICE = "a word is unknown", "a text is missing", "have the same name"
CONNECT = "there is no such block to connect"
FIRST, LAST, ROWS = "projections[0]", "outputs[0]", np.zeros(1, "<i4")

SPINNAKER2: Rows = [
    (
        "populations[0].alpha_decay",
        "found 1.5, allowed 0.0..1.0",
        put("populations[0].alpha_decay[0]", 1.5),
    ),
    ("populations[0].i_offset", "found nan", put("populations[0].i_offset[0]", np.nan)),
    ("populations[2].threshold", "found inf", put("populations[2].threshold[0]", np.inf)),
    (f"{FIRST}.weight", RANGE, put(f"{FIRST}.weight[0]", 128)),
    (f"{FIRST}.delay", "found 8, allowed 0..7", put(f"{FIRST}.delay[0]", 8)),
    (f"{FIRST}.delay", RANGE, put(f"{FIRST}.delay[0]", -1)),
    ("projections[1].post", NOWHERE, put("projections[1].post[0]", 99)),
    ("projections[1].pre", NOWHERE, put("projections[1].pre[0]", 99)),
    (FIRST, "out of order", put(f"{FIRST}.pre[0]", 1)),
    ("inputs[0].channels", "allowed 0..3", put("inputs[0].channels[0]", 4)),
    (f"{LAST}.neurons", NOWHERE, put(f"{LAST}.neurons[0]", 9)),
    (f"{FIRST}.weight", SHAPE, put(f"{FIRST}.weight", np.zeros(3, "<i2"))),
    ("populations[0].v_init", ARRAY, put("populations[0].v_init", np.zeros(1))),
    ("populations[0].v_reset", "(99,)", put("populations[0].v_reset", np.zeros(99, "<f4"))),
    ("inputs[1].channels", "an array is empty", put("inputs[1].channels", np.zeros(0, "<i4"))),
    ("populations/0/more.npy", "unknown", put("populations[0].more", np.zeros(1))),
    ("populations[1].threshold", "an array is missing", drop("populations[1].threshold")),
    ("populations[0].model", WORD, put("populations[0].model", "izhikevich")),
    ("populations[0].model", WORD, put("populations[0].model", None)),
    ("populations[0].atoms", RANGE, put("populations[0].atoms", 257)),
    ("populations[0].atoms", INTEGER, put("populations[0].atoms", True)),
    ("populations[0].n", INTEGER, put("populations[0].n", 2.0)),
    ("populations[0].n", RANGE, put("populations[0].n", 0)),
    ("populations[0].reset", WORD, put("populations[0].reset", "no")),
    ("populations[0].spikes", FLAG, put("populations[0].spikes", 1)),
    ("populations[0].name", NAME, put("populations[0].name", ["a"])),
    ("populations[0].name", NAME, put("populations[0].name", "\x1b")),
    ("the file", "two of the inputs and populations have", put("populations[0].name", "in")),
    (f"{FIRST}.source", CONNECT, put(f"{FIRST}.source", "x")),
    (f"{FIRST}.target", CONNECT, put(f"{FIRST}.target", "in")),
    ("projections[3].source", CONNECT, put("populations[0].spikes", False)),
    ("populations[1]", "takes one convolution", put("populations[1].model", "lif_conv2d")),
    ("populations[0].arrays", "names of arrays", put("populations[0].arrays", 3)),
    ("populations/0/alpha_decay.npy", "unknown", put("populations[0].arrays", [])),
    ("populations[0].more", UNKNOWN, put("populations[0].more", 1)),
    ("inputs", MISSING, drop("inputs")),
    ("inputs", LENGTH, put("inputs", 3)),
    ("format", SETTING, put("format", "nirc-spinnaker2-9")),
    ("channels", INTEGER, put("channels", "four")),
    ("outputs", "no outputs", put("outputs", [])),
]
CONV = "convolutions[0]"
SPINNAKER2_CONVOLUTION: Rows = [
    (
        f"{CONV}.weight",
        "found -128, allowed -127..127",
        put(f"{CONV}.weight[0]", np.full((3, 3, 2), -128)),
    ),
    (f"{CONV}.source", "(2, 7, 8), allowed 96 neurons", put(f"{CONV}.in_height", 7)),
    (f"{CONV}.target", "does not fit", put(f"{CONV}.pad_top", 0)),
    (f"{CONV}.stride_x", "allowed 1..4096", put(f"{CONV}.stride_x", 0)),
    (f"{CONV}.pad_left", RANGE, put(f"{CONV}.pad_left", -1)),
    (f"{CONV}.weight", SHAPE, put(f"{CONV}.weight", np.zeros(3, "|i1"))),
    (f"{CONV}.target", "takes no convolution", put(f"{CONV}.target", "last")),
    ("populations[0]", "takes one convolution", put(f"{CONV}.target", "last")),
    (f"{FIRST}.target", "takes no list of synapses", put(f"{FIRST}.target", "map")),
]
CUT = "there is not one for all neurons of a PE"
BLOCK = "the keys of a slice are no block"
SPINNAKER2_MAPPING: Rows = [
    ("format", SETTING, put("format", None)),
    ("more", UNKNOWN, put("more", 1)),
    ("slices", LENGTH, put("slices", {})),
    ("slices", CUT, put("slices", [])),
    ("slices[0]", LENGTH, put("slices[0]", [0, 1, 0])),
    ("slices", CUT, drop("slices[0]")),
    ("slices", CUT, lambda tree: tree["slices"].append(tree["slices"][-1])),
    ("slices[0][1]", "found 0, allowed 1..152", put("slices[0][1]", 0)),
    ("slices[1][1]", INTEGER, put("slices[1][1]", True)),
    ("slices[0][0]", "found 64, allowed 0..63", put("slices[0][0]", 64)),
    ("slices", "a core has two slices", put("slices[0][1]", 2)),
    ("slices[0]", BLOCK, put("slices[0][2]", 1)),
    ("slices", "overlap", put("slices[1][2]", 0)),
    ("slices[0]", BLOCK, put("slices[0][3]", 0xFFFF00FF)),
    ("entries[0][0]", RANGE, put("entries[0][0]", -1)),
    ("entries[1]", "out of order", put("entries[0][0]", 1)),
    ("entries[16384]", "too many entries", put("entries", [[0, 0, 0, 0]] * 16385)),
    ("entries[0]", "leads nowhere", put("entries[0]", [0, 1, 0, 0])),
    ("entries[0]", "leads nowhere", put("entries[0]", [0, 0, 0, 99])),
    ("entries[0]", LENGTH, put("entries[0]", [])),
    ("entries[0]", LENGTH, put("entries[0]", 7)),
    ("routes[0].links[0]", RANGE, put("routes[0].links", [6])),
    ("routes[0].cores[0]", RANGE, put("routes[0].cores", [153])),
    ("tick.seconds", RANGE, put("tick.seconds", 0)),
    ("the file", "NaN is not a number", put("tick.seconds", float("nan"))),
    ("tick.late_cores", INTEGER, put("tick.late_cores", None)),
    ("steps", RANGE, put("steps", -1)),
]

LOIHI2: Rows = [
    ("format", SETTING, put("format", "nirc-loihi2-9")),
    ("extra", UNKNOWN, put("extra", 1)),
    (f"{FIRST}.kind", WORD, drop(f"{FIRST}.kind")),
    ("populations", LENGTH, put("populations", {})),
    ("outputs[1]", OBJECT, more("outputs", 3)),
    ("populations[0].du", INTEGER, put("populations[0].du", "4095")),
    ("populations[0].du", INTEGER, put("populations[0].du", True)),
    ("populations[0].du", "found 4096, allowed 0..4095", put("populations[0].du", 4096)),
    ("populations[0].dv", "found 4097, allowed 0..4096", put("populations[0].dv", 4097)),
    ("populations[0].vth", "found 131072, allowed 0..131071", put("populations[0].vth", 131072)),
    ("populations[0].bias_mant", RANGE, put("populations[0].bias_mant[0]", 4096)),
    ("populations[0].bias_exp", RANGE, put("populations[0].bias_exp[0]", -1)),
    ("populations[0].bias_exp", SHAPE, put("populations[0].bias_exp", np.zeros(2, "<i2"))),
    ("populations[0].v_init", RANGE, put("populations[0].v_init[0]", 2**23)),
    ("inputs[0].channels", "an array is empty", put("inputs[0].channels", np.zeros(0, "<i4"))),
    ("inputs[0].channels", NOWHERE, put("inputs[0].channels[0]", 4)),
    (f"{FIRST}.weights", RANGE, put(f"{FIRST}.weights[0]", np.full(4, 256))),
    (f"{FIRST}.weights", ARRAY, put(f"{FIRST}.weights", np.zeros((4, 4)))),
    (f"{FIRST}.weights", ARRAY, put(f"{FIRST}.weights", np.zeros((4, 4), ">i2"))),
    (f"{FIRST}.weights", SHAPE, put(f"{FIRST}.weights", np.zeros((4, 5), "<i2"))),
    (f"{FIRST}.weights", "an array is missing", drop(f"{FIRST}.weights")),
    (f"{FIRST}.num_weight_bits", RANGE, put(f"{FIRST}.num_weight_bits", 0)),
    (f"{FIRST}.weight_exp", RANGE, put(f"{FIRST}.weight_exp", 8)),
    ("the file", "NaN is not a number", put("populations[0].vth", float("nan"))),
    (f"{FIRST}.kind", WORD, put(f"{FIRST}.kind", "lava.proc.conv")),
    (f"{FIRST}.sign_mode", WORD, put(f"{FIRST}.sign_mode", ["mixed"])),
    ("inputs[0].name", NAME, put("inputs[0].name", "a\x1b[2J")),
    ("populations[0].spikes", FLAG, put("populations[0].spikes", 1)),
    (f"{FIRST}.delays", "an array is missing", more(f"{FIRST}.arrays", "delays")),
    ("inputs/0/channels.npy", "unknown", put("inputs[0].arrays", [])),
    ("inputs[0].arrays", "names of arrays", put("inputs[0].arrays", 7)),
    (f"{FIRST}.source", CONNECT, put(f"{FIRST}.source", "nobody")),
    ("the file", TWICE, put("inputs[0].name", "relay")),
    ("outputs[0].population", CONNECT, put("outputs[0].population", "nobody")),
    ("outputs[0].neurons", NOWHERE, put("outputs[0].neurons[0]", 4)),
    ("outputs", "no outputs", put("outputs", [])),
    ("channels", RANGE, put("channels", -1)),
    (f"{FIRST}.geometry", SETTING, put(f"{FIRST}.geometry", {"groups": 1})),
    (
        f"{FIRST}.rows",
        UNKNOWN,
        lambda tree: tree["projections"][0].update(rows=ROWS, arrays=["weights", "rows"]),
    ),
]
LOIHI2_SPARSE: Rows = [
    (f"{FIRST}.rows", NOWHERE, put(f"{FIRST}.rows[2]", 4)),
    (f"{FIRST}.cols", NOWHERE, put(f"{FIRST}.cols[0]", -1)),
    (FIRST, "out of order or double", put(f"{FIRST}.rows[0]", 3)),
    (f"{FIRST}.cols", SHAPE, put(f"{FIRST}.cols", np.zeros(2, "<i4"))),
    (f"{FIRST}.delays", "found 64, allowed 0..63", put(f"{FIRST}.delays[0]", 64)),
    (f"{FIRST}.delays", SHAPE, put(f"{FIRST}.delays", np.zeros(2, "<i2"))),
    (f"{FIRST}.cols", "an array is missing", drop(f"{FIRST}.cols")),
]
GEOMETRY = f"{FIRST}.geometry"
LOIHI2_CONVOLUTION: Rows = [
    (f"{GEOMETRY}.shape_out", "another output", put(f"{GEOMETRY}.stride", [1, 1])),
    (f"{GEOMETRY}.shape_in", "another size", put(f"{GEOMETRY}.shape_in[0]", 3)),
    (f"{GEOMETRY}.stride[0]", "found 0, allowed 1..127", put(f"{GEOMETRY}.stride", [0, 1])),
    (f"{GEOMETRY}.stride", LENGTH, put(f"{GEOMETRY}.stride", [1])),
    (f"{GEOMETRY}.dilation[1]", INTEGER, put(f"{GEOMETRY}.dilation", [1, 1.5])),
    (f"{GEOMETRY}.padding[0]", RANGE, put(f"{GEOMETRY}.padding", [-1, 0])),
    (f"{GEOMETRY}.groups", "do not divide", put(f"{GEOMETRY}.groups", 7)),
    (f"{GEOMETRY}.groups", RANGE, put(f"{GEOMETRY}.groups", 10**30)),
    (f"{GEOMETRY}.shape_in", "a map is too large", put(f"{GEOMETRY}.shape_in", [1, 1, 10**9])),
    (GEOMETRY, OBJECT, put(GEOMETRY, None)),
    (f"{GEOMETRY}.x", UNKNOWN, put(f"{GEOMETRY}.x", 1)),
    (f"{FIRST}.weights", "is odd", put(f"{FIRST}.weights", np.full((2, 2, 3, 3), 3, "<i2"))),
    (
        f"{FIRST}.weights",
        "found 256, allowed -256..254",
        put(f"{FIRST}.weights", np.full((2, 2, 3, 3), 256, "<i2")),
    ),
    (f"{FIRST}.weights", SHAPE, put(f"{FIRST}.weights", np.zeros((2, 1, 3, 3), "<i2"))),
    (f"{FIRST}.weight_exp", SETTING, put(f"{FIRST}.weight_exp", 1)),
    (f"{FIRST}.num_weight_bits", SETTING, put(f"{FIRST}.num_weight_bits", 7)),
    (f"{FIRST}.sign_mode", SETTING, put(f"{FIRST}.sign_mode", "excitatory")),
]
LOIHI2_MAPPING: Rows = [
    ("format", SETTING, put("format", "nirc-loihi2-mapping/1")),
    ("parts", MISSING, drop("parts")),
    ("parts", LENGTH, put("parts", {})),
    ("parts of.relay", "missing, double or too many", put("parts", [])),
    ("parts of.relay", "missing", put("parts[0].box", [[0, 3]])),
    ("parts[0].population", "unknown", put("parts[0].population", "x")),
    ("parts[0].box[0][1]", INTEGER, put("parts[0].box", [[0, "x"]])),
    ("parts[0].box[0][1]", RANGE, put("parts[0].box", [[0, 10**20]])),
    ("parts[0].core", RANGE, put("parts[0].core", -1)),
    ("parts[0].targets[0]", RANGE, put("parts[0].targets", [-1])),
]

CORRUPTIONS: dict[str, dict[str, Rows]] = {  # by chip and file
    "xylo:audio2": {"config.json": _xylo("reservoir") + XYLO_2 + XYLO_AUDIO2},
    "xylo:audio3": {"config.json": _xylo("hidden") + XYLO_2 + XYLO_AUDIO3},
    "xylo:imu": {"config.json": _xylo("hidden") + XYLO_IMU},
    "speck:2f": {"config.json": _speck()},
    "speck:2e": {"config.json": _speck()},
    "speck:2f with a camera": {"config.json": SPECK_CAMERA},
    "speck:2e with a readout layer": {"config.json": SPECK_READOUT},
    "spinnaker2": {"network.npz": SPINNAKER2, "mapping.json": SPINNAKER2_MAPPING},
    "spinnaker2 with a convolution": {
        "network.npz": SPINNAKER2_CONVOLUTION,
        "mapping.json": SPINNAKER2_MAPPING[:8],
    },
    "loihi2": {"network.npz": LOIHI2, "mapping.json": LOIHI2_MAPPING},
    "loihi2 with a list of synapses": {
        "network.npz": LOIHI2_SPARSE,
        "mapping.json": LOIHI2_MAPPING,
    },
    "loihi2 with a convolution": {
        "network.npz": LOIHI2_CONVOLUTION,
        "mapping.json": [*LOIHI2_MAPPING[:3], *LOIHI2_MAPPING[-5:]],
    },
}
