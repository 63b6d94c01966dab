"""What every deploy.py does with rasters, answers, options and missing packages."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
import types
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from nirc.chip.running import flat_raster
from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
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
def test_wrong_options_are_usage_errors(
    bundle: Path, chip: Chip, capsys: pytest.CaptureFixture[str]
) -> None:
    main = loaded(bundle).SCRIPT.main
    for options in (["--frobnicate"], ["--check", "stray"], ["--data"]):
        with pytest.raises(SystemExit) as stop:
            main(options)
        assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


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
        np.zeros((0, 5, chip.channels)),
        np.zeros((5, chip.channels + 1)),
        np.zeros(chip.channels),
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
    np.savez(file, spikes=np.zeros((1, 5, chip.channels)))
    with pytest.raises(SystemExit, match=r"no array `inputs` in .*; there are \['spikes'\]"):
        main([*chip.run, "--data", str(file)])


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


def test_emulator_and_script_take_the_same_data_files(
    module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Except for nir's HDF5, which the script names."""
    counts = np.random.default_rng(0).integers(0, 3, (2, 6, 3))
    good = [counts, counts[0], counts > 0, counts.astype(np.float32), counts[:, :, None]]
    bad = [counts[:0], counts[0, 0], -counts, counts + 0.5, counts * 1j, counts.astype(str)]
    for values in good + bad:
        np.savez(tmp_path / "in.npz", inputs=values)
        np.save(tmp_path / "in.npy", values)
        for name in ("in.npz", "in.npy"):
            try:
                want = flat_raster(read_data(tmp_path / name, Log()).inputs, 3, Log())
            except NircError:
                want = None
            try:
                got = module.load_raster(str(tmp_path / name), 3)
            except module.DeployError:
                got = None
            assert (got is None) == (want is None) == any(values is each for each in bad)
            np.testing.assert_array_equal(got, want)
    assert "read as one sample" in capsys.readouterr().err
    np.savez(tmp_path / "in.npz", inputs=counts, dt=2e-3)
    module.load_raster(str(tmp_path / "in.npz"), 3, dt=1e-3)
    assert "a step of the file has 0.002 s, one of the bundle 0.001 s" in capsys.readouterr().err


@each_chip
def test_an_unknown_population_is_answered_with_those_that_there_are(
    bundle: Path, chip: Chip
) -> None:
    module = loaded(bundle)
    layout = module.Layout(json.loads((bundle / "manifest.json").read_text()), 1, 1)
    board = module.Board(types.SimpleNamespace(more={"of the chip": ("neurons", [0])}), layout)
    assert "of the chip" in board.populations and set(layout.populations) < {*board.populations}
    with pytest.raises(module.DeployError) as refusal:
        board.names(["nobody"])
    assert all(repr(name) in str(refusal.value) for name in [*board.populations, "nobody", "all"])
    assert set(board.names("all")) == set(layout.populations or board.populations)


@each_chip
def test_two_scripts_are_imported_side_by_side_and_know_their_folders(
    bundle: Path, chip: Chip, tmp_path: Path
) -> None:
    """By runpy, and by importlib without an entry in sys.modules. A library never exits."""
    other = chip.write(tmp_path / "other")
    first = runpy.run_path(str(bundle / "deploy.py"))
    spec = importlib.util.spec_from_file_location("a script", other / "deploy.py")
    assert spec is not None and spec.loader is not None
    second = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(second)
    assert first["SCRIPT"].directory == bundle and second.SCRIPT.directory == other
    (other / "manifest.json").write_text("{}")
    with pytest.raises(second.BundleError, match=r"manifest\.json: ") as refusal:
        second.load(**chip.options)
    assert refusal.value.lines
    with pytest.raises(first["BundleError"]):
        first["load"](other, **chip.options)
    with pytest.raises(first["DeployError"], match="there are no options"):
        first["load"](frobnicate=1)


class Recorder:
    """A chip whose outputs are its inputs of ``lag`` steps ago."""

    more: ClassVar[dict[str, Any]] = {}

    def __init__(self, lag: int, continues: bool) -> None:
        self.lag, self.continues, self.steps = lag, continues, np.zeros((0, 2), np.int64)
        self.ready = lambda samples: None

    def play(self, counts: np.ndarray, wanted: dict[str, Any], fresh: bool) -> Any:
        old = self.steps[:0] if fresh else self.steps
        self.steps = np.concatenate([old, counts])
        late = np.concatenate([np.zeros((max(0, self.lag), 2), np.int64), self.steps])
        rows = late[max(0, -self.lag) :][len(old) :][: len(counts)]
        rows = np.concatenate([rows, np.zeros((len(counts) - len(rows), 2), np.int64)])
        return rows, {part: {"spikes": rows[:, index]} for part, index in wanted.items()}


