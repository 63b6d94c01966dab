"""A program as a file that a simulator loads as it is meant, or a refusal that names the node."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from nirc.diagnostics.errors import NircError
from nirc.diagnostics.log import Log
from nirc.export.folding import folded
from nirc.export.graph import Graph, port, shaped
from nirc.export.loading import Loaded, load
from nirc.export.operators import Plus, Primitives, Route, laid_out, planned
from nirc.export.order import Edge, fault, run_order
from nirc.ir.arrays import Float, Shape, size
from nirc.ir.linear import Dense, Diagonal
from nirc.ir.populations import Discrete, Population, Projection, Sink, Source, populations_of
from nirc.ir.program import Form, Program
from nirc.passes.normalise_rules import NormaliseRules
from nirc.writers.importer import AS, LOADED, Fields, Importer
from nirc.writers.writer import Writer, installed_writers

INPUT, OUTPUT = "input", "output"
MOST_NAME = 80  # characters that a node keeps of a population's name
OTHERWISE = "leave --for out: the file then says what NIR can say, and P315 names the rest"


@dataclass(frozen=True)
class Importable:
    """A graph for a simulator's importer, and the choices with which it has to be loaded."""

    graph: Graph
    writer: Writer
    values: Mapping[str, str]

    @property
    def importer(self) -> Importer:
        """The importer that the graph is for."""
        assert self.writer.importer is not None
        return self.writer.importer

    @property
    def reading(self) -> str:
        """As ``--from`` takes it."""
        usual = {c.key: c.values[0] for c in self.importer.choices}
        other = [f"{k}={v}" for k, v in self.values.items() if usual.get(k) != v]
        return ",".join((self.writer.name, f"{AS.key}={LOADED}", *other))


def to_importable(
    program: Program, writer: Writer, values: Mapping[str, str], log: Log
) -> Importable:
    """``program`` in the discrete form or a later one, for the importer of ``writer``.

    ``values``: choices of the importer that the user made. Raises ``CompileError``: P317 for each
    node that the importer would make another one of, P307 for a matrix that is too large. Warns
    (P315) of limits of a chip's numbers.
    """
    export = _Export(as_stepped(program, log), writer, dict(values), log)
    made = export.made()
    if any(
        _is_rounded(p) and not export.loaded[name].cuts
        for name, p in program.nodes(Population).items()
    ):
        log.warning(
            "P315",
            "NIR cannot say that the chip rounds states between steps",
            help="the loaded network may differ from the chip in single spikes: `nirc run` is "
            "exact",
        )
    if any(
        export.loaded[name].cuts and _is_exact(p) for name, p in program.nodes(Population).items()
    ):
        log.warning(
            "P315",
            f"{writer.title} cuts what a neuron keeps, and the stage does not",
            help="the loaded network may differ in single spikes, where a weight is no multiple "
            "of 1 / 4096",
        )
    return made


def _is_exact(population: Population[Any]) -> bool:
    """Return whether the stage keeps states in floating point."""
    d = population.dynamics
    return isinstance(d, Discrete) and d.grain is None


def _is_rounded(population: Population[Any]) -> bool:
    """Return whether a chip keeps fractions of its states from step to step, and has to round
    them.
    """
    if not hasattr(population.dynamics, "as_discrete"):
        return False
    d = population.dynamics.as_discrete()
    decays = [decay for decay in (d.decay_mem, d.decay_syn) if decay is not None]
    return any(((decay > 0) & (decay < 1)).any() for decay in decays)


def as_stepped(program: Program, log: Log) -> Program:
    """Every population by what it does in a step, with normalised rules.

    One receptor where currents decay alike.
    """
    nodes: dict[str, object] = dict(program.graph.nodes(data="payload"))
    for name, population in program.nodes(Population).items():
        if hasattr(population.dynamics, "as_discrete"):
            nodes[name] = population.with_dynamics(population.dynamics.as_discrete())
    stepped = program.rebuilt(nodes, program.edges(), form=Form.DISCRETE)
    single = {
        n for n, p in populations_of(stepped, Discrete).items() if p.dynamics.decay_syn_2 is None
    }
    edges = [(s, t, replace(p, synapse=0) if t in single else p) for s, t, p in program.edges()]
    return NormaliseRules().run(stepped.rebuilt(nodes, edges), log)


