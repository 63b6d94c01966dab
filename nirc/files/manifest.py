"""manifest.json and the files that it lists. deploy.py holds this module's text."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nirc.files.description import File, Tree, check_shapes
from nirc.files.faults import Faults, join
from nirc.files.kinds import (
    Choice,
    Const,
    Integer,
    Integers,
    Many,
    Map,
    Maybe,
    Number,
    Object,
    Text,
)
from nirc.files.runs import Runs

SCHEMA = "nirc-bundle/2"
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST = 1 << 26  # bytes
MAX_INDEX = 1 << 20  # of a channel or neuron
MAX_FULL = 1 << 16  # entries of a map of inputs or outputs; a longer one is in runs
MAX_LATENCY = 1 << 16  # steps
MAX_LEAD = 1 << 10  # steps
MAX_EMPTY = 1 << 28  # values in the empty steps that follow a sample
NO_DIGEST = b"0" * 64
ABOVE_0 = 1e-300
READOUT = "readout"  # the part whose index counts columns of the output
RUN_FORMAT = "nirc-run/1"  # of the record of a run
ANSWER = {"output.npy", "spikes.npy"}  # arrays of every answer
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def _index(name: str, full: int = 0) -> Runs:
    return Runs(Integers((name,), 0, MAX_INDEX - 1), full)


def check_manifest(tree: Tree, file: File, trees: Mapping[str, Tree], faults: Faults) -> None:
    """Note lists whose lengths differ, outputs later than ``latency_steps``, and bad names.

    Note neurons that a population has twice: recordings must not be larger than the chip.
    """
    check_shapes(file.root, tree, "", {"outputs": len(tree["output_map"])}, faults)
    latest = max(tree["output_latency_steps"], default=0)
    if tree["output_latency_steps"] and latest > tree["latency_steps"]:
        faults.damaged(
            "latency_steps", "an output is later", tree["latency_steps"], f"{latest} or more"
        )
    for name, block in tree["populations"].items():
        if len(block["scale"]) != len(block["index"]):
            path = join(join("populations", name), "scale")
            message = "a population needs a scale for each neuron"
            faults.damaged(path, message, block["scale"], len(block["index"]))
        if len(set(block["index"])) < len(block["index"]):
            path = join(join("populations", name), "index")
            message = "a neuron is twice in a population"
            faults.damaged(path, message, block["index"], "each neuron once")
    for name in tree["files"]:
        if not FILE_NAME.fullmatch(name):
            message = "the manifest names a file outside the bundle"
            faults.damaged(join("files", name), message, name, "a file name")


MANIFEST = File(
    MANIFEST_NAME,
    Object(
        {
            "schema": Const(SCHEMA),
            "target": Text(255),
            "dt": Maybe(Number(ABOVE_0, 1 / ABOVE_0)),
            "input_map": Runs(Many(Maybe(Integer(0, MAX_INDEX - 1)), "inputs"), MAX_FULL),
            "output_map": _index("outputs", MAX_FULL),
            "output_latency_steps": Runs(Integers(("outputs",), -MAX_LEAD, MAX_LATENCY), MAX_FULL),
            "latency_steps": Integer(-MAX_LEAD, MAX_LATENCY),
            "output_kind": Choice(("spikes", "membrane")),
            "populations": Map(
                Object(
                    {
                        "part": Text(255),
                        "index": _index("neurons"),
                        "latency_steps": Integer(-MAX_LEAD, MAX_LATENCY),
                        "scale": Runs(Many(Number(ABOVE_0, 1 / ABOVE_0), "neurons")),
                        "place": Integer(0, MAX_INDEX),
                    },
                    optional=("place",),
                    open=True,
                )
            ),
            "files": Map(Text(64, 64)),
            "sha256": Text(64, 64),
        },
        optional=("dt",),
        open=True,
    ),
    check_manifest,
    {},
    MAX_MANIFEST,
)


def digest_of(data: bytes, noted: str) -> str:
    """Return the digest of a manifest's text in which zeros stand for the digest ``noted``."""
    return sha256(data.replace(noted.encode("utf-8", "replace"), NO_DIGEST))


