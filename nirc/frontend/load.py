"""From a model to typed layers, nested as in the file.

Names in the edges of real files deviate. A certain reading is a warning, anything else is an error.
The deviations were measured on the published history of the NIR repository, see
docs/reference/tolerance.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path

from nirc.diagnostics.errors import warn
from nirc.diagnostics.file import UnknownNodeType
from nirc.diagnostics.graph import (
    DuplicateEdge,
    EdgeByAnotherName,
    EdgeIntoSubgraph,
    EdgeToFlattenedSubgraph,
    EdgeToNowhere,
    EdgeToOnlyNodeLeft,
    EmptyGraph,
    MoreDuplicateEdges,
    SubgraphToItself,
)
from nirc.diagnostics.log import Log
from nirc.diagnostics.usage import WrongType
from nirc.files.bounds import MAX_NAME, MAX_REPORTED, printable
from nirc.frontend.fields import BadNodeError, Fields
from nirc.frontend.primitives import BUILDERS, PRIMITIVES, advice
from nirc.frontend.raw import RawGraph, RawNode
from nirc.ir.layers import Layer, LayerNode, Subgraph
from nirc.ir.program import Form, Program

NodePath = tuple[str, ...]  # a node, or a node inside nested graphs


def load_raw(model: object, log: Log, *, outline: bool = False) -> tuple[RawGraph, str]:
    """Return the raw graph of a path or of a ``nir`` object, and a printable name for the model.

    ``outline``: the graph has the first row only of large matrices.
    """
    if isinstance(model, str | os.PathLike):
        from nirc.frontend.hdf5 import read_raw

        path = Path(model)
        log.file = str(path)
        return read_raw(path, log, outline=outline), _name(path)
    from nirc.frontend.objects import raw_from_object

    if not hasattr(model, "nodes"):
        raise WrongType(argument="model", value=model, limit="a path, or a nir.NIRGraph").refusal()
    log.file = "<nir graph>"
    return raw_from_object(model, log, outline=outline), "model"


def _name(path: Path) -> str:
    """Return the file's name without suffix, in every locale. Escape bytes outside UTF-8."""
    return printable(os.fsencode(path.stem).decode("utf-8", "backslashreplace"), MAX_NAME)


def load_layers(model: object, log: Log) -> Program:
    """Return typed layers, nested as in the model. Raises ``InputError``."""
    raw, name = load_raw(model, log)
    return to_layers(raw, log, name=name)


def from_nir(graph: object, *, log: Log | None = None) -> Program:
    """Return typed layers of a ``nir`` object (a ``NIRGraph``), without importing that package.

    Raises ``InputError``. Warnings are Python warnings, unless a ``log`` takes them.
    ``nirc.compile`` and ``nirc.load`` take NIR objects directly.
    """
    kept = log or Log()
    program = load_layers(graph, kept)
    if log is None:
        warn(kept.diagnostics)
    return program


def to_layers(graph: RawGraph, log: Log, *, name: str = "model", inside: NodePath = ()) -> Program:
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
            log.add(EmptyGraph(where="nodes"))
        log.raise_if_errors()
    # Sorted, because edges are a set, without order.
    known = sorted((a, b) for a, b in edges if a[0] in nodes and b[0] in nodes)
    return Program.of(
        Form.LAYERS,
        nodes,
        [(a[0], b[0], (a[1:], b[1:])) if a[1:] or b[1:] else (a[0], b[0]) for a, b in known],
        name=name,
    )


def _layer(raw: RawNode, log: Log, inside: NodePath, *, connected: bool) -> Layer:
    if raw.type == "NIRGraph":
        return Subgraph(
            to_layers(raw.graph or RawGraph({}, ()), log, name=inside[-1], inside=inside)
        )
    build = BUILDERS.get(raw.type)
    if build is None:
        where = f"{raw.path}/type"
        help_ = advice(raw.type)
        log.add(UnknownNodeType(where=where, kind=raw.type, known=PRIMITIVES, help=help_))
        raise BadNodeError
    fields = Fields(raw, log, connected=connected)
    layer = build(fields)
    fields.finish()
    return layer


