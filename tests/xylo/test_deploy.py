"""The loader script: finds every fault without the vendor's package, and tells the chip everything with it."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.backends.xylo.emit import emit
from nirc.backends.xylo.limits import AUDIO2, AUDIO3, IMU, VARIANTS
from nirc.chip.target import Target
from tests.deployed import loaded
from tests.models import DT, chain, cuba, linear, raster, recurrent
from tests.xylo import samna_mock
from tests.xylo.test_emit import specification

Config = dict[str, Any]
Change = Callable[[Config, Config], object]  # gets the configuration and its hidden block
PARTS = {"audio2": "reservoir", "audio3": "hidden", "imu": "hidden"}

each_variant = pytest.mark.parametrize("variant", PARTS)
each_target = pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)


def compiled(variant: str, directory: Path) -> Path:
    model = recurrent(np.random.default_rng(0), 3, 6, 2)
    return nirc.compile(model, f"xylo:{variant}", reset="subtract").save(directory)


def written(target: Target, directory: Path, *, hidden: int = 5) -> Path:
    """The chip's files alone, without a manifest: enough for all but running."""
    spec = specification(hidden=hidden, two=target is not IMU)
    for name, data in emit(spec, target, dt_s=1e-3, clock_hz=50_000_000).items():
        (directory / name).write_bytes(data)
    return directory


