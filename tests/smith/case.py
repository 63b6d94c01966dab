"""A graph, the options of its compilation and its inputs: what a check needs and a file keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.api import Options
from nirc.diagnostics.log import Log
from nirc.frontend.hdf5 import read_raw
from nirc.frontend.raw import RawGraph, RawNode
from tests.build import graph as placed

Shape = tuple[int, ...]
Edge = tuple[str, str]
POPULATIONS = ("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF", "Threshold")
PORTS = (
    ("Input", "shape", "input"),
    ("Output", "shape", "output"),
    ("Flatten", "input_type", "input"),
)
TEXT = h5py.string_dtype()


@dataclass(frozen=True)
class Case:
    """``inputs`` (samples, steps, channels) counts. ``shapes``: of what each node sends.

    ``exact``: all numbers are binary fractions that sums and products of the steps hold exactly.
    ``columns``: outputs of the case from which this one was made, in the order of this one's.
    ``chip``: options, and ``weight_bits`` the most bits of a weight, if any.
    """

    graph: RawGraph
    shapes: Mapping[str, Shape]
    inputs: NDArray[np.int64]
    dt_s: float = 1e-4
    reset: str = "model"
    writer: str = "nir"
    exact: bool = True
    chip: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    columns: tuple[int, ...] | None = None
    weight_bits: int | None = None

    def options(self, chip: str = "") -> Options:
        """The options for ``chip``."""
        reset = self.reset if self.writer == "nir" else "model"
        return Options(
            dt_s=self.dt_s,
            reset=reset,
            writer=self.writer,
            chip=self.chip.get(chip, ()),
            weight_bits=self.weight_bits if chip else None,
        )

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the nodes of these kinds."""
        return [name for name, node in self.graph.nodes.items() if node.type in kinds]

    @property
    def populations(self) -> list[str]:
        """Names of the nodes that hold neurons."""
        return self.of_kind(*POPULATIONS)

    def into(self, name: str) -> list[str]:
        """The nodes that send to ``name``."""
        return [a for a, b in self.graph.edges if b == name]

    def out_of(self, name: str) -> list[str]:
        """The nodes that ``name`` sends to."""
        return [b for a, b in self.graph.edges if a == name]

    def with_graph(
        self,
        nodes: Mapping[str, RawNode],
        edges: Sequence[Edge],
        shapes: Mapping[str, Shape] | None = None,
        **other: Any,
    ) -> Case:
        """The case with another graph. ``shapes``: of nodes that are new."""
        made = placed(nodes, *edges)
        known = {**self.shapes, **(shapes or {})}
        return replace(self, graph=made, shapes={n: known[n] for n in made.nodes}, **other)

    def fresh(self, stem: str) -> str:
        """A name that no node has."""
        number = 0
        while f"{stem}{number}" in self.graph.nodes:
            number += 1
        return f"{stem}{number}"

    def output_columns(self) -> dict[str, range]:
        """The columns of each Output in what a run gives."""
        first, found = 0, {}
        for name in self.of_kind("Output"):
            n = math.prod(self.shapes[name])
            found[name] = range(first, first + n)
            first += n
        return found

    def loops(self, *, delayed: bool = False) -> list[set[str]]:
        """Sets of nodes on cycles. ``delayed``: also on those that a Delay prolongs."""
        delays = {name: self.graph.nodes[name].fields["delay"] for name in self.of_kind("Delay")}
        waits = {n for n, d in delays.items() if not delayed and np.all(np.asarray(d) > 0)}
        found: nx.DiGraph[str] = nx.DiGraph()
        found.add_edges_from((a, b) for a, b in self.graph.edges if not {a, b} & waits)
        parts = nx.strongly_connected_components(found)
        return [part for part in parts if len(part) > 1 or any(found.has_edge(n, n) for n in part)]

    @property
    def order_matters(self) -> bool:
        """True if names decide which edge of a loop acts a step later."""
        populations = set(self.populations)
        return any(len(loop & populations) > 1 for loop in self.loops())


def as_object(graph: RawGraph) -> Any:
    """The graph as an object like those of the ``nir`` package."""
    nodes = {name: _as_node(node) for name, node in graph.nodes.items()}
    return _made("NIRGraph", nodes=nodes, edges=list(graph.edges))


def _as_node(node: RawNode) -> Any:
    if node.graph is not None:
        return as_object(node.graph)
    fields: dict[str, Any] = dict(node.fields)
    for kind, key, port in PORTS:
        if node.type == kind and key in fields:
            fields[f"{port}_type"] = {port: fields.pop(key)}
    return _made(node.type, **fields)


def _made(kind: str, **attributes: Any) -> Any:
    made = type(kind, (), {})()
    vars(made).update(attributes)
    return made


def write_nir(graph: RawGraph, path: Path) -> None:
    """The graph as a file, in the layout of nir 1.0.8."""
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        _write(file.create_group("node"), graph)


def _write(group: Any, graph: RawGraph) -> None:
    group["type"] = "NIRGraph"
    nodes = group.create_group("nodes")
    for name, node in graph.nodes.items():
        inner = nodes.create_group(name)
        if node.graph is not None:
            _write(inner, node.graph)
            continue
        inner["type"] = node.type
        for key, value in node.fields.items():
            inner[key] = value
    edges = [list(edge) for edge in graph.edges]
    group.create_dataset("edges", data=edges, dtype=TEXT if edges else None)


def save(case: Case, stem: Path, why: Mapping[str, Any]) -> None:
    """Write ``stem``.nir and ``stem``.json: the model, and how to see the failure again."""
    write_nir(case.graph, stem.with_suffix(".nir"))
    tree = {
        **why,
        "dt_s": case.dt_s,
        "reset": case.reset,
        "writer": case.writer,
        "exact": case.exact,
        "weight_bits": case.weight_bits,
    }
    tree |= {"chip": {k: list(v) for k, v in case.chip.items()}, "inputs": case.inputs.tolist()}
    tree |= {"shapes": {name: list(shape) for name, shape in case.shapes.items()}}
    stem.with_suffix(".json").write_text(json.dumps(tree, indent=1))


def opened(stem: Path) -> tuple[Case, dict[str, Any]]:
    """The case and the failure that ``save`` wrote."""
    tree = json.loads(stem.with_suffix(".json").read_text())
    graph = read_raw(stem.with_suffix(".nir"), Log())
    shapes = {name: tuple(shape) for name, shape in tree["shapes"].items()}
    chip = {k: tuple((a, b) for a, b in v) for k, v in tree["chip"].items()}
    kept = {key: tree[key] for key in ("dt_s", "reset", "writer", "exact", "weight_bits")}
    return Case(graph, shapes, np.array(tree["inputs"]), chip=chip, **kept), tree
