"""Bundles made of tables by hand, and deploy.py run on them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.backends.loihi2.deploy import deploy_py
from nirc.backends.loihi2.tables import Tables, to_npz
from tests.deployed import loaded


def write(directory: Path, tables: Tables, **manifest: Any) -> Path:
    """deploy.py, network.npz and what it needs of manifest.json: inputs and outputs one to one, no latency."""
    columns = sum(len(output.neurons) for output in tables.outputs)
    fields = {
        "input_map": list(range(tables.channels)),
        "output_map": list(range(columns)),
        "output_latency_steps": [0] * columns,
        "output_kind": "spikes",
        "populations": {},
    }
    (directory / "deploy.py").write_bytes(deploy_py())
    (directory / "network.npz").write_bytes(to_npz(tables))
    (directory / "manifest.json").write_text(json.dumps(fields | manifest))
    return directory


def cut(rng: np.random.Generator, tables: Tables, directory: Path) -> int:
    """A floorplan that has each population on up to three cores; how many cores."""
    cores = []
    for p in tables.populations:
        ends = sorted({0, p.n, *rng.integers(0, p.n + 1, 2).tolist()})
        boxes = [[[a, b]] for a, b in itertools.pairwise(ends)]
        cores += [{"parts": [{"population": p.name, "box": box}]} for box in rng.permutation(boxes).tolist()]
    (directory / "mapping.json").write_text(json.dumps({"floorplan": {"cores": cores}}))
    return len(cores)


def save(path: Path, inputs: NDArray[Any]) -> Path:
    np.savez(path, inputs=inputs)
    return path


def script(directory: Path, *args: object, python: tuple[str, ...] = ("-I",), **environment: str) -> Any:
    """deploy.py as its user runs it."""
    command = [sys.executable, *python, str(directory / "deploy.py"), *map(str, args)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    clean |= {"PYTHONIOENCODING": "ascii:strict", **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=clean)


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """deploy.py in this interpreter, where Lava may be the stand-in."""
    monkeypatch.setattr(sys, "argv", ["deploy.py", *map(str, args)])
    loaded(directory).main()
