"""The recorded networks of ``tests/data/simulators``, and their simulators if installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data/simulators"
SCRIPTS = ROOT / "benchmarks/simulators"
SIMULATORS = ("snntorch", "norse", "sinabs", "rockpool", "spyx", "nengo", "lava")


@dataclass(frozen=True)
class Case:
    """One recorded network.

    ``read`` is the text for ``--from``; ``lost`` names what the export leaves out.
    """

    simulator: str
    kind: str
    read: str
    lost: str = ""

    @property
    def model(self) -> Path:
        """The NIR file."""
        return DATA / self.simulator / f"{self.kind}.nir"

    @property
    def recorded(self) -> Path:
        """``inputs`` (samples, steps, ...input shape) and ``outputs`` (samples, steps, ...output
        shape).
        """
        return self.model.with_suffix(".npz")


def index(directory: Path) -> dict[str, dict[str, str]]:
    """The table that a script of ``benchmarks/simulators`` writes beside its files."""
    found: dict[str, dict[str, str]] = json.loads((directory / "cases.json").read_text())
    return found


def cases(simulator: str) -> Iterator[Case]:
    """The recorded networks of one simulator.

    Kinds that its exporter refuses have no file and are left out.
    """
    for kind, row in index(DATA / simulator).items():
        if "raises" not in row:
            yield Case(simulator, kind, row["read"], row.get("lost", ""))


def record_anew(simulator: str, directory: Path, *needs: str, install: str) -> None:
    """Run the simulator's script for the kinds that are committed. Some of ``needs`` missing: skip
    the test.

    Under NIRC_REQUIRE_ORACLES=1 a missing simulator fails the test instead.
    """
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"{', '.join(missing)} is missing; install it: {install}"
        if os.environ.get("NIRC_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    kinds = [part for kind in index(DATA / simulator) for part in ("--kind", kind)]
    script = SCRIPTS / f"{simulator}_cases.py"
    command = [sys.executable, str(script), str(directory), "--compact", *kinds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def fields(path: Path) -> dict[str, Any]:
    """All datasets of a NIR file by their paths.

    Edges are a set: exporters write them in no order.
    """
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            value = item[()]
            found[name] = (
                {tuple(edge) for edge in value.tolist()}
                if name.endswith("edges")
                else np.asarray(value)
            )

    with h5py.File(path) as file:
        file.visititems(visit)
    return found
