"""Files of other kinds, recognised by their first bytes, and archives by the names inside.

Nothing is unpickled, nothing decompressed, and a FIFO or device is never opened.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nirc.diagnostics.file import (
    UNFINISHED,
    CannotOpen,
    NotHdf5,
    NotNir,
    NotRegularFile,
    TooMuchAsked,
)
from nirc.diagnostics.similar import similar_file
from nirc.files.bounds import MAX_FILE_BYTES, RefusalError, bytes_as_text, printable, refused
from nirc.files.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from nirc.files.hdf5.file import Hdf5

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # of HDF5
# The magic number of torch.save before 1.6, pickled.
LEGACY_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
HEAD_BYTES = 512  # that are read of any file
MAX_PATH = 200  # characters of a path in a message
DIRECTORY_BYTES = 1 << 16  # of a zip archive's directory, enough to name the archive

CAMERA = "events of a camera"
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x93NUMPY", "a numpy array (.npy)"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"MZ", "a program (Windows)"),
    (0, b"#!AER-DAT4", f"{CAMERA} (AEDAT4)"),
    (0, b"% evt", f"{CAMERA} (Prophesee RAW)"),
    (0, b"Event Stream", f"{CAMERA} (ES)"),
    (0, b"#!", "a script"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB 5 file"),
    (0, b"\x0e\x03\x13\x01", "an HDF4 file"),
    (0, b"CDF\x01", "a NetCDF 3 file"),
    (0, b"CDF\x02", "a NetCDF 3 file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"version https://git-lfs", "a Git LFS pointer (fetch the file itself: git lfs pull)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (8, b'{"', "a safetensors file"),
    (0, b"(dp", "a Python pickle"),
    (0, b"(lp", "a Python pickle"),
    (0, b"ccopy_reg", "a Python pickle"),
)
_MEMBERS: tuple[tuple[str, str], ...] = (
    ("data.pkl", "a PyTorch archive (zip with a pickle)"),
    ("model.weights.h5", "a Keras archive (.keras)"),
    ("saved_model.pb", "a zipped TensorFlow model"),
    ("word/document.xml", "a Word document"),
)
_TOP_NAMES: tuple[tuple[str, str], ...] = (
    ("model_weights", "a Keras model"),
    ("layer", "a network of Lava DL (netx)"),
    ("#refs#", "a MATLAB 7.3 file"),
)
EXPORT = "export the network to NIR, and write it with nir.write"
EMPTY = "an empty file"
ZEROS = "a file that begins with zeros"
BEGINNING = "the first bytes of an HDF5 file"


def check_file(path: Path) -> None:
    """Refuse what is not a readable regular file of a sane size (F101, F106)."""
    shown = printable(str(path), MAX_PATH)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            is_bundle = (path / MANIFEST_NAME).is_file()
            folder = "a bundle" if is_bundle else "a directory"
            kind = folder if stat.S_ISDIR(status.st_mode) else "a device, FIFO or socket"
            raise RefusalError(NotRegularFile(path=shown, kind=kind, is_bundle=is_bundle))
        if status.st_size > MAX_FILE_BYTES:
            size = bytes_as_text(status.st_size)
            raise refused(
                TooMuchAsked, "the file is too large", size, bytes_as_text(MAX_FILE_BYTES)
            )
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        help_ = similar_file(path, CannotOpen.help)
        raise RefusalError(CannotOpen(path=shown, reason=reason, help=help_)) from error


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file. Raises ``InputError`` (F101)."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        shown = printable(str(path), MAX_PATH)
        raise CannotOpen(path=shown, reason=error.strerror or str(error)).refusal() from error


def check_hdf5(path: Path) -> None:
    """Refuse a file that is not HDF5, with its kind (F102). :func:`check_file` comes first."""
    if not is_hdf5(path):
        kind = identify(path)
        help_ = UNFINISHED if kind in (EMPTY, ZEROS, BEGINNING) else EXPORT
        raise RefusalError(NotHdf5(name=printable(path.name), kind=kind, help=help_))


def is_hdf5(path: Path) -> bool:
    """Return True if the file has the HDF5 signature."""
    return signature_offset(path) is not None


def signature_offset(path: Path) -> int | None:
    """Return the offset of the HDF5 signature: 0, or behind a user block of 512 * 2**n bytes."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return offset
            offset = max(512, offset * 2)
    return None


