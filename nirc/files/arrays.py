"""Arrays of numbers from .npy and .npz files: headers first, sizes before memory, nothing
unpickled.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from nirc.files.bounds import MAX_DATA_BYTES, bytes_as_text, printable
from nirc.files.refusal import RefusalError, at


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an .npy file. Raises ``RefusalError``."""
    with at("inputs"), _damage(), path.open("rb") as file:
        _check_header(file, path.stat().st_size)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Those of the arrays ``keys`` that an .npz file holds, the first one for sure.

    Raises ``RefusalError``.
    """
    with _damage(), zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        if f"{keys[0]}.npy" not in members:
            found = ", ".join(printable(name) for name in sorted(members)[:8]) or "nothing"
            raise RefusalError(
                "U603", f"there is no array `{keys[0]}` in the file", found, f"{keys[0]}.npy"
            )
        return {key: _member(archive, key) for key in keys if f"{key}.npy" in members}


def _member(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    with at(key), _damage():
        info = archive.getinfo(f"{key}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise RefusalError(
                "U603",
                "the array is packed in an unusual way",
                limit="np.savez, np.savez_compressed",
            )
        with archive.open(info) as stream:
            _check_header(stream, info.file_size)
        with archive.open(info) as stream:
            return npy.read_array(stream, allow_pickle=False)


def _check_header(stream: IO[bytes], size: int) -> None:
    """Refuse an array that is not numbers, or larger than allowed or than its ``size`` bytes."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise RefusalError(
            "U603", "the array's format version is unknown", str(version), "1.0 or 2.0"
        )
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.kind not in "biuf":
        kind = (
            "pickled objects, which are never opened" if dtype.hasobject else printable(str(dtype))
        )
        raise RefusalError(
            "U603", "the array does not hold real numbers", kind, "bool, integers or floats"
        )
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or wanted > MAX_DATA_BYTES:
        found = f"shape {shape}, {bytes_as_text(abs(wanted))}"
        raise RefusalError("U603", "the array is too large", found, bytes_as_text(MAX_DATA_BYTES))
    if wanted > size - stream.tell():
        found = f"{bytes_as_text(size - stream.tell())} of {bytes_as_text(wanted)}"
        raise RefusalError(
            "U603", "the array is cut off", found, help="copy the file again from its source"
        )


@contextmanager
def _damage() -> Iterator[None]:
    """What numpy and zipfile raise on bytes that make no sense, as one refusal."""
    try:
        yield
    except RefusalError:
        raise
    except (
        Exception
    ) as error:  # their parsers raise a dozen classes, some (tokenize.TokenError) without kin
        help_ = "copy the file again from its source"
        raise RefusalError(
            "U603", "the file is damaged", printable(str(error), 120), help=help_
        ) from error
