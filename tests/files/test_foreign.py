"""Files that are not HDF5 are refused by name, and never opened as what they are."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nirc.files.foreign import identify, zip_names
from tests.frontend.files import refusal

LEGACY_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
SAFETENSORS = struct.pack("<Q", 2) + b'{"w": 1}'
CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "an empty file"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle"),
    "old pickle": (pickle.dumps({"a": 1}, protocol=0), "a Python pickle"),
    "torch": (LEGACY_TORCH + pickle.dumps({}), "a pickled PyTorch object (legacy format)"),
    "npy": (b"\x93NUMPY\x01\x00", "a numpy array (.npy)"),
    "gzip": (b"\x1f\x8b\x08\x00", "a gzip archive"),
    "tar": (b"a".ljust(257, b"\0") + b"ustar", "a tar archive"),
    "elf": (b"\x7fELF\x02\x01", "a program (ELF)"),
    "mat": (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB 5 file"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "a Git LFS pointer (fetch the file itself: git lfs pull)",
    ),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0", "an ONNX model"),
    "saved model": (
        b"\x08\x01\x12\x9a\xf3\x01\x0a\x10\x00",
        "a protobuf file (TensorFlow or ONNX)",
    ),
    "tflite": (b"\x1c\x00\x00\x00TFL3", "a TensorFlow Lite model"),
    "safetensors": (SAFETENSORS, "a safetensors file"),
    "json": (json.dumps({"nodes": []}).encode(), "a JSON file"),
    "html": (b"<!DOCTYPE html><html>404", "an XML or HTML file"),
    "text": ("nodes: größe".encode(), "a text file"),
    "cut letter": (b"a" * 511 + "ö".encode(), "a text file"),
    "utf-16": ("nodes".encode("utf-16"), "a text file (UTF-16)"),
    "broken zip": (b"PK\x03\x04 nothing", "a zip archive"),
    "binary": (bytes(range(200, 256)), "an unknown binary file"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_named_by_its_first_bytes(tmp_path: Path, case: str) -> None:
    data, name = CASES[case]
    (tmp_path / "m.nir").write_bytes(data)
    said = refusal(tmp_path / "m.nir")
    assert said.code == "F102" and said.message == f"this is {name}, not HDF5"


@pytest.mark.parametrize(
    ("members", "name"),
    [
        (["model/data.pkl", "model/version"], "a PyTorch archive (zip with a pickle)"),
        (["config.json", "model.weights.h5"], "a Keras archive (.keras)"),
        (["inputs.npy", "labels.npy"], "a numpy archive (.npz)"),
        (["readme.txt"], "a zip archive"),
    ],
)
def test_an_archive_is_named_by_the_names_inside(
    tmp_path: Path, members: list[str], name: str
) -> None:
    with zipfile.ZipFile(tmp_path / "m.nir", "w") as archive:
        for member in members:
            archive.writestr(member, "x")
        archive.comment = b"a comment after the directory"
    assert identify(tmp_path / "m.nir") == name


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "m.nir").write_bytes(pickle.dumps(Bomb()))
    assert refusal(tmp_path / "m.nir").code == "F102" and not (tmp_path / "ran").exists()


def test_a_zip_directory_that_lies_gives_few_names_and_no_exception(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", inputs=np.zeros(3))
    whole = (tmp_path / "a.npz").read_bytes()
    end = whole.rindex(b"PK\x05\x06")
    for count, start in ((1 << 31, 0), (46, len(whole)), ((1 << 32) - 1, (1 << 32) - 1)):
        (tmp_path / "b").write_bytes(
            whole[: end + 12] + struct.pack("<II", count, start) + whole[end + 20 :]
        )
        assert zip_names(tmp_path / "b") == []


def test_recorded_data_and_unknown_hdf5_are_told_apart(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "data.nir", "w") as file:
        file.attrs["__type__"] = "NIRGraphData"
        file.create_group("nodes")
    said = refusal(tmp_path / "data.nir")
    assert said.code == "F103" and "recorded data" in said.message and "--data" in said.help
