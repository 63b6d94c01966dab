"""The quantised network, as network.nir has it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nirc.checker.values import Array, Refused

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
TEXTS = {"node/type": "NIRGraph", "version": "1.0.8", "node/metadata/nirc_units": "chip"}


@dataclass
class Population:
    """Neurons: the text of their update rule, and their NIR fields and notes, each (n,)."""

    shape: tuple[int, ...]
    rule: str
    scale: list[float]  # chip units per volt
    fields: dict[str, Array]

    @property
    def n(self) -> int:
        """Return the number of neurons."""
        return math.prod(self.shape)


@dataclass
class Projection:
    """Synapses between two nodes: operators of NIR in order, on flat maps in C order."""

    source: str
    target: str
    receptor: int
    lag: int  # steps
    ops: list[dict[str, Any]]

    def synapses(self) -> tuple[Array, Array, Array]:
        """Return target, source and weight of every synapse, parallel ones apart."""
        target, source, weight = unrolled(self.ops[0])
        for op in self.ops[1:]:
            to, middle, factor = unrolled(op)
            order = np.argsort(target, kind="stable")
            first = np.searchsorted(target[order], middle)
            end = np.searchsorted(target[order], middle, "right")
            row = np.repeat(np.arange(len(to)), end - first)
            skipped = np.repeat(np.cumsum(end - first) - end, end - first)
            at = order[np.arange(len(row)) - skipped]
            target, source, weight = to[row], source[at], factor[row] * weight[at]
        return target, source, weight


def unrolled(op: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """Return target, source and weight of every synapse of one operator."""
    weight = op["weight"]
    if op["type"] == "list":
        return op["target"], op["source"], weight
    if op["type"] == "Scale":
        return np.arange(weight.size), np.arange(weight.size), weight.ravel()
    if op["type"] == "Linear":
        target, source = np.nonzero(weight)
        return target, source, weight[target, source]
    channels, high, wide = op["shape_in"]
    _, rows, columns = op["shape"]
    if weight is None:  # a sum
        eye = np.eye(channels, dtype=bool)[:, :, None, None]
        weight = np.broadcast_to(eye, (channels, channels, *op["kernel"]))
    out, into, tap_y, tap_x = np.nonzero(weight)
    (sy, sx), (py, px), (dy, dx) = op["stride"], op["padding"], op["dilation"]
    y = np.arange(rows)[:, None] * sy - py + (tap_y * dy)[:, None, None]  # (taps, rows, 1)
    x = np.arange(columns) * sx - px + (tap_x * dx)[:, None, None]
    inside = (y >= 0) & (y < high) & (x >= 0) & (x < wide)
    source = (into[:, None, None] * high + y) * wide + x
    target = out[:, None, None] * rows * columns + np.arange(rows * columns).reshape(rows, columns)
    value = weight[out, into, tap_y, tap_x].astype(np.float64)
    return target[inside], source[inside], np.repeat(value, inside.sum((1, 2)))


def operator(name: str, node: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what an operator does with a signal of ``shape``, and the shape behind it."""
    kind = node["type"]
    op: dict[str, Any] = {"type": kind, "shape_in": shape, "shape": shape}
    fits = {*OPERATORS[kind].split(), "type"} == set(node) - {*NOTES}
    if fits and kind == "Flatten":
        axes = [*node["input_type"], node["start_dim"], node["end_dim"]]
        fits = axes == [*shape, -len(shape), -1]
        op["shape"] = (math.prod(shape),)
    elif fits and kind == "Delay":
        op["delay"] = float(node["delay"].ravel()[0])
        fits = node["delay"].shape == shape and bool((node["delay"] == op["delay"]).all())
    elif fits and kind in ("Linear", "Scale"):
        op["weight"] = weight = node[OPERATORS[kind]].astype(np.float64)
        fits = weight.shape == shape if kind == "Scale" else weight.shape[1:] == (math.prod(shape),)
        op["shape"] = shape if kind == "Scale" else weight.shape[:1]
    elif fits and len(shape) == 3:
        fits = _add_window(op, node, shape)
    if not fits or min(op["shape"], default=1) < 1:
        raise Refused("network.nir", name, "a node does not fit what arrives", str(shape))
    return op


