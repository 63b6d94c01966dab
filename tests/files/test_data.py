"""Rasters from files: what is accepted, and what is refused with the key and the reason."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from nirc.diagnostics.errors import Diagnostic, InputError
from nirc.diagnostics.log import Log
from nirc.files.data import Data, read_data
from tests.frontend.files import small

COUNTS = np.array([[[0, 1], [2, 0], [0, 3]]], np.uint8)  # 1 sample, 3 steps, 2 channels


def npz(path: Path, **arrays: Any) -> Path:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read(path: Path, dt_s: float | None = None) -> tuple[Data, list[Diagnostic]]:
    log = Log()
    return read_data(path, log, dt_s), log.diagnostics


def refused(path: Path, dt_s: float | None = None) -> Diagnostic:
    """The only error, which is U603 whatever is wrong."""
    with pytest.raises(InputError) as caught:
        read_data(path, Log(), dt_s)
    (said,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert said.code == "U603" and said.help
    return said


@pytest.mark.parametrize("dtype", ["bool", "u1", "i8", ">i2", "f2", "f4", "f8"])
def test_counts_of_any_number_type_become_integers(tmp_path: Path, dtype: str) -> None:
    counts = COUNTS.astype(dtype)
    data, said = read(
        npz(tmp_path / "d.npz", inputs=counts, labels=[1], dt=1e-4, ref_output=COUNTS)
    )
    assert (
        data.inputs.dtype == np.int64
        and np.array_equal(data.inputs, counts.astype(int))
        and not said
    )
    assert data.labels is not None and data.labels.tolist() == [1] and data.dt_s == 1e-4


def test_labels_and_dt_may_be_absent_and_further_arrays_odd(tmp_path: Path) -> None:
    data, said = read(npz(tmp_path / "d.npz", inputs=COUNTS, names=np.array([object()])))
    assert data.labels is None and data.dt_s is None and not said


def test_a_bare_array_in_fortran_order_is_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.asfortranarray(COUNTS))
    assert np.array_equal(read(tmp_path / "d.npy")[0].inputs, COUNTS)


def test_two_axes_are_one_sample_with_a_warning(tmp_path: Path) -> None:
    data, said = read(npz(tmp_path / "d.npz", inputs=COUNTS[0]))
    assert data.inputs.shape == (1, 3, 2) and [(d.code, d.severity) for d in said] == [
        ("U604", "warning")
    ]


def test_another_time_step_than_the_models_is_said(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", inputs=COUNTS, dt=1e-3)
    assert [d.code for d in read(path, 1e-4)[1]] == ["U609"]
    assert not read(path, 1.0000001e-3)[1]


@pytest.mark.parametrize(
    ("arrays", "where", "says"),
    [
        ({"inputs": COUNTS - 0.5}, "inputs", "a spike count"),
        ({"inputs": COUNTS * np.nan}, "inputs", "a spike count"),
        ({"inputs": np.full((1, 2, 3), np.inf)}, "inputs", "a spike count"),
        ({"inputs": -COUNTS.astype(int)}, "inputs", "a spike count"),
        ({"inputs": COUNTS.astype(np.uint64) << 62}, "inputs", "a spike count"),
        ({"inputs": COUNTS * 1j}, "inputs", "real numbers"),
        ({"inputs": COUNTS.astype(object)}, "inputs", "real numbers"),
        ({"inputs": COUNTS.astype("U1")}, "inputs", "real numbers"),
        ({"inputs": [1, 2]}, "inputs", "too few axes"),
        ({"inputs": COUNTS[:, :0]}, "inputs", "empty"),
        ({"inputs": COUNTS, "labels": [1, 2]}, "labels", "do not match"),
        ({"inputs": COUNTS, "labels": [1.5]}, "labels", "a class"),
        ({"inputs": COUNTS, "labels": [None]}, "labels", "real numbers"),
        ({"inputs": COUNTS, "dt": 0}, "dt", "one positive number"),
        ({"inputs": COUNTS, "dt": [1, 2]}, "dt", "one positive number"),
        ({"x": COUNTS}, "", "no array `inputs`"),
    ],
)
def test_what_is_no_raster_is_refused_with_its_key(
    tmp_path: Path, arrays: dict[str, Any], where: str, says: str
) -> None:
    said = refused(npz(tmp_path / "d.npz", **arrays))
    assert said.where == where and says in said.message


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("1,2,3")
    assert "a text file" in refused(tmp_path / "d.csv").message
    assert "a model" in refused(small(tmp_path / "m.nir")).message
    assert "No such file" in refused(tmp_path / "absent.npz").message
    os.mkfifo(tmp_path / "fifo")
    assert "FIFO" in refused(tmp_path / "fifo").message


# -- hostile archives ------------------------------------------------------------------------------


def member(path: Path, data: bytes, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("inputs.npy", data)
    return path


def header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("(1, 1099511627776, 2)", "too large"),
        ("(-1, 3, 2)", "too large"),
        ("(10, 10, 10)", "cut off"),
        ("(1, 3, None)", "damaged"),
        ("(" * 300, "damaged"),
        ("(" + "9" * 5000 + ",)", "damaged"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(
    tmp_path: Path, shape: str, says: str
) -> None:
    data = header(shape) + COUNTS.tobytes()
    assert says in refused(member(tmp_path / "d.npz", data)).message
    (tmp_path / "d.npy").write_bytes(data)
    assert says in refused(tmp_path / "d.npy").message


def test_a_zip_bomb_gives_what_its_header_says_and_no_more(tmp_path: Path) -> None:
    path = member(tmp_path / "d.npz", header("(1, 3, 2)") + bytes(20_000_000))
    assert path.stat().st_size < 30_000
    assert read(path)[0].inputs.shape == (1, 3, 2)


def test_unusual_packing_is_refused(tmp_path: Path) -> None:
    assert (
        "unusual" in refused(member(tmp_path / "d.npz", header("(1,)"), zipfile.ZIP_LZMA)).message
    )


def test_flipped_bytes_give_data_or_a_refusal(tmp_path: Path) -> None:
    whole = npz(
        tmp_path / "d.npz", inputs=np.ones((4, 5, 6)), labels=np.arange(4), dt=1e-3
    ).read_bytes()
    for seed in range(200):
        dice = random.Random(seed)
        bad = bytearray(whole[: dice.randrange(len(whole))] if seed % 10 == 0 else whole)
        for _ in range(dice.choice([1, 4])):
            if bad:
                bad[dice.randrange(len(bad))] = dice.randrange(256)
        (tmp_path / "bad").write_bytes(bad)
        try:
            read(tmp_path / "bad")
        except InputError as error:
            assert {d.code for d in error.diagnostics if d.severity == "error"} == {"U603"}


# -- nir's recorded data ---------------------------------------------------------------------------


def recorded(path: Path, **nodes: Any) -> Path:
    """Each node with one observable, or a dict of them, written by nir itself."""
    named = {
        n: nir.NIRNodeData(o if isinstance(o, dict) else {"spikes": o}) for n, o in nodes.items()
    }
    nir.write_data(path, nir.NIRGraphData(named))
    return path


def gridded(dt: float = 1e-3) -> Any:
    return nir.TimeGriddedData(COUNTS > 0, dt)


def events(idx: list[int], time: list[float], t_max: float = 3e-3) -> Any:
    return nir.EventData(np.array([idx]), np.array([time]), 2, t_max)


def test_gridded_data_of_the_input_are_taken(tmp_path: Path) -> None:
    other = nir.TimeGriddedData(np.zeros((1, 1, 1)), 1.0)
    path = recorded(tmp_path / "d.h5", Input={"spikes": gridded(), "v": other}, lif=other)
    data, _ = read(path)
    assert np.array_equal(data.inputs, COUNTS > 0) and data.dt_s == 1e-3


def test_events_are_counted_in_the_models_steps(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "d.h5", only=events([1, 1, 0, -1], [0.0, 0.9e-3, 3 * 1e-3 - 1e-3, np.inf])
    )
    data, _ = read(path, 1e-3)
    assert data.inputs.tolist() == [[[0, 2], [0, 0], [1, 0]]] and data.dt_s == 1e-3


def test_events_are_binned_as_nir_does_it(tmp_path: Path) -> None:
    made = gridded(1e-4).to_event(8)
    data, _ = read(recorded(tmp_path / "d.h5", only=made), 1e-4)
    assert np.array_equal(data.inputs, COUNTS > 0)


def test_valued_events_are_added_up(tmp_path: Path) -> None:
    valued = nir.ValuedEventData(
        idx=np.array([[0, 0]]),
        time=np.array([[0.0, 1e-4]]),
        value=np.array([[2.0, 3.0]]),
        n_neurons=2,
        t_max=1e-3,
    )
    assert read(recorded(tmp_path / "d.h5", only=valued), 1e-3)[0].inputs.tolist() == [[[5, 0]]]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (events([2], [0.0]), "outside the recording"),
        (events([-2], [0.0]), "outside the recording"),
        (events([0], [5e-3]), "outside the recording"),
        (events([0], [-1e-3]), "outside the recording"),
        (events([0], [np.nan]), "outside the recording"),
        (events([0], [0.0], t_max=np.inf), "make no sense"),
        (events([0], [0.0], t_max=1e12), "too many steps"),
    ],
)
def test_events_that_fit_nowhere_are_refused(tmp_path: Path, made: Any, says: str) -> None:
    assert says in refused(recorded(tmp_path / "d.h5", only=made), 1e-3).message


def test_recorded_data_that_leave_a_choice_are_refused(tmp_path: Path) -> None:
    assert "--dt" in refused(recorded(tmp_path / "a.h5", only=events([0], [0.0]))).help
    assert (
        "which of the nodes"
        in refused(recorded(tmp_path / "b.h5", a=gridded(), b=gridded())).message
    )
    two = {"u": gridded(), "v": gridded()}
    assert "which of the observables" in refused(recorded(tmp_path / "c.h5", only=two)).message


def test_recorded_data_stored_elsewhere_are_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path / "d.h5", only=gridded())
    with h5py.File(path, "r+") as file:
        spikes = file["nodes/only/observables/spikes"]
        del spikes["data"]
        spikes["data"] = h5py.ExternalLink("/etc/passwd", "/x")
    assert "external link" in refused(path).message


def test_the_help_of_the_refusal_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(0))
    (tmp_path / "bad.npy").write_bytes(buffer.getvalue())
    helped = refused(tmp_path / "bad.npy").help
    exec(helped, {"np": np, "counts": COUNTS, "classes": [0]})
    assert read(tmp_path / "data.npz")[0].dt_s == 1e-4
