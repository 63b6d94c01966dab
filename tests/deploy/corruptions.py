"""Known corruptions of bundles, as data: where the fault is, words of the message, and the change that makes it.

The files that are changed are those of ``tests/deploy/chips.py``.
"""

from __future__ import annotations

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
    ("schema", SETTING, put("schema", "nirc-bundle/2")),
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
        ("input.weights", "number of input channels", put("input.weights", [[0] * 5] * 17)),
        ("input.weights", "found 0, allowed 1..16", put("input.weights", [])),
        ("input", MISSING, drop("input")),
        ("input.weight_bit_shift", "found 8, allowed 0..7", put("input.weight_bit_shift", 8)),
        ("readout.weight_bit_shift", RANGE, put("readout.weight_bit_shift", -1)),
        (f"{block}.weight_bit_shift", MISSING, drop(f"{block}.weight_bit_shift")),
        (f"{block}.weights[4][4]", RANGE, put(f"{block}.weights[4][4]", 128)),
        (f"{block}.weights", "found a list of 6, allowed a list of 5", more(f"{block}.weights", [0] * 5)),
        (f"{block}.weights", LENGTH, put(f"{block}.weights", {})),
        (f"{block}.weights", "found a list of 5, allowed a list of 4", drop(f"{neuron}[4]")),
        (neuron, "number of hidden neurons", put(neuron, [])),
        (neuron, LENGTH, put(neuron, {})),
        (f"{neuron}[0]", OBJECT, put(f"{neuron}[0]", 7)),
        (f"{neuron}[0].threshold", "found 0, allowed 1..32767", put(f"{neuron}[0].threshold", 0)),
        (f"{neuron}[4].threshold", RANGE, put(f"{neuron}[4].threshold", 32768)),
        (f"{neuron}[0].v_mem_decay", "found 16, allowed 0..15", put(f"{neuron}[0].v_mem_decay", 16)),
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
        (f"{ONE}.leak_enable", "a bias is set, but the leak is off", put(f"{ONE}.biases", [0, 5, 0])),
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
        (f"{ONE}.neurons_initial_value[0]", LENGTH, put(f"{ONE}.neurons_initial_value[0]", [[0] * 5] * 4)),
        (f"{ONE}.neurons_initial_value[0][4][3]", RANGE, put(f"{ONE}.neurons_initial_value[0][4][3]", -32769)),
        (f"{ONE}.dimensions.kernel_size", RANGE, put(f"{ONE}.dimensions.kernel_size", 17)),
        (f"{ONE}.dimensions.kernel_size", RANGE, put(f"{ONE}.dimensions.kernel_size", 0)),
        (f"{ONE}.dimensions.stride.x", "allowed 1, 2, 4, 8", put(f"{ONE}.dimensions.stride.x", 3)),
        (f"{ONE}.dimensions.padding.y", RANGE, put(f"{ONE}.dimensions.padding.y", 8)),
        (size, OTHER_SIZE, put(f"{ONE}.dimensions.padding.y", 0)),
        (size, OTHER_SIZE, put(f"{ONE}.dimensions.stride.x", 2)),
        (f"{size}.x", RANGE, put(f"{size}.x", 65)),
        (f"{ONE}.dimensions.input_shape.size.x", RANGE, put(f"{ONE}.dimensions.input_shape.size.x", 129)),
        (f"{ONE}.destinations", LENGTH, drop(f"{ONE}.destinations[1]")),
        (f"{ONE}.destinations[0].layer", RANGE, put(f"{ONE}.destinations[0].layer", 9)),
        (f"{ONE}.destinations[0].layer", "core is not used", put(f"{ONE}.destinations[0].layer", 2)),
        (f"{ONE}.destinations[0].feature_shift", "go beyond", put(f"{ONE}.destinations[0].feature_shift", 1)),
        (f"{ONE}.destinations[0]", "found 4 x 5, allowed 2 x 2", put(f"{ONE}.destinations[0].pooling", 1)),
        ("cnn_layers[3].dimensions", OTHER_SIZE, put("cnn_layers[3].dimensions.input_shape.size.x", 1)),
        (f"{ONE}.destinations[0].pooling", "allowed 1, 2, 4", put(f"{ONE}.destinations[0].pooling", 3)),
        (f"{ONE}.destinations[1].feature_shift", RANGE, put(f"{ONE}.destinations[1].feature_shift", 1024)),
        ("cnn_layers[0].monitor_enable", SETTING, put("cnn_layers[0].monitor_enable", True)),
        ("cnn_layers[0].dimensions.kernel_size", SETTING, put("cnn_layers[0].dimensions.kernel_size", 3)),
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
    ("dvs_layer.destinations", "other destinations", put("dvs_layer.destinations[0].feature_shift", 1)),
    ("dvs_layer.cut.x", "allowed 0..63", put("dvs_layer.cut.x", 64)),
    ("dvs_layer.pooling.x", "differently", put("dvs_layer.pooling.x", 1)),
    ("nirc.inputs[0].shape", "another map", put("dvs_layer.cut.x", 29)),
    ("nirc.inputs[0].shape", "another map", put("dvs_layer.merge", True)),
    ("nirc.inputs[0].pooling", "pools otherwise", put("nirc.inputs[0].pooling.x", 1)),
]
SPECK_READOUT: Rows = [
    ("cnn_layers[3].monitor_enable", "not monitored", put("cnn_layers[3].monitor_enable", False)),
    ("cnn_layers[3].destinations", "addresses change", put("cnn_layers[3].destinations[0].pooling", 2)),
    ("nirc.readout_core", CLASSES, put("nirc.readout_core", 1)),
    ("nirc.readout_core", CLASSES, put("nirc.readout_core", None)),
    ("factory_config.io_sel", "pins", put("factory_config.io_sel", 0)),
    ("readout", SETTING, put("readout.enable", False)),
]

CORRUPTIONS: dict[str, dict[str, Rows]] = {  # by chip and file
    "xylo:audio2": {"config.json": _xylo("reservoir") + XYLO_2 + XYLO_AUDIO2},
    "xylo:audio3": {"config.json": _xylo("hidden") + XYLO_2 + XYLO_AUDIO3},
    "xylo:imu": {"config.json": _xylo("hidden") + XYLO_IMU},
    "speck:2f": {"config.json": _speck()},
    "speck:2e": {"config.json": _speck()},
    "speck:2f with a camera": {"config.json": SPECK_CAMERA},
    "speck:2e with a readout layer": {"config.json": SPECK_READOUT},
}
