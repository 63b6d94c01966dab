"""The compiled library, found once. Without a compiler at installation there is none."""

from __future__ import annotations

import ctypes
import os
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SWITCH = "NIRC_NATIVE"  # "0": run the definitions in numpy
FOLDER = Path(__file__).parent


def library() -> ctypes.CDLL | None:
    """Return the library, or None if it was not compiled or is switched off."""
    return None if os.environ.get(SWITCH) == "0" else _loaded()


@cache
def _loaded() -> ctypes.CDLL | None:
    spec = find_spec("nirc.native._kernels")
    if spec is None or spec.origin is None:
        return None
    try:
        found = ctypes.CDLL(spec.origin)
        number = ctypes.c_uint32.in_dll(found, "built_from").value
        return found if is_newest(number, FOLDER) else None
    except (OSError, ValueError):  # built for another machine, or before there was a number
        return None


def is_newest(number: int, folder: Path) -> bool:
    """Return whether a library of this number is built from the sources in ``folder``.

    A wheel has no sources. Those of a checkout can be newer than its library.
    """
    return not (folder / "sources.c").exists() or number == number_of(folder)


def number_of(folder: Path) -> int:
    """Return the checksum of all sources in C. setup.py puts it into the library.

    Raises ``OSError``.
    """
    checksum = 0
    for path in sources_in(folder):
        checksum = zlib.crc32(path.name.encode() + path.read_bytes(), checksum)
    return checksum


def sources_in(folder: Path) -> list[Path]:
    """Return the sources in C and their headers, without the files of an editor, in order."""
    found = [path for path in folder.iterdir() if path.suffix in {".c", ".h"}]
    return sorted(path for path in found if not path.name.startswith("."))
