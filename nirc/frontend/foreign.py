"""What is this file, if it is not HDF5? Told by its first bytes alone; nothing is unpickled or decompressed."""

from __future__ import annotations

import zipfile
from pathlib import Path

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "an executable (ELF)"),
    (b"MZ", "an executable (Windows)"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB 5 file"),
    (b"CDF\x01", "a NetCDF 3 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was never fetched"),
    (b"TFL3", "a TensorFlow Lite model"),
)
_PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
LEGACY_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # torch's magic number, pickled


def identify(path: Path) -> str:
    """A phrase such as ``a PyTorch archive (zip with a pickle)``; never raises for a readable file."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "an empty file"
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _zip(path)
    if head.startswith(_PICKLE):
        torch = LEGACY_TORCH in head
        return "a pickled PyTorch object (legacy format)" if torch else "a Python pickle"
    for magic, name in _MAGIC:
        if head.startswith(magic) or head[4:].startswith(magic):
            return name
    return _text_or_binary(head)


def _zip(path: Path) -> str:
    """By the names in the directory of the archive; members are not opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:1000]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive"
    if any(n.endswith("data.pkl") for n in names):
        return "a PyTorch archive (zip with a pickle)"
    if names and all(n.endswith(".npy") for n in names):
        return "a numpy archive (.npz)"
    if any(n.endswith("model.weights.h5") for n in names):
        return "a Keras archive (.keras)"
    return "a zip archive"


def _text_or_binary(head: bytes) -> str:
    try:
        text = head.decode("utf-8").lstrip()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return "an unknown binary file"
        text = head[: error.start].decode("utf-8").lstrip()
    if any(ord(c) < 9 for c in text):
        return "an unknown binary file"
    if text.startswith(("{", "[")):
        return "a JSON file"
    if text.startswith("<"):
        return "an XML or HTML file"
    return "a text file"
