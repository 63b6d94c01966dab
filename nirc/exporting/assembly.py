"""The nodes and edges of a file for an importer, in an order in which it runs them."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nirc.diagnostics.log import Log
from nirc.exporting.folding import folded
from nirc.exporting.loading import Loaded
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Dense, Diagonal
from nirc.ir.populations import Sink, Source
from nirc.ir.program import Program
from nirc.nirfile.graph import Graph, port, shaped
from nirc.nirfile.operators import Layer, Plus, Primitives, Route, laid_out, planned
from nirc.writers.importer import Cell, Fields, Importer, Order

INPUT, OUTPUT = "input", "output"
MOST_NAME = 80  # characters that a node keeps of a population's name

Edge = tuple[str, str]
Refuse = Callable[[str, str, str, str], None]  # (problem, where, found, limit)


@dataclass
class Assembly:
    """A network on its way to a graph for ``importer``: nodes and edges by working names.

    ``loops``: projections that lead back, a step later. ``stems``: what the names in the file
    show. ``back_nodes``: nodes of these projections.
    """

    program: Program
    importer: Importer
    loaded: Mapping[str, Loaded]
    loops: set[Edge]
    refuse: Refuse
    log: Log
    fields: dict[str, Fields] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)
    forward: list[Edge] = field(default_factory=list)
    back: list[Edge] = field(default_factory=list)
    back_nodes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        importer = self.importer
        self.primitives = Primitives(
            importer.nodes,
            importer.pads_pools,
            importer.dilates,
            importer.map_order == "channels last",
        )

    def graph(self) -> Graph:
        """Return the graph. Raises ``CompileError``: P317 and P307."""
        self._add_nodes()
        self.log.raise_if_errors()
        graph = self._named()
        self.log.raise_if_errors()
        return graph

    def _cell(self, name: str) -> Cell | None:
        return self.loaded[name].cell if name in self.loaded else None

    # Nodes and edges.

    def _add_nodes(self) -> None:
        routes, shapes = self._routes()
        exits = {}
        for name, payload in self.program.graph.nodes(data="payload"):
            exits[name] = self._add_population(name, payload, shapes[name])
        for number, route in enumerate(routes):
            loop = (route.source, route.target) in self.loops
            if loop and self.importer.loops == "nested":
                self._nest(route, shapes[route.source])
            else:
                layers = self._layers(route, shapes, exits[route.source], loop=loop)
                self._add_chain(number, route, layers, exits[route.source], loop=loop)

    def _routes(self) -> tuple[list[Route], dict[str, Shape]]:
        """Return every projection with its factors folded in, and all shapes.

        A population's constant is on one of its projections.
        """
        program = self.program
        shapes = {name: program[name].shape for name in program.graph}
        routes = []
        for source, target, p in program.edges():
            cell = self._cell(target)
            gain = None if cell is None else cell.gain
            ops = folded(p.ops, gain, program[source].shape, self.primitives)
            routes.append(Route(source, target, tuple(ops)))
        for target, value in self._constants().items():
            carriers = [
                i
                for i, r in enumerate(routes)
                if r.target == target and (r.source, target) not in self.loops
            ]
            if not carriers:  # a clock: it takes nothing of the Input
                entry = next(iter(program.nodes(Source)))
                nothing = Dense(np.zeros((value.size, program[entry].n)))
                carriers = [len(routes)]
                routes.append(Route(entry, target, (nothing,)))
            at = next((i for i in carriers if self._takes(routes[i], value, shapes)), carriers[0])
            routes[at] = replace(routes[at], steps=(*routes[at].steps, Plus(value)))
        flat = {n for n in self.loaded if (cell := self._cell(n)) is not None and cell.flat}
        return routes, laid_out(shapes, routes, self.primitives, flat)

    def _takes(self, route: Route, value: Float, shapes: Mapping[str, Shape]) -> bool:
        """Return True if the last node of ``route`` has room for a constant."""
        layers = planned(route.steps, shapes[route.source], self.primitives)
        return bool(layers) and layers[-1].with_bias(value) is not None

    def _constants(self) -> dict[str, Float]:
        """Return (n,) what is added to everything that arrives at a population, if it is not 0."""
        constants: dict[str, Float] = {}
        for name, payload in self.program.graph.nodes(data="payload"):
            total = np.zeros(payload.n)
            for _, p in self.program.into(name):
                for bias in p.biases:
                    total = total + bias.value
            cell = self._cell(name)
            if cell is not None:
                total = total * (1.0 if cell.gain is None else cell.gain)
                total = total + (0.0 if cell.constant is None else cell.constant)
            if total.any():
                constants[name] = total
        return constants

    def _add_population(self, name: str, payload: object, shape: Shape) -> str:
        """Add the nodes of a population or port. Return the one that signals leave from."""
        self.stems[name] = name
        if isinstance(payload, Source | Sink):
            self.fields[name] = port("Input" if isinstance(payload, Source) else "Output", shape)
            return name
        cell = self._cell(name)
        assert cell is not None  # it would have been refused
        self.fields[name] = shaped(cell.fields, shape)
        if cell.threshold is None:
            return name
        behind = f"{name}\0"
        self.stems[behind] = f"{name}_threshold"
        self.fields[behind] = shaped({"type": "Threshold", "threshold": cell.threshold}, shape)
        self.forward.append((name, behind))
        return behind

    def _layers(
        self, route: Route, shapes: Mapping[str, Shape], start: str, *, loop: bool
    ) -> list[Layer]:
        """Return the nodes of a projection, with as many as a loop or a second edge needs."""
        source, target = shapes[route.source], shapes[route.target]
        layers = route.layers(source, target, self.primitives)
        one = Route(route.source, route.target, (Diagonal(np.ones(size(target))),))
        least = {"long": 2, "pair": 1}.get(self.importer.loops, 0) if loop else 0
        if (start, route.target) in (*self.forward, *self.back):
            least = max(least, 1)
        while len(layers) < least:
            layers += one.layers(target, (size(target),), self.primitives)
        return layers

    def _add_chain(
        self, number: int, route: Route, layers: list[Layer], start: str, *, loop: bool
    ) -> None:
        """Add the nodes of a projection, and its edges."""
        before = start
        for count, layer in enumerate(layers):
            name = f"{number}\0{count}"
            place = f"{route.source} -> {route.target}"
            self.fields[name] = layer.fields(self.primitives, place, self.log)
            self.stems[name] = f"{route.target}_{self.fields[name]['type'].lower()}"
            self.forward.append((before, name))
            self.back_nodes |= {name} if loop else set()
            before = name
        (self.back if loop else self.forward).append((before, route.target))

    def _nest(self, route: Route, shape: Shape) -> None:
        """Turn a population and what it sends itself into a graph of its own."""
        name, inner = route.source, self.fields[route.source]
        layers = route.layers(shape, shape, self.primitives)
        layers = layers or planned((Diagonal(np.ones(size(shape))),), shape, self.primitives)
        if len(layers) != 1 or inner["type"] == "NIRGraph":
            problem = f"`{name}` feeds itself in more than one way"
            self.refuse(problem, place_of(self.program, name), "", "one matrix")
            return
        matrix = layers[0].fields(self.primitives, f"{name} -> {name}", self.log)
        ports = {INPUT: port("Input", shape), OUTPUT: port("Output", shape)}
        edges = ((INPUT, "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", OUTPUT))
        cell = Graph({**ports, "lif": inner, "w_rec": matrix}, edges)
        self.fields[name] = {"type": "NIRGraph", "graph": cell}

    # Names and order.

    def _named(self) -> Graph:
        """Return nodes by names that sort as signals reach them, and edges likewise."""
        outputs = {n for n, fields in self.fields.items() if fields["type"] == "Output"}
        order = written_order(list(self.fields), self.forward, self.back_nodes, outputs)
        width = len(str(len(order)))
        names = {}
        for number, name in enumerate(order):
            kind = self.fields[name]["type"]
            stem = re.sub(r"[^A-Za-z0-9_]", "_", self.stems[name])[:MOST_NAME]
            names[name] = {"Input": INPUT, "Output": OUTPUT}.get(kind, f"{number:0{width}d}_{stem}")
        place = {name: i for i, name in enumerate(order)}
        edges = sorted({*self.forward, *self.back}, key=lambda e: (place[e[0]], place[e[1]]))
        self._check_order(edges, names)
        nodes = {names[n]: self.fields[n] for n in order}
        if self.importer.single:
            nodes = {name: _in_float32(fields) for name, fields in nodes.items()}
        return Graph(nodes, tuple(_renamed(edges, names)))

    def _check_order(self, edges: list[Edge], names: Mapping[str, str]) -> None:
        """Refuse a network that the simulator would run in another order."""
        forward, back = self.forward, self.back
        if self.importer.loops == "pair":  # each becomes one layer with its matrix
            forward = [e for e in forward if e[1] not in self.back_nodes]
            edges = [e for e in edges if not {*e} & self.back_nodes]
            back = []
        run = _renamed(edges, names)
        order = run_order(self.importer.order, sorted(names.values()), run, INPUT)
        wrong = fault(order, _renamed(forward, names), _renamed(back, names), OUTPUT)
        if wrong:
            name = next(n for n, in_file in names.items() if in_file == wrong)
            inputs = sum(t == name for _, t in forward)
            self.refuse(
                f"`{self.stems[name]}` would be run before all its inputs are there",
                wrong,
                f"{inputs} inputs, run {self.importer.order}",
                "branches that meet again are run in the right order in a few forms only",
            )


def place_of(program: Program, name: str) -> str:
    """Return the place of a node in the model, its name without any."""
    origins = getattr(program[name], "origins", ())
    return origins[0] if origins else name


def _renamed(edges: Sequence[Edge], names: Mapping[str, str]) -> list[Edge]:
    return [(names[s], names[t]) for s, t in edges]


def _in_float32(fields: Fields) -> Fields:
    floats = {
        k: v for k, v in fields.items() if isinstance(v, np.ndarray) and v.dtype == np.float64
    }
    return fields | {k: v.astype(np.float32) for k, v in floats.items()}


# Orders, as seen in nirtorch 2.6 and spyx 1.0.0.


def written_order(
    names: Sequence[str], forward: Sequence[Edge], loops: Collection[str], last: Collection[str]
) -> list[str]:
    """Return ``names`` as signals reach them, with ``last`` at the end.

    ``loops``: the nodes that lead back in a loop. They come right behind its neurons.
    """
    place = {name: i for i, name in enumerate(names)}
    missing = {name: sum(t == name for _, t in forward) for name in names}

    def key(name: str) -> tuple[bool, bool, int, str]:
        return name in last, name not in loops, place[name], name

    heap = [key(name) for name in names if not missing[name]]
    heapq.heapify(heap)
    order = []
    while heap:
        name = heapq.heappop(heap)[-1]
        order.append(name)
        for source, target in forward:
            if source == name:
                missing[target] -= 1
                if not missing[target]:
                    heapq.heappush(heap, key(target))
    return order


def run_order(order: Order, names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """Return names in the order in which they are run. Those that never are, are missing.

    ``names`` in the order of the file, ``first`` the Input among them.
    """
    if order == "depth first":
        return _depth_first(edges, first)
    return _ready(names, edges, first) if order == "ready" else _path(edges, first)


def _depth_first(edges: Sequence[Edge], first: str) -> list[str]:
    """Run a node, then what each of its edges leads to, if nothing has led there before."""
    order: dict[str, None] = {}
    stack = [first]
    while stack:
        node = stack.pop()
        if node not in order:
            order[node] = None
            stack += [t for s, t in reversed(edges) if s == node]
    return list(order)


def _ready(names: Sequence[str], edges: Sequence[Edge], first: str) -> list[str]:
    """Run a node as soon as all its inputs have run.

    One of several inputs that depends on the node need not have.
    """
    into: dict[str, list[str]] = {name: [s for s, t in edges if t == name] for name in names}
    done = {first: None}
    at = list(names).index(first)
    queue = deque([*names[at + 1 :], *names[:at]])
    refused = 0  # nodes in a row that have gone to the end of the queue
    while queue and refused < len(queue):
        name = queue.popleft()
        dependent = _reachable(edges, name) if len(into[name]) > 1 else set()
        if all(s in done or s in dependent for s in into[name]):
            done[name] = None
            refused = 0
        else:
            queue.append(name)
            refused += 1
    return list(done)


def _reachable(edges: Sequence[Edge], start: str) -> set[str]:
    reached: set[str] = set()
    stack = [start]
    while stack:
        node = stack.pop()
        new = [t for s, t in edges if s == node and t not in reached]
        reached.update(new)
        stack += new
    return reached


def _path(edges: Sequence[Edge], first: str) -> list[str]:
    """Follow the first edge of each node."""
    order = [first]
    following = dict(reversed(edges))
    while (after := following.get(order[-1])) is not None and after not in order:
        order.append(after)
    return order


def fault(order: Sequence[str], forward: Sequence[Edge], back: Sequence[Edge], last: str) -> str:
    """Return the node that would be run out of its turn, "" if there is none.

    Over a ``forward`` edge a signal arrives in its own step, over a ``back`` edge a step later.
    ``last`` gives the output.
    """
    at = {name: i for i, name in enumerate(order)}
    for edge in (*forward, *back):
        for name in edge:
            if name not in at:
                return name
    for source, target in forward:
        if at[source] >= at[target]:
            return target
    for source, target in back:
        if at[source] < at[target]:
            return target
    return "" if order[-1] == last else order[-1]
