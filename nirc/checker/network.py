"""The quantised network, as network.nir has it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.checker.values import Array, demand

# fmt: off
FILE = "network.nir"
NEURONS = {
    "IF": "r v_threshold v_reset",
    "I": "r",
    "LI": "tau r v_leak",
    "LIF": "tau r v_leak v_threshold v_reset",
    "CubaLI": "tau_syn tau_mem r w_in v_leak",
    "CubaLIF": "tau_syn tau_mem r w_in v_leak v_threshold v_reset",
}
NOTES = ("metadata/receptor", "metadata/feedback")  # of the node with a projection's weights
ODD = "a node does not fit what arrives"
Synapses = Any  # target, source and weight of each, on flat maps in C order
Projection = Any  # source, target, receptor, steps of delay, Synapses


@dataclass
class Population:
    """Neurons: the text of their update rule, and their NIR fields and notes, each (n,)."""

    n: int
    rule: str
    scale: list[float]  # chip units per volt
    fields: dict[str, Array]
    name: str = ""  # in the manifest, as is the rest
    part: str = ""  # of the chip
    at: Array = None  # numbers of the neurons in their part


class Network:
    """Inputs, populations, projections and outputs, from the arrays of network.nir by path."""

    def __init__(self, arrays: dict[str, Array], dt: float) -> None:
        self.dt = dt  # seconds of a step
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []  # parallel ones stand apart
        self.ends: dict[str, tuple[str, int]] = {}  # population and delay of each Output
        self.shapes: dict[str, Any] = {}
        self.late: dict[str, int] = {}  # steps by which a population is later on the chip
        nodes: dict[str, dict[str, Any]] = {}
        for path in [path for path in sorted(arrays) if path.startswith("node/nodes/")]:
            name, _, key = path[len("node/nodes/"):].partition("/")
            nodes.setdefault(name, {"type": ""})[key] = arrays.pop(path)
        texts = {"node/type": "NIRGraph", "version": "1.0.8", "node/metadata/nirc_units": "chip"}
        for path, want in {**texts, "node/metadata/dt": dt}.items():
            have = arrays.pop(path, dt if dt == 1 else "")
            demand(have == want, FILE, path, "it differs", have, want)
        for name, node in nodes.items():
            kind = node["type"] = str(node["type"])
            if kind in NEURONS:
                self.shapes[name] = node["r"].shape
                self.populations[name] = population(name, node)
            elif kind not in OPERATORS:
                known = kind in ("Input", "Output") and set(node) == {"type", "shape"}
                demand(known, FILE, name, "a node is unknown", kind)
                self.shapes[name] = tuple(node["shape"].tolist())
        ports = [name for name in self.shapes if nodes[name]["type"] == "Input"]
        self.inputs = {name: self.shapes[name] for name in ports}
        edges = arrays.pop("node/edges", np.zeros(0))
        after: dict[str, list[str]] = {}
        for source, target in edges.reshape(-1, 2).tolist():
            after.setdefault(source, []).append(target)
        for source in (*self.inputs, *self.populations):
            for name in after.pop(source, []):
                self._follow(source, name, nodes, after)
        for k in range(len(arrays) // 4):
            self._add_list(f"node/metadata/projection_{k}", arrays)
        rest = [*arrays, *after, *(set(nodes) - set(self.shapes))]
        demand(not rest, FILE, "".join(rest[:1]), "a dataset or a node belongs to nothing")

    def _follow(self, source: str, name: str, nodes: Any, after: dict[str, list[str]]) -> None:
        """Add the projection that leaves ``source`` by the node ``name``."""
        shape, synapses, delay, notes = self.shapes[source], None, 0.0, []
        while name in nodes and nodes[name]["type"] in OPERATORS:
            node = nodes.pop(name)
            notes += [int(node.pop(note)) for note in NOTES if note in node]
            delay += float(node.get("delay", np.zeros(1)).flat[0]) / self.dt
            more, shape = OPERATORS[node.pop("type")](name, shape, **node)
            synapses = composed(synapses, more)
            name = " or ".join(after.pop(name, []))
        lag = round(delay)
        fits = abs(delay - lag) < 1e-6 and shape == self.shapes.get(name) and {0, 1} >= {*notes}
        if fits and len(notes) == 2 and synapses is not None and name in self.populations:
            self.projections.append((source, name, notes[0], lag + notes[1], synapses))
        else:
            fits = fits and not notes and synapses is None and nodes[name]["type"] == "Output"
            demand(fits, FILE, f"{source} to {name}", "a projection does not fit its end")
            self.ends[name] = source, lag

    def _add_list(self, head: str, arrays: dict[str, Array]) -> None:
        """Add a projection that stands as lists in the metadata."""
        ends = str(arrays.pop(head, "")).split("\n")
        lists = [arrays.pop(f"{head}_{key}", np.zeros(0)) for key in ("target", "source", "weight")]
        sound = len(ends) == 5 and len({each.shape for each in lists}) == 1
        demand(sound, FILE, head, "a list is missing, or of odd length")
        receptor, feedback, delay = map(int, ends[2:])
        synapses = [each.astype(int) for each in lists]
        self.projections.append((*ends[:2], receptor, feedback + delay, synapses))

    def offsets(self) -> dict[str, int]:
        """Return the number of each node's first neuron, inputs first."""
        names = [*self.inputs, *self.populations]
        sizes = [math.prod(self.shapes[name]) for name in names]
        return dict(zip(names, itertools.accumulate([0, *sizes])))


