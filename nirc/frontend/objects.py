"""From graphs of the ``nir`` package to raw graphs, as writing and reading would give.

``nir`` is not imported. A node's class is its type, and its attributes are its fields (checked for
nir 1.0.8). Attributes with value None are absent fields.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirc.diagnostics.file import NotNir, NotNumbersOrText, TooMuchAsked, UnreadableNames
from nirc.diagnostics.log import Log
from nirc.files.bounds import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_REPORTED,
    RefusalError,
    at,
    cause,
    printable,
    refused,
)
from nirc.frontend.raw import (
    FROM_KEY,
    INTEGERS_KEY,
    Field,
    RawGraph,
    RawNode,
    bytes_of,
    is_large,
    of_first_row,
    recorded_text,
)

DERIVED = ("input_type", "output_type", "metadata")  # not fields of the node itself
PORTS = {  # (type, field) <- (attribute, key)
    "Input": ("shape", "input_type", "input"),
    "Output": ("shape", "output_type", "output"),
    "Flatten": ("input_type", "input_type", "input"),
}


def raw_from_object(graph: object, log: Log, *, outline: bool = False) -> RawGraph:
    """Return the raw graph of the written graph. Raises ``InputError`` (F103, F106, F107, F113).

    ``outline``: keep the first row only of large matrices, see ``nirc.frontend.raw``.
    """
    raw = RawGraph({}, ())
    try:
        raw = _Converter(log, outline=outline).graph(graph, "", version=_version(graph))
        raw = replace(raw, recorded=_recorded(graph, log), integers=_integers(graph))
    except RefusalError as refusal:
        log.add(refusal.finding)
    log.raise_if_errors()
    return raw


class _Converter:
    """Converts nested graphs, counts their nodes, and reports faults by field."""

    def __init__(self, log: Log, *, outline: bool) -> None:
        self.log = log
        self.outline = outline
        self.nodes = 0
        self.depth = 0

    def graph(self, graph: object, path: str, *, version: str = "") -> RawGraph:
        nodes = getattr(graph, "nodes", None)
        edges = getattr(graph, "edges", None)
        if type(graph).__name__ != "NIRGraph" or not isinstance(nodes, Mapping) or edges is None:
            found = printable(f"{type(graph).__module__}.{type(graph).__qualname__}")
            raise refused(
                NotNir, "this object is not a NIR graph", found, "a path, or a nir.NIRGraph"
            )
        if self.depth >= MAX_DEPTH // 2:
            with at(path):
                problem = "graphs are nested too deep"
                raise refused(TooMuchAsked, problem, limit=f"{MAX_DEPTH // 2} graphs")
        self.depth += 1
        prefix = f"{path}/" if path else ""
        with at(f"{prefix}edges"):
            pairs = _edges(edges)
        with at(f"{prefix}nodes"):
            names = sorted(map(_name, nodes))
        raw = {name: self._node(nodes[name], f"{prefix}nodes/{printable(name)}") for name in names}
        self.depth -= 1
        return RawGraph(raw, pairs, version)

    def _node(self, node: object, path: str) -> RawNode:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise refused(TooMuchAsked, "there are too many nodes", limit=f"{MAX_NODES} nodes")
        kind = printable(type(node).__name__)
        if kind == "NIRGraph":
            return RawNode(path, kind, graph=self.graph(node, path))
        fields: dict[str, Field] = {}
        for name, value in _values(node, kind).items():
            try:
                with at(f"{path}/{name}"):
                    fields[name] = _field(value, outline=self.outline)
            except RefusalError as refusal:
                self.log.add(refusal.finding)
                if len(self.log.errors) >= MAX_REPORTED:
                    self.log.raise_if_errors()
        return RawNode(path, kind, fields)


def _recorded(graph: object, log: Log) -> str:
    """Return the metadata's text that names the writer, or "". Warn (W207) of other contents."""
    metadata = getattr(graph, "metadata", None)
    if not isinstance(metadata, Mapping) or FROM_KEY not in metadata:
        return ""
    try:
        return recorded_text(metadata[FROM_KEY], "graph")
    except RefusalError as refusal:
        log.add(refusal.finding)
        return ""


def _integers(graph: object) -> bytes:
    metadata = getattr(graph, "metadata", None)
    return bytes_of(metadata.get(INTEGERS_KEY)) if isinstance(metadata, Mapping) else b""


def _version(graph: object) -> str:
    """Return the version of the graph's package, as its ``write`` would record it."""
    package = sys.modules.get(type(graph).__module__.partition(".")[0])
    return str(getattr(package, "version", ""))


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise refused(UnreadableNames, "a node's name is not text", printable(repr(name)), "text")
    return name


def _edges(edges: Any) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((_name(source), _name(target)) for source, target in edges)
    except (TypeError, ValueError) as error:
        found = printable(str(error))
        raise refused(
            UnreadableNames, "the edges are not pairs of names", found, "[(source, target), ...]"
        ) from error


def _values(node: object, kind: str) -> dict[str, object]:
    stored = vars(node) if hasattr(node, "__dict__") else {}
    values = {k: v for k, v in stored.items() if k not in DERIVED}
    if kind in PORTS:
        field, attribute, key = PORTS[kind]
        port = getattr(node, attribute, None)
        values[field] = port.get(key) if isinstance(port, Mapping) else port
    return {str(name): value for name, value in values.items() if value is not None}


def _field(value: Any, *, outline: bool = False) -> Field:
    """Return text as text, anything else as an array of numbers (also tensors of torch or jax)."""
    if isinstance(value, str):
        return value
    try:
        value = value.detach().cpu() if hasattr(value, "detach") else value
        array: NDArray[Any] = np.asarray(value) if outline else np.array(value)
    except Exception as error:  # any exception of a foreign __array__
        raise _not_numbers(type(value).__name__, cause(error)) from error
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise _not_numbers(type(value).__name__, str(array.dtype))
    if outline:
        return of_first_row(array[0], len(array)) if is_large(array.shape) else array.copy()
    return array


def _not_numbers(kind: str, detail: str) -> RefusalError:
    message = "the field holds something that is not numbers or text"
    return refused(NotNumbersOrText, message, f"{kind}: {detail}", "numbers, arrays or text")
