"""From raw nodes to typed layers, nested as in the file."""

from __future__ import annotations

from itertools import chain

from nirc.diagnostics.log import Log
from nirc.frontend.edges import Path, resolve_edges
from nirc.frontend.fields import BadNodeError, Fields
from nirc.frontend.other_names import advice
from nirc.frontend.primitives import BUILDERS, PRIMITIVES
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.layers import Layer, LayerNode, Subgraph
from nirc.ir.program import Form, Program


def to_layers(graph: RawGraph, log: Log, *, name: str = "model", inside: Path = ()) -> Program:
    """Return typed, nested layers without shapes. Raises ``InputError`` with all faults."""
    nodes: dict[str, LayerNode] = {}
    connected = set(chain.from_iterable(graph.edges))
    for node_name, raw in graph.nodes.items():
        try:
            layer = _layer(raw, log, (*inside, node_name), connected=node_name in connected)
        except BadNodeError:
            continue
        nodes[node_name] = LayerNode(layer, (raw.path,))
    edges = resolve_edges(graph, log, inside=inside)
    if not inside:
        if not graph.nodes:
            log.error(
                "G254", "the graph has no nodes", where="nodes", help="export the model again"
            )
        log.raise_if_errors()
    known = sorted(
        (a, b) for a, b in edges if a[0] in nodes and b[0] in nodes
    )  # edges are a set, without order
    return Program.of(
        Form.LAYERS,
        nodes,
        [(a[0], b[0], (a[1:], b[1:])) if a[1:] or b[1:] else (a[0], b[0]) for a, b in known],
        name=name,
    )


def _layer(raw: RawNode, log: Log, inside: Path, *, connected: bool) -> Layer:
    if raw.type == "NIRGraph":
        return Subgraph(
            to_layers(raw.graph or RawGraph({}, ()), log, name=inside[-1], inside=inside)
        )
    build = BUILDERS.get(raw.type)
    if build is None:
        log.error(
            "F108",
            f"`{raw.type[:60]}` is not a NIR primitive",
            where=f"{raw.path}/type",
            found=raw.type[:60],
            limit=", ".join(PRIMITIVES),
            help=advice(raw.type),
        )
        raise BadNodeError
    fields = Fields(raw, log, connected=connected)
    layer = build(fields)
    fields.finish()
    return layer
