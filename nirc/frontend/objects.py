"""Graphs of the ``nir`` package to raw graphs, without importing it: class names are types, attributes fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from nirc.diagnostics.log import Log
from nirc.frontend import bounds
from nirc.frontend.raw import Field, RawGraph, RawNode

DERIVED = {"input_type", "output_type", "metadata", "nodes", "edges"}  # not fields of the node itself
PORTS = {"Input": ("input_type", "input"), "Output": ("output_type", "output")}


def raw_from_object(graph: object, log: Log) -> RawGraph:
    """What reading the written graph would give. Raises ``InputError`` (F103, F106, F107)."""
    if type(graph).__name__ != "NIRGraph" or not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        log.error("F103", "this object is no NIRGraph", found=type(graph).__name__, limit="a path or a nir.NIRGraph")
        log.raise_if_errors()
    raw = _graph(graph, "", log, depth=0)
    log.raise_if_errors()
    return raw


def _graph(graph: Any, path: str, log: Log, depth: int) -> RawGraph:
    if depth > bounds.MAX_DEPTH:
        log.error("F106", "graphs are nested too deep", where=path, limit=f"{bounds.MAX_DEPTH} levels")
        return RawGraph({}, ())
    prefix = f"{path}/nodes/" if path else "nodes/"
    nodes = {str(n): _node(node, f"{prefix}{n}", log, depth) for n, node in graph.nodes.items()}
    return RawGraph(nodes, tuple((str(a), str(b)) for a, b in graph.edges))


def _node(node: Any, path: str, log: Log, depth: int) -> RawNode:
    kind = type(node).__name__
    if kind == "NIRGraph":
        return RawNode(path, kind, {}, _graph(node, path, log, depth + 1))
    values = {k: v for k, v in vars(node).items() if k not in DERIVED and v is not None}
    if kind in PORTS:
        attribute, key = PORTS[kind]
        values = {"shape": (getattr(node, attribute, None) or {}).get(key)}
    elif kind == "Flatten":
        values["input_type"] = (getattr(node, "input_type", None) or {}).get("input")
    fields = {k: _value(v, f"{path}/{k}", log) for k, v in values.items() if v is not None}
    return RawNode(path, kind, fields)


def _value(value: object, where: str, log: Log) -> Field:
    if isinstance(value, str):
        return value
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)  # torch tensors with gradients
    except (TypeError, ValueError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        log.error("F107", "this field is neither numbers nor text", where=where, found=type(value).__name__)
        return np.zeros(1)
    return array
