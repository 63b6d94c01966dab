"""Bundles around hand-made networks, without a compiler, and runs of their deploy.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nirc.backends.spinnaker2.bundle import deploy_py
from nirc.backends.spinnaker2.emulate import emulate
from nirc.backends.spinnaker2.tables import Tables, to_npz
from tests.commands import HEARS_CTRL_C
from tests.deployed import bundle
from tests.spinnaker2 import spinnaker2_mock
from tests.spinnaker2.networks import mapping

Tree = dict[str, Any]
LATE = 2  # steps, of the first output. The others have one step more
SCALE = 4.0  # chip units per volt of a readout


def written(tables: Tables, directory: Path, **fields: Any) -> Path:
    """Write a bundle with outputs in reversed order. ``fields``: of the mapping.

    Model input i is channel i. The last channel has no listener.
    """
    files = {"network.npz": to_npz(tables), "mapping.json": mapping(tables, **fields).to_json()}
    columns = sum(len(o.neurons) for o in tables.outputs)
    kinds = {p.name: p for p in tables.populations}
    membrane = not kinds[tables.outputs[0].population].spikes
    blocks = {
        p.name: {
            "part": p.name,
            "index": list(range(p.n))[::-1],
            "latency_steps": 1,
            "scale": [1.0] * p.n,
        }
        for p in tables.populations
    }
    index = list(range(columns))
    blocks["out"] = {
        "part": "readout",
        "index": index,
        "latency_steps": LATE,
        "scale": [SCALE] * columns,
    }
    manifest = {
        "input_map": [*range(tables.channels), None],
        "output_map": index[::-1],
        "output_latency_steps": [LATE, *[LATE + 1] * (columns - 1)],
        "output_kind": "membrane" if membrane else "spikes",
        "populations": blocks,
    }
    return bundle(directory, {**files, "deploy.py": deploy_py()}, 0, 0, **manifest)


def expected(tables: Tables, inputs: np.ndarray, directory: Path) -> np.ndarray:
    """Return (samples, steps, outputs) by nirc's emulator, at the model's steps."""
    tree = json.loads((directory / "manifest.json").read_text())
    samples, steps, _ = inputs.shape
    raster = np.zeros((samples, steps + LATE + 1, tables.channels))
    raster[:, :steps] = inputs[:, :, : tables.channels]
    chip = emulate(tables, raster).outputs
    columns = zip(tree["output_map"], tree["output_latency_steps"], strict=True)
    answer = np.stack(
        [chip[:, latency : latency + steps, column] for column, latency in columns], axis=2
    )
    return answer / SCALE if tree["output_kind"] == "membrane" else answer


def deploy(
    directory: Path,
    *args: object,
    vendor: bool = True,
    without: str = "",
    python: tuple[str, ...] = (),
    **asked: Any,
) -> subprocess.CompletedProcess[str]:
    """Run deploy.py in a process of its own, with the stand-in if ``vendor`` is true.

    ``asked``: of the stand-in.
    """
    site = directory / "site"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONIOENCODING": "ascii:strict",
        "OMP_NUM_THREADS": "1",
    }
    if vendor:
        spinnaker2_mock.install(site, without=without)
        asked = {"log": str(directory / "log"), **asked}
        environment |= {"PYTHONPATH": str(site), "SPINNAKER2_MOCK": json.dumps(asked)}
    script = str(directory / "deploy.py")
    command = [*HEARS_CTRL_C, sys.executable, *python, script, *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=environment
    )


def runs(directory: Path) -> list[Tree]:
    """Return the notes of the stand-in, run by run."""
    log = directory / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def put(*path: str | int, value: object) -> Callable[[Tree], None]:
    """Return a change of one value in a tree."""

    def change(tree: Tree) -> None:
        place: Any = tree
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change
