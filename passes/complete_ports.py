"""complete-ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nirc.diagnostics.graph import NoInputOrOutput, NoPlaceForPort
from nirc.diagnostics.log import Log
from nirc.ir.layers import Input, LayerNode, Output
from nirc.ir.program import Program


@dataclass(frozen=True)
class CompletePorts:
    """Add the Inputs or Outputs that the first and last nodes of a graph without them imply."""

    name: ClassVar[str] = "complete-ports"

    def run(self, program: Program, log: Log) -> Program:
        """Add ports, each with a warning (G212). Raises ``InputError`` (G254) without edges."""
        nodes: dict[str, object] = dict(program.nodes(LayerNode))
        edges = [(s, t) for s, t, _ in program.edges()]
        for kind, degree in ((Input, program.graph.in_degree), (Output, program.graph.out_degree)):
            ends = [n for n in program.graph if degree(n) == 0]
            if any(isinstance(program[n].layer, kind) for n in ends):
                continue
            for node in ends:
                port = program.fresh_name(f"{kind.__name__.lower()}_{node}", nodes)
                nodes[port] = LayerNode(kind(None), program[node].origins)
                edges.append((port, node) if kind is Input else (node, port))
                where = program[node].origins[0]
                log.add(NoInputOrOutput(where=where, kind=kind.__name__, node=node))
            if not ends:
                log.add(NoPlaceForPort(where="nodes", kind=kind.__name__))
        log.raise_if_errors()
        return program.rebuilt(nodes, edges)