def _add_window(op: dict[str, Any], node: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Add the geometry of a convolution or a sum to ``op``. Return False if it does not fit."""
    op["weight"] = weight = node.get("weight")
    kernel = node["kernel_size"] if weight is None else np.array(weight.shape[2:])
    pairs = [kernel, node["stride"], node["padding"], node.get("dilation", np.ones(2, int))]
    for key, pair in zip(("kernel", "stride", "padding", "dilation"), pairs):
        op[key] = tuple(pair.tolist())
        if len(op[key]) != 2 or min(op[key]) < (key != "padding"):
            return False
    reach = pairs[3].astype(int) * (kernel - 1) + 1
    size = (np.array(shape[1:]) + 2 * pairs[2].astype(int) - reach) // pairs[1] + 1
    op["shape"] = (shape[0] if weight is None else len(weight), *size.tolist())
    return weight is None or (
        weight.shape[1] == shape[0]
        and not node["bias"].any()
        and bool((node["input_shape"] == shape[1:]).all() and node["groups"] == 1)
    )


class Network:
    """Inputs, populations, projections and outputs, from the arrays of network.nir by path."""

    def __init__(self, arrays: dict[str, Array], dt: float) -> None:
        self.dt = dt  # seconds of a step
        self.inputs: dict[str, tuple[int, ...]] = {}  # shape of each Input
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []
        self.ends: dict[str, tuple[str, int]] = {}  # population and delay of each Output
        nodes: dict[str, dict[str, Any]] = {}
        for path in [path for path in sorted(arrays) if path.startswith("node/nodes/")]:
            _, _, name, key = path.split("/", 3)
            nodes.setdefault(name, {"type": ""})[key] = arrays.pop(path)
        for path, want in (*TEXTS.items(), ("node/metadata/dt", dt)):
            if arrays.pop(path, want if path.endswith("dt") and dt == 1 else "") != want:
                raise Refused("network.nir", path, "it differs", "", want)
        nodes = dict(sorted(nodes.items()))  # paths have another order, as of `a-b` and `a`
        for name, node in nodes.items():
            node["type"] = kind = str(node["type"])
            if kind in NEURONS:
                self.populations[name] = population(name, node)
            elif kind in ("Input", "Output") and set(node) == {"type", "shape"}:
                node["shape"] = tuple(node["shape"].tolist()) if node["shape"].ndim == 1 else None
            elif kind not in OPERATORS:
                raise Refused("network.nir", name, "a node is unknown", kind)
        self.inputs = {
            name: node["shape"] for name, node in nodes.items() if node["type"] == "Input"
        }
        edges = arrays.pop("node/edges", np.zeros(0))
        self._follow_all(nodes, edges.reshape(-1, 2).tolist() if edges.size % 2 == 0 else [])
        for k in range(len(arrays) // 4):
            self._add_list(f"node/metadata/projection_{k}", arrays)
        for path in arrays:
            raise Refused("network.nir", path, "a dataset is unknown")

    @property
    def outputs(self) -> list[tuple[str, int]]:
        """Population and delay of each Output."""
        return list(self.ends.values())

    def _follow_all(self, nodes: Mapping[str, Any], edges: list[list[str]]) -> None:
        """Follow each edge that leaves a neuron or an Input."""
        after: dict[str, list[str]] = {}
        for source, target in edges:
            after.setdefault(source, []).append(target)
        left = {name for name, node in nodes.items() if node["type"] in OPERATORS}
        for source in (*self.inputs, *self.populations):
            for first in after.pop(source, []):
                self._follow(source, first, nodes, after, left)
        for name in sorted({*after, *left}):
            raise Refused("network.nir", name, "a node hangs loose")

    def _follow(
        self,
        source: str,
        name: str,
        nodes: Mapping[str, Any],
        after: dict[str, list[str]],
        left: set[str],
    ) -> None:
        """Add the projection that leaves ``source`` by the node ``name``."""
        shape = self.inputs[source] if source in self.inputs else self.populations[source].shape
        if type(shape) is not tuple:
            raise Refused("network.nir", source, "the arrays of its neurons have no common shape")
        ops: list[dict[str, Any]] = []
        delay, notes = 0.0, []
        while name in left:
            left.remove(name)
            op = operator(name, nodes[name], shape)
            delay += op.get("delay", 0.0) / self.dt
            notes += [int(nodes[name][note]) for note in NOTES if note in nodes[name]]
            ops += [op] if op["type"] not in ("Flatten", "Delay") else []
            shape = op["shape"]
            name = " or ".join(after.pop(name, []))
        lag = round(delay)
        ends = (nodes.get(name, {"type": ""})["type"], len(notes), bool(ops))
        fits = abs(delay - lag) < 1e-6 and {0, 1}.issuperset(notes)
        if fits and ends == ("Output", 0, False) and nodes[name]["shape"] == shape:
            self.ends[name] = source, lag
        elif fits and ends[1:] == (2, True) and name in self.populations:
            fits = shape == self.populations[name].shape
            self.projections.append(Projection(source, name, notes[0], lag + notes[1], ops))
        else:
            fits = False
        if not fits:
            raise Refused("network.nir", f"{source} to {name}", "a projection does not fit its end")

    def _add_list(self, head: str, arrays: dict[str, Array]) -> None:
        """Add a projection that stands as lists in the metadata."""
        ends = str(arrays.pop(head, "")).split("\n")
        lists = {key: arrays.pop(f"{head}_{key}", "") for key in ("source", "target", "weight")}
        if len(ends) != 5 or len({np.shape(each) for each in lists.values()}) != 1:
            raise Refused("network.nir", head, "a list is missing, or of odd length")
        source, target, (receptor, feedback, delay) = *ends[:2], map(int, ends[2:])
        op = {"type": "list", **{key: each.astype(int) for key, each in lists.items()}}
        self.projections.append(Projection(source, target, receptor, feedback + delay, [op]))

    def offsets(self) -> dict[str, int]:
        """Return the number of each node's first neuron, inputs first."""
        sizes = {name: math.prod(shape) for name, shape in self.inputs.items()}
        sizes |= {name: p.n for name, p in self.populations.items()}
        return dict(zip(sizes, itertools.accumulate([0, *sizes.values()])))


def population(name: str, node: Mapping[str, Any]) -> Population:
    """Return the neurons of a node."""
    wanted = NEURONS[node["type"]].split()
    plain = sorted(key for key in node if "/" not in key and key != "type")
    if plain != sorted(wanted) or "metadata/rule" not in node:
        raise Refused("network.nir", name, "the fields are others", plain, wanted)
    for key in wanted:
        if node[key].shape != node["r"].shape:
            raise Refused("network.nir", f"{name}.{key}", "a field is of odd shape")
    notes = {key[key.find("/") + 1 :]: value for key, value in node.items()}
    del notes["type"]
    result = Population(node["r"].shape, str(notes.pop("rule")), [], {})
    for key, value in notes.items():
        odd = value.size not in (1, result.n) or (key not in wanted and value.ndim != 1)
        if odd or value.dtype.kind == "U":
            raise Refused("network.nir", f"{name}.{key}", "a field is of odd length")
        result.fields[key] = np.broadcast_to(value.ravel().astype(np.float64), result.n)
    result.scale = result.fields.pop("scale", np.zeros(0)).tolist()
    return result