def identify(path: Path) -> str:
    """Return a phrase such as ``a PyTorch archive (zip with a pickle)``. Raises ``OSError``."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    if SIGNATURE.startswith(head):
        return BEGINNING
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(zip_names(path))
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return (
            "a pickled PyTorch object (legacy format)"
            if LEGACY_TORCH in head
            else "a Python pickle"
        )
    for offset, magic, name in _MAGIC:
        if head.startswith(magic, offset):
            return name
    if not any(head):
        return ZEROS
    return _protobuf(head) or _text(head) or "an unknown binary file"


def zip_names(path: Path) -> list[str]:
    """Return the names in the first 64 KiB of a zip archive's directory, if there is one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + 22:
            return []
        length, start = struct.unpack_from("<II", tail, end + 12)
        file.seek(min(start, size))
        directory = file.read(min(length, DIRECTORY_BYTES))
    names = []
    at = 0
    while directory.startswith(b"PK\x01\x02", at) and at + 46 <= len(directory):
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        names.append(directory[at + 46 : at + 46 + name].decode(errors="replace"))
        at += 46 + name + extra + comment
    return names


def identify_hdf5(hdf5: Hdf5, names: Sequence[str]) -> RefusalError:
    """Return the refusal of an HDF5 file without a group ``node``, by its top-level names."""
    if is_nir_data(hdf5, names):
        problem = "this is recorded data of a NIR graph (NIRGraphData), not a model"
        return refused(NotNir, problem, help="give it to --data, and the model as the argument")
    found = ", ".join(printable(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
    kind = next((kind for top, kind in _TOP_NAMES if top in names), "")
    problem = f"this looks like {kind}, not a NIR graph" if kind else "the file has no group `node`"
    help_ = UNFINISHED if set(names) <= {"version"} else EXPORT
    return refused(
        NotNir, problem, found or "an HDF5 file with nothing in it", "group `node`", help_
    )


def is_nir_data(hdf5: Hdf5, names: Sequence[str]) -> bool:
    """Return True for ``NIRGraphData``.

    Its attribute of text cannot be read safely by HDF5. The existence of the attribute must do.
    """
    return "nodes" in names and hdf5.has_attribute(hdf5.root, "__type__")


def _zip(names: list[str]) -> str:
    for end, kind in _MEMBERS:
        if any(name == end or name.endswith(f"/{end}") for name in names):
            return kind
    if names and all(name.endswith(".npy") for name in names):
        return "a numpy archive (.npz)"
    return "a zip archive"


def _protobuf(head: bytes) -> str:
    """Return the kind of a protobuf file that starts with a version and a producer's name."""
    if len(head) < 8 or head[0] != 0x08 or head[1] > 0x20 or head[2] != 0x12:
        return ""
    producer = head[4 : 4 + head[3]]
    return (
        "an ONNX model"
        if producer.isalnum() or b"." in producer[:20]
        else "a protobuf file (TensorFlow or ONNX)"
    )


def _text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "a text file (UTF-16)"
    if 0 in head or any(byte < 9 for byte in head):
        return ""
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        cut_by_us = error.start >= len(head) - 3 and len(head) == HEAD_BYTES
        if not cut_by_us:
            return ""
        text = head[: error.start].decode()
    start = text.lstrip()[:1]
    return {"{": "a JSON file", "[": "a JSON file", "<": "an XML or HTML file"}.get(
        start, "a text file"
    )
