"""The files of a bundle, read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.network import FILE, Network
from nirc.checker.values import Array, Finding, Refused, fit, in_full, parsed

MOST_BYTES = 1 << 30  # of one file, packed or not
STEPS = (-1024, 65536)
DTYPES = re.compile(r"\|i1|<i2|<i4|<i8|<f8|\|S[1-9][0-9]{0,4}")
BLOCK = {"part": str, "index": in_full, "scale": in_full, "latency_steps": STEPS, ...: object}
MANIFEST: dict[Any, Any] = {
    **{"schema": "nirc-bundle/2", "target": str, "part": str, "dt": object, "files": {...: str}},
    **{"sha256": str, "populations": {...: {**BLOCK, "place": (0, MOST_BYTES)}}},
    **{"input_map": in_full, "output_map": in_full, "output_latency_steps": in_full},
    **{"latency_steps": STEPS, "output_kind": str, "options": {"chip": dict, ...: object}},
    **{key: [[(0, MOST_BYTES), ...], ...] for key in ("input_shape", "output_shape")},
    ...: object,
}
CERTIFICATE = {
    **{"schema": "nirc-certificate/2", "populations": {...: str}, "seal": str},
    **{"inputs": [str, ...], "outputs": [str, ...], "retimed": [[str, str, STEPS], ...]},
    "datasets": [[str, (0, MOST_BYTES), str, (0, MOST_BYTES, 1)], ...],
}


def files_of(directory: Path) -> Callable[[str], bytes]:
    """Return a function that reads the regular files of a directory."""

    def read(name: str) -> bytes:
        path = directory / name
        try:
            odd = path.is_symlink() or not path.is_file() or path.name != name
            if odd or path.stat().st_size > MOST_BYTES:
                raise OSError("it is missing, too large, or no regular file")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise Refused(ascii(name)[1:-1], "the file", "it cannot be read", error) from None

    return read


def seal(read: Callable[[str], bytes]) -> str:
    """Return the digest of a bundle as its certificate was made: manifest and chip's files."""
    tree = parsed("manifest.json", read("manifest.json"), {"files": dict, ...: object})
    names = sorted({*tree.pop("files")} - {"certificate.json", "report.html"})
    tree.pop("sha256", "")
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for name in names:
        digest.update(read(name))
    return digest.hexdigest()


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""

    def __init__(self, read: Callable[[str], bytes], findings: list[Finding]) -> None:
        self.read, self.findings = read, findings
        self.manifest = manifest = self.json("manifest.json", MANIFEST)
        self.check_digests()
        dt = 1.0 if manifest["dt"] is None else manifest["dt"]
        self.dt: float = fit("manifest.json", dt, float, "dt")
        if not 0 < self.dt < math.inf:
            raise Refused("manifest.json", "dt", "it is no time", self.dt, "seconds")
        certificate = self.json("certificate.json", CERTIFICATE)
        if certificate["seal"] != seal(read):
            self.note("network", "certificate.json", "seal", "a file is not as it was certified")
        self.nir = read(FILE)
        # Places and sizes of datasets, as HDF5's headers of contiguous data name them.
        self.layouts = set(re.findall(rb"\x03\x01(?=(.{16}))", self.nir, re.DOTALL))
        datasets = dict(map(self._dataset, certificate["datasets"]))
        try:
            self.network = network = Network(datasets, self.dt)
        except (LookupError, TypeError, ValueError) as error:
            raise Refused(FILE, "the file", "its nodes make no sense", repr(error)) from None
        self.retimed = {(a, b): steps for a, b, steps in certificate["retimed"]}
        names, blocks = certificate["populations"], manifest["populations"]
        ends, inputs = certificate["outputs"], certificate["inputs"]
        places = sorted(block["place"] for block in blocks.values())
        pairs: list[Any] = [(names, network.populations), (names.values(), blocks)]
        pairs += [(inputs, network.inputs), (ends, network.ends), (places, range(len(blocks)))]
        for have, want in pairs:
            if sorted(have) != sorted(want):
                problem = "the names or places are not those of network.nir"
                raise Refused("certificate.json", "the file", problem, sorted(have), sorted(want))
        network.inputs = {name: network.inputs[name] for name in inputs}
        network.ends = {name: network.ends[name] for name in ends}
        for name, population in network.populations.items():
            population.name, block = names[name], blocks[names[name]]
            place = f"populations.{population.name}.index"
            population.at = fit("manifest.json", block["index"], (0, MOST_BYTES, 1), place)
            population.part, population.late = block["part"], block["latency_steps"]
            if block["scale"] != population.scale or len(population.at) != population.n:
                self.note("network", "manifest.json", place[:-6], "another scale or size")

    def check_digests(self) -> None:
        """Compare every file with its digest in the manifest, and the manifest with its own."""
        own, data = self.manifest["sha256"], self.read("manifest.json")
        texts = {name: self.read(name) for name in self.manifest["files"]}
        texts["manifest.json"] = data.replace(own.encode("utf-8", "replace"), b"0" * 64)
        for name, digest in {**self.manifest["files"], "manifest.json": own}.items():
            found = hashlib.sha256(texts[name]).hexdigest()
            if found != digest:
                problem = "this is not the file that nirc wrote"
                self.note("unreadable", name, "the file", problem, found, digest)

    def note(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        """Keep a finding."""
        self.findings.append(Finding(kind, file, place, problem, *values))

    def most(self, file: str, what: str, number: int, most: int) -> None:
        """Note a limit of the chip that is exceeded."""
        if number > most:
            self.note("limit", file, what, "there are too many", number, f"0..{most}")

    def json(self, name: str, pattern: Any) -> Any:
        """Return the tree of a JSON file that fits a pattern."""
        return parsed(name, self.read(name), pattern)

    def npz(self, name: str) -> dict[str, Array]:
        """Return the arrays of an archive."""
        try:
            with np.load(io.BytesIO(self.read(name)), allow_pickle=False) as archive:
                sizes = [info.file_size for info in archive.zip.infolist()]
                if sum(sizes) > MOST_BYTES or len(sizes) > len(set(archive.files)):
                    raise ValueError("it is too large, or has an array twice")
                return {name: archive[name] for name in archive.files}
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise nearly anything
            raise Refused(name, "the file", "it is no archive of arrays", error) from None

    def same(self, name: str, want: dict[str, Array]) -> None:
        """Note the arrays of an archive that are not as in the chip's main file."""
        have = self.npz(name)
        for key in sorted({*want, *have}):
            a, b = have.get(key, np.zeros(0)), want.get(key, np.zeros(0))
            if a.dtype != b.dtype or not np.array_equal(a, b):
                self.note("network", name, key, "it differs from config.json")

    def _dataset(self, row: list[Any]) -> tuple[str, Array]:
        """Return path and array of a dataset in network.nir."""
        path, offset, dtype, shape = row
        count, is_known = math.prod(shape.tolist()), DTYPES.fullmatch(dtype)
        size = count * np.dtype(dtype).itemsize if is_known else -1
        layout = b"".join(n.to_bytes(8, "little", signed=True) for n in (offset, size))
        if layout not in self.layouts or offset + size > len(self.nir) or not is_known:
            raise Refused("certificate.json", path, "HDF5 has no such dataset at this place", row)
        array = np.frombuffer(self.nir, dtype, count, offset).reshape(shape)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Refused(FILE, path, "a number is not finite")
        return path, np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
