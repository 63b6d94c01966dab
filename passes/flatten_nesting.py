"""flatten-nesting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.diagnostics.log import Log
from nirc.diagnostics.shapes import SubgraphPortUnclear
from nirc.ir.layers import Input, LayerNode, Output, Subgraph
from nirc.ir.program import Form, Program

Edge = tuple[str, str]
Path = tuple[str, ...]


@dataclass(frozen=True)
class FlattenNesting:
    """Dissolve nested graphs. Names are joined by dots. Inner Inputs and Outputs stay as wires."""

    name: ClassVar[str] = "flatten-nesting"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``InputError`` (G253) for an edge to a subgraph with several Inputs or Outputs."""
        flat = _Flat(log)
        flat.add(program)
        log.raise_if_errors()
        return Program.of(Form.LAYERS, flat.nodes, dict.fromkeys(flat.edges), name=program.name)


class _Flat:
    """The nodes and edges of the flat graph. A node's key is its path through the nested graphs."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.nodes: dict[str, LayerNode] = {}
        self.edges: list[Edge] = []
        self.names: dict[Path, str] = {}

    def add(self, program: Program, inside: Path = ()) -> None:
        for node, payload in program.nodes(LayerNode).items():
            if isinstance(payload.layer, Subgraph):
                self.add(payload.layer.program, (*inside, node))
            else:
                name = self.names[(*inside, node)] = self._unique((*inside, node))
                self.nodes[name] = payload
        for source, target, inner in program.edges():
            source_inner, target_inner = inner or ((), ())
            start = self._end(program, (*inside, source), source_inner, Output)
            stop = self._end(program, (*inside, target), target_inner, Input)
            if start is not None and stop is not None:
                self.edges.append((start, stop))

    def _unique(self, path: Path) -> str:
        """Return the path joined by dots, with a mark if another node has this name."""
        name = "".join(c if c.isprintable() else "_" for c in ".".join(path))
        while name in self.nodes:
            name += "'"
        return name

    def _end(
        self, program: Program, path: Path, inner: Path, port: type[Input | Output]
    ) -> str | None:
        """Return the flat name of an edge's end: the node itself, or the port of a subgraph."""
        payload = program[path[-1]]
        while isinstance(payload.layer, Subgraph):
            nested = payload.layer.program
            if inner:
                node, inner = inner[0], inner[1:]
            else:
                ports = [n for n, p in nested.nodes(LayerNode).items() if isinstance(p.layer, port)]
                if len(ports) != 1:
                    unclear = SubgraphPortUnclear(
                        where=payload.origins[0],
                        path=".".join(path),
                        kind=port.__name__,
                        ports=tuple(ports),
                    )
                    self.log.add(unclear)
                    return None
                node = ports[0]
            path, payload = (*path, node), nested[node]
        return self.names[path]
