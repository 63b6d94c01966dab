"""Speck's script sets everything in the vendor's package, and runs as nirc's emulator does."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirc.backends.speck import limits
from nirc.backends.speck.checks import memory_words
from nirc.backends.speck.configuration import Configuration, CoreLayer, Destination, Dvs, InputRoute
from nirc.backends.speck.emit import deploy_py, emit
from nirc.backends.speck.emulate import emulate
from nirc.backends.speck.geometry import kernel_words, neuron_words
from tests.deployed import bundle, loaded, script, signed
from tests.speck import samna_mock

ROOT = Path(__file__).parents[2]
STEP_US, LEAD_US = 1000, 100_000

each_variant = pytest.mark.parametrize("variant", ["2f", "2e"])


def configuration(variant: str = "2f") -> Configuration:
    """Core 1: 2 x 4 x 5 -> 3 x 4 x 5, pooled by 2 into core 3: 3 x 2 x 2 -> 4 x 1 x 1, monitored.

    Sides differ.
    """
    rng = np.random.default_rng(0)
    first = CoreLayer(
        core=1,
        shape_in=(2, 4, 5),
        shape_out=(3, 4, 5),
        kernel=rng.integers(-60, 100, (3, 2, 3, 3)),
        stride=(1, 1),
        padding=(1, 1),
        bias=np.zeros(3, np.int64),
        threshold_high=120,
        threshold_low=-200,
        return_to_zero=False,
        initial=rng.integers(-50, 50, (3, 4, 5)),
        destinations=(Destination(3, pooling=2),),
    )
    last = CoreLayer(
        core=3,
        shape_in=(3, 2, 2),
        shape_out=(4, 1, 1),
        kernel=rng.integers(-40, 100, (4, 3, 2, 2)),
        stride=(1, 1),
        padding=(0, 0),
        bias=np.zeros(4, np.int64),
        threshold_high=90,
        threshold_low=-1,
        return_to_zero=True,
        initial=np.zeros((4, 1, 1), np.int64),
        monitor=True,
    )
    route = InputRoute(first=0, shape=(2, 8, 10), layer=1, pooling=(2, 2))
    return Configuration(variant, (first, last), (route,))


def with_bias(hz: float | None = 1000.0) -> Configuration:
    chip = configuration()
    first = replace(chip.layers[0], bias=np.array([0, -3, 4]))
    return replace(chip, layers=(first, chip.layers[1]), slow_clock_hz=hz)


def with_camera(variant: str = "2f") -> Configuration:
    chip = configuration(variant)
    dvs = Dvs(origin=(30, 29), cut=(33, 33), pooling=2, merge=False)
    return replace(chip, dvs=dvs)


def with_readout(variant: str = "2f") -> Configuration:
    chip = configuration(variant)
    last = replace(chip.layers[1], destinations=(Destination(limits.READOUT),))
    return replace(chip, layers=(chip.layers[0], last), readout=3)


def written(chip: Configuration, directory: Path, **manifest: object) -> Path:
    """A bundle whose outputs are in another order than on the chip."""
    fields = {"dt": STEP_US / 1e6, "output_map": [2, 0, 1, 3], **manifest}
    return bundle(directory, emit(chip, dt_s=STEP_US / 1e6), chip.input_channels, 4, **fields)


def with_samna(directory: Path, text: str, *args: object) -> subprocess.CompletedProcess[str]:
    """deploy.py where ``import samna`` finds a module with this text before any other."""
    package = directory.parent / "packages"
    package.mkdir(exist_ok=True)
    (package / "samna.py").write_text(text)
    command = [sys.executable, str(directory / "deploy.py"), *map(str, args)]
    environment = {"PYTHONPATH": f"{package}:{ROOT}"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def on_board(
    directory: Path, *args: object, variant: str = "2f", more: str = ""
) -> list[list[Any]]:
    """Run deploy.py with the stand-in for samna. Return the board's log."""
    log = directory.parent / "log.json"
    made = f"samna_mock.make({variant!r}, Path({str(log)!r}))"
    text = (
        "import sys\nfrom pathlib import Path\nfrom tests.speck import samna_mock\nmade = "
        f"{made}\n{more}\n"
    )
    done = with_samna(directory, f"{text}sys.modules['samna'] = made\n", "--settle", 0, *args)
    assert done.returncode == 0, done.stdout + done.stderr
    on_board.said = done.stdout + done.stderr  # type: ignore[attr-defined]
    return list(json.loads(log.read_text()))


def applied(log: list[list[Any]]) -> list[Any]:
    return [entry[1] for entry in log if entry[0] == "apply"]


