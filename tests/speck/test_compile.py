"""Models to Speck configurations: they fit or are refused, and files answer as the integer form."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.api import Options, compile_model
from nirc.backends.speck.calibrate import SpeckChip
from nirc.backends.speck.checks import ends
from nirc.backends.speck.config import read_config
from nirc.backends.speck.configuration import Configuration
from nirc.backends.speck.quantise import SpeckQuantise
from nirc.diagnostics.log import Log
from nirc.semantics.run import run
from tests.models import DATA, graph, lif
from tests.speck.networks import along, conv, fire, flatten, line, pool, skipping, small

CNN = DATA / "paper/cnn_sinabs.nir"
DIGITS = DATA / "zoo/digits_if_cnn.nir"


def compiled(model: object, target: str = "speck", **options: Any) -> nirc.Bundle:
    return nirc.compile(model, target, reset=options.pop("reset", "subtract"), **options)


def configuration(bundle: nirc.Bundle) -> Configuration:
    return read_config(bundle.files["config.json"])


def refused(model: object, **options: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(nirc.CompileError) as refusal:
        compiled(model, **options)
    return [(d.code, d.found, d.limit) for d in refusal.value.diagnostics if d.severity == "error"]


def spikes(
    model: object, *, samples: int = 4, steps: int = 12, rate: float = 0.3, **options: Any
) -> np.ndarray:
    """The bundle's answer to random input, after checking that it is the integer form's."""
    result = compile_model(model, "speck", Options(reset="subtract", **options))
    inputs = np.random.default_rng(0).poisson(
        rate, (samples, steps, len(result.bundle.manifest["input_map"]))
    )
    device = result.bundle.run(inputs).outputs
    np.testing.assert_array_equal(device, run(result.integer, inputs).outputs)
    assert device.any(), "nothing fires, so nothing was compared"
    return device


def test_an_input_that_nothing_hears_needs_no_channel() -> None:
    nodes = {"in": nir.Input(np.array([1, 2, 2])), "pop": fire(1, 2, 2)}
    nodes |= {"out": nir.Output(np.array([1, 2, 2])), "unheard": nir.Input(np.array([1, 3, 3]))}
    model = graph(nodes, along("in pop out"))
    assert spikes(model, rate=2).any()
    assert compiled(model).manifest["input_map"] == [0, 1, 2, 3, *[None] * 9]


def test_the_n_mnist_network_of_the_nir_paper_fills_the_memories_that_the_sheet_lists() -> None:
    bundle = compiled(CNN)
    layers = configuration(bundle).layers
    result = {name: used for name, (used, _) in utilisation(bundle).items() if "words" in name}
    assert sorted(result.values()) == sorted(
        [1024, 4096, 4096, 4096, 2048, 512, 32768, 256, 4096, 10]
    )
    assert len(layers) == 5
    assert all(np.abs(core.kernel).max() >= 126 for core in layers)
    assert {d.code for d in bundle.diagnostics if d.severity == "error"} == set()
    assert utilisation(bundle)["cores"] == (5, 9)
    assert ends({"config.json": json.loads(bundle.files["config.json"])}) == {
        "inputs": 2312,
        "outputs": 10,
        "kinds": ["spikes"],
        "parts": {"neurons": sum(int(np.prod(core.shape_out)) for core in layers)},
    }


def utilisation(bundle: nirc.Bundle) -> dict[str, tuple[int, int]]:
    report = json.loads(bundle.files["report.json"])
    return {name: (row["used"], row["available"]) for name, row in report["utilisation"].items()}


@pytest.mark.parametrize("model", [CNN, DIGITS])
def test_the_emitted_files_answer_as_the_integer_form(model: Path) -> None:
    spikes(model)


def test_digits_keep_their_accuracy_on_the_chip_in_both_modes() -> None:
    data = np.load(DATA / "zoo/digits_if_cnn.npz")
    bundle = compiled(DIGITS)
    for mode in ("synchronous", "events"):
        counts = bundle.run(data["inputs"], mode=mode).outputs.sum(axis=1)
        accuracy = float(np.mean(counts.argmax(axis=1) == data["labels"]))
        assert accuracy > 0.7988 - 0.01, (
            mode
        )  # .829 and .817: several spikes a step serve this network well


def test_a_layer_too_large_for_any_core_is_split_by_output_channel() -> None:
    """64 kernels of 64 x 8 x 8 take 256 Ki words. Cores 5 and 6 hold 16 each, 3 and 4 hold 8."""
    rng = np.random.default_rng(0)
    model = line(
        (64, 8, 8),
        flatten(64, 8, 8),
        nir.Linear(rng.normal(0.02, 0.1, (40, 4096))),
        fire(40),
        out=(40,),
    )
    bundle = compiled(model)
    cores = configuration(bundle).layers
    assert len(cores) > 1 and sum(core.shape_out[0] for core in cores) == 40
    assert [d.code for d in bundle.diagnostics if d.code == "S722"] == ["S722"]
    spikes(model, rate=0.05)


def test_the_parts_of_a_layer_are_put_together_again_by_feature_shift() -> None:
    rng = np.random.default_rng(0)
    model = line(
        (4, 64, 64),
        conv(rng, 4, 24, padding=1),
        fire(24, 64, 64),
        pool(4),
        conv(rng, 24, 4, padding=1),
        fire(4, 16, 16),
        out=(4, 16, 16),
    )
    layers = configuration(compiled(model)).layers
    shifts = sorted(
        (d.feature_shift, core.shape_out[0]) for core in layers for d in core.destinations
    )
    assert len(shifts) == 2 and shifts[0] == (0, shifts[1][0])
    spikes(model, samples=1, steps=4)


def test_a_skip_connection_takes_the_second_destination() -> None:
    model = skipping(np.random.default_rng(4))
    layers = configuration(compiled(model)).layers
    (joined,) = [core for core in layers if core.monitor]
    assert joined.shape_in[0] == 8
    assert {
        d.feature_shift for core in layers for d in core.destinations if d.layer == joined.core
    } == {0, 4}
    assert max(len(core.destinations) for core in layers) == 2
    spikes(model)


def test_a_plain_residual_sum_shares_input_channels() -> None:
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([2, 8, 8])),
        "a": conv(rng, 2, 4, padding=1),
        "first": fire(4, 8, 8),
        "b": conv(rng, 4, 4, padding=1),
        "second": fire(4, 8, 8),
        "c": conv(rng, 4, 3, padding=1),
        "last": fire(3, 8, 8),
        "out": nir.Output(np.array([3, 8, 8])),
    }
    edges = along("in a first b second c", "first c last out")
    model = graph(nodes, edges)
    (joined,) = [core for core in configuration(compiled(model)).layers if core.monitor]
    assert joined.shape_in[0] == 4
    spikes(model)


def test_three_listeners_are_one_too_many() -> None:
    rng = np.random.default_rng(4)
    nodes: dict[str, nir.NIRNode] = {
        "in": nir.Input(np.array([2, 8, 8])),
        "a": conv(rng, 2, 4, padding=1),
        "first": fire(4, 8, 8),
    }
    edges = [("in", "a"), ("a", "first")]
    for i in range(3):
        nodes |= {
            f"w{i}": conv(rng, 4, 2, padding=1),
            f"pop{i}": fire(2, 8, 8),
            f"out{i}": nir.Output(np.array([2, 8, 8])),
        }
        edges += [("first", f"w{i}"), (f"w{i}", f"pop{i}"), (f"pop{i}", f"out{i}")]
    assert "S710" in {code for code, _, _ in refused(graph(nodes, edges))}


def test_ten_layers_are_one_too_many() -> None:
    layers = [each for _ in range(10) for each in (nir.Linear(np.eye(3)), fire(3, threshold=0.5))]
    (code, _, limit) = refused(line((3,), *layers, out=(3,)))[0]
    assert code == "S711" and "9" in limit


@pytest.mark.parametrize(
    ("name", "shape", "layers", "out", "code"),
    [
        (
            "a map of 100 x 100",
            (1, 100, 100),
            [conv(np.random.default_rng(0), 1, 2, padding=1), fire(2, 100, 100)],
            (2, 100, 100),
            "S704",
        ),
        (
            "an input of 200 x 200",
            (1, 200, 200),
            [conv(np.random.default_rng(0), 1, 2, 8, stride=4), fire(2, 49, 49)],
            (2, 49, 49),
            "S704",
        ),
        (
            "stride 3",
            (2, 64, 64),
            [conv(np.random.default_rng(0), 2, 16, 4, stride=3), fire(16, 21, 21)],
            (16, 21, 21),
            "S702",
        ),
        (
            "padding 9",
            (2, 20, 20),
            [conv(np.random.default_rng(0), 2, 4, padding=9), fire(4, 36, 36)],
            (4, 36, 36),
            "S703",
        ),
        (
            "kernel 17",
            (1, 64, 64),
            [conv(np.random.default_rng(0), 1, 2, 17), fire(2, 48, 48)],
            (2, 48, 48),
            "S701",
        ),
        (
            "pooling by 3",
            (1, 60, 60),
            [
                conv(np.random.default_rng(0), 1, 4, padding=1),
                fire(4, 60, 60),
                pool(3),
                conv(np.random.default_rng(0), 4, 8, padding=1),
                fire(8, 20, 20),
            ],
            (8, 20, 20),
            "S706",
        ),
    ],
)
def test_what_the_vendors_mapper_takes_though_the_chip_cannot_run_it_is_refused(
    name: str, shape: tuple[int, ...], layers: list[nir.NIRNode], out: tuple[int, ...], code: str
) -> None:
    assert code in {found for found, _, _ in refused(line(shape, *layers, out=out))}


def test_biases_set_the_slow_clock_to_one_tick_a_step() -> None:
    rng = np.random.default_rng(0)
    model = line((1, 6, 6), conv(rng, 1, 2, padding=1, bias=True), fire(2, 6, 6), out=(2, 6, 6))
    bundle = compiled(model, dt=1e-3)
    assert configuration(bundle).slow_clock_hz == 1000
    assert "D415" in {d.code for d in bundle.diagnostics}
    assert refused(model, dt=1e-5)[0][:2] == ("S718", "100000 Hz")
    assert (
        configuration(compiled(model)).slow_clock_hz is None
    )  # no time step: the user is told to give one


def test_lif_neurons_leak_a_constant_and_the_report_says_how_far_that_is() -> None:
    model = line((4,), nir.Linear(np.full((3, 4), 0.3)), lif(3, steps=20.0), out=(3,))
    bundle = compiled(model)
    (core,) = configuration(bundle).layers
    assert core.threshold_low == -1 and (core.bias < 0).all()
    (finding,) = [d for d in bundle.diagnostics if d.code == "D417"]
    assert "2.50% of its threshold a step" in finding.message and "give --calibrate" in finding.help


def test_who_has_calibrated_a_leak_is_not_told_to_calibrate() -> None:
    model = line((4,), nir.Linear(np.full((3, 4), 0.3)), lif(3, steps=20.0), out=(3,))
    inputs = np.random.default_rng(0).integers(0, 2, (4, 20, 4))
    (finding,) = [d for d in compiled(model, calibrate=inputs).diagnostics if d.code == "D417"]
    assert "give --calibrate" not in finding.help and "has tried" in finding.help


def test_strict_refuses_because_the_chip_has_no_steps() -> None:
    assert ("D416", "", "one spike per event") in refused(DIGITS, strict=True, writer="nir")


@pytest.mark.parametrize("kind", ["iaf_default", "iaf_minv", "iaf_ties_many", "pool_first"])
def test_strict_accepts_a_network_of_sinabs_without_a_warning(kind: str) -> None:
    model = DATA / f"simulators/sinabs/{kind}.nir"
    floor = "-1" if kind == "iaf_minv" else "none"
    asked = f"sinabs,spikes=many,reset=subtract,floor={floor}"
    bundle = nirc.compile(model, "speck", writer=asked, strict=True, dt=1e-3)
    assert not [d for d in bundle.diagnostics if d.severity == "warning"]


def test_a_bias_differs_in_kind_where_neurons_fire_once_a_step() -> None:
    model = DATA / "simulators/sinabs/iaf_single_zero.nir"
    with pytest.raises(nirc.CompileError) as refusal:
        nirc.compile(model, "speck", writer="sinabs,spikes=one,reset=zero", strict=True, dt=1e-3)
    assert [d.code for d in refusal.value.diagnostics if d.severity == "error"] == ["D415"]


def test_a_lower_bound_that_the_chip_cannot_hold_is_reported() -> None:
    model = line((4,), nir.Linear(np.full((3, 4), 0.01)), fire(3), out=(3,))
    held, cut = (
        compiled(model, reset="model", writer=f"sinabs,floor={floor}") for floor in (-1, -1000)
    )
    assert "D412" not in {d.code for d in held.diagnostics}
    (warning,) = [d for d in cut.diagnostics if d.code == "D412"]
    assert configuration(cut).layers[0].threshold_low == -32768 and int(warning.found) < -32768


def test_the_readout_layer_gets_every_fourth_channel() -> None:
    model = small(np.random.default_rng(0))
    plain, voted = compiled(model), compiled(model, chip={"readout": "layer"})
    (core,) = [
        core for core in configuration(voted).layers if core.core == configuration(voted).readout
    ]
    assert core.shape_out == (17, 1, 1)
    assert not np.delete(core.kernel, np.s_[::4], axis=0).any()
    inputs = np.random.default_rng(1).poisson(0.4, (3, 12, 64))
    np.testing.assert_array_equal(plain.run(inputs).outputs, voted.run(inputs).outputs)


def test_the_readout_layer_has_15_classes() -> None:
    model = line((4,), nir.Linear(np.ones((16, 4))), fire(16), out=(16,))
    assert [code for code, _, _ in refused(model, chip={"readout": "layer"})] == ["S719"]


def test_the_camera_can_be_the_input() -> None:
    rng = np.random.default_rng(0)
    model = line((2, 64, 64), pool(2), conv(rng, 2, 4, padding=1), fire(4, 32, 32), out=(4, 32, 32))
    tree = json.loads(compiled(model, chip={"input": "dvs"}).files["config.json"])["dvs_layer"]
    assert tree["pass_sensor_events"] and tree["pooling"] == {"x": 2, "y": 2}
    assert tree["origin"] == {"x": 16, "y": 16} and tree["cut"] == {
        "x": 47,
        "y": 47,
    }  # 32 x 32 of 64 x 64 pooled pixels
    assert sum(d["enable"] for d in tree["destinations"]) == 1
    spikes(model, samples=1, steps=4, chip=(("input", "dvs"),))


def test_the_camera_has_128_pixels_a_side() -> None:
    rng = np.random.default_rng(0)
    for side, codes in ((128, []), (130, ["S720"])):
        out = (2, side // 4, 2)
        model = line((1, side, 8), pool(4), conv(rng, 1, 2, 1), fire(*out), out=out)
        log = Log()
        with contextlib.suppress(nirc.CompileError):
            compile_model(model, "speck", Options(chip=(("input", "dvs"),)), log=log)
        assert [d.code for d in log.diagnostics if d.severity == "error"] == codes


def test_the_camera_has_two_polarities() -> None:
    model = line((3, 8, 8), conv(np.random.default_rng(0), 3, 2), fire(2, 6, 6), out=(2, 6, 6))
    assert [code for code, _, _ in refused(model, chip={"input": "dvs"})] == ["S720"]


@pytest.mark.usefixtures("small_calibration")
def test_measured_activity_decides_which_core_is_loaded() -> None:
    rng = np.random.default_rng(0)
    result = [
        compile_model(
            small(rng), "speck", Options(reset="subtract"), calibration=calibration, log=Log()
        )
        for calibration in (None, np.ones((2, 6, 64), dtype=int))
    ]
    events = [m.integer["n1"].dynamics.events for m in result]
    assert events == [pytest.approx(6.4), 64.0]


def test_membranes_fall_to_minus_the_threshold_if_the_network_was_trained_so() -> None:
    free, bounded = (
        configuration(compiled(DIGITS, chip={"floor": floor})).layers
        for floor in ("none", "threshold")
    )
    assert {core.threshold_low for core in free} == {-32768}
    assert [core.threshold_low for core in bounded] == [-core.threshold_high for core in free]
    spikes(DIGITS, chip=(("floor", "threshold"),))


@pytest.mark.parametrize("name", ["if", "lif", "pool_first"])
def test_a_network_of_spyx_is_early_on_the_chip(name: str) -> None:
    """Its neurons send their spikes a step later, and have biases. The chip waits for nothing."""
    result = compile_model(DATA / f"simulators/spyx/{name}.nir", "speck")
    manifest = result.bundle.manifest
    blocks = manifest["populations"]
    assert [block["latency_steps"] for block in blocks.values()] == [0, -1]
    assert set(manifest["output_latency_steps"]) == {-2}  # the model shows its spikes a step later
    channels = len(manifest["input_map"])
    inputs = np.random.default_rng(0).poisson(0.3, (4, 20, channels))
    device = result.bundle.run(inputs, record=list(blocks))
    integer = run(result.integer, inputs, record=list(blocks))
    np.testing.assert_array_equal(device.outputs, integer.outputs)
    for population in blocks:
        np.testing.assert_array_equal(device.spikes[population], integer.spikes[population])
        assert device.spikes[population].any()


def test_calibration_judges_a_network_of_spyx_at_the_models_steps() -> None:
    """Two layers of exact weights: the answer event by event is that of the model, steps too."""
    identity = nir.Linear(np.eye(3))
    model = line((3,), identity, fire(3), identity, fire(3), out=(3,))
    inputs = np.random.default_rng(0).integers(0, 2, (4, 9, 3))
    result = compile_model(model, "speck", Options(writer="spyx"))
    frames, events = SpeckChip(SpeckQuantise(), events=True).answers(result.integer, inputs)
    np.testing.assert_array_equal(frames, run(result.stages.discrete, inputs).outputs)
    np.testing.assert_array_equal(frames, events)
    assert frames.any()


def test_the_same_model_gives_the_same_bytes() -> None:
    assert compiled(DIGITS).files == compiled(DIGITS).files
