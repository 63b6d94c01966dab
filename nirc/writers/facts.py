"""Facts about a NIR file that tell its writer: names, types, number formats, related parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from nirc.analysis.time_step import from_pair, gain_is_per_step
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.arrays import Float

FLOAT32 = 2e-6  # relative: a few roundings of float32
TIMED = ("LIF", "CubaLIF", "LI", "CubaLI")
WEIGHTED = ("Affine", "Linear", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Input")
SHAPING = ("Flatten", "Delay")
NEURONS = (*TIMED, "IF", "I", "Threshold")


@dataclass(frozen=True)
class Node:
    """A node of the file or of a nested graph.

    ``name`` has the names of the graphs around it, joined by dots.
    """

    name: str
    raw: RawNode

    @property
    def type(self) -> str:
        """Its NIR primitive."""
        return self.raw.type

    def numbers(self, field: str) -> Float | None:
        """Return a field as a flat float64 array, None if it is absent, text or empty."""
        value = self.stored(field)
        if value is None or np.size(value) == 0 or value.dtype.kind not in "biuf":
            return None
        flat: Float = np.asarray(value, np.float64).ravel()
        return flat

    def stored(self, field: str) -> NDArray[np.generic] | None:
        """Return a field as stored, None if it is absent or text."""
        value = self.raw.fields.get(field)
        return None if value is None or isinstance(value, str) else value

    @property
    def tau_mem(self) -> Float | None:
        """The membrane's time constant, whatever its field is called."""
        return self.numbers("tau_mem" if self.type.startswith("Cuba") else "tau")

    def all_equal(self, field: str, value: float) -> bool:
        """Return True if the field is there and every entry is ``value``."""
        numbers = self.numbers(field)
        return numbers is not None and bool((numbers == value).all())


class Facts:
    """The traces of its writer in a file: names, types and numbers, without any guess."""

    def __init__(self, graph: RawGraph) -> None:
        self.graph = graph
        self.nodes = tuple(_nodes(graph, ""))

    def of(self, *types: str) -> list[Node]:
        """Return nodes of these types, in the file's order."""
        return [n for n in self.nodes if n.type in types]

    @cached_property
    def neurons(self) -> list[Node]:
        """All neurons."""
        return self.of(*NEURONS)

    @cached_property
    def timed(self) -> list[Node]:
        """Neurons with a membrane time constant."""
        return self.of(*TIMED)

    @cached_property
    def names(self) -> list[str]:
        """Names of the outermost nodes that are no ports and no nested graphs' inner nodes."""
        return [n for n, raw in self.graph.nodes.items() if raw.type not in ("Input", "Output")]

    def named(self, pattern: str) -> bool:
        """Return True if every outermost node that is no port has a name of this form."""
        return bool(self.names) and all(re.fullmatch(pattern, name) for name in self.names)

    @cached_property
    def port_names(self) -> bool:
        """True if the one Input is ``input`` and the one Output ``output``, as nirtorch has it."""
        ports = {
            raw.type: n for n, raw in self.graph.nodes.items() if raw.type in ("Input", "Output")
        }
        return ports == {"Input": "input", "Output": "output"}

    def port_shapes(self, kind: str) -> list[tuple[int, ...]]:
        """Return the declared shapes of the outermost Inputs or Outputs."""
        ports = (Node(name, raw) for name, raw in self.graph.nodes.items() if raw.type == kind)
        shapes = (shape for port in ports if (shape := port.numbers("shape")) is not None)
        return [tuple(int(x) for x in shape) for shape in shapes if np.isfinite(shape).all()]

    def ends_in_weights(self) -> bool:
        """Return True if an outermost Output gets a signal that no neuron or nested graph sends."""
        nodes, edges = self.graph.nodes, self.graph.edges
        new = [name for name, raw in nodes.items() if raw.type == "Output"]
        seen = set(new)
        while new:
            here = new.pop()
            before = [s for s, t in edges if t == here and s in nodes and s not in seen]
            if any(nodes[name].type in WEIGHTED for name in before):
                return True
            seen.update(before)
            new += [name for name in before if nodes[name].type in SHAPING]
        return False

    def has_loop(self) -> bool:
        """Return True if a signal can come back to a node."""
        return any(map(_has_loop, _graphs(self.graph)))

    def needs_step(self) -> bool:
        """Return True if NIR's letter needs a time step and no gain of the file tells one."""
        pairs = [(n.tau_mem, n.numbers("r")) for n in self.timed]
        pairs += [(n.numbers("tau_syn"), n.numbers("w_in")) for n in self.timed]
        if any(_match(tau, gain) and from_pair("", "", tau, gain) for tau, gain in pairs):
            return False
        gains = (r for n in self.of("IF", "I") if (r := n.numbers("r")) is not None)
        return bool(self.timed or self.of("Delay")) or not all(
            gain_is_per_step(r, None) for r in gains
        )

    def resting_at_zero(self) -> bool:
        """Return True if v_leak and v_reset are 0 wherever the file has them."""
        for neuron in self.neurons:
            for name in ("v_leak", "v_reset"):
                if neuron.numbers(name) is not None and not neuron.all_equal(name, 0):
                    return False
        return True


def _nodes(graph: RawGraph, prefix: str) -> Iterator[Node]:
    for name, raw in graph.nodes.items():
        yield Node(prefix + name, raw)
        if raw.graph is not None:
            yield from _nodes(raw.graph, f"{prefix}{name}.")


def _graphs(graph: RawGraph) -> Iterator[RawGraph]:
    yield graph
    for raw in graph.nodes.values():
        if raw.graph is not None:
            yield from _graphs(raw.graph)


def _has_loop(graph: RawGraph) -> bool:
    edges: nx.DiGraph[str] = nx.DiGraph(graph.edges)
    return not nx.is_directed_acyclic_graph(edges)


def _match(tau: Float | None, gain: Float | None) -> bool:
    """Return True if each time constant has its gain, or one of the two stands for all."""
    if tau is None or gain is None:
        return False
    return tau.size == gain.size or 1 in (tau.size, gain.size)


def changed(
    graph: RawGraph, change: Callable[[Node], Mapping[str, NDArray[np.generic]]]
) -> RawGraph:
    """Return ``graph`` with the fields that ``change`` gives for each node, nested ones too."""

    def of(raw: RawNode) -> RawNode:
        inner = None if raw.graph is None else changed(raw.graph, change)
        return replace(raw, fields={**raw.fields, **change(Node("", raw))}, graph=inner)

    return replace(graph, nodes={name: of(raw) for name, raw in graph.nodes.items()})


def close(a: Float, b: Float | float, tolerance: float = FLOAT32) -> bool:
    """Return True if two arrays are equal up to the roundings of float32.

    Infinities have to be in the same places.
    """
    with np.errstate(invalid="ignore"):
        return bool(np.allclose(a, b, rtol=tolerance, atol=0.0, equal_nan=False))