def population(name: str, node: dict[str, Any]) -> Population:
    """Return the neurons of a node."""
    wanted, shape = NEURONS[node["type"]].split(), node["r"].shape
    plain = sorted(key for key in node if "/" not in key)
    demand(plain == sorted(["type", *wanted]), FILE, name, "the fields are others", plain, wanted)
    result = Population(math.prod(shape), str(node["metadata/rule"]), [], {})
    for key in sorted(set(node) - {"type", "metadata/rule"}):
        fits = node[key].shape in ((shape,) if key in wanted else ((1,), (result.n,)))
        demand(fits, FILE, f"{name}.{key}", "a field is of odd length")
        spread = np.broadcast_to(node[key].ravel().astype(np.float64), result.n)
        result.fields[key.rpartition("/")[2]] = spread
    result.scale = result.fields.pop("scale", np.zeros(0)).tolist()
    return result


def linear(name: str, shape: Any, weight: Array) -> tuple[Synapses, Any]:
    """Return the synapses of a matrix, and the shape behind it."""
    demand(weight.shape[1:] == (math.prod(shape),), FILE, name, ODD, shape)
    target, source = np.nonzero(weight)
    return (target, source, weight[target, source].astype(float)), weight.shape[:1]


def scale(name: str, shape: Any, scale: Array) -> tuple[Synapses, Any]:
    """Return the synapses of a factor for each value."""
    demand(scale.shape == shape, FILE, name, ODD, shape)
    number = np.arange(scale.size)
    return (number, number, scale.ravel().astype(float)), shape


def flatten(name: str, shape: Any, start_dim: Array, end_dim: Array, input_type: Array) -> Any:
    """Return no synapses, and the shape behind the node."""
    found = (tuple(input_type.tolist()), int(start_dim), int(end_dim))
    demand(found == (shape, -len(shape), -1), FILE, name, ODD, shape)
    return None, (math.prod(shape),)


def delay(name: str, shape: Any, delay: Array) -> tuple[None, Any]:
    """Return no synapses: one number of steps for all."""
    demand(delay.shape == shape and (delay == delay.flat[0]).all(), FILE, name, ODD, shape)
    return None, shape


OPERATORS: dict[str, Callable[..., Any]] = {
    "Linear": linear, "Scale": scale, "Flatten": flatten, "Delay": delay}


def composed(first: Synapses, second: Synapses) -> Synapses:
    """Return the synapses of two operators, one behind the other. None leaves all as it is."""
    if first is None or second is None:
        return second if first is None else first
    (target, source, weight), (to, middle, factor) = first, second
    order = np.argsort(target, kind="stable")
    start = np.searchsorted(target[order], middle)
    end = np.searchsorted(target[order], middle, "right")
    row = np.repeat(np.arange(len(to)), end - start)
    skipped = np.repeat(np.cumsum(end - start) - end, end - start)
    at = order[np.arange(len(row)) - skipped]
    return to[row], source[at], factor[row] * weight[at]
