"""NIR files written by hand, right and wrong, and what reading them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nirc.diagnostics.errors import Diagnostic, InputError
from nirc.diagnostics.log import Log
from nirc.frontend.hdf5 import read_raw
from nirc.frontend.raw import RawGraph

TEXT = h5py.string_dtype()
SMALL: Mapping[str, Mapping[str, object]] = {
    "input": {"type": "Input", "shape": np.array([3])},
    "fc": {"type": "Linear", "weight": np.arange(6, dtype=np.float32).reshape(2, 3)},
    "lif": {"type": "IF", "r": np.ones(2), "v_threshold": np.ones(2), "v_reset": np.zeros(2)},
    "output": {"type": "Output", "shape": np.array([2])},
}
CHAIN = [("input", "fc"), ("fc", "lif"), ("lif", "output")]


def write_graph(
    group: Any, nodes: Mapping[str, Mapping[str, object]], edges: Sequence[tuple[str, str]]
) -> None:
    """The members of a NIRGraph into an HDF5 group, as nir.write lays them out."""
    group["type"] = "NIRGraph"
    place = group.create_group("nodes")
    for name, fields in nodes.items():
        node = place.create_group(name)
        for field, value in fields.items():
            node[field] = value
    group.create_dataset("edges", data=list(edges), dtype=TEXT if edges else None)


def small(path: Path) -> Path:
    """A valid model of four nodes at ``path``."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        write_graph(file.create_group("node"), SMALL, CHAIN)
    return path


def found(path: Path) -> tuple[RawGraph | None, list[Diagnostic]]:
    """What reading ``path`` gives: the graph or None, and all findings."""
    log = Log()
    try:
        return read_raw(path, log), log.diagnostics
    except InputError as error:
        return None, list(error.diagnostics)


def refusal(path: Path) -> Diagnostic:
    """The only error of reading ``path``."""
    graph, diagnostics = found(path)
    assert graph is None
    assert len(diagnostics) == 1, diagnostics
    return diagnostics[0]
