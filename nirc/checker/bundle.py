"""The files of a bundle, read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.network import Network
from nirc.checker.values import Array, Finding, Node, Refused, finding

MOST_BYTES = 1 << 30  # of one file, packed or not
DTYPES = re.compile(r"\|i1|<i2|<i4|<i8|<f8|\|S[1-9][0-9]{0,4}")


def files_of(directory: Path) -> Callable[[str], bytes]:
    """Return a function that reads the regular files of a directory."""
    kept: dict[str, bytes] = {}

    def read(name: str) -> bytes:
        path = directory / name
        try:
            if Path(name).name != name or path.is_symlink() or not path.is_file():
                raise OSError("it is missing, or no regular file")
            if path.stat().st_size > MOST_BYTES:
                raise OSError("it is too large")
            return kept.setdefault(name, path.read_bytes() if name not in kept else b"")
        except (OSError, ValueError) as error:
            raise Refused(name, "the file", "it cannot be read", str(error)) from None

    return read


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""

    def __init__(self, read: Callable[[str], bytes], findings: list[Finding]) -> None:
        self.read = read
        self.findings = findings
        self.manifest = self.json("manifest.json")
        self._digests()
        dt = self.manifest["dt"]
        self.dt: float = 1.0 if dt.value is None else dt.value
        if type(self.dt) is not float or not 0 < self.dt < math.inf:
            raise dt.refused("seconds")
        self.certificate = self.json("certificate.json").has("schema datasets retimed")
        self.certificate["schema"].one_of("nirc-certificate/1")
        rows = self.certificate["datasets"].list()
        self.network = Network(dict(map(self._dataset, rows)), self.dt)

    def note(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        """Keep a finding."""
        self.findings.append(finding(kind, file, place, problem, *values))

    def most(self, file: str, what: str, number: int, most: int) -> None:
        """Note a limit of the chip that is exceeded."""
        if number > most:
            self.note("limit", file, what, "there are too many", int(number), f"0..{most}")

    def json(self, name: str) -> Node:
        """Return the tree of a JSON file."""
        try:
            text = self.read(name).decode()
            tree = json.loads(text, parse_constant=_no_number, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise Refused(name, "the file", "it is no JSON", str(error)) from None
        return Node(name, "", tree)

    def npz(self, name: str) -> dict[str, Array]:
        """Return the arrays of an archive."""
        arrays = {}
        data = io.BytesIO(self.read(name))
        try:
            with zipfile.ZipFile(data) as archive:
                if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
                    raise ValueError("it is too large")
                for member in archive.namelist():
                    with archive.open(member) as file:
                        array = np.lib.format.read_array(file, allow_pickle=False)
                        if file.read(1) or member in arrays:
                            raise ValueError(f"{member} has more bytes, or stands twice")
                    arrays[member[: -len(".npy")]] = array
        except Exception as error:  # zipfile, zlib and numpy raise nearly anything
            raise Refused(name, "the file", "it is no archive of arrays", str(error)) from None
        return arrays

    def _digests(self) -> None:
        """Note files that are not those that the manifest lists."""
        data, own = self.read("manifest.json"), self.manifest["sha256"].text()
        files = {"manifest.json": (own, data.replace(own.encode(), b"0" * 64))}
        for name in self.manifest["files"].names():
            files[name] = (self.manifest["files"][name].text(), self.read(name))
        for name, (digest, content) in files.items():
            if hashlib.sha256(content).hexdigest() != digest:
                self.note("altered", name, "the file", "this is not the file that nirc wrote")

    def _dataset(self, row: Node) -> tuple[str, Array]:
        """Return path and array of a dataset in network.nir."""
        if len(row.list()) != 4:
            raise row.refused("path, offset, type, shape")
        path, offset, dtype, shape = row.list()
        sizes = shape.integers(0, MOST_BYTES, None).tolist()
        if not DTYPES.fullmatch(dtype.text()):
            raise dtype.refused("integers, float64 or text")
        data = self.read("network.nir")
        count = math.prod(sizes)
        offset.integer(0, len(data) - count * np.dtype(dtype.value).itemsize)
        array = np.frombuffer(data, dtype.value, count, offset.value).reshape(sizes)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Refused("network.nir", path.text(), "a number is not finite")
        return path.text(), array.astype(str) if array.dtype.kind == "S" else array


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")