def sent(log: list[list[Any]]) -> list[list[list[int]]]:
    return [entry[1] for entry in log if entry[0] == "write"]


# Checking


@each_variant
def test_the_check_shows_what_each_core_uses(variant: str, tmp_path: Path) -> None:
    done = script(written(configuration(variant), tmp_path), "--check")
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines() == [
        f"the bundle is good: {variant}",
        "core 1: 2x4x5 -> 3x4x5, words: kernel 128 of 16384, neuron 96 of 65536, bias 0 of 1024; "
        "to 3 (pooling 2, channels from 0)",
        "core 3: 3x2x2 -> 4x1x1, words: kernel 48 of 32768, neuron 4 of 32768, bias 0 of 1024; to "
        "the host",
    ]


def test_the_script_of_one_variant_refuses_the_files_of_the_other(tmp_path: Path) -> None:
    directory = written(configuration("2e"), tmp_path / "2e")
    (directory / "deploy.py").write_bytes(deploy_py("2f"))
    done = script(signed(directory), "--check")
    assert done.returncode == 1 and done.stdout.startswith(
        "config.json: variant: a setting is unknown: found '2e'"
    )


@pytest.mark.parametrize("chip", [with_bias(), with_bias(None), with_camera(), with_readout()])
def test_clock_camera_and_readout_pass_too(chip: Configuration, tmp_path: Path) -> None:
    done = script(written(chip, tmp_path), "--check")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert ("bias 3 of 1024" in done.stdout) == any(layer.leak_enable for layer in chip.layers)
    assert ("to 12 " in done.stdout) == (chip.readout is not None)


@pytest.mark.parametrize(
    ("number", "shape_in", "shape_out", "kernel", "fault"),
    [
        (
            3,
            (8, 4, 4),
            (256, 1, 1),
            4,
            None,
        ),  # the sheet's examples: a full core, one that is too small
        (
            2,
            (8, 4, 4),
            (256, 1, 1),
            4,
            "kernel memory is too small: found 32768 words, allowed 0..16384",
        ),
        (2, (16, 7, 7), (10, 1, 1), 7, None),
        (
            2,
            (17, 7, 7),
            (10, 1, 1),
            7,
            "kernel memory is too small: found 17408 words, allowed 0..16384",
        ),
        (0, (1, 64, 64), (16, 64, 64), 1, None),
        (
            3,
            (1, 64, 64),
            (16, 64, 64),
            1,
            "neuron memory is too small: found 65536 words, allowed 0..32768",
        ),
        (8, (1, 33, 33), (4, 33, 33), 1, None),  # 33 counts as 64
        (
            8,
            (1, 33, 33),
            (5, 33, 33),
            1,
            "neuron memory is too small: found 20480 words, allowed 0..16384",
        ),
    ],
)
def test_memories_are_counted_as_the_sheet_says(
    number: int,
    shape_in: tuple[int, int, int],
    shape_out: tuple[int, int, int],
    kernel: int,
    fault: str | None,
    tmp_path: Path,
) -> None:
    layer = replace(
        configuration().layers[1],
        core=number,
        shape_in=shape_in,
        shape_out=shape_out,
        kernel=np.ones((shape_out[0], shape_in[0], kernel, kernel), np.int64),
        bias=np.zeros(shape_out[0], np.int64),
        initial=np.zeros(shape_out, np.int64),
    )
    chip = Configuration("2f", (layer,), (InputRoute(0, shape_in, number),))
    emitted = nullcontext() if fault is None else pytest.raises(AssertionError, match=fault)
    with emitted:
        written(chip, tmp_path)
    core = {
        "dimensions": {
            "input_shape": {
                "size": {"x": shape_in[2], "y": shape_in[1]},
                "feature_count": shape_in[0],
            },
            "output_shape": {
                "size": {"x": shape_out[2], "y": shape_out[1]},
                "feature_count": shape_out[0],
            },
            "kernel_size": kernel,
        }
    }
    words = memory_words(core)
    assert words["kernel"] == kernel_words(shape_in[0], shape_out[0], (kernel, kernel))
    assert words["neuron"] == neuron_words(shape_out)


# Building


