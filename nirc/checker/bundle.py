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
    "output_shape": [[SIZE, ...], ...], "options": {"chip": {...: str}, ...: object},
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
    files = {name: digest for name, digest in manifest["files"].items() if name not in late}
    text = json.dumps({**manifest, "sha256": "", "files": files}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Bundle:
    """The files of a bundle, the quantised network, and all that is found."""
    def __init__(self, read: Any, findings: list[Finding]) -> None:
        self.read, self.findings = read, findings
        tree = parsed("manifest.json", read("manifest.json"), object)
        manifest = self.manifest = fit("manifest.json", tree, MANIFEST)
        self.dt = dt = 1.0 if manifest["dt"] is None else manifest["dt"]  # seconds of a step
        demand(type(dt) is float and 0 < dt < math.inf, "manifest.json", "dt", "it is no time", dt)
        certificate = parsed("certificate.json", read("certificate.json"), CERTIFICATE)
        for name, digest in manifest["files"].items():
            found = hashlib.sha256(read(name)).hexdigest()
            if found != digest:
                what = "the file", "this is not the file that nirc wrote", found, digest
                self.note("unreadable", name, *what)
        if certificate["seal"] != seal(tree):
            self.note("network", "certificate.json", "seal", "a file is not as it was certified")
        self.retimed, arrays = certificate["retimed"], self._datasets(certificate["datasets"])
        self.network = network = Network(arrays, certificate["inputs"], dt)
        names, blocks = certificate["populations"], manifest["populations"]
        have = names, names.values(), certificate["outputs"], [b["place"] for b in blocks.values()]
        want = network.populations, blocks, network.ends, range(len(blocks))
        for pair in zip(map(sorted, have), map(sorted, want)):
            problem = "the names or places are not those of network.nir"
            demand(pair[0] == pair[1], "certificate.json", "the file", problem, *pair)
        network.ends = {name: network.ends[name] for name in certificate["outputs"]}
        self.late, self.blocks = dict.fromkeys(network.first, 0), dict[str, Any]()  # steps
        for name, fields in network.populations.items():
            block = self.blocks[name] = {**blocks[names[name]], "name": names[name]}
            self.late[name], place = block["latency_steps"], f"populations.{names[name]}"
            block["index"] = fit("manifest.json", block["index"], (*SIZE, 1), f"{place}.index")
            sound = block["scale"] == fields.pop("scale", np.zeros(0)).tolist()
            sound = sound and len(block["index"]) == len(fields["rule"])
            demand(sound, "manifest.json", place, "another scale or size", kind="network")

    def note(self, kind: str, file: str, place: str, problem: str, *values: object) -> None:
        """Keep a finding."""
        self.findings.append(Finding(kind, file, place, problem, *values))

    def most(self, file: str, what: str, numbers: Any, most: int) -> None:
        """Note where a limit of the chip is exceeded. ``what`` has {} for the place of a number."""
        for i, number in enumerate(np.ravel(numbers).tolist()):
            if number > most:
                self.note("limit", file, what.format(i), "there are too many", number, f"0..{most}")

    def npz(self, name: str) -> dict[str, Array]:
        """Return the arrays of an archive."""
        with np.load(io.BytesIO(self.read(name)), allow_pickle=False) as archive:
            sizes = [info.file_size for info in archive.zip.infolist()]
            sound = sum(sizes) <= MOST_BYTES and len(sizes) == len(set(archive.files))
            demand(sound, name, "the file", "it is too large, or has an array twice")
            return {name: archive[name] for name in archive.files}

    def _datasets(self, rows: list[Any]) -> dict[str, Array]:
        """Return the arrays of network.nir by path."""
        data, arrays, paths = self.read(FILE), dict[str, Array](), [path for path, *_ in rows]
        # Places and sizes of datasets, as HDF5's headers of contiguous data name them.
        layouts = set(re.findall(rb"\x03\x01(?=(.{16}))", data, re.DOTALL))
        demand(paths == sorted({*paths}), "certificate.json", "datasets", "paths do not rise")
        for path, offset, dtype, shape in rows:
            count, problem = math.prod(shape.tolist()), "HDF5 has no such dataset at this place"
            sound = struct.pack("<QQ", offset, count * np.dtype(dtype).itemsize) in layouts
            demand(sound, "certificate.json", path, problem, (offset, dtype, shape))
            array = arrays[path] = np.frombuffer(data, dtype, count, offset).reshape(shape)
            if array.dtype.kind == "S":
                arrays[path] = np.char.decode(array, "utf-8", "replace")
            else:
                demand(np.isfinite(array).all(), FILE, path, "a number is not finite")
        return arrays
