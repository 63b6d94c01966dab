"""The quantised network, as network.nir has it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nirc.checker.values import Array, demand

# fmt: off
FILE = "network.nir"
HEAD = {"node/type": "NIRGraph", "version": "1.0.8", "node/metadata/nirc_units": "chip"}
NEURONS = {
    "IF": "r v_threshold v_reset", "LIF": "tau r v_leak v_threshold v_reset",
    "I": "r", "LI": "tau r v_leak", "CubaLI": "tau_syn tau_mem r w_in v_leak",
    "CubaLIF": "tau_syn tau_mem r w_in v_leak v_threshold v_reset"}
NOTES = ("metadata/receptor", "metadata/feedback")  # of the node with a projection's weights
LIST = ("source", "target", "receptor", "lag", "weight")  # columns of synapses in the metadata


class Network:
    """The quantised network, from the arrays of network.nir by path.

    Neurons have one number each: first those of ``inputs``, in this order, then the populations'.
    """
    def __init__(self, arrays: dict[str, Array], inputs: list[str], dt: float) -> None:
        self.dt = dt  # seconds of a step
        self.populations: dict[str, dict[str, Array]] = {}  # field -> (neurons,)
        self.synapses: list[Any] = []  # rows of source, target, receptor, steps of delay, weight
        self.ends: dict[str, tuple[str, int]] = {}  # population and delay of each Output
        self.shapes: dict[str, Any] = {}
        nodes: dict[str, dict[str, Any]] = {}
        for path in [path for path in sorted(arrays) if path.startswith("node/nodes/")]:
            name, _, key = path[len("node/nodes/"):].partition("/")
            nodes.setdefault(name, {"type": ""})[key] = arrays.pop(path)
        for path, want in {**HEAD, "node/metadata/dt": dt}.items():
            have = arrays.pop(path, dt if dt == 1 else "")
            demand(have == want, FILE, path, "it differs", have, want)
        for name, node in nodes.items():
            kind = node["type"] = str(node["type"])
            if kind in NEURONS:
                self.shapes[name] = node["r"].shape
                self.populations[name] = population(name, node)
            elif kind in ("Input", "Output") and len(node) == 2:
                self.shapes[name] = tuple(node["shape"].tolist())
        have = sorted(name for name in nodes if nodes[name]["type"] == "Input")
        demand(have == sorted(inputs), "certificate.json", "inputs", "other names", inputs, have)
        self.inputs = {name: self.shapes[name] for name in inputs}
        order = [*inputs, *self.populations]
        ends = np.cumsum([0, *(math.prod(self.shapes[name]) for name in order)])
        demand(ends[-1] <= 1 << 26, FILE, "node/nodes", "more neurons than fit", ends[-1])
        self.first = dict(zip(order, ends.tolist()))  # the number of each node's first neuron
        after: dict[str, list[str]] = {}
        for source, target in arrays.pop("node/edges", np.zeros(0)).reshape(-1, 2).tolist():
            after.setdefault(source, []).append(target)
        for source in order:
            for name in after.pop(source, []):
                self._follow(source, name, nodes, after)
        # Synapses of matrices that would be too large stand in one list.
        columns = [arrays.pop(f"node/metadata/synapses_{key}", np.zeros(0, int)) for key in LIST]
        demand(len({*map(len, columns)}) == 1, FILE, "node/metadata", "a list lacks a column")
        self.synapses.append(columns)
        rest = [*arrays, *after, *(set(nodes) - set(self.shapes))]
        demand(not rest, FILE, "".join(rest[:1]), "a node or dataset belongs to nothing")

    def _follow(self, source: str, name: str, nodes: Any, after: dict[str, list[str]]) -> None:
        """Add the projection that leaves ``source`` by the node ``name``."""
        shape, delay, notes, weights = self.shapes[source], 0.0, [], list[Array]()
        number = self.first[source] + np.arange(math.prod(shape))  # the neuron of each value
        while name in nodes and nodes[name]["type"] in OPERATORS:
            node = nodes.pop(name)
            notes += [int(node.pop(note)) for note in NOTES if note in node]
            delay += float(node.get("delay", np.zeros(1)).flat[0]) / self.dt
            fits, behind, at, *found = OPERATORS[node.pop("type")](shape, **node)
            fits = fits and (at is ... or not weights)
            demand(fits, FILE, name, "a node does not fit what arrives", shape)
            number, shape, weights = number[at], behind, weights or found
            name = " or ".join(after.pop(name, []))
        lag = round(delay)
        fits = abs(delay - lag) < 1e-6 and shape == self.shapes.get(name) and {0, 1} >= {*notes}
        if fits and len(notes) == 2 and weights and name in self.populations:
            target, weight = weights
            ends = number.T, target + self.first[name]
            self.synapses.append((*ends, notes[0], lag + notes[1], weight))
        else:
            plain = not (notes or weights or number.ndim > 1)
            fits = fits and plain and nodes[name]["type"] == "Output"
            demand(fits, FILE, f"{source} to {name}", "a projection does not fit its end")
            self.ends[name] = source, lag


def population(name: str, node: dict[str, Any]) -> dict[str, Array]:
    """Return the update rule, NIR's fields and the notes of a population's neurons, each (n,)."""
    wanted, shape = NEURONS[node["type"]].split(), node["r"].shape
    plain, n = {key for key in node if "/" not in key}, math.prod(shape)
    demand(plain == {"type", *wanted}, FILE, name, "the fields are others", plain, wanted)
    fields = {"rule": np.full(n, str(node["metadata/rule"]))}
    for key in sorted(set(node) - {"type", "metadata/rule"}):
        fits = node[key].shape in ([shape] if key in wanted else [(1,), (n,)])
        demand(fits, FILE, f"{name}.{key}", "a field is of odd length")
        fields[key.rpartition("/")[2]] = np.broadcast_to(node[key].ravel().astype(float), n)
    return fields


def linear(shape: Any, weight: Array) -> Any:
    """Take a matrix."""
    target, source = np.nonzero(weight)
    fits = weight.shape[1:] == (math.prod(shape),)
    return fits, weight.shape[:1], source, target, weight[target, source]


# An operator gets the shape of what arrives. It returns if it fits, the shape behind it, and which
# values it takes: all (...), rows of values to sum up, or the source of each synapse, and then
# target and weight of each. Values are numbered in C order.
OPERATORS: dict[str, Any] = {
    "Linear": linear,
    "Scale": lambda shape, scale: (
        scale.shape == shape, shape, *[np.arange(scale.size)] * 2, scale.ravel()),
    "Flatten": lambda shape, start_dim, end_dim, input_type: (
        (start_dim, end_dim, *input_type) == (-len(shape), -1, *shape), (math.prod(shape),), ...),
    "Delay": lambda shape, delay: (
        delay.shape == shape and (delay == delay.flat[0]).all(), shape, ...)}
