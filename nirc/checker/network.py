"""The quantised network, as network.nir has it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.checker.values import Array, Refused

FILE = "network.nir"
NEURONS = {
    "IF": "r v_threshold v_reset",
    "I": "r",
    "LI": "tau r v_leak",
    "LIF": "tau r v_leak v_threshold v_reset",
    "CubaLI": "tau_syn tau_mem r w_in v_leak",
    "CubaLIF": "tau_syn tau_mem r w_in v_leak v_threshold v_reset",
}
OPERATORS = {
    "Linear": "weight",
    "Scale": "scale",
    "Conv2d": "weight bias stride padding dilation groups input_shape",
    "SumPool2d": "kernel_size stride padding",
    "Flatten": "start_dim end_dim input_type",
    "Delay": "delay",
}
NOTES = ("metadata/receptor", "metadata/feedback")  # of the node with a projection's weights
Synapses = Any  # target, source and weight of each


@dataclass
class Population:
    """Neurons: the text of their update rule, and their NIR fields and notes, each (n,)."""

    shape: tuple[int, ...]
    rule: str
    scale: list[float]  # chip units per volt
    fields: dict[str, Array]
    name: str = ""  # in the manifest, as is the rest
    part: str = ""  # of the chip
    at: Any = None  # numbers of the neurons in their part
    late: int = 0  # steps by which the chip is later

    @property
    def n(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)


@dataclass
class Projection:
    """Synapses between two nodes, on flat maps in C order. Parallel ones stand apart."""

    source: str
    target: str
    receptor: int
    lag: int  # steps
    synapses: Synapses


class Network:
    """Inputs, populations, projections and outputs, from the arrays of network.nir by path."""

    def __init__(self, arrays: dict[str, Array], dt: float) -> None:
        self.dt = dt  # seconds of a step
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []
        self.ends: dict[str, tuple[str, int]] = {}  # population and delay of each Output
        nodes: dict[str, dict[str, Any]] = {}
        for path in [path for path in sorted(arrays) if path.startswith("node/nodes/")]:
            name, _, key = path[len("node/nodes/") :].partition("/")
            nodes.setdefault(name, {"type": ""})[key] = arrays.pop(path)
        texts = {"node/type": "NIRGraph", "version": "1.0.8", "node/metadata/nirc_units": "chip"}
        for path, want in {**texts, "node/metadata/dt": dt}.items():
            if arrays.pop(path, dt if dt == 1 else "") != want:
                raise Refused(FILE, path, "it differs", "", want)
        for name, node in nodes.items():
            node["type"] = kind = str(node["type"])
            if kind in NEURONS:
                self.populations[name] = population(name, node)
            elif kind not in (*OPERATORS, "Input", "Output"):
                raise Refused(FILE, name, "a node is unknown", kind)
        ports = {k: tuple(n["shape"].tolist()) for k, n in nodes.items() if _is_port(n)}
        self.inputs = {name: ports[name] for name in ports if nodes[name]["type"] == "Input"}
        self.shapes = {**ports, **{name: p.shape for name, p in self.populations.items()}}
        edges = arrays.pop("node/edges", np.zeros(0))
        after: dict[str, list[str]] = {}
        for source, target in edges.reshape(-1, 2).tolist() if edges.size % 2 == 0 else []:
            after.setdefault(source, []).append(target)
        for source in (*self.inputs, *self.populations):
            for name in after.pop(source, []):
                self._follow(source, name, nodes, after)
        for k in range(len(arrays) // 4):
            self._add_list(f"node/metadata/projection_{k}", arrays)
        for path in (*arrays, *after, *(name for name in nodes if name not in self.shapes)):
            raise Refused(FILE, path, "a dataset or a node belongs to nothing")

    def _follow(self, source: str, name: str, nodes: Any, after: dict[str, list[str]]) -> None:
        """Add the projection that leaves ``source`` by the node ``name``."""
        shape, synapses, delay, notes = self.shapes[source], None, 0.0, []
        while name in nodes and nodes[name]["type"] in OPERATORS:
            node = nodes.pop(name)
            notes += [int(node.pop(note)) for note in NOTES if note in node]
            delay += float(node.get("delay", np.zeros(1)).flat[0]) / self.dt
            more, shape = operator(name, node, shape)
            synapses = more if synapses is None else composed(synapses, more)
            name = " or ".join(after.pop(name, []))
        lag = round(delay)
        fits = abs(delay - lag) < 1e-6 and {0, 1}.issuperset(notes)
        fits = fits and shape == self.shapes.get(name)
        if fits and len(notes) == 2 and synapses is not None and name in self.populations:
            projection = Projection(source, name, notes[0], lag + notes[1], synapses)
            self.projections.append(projection)
        elif fits and not notes and synapses is None and nodes[name]["type"] == "Output":
            self.ends[name] = source, lag
        else:
            raise Refused(FILE, f"{source} to {name}", "a projection does not fit its end")

    def _add_list(self, head: str, arrays: dict[str, Array]) -> None:
        """Add a projection that stands as lists in the metadata."""
        ends = str(arrays.pop(head, "")).split("\n")
        lists = [arrays.pop(f"{head}_{key}", np.zeros(0)) for key in ("target", "source", "weight")]
        if len(ends) != 5 or len({each.shape for each in lists}) != 1:
            raise Refused(FILE, head, "a list is missing, or of odd length")
        source, target, (receptor, feedback, delay) = *ends[:2], map(int, ends[2:])
        synapses = [each.astype(int) for each in lists]
        self.projections.append(Projection(source, target, receptor, feedback + delay, synapses))

    def late(self, name: str) -> int:
        """Return the steps by which a node is later on the chip."""
        return self.populations[name].late if name in self.populations else 0

    def offsets(self) -> dict[str, int]:
        """Return the number of each node's first neuron, inputs first."""
        names = [*self.inputs, *self.populations]
        sizes = [math.prod(self.shapes[name]) for name in names]
        return dict(zip(names, itertools.accumulate([0, *sizes])))


