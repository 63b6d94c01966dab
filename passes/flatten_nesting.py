"""flatten-nesting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.diagnostics.log import Log
from nirc.ir.layers import Input, LayerNode, Output, Subgraph
from nirc.ir.program import Form, Program

Edge = tuple[str, str]


@dataclass(frozen=True)
class FlattenNesting:
    """Dissolve nested graphs into one, names joined by dots; their Inputs and Outputs stay as plain wires."""

    name: ClassVar[str] = "flatten-nesting"

    def run(self, program: Program, log: Log) -> Program:
        """Raises ``InputError`` (G253) if an edge reaches a subgraph that has several Inputs or Outputs."""
        flat = _Flat(log)
        flat.add(program, prefix="")
        log.raise_if_errors()
        return Program.of(Form.LAYERS, flat.nodes, dict.fromkeys(flat.edges), name=program.name)


class _Flat:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.nodes: dict[str, LayerNode] = {}
        self.edges: list[Edge] = []

    def add(self, program: Program, prefix: str) -> None:
        names = {n: _printable(prefix + n) for n in program.graph}
        for node, payload in program.nodes(LayerNode).items():
            if isinstance(payload.layer, Subgraph):
                self.add(payload.layer.program, names[node] + ".")
            else:
                self.nodes[self._unique(names[node])] = payload
        for source, target, inner in program.edges():
            source_inner, target_inner = inner or ((), ())
            start = self._end(program, source, source_inner, prefix, Output)
            stop = self._end(program, target, target_inner, prefix, Input)
            if start is not None and stop is not None:
                self.edges.append((start, stop))

    def _unique(self, name: str) -> str:
        while name in self.nodes:
            name += "'"
        return name

    def _end(
        self, program: Program, node: str, inner: tuple[str, ...], prefix: str, port: type[Input | Output]
    ) -> str | None:
        """The flat name of an edge's end: the node itself, or the port of a subgraph."""
        layer = program[node].layer
        name = prefix + node
        while isinstance(layer, Subgraph):
            name, nested = name + ".", layer.program
            if inner:
                node, inner = inner[0], inner[1:]
            else:
                ports = [n for n, p in nested.nodes(LayerNode).items() if isinstance(p.layer, port)]
                if len(ports) != 1:
                    self.log.error(
                        "G253",
                        f"an edge reaches subgraph `{name[:-1]}`, which has {len(ports)} {port.__name__} nodes",
                        where=program[node].origins[0] if node in program.graph else name,
                        found=", ".join(ports) or "none",
                        limit=f"one {port.__name__}",
                        help="let the edge name the inner node",
                    )
                    return None
                node = ports[0]
            name, layer = name + node, nested[node].layer
        return _printable(name)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "_" for c in name)