@pytest.mark.parametrize(
    "chip", [configuration("2f"), configuration("2e"), with_bias(), with_camera(), with_readout()]
)
def test_the_vendors_object_gets_every_field(chip: Configuration, tmp_path: Path) -> None:
    directory = written(chip, tmp_path / "b")
    (applied_once,) = applied(on_board(directory, variant=chip.variant))
    config = json.loads((directory / "config.json").read_text())
    config["dvs_filter"]["filter_size"] = {"x": 1, "y": 1}
    for part in ("dvs_layer", "dvs_filter", "readout", "factory_config"):
        assert applied_once[part] == config[part]
    for layer in chip.layers:
        assert applied_once["cnn_layers"][layer.core] == config["cnn_layers"][layer.core]
    unused = [c for i, c in enumerate(applied_once["cnn_layers"]) if i not in chip.by_core()]
    assert not any(c["weights"] or c["monitor_enable"] for c in unused)


def test_the_flash_image_is_samnas_and_needs_no_board(tmp_path: Path) -> None:
    directory = written(with_readout(), tmp_path / "b")
    image = tmp_path / "image.bin"
    assert on_board(directory, "--flash", image, more="made.device = made.graph = None") == []
    inside = json.loads(image.read_bytes())
    assert inside["factory_config"]["io_sel"] == 24 and len(inside["cnn_layers"][1]["weights"]) == 3


def test_a_dry_run_opens_no_board(tmp_path: Path) -> None:
    directory = written(configuration(), tmp_path / "b")
    assert on_board(directory, "--dry-run", more="made.device = made.graph = None") == []
    assert "samna accepts the configuration" in on_board.said  # type: ignore[attr-defined]


