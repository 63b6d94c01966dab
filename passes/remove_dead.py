"""remove-dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from nirc.diagnostics.graph import DeadNode, OutputsDependOnNothing
from nirc.diagnostics.log import Log
from nirc.ir.layers import Input, LayerNode, Neuron, Output
from nirc.ir.program import Program


@dataclass(frozen=True)
class RemoveDead:
    """Drop nodes that no output depends on, and wires without a signal. Keep all Inputs."""

    name: ClassVar[str] = "remove-dead"

    def run(self, program: Program, log: Log) -> Program:
        """Warns G213 for each. Raises ``InputError`` (G254) if no output depends on anything."""
        graph = program.graph
        layers = {n: p.layer for n, p in program.nodes(LayerNode).items()}
        last = [n for n in graph if not graph.out_degree(n)]
        first = [n for n in graph if not graph.in_degree(n)]
        outputs = [n for n in last if isinstance(layers[n], Output)]
        inputs = [n for n in first if isinstance(layers[n], Input)]
        # Neurons without input stay. A leak above the threshold or a start value may let them fire.
        alive_roots = [*inputs, *(n for n, layer in layers.items() if isinstance(layer, Neuron))]
        used = _closure(graph.reverse(copy=False), outputs)
        keep = (used & _closure(graph, alive_roots)) | set(inputs)
        for node in graph:
            if node not in keep:
                where = program[node].origins[0]
                log.add(DeadNode(where=where, node=node, is_used=node in used))
        if not any(node in keep for node in outputs):
            log.add(OutputsDependOnNothing(where="edges"))
        log.raise_if_errors()
        return program.rebuilt(
            {n: p for n, p in program.nodes(LayerNode).items() if n in keep},
            [(s, t) for s, t, _ in program.edges() if s in keep and t in keep],
        )


def _closure(graph: nx.MultiDiGraph[str], roots: list[str]) -> set[str]:
    """Return ``roots`` and all nodes that they reach."""
    reached = set(roots)
    stack = list(roots)
    while stack:
        new = [n for n in graph.successors(stack.pop()) if n not in reached]
        reached.update(new)
        stack.extend(new)
    return reached