@dataclass
class _Nodes:
    """Nodes and edges by working names, in no order yet."""

    fields: dict[str, Fields] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)  # what the names in the file show
    forward: list[Edge] = field(default_factory=list)
    back: list[Edge] = field(default_factory=list)
    loops: set[str] = field(default_factory=set)  # nodes on the way back


class _Export:
    """A network on its way into the words of an importer.

    ``help``: of refusals, None to find other ways.
    """

    def __init__(
        self,
        program: Program,
        writer: Writer,
        values: dict[str, str],
        log: Log,
        help_: str | None = None,
    ) -> None:
        assert writer.importer is not None
        self.help = help_
        self.program, self.writer, self.importer, self.values, self.log = (
            program,
            writer,
            writer.importer,
            values,
            log,
        )
        importer = writer.importer
        self.primitives = Primitives(
            importer.nodes,
            importer.pads_pools,
            importer.dilates,
            importer.map_order == "channels last",
        )
        self.loaded: dict[str, Loaded] = {}

    def made(self) -> Importable:
        """The graph. Raises ``CompileError`` with every finding."""
        self._ports()
        self.loaded = {
            name: self._load(name, p) for name, p in populations_of(self.program, Discrete).items()
        }
        self._choices()
        loops = {(s, t) for s, t, p in self.program.edges() if self._closes(s, t, p)}
        for source, target, projection in self.program.edges():
            self._check_lag(source, target, projection, (source, target) in loops)
        self.log.raise_if_errors()
        nodes = self._nodes(loops)
        self.log.raise_if_errors()
        graph = self._ordered(nodes)
        self.log.raise_if_errors()
        return Importable(graph, self.writer, self.values)

    # --- what can be said ---

    def _refuse(self, message: str, where: str, found: str, limit: str, help_: str = "") -> None:
        help_ = help_ or (self._other_ways if self.help is None else self.help)
        self.log.error(
            "P317",
            f"{self.writer.title}: {message}",
            where=where,
            found=found,
            limit=limit,
            help=help_,
        )

    @cached_property
    def _other_ways(self) -> str:
        """Choices of this simulator with which the whole network can be loaded, else other
        simulators.
        """
        fitting = [
            text for text, writer, values in _ways(self.writer) if self._takes_all(writer, values)
        ]
        own = [text for text in fitting if text.startswith(f"{self.writer.name},")]
        if own:
            return (
                f"--for {own[0]} writes the file all the same, and prints what has to be set "
                "once it is loaded"
            )
        return (
            f"--for {', '.join(fitting)} can be told of this network; or {OTHERWISE}"
            if fitting
            else OTHERWISE
        )

    def _takes_all(self, writer: Writer, values: dict[str, str]) -> bool:
        try:
            _Export(self.program, writer, values, Log(strict=self.log.strict), OTHERWISE).made()
        except NircError:
            return False
        return True

    def _ports(self) -> None:
        for kind, name in ((Source, "Input"), (Sink, "Output")):
            ports = self.program.nodes(kind)
            if len(ports) != 1:
                names = ", ".join(f"`{n}`" for n in ports)
                self._refuse(
                    f"the network has {len(ports)} nodes of type {name}",
                    "nodes",
                    names,
                    f"one {name}",
                )

    def _load(self, name: str, population: Population[Discrete]) -> Loaded:
        d = population.dynamics
        where = population.origins[0] if population.origins else name
        if d.decay_syn_2 is not None:
            self._refuse(
                f"`{name}` has two receptors",
                where,
                "two synaptic filters",
                "one",
                "export an earlier stage",
            )
            return Loaded(None, ("two receptors",))
        loaded = load(self.importer, d, self.values)
        if loaded.refused:
            message = f"the neurons would be others: {'; '.join(loaded.refused)}"
            rule = loaded.rule and f"loaded by [{loaded.rule}]"
            self._refuse(message, where, f"`{name}` by [{d.rule.text}]", rule)
        for remark in loaded.remarks:
            self.log.differs(
                "P315",
                f"NIR cannot say that `{name}` {remark}",
                where=where,
                help="the file computes the stage as long as this does not happen",
            )
        return loaded

    def _choices(self) -> None:
        """Choices that cells need, which have to agree."""
        needed: dict[str, tuple[str, str]] = {}
        for name, loaded in self.loaded.items():
            for key, value in (loaded.cell.values if loaded.cell is not None else {}).items():
                other, before = needed.setdefault(key, (name, value))
                if before != value:
                    choice = next(c for c in self.importer.choices if c.key == key)
                    self._refuse(
                        f"`{name}` and `{other}` need another {key} each",
                        self._where(name),
                        f"{key}={value} and {key}={before}",
                        f"one for the network: {choice.question}",
                    )
        self.values |= {key: value for key, (_, value) in needed.items()}

    def _where(self, name: str) -> str:
        origins = getattr(self.program[name], "origins", ())
        return origins[0] if origins else name

    def _lag(self, source: str, target: str, p: Projection) -> int:
        """Steps between two populations as they are loaded."""
        loaded = self.loaded.get(source)
        payload = self.program[target]
        late = payload.delay_steps if isinstance(payload, Sink) else 0
        return p.lag + late - (1 if loaded is not None and loaded.late and source != target else 0)

    def _closes(self, source: str, target: str, p: Projection) -> bool:
        """Return whether the projection leads back, a step later."""
        if source == target:
            return True
        return self._lag(source, target, p) == 1 and source in _behind(
            self.program, target, self._lag
        )

    def _check_lag(self, source: str, target: str, p: Projection, loop: bool) -> None:
        lag, where = self._lag(source, target, p), (p.origins or (self._where(target),))[0]
        if lag != (1 if loop else 0):
            late = self.loaded.get(source)
            if late is not None and late.late:
                found = f"{lag + 1} step(s) from `{source}` to `{target}`"
                self._refuse(
                    "its neurons spike a step later than they are read here", where, found, "1 step"
                )
            else:
                self._refuse(
                    "signals cannot be delayed",
                    where,
                    f"{lag} step(s) from `{source}` to `{target}`",
                    "none",
                )
        if loop and self.importer.loops == "none":
            self._refuse(
                "layers are run one after the other, without a way back",
                where,
                f"`{source}` -> `{target}`",
                "",
            )
        if loop and source != target and self.importer.loops in ("pair", "nested"):
            message = "neurons feed themselves by one matrix at most"
            self._refuse(
                message, where, f"`{source}` -> `{target}`", "a population that feeds itself"
            )
        for bias in p.biases:
            if bias.onset_steps > (1 if loop else 0):
                found = f"from step {bias.onset_steps} on"
                self._refuse(
                    f"a constant input of `{target}` begins late",
                    where,
                    found,
                    "from the first step on",
                )

    # --- nodes and edges ---

    def _routes(self, loops: set[Edge]) -> tuple[list[Route], dict[str, Shape]]:
        """Every projection with its factors folded in, a population's constant on one of them, and
        all shapes.
        """
        constants = self._constants()
        names = list(self.program.graph)
        shapes = {name: self.program[name].shape for name in names}
        routes = []
        for source, target, p in self.program.edges():
            cell = self.loaded[target].cell if target in self.loaded else None
            gain = None if cell is None else cell.gain
            ops = folded(p.ops, gain, self.program[source].shape, self.primitives)
            routes.append(Route(source, target, tuple(ops)))
        for target, value in constants.items():
            carriers = [
                i
                for i, r in enumerate(routes)
                if r.target == target and (r.source, target) not in loops
            ]
            if not carriers:  # a clock: it takes nothing of the Input
                entry = next(iter(self.program.nodes(Source)))
                carriers = [len(routes)]
                routes.append(
                    Route(entry, target, (Dense(np.zeros((value.size, self.program[entry].n))),))
                )
            carriers.sort(key=lambda i: not _takes(routes[i], value, shapes, self.primitives))
            route = routes[carriers[0]]
            routes[carriers[0]] = replace(route, steps=(*route.steps, Plus(value)))
        flat = {
            name for name, each in self.loaded.items() if each.cell is not None and each.cell.flat
        }
        return routes, laid_out(shapes, routes, self.primitives, flat)

    def _constants(self) -> dict[str, Float]:
        """(n,) what is added to everything that arrives at a population or output, where it is not
        0.
        """
        found: dict[str, Float] = {}
        for name, payload in self.program.graph.nodes(data="payload"):
            total = np.zeros(payload.n)
            for _, p in self.program.into(name):
                for bias in p.biases:
                    total = total + bias.value
            cell = self.loaded[name].cell if name in self.loaded else None
            if cell is not None:
                total = total * (1.0 if cell.gain is None else cell.gain)
                total = total + (0.0 if cell.constant is None else cell.constant)
            if total.any():
                found[name] = total
        return found

    def _nodes(self, loops: set[Edge]) -> _Nodes:
        routes, shapes = self._routes(loops)
        made = _Nodes()
        exits = {}
        for name, payload in self.program.graph.nodes(data="payload"):
            exits[name] = self._population(name, payload, shapes[name], made)
        for number, route in enumerate(routes):
            loop = (route.source, route.target) in loops
            if loop and self.importer.loops == "nested":
                self._nest(route, shapes[route.source], made)
            else:
                self._way(number, route, shapes, exits[route.source], made, loop=loop)
        return made

    def _population(self, name: str, payload: object, shape: Shape, made: _Nodes) -> str:
        """Add the nodes of a population or port; the name of the one that signals leave from."""
        made.stems[name] = name
        if isinstance(payload, Source | Sink):
            made.fields[name] = port("Input" if isinstance(payload, Source) else "Output", shape)
            return name
        cell = self.loaded[name].cell
        assert cell is not None  # it would have been refused
        made.fields[name] = shaped(cell.fields, shape)
        if cell.threshold is None:
            return name
        behind = f"{name}\0"
        made.stems[behind] = f"{name}_threshold"
        made.fields[behind] = shaped({"type": "Threshold", "threshold": cell.threshold}, shape)
        made.forward.append((name, behind))
        return behind

    def _way(
        self,
        number: int,
        route: Route,
        shapes: Mapping[str, Shape],
        start: str,
        made: _Nodes,
        *,
        loop: bool,
    ) -> None:
        """Add the nodes of a projection, and its edges."""
        source, target = shapes[route.source], shapes[route.target]
        layers = route.layers(source, target, self.primitives)
        one = Route(route.source, route.target, (Diagonal(np.ones(size(target))),))
        least = {"long": 2, "pair": 1}.get(self.importer.loops, 0) if loop else 0
        while len(layers) < least or (
            not layers and (start, route.target) in (*made.forward, *made.back)
        ):
            layers += one.layers(target, (size(target),), self.primitives)
        before = start
        for count, layer in enumerate(layers):
            name = f"{number}\0{count}"
            made.fields[name] = layer.fields(
                self.primitives, f"{route.source} -> {route.target}", self.log
            )
            made.stems[name] = f"{route.target}_{made.fields[name]['type'].lower()}"
            made.forward.append((before, name))
            made.loops |= {name} if loop else set()
            before = name
        (made.back if loop else made.forward).append((before, route.target))

    def _nest(self, route: Route, shape: Shape, made: _Nodes) -> None:
        """Turn a population and what it sends itself into a graph of its own."""
        name = route.source
        layers = route.layers(shape, shape, self.primitives) or [
            *planned((Diagonal(np.ones(size(shape))),), shape, self.primitives)
        ]
        inner = made.fields[name]
        if len(layers) != 1 or inner["type"] == "NIRGraph":
            self._refuse(
                f"`{name}` feeds itself in more than one way", self._where(name), "", "one matrix"
            )
            return
        matrix = layers[0].fields(self.primitives, f"{name} -> {name}", self.log)
        ports = {INPUT: port("Input", shape), OUTPUT: port("Output", shape)}
        edges = ((INPUT, "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", OUTPUT))
        made.fields[name] = {
            "type": "NIRGraph",
            "graph": Graph({**ports, "lif": inner, "w_rec": matrix}, edges),
        }

    # --- names and order ---

    def _ordered(self, made: _Nodes) -> Graph:
        """Nodes by names that sort as signals reach them, and edges likewise; checked against the
        simulator's order.
        """
        ordered = _topological(made)
        width = len(str(len(ordered)))
        names = {}
        for number, name in enumerate(ordered):
            kind = made.fields[name]["type"]
            stem = re.sub(r"[^A-Za-z0-9_]", "_", made.stems[name])[:MOST_NAME]
            names[name] = {"Input": INPUT, "Output": OUTPUT}.get(kind, f"{number:0{width}d}_{stem}")
        place = {name: i for i, name in enumerate(ordered)}
        edges = sorted({*made.forward, *made.back}, key=lambda e: (place[e[0]], place[e[1]]))
        self._check_order(made, edges, names)
        nodes = {
            names[n]: _in_float32(made.fields[n]) if self.importer.single else made.fields[n]
            for n in ordered
        }
        return Graph(nodes, tuple((names[s], names[t]) for s, t in edges))

    def _check_order(self, made: _Nodes, edges: list[Edge], names: Mapping[str, str]) -> None:
        forward, back = list(made.forward), list(made.back)
        if self.importer.loops == "pair":  # each becomes one layer with its matrix
            forward = [e for e in forward if e[1] not in made.loops]
            edges, back = [e for e in edges if not {*e} & made.loops], []
        run = [(names[s], names[t]) for s, t in edges]
        order = run_order(self.importer.order, sorted(names.values()), run, INPUT)
        pairs = [[(names[s], names[t]) for s, t in e] for e in (forward, back)]
        wrong = fault(order, pairs[0], pairs[1], OUTPUT)
        if wrong:
            back_to = {v: k for k, v in names.items()}
            stem = made.stems[back_to[wrong]]
            self._refuse(
                f"`{stem}` would be run before all its inputs are there",
                wrong,
                f"{len([1 for _, t in forward if t == back_to[wrong]])} inputs, run "
                f"{self.importer.order}",
                "branches that meet again are run in the right order in a few forms only",
            )


