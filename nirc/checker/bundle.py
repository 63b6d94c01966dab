"""The files of a bundle, read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from nirc.checker.network import FILE, Network
from nirc.checker.values import Array, Finding, demand, fit, in_full, parsed

# fmt: off
MOST_BYTES = 1 << 30  # of one file, packed or not
STEPS, SIZE = (-1024, 65536), (0, MOST_BYTES)
MANIFEST: dict[Any, Any] = {
    "schema": "nirc-bundle/2", "target": str, "part": str, "dt": object, "sha256": str,
    "files": {...: str}, "input_map": in_full, "output_map": in_full, "output_kind": str,
    "output_latency_steps": in_full, "latency_steps": STEPS, "input_shape": [[SIZE, ...], ...],
    "output_shape": [[SIZE, ...], ...], "options": {"chip": dict, ...: object},
    "populations": {...: {"part": str, "index": in_full, "scale": in_full, "latency_steps": STEPS,
                          "place": SIZE, ...: object}}, ...: object}
CERTIFICATE = {
    "schema": "nirc-certificate/3", "populations": {...: str}, "seal": str,
    "inputs": [str, ...], "outputs": [str, ...], "retimed": [[str, str, STEPS], ...],
    "datasets": [[str, SIZE, str, (*SIZE, 1)], ...]}


def files_of(directory: Path) -> Any:
    """Return a function that reads the regular files of a directory."""
    def read(name: str) -> bytes:
        path, place = directory / name, ascii(name)[1:-1]
        sound = path.name == name and path.is_file() and not path.is_symlink()
        demand(sound, place, "the file", "it is missing, or no regular file")
        demand(path.stat().st_size <= MOST_BYTES, place, "the file", "it is too large")
        return path.read_bytes()
    return read


def seal(manifest: Any) -> str:
    """Return the digest of a manifest and of its chip's files, as the certificate was made."""
    late = ("certificate.json", "report.html")
    names = {name: digest for name, digest in manifest["files"].items() if name not in late}
    tree = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps({**tree, "files": names}, sort_keys=True).encode()).hexdigest()


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""
    def __init__(self, read: Any, findings: list[Finding]) -> None:
        self.read, self.findings = read, findings
        tree = parsed("manifest.json", read("manifest.json"), object)
        manifest = self.manifest = fit("manifest.json", tree, MANIFEST)
        self.dt = dt = 1.0 if manifest["dt"] is None else manifest["dt"]  # seconds of a step
        sound = type(dt) is float and 0 < dt < math.inf
        demand(sound, "manifest.json", "dt", "it is no time", dt, "seconds")
        certificate = parsed("certificate.json", read("certificate.json"), CERTIFICATE)
        self.check_digests(tree, certificate["seal"])
        self.nir = read(FILE)
        # Places and sizes of datasets, as HDF5's headers of contiguous data name them.
        self.layouts = set(re.findall(rb"\x03\x01(?=(.{16}))", self.nir, re.DOTALL))
        rows, paths = certificate["datasets"], [row[0] for row in certificate["datasets"]]
        demand(paths == sorted({*paths}), "certificate.json", "datasets", "paths do not rise")
        arrays = dict(map(self._dataset, rows))
        self.network = network = Network(arrays, certificate["inputs"], self.dt)
        self.retimed = certificate["retimed"]
        names, blocks = certificate["populations"], manifest["populations"]
        pairs: list[Any] = [(names, network.populations), (names.values(), blocks)]
        pairs += [(certificate["outputs"], network.ends)]
        pairs += [([block["place"] for block in blocks.values()], range(len(blocks)))]
        for have, want in (map(sorted, pair) for pair in pairs):
            problem = "the names or places are not those of network.nir"
            demand(have == want, "certificate.json", "the file", problem, have, want)
        network.ends = {name: network.ends[name] for name in certificate["outputs"]}
        self.blocks = {n: {**blocks[names[n]], "name": names[n]} for n in network.populations}
        self.late = dict.fromkeys(network.first, 0)  # steps
        self.late |= {name: block["latency_steps"] for name, block in self.blocks.items()}
        for name, block in self.blocks.items():
            place = f"populations.{block['name']}"
            block["index"] = fit("manifest.json", block["index"], (*SIZE, 1), f"{place}.index")
            scale = network.populations[name].pop("scale", np.zeros(0)).tolist()
            if block["scale"] != scale or len(block["index"]) != math.prod(network.shapes[name]):
                self.note("network", "manifest.json", place, "another scale or size")

    def check_digests(self, manifest: Any, sealed: str) -> None:
        """Compare every file with its digest in the manifest, and the manifest with its seal."""
        for name, digest in manifest["files"].items():
            found = hashlib.sha256(self.read(name)).hexdigest()
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

    def npz(self, name: str) -> dict[str, Array]:
        """Return the arrays of an archive."""
        data = io.BytesIO(self.read(name))
        with np.load(data, allow_pickle=False) as archive:
            sizes = [info.file_size for info in archive.zip.infolist()]
            sound = sum(sizes) <= MOST_BYTES and len(sizes) == len(set(archive.files))
            demand(sound, name, "the file", "it is too large, or has an array twice")
            return {name: archive[name] for name in archive.files}

    def _dataset(self, row: list[Any]) -> tuple[str, Array]:
        """Return path and array of a dataset in network.nir."""
        path, offset, dtype, shape = row
        problem, count = "HDF5 has no such dataset at this place", math.prod(shape.tolist())
        sound = struct.pack("<QQ", offset, count * np.dtype(dtype).itemsize) in self.layouts
        demand(sound, "certificate.json", path, problem, row)
        array = np.frombuffer(self.nir, dtype, count, offset).reshape(shape)
        if array.dtype.kind == "S":
            return path, np.char.decode(array, "utf-8", "replace")
        demand(np.isfinite(array).all(), FILE, path, "a number is not finite")
        return path, array
