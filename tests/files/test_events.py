"""Events of cameras as input spikes: which pixel, step and channel each is counted in."""

from __future__ import annotations

import json
from pathlib import Path

import faery
import nir
import numpy as np
import pytest
from numpy.typing import NDArray

import nirc
from nirc.diagnostics.log import Log
from nirc.files.data import read_data
from tests import commands
from tests.models import chain, lif, linear

MS = 1000  # microseconds


def events(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    """Events (t, x, y, p), as tonic has them."""
    return np.array(list(rows), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1")])


FOUR = events((5000, 0, 0, 1), (5900, 3, 1, 0), (7000, 3, 1, 1), (8999, 2, 0, 1))


def test_an_event_is_counted_at_its_step_channel_row_and_column() -> None:
    counts = nirc.frames(FOUR, dt=1e-3, size=(4, 2))
    assert counts.shape == (1, 4, 2, 2, 4)  # from the first event, 4 ms
    expected = np.zeros((4, 2, 2, 4), np.int64)
    for step, channel, y, x in ((0, 1, 0, 0), (0, 0, 1, 3), (2, 1, 1, 3), (3, 1, 0, 2)):
        expected[step, channel, y, x] = 1
    np.testing.assert_array_equal(counts[0], expected)


def test_windows_are_samples_and_the_rest_is_left_out() -> None:
    counts = nirc.frames(FOUR, dt=1e-3, size=(4, 2), window=3e-3)
    assert counts.shape[:2] == (1, 3) and counts.sum() == 3
    later = nirc.frames(FOUR, dt=1e-3, size=(4, 2), start=2e-3, window=1e-3)
    assert later.sum(axis=(1, 2, 3, 4)).tolist() == [1, 1]


def test_pixels_are_pooled_and_cropped_and_polarities_merged() -> None:
    assert nirc.frames(FOUR, dt=1e-2, size=(4, 2), pool=2)[0, 0].tolist() == [[[0, 1]], [[1, 2]]]
    cropped = nirc.frames(FOUR, dt=1e-2, size=(4, 2), crop=(2, 0, 2, 2), polarity="merged")
    assert cropped[0, 0].tolist() == [[[1, 0], [0, 2]]]
    assert nirc.frames(FOUR, dt=1e-2, size=(4, 2), polarity="off").sum() == 1


def test_time_that_is_not_sorted_changes_nothing() -> None:
    np.testing.assert_array_equal(
        nirc.frames(FOUR[[2, 0, 3, 1]], dt=1e-3, size=(4, 2)),
        nirc.frames(FOUR, dt=1e-3, size=(4, 2)),
    )


@pytest.mark.parametrize(
    ("wrong", "options"),
    [
        (np.zeros(3), {}),
        (events((-1, 0, 0, 1)), {}),
        (FOUR, {"size": (2, 2)}),
        (FOUR, {"crop": (0, 0, 9, 9)}),
        (FOUR, {"window": 1.0}),
        (FOUR, {"dt": 1e-12}),
        (events(), {}),
    ],
)
def test_what_makes_no_frames_is_refused(
    wrong: NDArray[np.void], options: dict[str, object]
) -> None:
    with pytest.raises(nirc.InputError, match="U603"):
        nirc.frames(wrong, **{"dt": 1e-3, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 500 events in each format of a camera, and as an array."""
    folder = tmp_path_factory.mktemp("events")
    rng = np.random.default_rng(0)
    made = np.zeros(500, faery.EVENTS_DTYPE)
    made["t"] = np.sort(rng.integers(0, 100 * MS, 500))
    made["x"], made["y"] = rng.integers(0, 8, 500), rng.integers(0, 6, 500)
    made["on"] = rng.random(500) < 0.5
    stream = faery.events_stream_from_array(made, (8, 6))
    for kind in ("aedat4", "raw", "dat", "es"):
        stream.to_file(str(folder / f"hand.{kind}"))
    np.save(folder / "hand.npy", made)
    return folder


def data(folder: Path, *args: object) -> commands.Done:
    return commands.nirc("data", *args, cwd=folder)


def test_every_format_gives_the_same_spikes(recordings: Path) -> None:
    expected = nirc.frames(np.load(recordings / "hand.npy"), dt=1e-2, size=(8, 6))
    for kind in ("aedat4", "raw", "dat", "es", "npy"):
        done = data(recordings, f"hand.{kind}", "-o", f"{kind}.npz", "--dt", "1e-2")
        assert done.returncode == 0, done.stderr
        read = read_data(recordings / f"{kind}.npz", Log())
        np.testing.assert_array_equal(read.inputs, expected)
        assert read.dt_s == 1e-2 and "dt 0.01 s" in read.framing


def test_several_recordings_are_samples_of_one_raster(recordings: Path) -> None:
    done = data(recordings, "hand.raw", "hand.dat", "-o", "two.npz", "--dt", "1e-2")
    assert done.returncode == 0 and np.load(recordings / "two.npz")["inputs"].shape[0] == 2


def test_a_damaged_recording_is_refused_in_one_message(recordings: Path) -> None:
    whole = (recordings / "hand.aedat4").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(4):
        broken = bytearray(whole if number % 2 else whole[: rng.integers(1, len(whole))])
        for place in rng.integers(14, min(len(broken), 400), 5):
            broken[place] = rng.integers(0, 256)
        (recordings / "b.aedat4").write_bytes(bytes(broken))
        done = data(recordings, "b.aedat4", "-o", "b.npz", "--dt", "1e-2")
        assert done.returncode in (0, 3) and "panicked" not in done.stderr
        assert ("U603" in done.stderr) == (done.returncode == 3)


def test_events_need_a_time_step_and_the_other_commands_say_who_counts_them(
    recordings: Path,
) -> None:
    assert "U607" in data(recordings, "hand.raw", "-o", "o.npz").stderr
    done = commands.nirc(
        "verify", "m.nir", "--target", "xylo", "--data", "hand.raw", cwd=recordings
    )
    assert done.returncode == 3 and "nirc data" in done.stderr


def test_nir_s_recorded_data_goes_both_ways(recordings: Path, tmp_path: Path) -> None:
    counts = (np.random.default_rng(0).random((3, 5, 4)) < 0.5).astype(np.int64)
    np.savez(tmp_path / "a.npz", inputs=counts, outputs=counts[:, :, :2].astype(float))
    assert "U603" in data(tmp_path, "a.npz", "-o", "a.nir").stderr  # no time step
    assert data(tmp_path, "a.npz", "-o", "a.nir", "--dt", "1e-3").returncode == 0
    written = nir.read_data(tmp_path / "a.nir")
    np.testing.assert_array_equal(written.nodes["input"].observables["spikes"].data, counts)
    assert written.nodes["output"].observables["spikes"].dt == 1e-3
    assert data(tmp_path, "a.nir", "-o", "b.npz").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b.npz")["inputs"], counts)


def test_a_calibrated_bundle_says_how_events_were_counted(recordings: Path) -> None:
    rng = np.random.default_rng(0)
    nir.write(recordings / "m.nir", chain(96, linear(rng, 3, 96, 0.1), lif(3), n_out=3))
    data(recordings, "hand.raw", "-o", "c.npz", "--dt", "1e-4", "--window", "0.05")
    args = ("--target", "loihi2", "--from", "nir", "--dt", "1e-4", "--calibrate", "c.npz")
    done = commands.nirc("m.nir", *args, "-o", "out", cwd=recordings)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((recordings / "out/manifest.json").read_text())
    assert "window 0.05 s" in manifest["calibration"]["framing"]


def test_no_code_beside_a_recording_is_run(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "faery.py").write_text("open('ran', 'w')\n")
    (tmp_path / "hand.raw").write_bytes((recordings / "hand.raw").read_bytes())
    done = commands.process("data", "hand.raw", "-o", "o.npz", "--dt", "1e-2", cwd=tmp_path)
    assert done.returncode == 0 and not (tmp_path / "ran").exists(), done.stderr


def test_an_output_that_is_an_input_or_of_another_kind_is_refused(recordings: Path) -> None:
    before = (recordings / "hand.npy").read_bytes()
    np.savez(recordings / "x.npz", inputs=np.ones((1, 2, 3), np.int64))
    for args in (("x.npz", "-o", "x.npz"), ("hand.npy", "-o", "hand.npy"), ("hand.npy", "-o", "-")):
        done = data(recordings, *args, "--dt", "1e-2")
        assert done.returncode == 2 and "U607" in done.stderr
    assert (recordings / "hand.npy").read_bytes() == before


@pytest.mark.parametrize(
    "option",
    ["--window=inf", "--window=nan", "--dt=nan", "--dt=1e-300", "--start=inf", f"--pool={10**20}",
     f"--crop={'9' * 5000},0,1,1"],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(recordings: Path, option: str) -> None:
    done = data(recordings, "hand.npy", "-o", "n.npz", "--dt=1e-2", option)
    assert done.returncode in (2, 3) and "Warning" not in done.stderr and "70" not in done.stderr


@pytest.mark.parametrize("p", ["U4", "M8[us]", "V3", ("?", (3,))])
def test_a_polarity_that_is_no_number_is_refused(tmp_path: Path, p: object) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", p)]))
    done = data(tmp_path, "a.npy", "-o", "o.npz", "--dt", "1e-3")
    assert done.returncode == 3 and "U603" in done.stderr


@pytest.mark.parametrize(
    ("field", "kind", "value"), [("x", "u8", 2**64 - 1), ("t", "u8", 2**64 - 1), ("x", "f4", 1e30)]
)
def test_a_number_that_would_wrap_around_is_refused(field: str, kind: str, value: float) -> None:
    kinds = {"t": "<i8", "x": "<i2", "y": "<i2", "p": "?"} | {field: kind}
    made = np.zeros(2, list(kinds.items()))
    made[field][1] = value
    with pytest.raises(nirc.InputError, match="out of range"):
        nirc.frames(made, dt=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [{"dt": 0}, {"dt": "x"}, {"pool": 0}, {"crop": "x"}, {"size": (1,)}, {"size": 0},
     {"window": float("nan")}, {"start": None}, {"polarity": "all"}, {"dt": 10**400}],
)  # fmt: skip
def test_arguments_of_another_kind_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(nirc.NircError):
        nirc.frames(FOUR, **{"dt": 1e-3, **wrong})  # type: ignore[arg-type]
