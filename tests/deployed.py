"""Bundles around hand-made files, and their deploy.py in this interpreter or in one of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from nirc.files.manifest import NO_DIGEST, SCHEMA


def loaded(directory: Path) -> Any:
    """deploy.py as a module."""
    spec = importlib.util.spec_from_file_location("deploy_under_test", directory / "deploy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["deploy_under_test"] = module  # dataclasses look for it
    spec.loader.exec_module(module)
    return module


def bundle(
    directory: Path, files: Mapping[str, bytes], inputs: int, outputs: int, **fields: Any
) -> Path:
    """Write ``files`` with a manifest.

    Model and chip have the same channels, unless ``fields`` say otherwise.
    """
    directory.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "target": "chip",
        "dt": 1e-3,
        "input_map": list(range(inputs)),
        "output_map": list(range(outputs)),
        "output_kind": "spikes",
        "populations": {},
        **fields,
    }
    manifest.setdefault("output_latency_steps", [0] * len(manifest["output_map"]))
    manifest.setdefault("latency_steps", max(manifest["output_latency_steps"], default=0))
    manifest["files"] = digests(files)
    for name, data in {**files, "manifest.json": manifest_text(manifest)}.items():
        (directory / name).write_bytes(data)
    return directory


def signed(directory: Path, *names: str) -> Path:
    """Write the digests of the files, all those of the manifest if none is named."""
    manifest = json.loads((directory / "manifest.json").read_text())
    names = names or tuple(manifest["files"])
    manifest["files"] |= digests({name: (directory / name).read_bytes() for name in names})
    (directory / "manifest.json").write_bytes(manifest_text(manifest))
    return directory


def manifest_text(manifest: Any) -> bytes:
    """manifest.json with the digest of its own text. What it holds may be wrong."""
    text = json.dumps({**manifest, "sha256": NO_DIGEST.decode()}).encode()
    return text.replace(NO_DIGEST, hashlib.sha256(text).hexdigest().encode())


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """The manifest's field "files"."""
    return {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name != "manifest.json"
    }


def packed(tree: Any) -> bytes:
    """A file of a tree:

    JSON, or an archive if there are arrays in its blocks. What it holds may be wrong.
    """
    blocks = [(f"{kind}/{i}", block) for kind, rows in tree.items() if isinstance(rows, list)
              for i, block in enumerate(rows) if isinstance(block, dict)]  # fmt: skip
    arrays = {
        f"{at}/{name}": v
        for at, block in blocks
        for name, v in block.items()
        if isinstance(v, np.ndarray)
    }
    if not arrays:
        return json.dumps(tree).encode()
    text = json.dumps(structure(tree)).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"network": np.frombuffer(text, np.uint8), **arrays}.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0))
            archive.writestr(f"{name}.npy", member.getvalue())
    return made.getvalue()


def structure(tree: Any) -> Any:
    """The tree without its arrays."""
    if isinstance(tree, dict):
        return {
            name: structure(value)
            for name, value in tree.items()
            if not isinstance(value, np.ndarray)
        }
    return [structure(value) for value in tree] if isinstance(tree, list) else tree


def script(
    directory: Path, *args: object, bare: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """deploy.py in a process of its own, whose standard streams take ASCII only.

    ``bare``: without any package.
    """
    python = ("-I", "-S") if bare else ("-I",)
    command = [sys.executable, *python, str(directory / "deploy.py"), *map(str, args)]
    environment = {"PYTHONIOENCODING": "ascii:strict", "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=environment
    )


def checked(directory: Path) -> subprocess.CompletedProcess[str]:
    """deploy.py --check in this process, as a process of its own would end."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            loaded(directory).SCRIPT.main(["--check"])
        except SystemExit as stop:
            status = stop.code or 0
    assert isinstance(status, int)
    return subprocess.CompletedProcess([], status, out.getvalue(), err.getvalue())


def faults(files: Mapping[str, bytes], module: Any) -> list[str]:
    """What deploy.py, loaded as ``module``, finds in the files of a bundle."""

    class InMemory(module.Bundle):  # type: ignore[misc, name-defined]
        def read(self, name: str) -> bytes | None:
            return files.get(name)

    return list(InMemory(Path(), module.FILES, module.ends).lines)