def script(directory: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """deploy.py in an interpreter without any package."""
    command = [sys.executable, "-I", "-S", str(directory / "deploy.py"), *map(str, args)]
    environment = {"PYTHONIOENCODING": "ascii:strict"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """deploy.py in this interpreter, where samna may be the stand-in."""
    monkeypatch.setattr(sys, "argv", ["deploy.py", *map(str, args)])
    loaded(directory).main()


@pytest.fixture
def samna(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in for the variant of the test, where `import samna` finds it."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    variant = parameters.get("variant") or getattr(parameters.get("target"), "variant", "audio2")
    package = samna_mock.make(str(variant))
    monkeypatch.setitem(sys.modules, "samna", package)
    return package


# Checking


@each_target
def test_a_good_configuration_passes_without_any_package(target: Target, tmp_path: Path) -> None:
    done = script(written(target, tmp_path), "--check")
    assert done.returncode == 0 and target.variant in done.stdout and not done.stderr


@each_target
def test_the_script_is_python_3_9_and_has_the_limits_of_its_variant(target: Target, tmp_path: Path) -> None:
    text = (written(target, tmp_path) / "deploy.py").read_text()
    ast.parse(text, feature_version=(3, 9))
    module = loaded(tmp_path)
    assert {limit.name: limit.max for limit in target.limits} == module.LIMITS
    assert "eval(" not in text and "exec(" not in text and "pickle=True" not in text


def put(part: str, *path: str | int, value: object) -> Change:
    """Set the value at ``path`` of ``part``; "block" is the hidden block."""

    def change(config: Config, block: Config) -> None:
        place: Any = block if part == "block" else config[part]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def top(key: str, value: object) -> Change:
    return lambda config, block: config.__setitem__(key, value)


FAULTS: list[tuple[str, str, Change]] = [  # place ("block" is the variant's name for it), what is said, change
    ("input.weights[0][0]", "128 is outside -128..127", put("input", "weights", 0, 0, value=128)),
    ("input.weights[2][1]", "-129 is outside -128..127", put("input", "weights", 2, 1, value=-129)),
    ("input.weights[0][0]", "true is not a whole number", put("input", "weights", 0, 0, value=True)),
    ("input.weights[0][0]", "1.0 is not a whole number", put("input", "weights", 0, 0, value=1.0)),
    ("input.weights[0][0]", "'NaN' is not a whole number", put("input", "weights", 0, 0, value=float("nan"))),
    ("input.weights[0][0]", "...", put("input", "weights", 0, 0, value=10**3000)),
    ("input.weights[0][0]", "null is not", put("input", "weights", 0, 0, value=None)),
    ("input.weights[0][0]", "a list is not", put("input", "weights", 0, 0, value=[1])),
    ("input.weights[0][0]", "is not", put("input", "weights", 0, 0, value="\ud800é __import__('os')")),
    ("input.weights[1]", "has 6 weights, needs a list of 5", lambda c, b: c["input"]["weights"][1].append(0)),
    ("input.weights[1]", "3 weights", put("input", "weights", 1, value=[1, 2, 3])),
    ("input.weights[1]", "is 7", put("input", "weights", 1, value=7)),
    ("input.weights", "17 input channels, allowed 1..16", put("input", "weights", value=[[0] * 5] * 17)),
    ("input.weights", "0 input channels", put("input", "weights", value=[])),
    ("input", "is missing, needs an object", lambda c, b: c.pop("input")),
    ("input.weight_bit_shift", "8 is outside 0..7", put("input", "weight_bit_shift", value=8)),
    ("readout.weight_bit_shift", "-1 is outside 0..7", put("readout", "weight_bit_shift", value=-1)),
    ("block.weight_bit_shift", "null is not a whole number", lambda c, b: b.pop("weight_bit_shift")),
    ("block.weights[4][4]", "128 is outside", put("block", "weights", 4, 4, value=128)),
    ("block.weights", "has 6 rows, needs 5", lambda c, b: b["weights"].append([0] * 5)),
    ("block.weights", "is not a list", put("block", "weights", value={})),
    ("block.weights", "has 5 rows, needs 4", lambda c, b: b["neurons"].pop()),
    ("block.neurons", "allowed 1..", put("block", "neurons", value=[])),
    ("block.neurons", "an object is not a list", put("block", "neurons", value={})),
    ("block.neurons[0]", "7 is not a neuron", put("block", "neurons", 0, value=7)),
    ("block.neurons[0].threshold", "0 is outside 1..32767", put("block", "neurons", 0, "threshold", value=0)),
    ("block.neurons[4].threshold", "32768 is outside", put("block", "neurons", 4, "threshold", value=32768)),
    ("block.neurons[0].v_mem_decay", "16 is outside 0..15", put("block", "neurons", 0, "v_mem_decay", value=16)),
    ("block.neurons[0].i_syn_decay", "-1 is outside", put("block", "neurons", 0, "i_syn_decay", value=-1)),
    ("block.neurons[0].v_mem_bias", "128 is outside", put("block", "neurons", 0, "v_mem_bias", value=128)),
    ("block.neurons[2].v_mem_bias", "null is not", lambda c, b: b["neurons"][2].pop("v_mem_bias")),
    ("block.neurons[3].alias_target", "3 is the neuron itself", put("block", "neurons", 3, "alias_target", value=3)),
    ("block.neurons[0].alias_target", "5 is not null", put("block", "neurons", 0, "alias_target", value=5)),
    ("block.neurons[0].alias_target", "false is not null", put("block", "neurons", 0, "alias_target", value=False)),
    ("block.neurons[1].alias_target", "aliasing is off", put("block", "aliasing", value=False)),
    ("block.aliasing", "1 is not true or false", put("block", "aliasing", value=1)),
    ("readout.weights", "has 6 rows", lambda c, b: c["readout"]["weights"].append([0, 0])),
    ("readout.weights[4]", "1 weights", put("readout", "weights", 4, value=[0])),
    ("readout.weights[4][1]", "128 is outside", put("readout", "weights", 4, 1, value=128)),
    (
        "readout.neurons",
        "33 output neurons",
        lambda c, b: c["readout"].update(neurons=c["readout"]["neurons"][:1] * 33),
    ),
    ("readout.neurons[1].threshold", "-5 is outside", put("readout", "neurons", 1, "threshold", value=-5)),
    ("bias_enable", "1 is not true or false", top("bias_enable", 1)),
    ("debug", "is missing", lambda c, b: c.pop("debug")),
    ("debug", "'__class__' is not a field", put("debug", "__class__", value=True)),
    ("config.json", "'synapse_2_enable' is not a field", top("synapse_2_enable", True)),
    ("input", "'weight' is not a field", put("input", "weight", value=[])),
    ("block", "'alias' is not a field", put("block", "alias", value=True)),
    ("block.neurons[2]", "'alias_traget' is not a field", put("block", "neurons", 2, "alias_traget", value=0)),
    ("readout.neurons[0]", "'alias_target' is not", put("readout", "neurons", 0, "alias_target", value=None)),
    ("block.neurons[1].alias_target", "is missing", lambda c, b: b["neurons"][1].pop("alias_target")),
    ("format", "is not 'nirc-xylo-config/1'", top("format", "nirc-xylo-config/2")),
    ("variant", "'speck' is not", top("variant", "speck")),
    ("operation_mode", "'RealTime' is not 'AcceleratedTime'", top("operation_mode", "RealTime")),
]
TWO_SYNAPSES: list[tuple[str, str, Change]] = [
    ("input.syn2_weights[0][0]", "128 is outside", put("input", "syn2_weights", 0, 0, value=128)),
    ("block.syn2_weights", "is missing, needs a list", lambda c, b: b.pop("syn2_weights")),
    ("block.neurons[0].i_syn2_decay", "16 is outside", put("block", "neurons", 0, "i_syn2_decay", value=16)),
    ("synapse2_enable", "is missing", lambda c, b: c.pop("synapse2_enable")),
]


@each_target
def test_each_fault_is_found_at_its_place_with_value_and_range(target: Target, tmp_path: Path) -> None:
    module = loaded(written(target, tmp_path))
    good = module.read_config()
    assert module.check_config(copy.deepcopy(good)) == []
    for path, said, change in FAULTS + (TWO_SYNAPSES if target is not IMU else []):
        config = copy.deepcopy(good)
        change(config, config[PARTS[target.variant]])
        (tmp_path / "config.json").write_text(json.dumps(config))
        faults = module.check_config(module.read_config())
        place = path.replace("block", PARTS[target.variant], 1)
        assert any(f.startswith(f"{place}: ") and said in f for f in faults), (path, faults)
        assert all(f.isascii() and len(f) < 150 for f in faults)


@pytest.mark.parametrize(
    ("target", "change"),
    [
        (AUDIO2, put("debug", "isyn_clock_enable", value=1)),
        (AUDIO3, top("input_source", "DigitalMicrophone")),
        (IMU, top("imu_if_input_enable", True)),
        (IMU, top("imu_if_input_enable", 0)),
        (IMU, put("debug", "always_update_omp_stat", value=None)),
        (AUDIO2, top("time_resolution_wrap", 50_000)),
        (AUDIO3, top("time_resolution_wrap", -1)),
        (IMU, top("time_resolution_wrap", 50_000.0)),
        (IMU, top("synapse2_enable", False)),
    ],
)
def test_the_variants_own_fields_are_checked(target: Target, change: Change, tmp_path: Path) -> None:
    module = loaded(written(target, tmp_path))
    config = module.read_config()
    change(config, config[PARTS[target.variant]])
    assert len(module.check_config(config)) == 1


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    config = json.loads((written(AUDIO2, tmp_path) / "config.json").read_text())
    config["input"]["weights"][0][0] = 128
    config["input"]["weight_bit_shift"] = 8
    config["readout"]["neurons"][1]["threshold"] = 0
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = script(tmp_path, "--check")
    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == {
        "input.weights[0][0]",
        "input.weight_bit_shift",
        "readout.neurons[1].threshold",
    }


@pytest.mark.parametrize("hidden", [128, 129, 140])
@pytest.mark.parametrize("target", [AUDIO3, IMU], ids=lambda t: t.variant)
def test_inputs_have_the_first_128_columns_and_outputs_the_last_128_rows(
    target: Target, hidden: int, tmp_path: Path
) -> None:
    module = loaded(written(target, tmp_path, hidden=hidden))
    config = module.read_config()
    assert module.check_config(config) == []
    for row in config["input"]["weights"]:
        row.append(0)
    config["readout"]["weights"].insert(0, [0, 0])
    faults = module.check_config(config)
    assert "input.weights[0]: has 129 weights, needs a list of 128" in faults
    assert "readout.weights: has 129 rows, needs 128" in faults


def test_at_the_limit_of_targets_all_is_well_and_one_above_is_a_fault(tmp_path: Path) -> None:
    spec = specification(hidden=600)
    spec.weights_rec[:] = 0
    spec.weights_rec[:500, :32, 0] = 1  # 500 neurons with 64 targets each, half of them in either synapse: 32,000
    spec.weights_rec[:500, 32:64, 1] = 1
    spec.weights_rec[:500, 0, 1] = 1  # both synapses of one pair cost one entry
    for name, data in emit(spec, AUDIO2, dt_s=None, clock_hz=50_000_000).items():
        (tmp_path / name).write_bytes(data)
    module = loaded(tmp_path)
    config = module.read_config()
    assert module.check_config(config) == []
    config["reservoir"]["weights"][499][64] = -1
    faults = module.check_config(config)
    assert faults == [
        "reservoir.weights[499]: 65 is above the limit 64 (fan-out of one neuron)",
        "reservoir.weights: 32001 is above the limit 32000 (recurrent entries)",
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"a": 1, "a": 2}', "1" * 10_000, "\udcff"])
def test_what_is_no_configuration_is_refused_without_a_traceback(text: str, tmp_path: Path) -> None:
    (written(AUDIO2, tmp_path) / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    done = script(tmp_path, "--check")
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stdout + done.stderr


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = written(AUDIO2, tmp_path) / "config.json"
    path.write_text(path.read_text().replace('"bias_enable": true', '"bias_enable": false,\n "bias_enable": true'))
    done = script(tmp_path, "--check")
    assert done.returncode == 1 and "same key twice" in done.stderr


# Building


@each_target
def test_the_vendors_object_gets_every_field(target: Target, tmp_path: Path, samna: Any) -> None:
    module = loaded(written(target, tmp_path))
    config = module.read_config()
    made = module.validated(module.vendor()[1], config)
    inner, block = getattr(made, module.BLOCK), config[module.BLOCK]
    for part, values in ((made.input, config["input"]), (inner, block), (made.readout, config["readout"])):
        assert part.weights == values["weights"] and part.weight_bit_shift == values["weight_bit_shift"]
        if target is not IMU and part is not made.readout:
            assert part.syn2_weights == values["syn2_weights"]
    for neurons, wanted in ((inner.neurons, block["neurons"]), (made.readout.neurons, config["readout"]["neurons"])):
        assert [{key: getattr(n, key) for key in w} for n, w in zip(neurons, wanted, strict=True)] == wanted
    assert inner.aliasing is True and inner.neurons[1].alias_target == 0  # rockpool's simulator drops neuron 0
    assert made.bias_enable is True and (target is IMU or made.synapse2_enable is True)
    assert all(getattr(made.debug, flag) is value for flag, value in config["debug"].items())


def test_hidden_biases_arrive_which_the_vendors_path_loses(tmp_path: Path, samna: Any) -> None:
    rng = np.random.default_rng(0)
    affine = nir.Affine(weight=rng.normal(0, 1, (5, 3)), bias=np.full(5, 0.3))
    model = chain(3, affine, cuba(5), linear(rng, 2, 5), cuba(2), n_out=2)
    module = loaded(nirc.compile(model, "xylo:audio2", reset="subtract").save(tmp_path / "b"))
    made = module.build(module.vendor()[1], module.read_config())
    assert made.bias_enable is True and all(n.v_mem_bias > 0 for n in made.reservoir.neurons)
    assert made.debug.bias_clock_enable is True


@each_target
def test_without_a_second_synapse_none_of_its_fields_is_touched(target: Target, tmp_path: Path, samna: Any) -> None:
    spec = specification(two=False)
    for name, data in emit(spec, target, dt_s=None, clock_hz=1).items():
        (tmp_path / name).write_bytes(data)
    module = loaded(tmp_path)
    made = module.validated(module.vendor()[1], module.read_config())
    if target is not IMU:
        assert made.synapse2_enable is False and made.input.syn2_weights == []


def test_the_stand_in_is_strict() -> None:
    made = samna_mock.make("audio2").xyloCore2.configuration.XyloConfiguration()
    for part, name, value in [
        (made, "hidden", None),
        (made, "bias_enable", 1),
        (made.input, "weights", [[128]]),
        (made.input, "weights", [[np.int8(1)]]),
        (made.input, "weights", np.zeros((1, 1), dtype=np.int8)),
        (made.input, "weight_bit_shift", 8),
        (made.reservoir, "neurons", [made]),
        (made.debug, "isyn_clock_enabled", True),
    ]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(part, name, value)
    with pytest.raises(AttributeError):
        samna_mock.make("audio2").xyloCore2.event.Spike(timestep=0)
    with pytest.raises(AttributeError):
        samna_mock.make("imu").xyloImu.event.Spike(timestamp=0)


def test_a_weight_beyond_8_bits_never_reaches_the_vendor(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(AUDIO2, tmp_path)
    config = json.loads((directory / "config.json").read_text())
    config["input"]["weights"][0][0] = 128  # rockpool's cast makes -128 of it
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(SystemExit) as stop:
        call(directory, monkeypatch)
    assert stop.value.code == 1 and samna.board.uploads == []


@each_target
def test_a_dry_run_opens_no_board(
    target: Target, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samna.device = None
    call(written(target, tmp_path), monkeypatch, "--dry-run")
    assert "samna accepts the configuration" in capsys.readouterr().out


def test_a_refusal_by_the_vendor_is_passed_on(tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    samna.xyloCore2.validate_configuration = lambda config: (False, "the moon is full")
    with pytest.raises(SystemExit, match="the moon is full"):
        call(written(AUDIO2, tmp_path), monkeypatch, "--dry-run")


@pytest.mark.parametrize("name", ["isyn_clock_enable", "ram_power_enable"])
def test_a_samna_that_lacks_a_field_is_a_message(
    name: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    debug = type(samna.xyloCore2.configuration.XyloConfiguration().debug)
    monkeypatch.delitem(debug._fields, name)
    with pytest.raises(SystemExit, match=f"does not take the configuration: AttributeError: .*{name}"):
        call(written(AUDIO2, tmp_path), monkeypatch, "--dry-run")


def test_without_the_vendors_package_the_script_says_what_is_missing(tmp_path: Path) -> None:
    done = script(written(AUDIO2, tmp_path), "--dry-run")
    assert done.returncode == 3 and "samna" in done.stderr and "Traceback" not in done.stderr


# Running


@each_target
def test_called_without_options_it_loads_the_network(
    target: Target, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(written(target, tmp_path), monkeypatch)
    assert len(samna.board.uploads) == 1


def run_on_board(directory: Path, inputs: np.ndarray, monkeypatch: pytest.MonkeyPatch, *args: object) -> np.ndarray:
    np.savez(directory.parent / "in.npz", inputs=inputs)
    out = directory.parent / "out"  # numpy would add .npz
    call(directory, monkeypatch, "--raster", directory.parent / "in.npz", "--out", out, *args)
    with np.load(out) as saved:
        np.testing.assert_allclose(saved["output"], saved["spikes"].sum(axis=1))
        return np.asarray(saved["spikes"])


@each_variant
def test_two_runs_on_the_board_are_what_nirc_run_gives(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = compiled(variant, tmp_path / "b")
    for seed in (1, 2):  # the board's time goes on
        samna.board.past = []  # as after a reset: only Audio 2 can clear its states by itself
        inputs = raster(np.random.default_rng(seed), 1, 20, 3, rate=0.5)
        expected = nirc.Bundle.open(directory).run(inputs).output
        assert expected.sum() > 0
        np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)
    assert samna.board.step > 40


def test_every_sample_starts_from_cleared_states(tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = compiled("audio2", tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    expected = nirc.Bundle.open(directory).run(inputs).output
    np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)


@pytest.mark.parametrize("variant", ["audio3", "imu"])
def test_where_states_cannot_be_cleared_samples_in_a_row_must_be_asked_for(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    with pytest.raises(SystemExit, match="--keep-state"):
        run_on_board(directory, inputs, monkeypatch)
    assert samna.board.written == [] and not (tmp_path / "out").exists()
    found = run_on_board(directory, inputs, monkeypatch, "--keep-state")
    assert capsys.readouterr().err.count("cannot clear the neurons' states") == 1
    expected = nirc.Bundle.open(directory).run(inputs).output
    np.testing.assert_array_equal(found[0], expected[0])  # the board was new; then the samples differ
    assert (found[1:] != expected[1:]).any()


@pytest.mark.parametrize("variant", ["audio3", "imu"])
def test_a_samna_that_can_clear_states_is_asked_to(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = next(m for m in (getattr(samna, n, None) for n in ("xyloAudio3", "xyloImu")) if m).configuration
    configuration.XyloConfiguration._fields["clear_network_state"] = (samna_mock.boolean, False)
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    expected = nirc.Bundle.open(directory).run(inputs).output
    np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)


def membranes(variant: str, directory: Path) -> Path:
    rng = np.random.default_rng(0)
    one = np.ones(2)
    model = chain(3, linear(rng, 6, 3), cuba(6), linear(rng, 2, 6), nir.LI(8 * one * DT, 8 * one, 0 * one), n_out=2)
    return nirc.compile(model, f"xylo:{variant}", reset="subtract").save(directory)


@each_variant
def test_outputs_that_do_not_fire_are_read_in_volts_or_refused(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = membranes(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 1, 20, 3, rate=0.5)
    if variant == "audio2":
        with pytest.raises(SystemExit, match="membranes"):
            run_on_board(directory, inputs, monkeypatch)
        return
    expected = nirc.Bundle.open(directory).run(inputs).output
    assert np.abs(expected).sum() > 0
    np.testing.assert_allclose(run_on_board(directory, inputs, monkeypatch), expected)


@each_variant
def test_a_board_that_is_missing_or_silent_ends_the_script(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = compiled(variant, tmp_path / "b")
    samna.board.silent = True
    with pytest.raises(SystemExit, match="--timeout"):
        run_on_board(directory, np.ones((1, 5, 3), dtype=int), monkeypatch, "--timeout", 0.05)
    samna.device.get_all_devices = list
    with pytest.raises(SystemExit, match="TestBoard is connected"):
        call(directory, monkeypatch)
    samna.device = None  # as if the vendor's own code failed
    with pytest.raises(SystemExit, match="the run failed: AttributeError"):
        call(directory, monkeypatch)


def test_a_missing_folder_is_noticed_before_the_run(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = compiled("audio2", tmp_path / "b")
    np.savez(tmp_path / "in.npz", inputs=np.ones((1, 5, 3), dtype=int))
    with pytest.raises(SystemExit, match="--out: there is no folder"):
        call(directory, monkeypatch, "--raster", tmp_path / "in.npz", "--out", tmp_path / "no" / "out.npz")
    assert samna.board.written == []


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((1, 5, 4)),
        np.zeros((1, 0, 3)),
        np.zeros((5, 3)),
        np.full((1, 5, 3), 16),
        np.full((1, 5, 3), -1),
        np.full((1, 5, 3), 0.5),
        np.full((1, 5, 3), np.nan),
        np.full((1, 5, 3), np.inf),
        np.full((1, 5, 3), "1"),
        np.full((1, 5, 3), 1j),
    ],
)
def test_a_raster_that_does_not_fit_is_refused(
    inputs: np.ndarray, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="inputs"):
        run_on_board(compiled("audio2", tmp_path / "b"), inputs, monkeypatch)
    assert samna.board.written == []


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x93NUMPY", b"no array"])
def test_a_damaged_raster_is_refused(data: bytes, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = compiled("audio2", tmp_path / "b")
    (tmp_path / "bad.npz").write_bytes(data)
    with pytest.raises(SystemExit, match="cannot be read"):
        call(directory, monkeypatch, "--raster", tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_map", None),
        ("input_map", [0, 1, 99]),
        ("output_map", [0, -1]),
        ("output_latency_steps", [0]),
        ("output_kind", "volts"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    key: str, value: object, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = compiled("audio2", tmp_path / "b")
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(SystemExit, match=key):
        run_on_board(directory, np.ones((1, 5, 3), dtype=int), monkeypatch)


@pytest.mark.parametrize("variant", ["imu"])
@pytest.mark.parametrize("populations", [None, [], {}, {"a": {"part": "readout", "index": [0, 1], "scale": [1, 0]}}])
def test_membranes_without_a_scale_are_refused(
    populations: object, variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = membranes(variant, tmp_path / "b")
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"populations": populations}))
    with pytest.raises(SystemExit, match="scale"):
        run_on_board(directory, np.ones((1, 5, 3), dtype=int), monkeypatch)