def resolve_edges(
    graph: RawGraph, log: Log, *, inside: NodePath = ()
) -> list[tuple[NodePath, NodePath]]:
    """Return edges as paths to nodes, in file order, each once. Errors (G251) go to ``log``."""
    place = "/".join(("", *(f"nodes/{name}" for name in inside), "edges"))[1:]
    names = _Names(graph, inside, log, place)
    resolved: dict[tuple[NodePath, NodePath], None] = {}
    repeated: dict[tuple[str, str], None] = {}
    for source, target in graph.edges:
        if source == target and source not in graph.nodes and names.members(source):
            log.add(SubgraphToItself(where=place, subgraph=source))
            continue
        ends = names.find(source, "source"), names.find(target, "target")
        if ends[0] is None or ends[1] is None:
            if len(log.errors) >= MAX_REPORTED:
                break
            continue
        edge = (ends[0], ends[1])
        if edge in resolved:
            repeated[(source, target)] = None
        resolved[edge] = None
    for source, target in list(repeated)[:MAX_REPORTED]:
        log.add(DuplicateEdge(where=place, source=source, target=target))
    if len(repeated) > MAX_REPORTED:
        log.add(MoreDuplicateEdges(where=place, others=len(repeated) - MAX_REPORTED))
    return list(resolved)


class _Names:
    """Look-up of names in one graph. Each deviation is reported once."""

    def __init__(self, graph: RawGraph, inside: NodePath, log: Log, place: str) -> None:
        self.nodes: Mapping[str, RawNode] = graph.nodes
        self.inside = inside
        self.log = log
        self.place = place
        named = set(chain.from_iterable(graph.edges))
        self.unknown = sorted(named - set(graph.nodes))
        self.unused = sorted(
            n for n in set(graph.nodes) - named if graph.nodes[n].type not in ("Input", "Output")
        )

    def members(self, prefix: str) -> list[str]:
        """Return the nodes that a flattened subgraph ``prefix`` left in this graph."""
        return self._flattened_names.get(prefix, [])

    @cached_property
    def _flattened_names(self) -> dict[str, list[str]]:
        """Nodes by each prefix of their dotted names, computed once for files with many names."""
        by_prefix: dict[str, list[str]] = {}
        for name in self.nodes:
            for prefix in _prefixes(name, "."):
                by_prefix.setdefault(prefix, []).append(name)
        return by_prefix

    def find(self, name: str, end: str) -> NodePath | None:
        """Return the node that an edge's ``end`` (source or target) names, or report an error."""
        if name in self.nodes:
            return (name,)
        path = self._flattened(name, end) or self._outer_path(name) or self._inner_path(name)
        path = path or self._only_one_left(name)
        if path is None:
            self.log.add(EdgeToNowhere(where=self.place, name=name, nodes=list(self.nodes)))
        return path

    def _flattened(self, name: str, end: str) -> NodePath | None:
        """Resolve ``lif1`` to its Input (as target) or Output, if ``lif1.input``, ... exist."""
        wanted = "Input" if end == "target" else "Output"
        ports = [n for n in self.members(name) if self.nodes[n].type == wanted]
        if len(ports) != 1:
            return None
        self.log.add(EdgeToFlattenedSubgraph(where=self.place, name=name, port=ports[0]))
        return (ports[0],)

    def _outer_path(self, name: str) -> NodePath | None:
        """Resolve ``lif1.lif`` inside the subgraph ``lif1`` that has a node ``lif``."""
        for prefix in (".".join(self.inside), self.inside[-1] if self.inside else ""):
            inner = name.removeprefix(prefix + ".")
            if prefix and inner != name and inner in self.nodes:
                self.log.add(EdgeByAnotherName(where=self.place, name=name, node=inner))
                return (inner,)
        return None

    def _inner_path(self, name: str) -> NodePath | None:
        """Resolve ``lif1.lif`` outside, where ``lif1`` is a nested graph with a node ``lif``."""
        for separator in (".", "/"):
            nodes = self.nodes
            rest = name
            path: NodePath = ()
            while rest not in nodes:
                head = next(
                    (h for h in _prefixes(rest, separator) if h in nodes and nodes[h].graph), None
                )
                if head is None:
                    break
                inner = nodes[head].graph
                assert inner is not None
                nodes = inner.nodes
                rest = rest[len(head) + 1 :]
                path = (*path, head)
            else:
                subgraph = "/".join(path)
                self.log.add(
                    EdgeIntoSubgraph(where=self.place, name=name, node=rest, subgraph=subgraph)
                )
                return (*path, rest)
        return None

    def _only_one_left(self, name: str) -> NodePath | None:
        """Match the only unknown name with the only node that no edge names."""
        if self.unknown != [name] or len(self.unused) != 1:
            return None
        self.log.add(EdgeToOnlyNodeLeft(where=self.place, name=name, node=self.unused[0]))
        return (self.unused[0],)


def _prefixes(name: str, separator: str) -> list[str]:
    """Return proper prefixes at each separator, longest first."""
    parts = name.split(separator)
    return [separator.join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
