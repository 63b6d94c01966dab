"""What every deploy.py does with rasters, answers, options and missing packages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.deploy.chips import CHIPS, Chip
from tests.deployed import loaded, script

each_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


@pytest.fixture
def bundle(chip: Chip, tmp_path: Path) -> Path:
    return chip.write(tmp_path / "bundle")


@each_chip
def test_help_teaches_without_any_package(bundle: Path, chip: Chip) -> None:
    done = script(bundle, "--help")
    words = ("--check", "--dry-run", "--data", "--out", "Exit status", chip.vendor)
    assert (done.returncode, done.stderr) == (0, "") and all(word in done.stdout for word in words)


@each_chip
@pytest.mark.parametrize("options", [["--frobnicate"], ["--check", "stray"], ["--data"]])
def test_wrong_options_are_usage_errors(options: list[str], bundle: Path, chip: Chip) -> None:
    done = script(bundle, *options)
    assert done.returncode == 2 and "usage:" in done.stderr


@each_chip
def test_without_the_vendors_package_the_script_says_what_is_missing(
    bundle: Path, chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (chip.vendor, f"{chip.vendor}.magma.compiler"):
        monkeypatch.setitem(sys.modules, name, None)
    np.save(bundle.parent / "in.npy", np.zeros((1, 5, chip.channels)))
    with pytest.raises(SystemExit) as stop:
        loaded(bundle).SCRIPT.main([*chip.run, "--data", str(bundle.parent / "in.npy")])
    assert stop.value.code == 3


@each_chip
def test_without_numpy_a_raster_cannot_be_run(bundle: Path, chip: Chip) -> None:
    done = script(bundle, *chip.run, "--data", "in.npz")
    assert done.returncode == 3 and "numpy" in done.stderr and "Traceback" not in done.stderr


def rasters(chip: Chip) -> list[np.ndarray]:
    shape = (1, 5, chip.channels)
    return [
        np.zeros((1, 5, chip.channels + 1)),
        np.zeros((1, 0, chip.channels)),
        np.zeros((5, chip.channels)),
        np.full(shape, chip.most + 1),
        np.full(shape, -1),
        np.full(shape, 0.5),
        np.full(shape, np.nan),
        np.full(shape, np.inf),
        np.full(shape, "1"),
        np.full(shape, 1j),
        np.full(shape, None),
    ]


@each_chip
def test_a_raster_that_does_not_fit_is_refused(bundle: Path, chip: Chip, tmp_path: Path) -> None:
    main, file = loaded(bundle).SCRIPT.main, tmp_path / "in.npz"
    for raster in rasters(chip):
        np.savez(file, inputs=raster)
        with pytest.raises(SystemExit, match="--data: "):
            main([*chip.run, "--data", str(file)])
    for data in (b"", b"PK\x03\x04", b"\x93NUMPY", b"no array"):
        file.write_bytes(data)
        with pytest.raises(SystemExit, match=r"--data: .* cannot be read"):
            main([*chip.run, "--data", str(file)])
    with pytest.raises(SystemExit, match=r"--data: .* cannot be read"):
        main([*chip.run, "--data", str(tmp_path / "none.npz")])


@each_chip
def test_a_raster_may_have_any_number_type_and_more_axes(
    bundle: Path, chip: Chip, tmp_path: Path
) -> None:
    good = np.random.default_rng(0).integers(0, 3, (2, 12, 1, chip.channels))
    for dtype in (bool, np.uint8, float):
        np.save(tmp_path / "in.npy", good.astype(dtype))
        read = loaded(bundle).load_raster(str(tmp_path / "in.npy"), chip.channels)
        np.testing.assert_array_equal(read, good.astype(dtype)[:, :, 0])
        assert read.dtype == np.int64


@each_chip
def test_a_missing_folder_is_noticed_before_the_run(
    bundle: Path, chip: Chip, tmp_path: Path
) -> None:
    np.save(tmp_path / "in.npy", np.zeros((1, 5, chip.channels)))
    with pytest.raises(SystemExit, match="--out: there is no folder"):
        loaded(bundle).SCRIPT.main(
            [
                *chip.run,
                "--data",
                str(tmp_path / "in.npy"),
                "--out",
                str(tmp_path / "no" / "out.npz"),
            ]
        )


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return loaded(CHIPS[0].write(tmp_path_factory.mktemp("bundle")))


def test_an_answer_is_written_whole_or_not_at_all(module: Any, tmp_path: Path) -> None:
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(OSError, match=r"out\.npz"):
        module.save(str(tmp_path / "out.npz"), {"spikes": np.zeros(3)})
    assert not list(tmp_path.glob(".*"))


def test_a_link_and_a_device_stay_what_they_are(module: Any, tmp_path: Path) -> None:
    (tmp_path / "out.npz").symlink_to("kept.npz")
    module.save(str(tmp_path / "out.npz"), {"spikes": np.ones(3)})
    assert (tmp_path / "out.npz").is_symlink()
    assert np.load(tmp_path / "kept.npz")["spikes"].sum() == 3
    module.save("/dev/null", {"spikes": np.ones(3)})
    assert Path("/dev/null").is_char_device()


def test_rows_are_the_models_and_inputs_may_share_a_channel(module: Any) -> None:
    manifest = {
        "input_map": [0, 0, None, 1],
        "output_map": [1, 0, 1],
        "output_latency_steps": [2, 0, -1],
        "output_kind": "spikes",
        "populations": {},
    }
    layout = module.Layout(manifest, 3, 2, None)
    sent = layout.sent(np.array([[3, 1, 1, 0], [0, 0, 5, 2]]))
    assert sent.tolist() == [[4, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]]
    chip = np.array([[10, 20], [11, 21], [12, 22], [13, 23]])
    assert layout.answer(chip, 2).tolist() == [[22, 10, 0], [23, 11, 20]]
    assert layout.answer(chip, 1, [2, 1]).tolist() == [[23, 12, 20]]


def test_membranes_are_in_volts(module: Any) -> None:
    block = {"part": "readout", "index": [1], "scale": [4.0]}
    manifest = {
        "input_map": [],
        "output_map": [0, 1],
        "output_latency_steps": [0, 0],
        "output_kind": "membrane",
        "populations": {"out": block, "other": {"part": "hidden", "index": [0], "scale": [9.0]}},
    }
    layout = module.Layout(manifest, 1, 2, None)
    assert layout.answer(np.array([[1, 2], [3, 6]]), 2).tolist() == [[1.0, 0.5], [3.0, 1.5]]


@each_chip
def test_an_interruption_leaves_nothing_and_says_so(
    bundle: Path,
    chip: Chip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def use(*_: object) -> None:
        raise KeyboardInterrupt

    made = loaded(bundle).SCRIPT
    monkeypatch.setattr(made, "use", use)
    monkeypatch.setattr(made, "end", sys.exit)
    np.save(tmp_path / "in.npy", np.zeros((1, 5, chip.channels)))
    monkeypatch.setattr("sys.argv", ["deploy.py", *chip.run, "--data", str(tmp_path / "in.npy")])
    with pytest.raises(SystemExit) as stop:
        made.start()
    assert stop.value.code == 130 and "interrupted; nothing was written" in capsys.readouterr().err


def test_an_interruption_after_the_answer_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = CHIPS[0]
    module = loaded(chip.write(tmp_path / "bundle"))

    def use(*_: object) -> None:
        module.save(str(tmp_path / "out.npz"), {"spikes": np.ones(3)})
        raise KeyboardInterrupt

    monkeypatch.setattr(module.SCRIPT, "use", use)
    monkeypatch.setattr(module.SCRIPT, "end", sys.exit)
    monkeypatch.setattr("sys.argv", ["deploy.py"])
    with pytest.raises(SystemExit) as stop:
        module.SCRIPT.start()
    assert stop.value.code == 0 and not capsys.readouterr().err


@each_chip
def test_a_run_that_fails_is_a_line_and_with_debug_a_traceback(
    bundle: Path, chip: Chip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(*_: object) -> None:
        raise RuntimeError("the moon is full \u0430")

    made = loaded(bundle).SCRIPT
    monkeypatch.setattr(made, "use", use)
    monkeypatch.setattr(made, "end", sys.exit)
    np.save(tmp_path / "in.npy", np.zeros((1, 5, chip.channels)))
    options = [*chip.run, "--data", str(tmp_path / "in.npy")]
    with pytest.raises(
        SystemExit, match=r"the run failed: RuntimeError: 'the moon is full \\u0430'"
    ):
        made.main(options)
    with pytest.raises(RuntimeError, match="moon"):
        made.main([*options, "--debug"])
