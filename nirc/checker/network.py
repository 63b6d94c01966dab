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
ODD = "a node does not fit what arrives"


class Network:
    """Inputs, populations, projections and outputs, from the arrays of network.nir by path."""
    def __init__(self, arrays: dict[str, Array], dt: float) -> None:
        self.dt = dt  # seconds of a step
        self.populations: dict[str, dict[str, Array]] = {}  # field -> (neurons,)
        self.projections: list[Any] = []  # source, target, receptor, steps of delay, synapses
        self.ends: dict[str, tuple[str, int]] = {}  # population and delay of each Output
        self.inputs: dict[str, Any] = {}  # shapes, as here:
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
                self.inputs |= {name: self.shapes[name]} if kind == "Input" else {}
            else:
                demand(kind in OPERATORS, FILE, name, "a node is unknown", kind)
        after: dict[str, list[str]] = {}
        for source, target in arrays.pop("node/edges", np.zeros(0)).reshape(-1, 2).tolist():
            after.setdefault(source, []).append(target)
        for source in (*self.inputs, *self.populations):
            for name in after.pop(source, []):
                self._follow(source, name, nodes, after)
        self.lists = arrays  # of projections whose matrices would be too large
        rest = [*after, *(set(nodes) - set(self.shapes))]
        demand(not rest, FILE, "".join(rest[:1]), "a node belongs to nothing")

    def _follow(self, source: str, name: str, nodes: Any, after: dict[str, list[str]]) -> None:
        """Add the projection that leaves ``source`` by the node ``name``."""
        shape, synapses, delay, notes = self.shapes[source], None, 0.0, []
        while name in nodes and nodes[name]["type"] in OPERATORS:
            node = nodes.pop(name)
            notes += [int(node.pop(note)) for note in NOTES if note in node]
            delay += float(node.get("delay", np.zeros(1)).flat[0]) / self.dt
            synapses, shape = OPERATORS[node.pop("type")](name, synapses, shape, **node)
            name = " or ".join(after.pop(name, []))
        lag = round(delay)
        fits = abs(delay - lag) < 1e-6 and shape == self.shapes.get(name) and {0, 1} >= {*notes}
        if fits and len(notes) == 2 and synapses is not None and name in self.populations:
            self.projections.append((source, name, notes[0], lag + notes[1], synapses))
        else:
            fits = fits and not notes and synapses is None and nodes[name]["type"] == "Output"
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


def linear(name: str, before: Any, shape: Any, weight: Array) -> Any:
    """Return the synapses of a matrix, and the shape behind it."""
    fits = before is None and weight.shape[1:] == (math.prod(shape),)
    demand(fits, FILE, name, ODD, shape)
    target, source = np.nonzero(weight)
    return (target, source, weight[target, source].astype(float)), weight.shape[:1]


def scale(name: str, before: Any, shape: Any, scale: Array) -> Any:
    """Return the synapses of a factor for each value."""
    demand(before is None and scale.shape == shape, FILE, name, ODD, shape)
    number = np.arange(scale.size)
    return (number, number, scale.ravel().astype(float)), shape


def flatten(name: str, before: Any, shape: Any, **node: Array) -> Any:
    """Return the same synapses, and the shape behind the node."""
    have = {key: value.tolist() for key, value in node.items()}
    want = {"start_dim": -len(shape), "end_dim": -1, "input_type": [*shape]}
    demand(have == want, FILE, name, ODD, shape)
    return before, (math.prod(shape),)


def delay(name: str, before: Any, shape: Any, delay: Array) -> Any:
    """Return the same synapses. All have one number of steps."""
    demand(delay.shape == shape and (delay == delay.flat[0]).all(), FILE, name, ODD, shape)
    return before, shape


# An operator gets the synapses before it, and returns target, source and weight of those up to its
# end, on flat maps in C order.
OPERATORS: dict[str, Any] = {"Linear": linear, "Scale": scale, "Flatten": flatten, "Delay": delay}