def _is_port(node: dict[str, Any]) -> bool:
    return set(node) == {"type", "shape"} and node["shape"].ndim == 1


def population(name: str, node: dict[str, Any]) -> Population:
    """Return the neurons of a node."""
    wanted = NEURONS[node["type"]].split()
    plain = sorted(key for key in node if "/" not in key and key != "type")
    if plain != sorted(wanted) or "metadata/rule" not in node:
        raise Refused(FILE, name, "the fields are others", plain, wanted)
    shape = node["r"].shape
    fields = {key.rpartition("/")[2]: value for key, value in node.items() if key != "type"}
    result = Population(shape, str(fields.pop("rule")), [], {})
    for key, value in fields.items():
        fits = value.shape == shape if key in wanted else value.shape in ((1,), (math.prod(shape),))
        if not fits or value.dtype.kind == "U":
            raise Refused(FILE, f"{name}.{key}", "a field is of odd length")
        spread = np.broadcast_to(value.ravel().astype(np.float64), math.prod(shape))
        result.fields[key] = spread
    result.scale = result.fields.pop("scale", np.zeros(0)).tolist()
    return result


def operator(name: str, node: dict[str, Any], shape: tuple[int, ...]) -> tuple[Synapses, Any]:
    """Return the synapses of a node for a signal of ``shape``, and the shape behind it.

    None stands for a node that leaves every value as it is.
    """
    kind, flat, behind, synapses = node.pop("type"), math.prod(shape), shape, None
    odd = Refused(FILE, name, "a node does not fit what arrives", str(shape))
    wanted: dict[str, Any] = {}  # values of fields that the shape decides
    weight = node.get("weight", node.get("scale", np.zeros(0))).astype(np.float64)
    fits = sorted(OPERATORS[kind].split()) == sorted(node)
    if fits and kind == "Flatten":
        wanted = {"input_type": shape, "start_dim": -len(shape), "end_dim": -1}
        behind = (flat,)
    elif fits and kind == "Delay":
        wanted = {"delay": np.full(shape, node["delay"].flat[0])}
    elif fits and kind == "Scale":
        fits, synapses = weight.shape == shape, (np.arange(flat), np.arange(flat), weight.ravel())
    elif fits and kind == "Linear":
        if weight.shape[1:] != (flat,):
            raise odd
        target, source = np.nonzero(weight)
        synapses, behind = (target, source, weight[target, source]), weight.shape[:1]
    elif fits and len(shape) == 3:
        keys = ("kernel_size", "stride", "padding", "dilation")
        pairs = [node.get(key, np.ones(2, int)) for key in keys]
        if {each.shape for each in pairs} != {(2,)} or np.min(pairs) < 0:
            raise odd
        size, stride, pads, dilation = ([int(n) for n in pair.ravel()] for pair in pairs)
        if fits and kind == "SumPool2d":
            weight = np.broadcast_to(np.eye(shape[0])[:, :, None, None], (shape[0],) * 2 + (*size,))
        elif fits:
            wanted = {"bias": np.zeros(len(weight)), "groups": 1, "input_shape": shape[1:]}
        if (
            weight.shape[1:2] == shape[:1]
            and weight.ndim == 4
            and min(*stride, *dilation, *size) > 0
        ):
            behind, target, source, tap = windows(weight != 0, shape, stride, pads * 2, dilation)
            synapses = target, source, weight.ravel()[tap]
        fits = synapses is not None
    fits = fits and all(np.array_equal(node[key], value) for key, value in wanted.items())
    if not fits or min(behind, default=1) < 1:
        raise odd
    return synapses, behind


def windows(there: Array, before: Any, stride: Any, pads: Any, dilation: Any) -> Any:
    """Return the shape behind a kernel, and target, source and tap of each of its synapses.

    ``there`` (out, in, y, x): True for each tap that has synapses. A tap is a number in C order.
    ``before``: channels, y, x. ``pads``: above, left, below, right.
    """
    ends = zip(before[1:], there.shape[2:], stride, pads, pads[2:], dilation)
    sides = [(n + a + b - d * (k - 1) - 1) // s + 1 for n, k, s, a, b, d in ends]
    tap = np.flatnonzero(there)
    out, into, tap_y, tap_x = (each[:, None, None] for each in np.unravel_index(tap, there.shape))
    y = np.arange(sides[0])[:, None] * stride[0] - pads[0] + tap_y * dilation[0]  # (taps, rows, 1)
    x = np.arange(sides[1]) * stride[1] - pads[1] + tap_x * dilation[1]
    inside = (y >= 0) & (y < before[1]) & (x >= 0) & (x < before[2])
    source = (into * before[1] + y) * before[2] + x
    pixel = np.arange(sides[0])[:, None] * sides[1] + np.arange(sides[1])
    target = out * math.prod(sides) + pixel
    tap = np.repeat(tap, inside.sum((1, 2)))
    return (len(there), *sides), target[inside], source[inside], tap


def composed(first: Synapses, second: Synapses) -> Synapses:
    """Return the synapses of two operators, one behind the other."""
    if second is None:
        return first
    (target, source, weight), (to, middle, factor) = first, second
    order = np.argsort(target, kind="stable")
    start = np.searchsorted(target[order], middle)
    end = np.searchsorted(target[order], middle, "right")
    row = np.repeat(np.arange(len(to)), end - start)
    skipped = np.repeat(np.cumsum(end - start) - end, end - start)
    at = order[np.arange(len(row)) - skipped]
    return to[row], source[at], factor[row] * weight[at]
