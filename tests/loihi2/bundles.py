"""Bundles made of tables by hand, and deploy.py run on them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nirc.backends.loihi2.emit import deploy_py
from nirc.backends.loihi2.tables import Input, Output, Population, Projection, Tables, to_npz
from tests.deployed import bundle, loaded

ZERO = np.zeros(1, np.int64)


def lines_and_neurons(n: int = 4, readout: bool = False, **fields: Any) -> Tables:
    """n channels, n neurons that pass on what they get, and perhaps a readout whose v counts."""
    zeros = np.zeros(n, np.int64)
    cells = (Population("relay", 4095, 4096, 10, zeros, zeros, zeros),)
    ways = (
        Projection("in", "raster", "relay", "dense", np.eye(n, dtype=np.int64) * 20, "excitatory"),
    )
    outputs = (Output("relay", np.arange(n)),)
    if readout:
        cells += (Population("sum", 4095, 0, 131071, ZERO, ZERO, ZERO, spikes=False),)
        ways += (Projection("up", "relay", "sum", "dense", np.full((1, n), 2), "excitatory"),)
        outputs = (Output("sum", ZERO),)
    return replace(Tables(n, (Input("raster", np.arange(n)),), cells, ways, outputs), **fields)


def sparse_and_delayed() -> Tables:
    """The same with synapses in a list, and delays."""
    tables = lines_and_neurons()
    places = {
        "rows": np.array([0, 1, 3]),
        "cols": np.array([2, 0, 3]),
        "delays": np.array([0, 5, 63]),
    }
    wires = replace(tables.projections[0], kind="sparse", weights=np.full(3, 20), **places)
    return replace(tables, projections=(wires,))


def write(
    directory: Path, tables: Tables, cores: list[tuple[str, Any]] | None = None, **manifest: Any
) -> Path:
    """A bundle: inputs and outputs one to one, no latency.

    ``cores``: population and box of each, one a population.
    """
    columns = sum(len(output.neurons) for output in tables.outputs)
    silent = {p.name for p in tables.populations if not p.spikes}
    blocks = {
        "out": {
            "part": "readout",
            "index": list(range(columns)),
            "scale": [1.0] * columns,
            "latency_steps": 0,
        }
    }
    kind = "membrane" if any(output.population in silent for output in tables.outputs) else "spikes"
    fields = {"output_kind": kind, "populations": blocks, **manifest}
    held = cores or [(p.name, [[0, p.n]]) for p in tables.populations]
    mapping = json.dumps(mapping_tree(held)).encode()
    files = {"network.npz": to_npz(tables), "mapping.json": mapping, "deploy.py": deploy_py()}
    return bundle(directory, files, tables.channels, columns, **fields)


def mapping_tree(cores: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping.json with a row of cores."""
    parts = [
        {"population": name, "box": box, "core": i, "targets": [i]}
        for i, (name, box) in enumerate(cores)
    ]
    return {"format": "nirc-loihi2-mapping/2", "parts": parts}


def cut(rng: np.random.Generator, tables: Tables) -> list[tuple[str, Any]]:
    """Each population on up to three cores, in any order."""
    cores = []
    for p in tables.populations:
        ends = sorted({0, p.n, *rng.integers(0, p.n + 1, 2).tolist()})
        boxes = [[[a, b]] for a, b in itertools.pairwise(ends)]
        cores += [(p.name, box) for box in rng.permutation(boxes).tolist()]
    return cores


def save(path: Path, inputs: NDArray[Any]) -> Path:
    np.savez(path, inputs=inputs)
    return path


def script(
    directory: Path, *args: object, python: tuple[str, ...] = ("-I",), **environment: str
) -> Any:
    """deploy.py as its user runs it."""
    command = [sys.executable, *python, str(directory / "deploy.py"), *map(str, args)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    clean |= {"PYTHONIOENCODING": "ascii:strict", **environment}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=clean
    )


def call(directory: Path, monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """deploy.py in this interpreter, where Lava may be the stand-in."""
    monkeypatch.setattr(sys, "argv", ["deploy.py", *map(str, args)])
    loaded(directory).SCRIPT.main()