@pytest.mark.parametrize("continues", [True, False])
@pytest.mark.parametrize("lag", [0, 1, 4])
def test_chunks_of_any_length_give_the_rows_of_one_run(
    module: Any, lag: int, continues: bool
) -> None:
    block = {"part": "all", "index": [1, 0], "scale": [1, 1], "latency_steps": lag}
    manifest = {
        "input_map": [1, 0],
        "output_map": [0, 1],
        "output_latency_steps": [lag, lag],
        "output_kind": "spikes",
        "populations": {"every": block},
    }
    board = module.Board(Recorder(lag, continues), module.Layout(manifest, 2, 2))
    counts = np.arange(24).reshape(12, 2)
    whole = board.run(counts[None], "every")
    np.testing.assert_array_equal(whole["spikes"][0], counts[:, ::-1])
    np.testing.assert_array_equal(whole["spikes/every"][0], counts)
    for size in (1, 3, 5, 12, 99):
        got = list(board.stream((counts[i : i + size] for i in range(0, 12, size)), ["every"]))
        np.testing.assert_array_equal(
            np.concatenate([part["spikes"] for part in got]), counts[:, ::-1]
        )
        np.testing.assert_array_equal(
            np.concatenate([part["spikes/every"] for part in got]), counts
        )
        chunked = board.run(counts[None], chunk=size)
        np.testing.assert_array_equal(chunked["spikes"], whole["spikes"])


def test_rows_are_the_models_and_inputs_may_share_a_channel(module: Any) -> None:
    manifest = {
        "input_map": [0, 0, None, 1],
        "output_map": [1, 0, 1],
        "output_latency_steps": [2, 0, -1],
        "output_kind": "spikes",
        "populations": {},
    }
    layout = module.Layout(manifest, 3, 2)
    sent = layout.sent(np.array([[3, 1, 1, 0], [0, 0, 5, 2]]))
    assert sent.tolist() == [[4, 0, 0], [0, 2, 0]]
    chip = np.array([[10, 20], [11, 21], [12, 22], [13, 23]])
    assert layout.answer(chip, 0, 2).tolist() == [[22, 10, 0], [23, 11, 20]]
    assert layout.answer(chip[1:], 2, 2, first=1).tolist() == []


def test_membranes_are_in_volts(module: Any) -> None:
    block = {"part": "readout", "index": [1], "scale": [4.0]}
    manifest = {
        "input_map": [],
        "output_map": [0, 1],
        "output_latency_steps": [0, 0],
        "output_kind": "membrane",
        "populations": {"out": block, "other": {"part": "hidden", "index": [0], "scale": [9.0]}},
    }
    layout = module.Layout(manifest, 1, 2)
    assert layout.answer(np.array([[1, 2], [3, 6]]), 0, 2).tolist() == [[1.0, 0.5], [3.0, 1.5]]


@each_chip
def test_an_interruption_leaves_nothing_and_says_so(
    bundle: Path,
    chip: Chip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def chip_(*_: object) -> None:
        raise KeyboardInterrupt

    made = loaded(bundle).SCRIPT
    monkeypatch.setattr(made, "chip", chip_)
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

    def chip_(*_: object) -> None:
        module.save(str(tmp_path / "out.npz"), {"spikes": np.ones(3)})
        raise KeyboardInterrupt

    monkeypatch.setattr(module.SCRIPT, "chip", chip_)
    monkeypatch.setattr(module.SCRIPT, "end", sys.exit)
    monkeypatch.setattr("sys.argv", ["deploy.py"])
    with pytest.raises(SystemExit) as stop:
        module.SCRIPT.start()
    assert stop.value.code == 0 and not capsys.readouterr().err


@each_chip
def test_a_run_that_fails_is_a_line_and_with_debug_a_traceback(
    bundle: Path, chip: Chip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chip_(*_: object) -> None:
        raise RuntimeError("the moon is full \u0430")

    made = loaded(bundle).SCRIPT
    monkeypatch.setattr(made, "chip", chip_)
    monkeypatch.setattr(made, "end", sys.exit)
    np.save(tmp_path / "in.npy", np.zeros((1, 5, chip.channels)))
    options = [*chip.run, "--data", str(tmp_path / "in.npy")]
    with pytest.raises(
        SystemExit, match=r"the run failed: RuntimeError: 'the moon is full \\u0430'"
    ):
        made.main(options)
    with pytest.raises(RuntimeError, match="moon"):
        made.main([*options, "--debug"])


@each_chip
@pytest.mark.parametrize(
    ("arguments", "options"),
    [((5,), {}), ((), {"timeout": "x"}), ((), {"chunk": 1.5}), ((), {"check": "yes"})],
)
def test_values_of_the_wrong_type_are_deploy_errors(
    bundle: Path, chip: Chip, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    module = loaded(bundle)
    with pytest.raises(module.DeployError, match=r"is no (float|int|bool)|is a path"):
        module.load(*arguments, **options)


def test_a_population_to_record_is_a_name() -> None:
    from nirc.files.board import Board, DeployError

    class Bare(Board):
        populations = ["hidden"]  # noqa: RUF012

    with pytest.raises(DeployError, match="no name"):
        Bare(None, None).names(3)  # type: ignore[arg-type]


def test_data_that_numpy_did_not_write_are_refused_in_words(tmp_path: Path) -> None:
    from nirc.files.board import DeployError, load_raster

    text, pipe, bomb = tmp_path / "in.csv", tmp_path / "pipe", tmp_path / "bomb.npz"
    text.write_text("0,1,0\n")
    os.mkfifo(pipe)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("inputs.npy", "w", force_zip64=True) as file:
            file.write(b"")
        archive.infolist()[0].file_size = 1 << 40
    wanted = {text: r"neither \.npz nor \.npy", pipe: "no regular file", bomb: "at most"}
    for path, problem in wanted.items():
        with pytest.raises(DeployError, match=problem) as caught:
            load_raster(str(path), 3)
        assert "pickle" not in str(caught.value)