@pytest.fixture
def samna(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in in this interpreter, where tests can change it."""
    package = samna_mock.make("2f")
    monkeypatch.setitem(sys.modules, "samna", package)
    return package


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    monkeypatch.setattr(sys, "argv", ["deploy.py", "--settle", "0", *map(str, args)])
    loaded(directory).SCRIPT.main()


def test_a_refusal_by_the_vendor_is_passed_on(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    samna.speck2f.validate_configuration = lambda made: (False, "the moon is full")
    with pytest.raises(SystemExit, match="samna refuses the configuration: the moon is full"):
        call(written(configuration(), tmp_path), monkeypatch)
    assert samna.board.log == []


def test_a_samna_that_lacks_a_field_is_a_message(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = samna.speck2f.configuration.SpeckConfiguration()
    del type(made.cnn_layers[0])._fields["leak_internal_slow_clk_enable"]
    with pytest.raises(
        SystemExit, match=r"does not take the configuration: AttributeError: .*leak_internal"
    ):
        call(written(configuration(), tmp_path), monkeypatch)


def test_a_samna_that_hands_out_copies_is_noticed(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = samna.speck2f.configuration.SpeckConfiguration
    new = kind._fields["cnn_layers"][1]
    monkeypatch.setattr(
        kind,
        "__getattribute__",
        lambda s, n: new() if n == "cnn_layers" else object.__getattribute__(s, n),
    )
    core = type(new()[0])._fields["dimensions"][1]
    monkeypatch.setattr(core, "__setattr__", lambda *_: None)
    with pytest.raises(SystemExit, match="kernel_size stays 0, not 3"):
        call(written(configuration(), tmp_path), monkeypatch)


def test_destinations_of_the_camera_may_have_no_pooling(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dvs = samna.speck2f.configuration.SpeckConfiguration().dvs_layer
    fields = type(dvs.destinations[0])._fields
    monkeypatch.setattr(
        type(dvs.destinations[0]), "_fields", {k: v for k, v in fields.items() if k != "pooling"}
    )
    call(written(with_camera(), tmp_path), monkeypatch)
    assert len(samna.board.log) == 2


def test_without_the_vendors_package_the_script_says_how_to_get_it(tmp_path: Path) -> None:
    done = script(written(configuration(), tmp_path))
    assert (
        done.returncode == 3
        and "it is not installed" in done.stderr
        and "pip install" in done.stderr
    )


def test_the_public_stub_is_not_imported(tmp_path: Path) -> None:
    directory = written(configuration(), tmp_path / "b")
    trap = f"PYPI_SAMNA = True\nopen({str(tmp_path / 'imported')!r}, 'w')\n"
    done = with_samna(directory, trap)
    assert done.returncode == 3 and "stub" in done.stderr and "--index-url" in done.stderr
    assert not (tmp_path / "imported").exists()


def test_a_samna_that_cannot_be_imported_is_a_message(tmp_path: Path) -> None:
    done = with_samna(written(configuration(), tmp_path / "b"), "raise OSError('no libusb')\n")
    assert done.returncode == 3 and "no libusb" in done.stderr and "Traceback" not in done.stderr


# Running


def test_the_slow_clock_stands_still_while_the_configuration_is_written(tmp_path: Path) -> None:
    log = on_board(written(with_bias(333.333), tmp_path / "b"))
    assert [entry[:2] for entry in log if entry[0] != "apply"] == [
        ["slow clock", False],
        ["rate", 333],
        ["slow clock", True],
    ]
    assert [entry[0] for entry in log].index("apply") == 1
    log = on_board(written(configuration(), tmp_path / "b"))
    assert [entry[0] for entry in log] == ["slow clock", "apply"] and log[0][1] is False


def run_on_board(
    directory: Path, inputs: np.ndarray, *args: object, **kw: Any
) -> tuple[np.ndarray, list[list[Any]]]:
    np.savez(directory.parent / "in.npz", inputs=inputs)
    out = directory.parent / "out"  # numpy would add .npz
    log = on_board(directory, "--data", directory.parent / "in.npz", "--out", out, *args, **kw)
    with np.load(out) as saved:
        np.testing.assert_array_equal(saved["output"], saved["spikes"].sum(axis=1))
        return np.asarray(saved["spikes"]), log


def raster(samples: int, steps: int, channels: int = 160) -> np.ndarray:
    return np.random.default_rng(1).poisson(0.06, (samples, steps, channels))


@each_variant
def test_the_board_gives_what_the_emulator_gives(variant: str, tmp_path: Path) -> None:
    chip, inputs = configuration(variant), raster(3, 8)
    spikes, log = run_on_board(written(chip, tmp_path / "b"), inputs, variant=variant)
    expected = emulate(chip, inputs, mode="events").outputs
    assert expected.sum() > 20
    np.testing.assert_array_equal(spikes, expected[:, :, [2, 0, 1, 3]])
    assert len(applied(log)) == len(sent(log)) == 3  # initial states again for every sample
    assert applied(log)[0] == applied(log)[2]


def test_outputs_are_the_neurons_of_monitored_cores_by_channel_row_and_column(
    tmp_path: Path,
) -> None:
    chip, inputs = configuration(), raster(1, 8)
    chip = replace(chip, layers=(replace(chip.layers[0], monitor=True), chip.layers[1]))
    same = {"output_map": list(range(64)), "output_latency_steps": [0] * 64}
    spikes, _ = run_on_board(written(chip, tmp_path / "b", **same), inputs)
    expected = emulate(chip, inputs, mode="events").outputs
    assert expected[:, :, :60].any() and expected[:, :, 60:].any()
    np.testing.assert_array_equal(spikes, expected)


def test_events_go_by_rising_channel_evenly_over_their_step(tmp_path: Path) -> None:
    chip = configuration()
    small = InputRoute(first=0, shape=(1, 2, 2), layer=1, feature_shift=1)
    again = InputRoute(first=0, shape=(1, 2, 2), layer=3, feature_shift=2)
    wide = InputRoute(
        first=4, shape=(1, 1, 14), layer=1, pooling=(1, 2)
    )  # pixels 10 to 13 lie outside
    chip = replace(chip, inputs=(small, again, wide))
    inputs = np.zeros((1, 3, 18), dtype=int)
    inputs[0, 0, [3, 1]] = 1, 2
    inputs[0, 2, [4 + 9, 4 + 10, 0]] = 1
    inputs[0, 2, 2] = 1
    _, log = run_on_board(written(chip, tmp_path / "b"), inputs)
    a, b = [1, 1, 0, 1], [3, 2, 0, 1]  # core, channel, y, x of channel 1, by both routes
    c, d = [1, 1, 1, 1], [3, 2, 1, 1]
    first = [[LEAD_US + i * STEP_US // 6, *e] for i, e in enumerate([a, b, a, b, c, d])]
    third = [[1, 1, 0, 0], [3, 2, 0, 0], [1, 1, 1, 0], [3, 2, 1, 0], [1, 0, 0, 4]]
    assert sent(log) == [
        [*first, *([LEAD_US + 2 * STEP_US + i * STEP_US // 5, *e] for i, e in enumerate(third))]
    ]


def test_inputs_that_nothing_listens_to_are_left_out(tmp_path: Path) -> None:
    channels = [None, *range(159, -1, -1)]
    directory = written(configuration(), tmp_path / "b", input_map=channels)
    inputs = raster(1, 4, 161)
    spikes, _ = run_on_board(directory, inputs)
    expected = emulate(configuration(), inputs[:, :, :0:-1], mode="events").outputs
    np.testing.assert_array_equal(spikes, expected[:, :, [2, 0, 1, 3]])


def test_outputs_that_come_later_are_moved_back(tmp_path: Path) -> None:
    directory = written(configuration(), tmp_path / "b", output_latency_steps=[1, 1, 1, 1])
    inputs = raster(1, 6)
    spikes, _ = run_on_board(directory, inputs, more=f"made.board.late = {STEP_US}")
    expected = emulate(configuration(), inputs, mode="events").outputs
    np.testing.assert_array_equal(spikes, expected[:, :, [2, 0, 1, 3]])


def test_spikes_after_the_last_step_are_told(tmp_path: Path) -> None:
    inputs = raster(1, 6)
    spikes, _ = run_on_board(
        written(configuration(), tmp_path / "b"), inputs, more=f"made.board.late = {STEP_US}"
    )
    expected = emulate(configuration(), inputs, mode="events").outputs[:, :, [2, 0, 1, 3]]
    np.testing.assert_array_equal(spikes[:, 1:], expected[:, :-1])
    late = int(expected[:, -1].sum())
    assert late and f"warning: {late} spikes came after" in on_board.said  # type: ignore[attr-defined]


def test_the_camera_adds_nothing_to_a_file(tmp_path: Path) -> None:
    _, log = run_on_board(written(with_camera(), tmp_path / "b"), raster(1, 3))
    assert applied(log)[0]["dvs_layer"]["pass_sensor_events"] is False


def test_a_step_of_another_length_takes_the_slow_clock_along(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(with_bias(), tmp_path / "b")
    np.save(tmp_path / "in.npy", np.zeros((1, 2, 160)))
    for args, rate in (((), 1000), (("--step-us", 5000), 200)):
        samna.board.log.clear()
        call(
            directory, monkeypatch, "--data", tmp_path / "in.npy", "--out", tmp_path / "out", *args
        )
        assert ["rate", rate] in samna.board.log
    with pytest.raises(SystemExit, match="slow clock of 100000 Hz"):
        call(
            directory,
            monkeypatch,
            "--data",
            tmp_path / "in.npy",
            "--out",
            tmp_path / "out",
            "--step-us",
            10,
        )


def test_a_step_of_unknown_length_is_asked_for(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(configuration(), tmp_path / "b", dt=None)
    np.save(tmp_path / "in.npy", np.zeros((1, 2, 160)))
    with pytest.raises(SystemExit, match="--step-us"):
        call(directory, monkeypatch, "--data", tmp_path / "in.npy")
    assert samna.board.log == []


def test_a_live_run_records_what_the_camera_sees_and_what_comes_out(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(with_camera(), tmp_path / "b", dt=5e-3)
    seen = [(1000 * i, i % 2, 29 + i % 16, 30 + i % 20) for i in range(90)]
    samna.board.camera = list(seen)
    out = tmp_path / "out.npz"
    call(directory, monkeypatch, "--live", 0.3, "--out", out)
    with np.load(out) as saved:
        files = {name: saved[name] for name in saved.files}
    assert files["events/input"].tolist() == [list(event) for event in seen]
    times = files["events/output"][:, 0]
    assert len(times) and files["spikes"].shape == (1, 60, 4)
    assert files["output"].sum() == len(times[times < 300_000])
    assert (
        not samna.board.watches and json.loads((tmp_path / "out.json").read_text())["steps"] == 60
    )
    with pytest.raises(SystemExit, match="no input from the camera"):
        call(written(configuration(), tmp_path / "c"), monkeypatch, "--live", 0.1, "--out", out)


def test_a_board_that_is_missing_ends_the_script(
    tmp_path: Path, samna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = written(configuration(), tmp_path / "b")
    samna.device.get_all_devices = list
    with pytest.raises(SystemExit, match="Speck2fDevKit"):
        call(directory, monkeypatch)
    samna.device = None  # as if the vendor's own code failed
    with pytest.raises(SystemExit, match="the run failed: AttributeError"):
        call(directory, monkeypatch)


def test_the_stand_in_is_strict() -> None:
    made = samna_mock.make("2f").speck2f.configuration.SpeckConfiguration()
    for part, name, value in [
        (made, "cnn_layer", None),
        (made, "cnn_layers", []),
        (made.cnn_layers[0], "weights", [[[[128]]]]),
        (made.cnn_layers[0], "weights", [[[1]]]),
        (made.cnn_layers[0], "biases", np.zeros(1, dtype=np.int8)),
        (made.cnn_layers[0], "leak_enable", 1),
        (made.cnn_layers[0].dimensions, "kernel_size", 17),
        (made.cnn_layers[0].dimensions.stride, "x", 9),
        (made.dvs_filter, "filter_size", 1),
        (made.factory_config, "io_sel", True),
    ]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(part, name, value)
