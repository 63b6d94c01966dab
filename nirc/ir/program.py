"""A program: one networkx graph in one of the forms. A pass maps a program to a program."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from nirc.ir.rules import Reset

P = TypeVar("P")
# Edges above which a program is too large for a table, a node or a search for each: small
# populations are joined, and synapses are listed (benchmarks/scale.py all-to-all-100).
MANY_EDGES = 1 << 12
SMALL_POPULATION = 64  # neurons of a population that may be joined


class Form(Enum):
    """The forms of a program. A chip's tables belong to the backend."""

    LAYERS = "layers"  # NIR's nodes, typed
    CONTINUOUS = "continuous"  # populations and projections, physical parameters
    DISCRETE = "discrete"  # coefficients per step of dt
    INTEGER = "integer"  # a chip's number formats


@dataclass(frozen=True)
class Program:
    """Nodes carry frozen payloads (attribute ``payload``), edges too (None in the layers form).

    The methods never ask networkx for its views of edges, which the graph would keep. Such a view
    refers to the graph, so large matrices would stay in memory until Python looks for cycles.

    ``dt_s`` is the time step in seconds, None while unknown or irrelevant. ``training``: by
    population of the file, from the discrete form on.
    """

    form: Form
    graph: nx.MultiDiGraph[str]
    name: str = "model"
    dt_s: float | None = None
    training: Mapping[str, Training] = field(default_factory=dict)

    @staticmethod
    def of(
        form: Form,
        nodes: Mapping[str, object],
        edges: Iterable[tuple[str, str] | tuple[str, str, object]],
        *,
        name: str = "model",
        dt_s: float | None = None,
        training: Mapping[str, Training] | None = None,
    ) -> Program:
        """Return a program of payloads by name and edges ``(source, target[, payload])``."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for node, payload in nodes.items():
            graph.add_node(node, payload=payload)
        for source, target, *payload_ in edges:
            if source not in nodes or target not in nodes:
                raise ValueError(f"edge {source!r} -> {target!r} names no node")
            graph.add_edge(source, target, payload=payload_[0] if payload_ else None)
        return Program(form, nx.freeze(graph), name, dt_s, training or {})

    def __repr__(self) -> str:
        return f"<Program {self.name}: {len(self.graph)} nodes, form {self.form.value}>"

    def _repr_html_(self) -> str:
        from nirc.ir.summary import as_html

        return as_html(self)

    def __getitem__(self, node: str) -> Any:
        return self.graph.nodes[node]["payload"]

    def nodes(self, kind: type[P]) -> dict[str, P]:
        """Return the payloads of one type by name, in program order."""
        return {
            n: d["payload"]
            for n, d in self.graph.nodes(data=True)
            if isinstance(d["payload"], kind)
        }

    def edges(self) -> Iterator[tuple[str, str, Any]]:
        """Yield ``(source, target, payload)`` in program order."""
        for source, targets in self.graph.adjacency():
            for target, parallel in targets.items():
                for data in parallel.values():
                    yield source, target, data["payload"]

    def has_many_edges(self, more: int = 0, *, but_into: Container[str] = ()) -> bool:
        """Return True if the program has more than ``MANY_EDGES`` edges.

        ``more`` are counted with them. Edges into the nodes ``but_into`` are not counted.
        """
        return more + sum(t not in but_into for _, t, _ in self.edges()) > MANY_EDGES

    def into(self, target: str) -> list[tuple[str, Any]]:
        """Return ``(source, payload)`` of the edges into ``target``, in program order."""
        return _ends(self.graph.pred[target])

    def out_of(self, source: str) -> list[tuple[str, Any]]:
        """Return ``(target, payload)`` of the edges out of ``source``, in program order."""
        return _ends(self.graph.succ[source])

    def fresh_name(self, wish: str, added: Container[str] = ()) -> str:
        """Return ``wish`` as a name, with a number if program or ``added`` has that name."""
        name = wish
        number = 2
        while name in self.graph or name in added:
            name = f"{wish}{number}"
            number += 1
        return name

    def rebuilt(
        self,
        nodes: Mapping[str, object],
        edges: Iterable[tuple[str, str] | tuple[str, str, object]],
        **changes: Any,
    ) -> Program:
        """Return the program with other nodes and edges, and other fields (form, dt_s, ...)."""
        program = Program.of(
            self.form, nodes, edges, name=self.name, dt_s=self.dt_s, training=self.training
        )
        return replace(program, **changes)

    def mapped(self, change: Mapping[str, object], **changes: Any) -> Program:
        """Return the same graph with some payloads of nodes replaced. Both share their edges."""
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for name, payload in self.graph.nodes(data="payload"):
            graph.add_node(name, payload=change.get(name, payload))
        graph._adj, graph._pred = self.graph._adj, self.graph._pred  # frozen, as the graph is
        return replace(self, graph=nx.freeze(graph), **changes)


def _ends(neighbours: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[tuple[str, Any]]:
    """Return each neighbour with the payload of each edge to it."""
    ends = []
    for name, parallel in neighbours.items():
        ends += [(name, data["payload"]) for data in parallel.values()]
    return ends


@dataclass(frozen=True)
class Training:
    """A population in its simulator: time constants for decays, and resets that act at once.

    A time constant tau keeps 1 - ``step`` / tau of a state in a step, or exp(-``step`` / tau) where
    ``exact``. ``step`` has the unit of the file's time constants: seconds, and steps where it is 1.
    ``resets``: the simulator's names of resets that act in the step of the spike. ``added``: the
    neurons are a readout that ``--readout`` added.
    """

    simulator: str = ""  # as its authors spell it
    step: float | None = None
    exact: bool = False
    resets: Mapping[Reset, str] = field(default_factory=dict)
    added: bool = False

    def time_constant(self, decay: float) -> str:
        """Return the time constant of ``decay`` as the file has it: ``0.0155 s``."""
        step = self.step or 1.0
        with np.errstate(divide="ignore"):
            tau = np.float64(step) / (-np.log(decay) if self.exact else 1.0 - decay)
        return f"{tau:.4g} {'steps' if step == 1.0 else 's'}"

    def with_decay(self, name: str, decay: float) -> str:
        """Return ``train with a decay of 0.9375 a step: tau_mem = 0.0155 s``."""
        if self.added:
            return f"--readout li:{1 / (1 - decay):g}"
        return f"train with a decay of {decay:.6g} a step: {name} = {self.time_constant(decay)}"