def check_ends(manifest: Tree, ends: Mapping[str, Any], faults: Faults) -> None:
    """Compare the manifest with the chip's files.

    ``ends``: the numbers of "inputs" and "outputs", the "kinds" of output, and the neurons of each
    of the "parts". "silent", if it is there, lists the outputs that may be membranes.
    """
    _below("input_map", manifest["input_map"], ends["inputs"], faults)
    _below("output_map", manifest["output_map"], ends["outputs"], faults)
    widest = max(ends["inputs"], ends["outputs"])
    if manifest["latency_steps"] * widest > MAX_EMPTY:
        allowed = f"0..{MAX_EMPTY // widest}"
        message = "an answer of this chip cannot be so late"
        faults.damaged("latency_steps", message, manifest["latency_steps"], allowed)
    kind = manifest["output_kind"]
    if kind not in ends["kinds"]:
        faults.damaged(
            "output_kind", "the chip's files have other outputs", kind, ", ".join(ends["kinds"])
        )
    scaled = set()
    for name, block in manifest["populations"].items():
        path = join("populations", name)
        if block["part"] not in ends["parts"]:
            faults.damaged(
                f"{path}.part", "a part is unknown", block["part"], ", ".join(ends["parts"])
            )
        else:
            _below(f"{path}.index", block["index"], ends["parts"][block["part"]], faults)
        scaled |= set(block["index"]) if block["part"] == READOUT else set()
    silent = set(ends.get("silent", manifest["output_map"])) & set(manifest["output_map"])
    if kind == "membrane" and not silent <= scaled:
        faults.damaged(
            "populations", "an output has no scale", "outputs without", "a scale for each output"
        )


def _below(path: str, values: Sequence[int | None], end: int, faults: Faults) -> None:
    for i, value in enumerate(values):
        if value is not None and value >= end:
            faults.damaged(f"{path}[{i}]", "a number points to nothing", value, f"0..{end - 1}")


def sha256(data: bytes) -> str:
    """Return the digest of a file, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_answer(path: Path) -> bool:
    """Return True for what `nirc run` or deploy.py has written, by its contents.

    An answer has its arrays, the record of a run its format.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"{"):
            found = json.loads(data)
            return isinstance(found, dict) and found.get("format") == RUN_FORMAT
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist()) >= ANSWER
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError):
        return False


class Bundle:
    """The files in a directory, checked.

    ``lines`` has every fault, ``trees`` the contents by name.
    """

    def __init__(
        self, directory: Path, files: Sequence[File], ends_of: Callable[[Mapping[str, Tree]], Any]
    ) -> None:
        self.directory = directory
        self.lines: list[str] = []
        self.trees: dict[str, Tree] = {}
        self.sound = True  # all fields so far are what they should be
        text = self.read(MANIFEST_NAME)
        self.check(MANIFEST, text)
        self.manifest: Tree = self.trees.get(MANIFEST_NAME) if self.sound else None
        self.listed: dict[str, str] = self.manifest["files"] if self.manifest else {}
        names = {*self.listed, *(file.name for file in files)}
        contents = {name: self.read(name) for name in sorted(names)}
        for name, content in contents.items():
            if content is not None and self.manifest and sha256(content) != self.listed.get(name):
                self.lines.append(f"{name}: this is not the file that nirc wrote")
        if (
            text
            and self.manifest
            and digest_of(text, self.manifest["sha256"]) != self.manifest["sha256"]
        ):
            self.lines.append(f"{MANIFEST_NAME}: this is not the file that nirc wrote")
        for file in files:
            self.check(file, contents[file.name])
        if self.sound:
            faults = Faults()
            check_ends(self.manifest, ends_of(self.trees), faults)
            self.note(MANIFEST_NAME, faults)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file. Links are not followed."""
        path = self.directory / name
        try:
            if path.is_symlink() or not path.is_file():
                raise OSError("it is missing, or no regular file")
            return path.read_bytes()
        except OSError as error:
            self.lines.append(f"{name}: the file cannot be read: {error.strerror or error}")
            self.sound = False
            return None

    def check(self, file: File, data: bytes | None) -> None:
        """Add the tree of a file. Its rules need the trees of those before it."""
        if data is not None:
            faults = Faults()
            tree = file.parse(data, faults)
            if not faults:
                file.root.check(tree, "", faults)
            if self.sound and not faults:
                file.rules(tree, file, self.trees, faults)
            self.trees[file.name] = tree
            self.note(file.name, faults)

    def note(self, name: str, faults: Faults) -> None:
        """Keep the faults of a file."""
        self.lines += [f"{name}: {fault}" for fault in faults.all]
        self.sound = self.sound and not faults

    def strangers(self) -> list[str]:
        """Return a fault for each file that is neither listed nor an answer of this network."""
        known = {*self.listed, MANIFEST_NAME, "__pycache__"}
        paths = [path for path in self.directory.iterdir() if path.name not in known]
        names = sorted(path.name for path in paths if not is_answer(path))
        return [f"{name!a}: the manifest does not list this file" for name in names]
