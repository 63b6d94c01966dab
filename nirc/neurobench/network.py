"""The network of a bundle as NeuroBench counts it: projections as chains of NIR's operators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.api import Bundle
from nirc.certificate.certificate import CERTIFICATE, CHECKED, reader_of
from nirc.certificate.network import NETWORK
from nirc.checker.compare import check
from nirc.checker.values import Finding, parsed
from nirc.diagnostics.usage import UnusableBundle
from nirc.files.bundle import contents
from nirc.ir.arrays import Shape

Array = NDArray[Any]
NODES = "node/nodes/"
OPERATORS = ("Linear", "Scale", "Conv2d", "SumPool2d", "Flatten", "Delay")
MOST_BYTES = 1 << 30
WANTED: dict[Any, Any] = {
    "datasets": [[str, (0, MOST_BYTES), str, (0, MOST_BYTES, 1)], ...],
    "populations": {...: str},
    "inputs": [str, ...],
    "retimed": [[str, str, (-(1 << 16), 1 << 16)], ...],
    ...: object,
}


@dataclass(frozen=True)
class Operator:
    """One operator of a projection: its NIR type and fields, or ``synapses`` in a list.

    ``fields`` of a list: ``target``, ``source`` and ``weight``, each (synapses,).
    """

    type: str
    fields: Mapping[str, Array]


@dataclass(frozen=True)
class Projection:
    """Operators from a source to a population. A spike arrives ``lag`` steps later."""

    source: str
    target: str
    lag: int
    operators: tuple[Operator, ...]


@dataclass(frozen=True)
class Neurons:
    """A population: its name in the manifest, shape, and thresholds, None if it does not fire."""

    name: str
    shape: Shape
    threshold: Array | None


@dataclass(frozen=True)
class ChipNetwork:
    """The quantised network. Names are those of ``network.nir``."""

    inputs: Mapping[str, Shape]  # in the order of the bundle's inputs
    populations: Mapping[str, Neurons]
    projections: tuple[Projection, ...]


def network_of(bundle: Bundle) -> ChipNetwork:
    """Return the network on the chip. Raises ``InputError`` (U605) without a true certificate."""
    files = contents(bundle.manifest, bundle.files)
    if NETWORK not in files or CERTIFICATE not in files:
        problem = f"the bundle has no `{NETWORK}`, which holds the weights"
        help_ = "its compilation says why (C906)"
        raise UnusableBundle(where=NETWORK, problem=problem, help=help_).refusal()
    _refuse_another_network(files, str(bundle.manifest["target"]).partition(":")[0])
    try:
        tree = parsed(CERTIFICATE, files[CERTIFICATE], WANTED)
        arrays = dict(_dataset(row, files[NETWORK]) for row in tree["datasets"])
        return _Reader(arrays, tree, bundle.manifest["dt"] or 1.0).network()
    except (Finding, LookupError, TypeError, ValueError) as error:
        problem = f"`{NETWORK}` does not hold a network: {error}"
        raise UnusableBundle(
            where=NETWORK, problem=problem, help="compile again"
        ).refusal() from None


def _refuse_another_network(files: Mapping[str, bytes], chip: str) -> None:
    """Refuse (U605) a bundle whose chip's files hold another network than ``network.nir``."""
    if chip not in CHECKED:
        return
    wrong = [each for each in check(files.__getitem__, reader_of(chip)) if each.kind != "overflow"]
    if wrong:
        where, problem = wrong[0].file, f"the checker refuses the bundle: {wrong[0]}"
        raise UnusableBundle(where=where, problem=problem, help="compile again").refusal()


def _dataset(row: list[Any], data: bytes) -> tuple[str, Array]:
    """Return path and array of a dataset of ``data``, network.nir."""
    path, offset, dtype, shape = row
    count = int(np.prod(shape)) if len(shape) else 1
    array = np.frombuffer(data, np.dtype(dtype), count, offset).reshape(shape)
    return path, np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


class _Reader:
    """The nodes of network.nir, walked from sources to populations."""

    def __init__(self, arrays: dict[str, Array], tree: Mapping[str, Any], dt_s: float) -> None:
        self.arrays, self.tree, self.dt_s = arrays, tree, dt_s
        self.nodes: dict[str, dict[str, Array]] = {}
        for path, array in arrays.items():
            if path.startswith(NODES):
                name, _, key = path[len(NODES) :].partition("/")
                self.nodes.setdefault(name, {})[key] = array
        self.after: dict[str, list[str]] = {}
        for source, target in arrays["node/edges"].reshape(-1, 2).tolist():
            self.after.setdefault(source, []).append(target)
        self.retimed = {(a, b): steps for a, b, steps in tree["retimed"]}

    def network(self) -> ChipNetwork:
        """Return the whole network."""
        inputs = {name: _shape(self.nodes[name]["shape"]) for name in self.tree["inputs"]}
        populations = {
            name: Neurons(known, self.nodes[name]["r"].shape, self.nodes[name].get("v_threshold"))
            for name, known in self.tree["populations"].items()
        }
        projections: list[Projection] = []
        for source in sorted({*inputs, *populations}):
            leaving = self.after.get(source, [])
            projections += [self._projection(source, name) for name in leaving]
        to_populations = [each for each in projections if each.target in populations]
        return ChipNetwork(inputs, populations, (*to_populations, *self._lists()))

    def _projection(self, source: str, name: str) -> Projection:
        """Return the projection that leaves ``source`` by the node ``name``."""
        operators: list[Operator] = []
        lag_s, feedback = 0.0, 0
        for _ in range(len(self.nodes)):
            node = self.nodes[name]
            kind = str(node["type"])
            if kind not in OPERATORS:
                break
            feedback += int(node.get("metadata/feedback", 0))
            if kind == "Delay":
                lag_s += float(node["delay"].flat[0])
            else:
                operators.append(Operator(kind, node))
            (name,) = self.after[name]
        lag = round(lag_s / self.dt_s) + feedback + self.retimed.get((source, name), 0)
        return Projection(source, name, lag, tuple(operators))

    def _lists(self) -> list[Projection]:
        """Return the projections that stand as one list of synapses between numbered neurons."""
        keys = ("target", "source", "weight", "lag")
        columns = [self.arrays.get(f"node/metadata/synapses_{key}") for key in keys]
        to, frm, weight, lag = (np.zeros(0, int) if c is None else c.astype(int) for c in columns)
        shapes = {name: _shape(self.nodes[name]["shape"]) for name in self.tree["inputs"]}
        for name in sorted(self.tree["populations"], key=lambda name: f"{name}/"):
            shapes[name] = self.nodes[name]["r"].shape
        nodes = [*shapes]
        ends = np.cumsum([0, *map(math.prod, shapes.values())])
        a, b = (np.searchsorted(ends, each, side="right") - 1 for each in (frm, to))
        found, of = np.unique(np.stack([a, b, lag], axis=1), axis=0, return_inverse=True)
        order = np.argsort(of.ravel(), kind="stable")
        cuts = np.searchsorted(of.ravel()[order], np.arange(1, len(found)))
        projections = []
        for (source, target, steps), at in zip(found.tolist(), np.split(order, cuts), strict=False):
            rows = {"target": to[at] - ends[target], "source": frm[at] - ends[source]}
            operator = Operator("synapses", {**rows, "weight": weight[at]})
            a, b = nodes[source], nodes[target]
            later = self.retimed.get((a, b), 0)
            projections.append(Projection(a, b, steps + later, (operator,)))
        return projections


def _shape(sizes: Array) -> Shape:
    return tuple(int(size) for size in sizes)
