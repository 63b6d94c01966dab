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
from nirc.checker.values import Array, Finding, demand, fit, in_full, parsed

# fmt: off
MOST_BYTES = 1 << 30  # of one file, packed or not
STEPS = (-1024, 65536)
DTYPES = re.compile(r"\|i1|<i2|<i4|<i8|<f8|\|S[1-9][0-9]{0,4}")
MANIFEST: dict[Any, Any] = {
    "schema": "nirc-bundle/2", "target": str, "part": str, "dt": object, "sha256": str,
    "files": {...: str}, "input_map": in_full, "output_map": in_full, "output_kind": str,
    "output_latency_steps": in_full, "latency_steps": STEPS,
    "input_shape": [[(0, MOST_BYTES), ...], ...], "output_shape": [[(0, MOST_BYTES), ...], ...],
    "options": {"chip": dict, ...: object},
    "populations": {...: {"part": str, "index": in_full, "scale": in_full, "latency_steps": STEPS,
                          "place": (0, MOST_BYTES), ...: object}},
    ...: object,
}
CERTIFICATE = {
    "schema": "nirc-certificate/3", "populations": {...: str}, "seal": str,
    "inputs": [str, ...], "outputs": [str, ...], "retimed": [[str, str, STEPS], ...],
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
            place = ascii(name)[1:-1]
            raise Finding("unreadable", place, "the file", "it cannot be read", error) from None

    return read


def seal(manifest: Any) -> str:
    """Return the digest of a manifest and of its chip's files, as the certificate was made."""
    late = ("certificate.json", "report.html")
    names = {name: digest for name, digest in manifest["files"].items() if name not in late}
    tree = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps({**tree, "files": names}, sort_keys=True).encode()).hexdigest()


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""

    def __init__(self, read: Callable[[str], bytes], findings: list[Finding]) -> None:
        self.read, self.findings = read, findings
        manifest: dict[str, Any] = self.json("manifest.json", MANIFEST)
        self.manifest = manifest
        dt = 1.0 if manifest["dt"] is None else manifest["dt"]  # seconds of a step
        self.dt = fit("manifest.json", dt, float, "dt")
        demand(0 < self.dt < math.inf, "manifest.json", "dt", "it is no time", self.dt, "seconds")
        certificate = self.json("certificate.json", CERTIFICATE)
        self.check_digests(certificate["seal"])
        self.nir = read(FILE)
        # Places and sizes of datasets, as HDF5's headers of contiguous data name them.
        self.layouts = set(re.findall(rb"\x03\x01(?=(.{16}))", self.nir, re.DOTALL))
        datasets = dict(map(self._dataset, certificate["datasets"]))
        try:
            self.network = network = Network(datasets, self.dt)
        except (LookupError, TypeError, ValueError) as error:
            problem = "its nodes make no sense"
            raise Finding("unreadable", FILE, "the file", problem, repr(error)) from None
        self.retimed = {(a, b): steps for a, b, steps in certificate["retimed"]}
        names, blocks = certificate["populations"], manifest["populations"]
        pairs: list[Any] = [(names, network.populations), (names.values(), blocks)]
        pairs += [(certificate["inputs"], network.inputs), (certificate["outputs"], network.ends)]
        pairs += [([block["place"] for block in blocks.values()], range(len(blocks)))]
        for have, want in (map(sorted, pair) for pair in pairs):
            problem = "the names or places are not those of network.nir"
            demand(have == want, "certificate.json", "the file", problem, have, want)
        network.inputs = {name: network.inputs[name] for name in certificate["inputs"]}
        network.ends = {name: network.ends[name] for name in certificate["outputs"]}
        for name, population in network.populations.items():
            population.name, block = names[name], blocks[names[name]]
            place = f"populations.{population.name}.index"
            population.at = fit("manifest.json", block["index"], (0, MOST_BYTES, 1), place)
            population.part, network.late[name] = block["part"], block["latency_steps"]
            if block["scale"] != population.scale or len(population.at) != population.n:
                self.note("network", "manifest.json", place[:-6], "another scale or size")

    def check_digests(self, sealed: str) -> None:
        """Compare every file with its digest in the manifest, and the manifest with two digests."""
        data = self.read("manifest.json")
        manifest = parsed("manifest.json", data, object)
        own = manifest["sha256"]
        unsigned = data.replace(own.encode("utf-8", "replace"), b"0" * 64)
        for name, digest in {**manifest["files"], "manifest.json": own}.items():
            text = unsigned if name == "manifest.json" else self.read(name)
            found = hashlib.sha256(text).hexdigest()
            if found != digest:
                problem = "this is not the file that nirc wrote"
                self.note("unreadable", name, "the file", problem, found, digest)
        if sealed != seal(manifest):
            self.note("network", "certificate.json", "seal", "a file is not as it was certified")

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
            problem = "it is no archive of arrays"
            raise Finding("unreadable", name, "the file", problem, error) from None

    def _dataset(self, row: list[Any]) -> tuple[str, Array]:
        """Return path and array of a dataset in network.nir."""
        path, offset, dtype, shape = row
        count, is_known = math.prod(shape.tolist()), DTYPES.fullmatch(dtype)
        size = count * np.dtype(dtype).itemsize if is_known else -1
        layout = b"".join(n.to_bytes(8, "little", signed=True) for n in (offset, size))
        sound = is_known and layout in self.layouts and offset + size <= len(self.nir)
        demand(sound, "certificate.json", path, "HDF5 has no such dataset at this place", row)
        array = np.frombuffer(self.nir, dtype, count, offset).reshape(shape)
        if array.dtype.kind == "S":
            return path, np.char.decode(array, "utf-8", "replace")
        demand(np.isfinite(array).all(), FILE, path, "a number is not finite")
        return path, array