def _in_float32(fields: Fields) -> Fields:
    floats = {
        k: v for k, v in fields.items() if isinstance(v, np.ndarray) and v.dtype == np.float64
    }
    return fields | {k: v.astype(np.float32) for k, v in floats.items()}


def _takes(route: Route, value: Float, shapes: Mapping[str, Shape], primitives: Primitives) -> bool:
    """Return whether the last node of ``route`` has room for a constant."""
    layers = planned(route.steps, shapes[route.source], primitives)
    return bool(layers) and layers[-1].with_bias(value) is not None


def _ways(writer: Writer) -> Iterator[tuple[str, Writer, dict[str, str]]]:
    """As --for takes them:

    ``writer`` with every value of its choices, then the other simulators.
    """
    others = [w for w in installed_writers().values() if w.name != writer.name]
    for each in (writer, *others):
        if each.importer is None:
            continue
        keys = [c.key for c in each.importer.choices]
        for chosen in product(*(c.values for c in each.importer.choices)):
            values = dict(zip(keys, chosen, strict=True))
            usual = {c.key: c.values[0] for c in each.importer.choices}
            other = [f"{k}={v}" for k, v in values.items() if usual[k] != v]
            if not other or each is writer:
                yield ",".join((each.name, *other)), each, values


def _behind(program: Program, start: str, lag: object) -> set[str]:
    """Return the nodes that signals of ``start`` reach in their own step."""
    assert callable(lag)
    found, stack = {start}, [start]
    while stack:
        node = stack.pop()
        for target, p in program.out_of(node):
            if target not in found and lag(node, target, p) == 0:
                found.add(target)
                stack.append(target)
    return found


def _topological(made: _Nodes) -> list[str]:
    """Working names as signals reach them, the way back of a loop right behind its neurons, the
    Output last.
    """
    place = {name: i for i, name in enumerate(made.fields)}
    missing = {name: sum(t == name for _, t in made.forward) for name in made.fields}
    last = {name: made.fields[name]["type"] == "Output" for name in made.fields}
    heap = [(last[n], n not in made.loops, place[n], n) for n in made.fields if not missing[n]]
    heapq.heapify(heap)
    found = []
    while heap:
        name = heapq.heappop(heap)[-1]
        found.append(name)
        for source, target in made.forward:
            if source == name:
                missing[target] -= 1
                if not missing[target]:
                    heapq.heappush(
                        heap, (last[target], target not in made.loops, place[target], target)
                    )
    return found
