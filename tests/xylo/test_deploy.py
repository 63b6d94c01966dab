"""The loader script of Xylo: tells the vendor's package everything, and runs as nirc's emulator
does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import nirc
from nirc.backends.xylo.emit import emit
from nirc.backends.xylo.limits import AUDIO2, AUDIO3, IMU, VARIANTS
from nirc.chip.target import Target
from tests.deployed import bundle, loaded
from tests.models import DT, chain, cuba, linear, raster, recurrent
from tests.xylo import samna_mock
from tests.xylo.test_emit import specification

PARTS = {"audio2": "reservoir", "audio3": "hidden", "imu": "hidden"}

each_variant = pytest.mark.parametrize("variant", PARTS)
each_target = pytest.mark.parametrize("target", VARIANTS, ids=lambda t: t.variant)


def compiled(variant: str, directory: Path) -> Path:
    model = recurrent(np.random.default_rng(0), 3, 6, 2)
    return nirc.compile(model, f"xylo:{variant}", reset="subtract").save(directory)


def written(target: Target, directory: Path, *, hidden: int = 5, two: bool = True) -> Path:
    """A bundle around a random network."""
    spec = specification(hidden=hidden, two=two and target is not IMU)
    return bundle(directory, emit(spec, target, dt_s=1e-3, clock_hz=50_000_000), 3, 2)


def config_of(directory: Path) -> Any:
    return json.loads((directory / "config.json").read_text())


def config_faults(module: Any, config: object) -> list[str]:
    """What is wrong in config.json."""
    found = module.Faults()
    module.FILES[0].check(config, {}, found)
    return [str(fault) for fault in found.all]


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """deploy.py in this interpreter, where samna may be the stand-in."""
    monkeypatch.setattr(sys, "argv", ["deploy.py", *map(str, args)])
    loaded(directory).SCRIPT.main()


@pytest.fixture
def samna(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in for the variant of the test, where `import samna` finds it."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    variant = parameters.get("variant") or getattr(parameters.get("target"), "variant", "audio2")
    package = samna_mock.make(str(variant))
    monkeypatch.setitem(sys.modules, "samna", package)
    return package


# Checking: what is special about matrices. All else is in tests/deploy.


@pytest.mark.parametrize("hidden", [128, 129, 140])
@pytest.mark.parametrize("target", [AUDIO3, IMU], ids=lambda t: t.variant)
def test_inputs_have_the_first_128_columns_and_outputs_the_last_128_rows(
    target: Target, hidden: int, tmp_path: Path
) -> None:
    directory = written(target, tmp_path, hidden=hidden)
    module, config = loaded(directory), config_of(directory)
    assert config_faults(module, config) == []
    for row in config["input"]["weights"]:
        row.append(0)
    (found,) = config_faults(module, config)
    assert (
        found.startswith("input.weights[0]: ") and "a list of 129, allowed a list of 128" in found
    )
    config = config_of(directory)
    del config["readout"]["weights"][0]
    (found,) = config_faults(module, config)
    assert found.startswith("readout.weights: ") and "a list of 127, allowed a list of 128" in found
    config["readout"]["weights"] = [[0, 0]] * 129
    (found,) = config_faults(module, config)
    assert found.startswith("readout.weights: ") and "found 129, allowed 1..128" in found


def test_at_the_limit_of_targets_all_is_well_and_one_above_is_a_fault(tmp_path: Path) -> None:
    spec = specification(hidden=600)
    spec.weights_rec[:] = 0
    spec.weights_rec[:500, :32, 0] = (
        1  # 500 neurons with 64 targets each, half of them in either synapse: 32,000
    )
    spec.weights_rec[:500, 32:64, 1] = 1
    spec.weights_rec[:500, 0, 1] = 1  # both synapses of one pair cost one entry
    directory = bundle(tmp_path, emit(spec, AUDIO2, dt_s=None, clock_hz=50_000_000), 3, 2)
    module, config = loaded(directory), config_of(directory)
    assert config_faults(module, config) == []
    config["reservoir"]["weights"][499][64] = -1
    assert config_faults(module, config) == [
        "reservoir.weights[499]: a neuron has too many targets: found 65, allowed 0..64",
        "reservoir.weights: there are too many recurrent entries: found 32001, allowed 0..32000",
    ]


# Building


@each_target
def test_the_vendors_object_gets_every_field(target: Target, tmp_path: Path, samna: Any) -> None:
    directory = written(target, tmp_path)
    module, config = loaded(directory), config_of(directory)
    made = module.validated(module.samna_module(module.MODULE)[1], config)
    inner, block = getattr(made, module.BLOCK), config[module.BLOCK]
    for part, values in (
        (made.input, config["input"]),
        (inner, block),
        (made.readout, config["readout"]),
    ):
        assert (
            part.weights == values["weights"]
            and part.weight_bit_shift == values["weight_bit_shift"]
        )
        if target is not IMU and part is not made.readout:
            assert part.syn2_weights == values["syn2_weights"]
    for neurons, wanted in (
        (inner.neurons, block["neurons"]),
        (made.readout.neurons, config["readout"]["neurons"]),
    ):
        assert [
            {key: getattr(n, key) for key in w} for n, w in zip(neurons, wanted, strict=True)
        ] == wanted
    assert (
        inner.aliasing is True and inner.neurons[1].alias_target == 0
    )  # rockpool's simulator drops neuron 0
    assert made.bias_enable is True and (target is IMU or made.synapse2_enable is True)
    assert all(getattr(made.debug, flag) is value for flag, value in config["debug"].items())


def test_hidden_biases_arrive_which_the_vendors_path_loses(tmp_path: Path, samna: Any) -> None:
    rng = np.random.default_rng(0)
    affine = nir.Affine(weight=rng.normal(0, 1, (5, 3)), bias=np.full(5, 0.3))
    model = chain(3, affine, cuba(5), linear(rng, 2, 5), cuba(2), n_out=2)
    directory = nirc.compile(model, "xylo:audio2", reset="subtract").save(tmp_path / "b")
    module = loaded(directory)
    made = module.build(module.samna_module(module.MODULE)[1], config_of(directory))
    assert made.bias_enable is True and all(n.v_mem_bias > 0 for n in made.reservoir.neurons)
    assert made.debug.bias_clock_enable is True


@each_target
def test_without_a_second_synapse_none_of_its_fields_is_touched(
    target: Target, tmp_path: Path, samna: Any
) -> None:
    directory = written(target, tmp_path, two=False)
    module = loaded(directory)
    made = module.validated(module.samna_module(module.MODULE)[1], config_of(directory))
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
    target: Target,
    tmp_path: Path,
    samna: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samna.device = None
    call(written(target, tmp_path), monkeypatch, "--dry-run")
    assert "samna accepts the configuration" in capsys.readouterr().out


def test_a_refusal_by_the_vendor_is_passed_on(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    samna.xyloCore2.validate_configuration = lambda config: (False, "the moon is full")
    with pytest.raises(SystemExit, match="the moon is full"):
        call(written(AUDIO2, tmp_path), monkeypatch, "--dry-run")


@pytest.mark.parametrize("name", ["isyn_clock_enable", "ram_power_enable"])
def test_a_samna_that_lacks_a_field_is_a_message(
    name: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    debug = type(samna.xyloCore2.configuration.XyloConfiguration().debug)
    monkeypatch.delitem(debug._fields, name)
    with pytest.raises(
        SystemExit, match=f"does not take the configuration: AttributeError: .*{name}"
    ):
        call(written(AUDIO2, tmp_path), monkeypatch, "--dry-run")


# Running


@each_target
def test_called_without_options_it_loads_the_network(
    target: Target, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(written(target, tmp_path), monkeypatch)
    assert len(samna.board.uploads) == 1


def run_on_board(
    directory: Path, inputs: np.ndarray, monkeypatch: pytest.MonkeyPatch, *args: object
) -> np.ndarray:
    np.savez(directory.parent / "in.npz", inputs=inputs)
    out = directory.parent / "out"  # numpy would add .npz
    call(directory, monkeypatch, "--data", directory.parent / "in.npz", "--out", out, *args)
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
        expected = nirc.Bundle.open(directory).run(inputs).outputs
        assert expected.sum() > 0
        np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)
    assert samna.board.step > 40


def test_every_sample_starts_from_cleared_states(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = compiled("audio2", tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    expected = nirc.Bundle.open(directory).run(inputs).outputs
    np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)


@pytest.mark.parametrize("variant", ["audio3", "imu"])
def test_where_states_cannot_be_cleared_samples_in_a_row_must_be_asked_for(
    variant: str,
    tmp_path: Path,
    samna: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    with pytest.raises(SystemExit, match="--keep-state"):
        run_on_board(directory, inputs, monkeypatch)
    assert samna.board.written == [] and not (tmp_path / "out").exists()
    found = run_on_board(directory, inputs, monkeypatch, "--keep-state")
    assert capsys.readouterr().err.count("cannot clear the neurons' states") == 1
    expected = nirc.Bundle.open(directory).run(inputs).outputs
    np.testing.assert_array_equal(
        found[0], expected[0]
    )  # the board was new. Then the samples differ
    assert (found[1:] != expected[1:]).any()


@pytest.mark.parametrize("variant", ["audio3", "imu"])
def test_a_samna_that_can_clear_states_is_asked_to(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = next(
        m for m in (getattr(samna, n, None) for n in ("xyloAudio3", "xyloImu")) if m
    ).configuration
    configuration.XyloConfiguration._fields["clear_network_state"] = (samna_mock.boolean, False)
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 3, 20, 3, rate=0.5)
    expected = nirc.Bundle.open(directory).run(inputs).outputs
    np.testing.assert_array_equal(run_on_board(directory, inputs, monkeypatch), expected)


def membranes(variant: str, directory: Path) -> Path:
    rng = np.random.default_rng(0)
    one = np.ones(2)
    model = chain(
        3,
        linear(rng, 6, 3),
        cuba(6),
        linear(rng, 2, 6),
        nir.LI(8 * one * DT, 8 * one, 0 * one),
        n_out=2,
    )
    return nirc.compile(model, f"xylo:{variant}", reset="subtract").save(directory)


@each_variant
def test_outputs_that_do_not_fire_are_read_in_volts(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = membranes(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 1, 20, 3, rate=0.5)
    expected = nirc.Bundle.open(directory).run(inputs).outputs
    assert np.abs(expected).sum() > 0
    np.testing.assert_allclose(run_on_board(directory, inputs, monkeypatch), expected)


@each_variant
def test_hidden_populations_are_recorded_as_the_emulator_records_them(
    variant: str, tmp_path: Path, samna: Any
) -> None:
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 1, 20, 3, rate=0.5)
    bundle_ = nirc.Bundle.open(directory)
    want = bundle_.run(inputs, record=list(bundle_.manifest["populations"]))
    board = loaded(directory).load()
    got = board.run(inputs, record="all")
    assert set(board.populations) == set(want.spikes) and all(v.any() for v in want.v.values())
    for name in want.spikes:
        np.testing.assert_array_equal(got[f"spikes/{name}"], want.spikes[name])
        np.testing.assert_array_equal(got[f"v/{name}"], want.v[name])
    assert samna.board.ram or variant == "audio3"
    board.run(inputs)  # without recordings the memory is closed again, which saves power
    assert not samna.board.ram


@each_variant
@pytest.mark.parametrize("size", [1, 7, 20])
def test_a_stream_of_chunks_is_one_long_sample(
    variant: str, size: int, tmp_path: Path, samna: Any
) -> None:
    directory = compiled(variant, tmp_path / "b")
    inputs = raster(np.random.default_rng(1), 1, 20, 3, rate=0.5)
    name = next(iter(nirc.Bundle.open(directory).manifest["populations"]))
    want = nirc.Bundle.open(directory).run(inputs, record=[name])
    parts = (inputs[0, i : i + size] for i in range(0, 20, size))
    got = list(loaded(directory).load().stream(parts, record=name))
    assert len(got) >= 20 // size and len(samna.board.uploads) == 1
    for key, rows in (("spikes", want.outputs), (f"v/{name}", want.v[name])):
        np.testing.assert_array_equal(np.concatenate([part[key] for part in got]), rows[0])


@pytest.mark.parametrize("variant", ["audio3", "imu"])
def test_a_live_run_takes_the_sensor_and_stops_after_its_time(
    variant: str, tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dt = 1e-3 if variant == "audio3" else 5e-3
    model = recurrent(np.random.default_rng(0), 3, 6, 2)
    for node in model.nodes.values():
        for name in ("tau_mem", "tau_syn", "tau"):
            if hasattr(node, name):
                setattr(node, name, getattr(node, name) * dt / DT)
    directory = nirc.compile(model, f"xylo:{variant}", reset="subtract", dt=dt).save(tmp_path / "b")
    call(directory, monkeypatch, "--live", 0.1, "--out", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as saved:
        rows = saved["spikes"][0]
    assert len(rows) and (rows[:, 1] == 1).all() and (np.diff(rows[:, 0]) != 0).all()
    made = samna.board.config
    assert made.operation_mode is samna_mock.OperationMode.RealTime
    assert made.time_resolution_wrap == round(dt * 50e6)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["data"] is None and record["steps"] == len(rows)
    if variant == "audio3":
        assert made.input_source is samna_mock.InputSource.DigitalMicrophone
        assert made.debug.sdm_clock_ratio == 15
        assert samna.board.clocks["pdm_clock_frequency"] == 50_000_000 // 32
    else:
        assert made.imu_if_input_enable and made.debug.imu_if_clock_freq_div == 999
        assert samna.board.sensor_port is False and samna.board.clocks["main"] == 50_000_000


def test_a_network_of_other_steps_is_not_run_on_the_motion_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "samna", samna_mock.make("imu"))
    with pytest.raises(SystemExit, match="steps of 5 ms"):
        call(compiled("imu", tmp_path / "b"), monkeypatch, "--live", 0.1, "--out", tmp_path / "o")


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
