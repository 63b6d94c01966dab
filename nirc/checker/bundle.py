"""The files of a bundle, read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.network import Network
from nirc.checker.values import Array, Finding, Node, Refused

MOST_BYTES = 1 << 30  # of one file, packed or not
# Fields of manifest.json that are compared with other files, or that are digests.
PROVEN = {"files", "sha256", "populations", "input_map", "output_map", "output_latency_steps"}
DTYPES = re.compile(r"\|i1|<i2|<i4|<i8|<f8|\|S[1-9][0-9]{0,4}")


def files_of(directory: Path) -> Callable[[str], bytes]:
    """Return a function that reads the regular files of a directory."""

    def read(name: str) -> bytes:
        path = directory / name
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
                raise OSError("it is missing, too large, or no regular file")
            return path.read_bytes()
        except OSError as error:
            raise Refused(name, "the file", "it cannot be read", error) from None

    return read


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""

    def __init__(self, read: Callable[[str], bytes], findings: list[Finding]) -> None:
        self.read = read
        self.findings = findings
        self.manifest = self.json("manifest.json")
        # What is read and not proven, as no chip needs it: history, texts, estimates.
        self.rest: list[Any] = [
            {k: v for k, v in self.manifest.of(dict).items() if k not in PROVEN}
        ]
        for name in self.manifest["populations"].of(dict):
            block = self.manifest["populations"][name].of(dict)
            self.rest.append(
                {k: v for k, v in block.items() if k not in ("index", "scale")} | {"name": name}
            )
        dt = self.manifest["dt"]
        self.dt: float = 1.0 if dt.value is None else dt.value
        if type(self.dt) is not float or not 0 < self.dt < math.inf:
            raise dt.refused("seconds")
        self.certificate = self.json("certificate.json").has(
            "schema datasets names inputs outputs retimed rest"
        )
        self.certificate["schema"].one_of("nirc-certificate/1")
        self.nir = read("network.nir")
        # Places and sizes of datasets, as HDF5's headers of contiguous data name them.
        self.layouts = set(re.findall(rb"\x03\x01(?=(.{16}))", self.nir, re.DOTALL))
        rows = self.certificate["datasets"].list()
        self.network = Network(dict(map(self._dataset, rows)), self.dt)
        self.network.inputs = self._ordered("inputs", self.network.inputs)
        self.network.ends = self._ordered("outputs", self.network.ends)

    def _ordered(self, key: str, ends: dict[str, Any]) -> dict[str, Any]:
        """Return Inputs or Outputs in the order of the maps in the manifest."""
        names = [row.of(str) for row in self.certificate[key].list()]
        if sorted(names) != sorted(ends):
            raise self.certificate[key].refused("the names in network.nir")
        return {name: ends[name] for name in names}

    @cached_property
    def blocks(self) -> dict[str, Node]:
        """Return what the manifest says of each population of network.nir."""
        rows = self.manifest["populations"]
        names = {name: self.noted(name) for name in self.network.populations}
        if sorted(rows.of(dict)) != sorted(names.values()):
            raise rows.refused("the populations of network.nir")
        blocks = {name: rows[noted] for name, noted in names.items()}
        for place, block in enumerate(
            sorted(blocks.values(), key=lambda block: block["place"].of(int))
        ):
            block["place"].one_of(place)
        return blocks

    def noted(self, name: str) -> str:
        """Return a population's name in the manifest. HDF5 has no slash in a name."""
        renamed = self.certificate["names"]
        return str(renamed[name].of(str)) if name in renamed.of(dict) else name

    def note(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        """Keep a finding."""
        self.findings.append(Finding(kind, file, place, problem, *values))

    def digest_of_rest(self) -> str:
        """Return the digest of what was read and has no effect on the chip."""
        return hashlib.sha256(json.dumps(self.rest, sort_keys=True).encode()).hexdigest()

    def most(self, file: str, what: str, number: int, most: int) -> None:
        """Note a limit of the chip that is exceeded."""
        if number > most:
            self.note("limit", file, what, "there are too many", number, f"0..{most}")

    def json(self, name: str) -> Node:
        """Return the tree of a JSON file."""
        return parsed(name, self.read(name))

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
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise nearly anything
            raise Refused(name, "the file", "it is no archive of arrays", error) from None
        return arrays

    def same(self, name: str, want: dict[str, Array]) -> None:
        """Note the arrays of an archive that are not as in the chip's main file."""
        have = self.npz(name)
        for key in sorted({*want, *have}):
            a, b = have.get(key, np.zeros(0)), want.get(key, np.zeros(0))
            if a.dtype != b.dtype or a.shape != b.shape or (a != b).any():
                self.note("network", name, key, "it differs from config.json")

    def _dataset(self, row: Node) -> tuple[str, Array]:
        """Return path and array of a dataset in network.nir."""
        path, offset, dtype, shape = row.list() if len(row.list()) == 4 else [row] * 4
        sizes = shape.integers(0, MOST_BYTES, None).tolist()
        count = math.prod(sizes)
        if not DTYPES.fullmatch(dtype.of(str)):
            raise dtype.refused("integers, float64 or text")
        size = count * np.dtype(dtype.value).itemsize
        layout = b"".join(n.to_bytes(8, "little") for n in (offset.integer(0, len(self.nir)), size))
        if layout not in self.layouts or offset.value + size > len(self.nir):
            raise offset.refused("a place where HDF5 has a dataset of this size")
        array = np.frombuffer(self.nir, dtype.value, count, offset.value).reshape(sizes)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Refused("network.nir", path.of(str), "a number is not finite")
        return path.of(str), _text(array) if array.dtype.kind == "S" else array


def parsed(name: str, data: bytes) -> Node:
    """Return the tree of a JSON text in the file ``name``."""
    try:
        tree = json.loads(data.decode(), parse_constant=_no_number, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refused(name, "the file", "it is no JSON", error) from None
    return Node(name, "", tree)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _text(array: Array) -> Array:
    return np.char.decode(array, "utf-8", "replace")
