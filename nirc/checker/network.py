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
NOTES = {"metadata/receptor", "metadata/feedback"}  # of the node with a projection's weights
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
    fits = {*OPERATORS[kind].split(), "type"} == set(node) - NOTES
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
        self.arrays = arrays
        self.dt = dt  # seconds of a step
        self.inputs: dict[str, tuple[int, ...]] = {}  # shape of each Input
        self.populations: dict[str, Population] = {}
        self.projections: list[Projection] = []
        self.outputs: list[tuple[str, int]] = []  # population and delay of each Output
        nodes: dict[str, dict[str, Any]] = {}
        for path, array in sorted(arrays.items()):
            head, _, rest = path.partition("/nodes/")
            if rest and head == "node":
                name, _, key = rest.partition("/")
                nodes.setdefault(name, {"type": ""})[key] = array
        for path, want in (*TEXTS.items(), ("node/metadata/dt", dt)):
            if arrays.get(path, dt) != want:
                raise Refused("network.nir", path, "it differs", arrays.get(path), want)
        for name, node in nodes.items():
            node["type"] = kind = str(node["type"])
            if kind in NEURONS:
                self.populations[name] = population(name, node)
            elif kind == "Input":
                self.inputs[name] = tuple(node["shape"].tolist())
            elif kind not in (*OPERATORS, "Output"):
                raise Refused("network.nir", name, "a node is unknown", kind)
        self._follow_all(nodes)
        for k in itertools.takewhile(
            lambda k: f"node/metadata/projection_{k}" in arrays, itertools.count()
        ):
            self._add_list(f"node/metadata/projection_{k}")

    def _follow_all(self, nodes: Mapping[str, Any]) -> None:
        """Follow each edge that leaves a neuron or an Input."""
        after: dict[str, list[str]] = {}
        for source, target in self.arrays["node/edges"].tolist():
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
        ops: list[dict[str, Any]] = []
        delay = lag = receptor = 0.0
        while name in left:
            left.remove(name)
            op = operator(name, nodes[name], shape)
            delay += op.get("delay", 0.0) / self.dt
            lag += float(nodes[name].get("metadata/feedback", 0))
            receptor += float(nodes[name].get("metadata/receptor", 0))
            ops += [op] if op["type"] not in ("Flatten", "Delay") else []
            shape = op["shape"]
            name = " or ".join(after.pop(name, []))
        lag += round(delay)
        target = nodes.get(name, {"type": ""})
        fits = abs(delay - round(delay)) < 1e-6
        if fits and target["type"] == "Output" and not ops and (target["shape"] == shape).all():
            self.outputs.append((source, int(lag)))
        elif fits and name in self.populations and ops and shape == self.populations[name].shape:
            self.projections.append(Projection(source, name, int(receptor), int(lag), ops))
        else:
            raise Refused("network.nir", f"{source} to {name}", "a projection does not fit its end")

    def _add_list(self, head: str) -> None:
        """Add a projection that stands as lists in the metadata."""
        source, target, *numbers = str(self.arrays[head]).split("\n")
        receptor, feedback, delay = map(int, numbers)
        op = {"type": "list", "weight": self.arrays[f"{head}_weight"]}
        op |= {key: self.arrays[f"{head}_{key}"].astype(int) for key in ("source", "target")}
        self.projections.append(Projection(source, target, receptor, feedback + delay, [op]))

    def offsets(self) -> dict[str, int]:
        """Return the number of each node's first neuron, inputs first."""
        sizes = {name: math.prod(shape) for name, shape in self.inputs.items()}
        sizes |= {name: p.n for name, p in self.populations.items()}
        return dict(zip(sizes, itertools.accumulate([0, *sizes.values()])))


def population(name: str, node: Mapping[str, Any]) -> Population:
    """Return the neurons of a node."""
    wanted = NEURONS[node["type"]].split()
    for key in ("metadata/rule", *wanted):
        if key not in node or (key in wanted and node[key].shape != node["r"].shape):
            raise Refused("network.nir", f"{name}.{key}", "a field is missing, or of odd shape")
    notes = {key[key.find("/") + 1 :]: value for key, value in node.items()}
    del notes["type"]
    rule, scale = str(notes.pop("rule")), notes.pop("scale", np.ones(0)).tolist()
    result = Population(node["r"].shape, rule, scale, {})
    for key, value in notes.items():
        if value.dtype.kind == "U" or value.size not in (1, result.n):
            raise Refused("network.nir", f"{name}.{key}", "a field is of odd length")
        result.fields[key] = np.broadcast_to(value.ravel().astype(np.float64), result.n)
    return result
